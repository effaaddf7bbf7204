# SPDX-License-Identifier: GPL-2.0-only
# The page of "change": see common.awk. Chart: a line of the devices' titles, then lines of <s> and MB/s of each.

$1 == "optimum" { optimum[$2] = $3; next }
$1 == "at" { meet($2); at[$2, $3] = $4; next }
$1 == "rate" { bytes[$2, int($3 * 10 + 0.5)] = $4 }

function speed(device, from, to,    bin, sum) {
	from = int(from * 10)
	to = int(to * 10)
	for (bin = from; bin < to; bin++)
		sum += bytes[device, bin]
	return to > from ? sum / (to - from) * 10 : 0
}

# The time until 95 % of the optimum are reached and kept: in the next half second, in the next two, and to the end.
function reached(device, phase,    enough, t, end) {
	enough = 0.95 * optimum[phase]
	end = at[device, phase + 1]
	for (t = at[device, phase]; t + 2 <= end; t += 0.1)
		if (speed(device, t, t + 0.5) >= enough && speed(device, t, t + 2) >= enough &&
		    speed(device, t, end) >= enough)
			return t - at[device, phase]
	return -1
}
function took(device, phase,    t) {
	t = reached(device, phase)
	return t < 0 ? "never" : sprintf("%.1f s", t)
}
function kept(device, phase) {
	if (optimum[phase])
		return sprintf("%.1f", 100 * speed(device, at[device, phase], at[device, phase + 1]) / optimum[phase])
}

END {
	begin_page("A path that changes its speed", "Two NVMe/TCP paths, one of " STEADY_MBIT " Mbit/s, one of " \
		FAST_MBIT ", then " SLOW_MBIT ", then " FAST_MBIT " again, " PHASE_S " s each; random reads of 32 KiB, depth " \
		"32. The time until 95 % of the new optimum are reached and kept, and the throughput of the phase in percent " \
		"of its optimum, which is the sum of what each path does alone. Bond static has equal shares.")
	head("before, %;slower: after;%;faster: after;%")
	for (d = 1; d <= devices; d++) {
		device = device_[d]
		begin_row()
		cell(title(device))
		cell(kept(device, 1))
		for (phase = 2; phase <= 3; phase++) {
			cell(took(device, phase))
			cell(kept(device, phase))
			if (device == JUDGED)
				judge(device, phase)
		}
		end_row()
	}
	data_head("seconds")
	for (d = 1; d <= devices; d++)
		if (at[device_[d], 4] > end)
			end = at[device_[d], 4]
	for (t = 0.5; t < end; t += 0.5) {
		line = t
		for (d = 1; d <= devices; d++)
			line = line " " speed(device_[d], t - 0.5, t) / 1e6
		print line >data
	}
	end_page()
}

function judge(device, phase,    d, own, rival) {
	own = reached(device, phase)
	for (d = 1; d <= devices; d++) {
		rival = is_peer(device_[d]) ? reached(device_[d], phase) : -1
		if (rival >= 0 && (own < 0 || own > rival + 0.2))
			short(sprintf("a path became %s, 95 %% of the optimum after: %s %s, %s %s",
				phase == 2 ? "slower" : "faster", title(device), took(device, phase), title(device_[d]),
				took(device_[d], phase)))
	}
}
