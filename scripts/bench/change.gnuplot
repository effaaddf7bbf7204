# SPDX-License-Identifier: GPL-2.0-only
# The chart of "change": throughput over time, from what change.awk wrote.

stats data skip 1 using 2 nooutput
set title "{/:Bold=16 One of two paths becomes ten times slower, and fast again}" textcolor rgb ink
set yrange [0:]
set xlabel "seconds" textcolor rgb ink
set ylabel "MB/s" textcolor rgb ink
set key outside right center vertical spacing 3.2
plot for [i = 2:STATS_columns] data using 1:i with lines title columnheader(i)
