# SPDX-License-Identifier: GPL-2.0-only
# The chart of "cost": bars, from what cost.awk wrote.

set title "{/:Bold=16 Instructions of an I/O above dm-linear’s}" textcolor rgb ink
set style data histograms
set style histogram clustered gap 1
set yrange [0:]
set xtics scale 0 font ",10"
set bmargin 4
plot data using 2:xtic(1) title "reads, depth 1", "" using 3 title "reads, depth 32", \
	"" using 4 title "writes, depth 1", "" using 5 title "writes, depth 32"
