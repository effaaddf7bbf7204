# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# "make bench", in the guest: a path that becomes slow in the middle of the load, and fast again. Sourced by
# scripts/guest/bench. Results, the phases being 1 (fast), 2 (slow), 3 (fast again), times in s since the load began:
#   optimum <phase> <bytes/s>     the sum of what each path does alone
#   at <device> <phase> <time>    when it began, phase 4 being the end
#   rate <device> <time> <bytes>  done in the 100 ms from there

# shellcheck source=network.sh
. "$TOP/scripts/bench/network.sh"

section_change() { change; }
native_change() { NATIVE=1 change; }

change() {
	local device fast slow first
	network_up "$STEADY_MBIT" "$FAST_MBIT"
	if [ -z "${NATIVE-}" ]; then
		first=$(alone 1)
		fast=$(alone 2)
		shape 2 "$SLOW_MBIT"
		slow=$(alone 2)
		shape 2 "$FAST_MBIT"
		result "optimum 1 $((first + fast))"
		result "optimum 2 $((first + slow))"
		result "optimum 3 $((first + fast))"
	fi
	for device in $(devices_here); do
		on "$device" || { skip "$device" "$WHY"; continue; }
		rm -f events ./*.log
		change_load "$FILE" --runtime=$((3 * PHASE_S + 10)) --write_lat_log=change --log_unix_epoch=1 \
			--log_entries=65536 --disable_slat=1 --disable_clat=1 &
		sleep 4 # While fio gets going.
		event 1
		sleep "$PHASE_S"
		shape 2 "$SLOW_MBIT" && event 2
		sleep "$PHASE_S"
		shape 2 "$FAST_MBIT" && event 3
		sleep "$PHASE_S"
		event 4
		wait
		rates "$device" >>"$OUT/results"
		tell "$device"
		off "$device"
	done
	rig_down
}

change_load() { load "$1" --rw=randread --bs=32k --iodepth=32 --time_based "${@:2}"; }

alone() {
	change_load "${PATHS[$1 - 1]}" --runtime="$PHASE_S" --ramp_time=2
	of_load .bw_bytes
}

# From fio's log, a line for every I/O: <ms> <ns> <0> <bytes> ...
rates() {
	awk -v device="$1" '
		FNR == NR { at[$2] = $1; next }
		{ bytes[int(($1 / 1000 - at[1]) * 10)] += $4 }
		END {
			for (phase = 1; phase <= 4; phase++)
				printf "at %s %d %.3f\n", device, phase, at[phase] - at[1]
			for (bin = 0; bin < (at[4] - at[1]) * 10; bin++)
				printf "rate %s %.1f %d\n", device, bin / 10, bytes[bin]
		}
	' events change_lat.1.log
}
