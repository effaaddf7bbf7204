# SPDX-License-Identifier: GPL-2.0-only
# The page of "balance": see common.awk. Chart: a line of the devices' titles, then for each ratio of speeds its name
# and the devices' parts of the sum, at the first load.

$1 == "alone" {
	for (i = 5; i <= NF; i++)
		sum[$2, $3, $4] += $i
	next
}
$1 == "balance" {
	meet($6)
	cell_ = $2 SUBSEP $3 SUBSEP $4 SUBSEP $5
	if (!(cell_ in known)) {
		known[cell_] = 1
		cell_at[++cells] = cell_
	}
	bytes[cell_, $6] = $7
	median[cell_, $6] = $8 / 1000
	p99[cell_, $6] = $9 / 1000
}

function names(cell_,    n, part) {
	n = split(cell_, part, SUBSEP)
	return part[1] ", " load_name(part[3]) ", " part[2] ", depth " part[4]
}
function load_name(rw) {
	return rw == "randread" ? "reads" : rw == "randwrite" ? "writes" : rw == "randrw" ? "70/30" : rw
}

function whole(cell_,    part) {
	split(cell_, part, SUBSEP)
	return sum[part[1], part[2], part[3]]
}
function part_of(cell_, device) { return whole(cell_) ? 100 * bytes[cell_, device] / whole(cell_) : 0 }

function times(cell_, device) {
	return ((cell_, device) in bytes) ? sprintf("%.0f / %.0f", median[cell_, device], p99[cell_, device]) : ""
}

# The peer with the most bytes/s, or the one with the lowest 99th percentile.
function best(cell_, lowest,    d, rival, found) {
	for (d = 1; d <= devices; d++) {
		rival = device_[d]
		if (!is_peer(rival) || !((cell_, rival) in bytes))
			continue
		if (!found || (lowest ? p99[cell_, rival] < p99[cell_, found] : bytes[cell_, rival] > bytes[cell_, found]))
			found = rival
	}
	return found
}

function judge(cell_, device,    rival, part) {
	if (!((cell_, device) in bytes))
		return
	rival = best(cell_, 0)
	if (rival && bytes[cell_, device] < 0.98 * bytes[cell_, rival])
		short(sprintf("%s: %s %.1f %% of the sum, %s %.1f %%", names(cell_), title(device), part_of(cell_, device),
			title(rival), part_of(cell_, rival)))
	rival = best(cell_, 1)
	if (rival && p99[cell_, device] > 1.1 * p99[cell_, rival])
		short(sprintf("%s: 99 %% of the I/Os of %s within %.0f ms, of %s within %.0f ms", names(cell_), title(device),
			p99[cell_, device], title(rival), p99[cell_, rival]))
	split(cell_, part, SUBSEP)
	if (part[2] == "32k" && part[4] == 32 && whole(cell_) && part_of(cell_, device) < 99)
		short(sprintf("%s: %s %.1f %% of the sum, less than 99 %%", names(cell_), title(device),
			part_of(cell_, device)))
}

function titles(    d, text) {
	for (d = 1; d <= devices; d++)
		text = text (d > 1 ? ";" : "") title(device_[d])
	return text
}

END {
	begin_page("How well the load is shared", "NVMe/TCP paths of different speeds, the fastest " FASTEST \
		" Mbit/s (tbf), for I/Os of 4 KiB a quarter of that, as an emulated CPU sends only some 2,200 a second; random " \
		"I/O, io_uring, " SECONDS_ " s each, after " RAMP_S " s that do not count; the bond static with shares set " \
		"right. Throughput in percent of the sum of what each path does alone at depth " (DEPTHS + 0) " (in the same " \
		"boot; native devices have one of their own, and are held against that sum).")
	head(titles())
	for (c = 1; c <= cells; c++) {
		begin_row()
		cell(names(cell_at[c]))
		for (d = 1; d <= devices; d++)
			cell(((cell_at[c], device_[d]) in bytes) ? sprintf("%.1f", part_of(cell_at[c], device_[d])) : "")
		end_row()
		judge(cell_at[c], JUDGED)
	}
	print "\nTime that an I/O takes, median / 99th percentile, in ms:\n"
	head(titles())
	for (c = 1; c <= cells; c++) {
		begin_row()
		cell(names(cell_at[c]))
		for (d = 1; d <= devices; d++)
			cell(times(cell_at[c], device_[d]))
		end_row()
	}
	split(BS, bs, " ")
	split(RW, rw, " ")
	split(DEPTHS, depth, " ")
	n = split(SPEEDS, speeds, " ")
	data_head("speeds")
	for (s = 1; s <= n; s++) {
		line = speeds[s]
		for (d = 1; d <= devices; d++)
			line = line " " part_of(speeds[s] SUBSEP bs[1] SUBSEP rw[1] SUBSEP depth[1], device_[d])
		print line >data
	}
	end_page()
}
