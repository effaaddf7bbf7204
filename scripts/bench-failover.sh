#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What "make bench-failover" runs: the longest I/O through every kind of fault of a path, on a bond, on dm-multipath and
# on NVMe's native multipath. Prints one table, in $CACHE/bench-failover/table.md, too. Fails if the bond fell short of
# what scripts/bench-failover.awk asks of it. Let nothing else run meanwhile: emulated CPUs are short of time as it is.
# What to measure can be set:
#   SECTIONS="nvme native iscsi"    a boot for each: bond and dm-multipath over NVMe/TCP; native multipath; the former
#                                   two over iSCSI
#   DEPTHS="1 32"                   I/Os that are under way at a time
#   FAULTS="admin carrier loss port cable reset namespace"
#   REPEAT=1                        how often each is measured; the worst counts
#   HOLD=12, ISCSI_HOLD=150         seconds that a fault lasts; "reset" and "namespace" 12 s at most
# KDIR= names a prepared kernel tree.
. "$(dirname "$0")/common.sh"
. "$TOP/selftests/kernel-log.sh"

ENTER=$TOP/scripts/enter.sh
CONSOLE=$CACHE/log/bench-failover-console.log
OUT=$CACHE/bench-failover
SECTIONS=${SECTIONS:-nvme native iscsi}
DEPTHS=${DEPTHS:-1 32}
FAULTS=${FAULTS:-admin carrier loss port cable reset namespace}
REPEAT=${REPEAT:-1}
HOLD=${HOLD:-12}
ISCSI_HOLD=${ISCSI_HOLD:-150}
# The errors after which fio goes on, and the one at which it ends.
ERRORS="[.jobs[] | .total_err + (if .error == 0 then 0 else 1 end)] | add // 1"
declare -A APPEND=([native]="nvme_core.multipath=Y nvme_core.iopolicy=round-robin")

# measure <run> <device>: <longest I/O in s> <1: it outlasted the fault> <longest after the fault, what came before its
# end not counted> <longest before the fault>
measure() {
	awk -v hung="$([ ! -e "$1/$2.hung" ] || echo 1)" '
		FNR == NR {
			if (!origin)
				origin = int($1)
			at[$2] = $1 - origin
			next
		}
		{
			ended = $1 / 1000 - origin
			took = $2 / 1e9
			if (ended < at["fault"])
				before = took > before ? took : before
			else if (ended <= at["undo"])
				longest = took > longest ? took : longest
			else {
				began = ended - took
				if (began < at["undo"] && at["undo"] - began > open)
					open = at["undo"] - began
				if (began < at["undo"])
					took = ended - at["undo"]
				after = took > after ? took : after
			}
		}
		END {
			hold = int(at["undo"] - at["fault"])
			if (hung || open > hold)
				open = hold
			outlasted = open > longest
			printf "%.3f %d %.3f %.3f\n", outlasted ? open : longest, outlasted, after, before
		}
	' "$1/events" "$1/$2.log"
}

# What scripts/bench-failover.awk reads.
results() {
	local section run name device rest errors
	! [ -e "$OUT/nvme/stall_ms" ] || echo "stall_ms $(<"$OUT/nvme/stall_ms")"
	for section in $SECTIONS; do
		for run in "$OUT/$section"/*-*-*; do
			[ -e "$run/events" ] || continue
			name=${run##*/}
			rest=${name#*-}
			for device in bond mpath native; do
				[ -e "$run/$device.log" ] || continue
				errors=$("$ENTER" -- jq "$ERRORS" "$run/$device.json" 2>/dev/null || true)
				echo "$section ${rest%-*} ${name%%-*} $device $(measure "$run" "$device")" \
					"$(<"$run/$device.hit") ${errors:-1}" \
					"$(grep -Ec '^verify: |: verify failed' "$run/$device.errors") $(wc -l <"$run/$device.log")"
			done
		done
	done
}

intro() {
	cat <<-END
		Longest I/O in seconds, all timers at their defaults; the worst of $REPEAT. Each fault hits one of two paths,
		for $HOLD s, with iSCSI $ISCSI_HOLD s.
		$(machine "$OUT/${SECTIONS%% *}/machine")

	END
}

notes() {
	cat <<-END
		- "> s": the I/O had not ended when the fault did. "*": no I/O of the device came back from the path.
		- (1) The namespace is gone on all paths at once, and with it their disks; those that come afterwards are other
		  ones. The bond and dm-multipath, which let I/O wait (queue_if_no_path), are then given a new table. Native
		  multipath has no such way. The LUN's disks stay, and its target fails all I/O as write protected.
		- (2) Of NVMe: reset_controller in sysfs; of iSCSI: sg_reset --target. Each device's own is reset.
		- The bond: dm-bond-nvme or dm-bond-iscsi, queue_if_no_path, static. dm-multipath: queue_if_no_path, queue_mode
		  bio, round-robin, and in multipathd's stead a loop that reads from failed paths every second. Native
		  multipath: iopolicy round-robin; in a boot of its own. The bond and dm-multipath run side by side over the same
		  cables (veth, 40 ms in each direction) to one nvmet subsystem, or LIO target, each with controllers, or
		  sessions, of its own.
		- The load: fio, random writes of 4 KiB, read back and verified (crc32c).
	END
}

RELEASE=$("$ENTER" -- cat /etc/dm-bond-release)
KDIR=${KDIR:-$("$ENTER" -- scripts/kernel-tree.sh "$RELEASE")}
step "build the modules" "$ENTER" -- make modules KDIR="$KDIR"
failed=
for section in $SECTIONS; do
	say "boot a virtual machine with kernel $RELEASE for \"$section\" ..."
	dir=$OUT/$section
	rm -rf "${dir:?}"
	mkdir -p "$dir"
	hold=$HOLD
	[ "$section" != iscsi ] || hold=$ISCSI_HOLD
	"$TOP/scripts/vm.sh" --log "$CONSOLE" --timeout "${TIMEOUT:-7200}" \
		--append "log_buf_len=8M ${APPEND[$section]-}" -- \
		env DEPTHS="$DEPTHS" FAULTS="$FAULTS" REPEAT="$REPEAT" HOLD="$hold" \
		scripts/guest/bench-failover "$section" "$dir" ||
		failed+="failed: \"$section\" failed in the guest (status $?)"$'\n'
	[ -e "$dir/kernel-log" ] || cp "$CONSOLE" "$dir/kernel-log"
	! kernel_faults <"$dir/kernel-log" >"$dir/faults" ||
		failed+="failed: the kernel's log has faults ($dir/faults): $(head -n 1 "$dir/faults")"$'\n'
done
rm -f "$OUT/short"
results >"$OUT/results"
{
	intro
	awk -v depths="$DEPTHS" -v shorts="$OUT/short" -f "$TOP/scripts/bench-failover.awk" "$OUT/results"
	notes
} >"$OUT/table.md"
cat "$OUT/table.md"
printf '\nThe table: %s\n' "$OUT/table.md"
printf %s "$failed"
[ ! -e "$OUT/short" ] || sed 's/^/FELL SHORT: /' "$OUT/short"
[ -z "$failed" ] && [ ! -e "$OUT/short" ]
