#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# How a bond shares out its load, counted below it, by the disks' own statistics and the block layer's trace: bytes match
# the shares exactly, whatever the sizes; no more commands are out than may be, and what waits goes in its order; shares
# follow the speeds; what is tuned counts at once, while I/O runs, and what cannot be is refused and changes nothing.
. ./lib.sh
. ./paths.sh
. ./load.sh
. ./rig.sh

TRACE=/sys/kernel/tracing
CPUS=$(nproc)
bond='' fast='' slow=''

file() { value "${SYS[$bond]}/$1"; }
tune() { echo "$2" >"${SYS[$bond]}/$1"; }
share_of() { value "${SYS[$bond]}/paths/${1#/dev/}/share"; }

# sectors <disk>: read and written so far, as the disk counts them. requests <disk>: and as how many commands.
sectors() { awk '{ print $3 + $7 }' "/sys/block/${1#/dev/}/stat"; }
requests() { awk '{ print $1 + $5 }' "/sys/block/${1#/dev/}/stat"; }

# io <fio option>...: I/O on the bond, until it is done; IOS is how many.
io() {
	fio --name=io --filename="$bond" --ioengine=io_uring --direct=1 --randrepeat=0 --output-format=json "$@" \
		>"$LOAD_DIR/io.json" 2>&1 || { note "fio: $(head -n 3 "$LOAD_DIR/io.json")"; return 1; }
	IOS=$(sed -n '/^{/,$p' "$LOAD_DIR/io.json" | jq '.jobs | map(.read.total_ios + .write.total_ios) | add')
}

# shared_as <what> <permille of the first disk> <largest I/O in bytes> <fio option>...: what went to each disk is its
# share, but for one I/O of each path and CPU, and the quotas of a round that is not over.
shared_as() {
	local what=$1 share=$2 largest=$3 a b off mean quota
	shift 3
	a=$(sectors "$fast") b=$(sectors "$slow")
	io "$@" || { fail "$what: the I/O"; return 1; }
	a=$((($(sectors "$fast") - a) * 512)) b=$((($(sectors "$slow") - b) * 512))
	off=$((a - (a + b) * share / 1000))
	mean=$(((a + b) / IOS))
	quota=$((mean * share / (1000 - share)))
	check "$what: $a and $b bytes, off by $off" test "${off#-}" -le $(((largest + quota) * CPUS))
}

need fio jq ip nvme veth nvmet-tcp nvme-tcp
[ "$(cat /sys/module/nvme_core/parameters/multipath)" = N ] || skip_all "needs nvme_core.multipath=N"
load_bond
scratch fast 64 memory_backed=0
scratch slow 64 memory_backed=0
make_bond bond "0 static 0 2 $fast 1 share:800 $slow 1 share:200" || finish
# depth <disk>: how many commands its queues take.
depth() { echo $(($(cat "/sys/block/${1#/dev/}/queue/nr_requests") * $(find "/sys/block/${1#/dev/}/mq" -mindepth 1 -maxdepth 1 -type d | wc -l))); }
DEPTH=$(($(depth "$fast") + $(depth "$slow")))
check_is "as many commands may be out as the disks take" "$DEPTH" "$(file max_commands)"

# Exact quotas.
MIX=--bssplit=4k/40:16k/20:64k/20:256k/20
shared_as "4 to 1, one size" 800 4096 --rw=randread --bs=4k --iodepth=32 --number_ios=3000
shared_as "4 to 1, mixed sizes" 800 262144 --rw=randrw $MIX --iodepth=32 --number_ios=1500
shared_as "4 to 1, one by one" 800 262144 --rw=randread $MIX --iodepth=1 --number_ios=500
shared_as "4 to 1, two jobs" 800 262144 --rw=randread $MIX --iodepth=8 --number_ios=1000 --numjobs=2
check "a share is set while nothing runs" bond_message "$bond" set_share "$slow" 500
shared_as "1 to 1, large and small by turns" 500 262144 --rw=randread --bs=4k --iodepth=4 --number_ios=1000
check_is "the quota is a mean's part of the share" \
	"$(cat "${SYS[$bond]}/paths/${fast#/dev/}/quota_bytes")" "$(cat "${SYS[$bond]}/paths/${slow#/dev/}/quota_bytes")"
tune policy primary
check_is "without quotas there are none" 0 "$(cat "${SYS[$bond]}/paths/${fast#/dev/}/quota_bytes")"
tune policy static

# What follows in a sequential stream stays one command.
was=$(($(requests "$fast") + $(requests "$slow")))
io --rw=read --bs=4k --iodepth=32 --iodepth_batch_submit=16 --iodepth_batch_complete_min=16 --number_ios=2048
commands=$(($(requests "$fast") + $(requests "$slow") - was))
check "a sequential stream of $IOS I/Os is merged into $commands commands" test $commands -le $((IOS / 4))
shared_as "and is shared evenly all the same" 500 65536 --rw=read --bs=4k --iodepth=32 --iodepth_batch_submit=16 \
	--iodepth_batch_complete_min=16 --number_ios=4096
remove_dm "${bond#/dev/mapper/}"

# A limit on the commands that are out. The disks take a while for each, so that there are some.
late="memory_backed=0 irqmode=2 completion_nsec=3000000"
# shellcheck disable=SC2086  # Words.
scratch fast 64 $late
# shellcheck disable=SC2086
scratch slow 64 $late
make_bond bond "1 max_commands:5 static 0 2 $fast 0 $slow 0"
check_is "the limit is the table's" 5 "$(file max_commands)"
check "and in the table that it prints" grep -q "bond 1 max_commands:5 static" <<<"$(dmsetup table "${bond#/dev/mapper/}")"

trace_on() {
	echo 0 >$TRACE/tracing_on
	echo nop >$TRACE/current_tracer
	echo 8192 >$TRACE/buffer_size_kb
	echo >$TRACE/trace
	for event in block_bio_queue block_rq_issue block_rq_complete; do echo 1 >$TRACE/events/block/$event/enable; done
	echo 1 >$TRACE/tracing_on
}
trace_off() {
	echo 0 >$TRACE/tracing_on
	echo 0 >$TRACE/events/block/enable
	echo 1 >$TRACE/tracing_on # As other tests expect it.
}
at_exit trace_off
# numbers <device>: as the trace has them.
numbers() { lsblk -ndo MAJ:MIN "$1" | tr -d ' ' | tr : ,; }

# The most that was out below at any moment since trace_on, and the order in which I/O came and went down.
watched() {
	awk -v bond="$(numbers "$bond")" -v fast="$(numbers "$fast")" -v slow="$(numbers "$slow")" '
		{ at = match($0, /block_[a-z_]+: /); if (!at) next; split(substr($0, at), word, " ") }
		word[2] != bond && word[2] != fast && word[2] != slow { next }
		word[1] == "block_bio_queue:" && word[2] == bond && word[3] ~ /^[RW]/ { came[++c] = word[4] }
		# What was out before counts for nothing when it comes back.
		word[1] == "block_rq_issue:" { at = word[2] " " word[6]; went[++w] = word[6]; is_out[at] = 1; if (++out > most) most = out }
		word[1] == "block_rq_complete:" { at = word[2] " " word[5]; if (at in is_out) { delete is_out[at]; out-- } }
		END {
			for (i = 1; i <= c; i++)
				if (came[i] != went[i])
					bad++
			print most + 0, c + 0, bad + 0
		}
	' $TRACE/trace
}

# never_above <limit> <what> <fio option>...
never_above() {
	local limit=$1 what=$2 most count bad
	shift 2
	trace_on
	io "$@" || fail "$what: the I/O"
	trace_off
	read -r most count bad <<<"$(watched)"
	check "$what: $most were out of $limit at most, of $count" test "$most" = "$limit" -a "$count" = "$IOS"
	check_is "$what: none has overtaken another" 0 "$bad"
	check_is "$what: nothing waits" 0 "$(file queued)"
}
never_above 5 "from the table" --rw=randread --bs=4k --iodepth=32 --number_ios=1000 --cpus_allowed=0
tune max_commands 3
never_above 3 "set" --rw=randread --bs=4k --iodepth=32 --number_ios=1000 --cpus_allowed=0
tune max_commands 1
never_above 1 "one" --rw=randread --bs=4k --iodepth=8 --number_ios=200 --cpus_allowed=0
tune max_commands 0
check_is "as many as the queues take" "$DEPTH" "$(file max_commands)"

# Set while more is out, and changed under load: what is out below is looked at again and again.
load_start tuned "$bond" --verify=0 --rw=randread --size=8M
wait_for 10 some_out "$bond"
for limit in 7 0 2 1000 4 0 3; do
	tune max_commands $limit
done
# Between two rounds of the load there is nothing to see.
looked() {
	trace_on
	pause 0.5
	trace_off
	read -r most count _ <<<"$(watched)"
	[ "$count" -ge 50 ]
}
wait_for 20 looked
check "a limit of 3 that was set under load is kept: $most, of $count" test "$most" = 3
for round in 1 2 3 4 5; do
	for policy in primary dynamic static; do
		tune policy $policy
		tune max_commands $((round * 3))
		tune interval_ms $((round * 10))
		bond_message "$bond" set_primary "$slow"
	done
	bond_message "$bond" set_share "$fast" $((round * 150))
done
load_stop "policies, shares, intervals and limits changed under load" tuned
check_is "nothing is left" "0 0" "$(cat "${SYS[$bond]}"/paths/*/inflight | xargs)"
check_is "nor does the device's own count say so" "0 0" "$(xargs <"/sys/block/${KNAME[$bond]}/inflight")"
remove_dm "${bond#/dev/mapper/}"

# What cannot be.
make_bond bond "0 dynamic 1 interval_ms:50 2 $fast 0 $slow 0"
check "a policy's argument is in the table that it prints" \
	grep -q "bond 0 dynamic 1 interval_ms:50 2 " <<<"$(dmsetup table "${bond#/dev/mapper/}")"
before=$(grep -rs . "${SYS[$bond]}")
for value in '' ' ' -1 1.5 x 0x10 1000001 4294967297 18446744073709551616 '1 2'; do
	check_fails "max_commands refuses '$value'" "Invalid argument|out of range" tune max_commands "$value"
	[ "$value" = 1000001 ] || check_fails "interval_ms refuses '$value'" "Invalid argument|out of range" tune interval_ms "$value"
done
check_fails "interval_ms refuses 9" "out of range" tune interval_ms 9
check_fails "a share is not set where it is measured" "Invalid argument" tune "paths/${fast#/dev/}/share" 500
check_is "and nothing has changed" "$before" "$(grep -rs . "${SYS[$bond]}")"
check "the interval goes with a message" bond_message "$bond" set_policy dynamic interval_ms:40
check_is "which counts" 40 "$(file interval_ms)"
remove_dm "${bond#/dev/mapper/}"

# One I/O now and then, all of which the fast path can have: nothing is tried at its cost, however long the other is
# idle.
scratch far 64 memory_backed=0 irqmode=2 completion_nsec=40000000
scratch near 64 memory_backed=0 irqmode=2 completion_nsec=100000
# Once in three tries: a read that the machine delays makes its path look slow.
for _ in 1 2 3; do
	# shellcheck disable=SC2154  # Set by scratch.
	make_bond bond "0 dynamic 1 interval_ms:10 2 $far 0 $near 0"
	io --rw=randread --bs=4k --iodepth=8 --number_ios=400
	before=$(requests "$far")
	for _ in 1 2 3 4 5 6; do
		sleep 0.8
		read_blocks "$bond" 1
	done
	tried=$(($(requests "$far") - before))
	remove_dm "${bond#/dev/mapper/}"
	[ "$tried" -gt 1 ] || break
done
check "a light load stays on the fast path: $tried of 6 tried the other" test "$tried" -le 1

# Shares that follow speeds: two cables, of which one is four times as fast.
at_exit rig_down
RATE=20 # Mbit/s: the cables are to be the limit, and not the CPUs.
if ! { rig_up 2 64 && shape 1 $RATE && shape 2 $((RATE / 4)); }; then
	fail "the rig"
	finish
fi
fast=$(rig_path 1) slow=$(rig_path 2)
make_bond bond "0 dynamic 0 2 $fast 1 netdev:eth1 $slow 1 netdev:eth2"
check_is "no speed is known at first" "0 0" "$(cat "${SYS[$bond]}"/paths/*/speed | xargs)"
# follow <seconds>: I/O for so long; of the later half of it SHARE and SPEED are the median of the fast cable's.
follow() {
	local job share speed shares=() speeds=() dir=${SYS[$bond]}/paths/${fast#/dev/}
	io --rw=randread --bs=32k --iodepth=32 --time_based --runtime="$1" &
	job=$!
	while kill -0 $job 2>/dev/null; do
		read -r share <"$dir/share" && read -r speed <"$dir/speed" && shares+=("$share") speeds+=("$speed")
		read -rt 0.05 -u "$NEVER"
	done
	wait $job || fail "the I/O"
	SHARE=$(median "${shares[@]:${#shares[@]}/2}") SPEED=$(median "${speeds[@]:${#speeds[@]}/2}")
}
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
# Once in three tries: a machine that stands still now and then measures nonsense.
fits() { [ "$2" -ge "$1" ] && [ "$2" -le "$3" ]; }
for _ in 1 2 3; do
	a=$(sectors "$fast") b=$(sectors "$slow")
	follow 4
	a=$(($(sectors "$fast") - a)) b=$(($(sectors "$slow") - b)) was=$SHARE speed=$SPEED
	follow 4
	fits $((b * 3)) "$a" $((b * 5)) && fits 740 "$was" 850 && fits $((was - 30)) "$SHARE" $((was + 30)) &&
		fits $((RATE * 93750)) "$speed" $((RATE * 162500)) && break
done
check "bytes follow the speeds of 4 to 1: $((a / 2)) and $((b / 2)) KiB" fits $((b * 3)) "$a" $((b * 5))
check "shares follow them: $was" fits 740 "$was" 850
check "the speed is the cable's, less what the protocol takes: $speed bytes/s" \
	fits $((RATE * 93750)) "$speed" $((RATE * 162500))
add_up() { [ $(($(share_of "$fast") + $(share_of "$slow"))) = 1000 ]; }
check "shares add up" wait_for 2 add_up # They may change once more after the last I/O.
check "and are steady: $was, then $SHARE" fits $((was - 30)) "$SHARE" $((was + 30))
shape 1 $((RATE / 10))
for _ in 1 2 3; do
	follow 4
	fits 200 "$SHARE" 380 && break
done
check "the first cable becomes ten times slower: $SHARE" fits 200 "$SHARE" 380
bond_message "$bond" fail_path "$slow"
check_is "a failed path has none" "1000 0" "$(share_of "$fast") $(share_of "$slow")"
bond_message "$bond" reinstate_path "$slow"
check_is "one that is back has no speed at first" 0 "$(cat "${SYS[$bond]}/paths/${slow#/dev/}/speed")"
io --rw=randread --bs=32k --iodepth=32 --time_based --runtime=3 &
sleep 2
bond_message "$bond" fail_path "$slow"
sleep 0.5
check_is "nor has one that failed under load" 0 "$(cat "${SYS[$bond]}/paths/${slow#/dev/}/speed")"
wait $!
finish
