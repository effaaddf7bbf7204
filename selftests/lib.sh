# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What the tests share. A test sources it, makes its checks, and ends with "finish":
#
#   . ./lib.sh
#   need fio null_blk
#   load_bond
#   scratch disk 64
#   fresh name
#   check "a bond can be created" dmsetup create "$name" --table "0 131072 bond 0 primary 0 1 $disk 0"
#   finish
#
# Whatever a test makes through these functions is removed when it ends, however it ends. The kernel's log since the
# test began is looked through at the end, and a fault in it fails the test.

set -u
export LC_ALL=C.UTF-8
export DM_DISABLE_UDEV=1 # A guest without udevd: dmsetup makes the nodes in /dev/mapper itself.
cd "${BASH_SOURCE[0]%/*}" || exit 1
. ./kernel-log.sh

: "${SLOW:=1}" # So many times slower than the stock kernel in emulation is what the tests run on.
TEST=${0##*/} TEST=${TEST%.sh}
MARK="dm-bond-selftests: $TEST $$" # Where in the kernel's log this test began.
NULLB=/sys/kernel/config/nullb
CHECKS=0
FAILED=0
FINISHED=
FRESH=0
CLEANUPS=()

note() { printf '# %s\n' "$@"; }
pass() { echo "ok $((++CHECKS)) $1"; }
skip() { echo "ok $((++CHECKS)) $1 # SKIP ${2-}"; }
fail() {
	echo "not ok $((++CHECKS)) $1"
	FAILED=$((FAILED + 1))
}

# check <what> <command>...: the command must succeed; what it said is shown only if it does not.
check() {
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then
		pass "$what"
	else
		fail "$what"
		note "the command was: $*" "$said"
		return 1
	fi
}

# check_fails <what> <pattern> <command>...: the command must fail and say something that matches the pattern.
check_fails() {
	local what=$1 pattern=$2 said
	shift 2
	if said=$("$@" 2>&1); then
		fail "$what"
		note "it succeeded: $*" "$said"
		return 1
	elif [[ ! $said =~ $pattern ]]; then
		fail "$what"
		note "it failed, but not with \"$pattern\": $*" "$said"
		return 1
	fi
	pass "$what"
}

# check_is <what> <expected> <found>
check_is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1"
		note "expected: $2" "found:    $3"
		return 1
	fi
}

skip_all() {
	FINISHED=skipped
	echo "1..0 # SKIP $*"
	exit 4
}

# need <tool or module>...: without any of them there is nothing to test.
need() {
	local what
	[ $EUID = 0 ] || skip_all "needs root"
	for what in "$@"; do
		command -v "$what" >/dev/null || load_module "$what" || skip_all "needs $what"
	done
}

load_module() {
	[ ! -e "/sys/module/${1//-/_}" ] || return 0
	case $1 in
	null_blk) modprobe -q null_blk nr_devices=0 ;; # Only the disks that are asked for.
	*) modprobe -q "$1" ;;
	esac
}

# The module comes from the project's build directory where there is one, else from the system.
load_bond() {
	local dir=${DM_BOND_DIR:-..}
	need dmsetup dm_mod
	[ ! -e /sys/module/dm_bond ] || return 0
	if [ -e "$dir/dm-bond.ko" ]; then
		insmod "$dir/dm-bond.ko" || { fail "insmod $dir/dm-bond.ko"; finish; }
	else
		modprobe -q dm-bond || skip_all "no module dm-bond"
	fi
}

# The test miniport (miniport/): load_test_miniport <parameter>...
TEST_KO=miniport/dm_bond_test.ko
[ -e "$TEST_KO" ] || TEST_KO=${DM_BOND_DIR:-..}/selftests/miniport/dm_bond_test.ko
load_test_miniport() {
	mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
	insmod "$TEST_KO" "$@"
}
unload_test_miniport() { [ ! -e /sys/module/dm_bond_test ] || rmmod dm_bond_test; }

# at_exit <command>...: run when the test ends, the last one first.
at_exit() { CLEANUPS+=("$(printf '%q ' "$@")"); }

# fresh <variable>: a name for a device-mapper device that nobody has; the device is removed at the end.
fresh() {
	local -n _name=$1
	_name=bond-$TEST-$$-$((++FRESH))
	at_exit remove_dm "$_name"
}

# Remove a device-mapper device, if need be with the I/O that waits in it.
remove_dm() {
	local name=$1
	[ -b "/dev/mapper/$name" ] || return 0
	timeout 20 dmsetup remove --retry "$name" >/dev/null 2>&1 && return
	timeout 20 dmsetup message "$name" 0 fail_if_no_path >/dev/null 2>&1
	timeout 20 dmsetup remove --force --retry "$name"
}

# scratch <variable> <MiB> [<null_blk attribute>=<value>]...: a disk that keeps what is written; removed at the end.
scratch() {
	local -n _disk=$1
	local dir=$NULLB/disk-$$-$((++FRESH)) pair
	need null_blk configfs
	[ -e "$NULLB" ] || mount -t configfs configfs /sys/kernel/config
	_disk=/dev/${dir##*/}
	at_exit remove_scratch "$dir"
	mkdir "$dir" || return
	for pair in "size=$2" memory_backed=1 "${@:3}" power=1; do
		echo "${pair#*=}" >"$dir/${pair%%=*}" || { note "null_blk: cannot set $pair"; return 1; }
	done
}

# remove_scratch <disk or its directory>: also in the middle of a test, for a disk that vanishes.
remove_scratch() {
	local dir=$NULLB/${1##*/}
	[ ! -e "$dir" ] || rmdir "$dir"
}

# value <file>: print its one line. Processes are slow to start in an emulated guest: this starts none.
value() {
	local _value
	mapfile -t _value <"$1" && printf '%s\n' "${_value[@]}"
}

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# pause <seconds>: or longer, where all else takes longer too.
pause() { sleep "$(awk "BEGIN { print $1 * $SLOW }")"; }

exec {NEVER}<> <(:) # Nothing to read, ever.

# wait_for <seconds> <command>...: until the command succeeds; fail if it does not in time.
wait_for() {
	# Not by SECONDS, which are whole ones. And on a machine that stood still so many tries at least.
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000 * SLOW)) tries=$(($1 * 10 * SLOW))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $((tries--)) -gt 0 ] || [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
		read -rt 0.05 -u "$NEVER" || true
	done
}

# log_since: the kernel's log since this test began, or what is left of it.
log_since() {
	dmesg | awk -v mark="$MARK begins" '
		{ line[n++] = $0 }
		index($0, mark) { n = 0 }
		END { for (i = 0; i < n; i++) print line[i] }'
}

finish() {
	FINISHED=yes
	exit
}

# Runs when the test ends, however it ends.
_end() {
	local i faults
	[ -n "$FINISHED" ] || fail "the test ended early"
	trap - EXIT
	for ((i = ${#CLEANUPS[@]} - 1; i >= 0; i--)); do
		eval "${CLEANUPS[i]}" || fail "cleaning up: ${CLEANUPS[i]}"
	done
	if faults=$(log_since | kernel_faults); then
		fail "the kernel's log is clean"
		mapfile -t faults <<<"$faults"
		note "${faults[@]:0:20}"
	elif [ "$FINISHED" != skipped ]; then
		pass "the kernel's log is clean"
	fi
	echo "$MARK ends" >/dev/kmsg
	[ "$FINISHED" != skipped ] || [ "$FAILED" != 0 ] || exit 4
	echo "1..$CHECKS"
	exit $((FAILED > 0))
}

echo "TAP version 13"
[ $EUID = 0 ] || skip_all "needs root"
echo "$MARK begins" >/dev/kmsg
trap _end EXIT
trap 'exit 143' TERM INT HUP
