#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The files of a bond, of its paths and of adapters: what they show, what a write changes, that a hostile value is
# refused and changes nothing, that a change of state wakes who polls, and that readers survive the bond's removal.
. ./lib.sh
. ./paths.sh

disk='' a='' b='' bond=''
need ip perl dummy
load_bond
scratch disk 64
way a "$disk"
way b "$disk"
net=dmb-sysfs0
dummy "$net"
make_bond bond "1 queue_if_no_path static 0 2 $a 2 netdev:$net dest:192.0.2.1 $b 0" || finish
S=${SYS[$bond]}
A=$S/paths/${KNAME[$a]}
B=$S/paths/${KNAME[$b]}
N=/sys/module/dm_bond/adapters/$net

VALUES= # All of them, before writes that are to change none.
shows() {
	local now
	mapfile -t now <"$1"
	check_is "${1#"$S/"} shows $2" "$2" "${now[*]}"
}
all_values() { VALUES=$(grep -r . "$S" "$N"); }
unchanged() {
	local before=$VALUES
	all_values
	check_is "and nothing has changed: $1" "$before" "$VALUES"
}
# writes <file> <value> [<what it shows then>]
writes() { check "${1#"$S/"} takes $2" write "$1" "$2" && shows "$1" "${3-$2}"; }
write() { printf '%b' "$2" >"$1"; }
# refuses <file> <value> <error>: the value with escapes. What else there is, "unchanged" looks at.
refuses() {
	local file=$1 value=$2 error=$3 before after said
	mapfile -t before <"$file"
	if said=$(write "$file" "$value" 2>&1); then
		fail "${file#"$S/"} refuses '${value:0:40}'"
		note "it shows now: $(cat "$file")"
	else
		mapfile -t after <"$file"
		check_is "${file#"$S/"} refuses '${value:0:40}': ${said##*: }" "$error ${before[*]}" "${said##*: } ${after[*]}"
	fi
}
EINVAL="Invalid argument" ERANGE="Numerical result out of range"

files() { (cd "$1" && find . -maxdepth 1 -type f -printf '%f %m\n' | sort | paste -sd' '); }
check_is "the bond's files" "abort_ms 644 interval_ms 644 lu_id 444 max_commands 644 no_path_timeout_ms 644 policy 644 primary 644 probe_ms 644 queue_if_no_path 644 queued 444 stall_ms 644 write_hold_ms 644" \
	"$(files "$S")"
check_is "a path's files" "bytes 444 damped_ms 444 dest 444 errors 444 failures 444 flaps 444 inflight 444 ios 444 last_failure 444 mean_io_bytes 444 miniport 444 netdev 444 quota_bytes 444 requeued 444 role 444 share 644 speed 444 state 644" \
	"$(files "$A")"
check_is "an adapter's files" "bytes 444 failures 444 forwarded 444 inflight_bytes 444 link 444 paths 444 received 444 role 644 speed 644" "$(files "$N")"
check_is "a directory for every path" "$(printf '%s\n' "${KNAME[$a]}" "${KNAME[$b]}" | sort)" "$(ls "$S/paths")"

# As made.
shows "$S/policy" static
shows "$S/primary" "${KNAME[$a]}"
shows "$S/queue_if_no_path" 1
shows "$S/no_path_timeout_ms" 0
shows "$S/probe_ms" 1000
shows "$S/abort_ms" 50
shows "$S/stall_ms" 2000
shows "$S/write_hold_ms" 0
shows "$S/interval_ms" 100
shows "$S/max_commands" 0 # The linear devices have no queues.
shows "$S/lu_id" ""
shows "$S/queued" 0
for file in inflight ios bytes errors requeued failures flaps damped_ms mean_io_bytes; do
	shows "$A/$file" 0
done
shows "$A/state" active
shows "$A/share" 500
shows "$A/role" primary
shows "$B/role" secondary
shows "$A/netdev" "$net"
shows "$B/netdev" ""
shows "$A/dest" 192.0.2.1
shows "$B/dest" ""
shows "$A/miniport" generic
shows "$A/last_failure" ""
shows "$N/link" up
shows "$N/paths" 1
for file in inflight_bytes bytes failures received forwarded speed; do
	shows "$N/$file" 0
done

# What I/O does to them.
read_blocks "$bond" 16
ios=$(<"$A/ios")
check "half of the reads, more or less, go over each path ($ios of 16)" test "$ios" -ge 7 -a "$ios" -le 9
shows "$B/ios" $((16 - ios))
shows "$A/bytes" $((4096 * ios))
shows "$A/mean_io_bytes" 4096
shows "$A/inflight" 0
shows "$N/bytes" $((4096 * ios))

# Writes that change.
writes "$S/policy" primary
shows "$A/share" 1000
shows "$B/share" 0
all_values
refuses "$A/share" 500 "$EINVAL" # Not under this policy.
unchanged "share under this policy"
writes "$S/primary" "${KNAME[$b]}"
shows "$A/role" secondary
shows "$B/role" primary
shows "$B/share" 1000
writes "$S/primary" "${KNAME[$a]}"
writes "$S/primary" "${DEVT[$b]}" "${KNAME[$b]}"
writes "$S/policy" "static\n" static
writes "$S/primary" "${KNAME[$a]}\n" "${KNAME[$a]}"
writes "$S/no_path_timeout_ms" 86400000
writes "$S/no_path_timeout_ms" 0
writes "$S/probe_ms" 1
writes "$S/probe_ms" "86400000\n" 86400000
for file in abort_ms stall_ms write_hold_ms; do
	writes "$S/$file" 86400000
	writes "$S/$file" 0
done
for pair in "0 0" "1 1" "n 0" "y 1" "off 0" "on 1"; do
	writes "$S/queue_if_no_path" "${pair% *}" "${pair#* }"
done
writes "$A/share" 999
shows "$B/share" 1
writes "$A/share" 1
shows "$B/share" 999
writes "$B/share" 250
shows "$A/share" 750
check "state takes failed" write "$A/state" failed
shows "$A/state" failed
shows "$A/failures" 1
shows "$A/last_failure" administrator
shows "$B/share" 1000
check "again, and nothing is counted" write "$A/state" failed
shows "$A/failures" 1
check "state takes active" write "$A/state" active
shows "$A/state" active
shows "$A/share" 750

# Hostile values.
all_values
LONG=$(printf '1%.0s' {1..5000})
for value in '\n' ' ' x -1 +1 0x10 1.5 '1 2' '1\0' '\0' 1ms '\xff\xfe'; do
	refuses "$S/probe_ms" "$value" "$EINVAL"
	for file in abort_ms stall_ms write_hold_ms; do refuses "$S/$file" "$value" "$EINVAL"; done
	refuses "$S/no_path_timeout_ms" "$value" "$EINVAL"
	refuses "$A/share" "$value" "$EINVAL"
done
unchanged "what is no number"
for value in 86400001 4294967297 18446744073709551617 "$LONG"; do
	refuses "$S/probe_ms" "$value" "$ERANGE"
	for file in abort_ms stall_ms write_hold_ms; do refuses "$S/$file" "$value" "$ERANGE"; done
	refuses "$S/no_path_timeout_ms" "$value" "$ERANGE"
	refuses "$A/share" "$value" "$ERANGE"
done
refuses "$S/probe_ms" 0 "$ERANGE"
for value in 0 1000 1001; do
	refuses "$A/share" "$value" "$ERANGE"
done
unchanged "what is out of range"
for value in '\n' x 2 -1 10 1x yellow none '\0' '\xff' "$LONG"; do
	refuses "$S/queue_if_no_path" "$value" "$EINVAL"
done
unchanged "queue_if_no_path"
for value in '\n' x Static 'static primary' 'static\0' 'dynamic 0' adapter-hash adapter-load '\xff' "$LONG"; do
	refuses "$S/policy" "$value" "$EINVAL"
done
unchanged policy
# Not by the path of its device: looking that up could wait for I/O, for which a file in sysfs must not wait.
for value in '\n' x "$a" /dev/null 999:999 0:0 ':' 'dm' "$disk" "$bond" "${KNAME[$a]} ${KNAME[$b]}" "${KNAME[$a]}"'\0' \
	'../'"${KNAME[$a]}" '\xff' "$LONG"; do
	refuses "$S/primary" "$value" "$EINVAL"
done
unchanged primary
for value in '\n' x stalled probing Active 'active failed' 'active\0' 0 '\xff' "$LONG"; do
	refuses "$A/state" "$value" "$EINVAL"
done
unchanged state
for file in "$S"/{lu_id,queued} "$A"/{role,netdev,dest,miniport,inflight,ios,bytes,errors,requeued,failures,last_failure} \
	"$N"/{link,paths,bytes}; do
	refuses "$file" 1 "Permission denied"
done
unchanged "what can only be read"

# An adapter's files.
ip link set "$net" down
shows "$N/link" down
shows "$N/failures" 1
check "the path fails with it" wait_for 5 state_is "$bond" "$a" failed
shows "$A/last_failure" "link down"
writes "$S/probe_ms" 100
ip link set "$net" up
shows "$N/link" up
check "and comes back with it" wait_for 5 state_is "$bond" "$a" active
shows "$A/failures" 2

# Polling a state.
# shellcheck disable=SC2016  # These are Perl's.
POLL='
	open(my $file, "<", $ARGV[0]) or die; sysread($file, my $text, 64);
	my $poll = IO::Poll->new; $poll->mask($file => POLLPRI | POLLERR);
	$poll->poll(0) and die "ready before a change\n";
	syswrite(STDOUT, "polling\n");
	$poll->poll(10) or die "no change in time\n";
	sysseek($file, 0, 0); sysread($file, $text, 64); print $text;'
poller() { perl -MIO::Poll=POLLPRI,POLLERR -e "$POLL" "$A/state" 2>&1; }
# polled <what> <value written> <what the poller sees>
polled() {
	local said poll
	exec {poll}< <(poller)
	read -r -t 10 said <&"$poll"
	check_is "$1: nothing to poll yet" polling "$said"
	write "$A/state" "$2"
	said=
	read -r -t 15 said <&"$poll"
	check_is "$1" "$3" "$said"
	exec {poll}<&-
}
sleep 0.5 # All is told that was to be.
polled "a path that fails wakes who polls" failed failed
polled "one that comes back too" active active

# Readers and writers while bonds come and go.
remove() { timeout 20 dmsetup remove "${bond#/dev/mapper/}"; }
check "the bond is removed" remove
check "its files are gone" test ! -e "$S"
check "and the adapter's" test ! -e "$N"
stop=$(mktemp -u)
at_exit rm -f "$stop"
# read_all: how many values were read, until there is the file "$stop".
read_all() {
	local count=0 file value
	while [ ! -e "$stop" ]; do
		for file in /sys/block/dm-*/bond/{policy,queued,paths/*/{state,share,netdev}} "$N"/{link,paths,bytes}; do
			{ read -r value <"$file" && count=$((count + 1)); } 2>/dev/null
			[[ $file != */state ]] || echo "${value:-active}" 2>/dev/null >"$file"
		done
	done
	echo "$count"
}
exec {one}< <(read_all) {two}< <(read_all)
made=0
for _ in {1..10}; do
	dmsetup create "${bond#/dev/mapper/}" --table "0 131072 bond 0 static 0 2 $a 1 netdev:$net $b 0" && sleep 0.1 &&
		remove && made=$((made + 1))
done
touch "$stop"
read -r -t 20 count_one <&"$one"
read -r -t 20 count_two <&"$two"
check_is "bonds come and go under readers and writers" 10 "$made"
check "who read something (${count_one:-none}, ${count_two:-none})" test "${count_one:-0}" -gt 15 -a "${count_two:-0}" -gt 15
# shellcheck disable=SC2016  # The inner shell's.
check "a file held open over the removal is no harm" bash -c '
	dmsetup create "$1" --table "$2" && exec 3<"$3" && dmsetup remove "$1" && ! cat <&3' - \
	"${bond#/dev/mapper/}" "0 131072 bond 0 static 0 1 $a 0" "$S/policy"

# A network device by another name of its: one adapter all the same.
ip link property add dev "$net" altname dmb-sysfs-alt
make_bond bond "0 static 0 2 $a 1 netdev:dmb-sysfs-alt $b 1 netdev:$net"
check_is "both names are one adapter's" "2 $net" "$(cat "$N/paths") $(basename -a /sys/module/dm_bond/adapters/*)"
check_is "whose own name is told" "$net $net" "$(cat "${SYS[$bond]}/paths/"*/netdev | xargs)"
finish
