#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A bond over two NVMe/TCP adapters survives pulled cables, without a miniport, by NVMe's own timers: nobody above it sees
# an error, and the path comes back by itself. It runs beside dm-multipath over the same cables, and refuses another
# namespace. To save time, the timers are set shorter than by default.
. ./lib.sh
. ./load.sh
. ./rig.sh

MIB=64
SECTORS=$((MIB << 11))
RIG_CONNECT="--keep-alive-tmo=3 --reconnect-delay=2"
NS2=$RIG_NVMET/subsystems/$RIG_NQN/namespaces/2

state() { value "/sys/block/$BOND/bond/paths/${PATHS[$1]#/dev/}/state"; }
is_state() { [ "$(state "$1")" = "$2" ]; }
is_busy() { [ "$(value "/sys/block/$BOND/bond/paths/${PATHS[$1]#/dev/}/inflight")" -gt 0 ]; }
is_idle() { ! is_busy "$1"; }
failures() { value "/sys/block/$BOND/bond/paths/${PATHS[$1]#/dev/}/failures"; }

# One cable out and in again: the bond has to notice, and to take the path back.
pull() {
	local i=$1 down=$2 up=$3 other=$((3 - $1)) what="$2 of path $1" before reason
	before=$(failures "$i")
	wait_for 20 is_busy "$i" || fail "I/O is on its way on path $i"
	"$down" "$i"
	check "$what is noticed" wait_for 3 is_state "$i" failed
	reason=$(cat "/sys/block/$BOND/bond/paths/${PATHS[i]#/dev/}/last_failure")
	check_is "$what says why" "link down" "$reason"
	check_is "$what leaves the other path in use" active "$(state "$other")"
	check "$what: nvme-tcp gives up what was on its way" wait_for 20 is_idle "$i"
	check "I/O goes on after $what" goes_on "$BOND"
	check_is "$what is one failure" $((before + 1)) "$(failures "$i")"
	"$up" "$i"
	check "the path is back after $what" wait_for 40 is_state "$i" active
}

second_namespace() {
	scratch MEDIUM2 "$MIB" || return
	at_exit second_namespace_down
	mkdir "$NS2" && echo "$MEDIUM2" >"$NS2/device_path" &&
		echo 0dbd0000-0000-4000-8000-0000000000f2 >"$NS2/device_nguid" && echo 1 >"$NS2/enable" || return
	OTHER=${PATHS[2]%n1}n2
	wait_for 10 test -b "$OTHER"
}
second_namespace_down() { [ ! -e "$NS2" ] || rmdir "$NS2"; }

table() { echo "0 $SECTORS bond 0 static 0 2 ${PATHS[1]} 1 netdev:eth1 ${1-${PATHS[2]}} 1 netdev:eth2"; }

need fio nvme ip jq veth nvmet-tcp nvme-tcp null_blk sch_netem
[ "$(cat /sys/module/nvme_core/parameters/multipath)" = N ] || skip_all "needs nvme_core.multipath=N"
load_bond
at_exit rig_down
check "the rig: two cables, two hosts" rig_up 2 "$MIB" 2 || finish
PATHS=("" "$(rig_path 1)" "$(rig_path 2)")
MPATHS=("" "$(rig_path 1 2)" "$(rig_path 2 2)")

if second_namespace; then
	fresh refused
	# shellcheck disable=SC2154  # Set by fresh.
	check_fails "a path to another namespace is refused" "." dmsetup create "$refused" --table "$(table "$OTHER")"
	said=$(log_since | grep "is LU" | tail -n 1)
	check "the reason names both namespaces" grep -q \
		"$OTHER.*eui.0dbd00000000400080000000000000f2.*${PATHS[1]#/dev/}.*eui.0dbd0000000040008000000000000002" <<<"$said" ||
		note "it says: $said"
	fresh missing
	# shellcheck disable=SC2154
	check_fails "a netdev that is not there is refused" "." \
		dmsetup create "$missing" --table "0 $SECTORS bond 0 static 0 1 ${PATHS[1]} 1 netdev:eth77"
	second_namespace_down
else
	fail "a second namespace"
fi

fresh BOND_NAME
check "a bond with both adapters" dmsetup create "$BOND_NAME" --table "$(table)" || finish
BOND=dm-$(dmsetup info -c --noheadings -o minor "$BOND_NAME")
check_is "the LU's id is the namespace's" eui.0dbd0000000040008000000000000002 "$(cat "/sys/block/$BOND/bond/lu_id")"
check_is "the adapters have two paths between them" "1 1" \
	"$(cat /sys/module/dm_bond/adapters/eth{1,2}/paths | xargs)"

fresh MULTI_NAME
load_module dm-multipath && load_module dm-round-robin
# In bio mode: in its default mode 7.3 warns of a context switch in an RCU section, since nvme-tcp may sleep below it.
check "dm-multipath beside it" dmsetup create "$MULTI_NAME" --table \
	"0 $SECTORS multipath 3 queue_if_no_path queue_mode bio 0 1 1 round-robin 0 2 1 ${MPATHS[1]} 1 ${MPATHS[2]} 1" ||
	finish

MULTIPATHD=()
for path in "${MPATHS[@]:1}"; do
	multipathd "$MULTI_NAME" "$path" & # dm-multipath takes no path back by itself.
	MULTIPATHD+=($!)
done
multipathd_stop() { kill "${MULTIPATHD[@]}" 2>/dev/null || true; }
at_exit multipathd_stop

# Long cables, so that there is always I/O on its way when one is pulled: without, a guest's are instant. Narrow ones
# would not do: what is on its way in them is nothing, where the CPUs are slower still.
delay 1 50
delay 2 50
# Each has a half of the namespace.
load_start bond "/dev/mapper/$BOND_NAME" --size=16M --offset=0
load_start multipath "/dev/mapper/$MULTI_NAME" --size=16M --offset=32M
check "both carry I/O" goes_on "$BOND"
check "both" goes_on "dm-$(dmsetup info -c --noheadings -o minor "$MULTI_NAME")"
pull 1 admin_down admin_up
pull 2 cable_pull cable_plug
pull 2 admin_down admin_up
load_stop "the bond under three pulls" bond
load_stop "dm-multipath under the same" multipath
multipathd_stop
check "I/O that was on its way was sent again" \
	test $(($(cat "/sys/block/$BOND/bond/paths/"*/requeued | paste -sd+))) -gt 0
check_is "nothing is left in flight" "0 0" \
	"$(cat "/sys/block/$BOND/bond/paths/"*/inflight | xargs)"
check_is "nothing waits" 0 "$(cat "/sys/block/$BOND/bond/queued")"
remove_dm "$MULTI_NAME"
remove_dm "$BOND_NAME"
finish
