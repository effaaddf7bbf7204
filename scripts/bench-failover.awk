# SPDX-License-Identifier: GPL-2.0-only
# The table of "make bench-failover", in Markdown, from lines of
#   <section> <depth> <fault> <device> <longest I/O in s> <1: it outlasted the fault> <longest after> <longest before>
#   <I/Os hit> <errors> <verify errors> <I/Os>
# scripts/bench-failover.sh sets: depths, and shorts, a file to which it writes what the bond fell short of.

BEGIN {
	NOISE = 0.1 # Seconds by which two runs of the same differ here: a way there and back, and what emulation costs.
	LINE = "| %-41s | %5s | %-12s | %-12s | %-16s |\n"
	name["none"] = "no fault"
	name["admin"] = "adapter set down"
	name["carrier"] = "carrier lost"
	name["loss"] = "all packets lost, link up"
	name["port"] = "target port removed"
	name["cable"] = "adapter unregistered"
	name["reset"] = "controller or target reset (2)"
	name["namespace"] = "namespace or LUN gone (1)"
	faults = split("none admin carrier loss port cable reset namespace", fault)
	title["bond"] = "bond"
	title["mpath"] = "dm-multipath"
	title["native"] = "native multipath"
	devices = split("bond mpath native", device)
	transports = split("NVMe/TCP iSCSI", transport)
	n = split(depths, depth)
	stall = 2
}

$1 == "stall_ms" { stall = $2 / 1000; next }

{
	over = $1 == "iscsi" ? "iSCSI" : "NVMe/TCP"
	add(over, $2, $3, $4, $5, $6)
	add(over, $2, "none", $4, $8, 0)
	key = over SUBSEP $2 SUBSEP $3 SUBSEP $4
	errors[key] += $10
	missed[key] = missed[key] || !$9
	if ($7 > after[$4]) {
		after[$4] = $7
		where[$4] = name[$3] ", depth " $2
	}
	if ($3 != "namespace") # There is nothing to be saved.
		all[$4] += $10
	wrong[$4] += $11
	ios[$4] += $12
	seen[$4] = 1
}

function add(over, d, f, who, took, open,    key) {
	key = over SUBSEP d SUBSEP f SUBSEP who
	if (!(key in longest) || took > longest[key]) {
		longest[key] = took
		unended[key] = open
	}
	rows[over, d, f] = 1
}

function cell(key) {
	if (!(key in longest))
		return "-"
	if (errors[key])
		return "errors: " errors[key]
	return (unended[key] ? "> " : "") sprintf(longest[key] < 9.995 ? "%.2f" : "%.1f", longest[key]) \
		(missed[key] ? "*" : "")
}

function short(what) { print what >shorts }

function judge(over, f, d,    key, c, best, rival, limit) {
	key = over SUBSEP d SUBSEP f SUBSEP "bond"
	if (!(key in longest) || f == "none")
		return
	limit = 0
	if (f == "admin" || f == "carrier")
		limit = over == "iSCSI" ? 1 : 0.5
	else if (f == "loss" && over != "iSCSI")
		limit = stall + 0.5
	if (limit && longest[key] > limit)
		short(over ", " name[f] ", depth " d ": " cell(key) " s, more than " limit " s")
	for (c = 2; c <= devices; c++) {
		rival = over SUBSEP d SUBSEP f SUBSEP device[c]
		# Who gave errors has saved no I/O. One that has not ended when the fault does has no time.
		if (rival in longest && !errors[rival] && !unended[rival] && longest[key] > longest[rival] + NOISE)
			short(over ", " name[f] ", depth " d ": " cell(key) " s, " title[device[c]] " " cell(rival) " s")
	}
}

END {
	printf LINE, "fault", "depth", title["bond"], title["mpath"], title["native"]
	print "|" dashes(43) "|" dashes(6) ":|" dashes(14) "|" dashes(14) "|" dashes(18) "|"
	for (t = 1; t <= transports; t++)
		for (f = 1; f <= faults; f++)
			for (d = 1; d <= n; d++) {
				if (!((transport[t], depth[d], fault[f]) in rows))
					continue
				key = transport[t] SUBSEP depth[d] SUBSEP fault[f] SUBSEP
				printf LINE, transport[t] ": " name[fault[f]], depth[d], cell(key "bond"), cell(key "mpath"),
					cell(key "native")
				judge(transport[t], fault[f], depth[d])
			}
	print ""
	printf "- The bond must take no longer than the better of the others; %.1f s more is no difference.\n", NOISE
	for (c = 1; c <= devices; c++)
		if (device[c] in seen)
			printf "- %s: %d errors while there was a namespace, %d verify errors in %d I/Os. From a fault's end " \
				"until all paths had been back for 3 s, the longest I/O took %.2f s (%s).\n", title[device[c]],
				all[device[c]], wrong[device[c]], ios[device[c]], after[device[c]], where[device[c]]
	if ("bond" in seen && all["bond"] + wrong["bond"])
		short("the bond's I/O had " all["bond"] " errors, " wrong["bond"] " verify errors")
}

function dashes(count,    text) {
	while (count-- > 0)
		text = text "-"
	return text
}
