# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# "make bench", in the guest: three LUs with unequal loads over the same NICs, each on a device of its own, all of one
# kind. Sourced by scripts/guest/bench. Results, speeds being the ratio, the loads heavy, middle, light:
#   single <speeds> <NIC> <bytes/s of each load, all three at once over this NIC only>
#   shared <speeds> <device> <of each load: bytes/s, 99th percentile of its I/Os in us>

# shellcheck source=network.sh
. "$TOP/scripts/bench/network.sh"

LUS=3
# Else it would matter on which CPUs the loads happen to be, and those below dm-multipath, which io_uring hands to
# worker threads, are on others than those below a bond.
# shellcheck disable=SC2034  # Read by rig.sh.
RIG_CONNECT=--nr-io-queues=1

section_shared() {
	local speeds device nic nics order turn=0
	for speeds in ${SHARED_SPEEDS?}; do
		network_of "$speeds"
		nics=$((${#PATHS[@]} / LUS))
		for ((nic = 1; nic <= nics; nic++)); do
			loads "${PATHS[nic - 1]}" "${PATHS[nics + nic - 1]}" "${PATHS[2 * nics + nic - 1]}"
			result "single $speeds $nic $(of_load .bw_bytes)"
			tell "$(tail -n 1 "$OUT/results")"
		done
		order=$(devices_here)
		[ $((turn++ % 2)) = 0 ] || order=$(tac <<<"$order")
		for device in $order; do
			on "$device" || { skip "$device" "$WHY"; continue; }
			loads "${FILES[@]}"
			result "shared $speeds $device $(of_load \
				".bw_bytes, (.clat_ns.percentile.\"99.000000\" / 1000 | round)")"
			tell "$(tail -n 1 "$OUT/results")"
			off "$device"
		done
		rig_down
	done
}

# loads <file for the heavy one> <for the middle one> <for the light one>
loads() {
	local timed=(--time_based --runtime="$SHARED_S" --ramp_time="$RAMP_S")
	load "$1" "${timed[@]}" --rw=randread --bs=32k --iodepth=32 \
		--name=middle --new_group --filename="$2" "${timed[@]}" --rw=randrw --rwmixread=70 --bs=32k --iodepth=8 \
		--name=light --new_group --filename="$3" "${timed[@]}" --rw=randread --bs=4k --iodepth=1
}
