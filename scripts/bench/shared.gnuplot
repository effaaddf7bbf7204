# SPDX-License-Identifier: GPL-2.0-only
# The chart of "shared": bars for each ratio of speeds, from what shared.awk wrote.

stats data skip 1 using 2 nooutput
set title "{/:Bold=16 A light load beside a heavy one: 99 % of its I/Os are done within}" textcolor rgb ink
set style data histograms
set style histogram clustered gap 1
set yrange [0:]
set xtics scale 0
set xlabel "speeds of the NICs" textcolor rgb ink
set ylabel "ms" textcolor rgb ink
set key outside right center vertical spacing 3.2
plot for [i = 2:STATS_columns] data using i:xtic(1) title columnheader(i)
