#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What miniports tell and are asked, by one that obeys this test (miniport/): it binds, paths fail and come back on its
# word, from any context; commands that it forgot are carried out elsewhere, and no others are; it is asked for what is
# pending when that is due, and only then.
#
#   PULLS    failures and restores under verified load, by turns voided and not (32)
. ./lib.sh
. ./paths.sh
. ./load.sh
. ./test-miniport.sh

: "${PULLS:=32}"
disk='' other='' generic=''

# Another version of the interface.
log_mark
check_fails "a miniport built for another version is refused" "Protocol|EPROTO" insert version=4711
check "and named in the log" grep -q "miniport test was built for version 4711 of the interface, not 3" <<<"$(log_new)"
check "the bond's module can go, for nothing of it is left" rmmod dm_bond
load_bond

# To bind.
dummy dmbt0 dmbt1
NETS=netdevs=dmbt0,dmbt1,dmbt0,dmbt1
DESTS=dests=192.0.2.1,2001:db8::1,192.0.2.1,21:00:00:e0:8b:05:05:04
insert units=2 "$NETS" "$DESTS" || { fail "the test miniport is loaded"; finish; }
new_bond "2 probe_ms:50 stall_ms:0 primary 0 2 $a 0 $b 0" || { fail "a bond is made"; finish; }
for way in "$a" "$b"; do
	path_is "bound before" "$way" miniport test
	check_is "bind was called once" "1 0" "$(of_ "$way" binds) $(of_ "$way" unbinds)"
done
path_is "the miniport knows" "$a" netdev dmbt0
path_is "the miniport knows" "$b" netdev dmbt1
path_is "the miniport knows" "$a" dest 192.0.2.1
path_is "the miniport knows" "$b" dest 2001:db8::1
check "the adapter is there" test "$(cat /sys/module/dm_bond/adapters/dmbt0/paths)" = 1
check_fails "the miniport's module cannot be unloaded" "in use" rmmod dm_bond_test
check_fails "nor can dm-bond" "in use" rmmod dm_bond
with=$(cat /sys/module/dm_bond_test/refcnt)
echo 0 >$D/registered
path_is "unregistered" "$a" miniport generic
check_is "it is unbound, and its module held by two fewer" "1 $((with - 2))" \
	"$(of_ "$a" unbinds) $(cat /sys/module/dm_bond_test/refcnt)"
goes_over "I/O goes on" "$a"
echo 1 >$D/registered
path_is "bound after the bond was made" "$a" miniport test
path_is "bound after the bond was made" "$b" miniport test
name=${bond#/dev/mapper/}
check "a reload" eval "dmsetup load $name --table '0 65536 bond 1 probe_ms:50 primary 0 2 $a 0 $b 0' && dmsetup resume $name"
path_is "bound after a reload" "$a" miniport test
check_is "and to one table only" 1 $(($(of_ "$a" binds) - $(of_ "$a" unbinds)))
scratch disk 64 && way other "$disk"
make_bond second "0 primary 0 1 $other 0"
check_is "a device that is not its own: declined" generic "$(path_file "$second" "$other" miniport)"
dmsetup remove "${second#/dev/mapper/}"
new_bond "0 primary 0 2 $a 2 netdev:dmbt1 dest:192.0.2.9 $b 0"
path_is "what the table says stands" "$a" netdev dmbt1
path_is "what the table says stands" "$a" dest 192.0.2.9
dmsetup remove "${bond#/dev/mapper/}"
check_is "with the bond gone, everything is unbound" "0 0" \
	"$(($(of_ "$a" binds) - $(of_ "$a" unbinds))) $(($(of_ "$b" binds) - $(of_ "$b" unbinds)))"
log_mark
set_ "$a" bind_error 12
new_bond "0 primary 0 2 $a 0 $b 0"
check "an error of bind is told in the log" grep -q "miniport test cannot bind to bondtest0: ENOMEM" <<<"$(log_new)"
path_is "and the path has the generic one" "$a" miniport generic
set_ "$a" bind_error 0
# What it says before it refuses.
for error in 12 19; do
	set_ "$a" bind_error $error && set_ "$a" bind_word 1
	new_bond "1 probe_ms:50 primary 0 2 $a 0 $b 0"
	is_back "what a miniport said that does not bind (errno $error) counts no longer" "$a"
	set_ "$a" bind_error 0 && set_ "$a" bind_word 0
done
# One that comes while the bond goes.
echo 0 >$D/registered
new_bond "0 primary 0 2 $a 0 $b 0"
set_ "$a" bind_ms 1000
echo 1 >$D/registered &
sleep 0.3
check "a bond is removed while a miniport binds" timeout 20 dmsetup remove "${bond#/dev/mapper/}"
wait
set_ "$a" bind_ms 0
check "nothing is left of it" test ! -e /sys/module/dm_bond/adapters/dmbt0
check_is "and everything is unbound" "0 0" \
	"$(($(of_ "$a" binds) - $(of_ "$a" unbinds))) $(($(of_ "$b" binds) - $(of_ "$b" unbinds)))"
check "and its device free" exclusively "$a"
# A miniport that comes when the link is down already.
echo 0 >$D/registered
new_bond "0 primary 0 2 $a 0 $b 0"
ip link set dmbt0 down
echo 1 >$D/registered
fails "bound late, over a link that is down: the path is failed" "$a"
ip link set dmbt0 up

# Voided.
new_bond "2 probe_ms:50 stall_ms:0 primary 0 2 $a 0 $b 0"
set_ "$a" hold 1
writes_held "eight writes are kept by the primary path" 8 "$a"
before=$(requeued)
set_ "$a" fail "path voided"
writes_end "failed, voided"
check_is "the eight were forgotten" 8 "$(of_ "$a" voided)"
check_is "and sent again" 8 $(($(requeued) - before))
path_is "voided" "$a" state failed
path_is "voided" "$a" last_failure miniport
path_is "voided" "$a" inflight 0
path_is "no error was counted" "$a" errors 0
before=$(of_ "$a" ios)
sleep 0.5
check_is "a path told failed is not probed" "$before failed" "$(of_ "$a" ios) $(path_file "$bond" "$a" state)"
ip link set dmbt0 down && sleep 0.2 && ip link set dmbt0 up && sleep 0.3
check_is "nor if its link goes and comes" "$before failed" "$(of_ "$a" ios) $(path_file "$bond" "$a" state)"
goes_over "I/O goes over the other path" "$b"
set_ "$a" restore path
is_back "until it is restored" "$a"
goes_over "and carries I/O" "$a"
before=$(requeued)
set_ "$a" hold 1
writes_held "a write that is sent after the restore" 4 "$a"
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "after the restore"
check_is "is not touched" "$before" "$(requeued)"

# Not voided.
set_ "$a" hold 1
writes_held "eight more are kept" 8 "$a"
set_ "$a" fail path
fails "failed, not voided" "$a"
sleep 0.2
path_is "they are not called back, nor sent twice" "$a" inflight 8
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "not voided"
check_is "success stays success" "$before" "$(requeued)"
set_ "$a" restore path
is_back "restored" "$a"
# Failed and restored while they are out.
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
set_ "$a" fail path
set_ "$a" restore path
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "failed and restored before they end"
check_is "not voided, success stays success" "$before" "$(requeued)"
is_back "restored" "$a"

# Reinstated by hand, whatever was told.
set_ "$a" fail path
bond_message "$bond" reinstate_path "$a"
path_is "an administrator may overrule it" "$a" state active
bond_message "$bond" fail_path "$a"
set_ "$a" restore path
sleep 0.3
path_is "but restored does not overrule an administrator" "$a" state failed
bond_message "$bond" reinstate_path "$a"

# A path named.
set_ "$b" restore "path instead=bondtest1"
goes_over "a path is named: I/O takes it" "$b"
bond_message "$bond" set_primary "$a"
goes_over "set_primary ends that" "$a"
set_ "$b" restore "path instead=bondtest1"
goes_over "named again" "$b"
bond_message "$bond" set_policy static
check_is "set_policy ends that" 2 "$(was=$(of_ "$b" ios); read_blocks "$bond" 4; echo $(($(of_ "$b" ios) - was)))"
bond_message "$bond" set_policy primary
set_ "$b" restore "path instead=bondtest1"
set_ "$b" restore path
goes_over "the next word without a name ends that" "$a"
new_bond "2 probe_ms:50 stall_ms:0 primary 0 2 $a 0 $b 0" # A bond has ten lines in five seconds.
set_ "$b" restore "path instead=bondtest1"
set_ "$b" fail path
goes_over "a named path that fails is not used" "$a"
log_mark
set_ "$a" restore "path instead=bondtest1"
goes_over "a dead path that is named is ignored" "$a"
check "with a line in the log" grep -q "^dm_bond: bond ${DEVT[$bond]}: a miniport names" <<<"$(log_new)"
set_ "$b" restore path
is_back "restored" "$b"
goes_over "a named path is so as long as it lives, and not for ever" "$a"
make_bond second "0 primary 0 2 $c 0 $d 0" 65536
new_bond "2 probe_ms:50 stall_ms:0 primary 0 2 $a 0 $b 0"
log_mark
set_ "$a" restore "path instead=bondtest3"
goes_over "one of another bond is ignored" "$a"
check "with a line in the log" grep -q "^dm_bond: bond ${DEVT[$bond]}: a miniport names" <<<"$(log_new)"
check_is "and the other bond is untouched" 4 "$(was=$(of_ "$c" ios); read_blocks "$second" 4; echo $(($(of_ "$c" ios) - was)))"
set_ "$a" fail "path instead=bondtest1"
goes_over "failed, another named" "$b"
set_ "$a" restore "path instead=bondtest1"
is_back "restored, the other named still" "$a"
goes_over "the other goes on" "$b"
set_ "$a" restore path
goes_over "until the next word" "$a"

# A driver that takes nothing at this moment, and has not failed.
set_ "$a" quiesced 1
goes_over "I/O does not wait in a driver that takes none" "$b"
path_is "which is no failure" "$a" state active
set_ "$b" quiesced 1
goes_over "if none takes any, it goes where it always would" "$a"
set_ "$a" quiesced 0 && set_ "$b" quiesced 0
bond_message "$bond" set_policy static
set_ "$b" quiesced 1
goes_over "the same with shares" "$a"
set_ "$b" quiesced 0
bond_message "$bond" set_policy primary

# Adapters: dmbt0 has the first path of both bonds.
set_ "$a" hold 1
set_ "$c" hold 1
writes_held "writes are kept" 4 "$a"
dd if="$second" of=/dev/null bs=4k count=1 iflag=direct status=none &
reader=$!
check "and a read of the other bond" wait_for 5 count_is "$c" held 1
aborts=$(($(of_ "$a" aborts) + $(of_ "$c" aborts)))
set_ "$a" fail adapter
fails "the adapter fails: so does the path" "$a"
check "and that of the other bond" wait_for 5 state_is "$second" "$c" failed
check_is "the others do not" "active active" "$(path_file "$bond" "$b" state) $(path_file "$second" "$d" state)"
check "what was pending on both is called back" wait_for 5 done_in_time
writes_end "adapter failed"
wait $reader
check_is "the other bond saw no error" 0 $?
check_is "abort was called for both" 2 $(($(of_ "$a" aborts) + $(of_ "$c" aborts) - aborts))
set_ "$a" hold 0
set_ "$c" hold 0
set_ "$c" restore adapter
is_back "restored by the word of the other bond's path" "$a"
check "and that path too" wait_for 5 state_is "$second" "$c" active
before=$(requeued)
was=$(of_ "$a" voided)
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
set_ "$a" fail "adapter voided"
writes_end "adapter failed, voided"
check_is "the forgotten were sent again" "4 4" "$(($(of_ "$a" voided) - was)) $(($(requeued) - before))"
check "the other bond's path failed too" wait_for 5 state_is "$second" "$c" failed
set_ "$a" restore adapter
is_back "restored" "$a"
check "both" wait_for 5 state_is "$second" "$c" active
# The word that it is restored ends what was asked because of the other: nothing is called back from the new session.
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
set_ "$a" fail adapter
writes_end "adapter failed"
aborts=$(of_ "$a" aborts)
set_ "$a" restore adapter
check "restored: a probe is kept" wait_for 5 holds "$a" 1
sleep 1.5
check_is "and is not called back" "$aborts 1" "$(of_ "$a" aborts) $(of_ "$a" held)"
set_ "$a" hold 0 && set_ "$a" release 1
is_back "it is answered" "$a"
# A path over the same adapter whose miniport forgets nothing.
make_bond generic "0 primary 0 1 $other 1 netdev:dmbt0" 65536
dmsetup suspend --nolockfs --noflush "${other#/dev/mapper/}"
dd if="$generic" of=/dev/null bs=4k count=1 iflag=direct status=none &
reader=$!
generic_inflight_is() { [ "$(path_file "$generic" "$other" inflight)" = "$1" ]; }
check "a read over a path with the generic miniport waits" wait_for 5 generic_inflight_is 1
set_ "$a" fail "adapter voided"
check "that path fails with its adapter" wait_for 5 state_is "$generic" "$other" failed
dmsetup resume "${other#/dev/mapper/}"
wait $reader
check_is "but a success of a path whose miniport forgot nothing stays one" "0 0" \
	"$? $(path_file "$generic" "$other" requeued)"
set_ "$a" restore adapter
check "restored" wait_for 5 state_is "$generic" "$other" active
dmsetup remove "${generic#/dev/mapper/}"
is_back "restored" "$a"
check "both" wait_for 5 state_is "$second" "$c" active
# One that speaks of the adapter before it is known that its path has it.
dmsetup remove "${second#/dev/mapper/}"
is_bound() { [ "$(of_ "$1" binds)" -gt "$(of_ "$1" unbinds)" ]; }
before=$(requeued)
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
set_ "$c" netdev_ms $((1000 * SLOW))
{ wait_for 20 is_bound "$c" && set_ "$c" fail "adapter voided"; } &
make_bond second "0 primary 0 2 $c 0 $d 0" 65536
set_ "$c" netdev_ms 0
wait $!
writes_end "adapter failed, by the word of a path that is being bound"
# And maybe once more, for the path goes out of use with the next I/O, or when the adapter is known.
check "what was forgotten was sent again" test $(($(requeued) - before)) -ge 4
fails "and the path that had it" "$a"
check "and that which is bound now" wait_for 5 state_is "$second" "$c" failed
set_ "$c" restore adapter
is_back "restored" "$a"
check "both" wait_for 5 state_is "$second" "$c" active
# What one path's miniport said of that path alone.
set_ "$c" fail path
new_bond "2 probe_ms:50 stall_ms:0 primary 0 2 $a 0 $b 0"
sleep 0.5
check_is "a path told failed stays so when another bond over its adapter goes" failed \
	"$(path_file "$second" "$c" state)"
dmsetup remove "${second#/dev/mapper/}"

# Abort. ms_until_done <command>: how long the writes need to end after that command.
ms_until_done() {
	local begin
	"$@"
	begin=$(now_ms)
	wait_for 20 done_in_time
	MS=$(($(now_ms) - begin))
}
aborts=$(of_ "$a" aborts)
before=$(requeued)
set_ "$a" hold 1
writes_held "writes are kept" 8 "$a"
ms_until_done ip link set dmbt0 down
writes_end "link down"
check "what was pending went elsewhere soon ($MS ms)" test "$MS" -lt $((5000 * SLOW))
check_is "one call of abort, eight sent again" "1 8" "$(($(of_ "$a" aborts) - aborts)) $(($(requeued) - before))"
set_ "$a" hold 0
renewals=$(of_ "$a" renewals)
ip link set dmbt0 up
is_back "link up" "$a"
check_is "a session that lost its link is renewed" 1 $(($(of_ "$a" renewals) - renewals))
aborts=$(of_ "$a" aborts)
set_ "$a" hold 1
set_ "$a" busy 3
writes_held "writes are kept" 4 "$a"
ms_until_done ip link set dmbt0 down
writes_end "link down, and abort busy three times"
check_is "it was asked until it did" "0 1" "$(of_ "$a" busy) $(($(of_ "$a" aborts) - aborts))"
set_ "$a" hold 0
ip link set dmbt0 up
is_back "link up" "$a"

echo $((4000 * SLOW)) >"${SYS[$bond]}/abort_ms"
aborts=$(of_ "$a" aborts)
renewals=$(of_ "$a" renewals)
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
ip link set dmbt0 down
sleep 0.3
path_is "new I/O avoids the path at once" "$a" state failed
goes_over "and goes over the other" "$b"
ip link set dmbt0 up
pause 4.5
check_is "a flap shorter than abort_ms costs nobody a session" "$aborts" "$(of_ "$a" aborts)"
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "a short flap"
is_back "link up" "$a"
# Two flaps, each shorter, but with the end of abort_ms since the first in the second.
ip link set dmbt0 down && sleep 0.2 && ip link set dmbt0 up
is_back "a flap" "$a"
pause 2.5
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
ip link set dmbt0 down && pause 2 && ip link set dmbt0 up
sleep 0.2
check_is "two flaps, each shorter than abort_ms, cost none either" "$aborts" "$(of_ "$a" aborts)"
check_is "nor is one renewed for them" "$renewals" "$(of_ "$a" renewals)"
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "two short flaps"
is_back "link up" "$a"
# An adapter told failed after its link went and came, before the path answers.
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
aborts=$(of_ "$a" aborts)
ip link set dmbt0 down && sleep 0.2 && ip link set dmbt0 up
check "a probe is kept" wait_for 5 count_is "$a" held 5
set_ "$a" fail adapter
check "an adapter told failed is called back, though its link had been lost and is up again" wait_for 5 done_in_time
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "adapter failed after a flap"
set_ "$a" restore path
is_back "restored" "$a"
# Nothing is answered after a flap: what is out does not wait for the driver, though the path is out of use.
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
echo 500 >"${SYS[$bond]}/stall_ms"
aborts=$(of_ "$a" aborts)
ip link set dmbt0 down && sleep 0.2 && ip link set dmbt0 up
check "a path silent after a flap is called back" wait_for 10 done_in_time
check_is "once" 1 $(($(of_ "$a" aborts) - aborts))
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "silent after a flap"
is_back "it answers" "$a"
echo 0 >"${SYS[$bond]}/stall_ms"
# A link that stays lost, of a path that its miniport said failed before.
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
aborts=$(of_ "$a" aborts)
echo $((4000 * SLOW)) >"${SYS[$bond]}/abort_ms"
set_ "$a" fail path
ip link set dmbt0 down && sleep 0.1 && ip link set dmbt0 up && pause 4.5
check_is "a flap of a path told failed costs none" "$aborts" "$(of_ "$a" aborts)"
ip link set dmbt0 down
check "but its link lost for good does" wait_for 20 done_in_time
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "link down of a path told failed"
renewals=$(of_ "$a" renewals)
ip link set dmbt0 up
set_ "$a" restore path
is_back "restored" "$a"
check_is "a session whose miniport says that it is back is not renewed" "$renewals" "$(of_ "$a" renewals)"
echo 50 >"${SYS[$bond]}/abort_ms"
# By hand.
aborts=$(of_ "$a" aborts)
set_ "$a" hold 1
writes_held "writes are kept" 4 "$a"
bond_message "$bond" fail_path "$a"
sleep 0.5
check_is "an administrator's fail_path calls nothing back" "$aborts" "$(of_ "$a" aborts)"
set_ "$a" hold 0 && set_ "$a" release 1
writes_end "fail_path"
bond_message "$bond" reinstate_path "$a"

# A miniport that comes when the link is lost already.
new_bond "2 stall_ms:0 probe_ms:50 primary 0 2 $a 1 netdev:dmbt0 $b 0"
echo 0 >$D/registered
set_ "$a" hold 1
writes_held "writes are kept" 2 "$a"
ip link set dmbt0 down
fails "link down, without a miniport" "$a"
sleep 0.3
echo 1 >$D/registered
check "one that comes then is asked for them" wait_for 5 done_in_time
writes_end "bound late"
set_ "$a" hold 0
ip link set dmbt0 up
is_back "link up" "$a"

# An adapter's word, of a miniport that does not say which adapter: what is out on the other path is void too.
set_ "$a" nameless 1 && set_ "$b" nameless 1
new_bond "3 queue_if_no_path probe_ms:50 stall_ms:0 primary 0 2 $b 0 $a 0"
set_ "$b" hold 1
writes_held "writes are kept" 4 "$b"
before=$(requeued) was=$(undone)
set_ "$b" hold 0
set_ "$a" fail "adapter voided"
set_ "$b" release 1
set_ "$a" restore adapter
writes_end "an adapter without a name"
check_is "and they were sent again" $((before + 4)) "$(requeued)"
set_ "$a" nameless 0 && set_ "$b" nameless 0
# One bond's end takes no word back that was said of the adapter to another.
new_bond "1 probe_ms:50 primary 0 2 $a 0 $b 0"
make_bond second "1 probe_ms:50 primary 0 2 $c 0 $d 0" 65536
set_ "$a" fail adapter
check "an adapter failed: the other bond's path too" wait_for 5 state_is "$second" "$c" failed
remove_dm "${bond#/dev/mapper/}"
pause 0.5
check_is "when the bond is gone that was told" failed "$(path_file "$second" "$c" state)"
set_ "$c" restore adapter
check "until its miniport says so" wait_for 5 state_is "$second" "$c" active
remove_dm "${second#/dev/mapper/}"
second=''
new_bond "2 probe_ms:50 stall_ms:0 primary 0 2 $a 0 $b 0"

# From everywhere.
for how in "from_irq" "twice" "from_irq twice"; do
	for file in $how; do set_ "$a" "$file" 1; done
	for flags in "path voided" "adapter voided"; do
		before=$(requeued)
		was=$(undone)
		set_ "$a" hold 1
		writes_held "$how: writes are kept" 8 "$a"
		set_ "$a" fail "$flags"
		writes_end "$how: $flags"
		check_is "$how: what was forgotten was sent again" "8 8" "$(($(undone) - was)) $(($(requeued) - before))"
		set_ "$a" restore "${flags% voided}"
		is_back "$how: restored" "$a"
	done
	set_ "$a" from_irq 0
	set_ "$a" twice 0
done

# Reports without end, while the bond comes, is reloaded, and goes.
load_start storm "$bond" --size=4M
set_ "$a" storm 700
sleep 3
set_ "$a" storm 0 && set_ "$a" restore path
load_stop "a storm of reports on one path" storm
is_back "after the storm" "$a"
set_ "$a" storm 400
set_ "$b" storm 710
storm=0
for ((i = 0; i < 10; i++)); do
	new_bond "1 probe_ms:10 primary 0 2 $a 0 $b 0" || storm=$((storm + 1))
	name=${bond#/dev/mapper/}
	[ $((i % 4)) != 0 ] || { dmsetup load "$name" --table "0 65536 bond 0 static 0 2 $a 0 $b 0" && dmsetup resume "$name"; } ||
		storm=$((storm + 1))
	[ $((i % 5)) != 0 ] || { echo 0 >$D/registered && echo 1 >$D/registered; } || storm=$((storm + 1))
	timeout 5 dd if="$bond" of=/dev/null bs=4k count=4 iflag=direct status=none 2>/dev/null # It may fail: no path.
done
check_is "bonds come and go during reports" 0 $storm
check "and the last one" timeout 20 dmsetup remove "${bond#/dev/mapper/}"
set_ "$a" storm 0
set_ "$b" storm 0
check_is "everything is unbound" "0 0" \
	"$(($(of_ "$a" binds) - $(of_ "$a" unbinds))) $(($(of_ "$b" binds) - $(of_ "$b" unbinds)))"

# Under load. Each round: one path keeps what comes for a moment, then fails, by turns voided and not.
# as_many <sent again> <given back undone> <may have been carried out, and sent again all the same>
as_many() { [ "$1" -ge "$2" ] && [ "$1" -le $(($2 + $3)) ]; }
rounds() {
	local i way how gone given doubts
	for ((i = 0; i < PULLS; i++)); do
		way=$a
		[ $((i % 4)) -lt 2 ] || way=$b
		set_ "$way" from_irq $((i / 4 % 2))
		if [ $((i % 2)) = 0 ]; then
			how=voided
			set_ "$way" fail "path voided for=$((RANDOM % 10000))"
		else
			how="not voided"
			set_ "$way" hold 1
			sleep 0.0$((RANDOM % 5))
			set_ "$way" fail path
			set_ "$way" hold 0
			set_ "$way" release 1
		fi
		state_is "$bond" "$way" failed || { note "round $i: not failed"; return 1; }
		wait_for 5 inflight_is "$way" 0 || { note "round $i: $how: in flight still"; return 1; }
		set_ "$way" restore path
		wait_for 5 state_is "$bond" "$way" active || { note "round $i: $how: not back"; return 1; }
		wait_for 10 adds_up "$@" || { note "round $i, $how: $given given back undone, $gone sent again"; return 1; }
	done
}
# What is sent again is counted a little after it has come back.
adds_up() {
	sum_requeued && gone=$((SUM - $1))
	sum_undone && given=$((SUM - $2))
	sum_unsure && doubts=$((SUM - $3))
	as_many "$gone" "$given" "$doubts"
}
new_bond "1 probe_ms:50 static 0 2 $a 0 $b 0"
load_start miniport "$bond" --size=8M
goes_on "${KNAME[$bond]}" || fail "the load goes on"
before=$(requeued)
was=$(undone)
doubts=$(unsure)
check "$PULLS failures and restores under load, each with as much sent again as was forgotten" \
	rounds "$before" "$was" "$doubts"
load_stop "$PULLS failures and restores" miniport
again=$(($(requeued) - before)) given=$(($(undone) - was)) doubts=$(($(unsure) - doubts))
check "as much was sent again ($again) as was given back undone ($given), or but $doubts" as_many "$again" "$given" "$doubts"
note "of which refused: $(($(of_ "$a" refused) + $(of_ "$b" refused)))"
check "something was" test $(($(undone) - was)) -ge $((PULLS / 4))
check_is "nothing is left in flight" "0 0 0" \
	"$(path_file "$bond" "$a" inflight) $(path_file "$bond" "$b" inflight) $(cat "${SYS[$bond]}/queued")"

dmsetup remove "${bond#/dev/mapper/}"
check "the miniport unloads" rmmod dm_bond_test
check "and dm-bond" rmmod dm_bond
finish
