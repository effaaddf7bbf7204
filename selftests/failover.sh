#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Paths that fail and come back: by their adapter's link, however it is lost, and by errors. The caller sees no error of
# a path, and every error of the logical unit at once. The load is divided as the policy says. The outside is told.
. ./lib.sh
. ./paths.sh
. ./load.sh

disk='' a='' b='' c='' d='' bond='' second='' lu='' bad=''
need ip fio jq perl dummy veth udevadm
load_bond
scratch disk 64
way a "$disk"
way b "$disk"
way c "$disk"
way d "$disk"
ADAPTERS=/sys/module/dm_bond/adapters

# goes_over <what> <way>: the next read of the bond goes over that way alone, without an error.
goes_over() {
	local before after
	before=$(($(reads_of "$a") + $(reads_of "$b")))
	after=$(reads_of "$2")
	check_is "$1" "$((before + 1)) $((after + 1))" \
		"$(read_blocks "$bond" 1 && echo "$(($(reads_of "$a") + $(reads_of "$b"))) $(reads_of "$2")")"
}
fails() { check "$1" wait_for 5 state_is "$bond" "$2" failed; }
is_back() { check "$1" wait_for 5 state_is "$bond" "$2" active; }
adapter_file() { check_is "adapter $1: $2 is $3" "$3" "$(cat "$ADAPTERS/$1/$2")"; }

# The link. Over dmbf0, a veth, runs the primary path, over dmbf1, a dummy, the other.
at_exit drop_netdev dmbf0
ip link add dmbf0 up type veth peer name dmbf0far
ip link set dmbf0far up
dummy dmbf1
make_bond bond "1 probe_ms:20 primary 0 2 $a 1 netdev:dmbf0 $b 1 netdev:dmbf1" || finish
goes_over "with both links the primary path carries I/O" "$a"

ip link set dmbf0 down
goes_over "administratively down: the next read goes over the other path" "$b"
fails "the path is failed" "$a"
check_is "by its link" "link down" "$(path_file "$bond" "$a" last_failure)"
adapter_file dmbf0 link down
adapter_file dmbf0 failures 1
check_is "the other path is untouched" "active 0" "$(path_file "$bond" "$b" state) $(path_file "$bond" "$b" failures)"
ip link set dmbf0 up
is_back "up again: the path is back by itself" "$a"
goes_over "and carries I/O" "$a"

ip link set dmbf0far down
goes_over "carrier lost: the next read goes over the other path" "$b"
fails "the path is failed" "$a"
adapter_file dmbf0 failures 2
ip link set dmbf0far up
is_back "the carrier is back, and the path" "$a"

# Linkwatch tells a loss of carrier at most once a second. After one, the next is told late, but seen when I/O is sent.
check "with the dummy's path as the primary" bond_message "$bond" set_primary "$b"
ip link set dmbf1 carrier off
fails "its carrier goes off" "$b"
ip link set dmbf1 carrier on
is_back "and on" "$b"
ip link set dmbf1 carrier off
goes_over "off again, not told yet, and the next read goes over the other path" "$a"
check_is "for the path has failed" failed "$(path_file "$bond" "$b" state)"
ip link set dmbf1 carrier on
is_back "it is back" "$b"

# Both at once: the first I/O finds it out on both, and fails.
ip link set dmbf0 down
ip link set dmbf1 down
check_fails "with both links lost a read fails" "Input/output error" read_blocks "$bond" 1
ip link set dmbf0 up
is_back "one link is back" "$a"
goes_over "and reads go over it" "$a"
check_is "the other path has not come back" failed "$(path_file "$bond" "$b" state)"
ip link set dmbf1 up
is_back "until its own link has" "$b"

# Gone and back.
ip link del dmbf1
goes_over "unregistered: the next read goes over the other path" "$a"
fails "the path is failed" "$b"
adapter_file dmbf1 link down
check "a change of another netdev is none of its business" ip link add dmbf9 type dummy
ip link del dmbf9
check_is "it is failed still" failed "$(path_file "$bond" "$b" state)"
ip link add dmbf1 type dummy
check_is "registered anew, not up: still failed" failed "$(path_file "$bond" "$b" state)"
ip link set dmbf1 up
is_back "up: the path is back" "$b"
adapter_file dmbf1 link up

ip netns add dmbf
at_exit ip netns del dmbf
ip link set dmbf1 netns dmbf
fails "moved to another namespace: the path is failed" "$b"
ip -n dmbf link set dmbf1 up
adapter_file dmbf1 link down
goes_over "whatever becomes of it there: reads go over the other path" "$a"
ip -n dmbf link set dmbf1 netns 1
ip link set dmbf1 up
is_back "moved back and up: the path is back" "$b"

# Renamed.
ip link set dmbf1 down
ip link set dmbf1 name dmbf2
ip link set dmbf2 up
at_exit drop_netdev dmbf2
is_back "renamed: the path is back" "$b"
check "the adapter follows the name" test -d $ADAPTERS/dmbf2 -a ! -e $ADAPTERS/dmbf1
check_is "in sysfs" dmbf2 "$(path_file "$bond" "$b" netdev)"
check "and in the table" grep -q " ${DEVT[$b]} 2 netdev:dmbf2 " <<<"$(dmsetup table "${bond#/dev/mapper/}")"
ip link set dmbf2 down
fails "it is watched under the new name" "$b"
ip link set dmbf2 name dmbf1
ip link set dmbf1 up
is_back "and under the old one again" "$b"

# Renamed to a name that another adapter waits for: the device is that adapter's then.
drop_netdev dmbf0
fails "the first netdev is gone" "$a"
ip link set dmbf1 down
ip link set dmbf1 name dmbf0
ip link set dmbf0 up
is_back "another takes its name, and the path that waits for it is back" "$a"
fails "while the path of the other is failed" "$b"
adapter_file dmbf0 link up
adapter_file dmbf1 link down
ip link add dmbf1 up type dummy
is_back "until there is a netdev of its own name" "$b"

# Several bonds over one netdev have one adapter.
adapter_file dmbf0 paths 1
make_bond second "0 static 0 2 $c 1 netdev:dmbf0 $d 1 netdev:dmbf0"
adapter_file dmbf0 paths 3
before=$(cat $ADAPTERS/dmbf0/bytes)
read_blocks "$second" 10
adapter_file dmbf0 bytes $((before + 40960))
ip link set dmbf0 down
fails "a loss of link fails the path of one bond" "$a"
check "and one of the other" wait_for 5 state_is "$second" "$c" failed
check "and its second" wait_for 5 state_is "$second" "$d" failed
dmsetup remove "${second#/dev/mapper/}"
adapter_file dmbf0 paths 1
adapter_file dmbf0 bytes $((before + 40960))
ip link set dmbf0 up
is_back "the bond that is left goes on" "$a"
check "the bond is removed" dmsetup remove "${bond#/dev/mapper/}"
check_is "and the adapters with it" "" "$(ls $ADAPTERS)"

# Errors of a path.
make_bond bond "1 probe_ms:100 static 0 2 $a 0 $b 0" || finish
load_start verify "$bond" --size=8M --iodepth=16
goes_on "${KNAME[$bond]}" || fail "the load goes on"
for way in "$a" "$b"; do
	break_way "$way"
	check "under load: errors fail a path" wait_for 20 state_is "$bond" "$way" failed
	sleep 0.3
	mend_way "$way"
	is_back "mended, it is back" "$way"
done
load_stop "errors of a path" verify
for way in "$a" "$b"; do
	check_is "the path's last failure" "I/O error" "$(path_file "$bond" "$way" last_failure)"
	check "errors were counted" test "$(path_file "$bond" "$way" errors)" -ge 1
	check "and requeues" test "$(path_file "$bond" "$way" requeued)" -ge 1
	check_is "nothing is in flight any more" 0 "$(path_file "$bond" "$way" inflight)"
done
# How often the bond's paths failed.
ios() { echo $(($(path_file "$bond" "$a" ios) + $(path_file "$bond" "$b" ios))); }
failures() { echo $(($(path_file "$bond" "$a" failures) + $(path_file "$bond" "$b" failures))); }

# An error that a bio brings on itself, which no device can take: its memory is not where a device could get at it.
was=$(failures)
# shellcheck disable=SC2016  # These are Perl's.
check_fails "an I/O that no device takes fails" "Invalid argument" perl -MFcntl -e \
	'sysopen(my $f, shift, O_RDWR | O_DIRECT) or die; sysread($f, my $data, 4096, 1) // die "$!\n"' "$bond"
check_is "and with it no path" "$was" "$(failures)"

# An operation that the device below does not know.
scratch lu 64 discard=1
dmsetup remove "${bond#/dev/mapper/}"
mend_way "$a" "$lu" && mend_way "$b" "$lu"
make_bond bond "1 probe_ms:100 static 0 2 $a 0 $b 0" || finish
check "a discard passes" blkdiscard -f -l 65536 "$bond"
mend_way "$a" && mend_way "$b" # To the disk without discard.
was=$(failures)
before=$(ios)
check "one that the device does not know is no error: discards are advice" blkdiscard -f -l 65536 "$bond"
check_is "it fails no path, nor is it sent again" "$was $before 0 0" \
	"$(failures) $(ios) $(path_file "$bond" "$a" requeued) $(path_file "$bond" "$b" requeued)"

# How the load is divided.
# divided <what> <reads expected of a> <reads expected of b> <of how many, give or take 2>
divided() {
	local one two
	one=$(reads_of "$a") two=$(reads_of "$b")
	read_blocks "$bond" "$4"
	one=$(($(reads_of "$a") - one)) two=$(($(reads_of "$b") - two))
	check "$1: $one and $two" test $((one + two)) = "$4" -a $((one - $2)) -le 2 -a $(($2 - one)) -le 2 \
		-a $((two - $3)) -le 2 -a $(($3 - two)) -le 2
}
divided "static, equal shares" 100 100 200
bond_message "$bond" set_share "$a" 750
divided "static, three to one" 150 50 200
bond_message "$bond" set_share "$a" 995
divided "static, 995 to 5" 199 1 200
bond_message "$bond" fail_path "$a"
divided "static, one failed" 0 50 50
bond_message "$bond" set_policy primary
divided "primary, the first failed" 0 50 50
bond_message "$bond" reinstate_path "$a"
divided "primary, the first back" 50 0 50
bond_message "$bond" set_primary "$b"
divided "primary, the second made primary" 0 50 50
bond_message "$bond" set_primary "$a"

# Who is told. Uevents first.
events=$PWD/events.$$
at_exit rm -f "$events"
udevadm monitor --kernel --property --subsystem-match=block >"$events" &
monitor=$!
at_exit kill "$monitor"
wait_for 10 grep -q KERNEL "$events"
number=$(dmsetup info -c --noheadings -o events "${bond#/dev/mapper/}")
timeout 20 dmsetup wait "${bond#/dev/mapper/}" "$number" &
waiter=$!
log_mark
break_way "$a"
read_blocks "$bond" 1
# uevent <action> <path> <valid paths>: has come.
uevent() {
	awk -v RS= -v action="DM_ACTION=$1" -v path="DM_PATH=${DEVT[$2]}" -v valid="DM_NR_VALID_PATHS=$3" \
		-v name="DM_NAME=${bond#/dev/mapper/}" -v target=DM_TARGET=bond '
		function has(line) { return index("\n" $0 "\n", "\n" line "\n") }
		has(action) && has(path) && has(valid) && has(name) && has(target) { found = 1 }
		END { exit !found }' "$events"
}
check "a uevent says that the path failed" wait_for 5 uevent PATH_FAILED "$a" 1 ||
	note "$(grep -a DM_ "$events")"
wait $waiter
check_is "dmsetup wait ends" 0 $?
mend_way "$a"
check "a uevent says that it is back" wait_for 5 uevent PATH_REINSTATED "$a" 2 ||
	note "$(grep -a DM_ "$events")"
check "two events were counted" test "$(dmsetup info -c --noheadings -o events "${bond#/dev/mapper/}")" -ge $((number + 2))
log=$(log_new)
for line in "failed: I/O error; 1 of 2 paths in use" "is back; 2 of 2 paths in use"; do
	check "the log says: $line" grep -q \
		"^dm_bond: bond ${DEVT[$bond]}: path ${DEVT[$a]} (${KNAME[$a]}) $line$" <<<"$log"
done
# The log is not flooded.
log_mark
for _ in {1..60}; do
	echo failed >"${SYS[$bond]}/paths/${KNAME[$a]}/state"
	echo active >"${SYS[$bond]}/paths/${KNAME[$a]}/state"
done
sleep 0.5
lines=$(log_new | grep -c "^dm_bond: bond")
check "sixty failures in a row write something, but not all of it ($lines lines)" test "$lines" -ge 1 -a "$lines" -le 60

# Errors that are the logical unit's own. A medium error is told as such.
dmsetup remove "${bond#/dev/mapper/}"
if modprobe -q scsi_debug dev_size_mb=64 opts=2 medium_error_start=4096 medium_error_count=8 && modprobe -q sd_mod; then
	at_exit rmmod scsi_debug
	lun() { (set -- /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block/sd* && [ -b "/dev/${1##*/}" ] && echo "/dev/${1##*/}"); }
	wait_for 10 lun
	mend_way "$a" "$(lun)" && mend_way "$b" "$(lun)"
	make_bond bond "1 probe_ms:100 static 0 2 $a 0 $b 0"
	check_fails "a medium error goes to the caller" "No data available|Input/output error" \
		dd if="$bond" of=/dev/null bs=4k skip=512 count=1 iflag=direct status=none
	check_is "and fails no path" "0 active active" \
		"$(failures) $(path_file "$bond" "$a" state) $(path_file "$bond" "$b" state)"
	check_is "nor is it sent to another" "0 0" "$(path_file "$bond" "$a" requeued) $(path_file "$bond" "$b" requeued)"
	check "what lies beside it can be read" dd if="$bond" of=/dev/null bs=4k skip=513 count=1 iflag=direct status=none
	dmsetup remove "${bond#/dev/mapper/}"
	mend_way "$a" && mend_way "$b"
else
	skip "a medium error" "needs scsi_debug"
fi
# An error that does not say whose it is, on every path alike: tried on all, a few times, then told.
scratch bad 64 badblocks=+2048-2055
mend_way "$a" "$bad" && mend_way "$b" "$bad"
make_bond bond "2 queue_if_no_path probe_ms:50 static 0 2 $a 0 $b 0"
check_fails "an I/O error on all paths goes to the caller in the end" "Input/output error" \
	timeout 20 dd if="$bond" of=/dev/null bs=4k skip=256 count=1 iflag=direct status=none
check "after it was sent again at most 16 times for each path ($(failures) failures)" test "$(failures)" -le 33
is_back "the paths come back" "$a"
is_back "both" "$b"
check "and carry on" read_blocks "$bond" 8
finish
