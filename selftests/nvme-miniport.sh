#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# dm-bond-nvme, over two NVMe/TCP adapters: it is loaded when a bond asks for it, knows adapter and address, has pending
# I/O given back within a second when a link is lost or a path falls silent, and lets no session be used that is only
# thought to have survived. (By themselves nvme-tcp's timers take 30 s here. How fast it is in fact is in the notes.)
. ./lib.sh
. ./load.sh
. ./rig.sh

MIB=64
KO=${DM_BOND_DIR:-..}/dm-bond-nvme.ko
RIG_CONNECT="--reconnect-delay=1 --ctrl-loss-tmo=-1 --keep-alive-tmo=30"

file() { value "/sys/block/$BOND/bond/paths/${NAMES[$1]}/$2"; }
state_is() { [ "$(file "$1" state)" = "$2" ]; }
is_bound() { [ "$(file "$1" miniport)" = nvme ]; }
is_out() { ! state_is "$1" active; }
is_idle() { [ "$(file "$1" inflight)" = 0 ]; }
is_busy() { [ "$(file "$1" inflight)" -ge 4 ]; }
# session <path>: the how manieth it is.
session() { log_since | grep -c "nvme ${NAMES[$1]%n*}: creating .* I/O queues"; }
new_session() { [ "$(session "$1")" != "$2" ]; }

# The module stands in no directory of the kernel's here, so modprobe is told where it is.
offer() {
	mkdir -p /run/modprobe.d &&
		printf '%s\n' "alias dm_bond_port_nvme_core dm_bond_nvme" "install dm_bond_nvme insmod $(realpath "$KO")" \
			>/run/modprobe.d/dm-bond-selftest.conf
}

need fio nvme ip jq veth nvmet-tcp nvme-tcp null_blk sch_netem
[ "$(cat /sys/module/nvme_core/parameters/multipath)" = N ] || skip_all "needs nvme_core.multipath=N"
[ -e "$KO" ] || skip_all "needs $KO"
load_bond
[ ! -e /sys/module/dm_bond_nvme ] || rmmod dm_bond_nvme
# A module is asked for once: no longer, if a bond over such a path has been there before.
rmmod dm_bond && load_bond
at_exit eval "rm -f /run/modprobe.d/dm-bond-selftest.conf; [ ! -e /sys/module/dm_bond_nvme ] || rmmod dm_bond_nvme"
at_exit rig_down
check "the rig" rig_up 2 "$MIB" || finish
check "the module has the alias that a bond asks for" grep -qx dm-bond-port-nvme_core <(modinfo -F alias "$KO")
offer
NAMES=("" "$(basename "$(rig_path 1)")" "$(basename "$(rig_path 2)")")
fresh BOND_NAME
check "a bond that names no adapter" dmsetup create "$BOND_NAME" --table "0 $((MIB << 11)) bond 1 probe_ms:200 static 0 2 \
	/dev/${NAMES[1]} 0 /dev/${NAMES[2]} 0" || finish
BOND=dm-$(dmsetup info -c --noheadings -o minor "$BOND_NAME")
check "the miniport was loaded for it" wait_for 10 is_bound 1
wait_for 10 is_bound 2
for i in 1 2; do
	check_is "what it knows of path $i" "nvme eth$i 10.10.$i.2" "$(file $i miniport) $(file $i netdev) $(file $i dest)"
done
check_fails "it cannot be unloaded" "in use" rmmod dm_bond_nvme

# Long cables, so that much is under way.
delay 1 50 && delay 2 50
load_start nvme "/dev/mapper/$BOND_NAME" --size=16M

# called_back <what> <most ms> <command to break path 1>...: what is out there comes back in that time.
called_back() {
	local what=$1 most=$(($2 * SLOW)) began ms sent
	shift 2
	# What is out is stuck before, as a load may pause just then. unpull undoes it.
	[ "$1" = loss ] || { loss 1 100 && sleep 0.2; }
	wait_for 20 is_busy 1 || fail "$what: path 1 is busy"
	sent=$(file 1 requeued)
	"$@"
	began=$(now_ms)
	check "$what: path 1 is out of use" wait_for 20 is_out 1
	check "$what: all that was out is back" wait_for 20 is_idle 1
	ms=$(($(now_ms) - began))
	check "$what: in $ms ms, of at most $most" test "$ms" -le "$most"
	check "$what: something was sent again" test "$(file 1 requeued)" -gt "$sent"
}
unpull() { loss 1 0 && delay 1 50 && "$1" 1; }
comes_back() {
	check "$1: path 1 is back" wait_for 30 state_is 1 active
	check "$1: and has a new session" new_session 1 "$2"
	sleep 1
	check_is "$1: and stays" active "$(file 1 state)"
}

was=$(session 1)
called_back "carrier lost" 10000 cable_pull 1
sleep 1
unpull cable_plug
comes_back "carrier lost" "$was"
was=$(session 1)
called_back "administratively down" 10000 admin_down 1
unpull admin_up
comes_back "administratively down" "$was"
was=$(session 1)
called_back "silence" 15000 loss 1 100
check_is "silence: why" silent "$(file 1 last_failure)"
sleep 1
loss 1 0 && delay 1 50
comes_back "silence" "$was"
load_stop "three failures" nvme

# An idle session. The link is lost for so long that it is not to be relied on.
sleep 0.5
was=$(session 1)
cable_pull 1
check "idle: path 1 is failed" wait_for 5 state_is 1 failed
sleep 1
check_is "idle: nothing is given up meanwhile" "$was" "$(session 1)"
cable_plug 1
comes_back "idle" "$was"
was=$(session 1)
echo 5000 >"/sys/block/$BOND/bond/abort_ms"
cable_pull 1
wait_for 5 state_is 1 failed
sleep 0.5
cable_plug 1
check "a short loss: path 1 is back" wait_for 10 state_is 1 active
sleep 1
check_is "a short loss costs no session" "$was active" "$(session 1) $(file 1 state)"

# Another miniport says that the adapter has failed, and has forgotten what was pending: its own. This one's is called
# back.
if [ -e "$TEST_KO" ]; then
	echo 0 >"/sys/block/$BOND/bond/stall_ms"
	at_exit unload_test_miniport
	load_test_miniport units=1 netdevs=eth1
	fresh other
	# shellcheck disable=SC2154  # Set by fresh.
	dmsetup create "$other" --table "0 $(blockdev --getsz /dev/bondtest0) bond 0 static 0 1 /dev/bondtest0 0"
	load_start adapter "/dev/mapper/$BOND_NAME" --size=4M
	loss 1 100
	sleep 0.2
	wait_for 20 is_busy 1 || fail "path 1 is busy"
	echo "adapter voided" >/sys/kernel/debug/dm_bond_test/bondtest0/fail
	check "an adapter told failed by another miniport" wait_for 5 state_is 1 failed
	check "what is out there is called back" wait_for 10 is_idle 1 # Else by NVMe's own timers, after 30 s.
	loss 1 0
	echo adapter >/sys/kernel/debug/dm_bond_test/bondtest0/restore
	check "and it is back" wait_for 30 state_is 1 active
	load_stop "an adapter failed by another miniport" adapter
	remove_dm "$other"
else
	skip "an adapter failed by another miniport" "needs the test miniport, $TEST_KO"
fi

remove_dm "$BOND_NAME"
check "it can be unloaded then" rmmod dm_bond_nvme
finish
