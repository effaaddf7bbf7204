#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A bond over two iSCSI sessions with dm-bond-iscsi, with open-iscsi's own timers: what it knows of a path; pulled
# cables, under which no I/O may fail or wait for long; a cable on which everything is lost; what becomes of the other
# disks of the sessions, of the sessions' settings, and of the module.
. ./lib.sh
. ./load.sh
. ./iscsi-rig.sh

MIB=64
SECTORS=$((MIB << 11))
LIMIT_MS=20000 # Without the miniport it takes the replacement timeout, 120 s, and some.

path_file() { value "/sys/block/$BOND/bond/paths/${PATHS[$1]#/dev/}/$2"; }
path_is() { check_is "path $1: its $2" "$3" "$(path_file "$1" "$2")"; }
is_bound() { [ "$(path_file 1 miniport) $(path_file 2 miniport)" = "iscsi iscsi" ]; }
is_state() { [ "$(path_file "$1" state)" = "$2" ]; }
is_not_state() { ! is_state "$@"; }
is_busy() { [ "$(path_file "$1" inflight)" -gt 0 ]; }
is_idle() { ! is_busy "$1"; }
session_is() { [ "$(value "$(iscsi_session "$1")/state")" = "$2" ]; }
# No connection to this address but attempts at new ones.
is_closed() { ! ss -Htn state connected exclude syn-sent dst "$1" | grep -q .; }
timeouts() { cat "$(iscsi_session 1)/recovery_tmo" "$(iscsi_session 2)/recovery_tmo" | xargs; }

# The module comes from where dm-bond came from. modprobe is told whether a bond that asks for it gets it.
KO=$(realpath -e "${DM_BOND_DIR:-..}/dm-bond-iscsi.ko" 2>/dev/null) || KO=$(modinfo -n dm-bond-iscsi 2>/dev/null)
CONF=/run/modprobe.d/dm-bond-selftest.conf
load_iscsi() { insmod "$KO"; }
unload_iscsi() { rm -f "$CONF" && { [ ! -e /sys/module/dm_bond_iscsi ] || rmmod dm_bond_iscsi; }; }
asked_for() {
	mkdir -p "${CONF%/*}" &&
		printf '%s\n' "alias dm_bond_port_sd_mod dm_bond_iscsi" "install dm_bond_iscsi $1" >"$CONF"
}

# make_bond [<arguments of path 1> <of path 2>]: sets BOND and BOND_NAME. By default the paths are told nothing.
make_bond() {
	fresh BOND_NAME
	dmsetup create "$BOND_NAME" --table \
		"0 $SECTORS bond 0 static 0 2 ${PATHS[1]} ${1-0} ${PATHS[2]} ${2-0}" || return
	BOND=dm-$(dmsetup info -c --noheadings -o minor "$BOND_NAME")
}

# pull_under <command to pull> <path>: with I/O on its way that will not come back. Everything is lost before, as a load
# may pause just then; the cable is to be given back by unpull.
pull_under() {
	loss "$2" 100
	sleep 0.5
	wait_for 20 is_busy "$2" || fail "I/O is on its way on path $2"
	"$1" "$2"
}
unpull() { loss "$2" 0 && "$1" "$2"; }

# One cable out and in again, under a load of its own.
pull() {
	local i=$1 down=$2 up=$3 what="$2 of path $1" failures
	load_start "$2-$1" "/dev/mapper/$BOND_NAME" --size=4M
	failures=$(path_file "$i" failures)
	wait_for 20 is_busy "$i" || fail "I/O is on its way on path $i"
	"$down" "$i"
	check "$what is noticed" wait_for 3 is_state "$i" failed
	path_is "$i" last_failure "link down"
	check_is "$what leaves the other path in use" active "$(path_file $((3 - i)) state)"
	wait_for 5 is_idle "$i"
	path_is "$i" inflight 0
	check "I/O goes on after $what" goes_on "$BOND"
	check_is "$what is one failure" $((failures + 1)) "$(path_file "$i" failures)"
	"$up" "$i"
	check "the path is back after $what: iscsid has logged in again" wait_for 60 is_state "$i" active
	load_stop "$what" "$2-$1" || return
	check "no I/O took longer than $LIMIT_MS ms" test "$LONGEST" -lt "$LIMIT_MS"
}

need fio iscsiadm iscsid ip jq veth target_core_mod target_core_iblock iscsi_target_mod iscsi_tcp sd_mod null_blk
[ -n "$KO" ] || skip_all "no module dm-bond-iscsi"
load_bond
at_exit iscsi_down
check "the rig: two cables, two sessions" iscsi_up 2 "$MIB" || finish
PATHS=("" "$(iscsi_path 1)" "$(iscsi_path 2)")
shape 1 40
shape 2 40
BEFORE=$(timeouts)
check_is "the replacement timeouts are open-iscsi's" "120 120" "$BEFORE"

# Binding.
unload_iscsi
at_exit unload_iscsi
asked_for /bin/false
make_bond || { fail "a bond over both sessions"; finish; }
path_is 1 miniport generic
check "the module loads" load_iscsi || finish
for i in 1 2; do
	path_is "$i" miniport iscsi # Bound by a module that came later.
	path_is "$i" netdev "eth$i"
	path_is "$i" dest "10.10.$i.2"
done
check_fails "it does not unload while it is bound" "in use" rmmod dm_bond_iscsi
remove_dm "$BOND_NAME"
check "it unloads when the bond is gone" rmmod dm_bond_iscsi
check "it has the alias that a bond asks for" grep -qx dm-bond-port-sd_mod <(modinfo -F alias "$KO")
asked_for "insmod $KO"
make_bond || { fail "a bond that comes later"; finish; }
check "it is loaded for a bond that comes later" wait_for 10 is_bound
check_is "the replacement timeouts are untouched" "$BEFORE" "$(timeouts)"
scratch OTHER 8
fresh other
# shellcheck disable=SC2154  # Set by fresh and scratch.
dmsetup create "$other" --table "0 16384 bond 0 static 0 1 $OTHER 0"
check_is "a disk of another kind: declined" generic \
	"$(cat /sys/block/dm-"$(dmsetup info -c --noheadings -o minor "$other")"/bond/paths/*/miniport)"
remove_dm "$other"
if modprobe -q scsi_debug dev_size_mb=8; then
	at_exit rmmod scsi_debug
	has_debug() {
		DISK=/dev/$(basename /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block/sd*)
		[ -b "$DISK" ]
	}
	wait_for 10 has_debug
	fresh debug
	# shellcheck disable=SC2154
	dmsetup create "$debug" --table "0 16384 bond 0 static 0 1 $DISK 0"
	check_is "a SCSI disk that is not over iSCSI: declined" generic \
		"$(cat /sys/block/dm-"$(dmsetup info -c --noheadings -o minor "$debug")"/bond/paths/*/miniport)"
	remove_dm "$debug"
else
	skip "a SCSI disk that is not over iSCSI" "no scsi_debug"
fi

# Pulled cables.
pull 1 admin_down admin_up
pull 2 cable_pull cable_plug

# A disk of the session that is in no bond waits for the session, as open-iscsi says. The I/O of the bond's own disk
# makes it fail the session.
load_start others "/dev/mapper/$BOND_NAME" --size=4M
pull_under admin_down 2
check "a cable is pulled" wait_for 3 is_state 2 failed
check "its session is failed at once" wait_for 5 session_is 2 FAILED
check "its connection is closed, so that nothing is sent on it later" wait_for 5 is_closed 10.10.2.2
dd if="$(iscsi_path 2 1)" of=/dev/null bs=4k count=1 iflag=direct status=none &
READER=$!
sleep 1
check "a disk of that session that is in no bond waits" kill -0 $READER
unpull admin_up 2
wait $READER
check_is "and sees no error when the session is back" 0 $?
check "so is the path" wait_for 60 is_state 2 active
load_stop "others" others

# A cable that loses everything: the link stays. dm-bond finds it out after stall_ms; the session's own pings would
# after 5 to 10 s.
load_start silent "/dev/mapper/$BOND_NAME" --size=4M
wait_for 20 is_busy 1 || fail "I/O is on its way on path 1"
loss 1 100
check "a silent path is found" wait_for 20 is_not_state 1 active
check "its commands come back" wait_for 10 is_idle 1
loss 1 0
check "it is back" wait_for 60 is_state 1 active
load_stop "a silent path" silent && check "no I/O took longer than $LIMIT_MS ms" test "$LONGEST" -lt "$LIMIT_MS"

check_is "nothing is left in flight" "0 0" "$(path_file 1 inflight) $(path_file 2 inflight)"
check_is "nothing waits" 0 "$(cat "/sys/block/$BOND/bond/queued")"
check "I/O that was on its way was sent again" \
	test $(($(cat "/sys/block/$BOND/bond/paths/"*/requeued | paste -sd+))) -gt 0
remove_dm "$BOND_NAME"
check_is "the replacement timeouts are as they were" "$BEFORE" "$(timeouts)"

# A session that is logged out under the bond, and one that is bound to no adapter.
make_bond || { fail "a bond as before"; finish; }
load_start logout "/dev/mapper/$BOND_NAME" --size=4M
wait_for 20 is_busy 2 || fail "I/O is on its way on path 2"
check "a session is logged out" iscsi_logout 2
check "its path fails" wait_for 3 is_state 2 failed
load_stop "a logout" logout
remove_dm "$BOND_NAME"
# From here on it asks its storage oftener whether it is there, to save time.
check "log in by the routes only" iscsi_login 2 default node.conn[0].timeo.noop_out_interval 1 || finish
PATHS[2]=$(iscsi_path 2)
make_bond || { fail "a bond over that"; finish; }
path_is 2 netdev eth2
path_is 2 dest 10.10.2.2
remove_dm "$BOND_NAME"
asked_for /bin/false
check "the module unloads" rmmod dm_bond_iscsi

# What waits for a session that is down already when the module comes. The bond is told its adapters.
make_bond "1 netdev:eth1" "1 netdev:eth2" || { fail "a bond without the module"; finish; }
load_start late "/dev/mapper/$BOND_NAME" --size=4M
pull_under cable_pull 2
check "without the module a session fails by its pings" wait_for 20 session_is 2 FAILED
sleep 1
check "and keeps its commands" is_busy 2
check "the module loads" load_iscsi
path_is 2 miniport iscsi
path_is 2 dest 10.10.2.2
check "and they come back" wait_for 10 is_idle 2
unpull cable_plug 2
check "the path is back" wait_for 60 is_state 2 active
load_stop "a module that comes late" late
remove_dm "$BOND_NAME"
check "the module unloads" rmmod dm_bond_iscsi
check "and dm-bond" rmmod dm_bond
finish
