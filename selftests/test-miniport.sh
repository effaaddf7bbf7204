# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034  # Used by who sources this.
# Bonds over devices of the test miniport (miniport/), for tests that need a driver below that obeys. Source it after
# lib.sh, paths.sh and load.sh.
#
#   insert units=2 netdevs=dmbt0,dmbt1
#   new_bond "0 primary 0 2 $a 0 $b 0"
#   set_ "$a" hold 1; writes_held "writes wait" 4 "$a"; set_ "$a" fail voided; writes_end "voided"

declare -A KNAME DEVT SYS # Those of paths.sh.
D=/sys/kernel/debug/dm_bond_test
a=/dev/bondtest0 b=/dev/bondtest1 c=/dev/bondtest2 d=/dev/bondtest3
bond='' second=''

need ip fio jq dummy
[ -e "$TEST_KO" ] || skip_all "needs the test miniport, $TEST_KO"
load_bond

# set_ <way> <file> <value>, of_ <way> <file>: what the miniport is told, and what it counts.
set_() { echo "$3" >"$D/${1#/dev/}/$2"; }
of_() { value "$D/${1#/dev/}/$2"; }
count_is() { [ "$(of_ "$1" "$2")" = "$3" ]; }
holds() { [ "$(of_ "$1" held)" -ge "$2" ]; }
insert() {
	local way
	load_test_miniport "$@" || return
	for way in /dev/bondtest*; do
		KNAME[$way]=${way#/dev/} DEVT[$way]=$(cat "/sys/block/${way#/dev/}/dev")
	done
}
take_out() {
	local way
	# What is kept holds up a bond's end.
	for way in /dev/bondtest*; do
		[ ! -e "$D/${way#/dev/}" ] || { set_ "$way" hold 0; set_ "$way" release 1; }
	done
	remove_dm "${bond#/dev/mapper/}"
	remove_dm "${second#/dev/mapper/}"
	unload_test_miniport
}
at_exit take_out
path_is() { check_is "$1: $3" "$4" "$(path_file "$bond" "$2" "$3")"; }
fails() { check "$1" wait_for 5 state_is "$bond" "$2" failed; }
is_back() { check "$1" wait_for 5 state_is "$bond" "$2" active; }
inflight_is() { path_file_is "$bond" "$1" inflight "$2"; }

# new_bond <arguments>: in place of the last one.
new_bond() {
	[ -z "$bond" ] || remove_dm "${bond#/dev/mapper/}"
	make_bond bond "$1" 65536
}

# Writes of 4 KiB of new data, that wait where they are: writes_held <what> <how many> <way>. They begin at
# block NEXT.
DATA=$(mktemp) NEXT=0
at_exit rm -f "$DATA" "$DATA.read"
writes_held() {
	local i was
	was=$(of_ "$3" held)
	COUNT=$2 WRITERS=()
	head -c $((COUNT * 4096)) /dev/urandom >"$DATA"
	for ((i = 0; i < COUNT; i++)); do
		dd if="$DATA" of="$bond" bs=4k skip="$i" seek=$((NEXT + i)) count=1 oflag=direct conv=notrunc status=none &
		WRITERS+=($!)
	done
	check "$1" wait_for 20 holds "$3" $((was + COUNT)) # Maybe beside a probe.
}
# writes_end <what>: without an error, and what was written is there.
writes_end() {
	local pid status=0
	for pid in "${WRITERS[@]}"; do wait "$pid" || status=1; done
	check_is "$1: no error" 0 $status
	dd if="$bond" of="$DATA.read" bs=4k skip=$NEXT count="$COUNT" iflag=direct status=none
	check "$1: what was written is there" cmp "$DATA" "$DATA.read"
	NEXT=$((NEXT + COUNT))
}
done_in_time() { ! kill -0 "${WRITERS[@]}" 2>/dev/null; }

# goes_over <what> <way> [<other>]: the next reads of the bond go over that way alone.
goes_over() {
	local before after
	before=$(($(of_ "$a" ios) + $(of_ "$b" ios)))
	after=$(of_ "$2" ios)
	check_is "$1" "$((before + 4)) $((after + 4))" \
		"$(read_blocks "$bond" 4 && echo "$(($(of_ "$a" ios) + $(of_ "$b" ios))) $(of_ "$2" ios)")"
}

# sum_up <file>...: sets SUM. Starts no process, and so may be asked often under load.
sum_up() {
	local file value
	SUM=0
	for file; do
		read -r value <"$file" && SUM=$((SUM + value))
	done
}
# What was sent again, and what the miniport gave back without having carried it out.
sum_requeued() { sum_up "${SYS[$bond]}/paths"/{"${KNAME[$a]}","${KNAME[$b]}"}/requeued; }
sum_undone() { sum_up "$D"/{"${KNAME[$a]}","${KNAME[$b]}"}/{voided,refused,aborted}; }
sum_unsure() { sum_up "$D"/{"${KNAME[$a]}","${KNAME[$b]}"}/unsure; }
requeued() { sum_requeued && echo "$SUM"; }
undone() { sum_undone && echo "$SUM"; }
unsure() { sum_unsure && echo "$SUM"; }
