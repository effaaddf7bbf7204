#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# write_hold_ms: a write that was on a path which failed waits so long before it goes elsewhere, and what is written to
# the same place meanwhile waits behind it; reads, and writes to other places, do not wait.
. ./lib.sh
. ./paths.sh
. ./load.sh
. ./test-miniport.sh

let_go() { set_ "$1" hold 0 && set_ "$1" release 1; }
ms_since() { echo $(($(now_ms) - $1)); }
queued_is() { [ "$(value "${SYS[$bond]}/queued")" = "$1" ]; }
# Blocks of letters: while a write is held, few processes may start.
BLOCKS=$(mktemp -d)
at_exit rm -rf "$BLOCKS"
printf -v blank '%4096s' ''
for letter in o A B C D E F G H; do printf %s "${blank// /$letter}" >"$BLOCKS/$letter"; done
# write_block <letter> <block>, read_block <block>: prints the letter.
write_block() { dd if="$BLOCKS/$1" of="$bond" bs=4k seek="$2" count=1 oflag=direct conv=notrunc status=none; }
read_block() { dd if="$bond" bs=4k skip="$1" count=1 iflag=direct status=none | tr -s '[:alpha:]' | head -c 8; }
# ms_of <command>...: how long it takes.
ms_of() {
	local began
	began=$(now_ms)
	"$@" || return
	ms_since "$began"
}
# held_write <letter> <block>: one that was on the path a when that failed, and is held now. Its process is HELD.
held_write() {
	set_ "$a" hold 1
	write_block "$1" "$2" &
	HELD=$!
	wait_for 10 count_is "$a" held 1 || return
	BEGAN=$(now_ms)
	set_ "$a" fail path
	set_ "$a" fail voided
	set_ "$a" hold 0
	wait_for 5 queued_is 1
}
mend() {
	set_ "$a" restore path
	is_back "$1" "$a"
}

insert units=2 || { fail "the test miniport is loaded"; finish; }
HOLD_MS=$((4000 * SLOW))
new_bond "3 write_hold_ms:$HOLD_MS probe_ms:50 stall_ms:0 primary 0 2 $a 0 $b 0" || { fail "a bond is made"; finish; }
check_is "write_hold_ms is as set" $HOLD_MS "$(cat "${SYS[$bond]}/write_hold_ms")"
check "the table has it" grep -q " write_hold_ms:$HOLD_MS " <(dmsetup table "$bond")

write_block o 7 && write_block o 9
held_write A 7
check_is "a write that was pending waits" 0 $?
write_block B 7 &
behind=$!
check "a write to the same place waits behind it" wait_for 5 queued_is 2
check "nobody was told yet" eval "kill -0 $HELD && kill -0 $behind"
check_is "what is there is the old, and reading it waits for nothing" o "$(read_block 7)"
ms=$(ms_of write_block C 9)
check "a write to another place does not wait ($ms ms)" test "$ms" -lt $((HOLD_MS / 2))
wait "$HELD"
status=$?
ms=$(ms_since "$BEGAN")
check_is "it succeeds" 0 $status
check "after write_hold_ms ($ms ms)" test "$ms" -ge $HOLD_MS
wait "$behind"
check_is "so does the one behind it" 0 $?
check_is "which came last" "B C" "$(read_block 7) $(read_block 9)"
check "nothing waits any more" queued_is 0
mend "restored"

# A read that was pending does not wait.
set_ "$a" hold 1
dd if="$bond" of=/dev/null bs=4k count=1 iflag=direct status=none &
reader=$!
wait_for 10 count_is "$a" held 1
began=$(now_ms)
set_ "$a" fail voided
set_ "$a" hold 0
wait $reader
status=$?
ms=$(ms_since "$began")
check_is "a read that was pending succeeds" 0 $status
check "and does not wait ($ms ms)" test "$ms" -lt $((HOLD_MS / 2))
mend "restored"

# A write that reaches over a held one, a discard, and one beside it.
held_write D 20
check_is "a write waits" 0 $?
dd if="$BLOCKS/F" of="$bond" bs=512 seek=$((20 * 8 + 7)) count=1 oflag=direct conv=notrunc status=none &
behind=$!
check "one of its last sector waits too" wait_for 5 queued_is 2
ms=$(ms_of write_block E 19)
check "one beside it does not ($ms ms)" test "$ms" -lt $((HOLD_MS / 2))
check "a suspend waits for all of them" dmsetup suspend "$bond"
check "then nothing waits" queued_is 0
wait "$HELD" "$behind"
dmsetup resume "$bond"
check_is "the sector is the later one's" DF "$(read_block 20)"
mend "restored"

# Less is less, at once.
echo 60000 >"${SYS[$bond]}/write_hold_ms"
held_write G 7
check_is "a write waits for a minute" 0 $?
sleep 0.5
check "it waits" kill -0 "$HELD"
echo 0 >"${SYS[$bond]}/write_hold_ms"
wait "$HELD"
check_is "until write_hold_ms is 0" 0 $?
ms=$(ms_since "$BEGAN")
check "at once ($ms ms)" test "$ms" -lt $((10000 * SLOW))
check_is "it was written" G "$(read_block 7)"
mend "restored"
for bad in '' -1 x 86400001; do
	check_fails "write_hold_ms refuses '$bad'" "Invalid|range" eval "echo '$bad' >${SYS[$bond]}/write_hold_ms"
done

# Held while no path is left.
new_bond "3 queue_if_no_path write_hold_ms:300 probe_ms:50 primary 0 2 $a 0 $b 0"
bond_message "$bond" fail_path "$b"
held_write H 3
check_is "a write waits with no path left" 0 $?
sleep 1
check "also after write_hold_ms" kill -0 "$HELD"
bond_message "$bond" reinstate_path "$b"
wait "$HELD"
check_is "until there is a path" 0 $?
check_is "it was written" H "$(read_block 3)"
mend "restored"

# Under load.
new_bond "2 write_hold_ms:50 probe_ms:20 static 0 2 $a 0 $b 0"
load_start held "$bond" --size=8M
goes_on "${KNAME[$bond]}" || fail "the load goes on"
rounds() {
	local i way
	for ((i = 0; i < 10; i++)); do
		way=$([ $((i % 2)) = 0 ] && echo "$a" || echo "$b")
		goes_on "${KNAME[$bond]}" 1
		set_ "$way" fail "for=20000 voided"
		sleep 0.1
		set_ "$way" restore path
		wait_for 10 state_is "$bond" "$way" active || return
	done
}
check "ten failures under load" rounds
load_stop "ten failures" held
check "some were held" test "$(requeued)" -gt 0
check_is "nothing is left in flight" "0 0 0" \
	"$(path_file "$bond" "$a" inflight) $(path_file "$bond" "$b" inflight) $(cat "${SYS[$bond]}/queued")"
finish
