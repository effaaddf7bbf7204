#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Adapters that balance: the bond hands every I/O to the primary adapter of its team, that chooses which one transmits it,
# by the address or by what is out over the adapters, of all bonds. Roles move with links and with an administrator's
# word, and there are never two primary adapters. An adapter that can choose by itself does.
#
#   RACES   how often links, roles and tables change under verified load (16, or fewer where it is SLOW)
. ./lib.sh
. ./paths.sh
. ./load.sh
. ./test-miniport.sh

: "${RACES:=$((16 / SLOW))}"
NET=/sys/module/dm_bond/adapters
one='' two='' three='' four='' disk='' other='' c1='' c2=''

role() { value "$NET/$1/role"; }
role_is() { [ "$(role "$1")" = "$2" ]; }
roles_are() { [ "$(role dmba0) $(role dmba1)" = "$1" ]; }
count() { value "$NET/$1/$2"; }
ios() { path_file "$1" "$2" ios; }
refused_by_adapter() { check_fails "$1" "$2" bash -c "echo $3 >$NET/$4/role"; }

dummy dmba0 dmba1 dmba2
scratch disk 64
way one "$disk" && way two "$disk"
make_bond bond "1 probe_ms:50 adapter-load 0 2 $one 1 netdev:dmba0 $two 1 netdev:dmba1" || finish
check_is "the table says so" "adapter-load 0" "$(dmsetup table "${bond#/dev/mapper/}" | grep -o 'adapter-load 0')"
check_is "the first path's adapter is the primary one" "primary secondary" "$(role dmba0) $(role dmba1)"

# Every I/O is handed to the primary adapter, whichever transmits it. To both it is one disk in memory, whose speed is that
# of the CPU, and of two that are all but equal the faster one is taken whenever both are idle.
echo 100000000 >$NET/dmba0/speed && echo 100000000 >$NET/dmba1/speed
before=$(count dmba0 received) forwarded=$(count dmba0 forwarded) sent=$(ios "$bond" "$two")
fio --name=r --filename="$bond" --rw=randread --bs=4k --iodepth=8 --ioengine=io_uring --direct=1 --number_ios=400 >/dev/null 2>&1
check_is "all I/O is handed to it" 400 $(($(count dmba0 received) - before))
check_is "none to the other" 0 "$(count dmba1 received)"
moved=$(($(ios "$bond" "$two") - sent))
check_is "what the other transmits it has handed on" $moved $(($(count dmba0 forwarded) - forwarded))
check "which is about a half: $moved" test $moved -ge 100 -a $moved -le 300
echo 0 >$NET/dmba0/speed && echo 0 >$NET/dmba1/speed

# An administrator's word.
echo primary >$NET/dmba1/role
check_is "an administrator makes the other primary" "secondary primary" "$(role dmba0) $(role dmba1)"
before=$(count dmba1 received)
read_blocks "$bond" 10
check_is "then that one is handed all" 10 $(($(count dmba1 received) - before))
echo secondary >$NET/dmba1/role
check_is "and secondary again: the next one is primary" "primary secondary" "$(role dmba0) $(role dmba1)"
echo secondary >$NET/dmba1/role
check_is "a secondary one stays so" "primary secondary" "$(role dmba0) $(role dmba1)"
for value in '' x Primary 'primary secondary' 1; do
	refused_by_adapter "role refuses '$value'" "Invalid argument" "'$value'" dmba1
done
check_is "and nothing has changed" "primary secondary" "$(role dmba0) $(role dmba1)"

# Without a path in use there is nothing to hand I/O on to.
bond_message "$bond" fail_path "$one"
check "its only path fails: the other is primary" wait_for 2 roles_are "secondary primary"
refused_by_adapter "one without a path in use cannot be primary" "Link has been severed" primary dmba0
bond_message "$bond" reinstate_path "$one"
check_is "nor is it when its path is back" "active secondary primary" \
	"$(path_file "$bond" "$one" state) $(role dmba0) $(role dmba1)"
echo primary >$NET/dmba0/role

# Links. What the kernel tells late, or not yet, is seen by the I/O.
ip link set dmba0 carrier off
read_blocks "$bond" 1
check_is "a carrier is lost: no I/O is handed to its adapter" "secondary primary" "$(role dmba0) $(role dmba1)"
ip link set dmba0 carrier on
check "it is back" wait_for 5 state_is "$bond" "$one" active
echo primary >$NET/dmba0/role
ip link set dmba0 down
check "the primary adapter fails: the other is primary" wait_for 2 roles_are "secondary primary"
refused_by_adapter "one without a link cannot be primary" "Link has been severed" primary dmba0
refused_by_adapter "the last one cannot be secondary" "Link has been severed" secondary dmba1
read_blocks "$bond" 4 || fail "I/O goes on"
ip link set dmba0 up
check "its path comes back" wait_for 5 state_is "$bond" "$one" active
check_is "it returns as secondary" "secondary primary" "$(role dmba0) $(role dmba1)"
bond_message "$bond" queue_if_no_path
ip link set dmba0 down && ip link set dmba1 down
check "with no link there is no primary adapter" wait_for 2 roles_are "secondary secondary"
read_blocks "$bond" 4 &
reader=$!
sleep 0.3
ip link set dmba1 up
check "the first link that is back has it" wait_for 2 roles_are "secondary primary"
wait $reader
check_is "and what waited goes on" 0 $?
ip link set dmba0 up
check "both are back" wait_for 5 state_is "$bond" "$one" active

# Teams.
scratch other 64
way c1 "$other" && way c2 "$other"
log_mark
check_fails "a team that has one adapter in common is refused" "." \
	dmsetup create dmba-refused --table "0 131072 bond 0 adapter-load 0 2 $c1 1 netdev:dmba1 $c2 1 netdev:dmba2"
check "and told why" grep -q "adapter dmba1 is of a team with other adapters" <<<"$(log_new)"
make_bond second "0 static 0 2 $c1 1 netdev:dmba0 $c2 1 netdev:dmba2" || fail "another policy over them is no team"
check_fails "nor can it become one" "." bond_message "$second" set_policy adapter-load
check_is "its policy stays" static "$(cat "${SYS[$second]}/policy")"
remove_dm "${second#/dev/mapper/}"
make_bond second "0 adapter-load 0 2 $c1 1 netdev:dmba0 $c2 1 netdev:dmba1" || fail "a second bond of the team"
check_is "both have the same primary adapter" "secondary primary" "$(role dmba0) $(role dmba1)"
before=$(count dmba1 received)
read_blocks "$second" 10
check_is "which is handed the I/O of both" 10 $(($(count dmba1 received) - before))
remove_dm "${bond#/dev/mapper/}"
check_is "the team is there as long as one bond is" "secondary primary" "$(role dmba0) $(role dmba1)"
remove_dm "${second#/dev/mapper/}"
check "then its adapters are gone" test ! -e $NET/dmba0

# What is out over an adapter counts for all bonds: one loads the first adapter, the other avoids it.
late="memory_backed=0 irqmode=2 completion_nsec=5000000"
# shellcheck disable=SC2086  # Words.
for var in h1 h2 l1 l2; do
	scratch $var 64 $late
	KNAME[${!var}]=${!var#/dev/}
done
# shellcheck disable=SC2154  # Set by scratch.
make_bond bond "0 primary 0 2 $h1 1 netdev:dmba0 $h2 1 netdev:dmba1" 131072
# shellcheck disable=SC2154
make_bond second "0 adapter-load 0 2 $l1 1 netdev:dmba0 $l2 1 netdev:dmba1" 131072
# These disks take 5 ms whatever they have to do, so an adapter would count for as fast as it is used.
echo 100000000 >$NET/dmba0/speed && echo 100000000 >$NET/dmba1/speed
fio --name=heavy --filename="$bond" --rw=randread --bs=64k --iodepth=32 --ioengine=io_uring --direct=1 --time_based \
	--runtime=60 --cpus_allowed=$(($(nproc) - 1)) >/dev/null 2>&1 &
heavy=$!
heavy_is_out() { [ "$(count dmba0 inflight_bytes)" -ge 524288 ]; }
wait_for 30 heavy_is_out || fail "the heavy load is out"
# light: how many of its I/Os go over each adapter.
light() {
	a0=$(ios "$second" "$l1") b0=$(ios "$second" "$l2")
	fio --name=light --filename="$second" --rw=randread --bs=4k --iodepth=2 --ioengine=io_uring --direct=1 \
		--number_ios=300 --cpus_allowed=0 >/dev/null 2>&1
	a0=$(($(ios "$second" "$l1") - a0)) b0=$(($(ios "$second" "$l2") - b0))
}
for _ in 1 2 3; do # Once in three tries, for the heavy one may have to wait for a CPU.
	wait_for 30 heavy_is_out
	light
	[ $((a0 * 5)) -ge $b0 ] || break
done
check "a light bond avoids the adapter that a heavy one loads: $a0 and $b0" test $((a0 * 5)) -lt "$b0"
bond_message "$second" set_policy dynamic
light
check "one that balances for itself does not see it: $a0 and $b0" test $((a0 * 5)) -ge $b0
kill $heavy
wait $heavy
check_is "a speed can be set" 100000000 "$(cat $NET/dmba0/speed)"
for value in x -1 '' 99999999999999999999; do
	check_fails "but not to '$value'" "Invalid argument|out of range" bash -c "echo '$value' >$NET/dmba0/speed"
done

# A slow adapter that lost its link, and has it again, may be another one.
bond_message "$second" set_policy adapter-load
echo 1000 >$NET/dmba1/speed
counts_as_slow() { [ "$(path_file "$second" "$l2" share)" -le 2 ]; }
wait_for 5 counts_as_slow || fail "it counts as slow"
over=$(ios "$second" "$l2")
read_blocks "$second" 20
over=$(($(ios "$second" "$l2") - over))
check "a slow adapter is left alone: $over of 20" test $over -le 2
echo 0 >$NET/dmba0/speed && echo 0 >$NET/dmba1/speed
ip link set dmba1 down
wait_for 5 state_is "$second" "$l2" failed
ip link set dmba1 up
wait_for 5 state_is "$second" "$l2" active
# A quarter, of two at a time: of single ones the faster of two that are all but equal has all.
is_used_again() {
	light
	[ "$b0" -ge 75 ]
}
check "it is used when its link is back" wait_for 10 is_used_again
speed_is_measured() {
	read_blocks "$second" 4
	[ "$(count dmba0 speed)" != 0 ] && [ "$(count dmba0 speed)" != 100000000 ]
}
check "a speed that is set no more is measured" wait_for 5 speed_is_measured
remove_dm "${bond#/dev/mapper/}"
remove_dm "${second#/dev/mapper/}"

# By address: all I/O for one goes one way, of whichever bond; several are used evenly.
hash_bond() { make_bond "$1" "2 probe_ms:50 queue_if_no_path adapter-hash 0 2 $2 2 netdev:dmba0 dest:$4 $3 2 netdev:dmba1 dest:$5"; }
# way_of <bond> <first> <second>: which of them carries its I/O.
way_of() {
	local a0 b0
	a0=$(ios "$1" "$2") b0=$(ios "$1" "$3")
	read_blocks "$1" 8
	echo "$(($(ios "$1" "$2") - a0)) $(($(ios "$1" "$3") - b0))"
}
first=0 last=0
for n in $(seq 6); do
	hash_bond bond "$one" "$two" "192.0.2.$n" "192.0.2.$n"
	hash_bond second "$c1" "$c2" "192.0.2.$n" "192.0.2.$n"
	went=$(way_of "$bond" "$one" "$two")
	case $went in "8 0") : $((first++)) ;; "0 8") : $((last++)) ;; *) fail "192.0.2.$n: one way: $went" ;; esac
	[ "$went" = "$(way_of "$second" "$c1" "$c2")" ] || fail "192.0.2.$n: the same for both bonds"
	[ "$n" = 6 ] || { remove_dm "${bond#/dev/mapper/}"; remove_dm "${second#/dev/mapper/}"; }
done
check "addresses spread over the adapters: $first and $last" test $first -ge 1 -a $last -ge 1
win=$one lose=$two net=dmba0
[ "$went" = "8 0" ] || { win=$two lose=$one net=dmba1; }
ip link set $net down
check "its adapter fails: the address takes the other" wait_for 3 state_is "$bond" "$win" failed
check_is "all of it" "0 8" "$(way_of "$bond" "$win" "$lose")"
ip link set $net up
wait_for 5 state_is "$bond" "$win" active
check_is "and returns with it" "8 0" "$(way_of "$bond" "$win" "$lose")"
remove_dm "${second#/dev/mapper/}"
remove_dm "${bond#/dev/mapper/}"
hash_bond bond "$one" "$two" 192.0.2.1 2001:db8::1
check_is "two addresses carry half each" "4 4" "$(way_of "$bond" "$one" "$two")"
# shares <way>...: those that the bond's paths have now, the least first.
shares() { for way; do path_file "$bond" "$way" share; done | sort -n | xargs; }
check_is "shares say so" "500 500" "$(shares "$one" "$two")"
remove_dm "${bond#/dev/mapper/}"
way three "$disk" && way four "$disk"
f=0x500a098012345678 g=0x500a098012345679
make_bond bond "0 adapter-hash 0 4 $one 2 netdev:dmba0 dest:$f $two 2 netdev:dmba1 dest:$f \
	$three 2 netdev:dmba0 dest:$g $four 2 netdev:dmba1 dest:$g"
check_is "of several paths to an address, a Fibre Channel port's, one is used" "0 500 0 500" \
	"$(shares "$one" "$two") $(shares "$three" "$four")"
remove_dm "${bond#/dev/mapper/}"

# An adapter keeps the name that it is hashed by; so who is called that later needs another one.
make_bond second "0 static 0 1 $c1 1 netdev:dmba2" # It is there while its device is renamed.
ip link set dmba2 down && ip link set dmba2 name dmba3 up
at_exit drop_netdev dmba3
dummy dmba2
first=0 last=0
for n in $(seq 12); do
	make_bond bond "0 adapter-hash 0 2 $one 2 netdev:dmba3 dest:192.0.2.$n $two 2 netdev:dmba2 dest:192.0.2.$n"
	case $(path_file "$bond" "$one" share) in 0) : $((last++)) ;; *) : $((first++)) ;; esac
	remove_dm "${bond#/dev/mapper/}"
done
check "one that got the old name of another does not draw what that draws: $first and $last" \
	test $first -ge 2 -a $last -ge 2
remove_dm "${second#/dev/mapper/}"

# An adapter that chooses by itself.
# registers <of the first> <of the second>
registers() { count_is "$a" role "$1" && count_is "$b" role "$2"; }
insert netdevs=dmba0,dmba1 || { fail "the test miniport is loaded"; finish; }
bond=''
new_bond "1 probe_ms:50 adapter-load 0 2 $a 0 $b 0"
check "the miniport's registers are written" wait_for 5 registers 1 0
# The bond learns a little later who chooses.
is_asked() {
	local was
	was=$(of_ "$1" chosen)
	read_blocks "$bond" 1
	[ "$(of_ "$1" chosen)" -gt "$was" ]
}
set_ "$a" chooses 2
wait_for 5 is_asked "$a"
chosen=$(of_ "$a" chosen)
goes_over "all goes where it says" "$b"
check "it was asked for each" test $(($(of_ "$a" chosen) - chosen)) -ge 4
set_ "$a" chooses 1
goes_over "or there" "$a"
set_ "$a" fail adapter
check "its miniport says that it has failed, though its link is up: another is primary" wait_for 5 registers 0 1
set_ "$a" restore adapter
is_back "it works again" "$a"
check_is "as a secondary one" "secondary primary" "$(role dmba0) $(role dmba1)"
set_ "$b" role_errors 1
echo primary >$NET/dmba0/role
check "a register that could not be written is written again" wait_for 5 registers 1 0
check_is "until then no other says primary" 1 "$(value $D/most_primaries)"
ip link set dmba0 down
check "another is primary: its register says so" wait_for 5 registers 0 1
chosen=$(of_ "$a" chosen)
set_ "$b" chooses 1
wait_for 5 is_asked "$b"
check "what it chooses that cannot be used goes elsewhere" read_blocks "$bond" 4
check_is "the old one is not asked" "$chosen" "$(of_ "$a" chosen)"
check "but the new one" test "$(of_ "$b" chosen)" -ge 4
ip link set dmba0 up
wait_for 5 state_is "$bond" "$a" active
set_ "$b" chooses 0
before=$(of_ "$a" ios) other=$(of_ "$b" ios)
read_blocks "$bond" 20
check_is "one that leaves it to the bond: all goes somewhere" 20 \
	$(($(of_ "$a" ios) - before + $(of_ "$b" ios) - other))
echo 0 >$D/registered
check "without the miniport the bond chooses" read_blocks "$bond" 4
echo 1 >$D/registered
check "with it the register is written again" wait_for 5 registers 0 1
remove_dm "${bond#/dev/mapper/}"
check "at the end none is primary" wait_for 5 count_is "$b" role 0
new_bond "1 probe_ms:50 adapter-load 0 2 $a 0 $b 0"
check "the first one is primary" wait_for 5 registers 1 0
set_ "$a" role_errors 1
echo primary >$NET/dmba1/role
# Before that is tried again, or after.
remove_dm "${bond#/dev/mapper/}"
check_is "nor is one that had refused the word" "0 0" "$(of_ "$a" role) $(of_ "$b" role)"
take_out

# Under load: links, roles, policies and tables change, and nothing is lost. There is one primary adapter whenever there
# is a link, and the registers never say that of two; each chooses by itself, and sends all to the other.
insert netdevs=dmba0,dmba1 dests=192.0.2.1,192.0.2.2 || { fail "the test miniport is loaded again"; finish; }
bond=''
args="2 probe_ms:20 queue_if_no_path" over="2 $a 0 $b 0"
new_bond "$args adapter-load 0 $over"
set_ "$a" chooses 2 && set_ "$b" chooses 1
load_start races "$bond" --size=8M
ways=("$a" "$b")
changed=0
for ((n = 0; n < RACES; n++)); do
	lost=dmba$((n % 2)) kept=dmba$(((n + 1) % 2))
	ip link set $lost down
	wait_for 5 role_is $kept primary || fail "round $n: $kept is primary"
	case $((n % 4)) in
	0) bond_message "$bond" set_policy adapter-hash ;;
	1) dmsetup load "${bond#/dev/mapper/}" --table "0 65536 bond $args adapter-load 0 $over" &&
		dmsetup resume "${bond#/dev/mapper/}" ;;
	2) bond_message "$bond" set_policy static ;;
	3) bond_message "$bond" set_policy adapter-load ;;
	esac && ip link set $lost up && wait_for 5 state_is "$bond" "${ways[n % 2]}" active &&
		[ "$(role $kept)" = primary ] && echo secondary >$NET/$kept/role && [ "$(role $lost)" = primary ] &&
		echo primary >$NET/$kept/role && : $((changed++))
done
check_is "$RACES changes of links, roles, policies and tables" "$RACES" $changed
load_stop "under all that" races
check_is "the registers never said primary of two" 1 "$(value $D/most_primaries)"
check_is "nor was one asked to choose that was secondary" "0 0" "$(of_ "$a" strays) $(of_ "$b" strays)"
check "but when it was primary" test "$(of_ "$a" chosen)" -gt 0 -a "$(of_ "$b" chosen)" -gt 0
remove_dm "${bond#/dev/mapper/}"
take_out

# Adapters and addresses that only a miniport knows are hashed, too.
insert netdevs=dmba0,dmba1 dests=192.0.2.1,192.0.2.1 || { fail "the test miniport is loaded once more"; finish; }
bond=''
new_bond "0 adapter-hash 0 2 $a 0 $b 0"
check "a read" read_blocks "$bond" 10
check_is "an address that a miniport knows has one path" "0 10" \
	"$(printf '%s\n' "$(ios "$bond" "$a")" "$(ios "$bond" "$b")" | sort -n | xargs)"

is_out() { ! state_is "$bond" "$1" active; }
# An outage that a command survives is no time in which its path moved data.
new_bond "3 probe_ms:50 stall_ms:0 abort_ms:60000 dynamic 1 interval_ms:20 2 $a 0 $b 0"
set_ "$a" restore "path instead=bondtest0"
set_ "$a" hold 1
writes_held "writes are kept by a path" 4 "$a"
ip link set dmba0 down && sleep 1 && ip link set dmba0 up
sleep 0.2
check "whose link went and came" is_out "$a"
set_ "$a" hold 0 && set_ "$a" release 1
is_back "it is back" "$a"
sleep 0.1
path_is "and its speed unknown" "$a" speed 0
writes_end "after the outage"
finish
