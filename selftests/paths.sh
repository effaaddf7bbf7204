# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034  # Used by who sources this.
# Bonds over local devices, for tests that need no network storage. Source it after lib.sh.
#
#   scratch disk 64
#   way a "$disk"; way b "$disk"       two ways to one disk, each a linear device that can be broken and mended
#   make_bond bond "0 primary 0 2 $a 0 $b 0"
#   break_way "$a"; read_blocks "$bond" 1; mend_way "$a"

declare -A KNAME DEVT   # The name that the kernel has for a way or a bond, and its number.
declare -A DISK SECTORS # What a way leads to, and its size.
declare -A SYS          # A bond's directory in sysfs.

# There is no udevd in the guest, so dmsetup makes and removes the nodes itself.
export DM_DISABLE_UDEV=1

# _create <device> <table>: made, and learnt what the kernel calls it.
_create() {
	local said
	said=$(dmsetup create -v "${1#/dev/mapper/}" --table "$2") || return
	[[ $said =~ 'Major, minor:'\ *([0-9]+),\ ([0-9]+) ]] || return
	KNAME[$1]=dm-${BASH_REMATCH[2]} DEVT[$1]=${BASH_REMATCH[1]}:${BASH_REMATCH[2]}
}

# way <variable> <disk>: a way to the whole of a disk.
way() {
	local -n _way=$1
	local _dm _size
	fresh _dm
	_size=$(blockdev --getsz "$2")
	_way=/dev/mapper/$_dm
	DISK[$_way]=$2 SECTORS[$_way]=$_size
	_create "$_way" "0 $_size linear $2 0"
}

_swap() { dmsetup load "${1#/dev/mapper/}" --table "0 ${SECTORS[$1]} $2" && dmsetup resume "${1#/dev/mapper/}"; }
# Every I/O on a broken way fails.
break_way() { _swap "$1" error; }
# mend_way <way> [<disk>]: it leads to its disk again, or to another one.
mend_way() { _swap "$1" "linear ${2-${DISK[$1]}} 0"; }

# make_bond <variable> <arguments of the table line> [<sectors>]: of 64 MiB by default; the variable is its device.
make_bond() {
	local -n _bond=$1
	local _dm
	fresh _dm
	_bond=/dev/mapper/$_dm
	_create "$_bond" "0 ${3-131072} bond $2" || return
	SYS[$_bond]=/sys/block/${KNAME[$_bond]}/bond
}

# some_out <bond>: I/O is out on some path.
some_out() { grep -qv '^0$' "${SYS[$1]}"/paths/*/inflight; }

bond_message() { dmsetup message "${1#/dev/mapper/}" 0 "${@:2}"; }

# path_file <bond> <way> <file>: the value of a file of a path.
path_file() { value "${SYS[$1]}/paths/${KNAME[$2]}/$3"; }
# path_file_is <bond> <way> <file> <value>: asked in loops under load, so it starts no process.
path_file_is() {
	local value=
	read -r value <"${SYS[$1]}/paths/${KNAME[$2]}/$3"
	[ "$value" = "$4" ]
}
state_is() { path_file_is "$1" "$2" state "$3"; }

# read_blocks <device> <count>: reads of 4 KiB, one after the other, past the page cache; on one CPU, as each goes its
# own round.
read_blocks() { taskset -c 0 dd if="$1" of=/dev/null bs=4k count="$2" iflag=direct status=none; }

# reads_of <device>: how many reads it has completed.
reads_of() {
	local reads
	read -r reads _ <"/sys/block/${KNAME[$1]}/stat"
	echo "$reads"
}

# log_mark: from here on log_new has what the kernel logs, each line once, without its prefix; log_read puts it into LOG.
log_mark() {
	if [ -z "${KMSG-}" ]; then
		exec {KMSG}</dev/kmsg
		dd iflag=nonblock count=0 status=none <&"$KMSG" # It is so for the shell, too.
	fi
	log_read
}
# /dev/kmsg gives a record a read: "<numbers>;<text>", and lines with a space before them that say more.
log_read() {
	mapfile -t LOG <&"$KMSG"
	LOG=("${LOG[@]#*;}")
	LOG=("${LOG[@]//\\x5c/\\}")
}
log_new() {
	log_read
	printf '%s\n' "${LOG[@]}"
}

# exclusively <device>: open it as a mount would.
# shellcheck disable=SC2016  # These are Perl's.
exclusively() { perl -MFcntl -e 'sysopen(my $file, shift, O_RDWR | O_EXCL) or die "$!\n"' "$1"; }

# dummy <name>...: network devices that are up; removed at the end.
dummy() {
	local net
	modprobe -q dummy numdummies=0
	for net; do
		at_exit drop_netdev "$net"
		ip link add "$net" up type dummy || return
	done
}
drop_netdev() { [ ! -e "/sys/class/net/$1" ] || ip link del "$1"; }
