# SPDX-License-Identifier: GPL-2.0-only
# What the charts of "make bench" share; each section's script follows it. scripts/bench.sh sets data and svg.

set terminal svg size 960,540 font "Helvetica,Arial,sans-serif,14" background rgb "white" linewidth 1
set encoding utf8
set output svg

ink = "#333333"
# Colours that the colour-blind can tell apart (Okabe and Ito).
array colour[7] = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999"]
set linetype 1 linecolor rgb colour[1]
do for [i = 1:7] { set linetype i linecolor rgb colour[i] linewidth 2 }

set border 3 linecolor rgb ink
set tics nomirror out textcolor rgb ink scale 0.5
set grid ytics linecolor rgb "#dddddd" linewidth 1
set key top left Left reverse textcolor rgb ink samplen 1
set style fill solid 1.0 noborder
