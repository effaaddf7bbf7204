#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What "make demo" runs: build the modules, boot the stock kernel, and there put verified I/O on a bond and on a
# dm-multipath device, both over the same two adapters, while each adapter's cable is pulled once, and then the first
# one is slow for a while. Ends with a table
# for both, and with a timeline of the throughput of every path in $CACHE/demo/timeline.svg. KDIR= names a prepared
# kernel tree. Fails if the bond's I/O had an error of any kind, or the guest's kernel log a fault.
. "$(dirname "$0")/common.sh"
. "$TOP/selftests/kernel-log.sh"

ENTER=$TOP/scripts/enter.sh
CONSOLE=$CACHE/log/demo-console.log
OUT=$CACHE/demo

# count <device> <what>: from fio's summary. A verify error is an error, too; fio does not tell them apart there.
count() { "$ENTER" -- jq "[.jobs[] | $2] | add" "$OUT/$1.json"; }
verify_errors() { grep -Ec '^verify: |: verify failed' "$OUT/$1.errors" || true; }

# measure <device>: for every pull, what fio's log of each I/O says. Prints: <mean MB/s before> { <longest I/O in s>
# <s until full speed> <percent of the speed before while the cable was out> }... <longest I/O in s while the first cable
# is slow> <percent of the speed before>
measure() {
	awk '
		BEGIN { BIN = 0.05; FULL = 0.8 }
		# The mean speed over a time, in MB/s.
		function speed(from, to,    bin, sum) {
			for (bin = int(from / BIN); bin < int(to / BIN); bin++)
				sum += bytes[bin]
			return sum / (int(to / BIN) - int(from / BIN)) / BIN / 1e6
		}
		FNR == NR {
			if (!origin)
				origin = int($1)
			if ($2 == "pull")
				pulls++
			at[$2, $3] = $1 - origin
			next
		}
		{
			ended = $1 / 1000 - origin
			bytes[int(ended / BIN)] += $4
			for (pull = pulls; pull > 0 && ended < at["pull", pull]; )
				pull--
			if (ended >= at["slow", 1])
				pull = "slow"
			if ($2 / 1e9 > longest[pull])
				longest[pull] = $2 / 1e9
		}
		END {
			before = speed(at["begin", ""], at["pull", 1])
			printf "%.2f", before
			for (pull = 1; pull <= pulls; pull++) {
				from = at["pull", pull]
				next_ = pull < pulls ? at["pull", pull + 1] : at["slow", 1]
				# Full speed has come when it stays.
				for (t = from; t + 2 <= next_; t += BIN)
					if (speed(t, t + 0.5) >= FULL * before && speed(t, t + 2) >= FULL * before)
						break
				back = t + 2 <= next_ ? sprintf("%.1f", t - from) : "never"
				kept = 100 * speed(from, at["plug", pull]) / before
				printf " %.2f %s %.0f", longest[pull], back, kept
			}
			printf " %.2f %.0f\n", longest["slow"], 100 * speed(at["slow", 1], at["mend", 1]) / before
		}
	' "$OUT/events" "$OUT/$1.log"
}

row() { printf '  %-42s %12s %14s\n' "$@"; }

table() {
	local i bond=("${BOND[@]:1}") mpath=("${MPATH[@]:1}")
	echo
	row "" bond dm-multipath
	row "mean speed before the first pull" "${BOND[0]} MB/s" "${MPATH[0]} MB/s"
	for i in 1 2; do
		row "cable $i pulled: longest I/O" "${bond[0]} s" "${mpath[0]} s"
		row "  back at full speed* after" "${bond[1]} s" "${mpath[1]} s"
		row "  of that speed, while the cable was out" "${bond[2]} %" "${mpath[2]} %"
		bond=("${bond[@]:3}") mpath=("${mpath[@]:3}")
	done
	row "cable 1 slow: longest I/O" "${bond[0]} s" "${mpath[0]} s"
	row "  of that speed, while it was slow" "${bond[1]} %" "${mpath[1]} %"
	row "I/O errors" "$ERRORS" "$(count mpath .total_err)"
	row "verify errors" "$(verify_errors bond)" "$(verify_errors mpath)"
	row "blocks written" "$(count bond .write.total_ios)" "$(count mpath .write.total_ios)"
	row "blocks read back and verified" "$(count bond .read.total_ios)" "$(count mpath .read.total_ios)"
	cat <<-END
		  * 80 % of the mean speed before the first pull, of the device as a whole, for at least two seconds

		  The bond sends nothing more over an adapter from the moment it has lost its link, and 50 ms later
		  (abort_ms) lets a command there time out: what was in flight comes back, and goes the other way. On
		  dm-multipath it waits until nvme-tcp gives it up. How much is in flight when a cable is pulled is
		  chance: mostly one to four I/Os here, at times none.

		  A slow cable is no failure: the bond measures it, and gives it as much as it takes.
	END
}

# The speed of every path, from one sample to the next: <s> <MB/s>...
rates() {
	awk '
		FNR == NR { if ($2 == "begin") origin = $1; next }
		seen++ {
			printf "%.2f", ($1 + then) / 2 - origin
			for (i = 2; i <= 5; i++)
				printf " %.3f", ($i > was[i] ? $i - was[i] : 0) / ($1 - then) / 1e6
			print ""
		}
		{ then = $1; for (i = 2; i <= 5; i++) was[i] = $i }
	' "$OUT/events" "$OUT/samples" >"$OUT/rates"
}

draw() {
	local marks
	marks=$(awk '
		$2 == "begin" { origin = $1 }
		$2 ~ /^(pull|plug|slow|mend)$/ { printf "%s%d = %.2f; ", $2, $3, $1 - origin }
		$2 == "end" { printf "end = %.2f; ", $1 - origin }
	' "$OUT/events")
	marks+="bond = '${BOND[*]}'; mpath = '${MPATH[*]}'; "
	marks+="rates = '$OUT/rates'; svg = '$OUT/timeline.svg'"
	rates
	"$ENTER" -- gnuplot -e "$marks" scripts/demo.gnuplot || die "gnuplot failed"
	printf '\n  The timeline: %s\n' "$OUT/timeline.svg"
}

RELEASE=$("$ENTER" -- cat /etc/dm-bond-release)
KDIR=${KDIR:-$("$ENTER" -- scripts/kernel-tree.sh "$RELEASE")}
step "build the modules" "$ENTER" -- make modules KDIR="$KDIR"
say "boot a virtual machine with kernel $RELEASE ..."
status=0
"$TOP/scripts/vm.sh" --log "$CONSOLE" --timeout 600 -- scripts/guest/demo "$OUT" || status=$?
if faults=$(kernel_faults <"$CONSOLE"); then
	head -n 20 <<<"$faults" >&2
	die "the guest's kernel log has faults ($CONSOLE)"
fi
[ "$status" = 0 ] || die "the demo failed in the guest (status $status)"
read -ra BOND <<<"$(measure bond)"
read -ra MPATH <<<"$(measure mpath)"
ERRORS=$(count bond .total_err)
table
draw
if [ "$ERRORS" != 0 ] || [ "$(verify_errors bond)" != 0 ]; then
	die "the bond's I/O had errors ($OUT/bond.errors)"
fi
