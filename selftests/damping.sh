#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A path that fails again soon after it came back waits before it is tried again, longer each time; unless it is the
# only one, and not for what a miniport or an administrator says.
. ./lib.sh
. ./paths.sh

P=$((SLOW > 3 ? 1000 : 300 * SLOW)) # probe_ms, of which 1000 is the most.
a='' b='' c='' d='' disk='' bond='' writes=''
flaps() { path_file "$bond" "$a" flaps; }
damped() { path_file "$bond" "$a" damped_ms; }
BEGAN=0
down_up() { BEGAN=$(now_ms); ip link set dmbt0 down && wait_for 5 state_is "$bond" "$a" failed && ip link set dmbt0 up; }
is_back() { check "$1" wait_for 5 state_is "$bond" "$a" active; }

# waits_for <what> <ms>: since it failed, of which some have passed.
waits_for() {
	local ms
	ms=$(damped)
	check "$1 ($ms of $2 ms)" test "$ms" -le "$2" -a $((ms + $(now_ms) - BEGAN + 1)) -ge "$2"
}
not_before() { ! state_is "$bond" "$a" active || [ $(($(now_ms) - BEGAN)) -ge "$1" ]; }
# probes <number>: so long as so many, one after the other, take.
probes() { sleep "$(printf '%d.%03d' $(($1 * P / 1000)) $(($1 * P % 1000)))"; }

need ip dummy dm-flakey
load_bond
dummy dmbt0 dmbt1
scratch disk 64
way a "$disk" && way b "$disk"
make_bond bond "1 probe_ms:$P primary 0 2 $a 1 netdev:dmbt0 $b 1 netdev:dmbt1" || { fail "a bond is made"; finish; }
check_is "a new path has not flapped" "0 0" "$(flaps) $(damped)"
down_up
check "the first time it is back at once" wait_for 1 state_is "$bond" "$a" active
check_is "that is no flap" 0 "$(flaps)"
for n in 1 2 3; do
	down_up
	waits_for "it waits" $((P << (n - 1)))
	check_is "failing again soon is flap $n" $n "$(flaps)"
	check "and is not back before" not_before $((P << (n - 1)))
	check "then it is" wait_for 5 state_is "$bond" "$a" active
done
check_is "in use it waits for nothing" 0 "$(damped)"

# The fourth time it would wait for eight probes' time. But when the other goes too, it is needed.
down_up
waits_for "it waits again" $((8 * P))
ip link set dmbt1 down
check "with no other left it is tried at once" wait_for 1 state_is "$bond" "$a" active
ip link set dmbt1 up
wait_for 5 state_is "$bond" "$b" active

# Neither an administrator's word nor that of its adapter's owner is a flap, and the first forgives all.
before=$(flaps)
bond_message "$bond" fail_path "$a"
check_is "fail_path is no flap" "$before 0" "$(flaps) $(damped)"
bond_message "$bond" reinstate_path "$a"
check_is "reinstate_path forgives" "active 0" "$(path_file "$bond" "$a" state) $(flaps)"
down_up
is_back "the first time since"
down_up
check_is "the second is a flap" 1 "$(flaps)"
bond_message "$bond" reinstate_path "$a"
check_is "reinstate_path waits for nothing" active "$(path_file "$bond" "$a" state)"

# Reinstated while it waits for long: what it waited for is forgotten.
for _ in 1 2 3; do
	down_up
	wait_for 10 state_is "$bond" "$a" active
done
down_up
waits_for "it waits for long" $((4 * P))
bond_message "$bond" reinstate_path "$a"
down_up
check "the first time since then it is back at once" wait_for 1 state_is "$bond" "$a" active
ip link set dmbt0 down
wait_for 5 state_is "$bond" "$a" failed
bond_message "$bond" reinstate_path "$a"
read_blocks "$bond" 1
ip link set dmbt0 up
check "so it is without word of its link" wait_for 2 state_is "$bond" "$a" active

# Less often is less long, at once.
for _ in 1 2 3; do
	down_up
	wait_for 10 state_is "$bond" "$a" active
done
down_up
echo 20 >"${SYS[$bond]}/probe_ms"
check "with less time between probes it waits less long" test "$(damped)" -le $((8 * 20)) # It has flapped four times.
check "and is back sooner" wait_for 3 state_is "$bond" "$a" active
echo $P >"${SYS[$bond]}/probe_ms"
probes 12

# A quiet while.
down_up
is_back "back"
down_up
is_back "back after a flap"
probes 12
down_up
check_is "it is forgiven after ten probes' time" 0 "$(flaps)"
check "and is back at once" wait_for 1 state_is "$bond" "$a" active

# Paths that answer their probes, and fail each write: they are tried again no oftener than any others, and so a write
# waits that may.
way c "$disk" && way d "$disk"
make_bond writes "2 queue_if_no_path probe_ms:200 static 0 2 $c 0 $d 0"
for way in "$c" "$d"; do _swap "$way" "flakey $disk 0 0 1000 1 error_writes"; done
dd if=/dev/zero of="$writes" bs=4k count=1 oflag=direct conv=notrunc status=none &
writer=$!
began=$(now_ms)
writes_failures() { echo $(($(path_file "$writes" "$c" failures) + $(path_file "$writes" "$d" failures))); }
has_failed() { [ "$(writes_failures)" -ge 4 ]; }
sleep 1
wait_for 5 has_failed
check "the write waits" kill -0 $writer
failures=$(writes_failures)
most=$((2 * (($(now_ms) - began) / 200 + 2)))
check "it has failed paths some times ($failures), but no oftener than they are tried ($most)" \
	test "$failures" -ge 4 -a "$failures" -le $most
mend_way "$c" && mend_way "$d"
wait $writer
check_is "it succeeds when it can" 0 $?
finish
