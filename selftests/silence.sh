#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Paths that fall silent: commands are out, none is answered, and the link is there. One that alone is silent is taken
# out of use after stall_ms, what is out on it is called back, and it returns when it answers; but no path for one slow
# command, nor for the silence of all, nor the last one.
. ./lib.sh
. ./paths.sh
. ./load.sh
. ./test-miniport.sh

disk='' slow='' fast=''
let_go() { set_ "$1" hold 0 && set_ "$1" release 1; }
within() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }
# reads_held <how many> <way>: reads of the bond that wait there, maybe beside a probe.
reads_held() {
	local i was
	was=$(of_ "$2" held)
	READERS=()
	for ((i = 0; i < $1; i++)); do
		dd if="$bond" of=/dev/null bs=4k skip="$i" count=1 iflag=direct status=none &
		READERS+=($!)
	done
	wait_for 20 holds "$2" $((was + $1))
}
is_out() { ! state_is "$bond" "$1" active; }
readers_end() {
	local pid status=0
	for pid in "${READERS[@]}"; do wait "$pid" || status=1; done
	return "$status"
}

insert units=2 || { fail "the test miniport is loaded"; finish; }

# A path that is silent alone, while the other has nothing to do: that one is asked.
new_bond "2 stall_ms:1000 probe_ms:60000 primary 0 2 $a 0 $b 0" || { fail "a bond is made"; finish; }
check_is "stall_ms is as set" 1000 "$(cat "${SYS[$bond]}/stall_ms")"
read_blocks "$bond" 8
set_ "$a" hold 1
aborts=$(of_ "$a" aborts)
began=$(now_ms)
writes_held "a write is kept" 1 "$a"
check "the path is stalled" wait_for 10 state_is "$bond" "$a" stalled
ms=$(($(now_ms) - began))
check "no earlier and not much later than stall_ms ($ms ms)" within "$ms" 800 $((9000 * SLOW))
path_is "stalled" "$a" last_failure silent
check "its letter is S" grep -q "^0 65536 bond primary 0 2 ${DEVT[$a]} - S " <(dmsetup status "$bond" | sed 's/^[^0-9]*//')
check "what was out is called back, and goes elsewhere" wait_for 5 done_in_time
writes_end "stalled"
check_is "by one call of abort" 1 $(($(of_ "$a" aborts) - aborts))
goes_over "new I/O avoids it" "$b"
check "the log says why" grep -q "failed: silent; 1 of 2 paths in use" <(log_since)
sleep 1 # Reads of the other path.
path_is "the other stays" "$b" state active

# It comes back when it answers, and not before.
echo 100 >"${SYS[$bond]}/probe_ms"
check "a probe is kept" wait_for 5 count_is "$a" held 1
sleep 0.5
check "a path whose probe is not answered is no path" state_is "$bond" "$a" probing
let_go "$a"
is_back "it answers, and is back" "$a"

# One slow command: the path answers all else.
echo 0 >"${SYS[$bond]}/stall_ms" # Or a probe might be kept beside it.
set_ "$a" hold 1
writes_held "one write is kept" 1 "$a"
set_ "$a" hold 0
echo 1000 >"${SYS[$bond]}/stall_ms"
failures=$(path_file "$bond" "$a" failures) ios=$(of_ "$a" ios)
sleep 2
check_is "one slow command fails no path" "$failures active" \
	"$(path_file "$bond" "$a" failures) $(path_file "$bond" "$a" state)"
check "for it was asked otherwise" test "$(of_ "$a" ios)" -gt "$ios"
let_go "$a"
writes_end "one slow command"

# Nothing to do is no silence.
sleep 1.2
check_is "an idle path is not silent" "$failures" "$(path_file "$bond" "$a" failures)"

# All are silent: then it is the storage.
failures="$failures $(path_file "$bond" "$b" failures)"
echo 3000 >"${SYS[$bond]}/stall_ms" # Much longer than one path comes back before the other.
set_ "$a" hold 1 && set_ "$b" hold 1
writes_held "writes are kept" 2 "$a"
sleep 5
check_is "silence of all fails none" "$failures" "$(path_file "$bond" "$a" failures) $(path_file "$bond" "$b" failures)"
# It comes back on one path a little before the other.
let_go "$b"
read -rt 0.1 -u "$NEVER"
let_go "$a"
writes_end "silence of all"
sleep 1
check_is "nor does its end" "$failures" "$(path_file "$bond" "$a" failures) $(path_file "$bond" "$b" failures)"

# stall_ms can be set, and 0 is never.
echo 0 >"${SYS[$bond]}/stall_ms"
failures=$(path_file "$bond" "$a" failures)
set_ "$a" hold 1
reads_held 2 "$a" || fail "reads are kept"
sleep 2
check_is "with stall_ms 0 no path is stalled" "$failures" "$(path_file "$bond" "$a" failures)"
echo 400 >"${SYS[$bond]}/stall_ms"
readers_end
check_is "one that is set counts at once" 0 $?
path_is "set at once" "$a" last_failure silent
let_go "$a"
is_back "it answers" "$a"
for bad in '' -1 x 86400001 1.5; do
	check_fails "stall_ms refuses '$bad'" "Invalid|range" eval "echo '$bad' >${SYS[$bond]}/stall_ms"
done
check_is "and stays" 400 "$(cat "${SYS[$bond]}/stall_ms")"
check "the table has it" grep -q " stall_ms:400 " <(dmsetup table "$bond")

# The last path is never stalled.
bond_message "$bond" fail_path "$b"
failures=$(path_file "$bond" "$a" failures)
set_ "$a" hold 1
reads_held 2 "$a" || fail "reads are kept"
sleep 1.2
check_is "the last path is not stalled" "$failures" "$(path_file "$bond" "$a" failures)"
let_go "$a"
readers_end
check_is "its reads end well" 0 $?
bond_message "$bond" reinstate_path "$b"

# Under load, both paths busy: again and again one falls silent for a while.
new_bond "2 stall_ms:300 probe_ms:50 static 0 2 $a 0 $b 0"
load_start silent "$bond" --size=8M
goes_on "${KNAME[$bond]}" || fail "the load goes on"
silences() {
	local i way
	for ((i = 0; i < 10; i++)); do
		way=$([ $((i % 2)) = 0 ] && echo "$a" || echo "$b")
		set_ "$way" hold 1
		wait_for 10 is_out "$way" || return
		let_go "$way"
		wait_for 20 state_is "$bond" "$way" active || return
	done
}
check "ten silences under load are noticed and end" silences
load_stop "ten silences" silent
check_is "nothing is left in flight" "0 0 0" \
	"$(path_file "$bond" "$a" inflight) $(path_file "$bond" "$b" inflight) $(cat "${SYS[$bond]}/queued")"

# A path that answers slowly, with a probe out when it is looked whether all was given back.
new_bond "1 stall_ms:400 primary 0 2 $a 0 $b 0"
set_ "$a" hold 1
writes_held "a write is kept" 1 "$a"
check "the path is stalled" wait_for 10 is_out "$a" # Or probed already.
path_is "stalled" "$a" last_failure silent
writes_end "stalled"
slowly_back() {
	set_ "$a" release 1
	state_is "$bond" "$a" active
}
check "its probes are not called back: it returns" wait_for 5 slowly_back
set_ "$a" hold 0

# Without a miniport nothing is called back; but new I/O avoids the path.
scratch disk 32
way slow "$disk" && way fast "$disk"
remove_dm "${bond#/dev/mapper/}"
make_bond bond "2 stall_ms:400 probe_ms:100 primary 0 2 $slow 0 $fast 0" 65536
dmsetup suspend "$slow"
dd if="$bond" of=/dev/null bs=4k count=1 iflag=direct status=none &
reader=$!
check "a path without a miniport is out of use" wait_for 10 is_out "$slow"
path_is "without a miniport" "$slow" last_failure silent
check "new I/O goes another way" timeout 20 dd if="$bond" of=/dev/null bs=4k count=4 iflag=direct status=none
check "what is out there is not sent twice" kill -0 $reader
dmsetup resume "$slow"
wait $reader
check_is "it ends when it ends" 0 $?
is_back "and the path is back" "$slow"
finish
