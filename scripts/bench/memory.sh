# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# "make bench", in the guest: memory. Sourced by scripts/guest/bench. Results:
#   memory <device> <paths> <bytes allocated when it was made, and not free again>
#   bio <device> <bytes allocated for an I/O, less what the disk itself takes>

# shellcheck source=cost.sh
. "$TOP/scripts/bench/cost.sh"

TRACING=/sys/kernel/tracing

section_memory() {
	local device paths disk own
	modprobe null_blk nr_devices=0 || die "no null_blk"
	nulls 64
	read -r _ disk _ < <(events none 32 $((IOS / 4)))
	for device in $DEVICES; do
		for paths in 1 64; do
			[ "$device $paths" != "linear 64" ] || continue
			tracing 1
			if ! device_up "$device" "$device" "${NULLS[@]:0:paths}"; then
				tracing 0
				skip "$device" "$WHY"
				break
			fi
			sleep 1 # Some is freed late.
			tracing 0
			result "memory $device $paths $(outstanding)"
			tell "$(tail -n 1 "$OUT/results")"
			if [ $paths = 1 ]; then
				read -r _ own _ < <(events "$device" 32 $((IOS / 4)))
				result "bio $device $(awk "BEGIN { print $own - $disk }")"
			fi
			device_down "$device"
		done
	done
}

# tracing <1 or 0>: of what the slab and the per-CPU allocators give and take back. Whole pages are not counted.
tracing() {
	local event
	echo "$1" >$TRACING/tracing_on
	for event in kmem/{kmalloc,kmem_cache_alloc,kfree,kmem_cache_free} percpu/percpu_{alloc,free}_percpu; do
		echo "$1" >"$TRACING/events/$event/enable" || die "cannot trace $event"
	done
	[ "$1" = 0 ] || { echo 32768 >$TRACING/buffer_size_kb && : >$TRACING/trace; }
}

outstanding() {
	awk '
		function value(name) {
			match($0, " " name "=[^ ]*")
			return substr($0, RSTART + length(name) + 2, RLENGTH - length(name) - 2)
		}
		/percpu_alloc_percpu:/ { given[value("base_addr") value("off")] = value("bytes_alloc"); next }
		/percpu_free_percpu:/ { delete given[value("base_addr") value("off")]; next }
		/: (kmalloc|kmem_cache_alloc):/ { given[value("ptr")] = value("bytes_alloc"); next }
		/: (kfree|kmem_cache_free):/ { delete given[value("ptr")] }
		END {
			for (ptr in given)
				sum += given[ptr]
			print sum + 0
		}
	' $TRACING/trace
}
