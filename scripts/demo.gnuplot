# SPDX-License-Identifier: GPL-2.0-only
# The timeline of "make demo". scripts/demo.sh sets: rates, a file of <s> and MB/s of the bond's and of dm-multipath's
# two paths; pull1, plug1, pull2, plug2, slow1, mend1, end, in s; bond and mpath, the mean MB/s before the first pull
# and for each pull the longest I/O in s, the time until 80 % of the speed in s, and a third number, then of the slow
# cable the longest I/O in s and the percent of the speed before; and svg, the file to make.

set terminal svg size 960,600 font "Helvetica,Arial,sans-serif,14" background rgb "white" linewidth 1
set encoding utf8
set output svg

ink = "#333333"
eth1 = "#0072B2" # Colours that the colour-blind can tell apart (Okabe and Ito).
eth2 = "#E69F00"

stats rates using ($2 + $3) nooutput name "b"
stats rates using ($4 + $5) nooutput name "m"
top = ceil(1.5 * (b_max > m_max ? b_max : m_max))

set multiplot
set border 3 linecolor rgb ink
set tics nomirror out textcolor rgb ink scale 0.5
set lmargin at screen 0.075
set rmargin at screen 0.98
set xrange [0:end]
set yrange [0:top]
set xtics 10
set ytics 2
set grid ytics linecolor rgb "#dddddd" linewidth 1
set key off
set style fill solid 1.0 noborder

set object 1 rectangle from pull1, graph 0 to plug1, graph 1 behind fillcolor rgb "#e4e4e4" fillstyle solid noborder
set object 2 rectangle from pull2, graph 0 to plug2, graph 1 behind fillcolor rgb "#e4e4e4" fillstyle solid noborder

set object 3 rectangle from slow1, graph 0 to mend1, graph 1 behind fillcolor rgb "#f1f1f1" fillstyle solid noborder

middle1 = (pull1 + plug1) / 2
middle2 = (pull2 + plug2) / 2
seconds(s) = sprintf(real(s) < 1 ? "%.2f s" : "%.1f s", real(s))
longest(s, n) = "longest I/O " . seconds(word(s, 3 * n - 1))
middle3 = (slow1 + mend1) / 2
kept(s) = sprintf("%s %% of the speed", word(s, 9))
full(s, n) = sprintf("80 %% speed after %s s", word(s, 3 * n))

# The upper panel.
set tmargin at screen 0.81
set bmargin at screen 0.53
set format x ""
set label 1 "{/:Bold=18 Each adapter’s cable is pulled once, then one is slow}" at screen 0.075, 0.955 left textcolor rgb ink
set label 2 "Throughput of the paths in MB/s, stacked, under verified I/O" at screen 0.075, 0.905 left textcolor rgb ink
set label 3 "■" at screen 0.74, 0.905 left textcolor rgb eth1
set label 4 "over eth1" at screen 0.76, 0.905 left textcolor rgb ink
set label 5 "■" at screen 0.86, 0.905 left textcolor rgb eth2
set label 6 "over eth2" at screen 0.88, 0.905 left textcolor rgb ink
set label 7 "{/:Bold bond}" at graph 0, 1.07 left textcolor rgb ink
set label 8 "cable 1 out" at middle1, graph 0.92 center front textcolor rgb ink
set label 9 full(bond, 1) at middle1, graph 0.81 center front textcolor rgb ink
set label 10 longest(bond, 1) at middle1, graph 0.70 center front textcolor rgb ink
set label 11 "cable 2 out" at middle2, graph 0.92 center front textcolor rgb ink
set label 12 full(bond, 2) at middle2, graph 0.81 center front textcolor rgb ink
set label 13 longest(bond, 2) at middle2, graph 0.70 center front textcolor rgb ink
set label 14 "cable 1 slow" at middle3, graph 0.92 center front textcolor rgb ink
set label 15 kept(bond) at middle3, graph 0.81 center front textcolor rgb ink
set label 16 "longest I/O " . seconds(word(bond, 8)) at middle3, graph 0.70 center front textcolor rgb ink
set ylabel "MB/s" textcolor rgb ink offset 1
plot rates using 1:($2 + $3) with filledcurves y1=0 fillcolor rgb eth2, \
	rates using 1:2 with filledcurves y1=0 fillcolor rgb eth1

# The lower one.
do for [i = 1:6] { unset label i }
set tmargin at screen 0.42
set bmargin at screen 0.14
set format x "%g"
set xlabel "seconds" textcolor rgb ink
set label 7 "{/:Bold dm-multipath}"
set label 9 full(mpath, 1)
set label 10 longest(mpath, 1)
set label 12 full(mpath, 2)
set label 13 longest(mpath, 2)
set label 15 kept(mpath)
set label 16 "longest I/O " . seconds(word(mpath, 8))
plot rates using 1:($4 + $5) with filledcurves y1=0 fillcolor rgb eth2, \
	rates using 1:4 with filledcurves y1=0 fillcolor rgb eth1
unset multiplot
