# SPDX-License-Identifier: GPL-2.0-only
# The page of "scaling": see common.awk. No chart.

$1 == "scaling" {
	meet($2)
	one[$2, $3] = $4
	two[$2, $3] = $5
	if ($3 > rounds)
		rounds = $3
}

# The median over the rounds of one of: one, two, two / one, and that relative to dm-linear's.
function median(device, what,    n, r, s, values, v) {
	for (r = 1; r <= rounds; r++) {
		if (!((device, r) in one))
			continue
		v = two[device, r] / one[device, r]
		if (what == "one")
			v = one[device, r]
		if (what == "two")
			v = two[device, r]
		if (what == "relative") {
			if (!(("linear", r) in one))
				continue
			v /= two["linear", r] / one["linear", r]
		}
		for (s = n++; s > 0 && values[s] > v; s--)
			values[s + 1] = values[s]
		values[s + 1] = v
	}
	return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

END {
	begin_page("What a second CPU is worth", "I/Os per second of one job and of two, each on its own CPU: 4 KiB, " \
		"random reads, io_uring, depth 32 (submitted 16 at a time), two null_blk disks as paths. Medians of " rounds \
		" rounds of " ROUND_S " s, the devices in turns. Required: 0.95 of dm-linear's.")
	head("one job;two jobs;two / one;relative to dm-linear's")
	for (d = 1; d <= devices; d++) {
		device = device_[d]
		relative = median(device, "relative")
		begin_row()
		cell(title(device))
		cell(number(median(device, "one")))
		cell(number(median(device, "two")))
		cell(sprintf("%.2f", median(device, "ratio")))
		cell(sprintf("%.2f", relative))
		end_row()
		if (device == JUDGED && relative < 0.95)
			short(sprintf("%s: two jobs over one are %.3f of dm-linear's, less than 0.95", title(device), relative))
	}
	end_page()
}
