# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# "make bench", in the guest: how well the load is shared by paths of different speeds. Sourced by scripts/guest/bench.
# Results, speeds being the ratio and times in us:
#   alone <speeds> <block size> <read, write...> <bytes/s of each path alone, at the first of DEPTHS>
#   balance <speeds> <block size> <read, write...> <depth> <device> <bytes/s> <median> <99th percentile of its I/Os>

# shellcheck source=network.sh
. "$TOP/scripts/bench/network.sh"

section_balance() { balance; }
native_balance() { NATIVE=1 balance; }

balance() {
	local speeds bs rw depth device order turn=0
	for speeds in ${SPEEDS?}; do
		network_of "$speeds"
		SHAPED="$speeds $FASTEST"
		while read -r bs rw depth; do
			shape_for "$speeds" "$bs"
			[ -n "${NATIVE-}" ] || alone "$bs" "$rw"
			order=$(devices_here)
			[ $((turn++ % 2)) = 0 ] || order=$(tac <<<"$order")
			for device in $order; do
				on "$device" || { skip "$device" "$WHY"; continue; }
				balance_load "$FILE" "$bs" "$rw" "$depth"
				result "balance $speeds $bs $rw $depth $device $(of_load \
					".bw_bytes, (.clat_ns.percentile | .[\"50.000000\", \"99.000000\"] / 1000 | round)")"
				tell "$(tail -n 1 "$OUT/results")"
				off "$device"
			done
		done < <(cells)
		rig_down
	done
}

# shape_for <ratio> <block size>: the paths as fast as is right for that size.
shape_for() {
	local fastest=$FASTEST i=0 mbit
	[ "$2" != 4k ] || fastest=$((FASTEST / 4))
	[ "$SHAPED" != "$1 $fastest" ] || return 0
	for mbit in $(mbits_of "$1" "$fastest"); do shape $((++i)) "$mbit"; done
	SHAPED="$1 $fastest"
}

# What to measure at each speed: the first of each list, and each other one with the first of the other lists; or all.
cells() {
	local bs rw depth others
	for bs in $BS; do
		for rw in $RW; do
			for depth in $DEPTHS; do
				others=0
				[ "$bs" = "${BS%% *}" ] || : $((others++))
				[ "$rw" = "${RW%% *}" ] || : $((others++))
				[ "$depth" = "${DEPTHS%% *}" ] || : $((others++))
				[ -z "${CROSS-}" ] && [ $others -gt 1 ] || echo "$bs $rw $depth"
			done
		done
	done
}

# The paths by themselves, once for each size and kind of I/O.
alone() {
	local path speed=()
	[ -z "${ALONE[$speeds $1 $2]-}" ] || return 0
	ALONE[$speeds $1 $2]=1
	for path in "${PATHS[@]}"; do
		balance_load "$path" "$1" "$2" "${DEPTHS%% *}"
		speed+=("$(of_load .bw_bytes)")
	done
	result "alone $speeds $1 $2 ${speed[*]}"
	tell "$(tail -n 1 "$OUT/results")"
}
declare -A ALONE

balance_load() {
	load "$1" "$(block_size "$2")" --rw="$3" --rwmixread=70 --iodepth="$4" --time_based \
		--runtime="$SECONDS_" --ramp_time="$RAMP_S" </dev/null
}
