# SPDX-License-Identifier: GPL-2.0-only
# What the tables of "make bench" share. Every section's program follows it: it reads the lines that its .sh describes,
# prints a page in Markdown, writes what its chart is drawn from to "data", and what the judged device fell short of to
# "shorts". scripts/bench.sh sets these two, "machine", a text, and all its settings.

BEGIN { OFMT = "%.6g" }

$1 == "skip" {
	name = $2
	sub(/^skip [^ ]* /, "")
	if (!(name in skipped))
		leftout = leftout (leftout ? "; " : "") title(name) ": " $0
	skipped[name] = 1
	next
}

# The devices in the order in which they came; peers are all that are neither a bond nor dm-linear.
function meet(device) {
	if (device in met)
		return
	met[device] = 1
	device_[++devices] = device
}
function is_bond(device) { return device ~ /^bond-/ }
function is_peer(device) { return device ~ /^(mpath|native)-/ }

function title(device) {
	if (device == "none")
		return "the disk itself"
	if (device == "linear")
		return "dm-linear"
	if (device ~ /^mpath-/)
		return "dm-multipath " substr(device, 7)
	if (device ~ /^native-/)
		return "native " substr(device, 8)
	sub(/-/, " ", device)
	return device
}

function begin_page(heading, text) {
	print "## " heading "\n\n" text "\n"
}

function end_page() {
	if (JUDGED in skipped)
		short(title(JUDGED) " is not there")
	if (leftout)
		print "\nNot there: " leftout "."
	print "\n" machine
}

# begin_row(); cell(x)...; end_row(): and rule(n), which aligns all cells but n to the right.
function begin_row() { printf "|" }
function cell(text) { printf " %s |", text }
function end_row() { print "" }
function rule(left, right,    line) {
	line = "|"
	while (left-- > 0)
		line = line "---|"
	while (right-- > 0)
		line = line "---:|"
	print line
}

# The heads of the columns after the first, parted by ";", and the rule below them.
function head(names,    n, i, name) {
	n = split(names, name, ";")
	begin_row()
	cell("")
	for (i = 1; i <= n; i++)
		cell(name[i])
	end_row()
	rule(1, n)
}

function number(n,    text, sign) {
	text = sprintf("%.0f", n)
	sign = sub(/^-/, "", text) ? "-" : ""
	while (match(text, /^[0-9][0-9][0-9][0-9]+/))
		text = substr(text, 1, RLENGTH - 3) "," substr(text, RLENGTH - 2)
	return sign text
}

function short(text) { print text >shorts }

# A name in the chart's data, on two lines.
function quote(text) {
	sub(/ /, "\\n", text)
	return "\"" text "\""
}

# The first line of the chart's data: what the first column is, and the devices' titles.
function data_head(first,    line, d) {
	line = first
	for (d = 1; d <= devices; d++)
		line = line " " quote(title(device_[d]))
	print line >data
}
