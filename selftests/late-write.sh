#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Why there is write_hold_ms. A write is under way in the network when its path is given up; it is sent again over the
# other, succeeds, and is followed by a newer one. Then the first copy arrives: without write_hold_ms the older data
# wins, and nobody is told. With it, the newer stands.
#
# The cable of path 1 holds each packet back for DELAY_S seconds; the path falls silent and is stalled, dm-bond-nvme has
# the write given back, and what is in the cable arrives all the same.
. ./lib.sh
. ./rig.sh

DELAY_S=5
STALL_MS=600
MIB=64
# Else the storage might give the old session up before the copy arrives.
RIG_CONNECT="--reconnect-delay=1 --ctrl-loss-tmo=-1 --keep-alive-tmo=30"

block() { head -c 4096 /dev/zero | tr '\0' "$1"; }
write_block() { block "$1" | dd of="/dev/mapper/$BOND_NAME" bs=4k seek=5 count=1 iflag=fullblock oflag=direct status=none; }
read_block() { dd if="/dev/mapper/$BOND_NAME" bs=4k skip=5 count=1 iflag=direct status=none | head -c 1; }
state_is() { [ "$(cat "/sys/block/$BOND/bond/paths/${NAMES[$1]}/state")" = "$2" ]; }
failure() { cat "/sys/block/$BOND/bond/paths/${NAMES[$1]}/last_failure"; }
delay() { tc qdisc replace dev eth1 root netem delay "$1"; }

# older_and_newer <write_hold_ms>: sets STANDS to what stands in the end, and TOOK to the milliseconds that the older write took.
older_and_newer() {
	local began left
	echo "$1" >"/sys/block/$BOND/bond/write_hold_ms"
	write_block o || return
	delay ${DELAY_S}s
	began=$(now_ms)
	write_block A || return
	TOOK=$(($(now_ms) - began))
	write_block B || return
	[ "$(read_block)" = B ] || { note "what was just written is not there"; return 1; }
	# Until what was in the cable when the path fell silent has arrived.
	left=$((began + (DELAY_S + 1) * 1000 - $(now_ms)))
	[ $left -le 0 ] || sleep "$((left / 1000)).$((left / 100 % 10))"
	delay 0
	STANDS=$(read_block)
	wait_for 60 state_is 1 active || { note "path 1 is not back"; return 1; }
}

need nvme ip veth nvmet-tcp nvme-tcp null_blk sch_netem
[ "$(cat /sys/module/nvme_core/parameters/multipath)" = N ] || skip_all "needs nvme_core.multipath=N"
KO=${DM_BOND_DIR:-..}/dm-bond-nvme.ko
load_bond
[ -e /sys/module/dm_bond_nvme ] || insmod "$KO" || modprobe dm-bond-nvme || skip_all "needs dm-bond-nvme"
at_exit rmmod dm_bond_nvme
at_exit rig_down
check "the rig" rig_up 2 "$MIB" || finish
NAMES=("" "$(basename "$(rig_path 1)")" "$(basename "$(rig_path 2)")")
fresh BOND_NAME
check "a bond whose first path carries all" dmsetup create "$BOND_NAME" --table "0 $((MIB << 11)) bond \
	2 stall_ms:$STALL_MS probe_ms:100 primary 0 2 /dev/${NAMES[1]} 0 /dev/${NAMES[2]} 0" || finish
BOND=dm-$(dmsetup info -c --noheadings -o minor "$BOND_NAME")

TOOK=0 STANDS=''
older_and_newer 0 || fail "an older write and a newer one, without write_hold_ms"
check_is "the path was silent" silent "$(failure 1)"
check "the older one took $TOOK ms, less than the cable's delay" test "$TOOK" -lt $((DELAY_S * 1000))
check_is "without write_hold_ms the older data wins" A "$STANDS"
older_and_newer $(((DELAY_S + 1) * 1000)) || fail "an older write and a newer one, with write_hold_ms"
check_is "the path was silent" silent "$(failure 1)"
check "the older one took $TOOK ms, more than the cable's delay" test "$TOOK" -gt $((DELAY_S * 1000))
check_is "with write_hold_ms the newer data stands" B "$STANDS"
remove_dm "$BOND_NAME"
finish
