# SPDX-License-Identifier: GPL-2.0-only
# The page of "shared": see common.awk. Chart: a line of the devices' titles, then for each ratio of speeds its name and
# the 99th percentiles of the light load's I/Os in ms.

BEGIN {
	JUDGED = "bond-adapter-load"
	loads = split("heavy middle light", load_)
}

$1 == "single" {
	for (l = 1; l <= loads; l++)
		due[$2, l] += $(3 + l)
	next
}
$1 == "shared" {
	meet($3)
	for (l = 1; l <= loads; l++) {
		bytes[$2, $3, l] = $(2 + 2 * l)
		p99[$2, $3, l] = $(3 + 2 * l) / 1000
	}
}

function measured(speeds, device) { return (speeds, device, 1) in bytes }

# What a load gets, of its due: see the page.
function part(speeds, device, l) { return due[speeds, l] ? bytes[speeds, device, l] / due[speeds, l] : 0 }

function throughput(speeds, device,    l, sum, all) {
	for (l = 1; l <= loads; l++) {
		sum += bytes[speeds, device, l]
		all += due[speeds, l]
	}
	return all ? sum / all : 0
}

# R. Jain, D. Chiu, W. Hawe: "A Quantitative Measure of Fairness and Discrimination", 1984.
function fairness(speeds, device,    l, x, sum, squares) {
	for (l = 1; l <= loads; l++) {
		x = part(speeds, device, l)
		sum += x
		squares += x * x
	}
	return squares ? sum * sum / (loads * squares) : 0
}

function is_unequal(speeds,    n, s) {
	n = split(speeds, s, ":")
	while (n > 1 && s[n] == s[1])
		n--
	return n > 1
}

function judge(speeds, device,    d, rival) {
	if (!measured(speeds, device) || !is_unequal(speeds))
		return
	for (d = 1; d <= devices; d++) {
		rival = device_[d]
		if (!is_peer(rival) || !measured(speeds, rival))
			continue
		if (throughput(speeds, device) < 0.98 * throughput(speeds, rival))
			short(sprintf("%s: %s %.1f %% of the NICs, %s %.1f %%", speeds, title(device),
				100 * throughput(speeds, device), title(rival), 100 * throughput(speeds, rival)))
		if (fairness(speeds, device) < fairness(speeds, rival) - 0.005)
			short(sprintf("%s: fairness of %s %.2f, of %s %.2f", speeds, title(device), fairness(speeds, device),
				title(rival), fairness(speeds, rival)))
		if (p99[speeds, device, loads] > 1.1 * p99[speeds, rival, loads])
			short(sprintf("%s: 99 %% of the light load's I/Os: %s within %.0f ms, %s within %.0f ms", speeds,
				title(device), p99[speeds, device, loads], title(rival), p99[speeds, rival, loads]))
	}
}

function page_of(speeds,    d, device, l) {
	print "NICs " speeds ":\n"
	head("throughput, %;fairness;heavy, %;middle, %;light, %;light, 99th percentile, ms")
	for (d = 1; d <= devices; d++) {
		device = device_[d]
		if (!measured(speeds, device))
			continue
		begin_row()
		cell(title(device))
		cell(sprintf("%.1f", 100 * throughput(speeds, device)))
		cell(sprintf("%.3f", fairness(speeds, device)))
		for (l = 1; l <= loads; l++)
			cell(sprintf("%.0f", 100 * part(speeds, device, l)))
		cell(sprintf("%.0f", p99[speeds, device, loads]))
		end_row()
	}
}

END {
	begin_page("Several LUs over the same NICs", "Three LUs of one storage system, each on a device of its own, all " \
		"three of one kind, over the same two NICs (NVMe/TCP with one queue a NIC; tbf, the faster " FASTEST " Mbit/s). " \
		"All at once, for " SHARED_S " s after " RAMP_S " s that do not count: a heavy load, random reads of 32 KiB, " \
		"depth 32; a middle one, random 70/30, 32 KiB, depth 8; and a light one, random reads of 4 KiB, depth 1. An " \
		"LU's due, 100 %, is what it gets from each NIC when all three loads use that one only, so that there is " \
		"nothing to balance, added up over the NICs; the throughput is that of all LUs in percent of the sum of " \
		"these. Fairness is Jain's index of the LUs' parts of their dues: 1 if all fare alike, 0.33 if one has all.")
	n = split(SHARED_SPEEDS, speeds, " ")
	data_head("speeds")
	for (s = 1; s <= n; s++) {
		if (s > 1)
			print ""
		page_of(speeds[s])
		judge(speeds[s], JUDGED)
		line = speeds[s]
		for (d = 1; d <= devices; d++)
			line = line " " p99[speeds[s], device_[d], loads] + 0
		print line >data
	}
	end_page()
}
