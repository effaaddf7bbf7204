#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every kind of operation passes through a bond as through its paths: each goes down exactly one of them, and is done
# on the other when the first one fails; and what the paths can do, the bond can, as stacked by dm-multipath.
#
# The LU is a scsi_debug disk seen through two hosts that share one store. It has a write cache, FUA, discard, write
# zeroes, atomic writes, protection information (DIF and DIX type 1) and a queue for polling. Reservations it has not:
# those are tried on an NVMe namespace with two loop controllers.
. ./lib.sh

TRACE=/sys/kernel/tracing
SECTORS=$((64 << 11))
FIO=(fio --name=ops --direct=1 --verify_state_save=0 --ioengine=io_uring --iodepth=16 --bs=4k --size=4M)

disk_of_host() { basename "$(echo "/sys/class/scsi_host/$1/device"/target*/*/block/*)"; }
has_disk() { [ -b "/dev/$(disk_of_host "$1")" ]; }

# lu_up [<scsi_debug parameter>]...: sets A and B to the disks' names, makes a bond over both: NAME, DEV, BOND (dm-N).
lu_up() {
	local dir hosts=()
	modprobe -q scsi_debug add_host=2 vpd_use_hostno=0 dev_size_mb=64 lbpu=1 lbpws=1 atomic_wr=1 delay=0 \
		submit_queues=3 poll_queues=1 "$@" || return
	for dir in /sys/bus/pseudo/devices/adapter*/host*; do
		hosts+=("${dir##*/}")
	done
	wait_for 20 has_disk "${hosts[0]}" && wait_for 20 has_disk "${hosts[1]}" || return
	A=$(disk_of_host "${hosts[0]}")
	B=$(disk_of_host "${hosts[1]}")
	fresh NAME
	DEV=/dev/mapper/$NAME
	dmsetup create "$NAME" --table "0 $SECTORS bond 1 probe_ms:200 primary 0 2 /dev/$A 0 /dev/$B 0" || return
	BOND=$(dm_disk "$NAME")
}
lu_down() {
	[ -z "${NAME-}" ] || remove_dm "$NAME"
	[ ! -e /sys/module/scsi_debug ] || wait_for 20 rmmod scsi_debug
}

# column <disk> <n>: of /sys/block/*/stat: 5 writes, 7 sectors written, 12 discards, 16 flushes.
column() { awk -v n="$2" '{ print $n }' "/sys/block/$1/stat"; }

path_file() { value "/sys/block/$BOND/bond/paths/$1/$2"; }
is_active() { [ "$(path_file "$1" state)" = active ]; }

# down_one <what> <column> <command>...: the command succeeds, and exactly one request more is counted on one path.
down_one() {
	local what=$1 n=$2 a b
	shift 2
	a=$(column "$A" "$n") b=$(column "$B" "$n")
	check "$what succeeds" "$@" || return
	check_is "$what goes down exactly one path" 1 $(($(column "$A" "$n") - a + $(column "$B" "$n") - b))
}

# failed_over <what> <column or -> <command>...: the primary path is dead when the command comes.
failed_over() {
	local what=$1 n=$2 b
	shift 2
	wait_for 10 is_active "$A" || { fail "$what: path $A is in use before it"; return; }
	[ "$n" = - ] || b=$(column "$B" "$n")
	echo offline >"/sys/block/$A/device/state"
	check "$what succeeds while its path dies" "$@"
	[ "$n" = - ] || check_is "$what was done on the other path" 1 $(($(column "$B" "$n") - b))
	check "$what failed its path" test "$(path_file "$A" state)" != active # It may be probed just now.
	check_is "$what left the other path in use" active "$(path_file "$B" state)"
	echo running >"/sys/block/$A/device/state"
	wait_for 10 is_active "$A" || fail "$what: the path comes back"
}

# traced <command>...: print what requests the two disks were given meanwhile, as letters: W write, D discard,
# F (first) flush and (later) FUA, Z zeroes, S synchronous, U atomic.
traced() {
	local status
	echo >"$TRACE/trace"
	echo 1 >"$TRACE/events/block/block_rq_issue/enable"
	"$@" >/dev/null 2>&1
	status=$?
	echo 0 >"$TRACE/events/block/block_rq_issue/enable"
	# "... block_rq_issue: 8,0 WFS 4096 () 0 + 8 ...".
	sed -n 's/.* block_rq_issue: \([0-9]*\),\([0-9]*\) \([A-Z]*\) .*/\1:\2 \3/p' "$TRACE/trace" |
		grep -E "^($(cat "/sys/block/$A/dev")|$(cat "/sys/block/$B/dev")) "
	return "$status"
}

write_direct() { dd if=/dev/urandom of="$DEV" bs=4k count=1 oflag=direct conv=notrunc status=none; }
write_fua() { dd if=/dev/urandom of="$DEV" bs=4k count=1 oflag=direct,dsync conv=notrunc status=none; }
only_flush() { sync "$DEV"; }
# Old data at the medium, so that zeroes can be told from what was there.
zeroes() { blkdiscard --force --zeroout --offset 1M --length 1M "$DEV"; }
discard() { blkdiscard --force --offset 1M --length 1M "$DEV"; }
is_zero() { cmp -n $((1 << 20)) <(dd if="$DEV" bs=1M skip=1 count=1 iflag=direct status=none) /dev/zero; }
fill() { dd if=/dev/urandom of="$DEV" bs=1M seek=1 count=1 oflag=direct conv=notrunc status=none; }
atomic() {
	fio --name=ops --filename="$DEV" --ioengine=pvsync2 --direct=1 --atomic=1 --rw=write --bs=16k --size=16k --minimal
}
nowait() { "${FIO[@]}" --filename="$DEV" --ioengine=pvsync2 --nowait=1 --rw=write --size=4k --minimal; }
polled() { "${FIO[@]}" --filename="$DEV" --hipri=1 --rw=randwrite --verify=crc32c "$@"; }
# How often a command makes a function of the kernel be called.
calls() {
	local function=$1
	shift
	echo "$function" >"$TRACE/set_ftrace_filter" && echo function >"$TRACE/current_tracer" || return
	echo >"$TRACE/trace"
	"$@" >/dev/null 2>&1
	grep -c " $function " "$TRACE/trace"
	echo nop >"$TRACE/current_tracer"
	echo >"$TRACE/set_ftrace_filter"
}
verified() { "${FIO[@]}" --filename="$DEV" --rw=randwrite --verify=crc32c "$@"; }

# limits <disk>: every limit of its queue and its integrity profile, a line each.
limits() { (cd "/sys/block/$1" && grep -s . queue/* integrity/* | sort); }

# What dm-multipath stacks from the same two disks.
reference_limits() {
	local name
	fresh name
	load_module dm-multipath && load_module dm-round-robin &&
		dmsetup create "$name" --table \
			"0 $SECTORS multipath 2 queue_mode bio 0 1 1 round-robin 0 2 1 /dev/$A 1 /dev/$B 1" &&
		limits "$(dm_disk "$name")" && remove_dm "$name"
}
dm_disk() { echo "dm-$(dmsetup info -c --noheadings -o minor "$1")"; }

test_limits() {
	local reference bond differ
	reference=$(reference_limits) || { skip "limits are stacked as by dm-multipath" "no dm-multipath"; return; }
	bond=$(limits "$BOND")
	[ "$(wc -l <<<"$bond")" -gt 20 ] || fail "limits can be read"
	differ=$(diff <(echo "$reference") <(echo "$bond"))
	check_is "limits and integrity profile are stacked as by dm-multipath" "" "$differ"
	for limit in queue/atomic_write_max_bytes queue/discard_max_bytes queue/write_zeroes_max_bytes queue/fua \
		queue/write_cache queue/io_poll integrity/format; do
		[ -e "/sys/block/$A/$limit" ] || continue
		check_is "$limit is that of the paths" "$(cat "/sys/block/$A/$limit")" "$(cat "/sys/block/$BOND/$limit")"
	done
}

test_flush_and_friends() {
	write_direct
	down_one "a flush" 16 only_flush
	failed_over "a flush" 16 only_flush

	fill
	down_one "a discard" 12 discard
	check "a discard took the data away" is_zero
	fill
	failed_over "a discard" 12 discard
	check "a discard that failed over took the data away" is_zero

	fill
	down_one "write zeroes" 5 zeroes
	check "write zeroes zeroed" is_zero
	fill
	failed_over "write zeroes" 5 zeroes
	check "write zeroes that failed over zeroed" is_zero

	check_fails "secure erase is refused where the paths have none" "not supported" \
		blkdiscard --force --secure --length 1M "$DEV"
	skip "secure erase passes" "no disk of the stock kernel's has it without hardware"
}

# seen <what> <pattern> <number> <trace>
seen() { check_is "$1" "$3" "$(grep -Ec "$2" <<<"$4")" || note "the paths were given:" "$4"; }

test_flags() {
	local trace
	trace=$(traced write_direct)
	seen "a plain write is no FUA" ' W[A-Z]*F' 0 "$trace"
	trace=$(traced write_fua)
	seen "a FUA write is one on the path" ' W[A-Z]*F' 1 "$trace"
	failed_over "a FUA write" - write_fua
	trace=$(traced zeroes)
	seen "write zeroes is one on the path, and writes nothing else" ' W' 1 "$trace"

	trace=$(traced nowait)
	seen "RWF_NOWAIT is taken" ' W' 1 "$trace"
	failed_over "a write that must not wait" - nowait
	trace=$(traced atomic)
	seen "an atomic write reaches the path whole and atomic" ' W[A-Z]*U' 1 "$trace"
	failed_over "an atomic write" - atomic
}

# RWF_NOWAIT I/O that finds no tag comes back with EAGAIN, and io_uring sends it again, waiting.
test_shortage() {
	local disk name one two
	scratch disk 16 hw_queue_depth=2 submit_queues=1 irqmode=2 completion_nsec=2000000 || { fail "a slow disk"; return; }
	fresh one
	fresh two
	fresh name
	dmsetup create "$one" --table "0 32768 linear $disk 0" && dmsetup create "$two" --table "0 32768 linear $disk 0" &&
		dmsetup create "$name" --table "0 32768 bond 0 static 0 2 /dev/mapper/$one 0 /dev/mapper/$two 0"
	check "I/O that must not wait, more of it than the paths have tags" \
		"${FIO[@]}" --filename="/dev/mapper/$name" --rw=randwrite --verify=crc32c --iodepth=64 --size=2M
	check_is "it failed no path" "A A" "$(dmsetup status "$name" | awk '{ print $9, $19 }')"
	for name in "$name" "$one" "$two"; do remove_dm "$name"; done
	remove_scratch "$disk"
}

test_polled() {
	check "polled I/O" polled
	# A disk that answers at once leaves nothing to poll for.
	echo 100000 >/sys/bus/pseudo/drivers/scsi_debug/ndelay
	if [ -e "$TRACE/set_ftrace_filter" ]; then
		check_is "polled I/O makes the path be polled" yes \
			"$([ "$(calls sdebug_blk_mq_poll polled --size=64k)" -gt 0 ] && echo yes)"
		check_is "I/O that is not polled does not" 0 "$(calls sdebug_blk_mq_poll verified --size=64k)"
	else
		skip "whether polled I/O makes the path be polled" "the kernel has no function tracer"
	fi
	failed_over "polled I/O" - polled --size=1M
}

test_integrity() {
	check_is "the protection type" "$(cat "/sys/block/$A/integrity/format")" "$(cat "/sys/block/$BOND/integrity/format")"
	check "protected data verifies" verified
	failed_over "protected I/O" - verified
	# The same data through a path alone: had the bond lost the tags, the disk would refuse it.
	check "what the bond wrote with a path dead is good on the other path" \
		dd if="/dev/$A" of=/dev/null bs=1M count=4 iflag=direct status=none
	dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none
	# 0x20: each command that matches every_nth reports a guard error.
	echo 0x20 >/sys/bus/pseudo/drivers/scsi_debug/opts
	echo 1 >/sys/bus/pseudo/drivers/scsi_debug/every_nth
	check_fails "a protection error goes to the caller" "Invalid or incomplete|Input/output" \
		dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none
	echo 0 >/sys/bus/pseudo/drivers/scsi_debug/every_nth
	echo 0 >/sys/bus/pseudo/drivers/scsi_debug/opts
	check_is "a protection error fails no path" "active active" "$(path_file "$A" state) $(path_file "$B" state)"
}

test_ioctls() {
	check_is "the sector size by ioctl" "$(blockdev --getss "/dev/$A")" "$(blockdev --getss "$DEV")"
	check_is "the size by ioctl" $((SECTORS * 512)) "$(blockdev --getsize64 "$DEV")"
	check "SG_IO reaches the LU" sg_inq "$DEV"
	check_is "SG_IO tells the LU's identity" "$(sg_inq --page=0x83 "/dev/$A")" "$(sg_inq --page=0x83 "$DEV")"
	echo failed >"/sys/block/$BOND/bond/paths/$A/state"
	check "SG_IO takes a path that is in use" sg_inq "$DEV"
	echo failed >"/sys/block/$BOND/bond/paths/$B/state"
	check_fails "SG_IO with no path left fails" "." sg_inq "$DEV"
	echo active >"/sys/block/$BOND/bond/paths/$A/state"
	echo active >"/sys/block/$BOND/bond/paths/$B/state"
}

NVMET=/sys/kernel/config/nvmet
NQN=nqn.2014-08.org.nvmexpress:dm-bond-ops

namespace_down() {
	local dir
	nvme disconnect -n "$NQN" >/dev/null
	for dir in "$NVMET"/ports/*/subsystems/"$NQN"; do
		[ ! -e "$dir" ] || { rm "$dir"; rmdir "${dir%/subsystems/*}"; }
	done
	for dir in "$NVMET/subsystems/$NQN"{/namespaces/1,}; do
		[ ! -e "$dir" ] || rmdir "$dir"
	done
}

# loop <port> <host>: connect, and print the block device.
loop() {
	local name dir id=0dbd0000-0000-4000-8000-00000000000$2
	name=$(nvme connect -t loop -n "$NQN" -a "$1" --hostnqn "nqn.2014-08.org.nvmexpress:uuid:$id" --hostid "$id" |
		sed -n 's/.*device: \(nvme[0-9]*\).*/\1/p')
	dir=/sys/class/nvme/$name
	wait_for 10 test -b "/dev/${name}n1" && [ -e "$dir" ] && echo "/dev/${name}n1"
}

namespace_up() {
	local sub=$NVMET/subsystems/$NQN port
	scratch MEDIUM 16 || return
	load_module nvmet && load_module nvme-loop || return
	at_exit namespace_down
	mkdir "$sub" "$sub/namespaces/1" && echo 1 >"$sub/attr_allow_any_host" &&
		echo "$MEDIUM" >"$sub/namespaces/1/device_path" && echo 1 >"$sub/namespaces/1/resv_enable" &&
		echo 0dbd0000-0000-4000-8000-0000000000aa >"$sub/namespaces/1/device_nguid" &&
		echo 1 >"$sub/namespaces/1/enable" || return
	for port in 91 92; do
		mkdir "$NVMET/ports/$port" && echo loop >"$NVMET/ports/$port/addr_trtype" &&
			echo "$port" >"$NVMET/ports/$port/addr_traddr" && ln -s "$sub" "$NVMET/ports/$port/subsystems/" || return
	done
	ONE=$(loop 91 1) && TWO=$(loop 92 1) && OTHER=$(loop 91 2)
}

holder() { nvme resv-report "$1" --output-format=json | jq -r '.rtype, (.regctlext // .regctl // [])[].rkey' | xargs; }
write_one() { dd if=/dev/urandom of="$1" bs=4k count=1 oflag=direct status=none; }

test_reservations() {
	local name dev
	if [ -e /proc/lockdep ]; then
		skip "persistent reservations" "the kernel's NVMe target breaks lockdep's rules by itself (nvmet, pr.c)"
		return
	fi
	if ! command -v nvme blkpr >/dev/null || ! namespace_up; then
		skip "persistent reservations" "needs nvme, blkpr and nvme-loop"
		return
	fi
	fresh name
	dev=/dev/mapper/$name
	check "a bond over two controllers of a namespace" \
		dmsetup create "$name" --table "0 32768 bond 0 static 0 2 $ONE 0 $TWO 0" || return
	check "an NVMe ioctl reaches the namespace" nvme id-ns "$dev"
	check "a key is registered" blkpr -c register -k 7 "$dev"
	check "the LU is reserved" blkpr -c reserve -k 7 -t exclusive-access "$dev"
	check_is "the namespace knows the holder" "2 7" "$(holder "$OTHER")"
	check "the holder writes, on either path" write_one "$dev"
	check "the holder writes, on the other path too" write_one "$dev"
	check_fails "another host does not" "Invalid exchange|conflict" write_one "$OTHER"
	dmsetup message "$name" 0 fail_path "$ONE"
	check "the reservation is released with a path down" blkpr -c release -k 7 -t exclusive-access "$dev"
	check_is "the namespace knows of no holder" "0 7" "$(holder "$OTHER")"
	dmsetup message "$name" 0 reinstate_path "$ONE"
	check "another host reserves the LU" eval \
		"blkpr -c register -k 9 $OTHER && blkpr -c reserve -k 9 -t exclusive-access $OTHER"
	check_fails "a conflict goes to the caller" "Invalid exchange|conflict" write_one "$dev"
	check_is "a conflict fails no path" "A A" "$(dmsetup status "$name" | awk '{ print $9, $19 }')"
	# Own key first: NVMe and SCSI have them the other way round than blkpr(8) says.
	check "its reservation can be preempted" blkpr -c preempt -K 7 -k 9 -t exclusive-access "$dev"
	check "and then the bond writes" write_one "$dev"
	remove_dm "$name"
}

need fio dmsetup blkdiscard sg_inq jq
load_bond
[ ! -e /sys/module/scsi_debug ] || skip_all "scsi_debug is in use"
need sd_mod sg
modprobe -q -n scsi_debug || skip_all "needs scsi_debug"
cd /tmp || finish

at_exit lu_down
if lu_up; then
	pass "a bond over two paths"
else
	fail "a bond over two paths"
	finish
fi
check_is "the LU's id is the disks'" "$(cat "/sys/block/$A/device/wwid")" "$(cat "/sys/block/$BOND/bond/lu_id")"
test_limits
test_flush_and_friends
test_flags
test_polled
test_ioctls
lu_down
# Without DIF until now: scsi_debug writes zeroes without new tags, and then refuses to read them.
if lu_up dif=1 dix=1; then
	test_limits
	test_integrity
else
	fail "a bond over two paths with protection information"
fi
lu_down
test_shortage
test_reservations
finish
