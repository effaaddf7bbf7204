#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Suspend, with and without noflush, with and without a path; reload under load to tables that differ; removal with I/O
# waiting and links changing; the module stays while it is used, and goes cleanly afterwards.
. ./lib.sh
. ./paths.sh

disk='' a='' b='' c='' bond='' net=dmb-suspend0
need ip fio dummy
load_bond
scratch disk 64
way a "$disk"
way b "$disk"
way c "$disk"
dummy "$net"
make_bond bond "1 queue_if_no_path static 0 2 $a 0 $b 0" || finish
S=${SYS[$bond]} NAME=${bond#/dev/mapper/}

tell() { bond_message "$bond" "$@"; }
queued() { test "$(cat "$S/queued")" "$@"; }
done_with() { ! kill -0 "$JOB"; }
start() { "$@" >/dev/null 2>&1 & JOB=$!; }
ended() {
	if wait_for "${3-10}" done_with; then
		wait "$JOB"
		check_is "$1" "$2" $?
	else
		fail "$1"
		note "it still waits"
	fi
}
# verify <seconds>: writes for so long, and reads back what was written.
verify() {
	fio --name=verify --filename="$bond" --rw=randwrite --bs=4k --size=4m --direct=1 --verify_state_save=0 --ioengine=io_uring --iodepth=32 \
		--verify=crc32c --verify_fatal=1 --time_based --runtime="$1"
}
dm() { timeout 20 dmsetup "$@"; }

# Under load.
start verify 4
wait_for 10 some_out "$bond" || fail "the load is out"
good=0
for how in "" --noflush --nolockfs "" --noflush; do
	# shellcheck disable=SC2086  # No word or one.
	dm suspend $how "$NAME" && sleep 0.1 && dm resume "$NAME" && good=$((good + 1))
done
check_is "suspended and resumed under load" 5 $good
ended "which sees no error" 0 20

# With no path left, and I/O that waits.
tell fail_path "$a"
tell fail_path "$b"
start read_blocks "$bond" 1
check "a read waits" wait_for 5 queued -eq 1
check "a suspend that flushes ends" dm suspend "$NAME"
ended "for the read fails" 1
check_is "nothing waits" 0 "$(cat "$S/queued")"
dm resume "$NAME"
start read_blocks "$bond" 1
check "after it I/O waits again" wait_for 5 queued -eq 1
check "a suspend without flush ends" dm suspend --noflush "$NAME"
sleep 0.3
check "and keeps the read" kill -0 $JOB
check_is "not in the bond, though" 0 "$(cat "$S/queued")"
check "a path comes back meanwhile" tell reinstate_path "$a"
sleep 0.3
check "which changes nothing" kill -0 $JOB
check "resumed" dm resume "$NAME"
ended "the read ends well" 0
tell fail_path "$a"
start read_blocks "$bond" 1
wait_for 5 queued -eq 1
dm suspend --noflush "$NAME"
dm resume "$NAME"
check "resumed without a path, the read waits again" wait_for 5 queued -eq 1
check "another table is loaded" dmsetup load "$NAME" --table "0 131072 bond 0 static 0 1 $c 0"
check "with noflush it becomes the live one" dm suspend --noflush "$NAME"
check "resumed" dm resume "$NAME"
ended "and the read ends well over its path" 0
check_is "which has carried it" 1 "$(path_file "$bond" "$c" ios)"

# While suspended, what is changed counts at the resume.
check "suspended" dm suspend "$NAME"
start read_blocks "$bond" 1
check "messages are taken" tell fail_path "$c"
check "links change" ip link set "$net" down
ip link set "$net" up
check_is "the state can be read" failed "$(path_file "$bond" "$c" state)"
check "resumed" dm resume "$NAME"
ended "the read that came meanwhile fails for want of a path" 1

# Reload under load: paths added, removed, in another order, another policy; sysfs shows the live bond.
dmsetup load "$NAME" --table "0 131072 bond 0 static 0 1 $a 0" && dm resume "$NAME"
start verify 6
wait_for 10 some_out "$bond" || fail "the load is out"
while IFS=$'\t' read -r paths line; do
	eval "line=\"$line\""
	before=$(cat "$S/policy")
	check "loaded under load: $paths" dmsetup load "$NAME" --table "0 131072 bond $line"
	check_is "sysfs shows the live bond still" "$before" "$(cat "$S/policy")"
	check "resumed" dm resume "$NAME"
	names=
	for way in $paths; do names+=" ${KNAME[${!way}]}"; done
	# shellcheck disable=SC2086  # Words.
	check_is "sysfs shows the new one: its paths" "$(printf '%s\n' $names | sort)" "$(ls "$S/paths")"
	[[ $line =~ static|primary ]]
	check_is "its policy" "${BASH_REMATCH[0]}" "$(cat "$S/policy")"
	check_is "the primary is the first" "$(cut -d' ' -f2 <<<"$names")" "$(cat "$S/primary")"
done <<'EOT'
a b		0 static 0 2 $a 0 $b 0
c a b		0 primary 0 3 $c 0 $a 0 $b 0
b		1 queue_if_no_path static 0 1 $b 0
b c		0 primary 0 2 $b 1 netdev:$net $c 0
c b		0 static 0 2 $c 1 netdev:$net $b 1 netdev:$net
EOT
ended "the load saw no error" 0 30
check_is "an adapter is there as long as a live or loaded table names it" 2 "$(cat "/sys/module/dm_bond/adapters/$net/paths")"
dmsetup load "$NAME" --table "0 131072 bond 0 static 0 1 $a 0" && dm resume "$NAME"
check "and no longer" test ! -e "/sys/module/dm_bond/adapters/$net"
check_fails "a bad table is refused" "No such" dmsetup load "$NAME" --table "0 131072 bond 0 static 0 1 /dev/absent 0"
check "and the live one stays" read_blocks "$bond" 1
check "a table is loaded" dmsetup load "$NAME" --table "0 131072 bond 0 static 0 1 $b 1 netdev:$net"
check "and its adapter is there" test -e "/sys/module/dm_bond/adapters/$net"
check "it is dropped" dmsetup clear "$NAME"
check "and its adapter" test ! -e "/sys/module/dm_bond/adapters/$net"
check "and its device is free" exclusively "$b"

# Removal.
check_fails "the module stays while there is a bond" "in use" rmmod dm_bond
tell queue_if_no_path
tell fail_path "$a"
start read_blocks "$bond" 1
check "a read waits" wait_for 5 queued -eq 1
check_fails "the bond stays while it is open" "busy" dmsetup remove "$NAME"
check "by force its table goes" dm remove --force --retry "$NAME"
ended "and the read fails" 1
check_fails "the bond is gone" "does not exist" dmsetup info "$NAME"
check "and its directory" test ! -e "$S"
check "its path is free" exclusively "$a"

# Bonds come and go while links do.
flap() {
	while [ ! -e "$1" ]; do
		ip link set "$net" down
		ip link set "$net" up
	done
}
stop=$PWD/stop.$$
flap "$stop" &
flapper=$!
at_exit rm -f "$stop"
good=0
for _ in {1..8}; do
	dmsetup create "$NAME" --table "0 131072 bond 2 queue_if_no_path probe_ms:1 primary 0 2 $a 1 netdev:$net $b 1 netdev:$net" || continue
	read_blocks "$bond" 2 &
	reader=$!
	wait $reader && dm remove --retry "$NAME" && good=$((good + 1))
done
check_is "bonds come and go under a flapping link, and no read fails" 8 $good
dmsetup create "$NAME" --table "0 131072 bond 1 probe_ms:1 primary 0 2 $a 1 netdev:$net $b 0"
good=0
for _ in {1..8}; do
	dmsetup load "$NAME" --table "0 131072 bond 1 probe_ms:1 primary 0 2 $b 0 $a 1 netdev:$net" && dm resume "$NAME" && good=$((good + 1))
done
check_is "and are reloaded" 8 $good
touch "$stop"
wait $flapper
check "removed" dm remove "$NAME"
check_is "no adapter is left" "" "$(ls /sys/module/dm_bond/adapters)"
check_is "nor any use of the module" 0 "$(cat /sys/module/dm_bond/refcnt)"
check "which can be unloaded" rmmod dm_bond
load_bond
make_bond bond "0 static 0 2 $a 0 $b 0"
check_is "and loaded again, for another bond" 0 $?
check "that works" read_blocks "$bond" 8
finish
