# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# "make bench", in the guest: what an I/O costs. Every instruction is one nanosecond of the guest's time (vm.sh
# --icount). Sourced by scripts/guest/bench. "none" is a null_blk disk itself. Results:
#   cost <device> <read or write> <depth> <instructions per I/O>
#   events <device> <depth> <per I/O: allocations, their bytes, works queued, context switches>

EVENTS=(kmem/kmalloc kmem/kmem_cache_alloc workqueue/workqueue_queue_work sched/sched_switch)

section_cost() {
	local rw depth device
	stand
	for rw in read write; do
		for depth in 1 32; do
			for device in none "${MADE[@]}"; do
				some_load "$device" "$rw" "$depth" "$IOS"
				result "cost $device $rw $depth $(of_load ".runtime * 1000000 / $IOS | round")"
				tell "$(tail -n 1 "$OUT/results")"
			done
		done
	done
	for depth in 1 32; do
		for device in none "${MADE[@]}"; do
			result "events $device $depth $(events "$device" "$depth" $((IOS / 4)))"
			tell "$(tail -n 1 "$OUT/results")"
		done
	done
}

some_load() {
	local file=/dev/mapper/$1 batch=$((($3 + 1) / 2))
	[ "$1" != none ] || file=${NULLS[0]}
	load "$file" --rw="rand$2" --bs=4k --iodepth="$3" --iodepth_batch="$batch" --iodepth_batch_complete_min="$batch" \
		--number_ios="$4"
}

# From two loads of different lengths, so that fio's own beginning and end do not count, nor does counting.
events() {
	local device=$1 depth=$2 n=$3 event i
	local -a before short long
	some_load "$device" read "$depth" 100 # The first load makes the kernel remember things.
	for event in "${EVENTS[@]}"; do trigger "$event" ""; done
	read -ra before < <(count)
	some_load "$device" read "$depth" "$n"
	read -ra short < <(count)
	some_load "$device" read "$depth" $((2 * n))
	read -ra long < <(count)
	for event in "${EVENTS[@]}"; do trigger "$event" "!"; done
	for i in 0 1 2 3; do
		awk "BEGIN { printf \"%.2f \", (${long[i]} - 2 * ${short[i]} + ${before[i]}) / $n }"
	done
}

trigger() {
	local what=hist:keys=common_cpu
	[[ $1 != kmem/* ]] || what+=:vals=bytes_alloc
	echo "$2$what" >"/sys/kernel/tracing/events/$1/trigger" || die "cannot count $1"
}

count() {
	(cd /sys/kernel/tracing/events && awk '
		/hitcount:/ {
			for (i = 1; i < NF; i++) {
				if ($i == "hitcount:")
					hits[FILENAME] += $(i + 1)
				if ($i == "bytes_alloc:")
					bytes += $(i + 1)
			}
		}
		END { print hits[ARGV[1]] + hits[ARGV[2]], bytes + 0, hits[ARGV[3]] + 0, hits[ARGV[4]] + 0 }
	' "${EVENTS[@]/%//hist}")
}
