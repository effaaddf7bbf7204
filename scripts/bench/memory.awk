# SPDX-License-Identifier: GPL-2.0-only
# The page of "memory": see common.awk. No chart.

$1 == "memory" { meet($2); bytes[$2, $3] = $4 }
$1 == "bio" { bio[$2] = $3 }

END {
	begin_page("Memory", "Bytes that the slab and the per-CPU allocators gave when a device was made, and for a " \
		"4 KiB read in flight beside what its disk takes. A path: the difference between a device with 64 and one " \
		"with 1, by 63. The device: what one with 1 path takes, less that path; device mapper's own part, which " \
		"dm-linear shows, is in it. What is kept for each CPU counts for all of them.")
	head("the device;a path;an I/O in flight")
	for (d = 1; d <= devices; d++) {
		device = device_[d]
		path = ((device, 64) in bytes) ? (bytes[device, 64] - bytes[device, 1]) / 63 : 0
		begin_row()
		cell(title(device))
		cell(number(bytes[device, 1] - path))
		cell(path ? number(path) : "")
		cell(number(bio[device]))
		end_row()
	}
	end_page()
}
