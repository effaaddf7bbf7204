# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# "make bench", in the guest: what a second CPU is worth. Sourced by scripts/guest/bench. Results:
#   scaling <device> <round> <I/Os per second of one job> <of two, each on a CPU of its own>

section_scaling() {
	local round device order
	stand submit_queues=2
	for ((round = 1; round <= ROUNDS; round++)); do
		# There and back, so that what drifts hits all alike.
		order=$(printf '%s\n' "${MADE[@]}")
		[ $((round % 2)) = 1 ] || order=$(tac <<<"$order")
		for device in $order; do
			result "scaling $device $round $(jobs_ "$device" 1) $(jobs_ "$device" 2)"
			tell "$(tail -n 1 "$OUT/results")"
		done
	done
}

# jobs_ <device> <count>
jobs_() {
	load "/dev/mapper/$1" --rw=randread --bs=4k --iodepth=32 --iodepth_batch=16 --iodepth_batch_complete_min=16 \
		--numjobs="$2" --cpus_allowed=0-1 --cpus_allowed_policy=split --time_based --runtime="$ROUND_S" --ramp_time=1
	of_load ".iops | round"
}
