#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# No path left: I/O waits or fails, as the administrator chose, for as long as they chose; and paths come back, by
# themselves once they answer, or by the administrator's hand if that took them out.
. ./lib.sh
. ./paths.sh

disk='' a='' b='' bond='' net=dmb-nopath0
need ip fio dm_delay dummy
load_bond
scratch disk 64 cache_size=8 # With a cache, or there would be no flushes.
way a "$disk"
way b "$disk"
dummy "$net"
make_bond bond "1 probe_ms:86400000 static 0 2 $a 0 $b 0" || finish # No probes, for now.
S=${SYS[$bond]}

tell() { bond_message "$bond" "$@"; }
tune() { echo "$2" >"$S/$1"; }
all() { tell "$1" "$a" && tell "$1" "$b"; }
queued() { test "$(value "$S/queued")" "$@"; }
# start <command>...: in the background. ended <what> <status> [<seconds>]: it ends in time, with that status.
start() { "$@" >/dev/null 2>&1 & JOB=$!; }
done_with() { ! kill -0 "$JOB"; }
ended() {
	if wait_for "${3-10}" done_with; then
		wait "$JOB"
		check_is "$1" "$2" $?
	else
		fail "$1"
		note "it still waits"
		tell fail_if_no_path
	fi
}
waits() {
	check "$1" wait_for 5 queued -ge 1
	sleep 0.3
	check "$1, and waits" kill -0 "$JOB"
}

# Without queueing.
all fail_path
check_fails "a read fails" "Input/output error" read_blocks "$bond" 1
check_fails "a write fails" "Input/output error" dd if=/dev/zero of="$bond" bs=4k count=1 oflag=direct status=none
check_fails "a flush does not succeed" "Input/output error" dd if=/dev/null of="$bond" conv=fsync status=none
check_is "nothing waits" 0 "$(cat "$S/queued")"

# With it.
tell queue_if_no_path
start read_blocks "$bond" 1
waits "a read"
check_is "the status counts it" 1 "$(dmsetup status "${bond#/dev/mapper/}" | awk '{ print $5 }')"
tell reinstate_path "$b"
ended "a path is back, and the read ends well" 0
check_is "nothing waits" 0 "$(cat "$S/queued")"
tell fail_path "$b"
start dd if=/dev/null of="$bond" conv=fsync status=none
waits "a flush"
tell reinstate_path "$a"
ended "a path is back, and the flush ends well" 0
tell fail_path "$a"
start fio --name=queued --filename="$bond" --rw=randwrite --bs=4k --size=4m --direct=1 --verify_state_save=0 --ioengine=io_uring --iodepth=64 \
	--verify=crc32c --verify_fatal=1
check "64 writes wait" wait_for 10 queued -eq 64
tell reinstate_path "$a"
tell reinstate_path "$b"
ended "they drain, and what was written is right" 0 20

# Changed while I/O waits.
all fail_path
start read_blocks "$bond" 1
waits "a read"
tell fail_if_no_path
ended "fail_if_no_path: it fails" 1
check_fails "and the next fails at once" "Input/output error" read_blocks "$bond" 1
tune queue_if_no_path 1
start read_blocks "$bond" 1
waits "queueing by sysfs: a read"
tune queue_if_no_path 0
ended "no more: it fails" 1

# The timeout.
tell queue_if_no_path
tune no_path_timeout_ms $((1000 * SLOW))
check_is "with a timeout the table has it" "2 queue_if_no_path no_path_timeout_ms:$((1000 * SLOW))" \
	"$(dmsetup table "${bond#/dev/mapper/}" | cut -d' ' -f4-6 | sed 's/^3/2/')"
all reinstate_path
log_mark
begun=$(now_ms)
all fail_path
start read_blocks "$bond" 1
ended "a read fails after the timeout" 1
took=$(($(now_ms) - begun))
check "not before it, and soon after ($took ms)" test $took -ge $((1000 * SLOW)) -a $took -le $((8000 * SLOW))
check "the log says so" grep -Eq "^dm_bond: bond ${DEVT[$bond]}: no path for $((1000 * SLOW)) ms" <<<"$(log_new)"
check_fails "the next fails too" "Input/output error" read_blocks "$bond" 1
for _ in 1 2 3; do # Once in three tries.
	begun=$(now_ms)
	read_blocks "$bond" 1 2>/dev/null
	took=$(($(now_ms) - begun))
	[ $took -gt $((1000 * SLOW)) ] || break
done
check "at once ($took ms)" test $took -le $((1000 * SLOW))
tune probe_ms 86400000
check_fails "what probes are told changes nothing: it fails still" "Input/output error" \
	timeout 5 dd if="$bond" of=/dev/null bs=4k count=1 iflag=direct status=none
tell reinstate_path "$a"
check "a path is back, and reads go" read_blocks "$bond" 1
tune no_path_timeout_ms $((3000 * SLOW))
tell fail_path "$a"
start read_blocks "$bond" 1
check "it fails anew: a read waits" wait_for 5 queued -ge 1
tune no_path_timeout_ms 0
pause 3.3
check "the timeout taken away: it waits on" kill -0 $JOB
tune no_path_timeout_ms 100
ended "a timeout that has passed already: it fails" 1
tune no_path_timeout_ms 0
start read_blocks "$bond" 1
waits "no timeout: a read"
tell reinstate_path "$a"
ended "a path is back, and it ends well" 0

# Probes.
tell reinstate_path "$b"
tune probe_ms 100
break_way "$a"
break_way "$b"
start read_blocks "$bond" 1
waits "both paths broken: a read"
mend_way "$b"
ended "one is mended, comes back by itself, and the read ends well" 0 5
alone() { state_is "$bond" "$a" failed && state_is "$bond" "$b" active; } # Now and then it is probed.
check "by itself alone" wait_for 2 alone
mend_way "$a"
check "the other one too, once it is mended" wait_for 5 state_is "$bond" "$a" active

tune probe_ms 86400000
break_way "$a"
read_blocks "$bond" 4
check_is "with a day between probes a path fails" failed "$(path_file "$bond" "$a" state)"
mend_way "$a"
sleep 0.6
check_is "and stays so" failed "$(path_file "$bond" "$a" state)"
tune probe_ms 100
check "until that is changed" wait_for 5 state_is "$bond" "$a" active

# Paths that an administrator failed.
tell fail_path "$a"
before=$(reads_of "$a")
sleep 0.6
check_is "failed by an administrator: stays so, and is not probed" "failed $before" \
	"$(path_file "$bond" "$a" state) $(reads_of "$a")"
break_way "$b"
start read_blocks "$bond" 1
waits "the other path broken: a read"
check_is "the administrator's word counts all the same" failed "$(path_file "$bond" "$a" state)"
tell fail_path "$b" # Too, after it failed by itself.
mend_way "$b"
sleep 0.6
check_is "failed by itself, then by an administrator: stays so" failed "$(path_file "$bond" "$b" state)"
check_is "which is the reason shown" administrator "$(path_file "$bond" "$b" last_failure)"
tell reinstate_path "$b"
ended "reinstated: the read ends well" 0
break_way "$a"
tell reinstate_path "$a"
check "reinstated though broken: no read fails" read_blocks "$bond" 16
check "and the path fails anew" wait_for 5 state_is "$bond" "$a" failed
mend_way "$a"
check "this time it comes back by itself" wait_for 5 state_is "$bond" "$a" active

# A probe that takes its time shows.
letter() { [ "$(dmsetup status "${bond#/dev/mapper/}" | awk '{ print $9 }')" = "$1" ]; }
break_way "$a"
read_blocks "$bond" 4
_swap "$a" "delay $disk 0 4000"
check "a probe is under way" wait_for 5 state_is "$bond" "$a" probing
check "and in the status" letter R
check "meanwhile reads go over the other path" timeout 15 dd if="$bond" of=/dev/null bs=4k count=8 iflag=direct status=none
check "it is answered" wait_for 20 state_is "$bond" "$a" active
tell fail_path "$a"
tell reinstate_path "$a"
check_is "a path can be reinstated at once" active "$(path_file "$bond" "$a" state)"
_swap "$a" error
read_blocks "$bond" 4
_swap "$a" "delay $disk 0 4000"
check "a probe is under way" wait_for 5 state_is "$bond" "$a" probing
tell fail_path "$a"
sleep 4.5
check_is "failed by an administrator meanwhile: its answer changes nothing" failed "$(path_file "$bond" "$a" state)"
mend_way "$a"
check "the bond is removed" dmsetup remove "${bond#/dev/mapper/}"

# A path is probed once it has its link.
make_bond bond "2 probe_ms:50 queue_if_no_path static 0 1 $a 1 netdev:$net" || finish
ip link set "$net" down
check "the link is lost" wait_for 5 state_is "$bond" "$a" failed
before=$(reads_of "$a")
start read_blocks "$bond" 1
S=${SYS[$bond]}
waits "a read"
check_is "without the link nothing is sent, no probe either" "$before" "$(reads_of "$a")"
tell reinstate_path "$a"
sleep 0.5
check "an administrator cannot change that" kill -0 $JOB
check_is "and nothing is sent" "$before" "$(reads_of "$a")"
ip link set "$net" up
ended "the link is back, and the read ends well" 0
check_is "with one probe" $((before + 2)) "$(reads_of "$a")"
finish
