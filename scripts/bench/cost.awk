# SPDX-License-Identifier: GPL-2.0-only
# The page of "cost": see common.awk. Chart: <device> <instructions above dm-linear, for every load>.

$1 == "cost" { meet($2); took[$2, $3, $4] = $5; seen[$3, $4] = 1; next }
$1 == "events" { for (i = 1; i <= 4; i++) counted[$2, $3, i] = $(3 + i) > 0 ? $(3 + i) : 0; next }

function cheapest(rw, depth,    d, best) {
	for (d = 1; d <= devices; d++)
		if (is_peer(device_[d]) && ((device_[d], rw, depth) in took) && (!best || took[device_[d], rw, depth] < best))
			best = took[device_[d], rw, depth]
	return best
}

function fewest(depth, i,    d, best) {
	best = -1
	for (d = 1; d <= devices; d++)
		if (is_peer(device_[d]) && (best < 0 || counted[device_[d], depth, i] < best))
			best = counted[device_[d], depth, i]
	return best
}

function above(device, rw, depth) { return took[device, rw, depth] - took["linear", rw, depth] }

function part(device, rw, depth) {
	return above(device, rw, depth) / (cheapest(rw, depth) - took["linear", rw, depth])
}

function judge(device, rw, depth,    more) {
	more = above(device, rw, depth)
	if (cheapest(rw, depth) && part(device, rw, depth) > 0.5)
		short(sprintf("%s, random %ss, depth %d: %.2f of what dm-multipath adds to dm-linear, more than 0.5",
			title(device), rw, depth, part(device, rw, depth)))
	if (depth == 1 && more > 1000)
		short(sprintf("%s, random %ss, depth 1: %s instructions above dm-linear, more than 1,000", title(device), rw,
			number(more)))
}

END {
	split("read write", rws)
	split("1 32", depths)
	events = "allocations;bytes allocated;works queued;context switches"
	split(events, what, ";")
	begin_page("What an I/O costs", "Instructions per I/O, fio's own and the disk's included: 4 KiB, random, " \
		"io_uring, two null_blk disks as paths (dm-linear: one), " number(IOS) " I/Os. In parentheses: above " \
		"dm-linear, and as a part of what the cheapest selector of dm-multipath (queue_mode bio) is above it.")
	head("reads, depth 1;reads, depth 32;writes, depth 1;writes, depth 32")
	for (d = 1; d <= devices; d++) {
		device = device_[d]
		begin_row()
		cell(title(device))
		line = quote(title(device))
		for (r = 1; r <= 2; r++)
			for (q = 1; q <= 2; q++) {
				text = number(took[device, rws[r], depths[q]])
				if (is_bond(device) || is_peer(device)) {
					text = text " (" number(above(device, rws[r], depths[q]))
					if (cheapest(rws[r], depths[q]))
						text = text sprintf("; %.2f", part(device, rws[r], depths[q]))
					text = text ")"
					line = line " " above(device, rws[r], depths[q])
				}
				cell(text)
				if (device == JUDGED)
					judge(device, rws[r], depths[q])
			}
		end_row()
		if (is_bond(device) || is_peer(device))
			print line >data
	}
	print "\nPer I/O, random reads, at depth 1 / at depth 32 (submitted 16 at a time):\n"
	head(events)
	for (d = 1; d <= devices; d++) {
		device = device_[d]
		begin_row()
		cell(title(device))
		for (i = 1; i <= 4; i++) {
			cell(sprintf(i == 2 ? "%.0f / %.0f" : "%.2f / %.2f", counted[device, 1, i], counted[device, 32, i]))
			for (q = 1; q <= 2; q++)
				if (device == JUDGED && fewest(depths[q], i) >= 0 &&
				    counted[device, depths[q], i] > fewest(depths[q], i) + 0.05)
					short(sprintf("%s, depth %d: %.2f %s per I/O, dm-multipath %.2f", title(device), depths[q],
						counted[device, depths[q], i], what[i], fewest(depths[q], i)))
		}
		end_row()
	}
	end_page()
}
