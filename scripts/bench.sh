#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What "make bench" runs: what a bond costs and how well it shares the load, beside dm-multipath and others. Prints a
# page of tables for each section; they and their charts are in $CACHE/bench, too, as <section>.md and <section>.svg.
# Fails if the bond fell short of what the sections ask of it. Let nothing else run meanwhile: emulated CPUs are short
# of time as it is. What to measure can be set:
#   SECTIONS="cost scaling memory balance shared change"    each in a boot of its own
#   DEVICES="..."          of linear, bond-<policy>, mpath-<selector>, native-<iopolicy>, in place of each section's own
#                          (WHICH below). What the module or the kernel does not have is skipped
#   JUDGED=bond-dynamic    the device that must not fall short; in "shared" it is bond-adapter-load
#   INTERVAL_MS=           bond-dynamic's; empty: the module's default
#   QUICK=1                less of all that follows, in some 10 minutes in place of 60
#   BENCH_DOC=1            make Documentation/benchmarks.md and its charts of what is in $CACHE/bench, from this run and
#                          earlier ones; with SECTIONS= of earlier ones only
#   REPORT=1               boot nothing: pages and charts of what was measured before, with the same settings
# cost: instructions, allocations, works and context switches of a 4 KiB I/O, on null_blk, with one CPU
# memory: bytes of a device, a path and an I/O
#   IOS=100000             I/Os of a measurement
# scaling: one job and two with two CPUs, on null_blk
#   ROUNDS=4 ROUND_S=3     medians of so many rounds, each of so many seconds
# balance: NVMe/TCP paths of different speeds
#   SPEEDS="1:1 4:1 16:1 8:3:1"    the ratios
#   RW="randread randwrite randrw" BS="32k 4k 4k-256k" DEPTHS="32 8 2"    the first of each, and each other one with
#                          the first of the other two; with CROSS=1 all with all. randrw is 70/30
#   FASTEST=80             Mbit/s of the fastest path; a quarter of that for I/Os of 4k, of which an emulated CPU sends
#                          some 2,200 a second: so it is the paths that are the limit, as elsewhere
#   SECONDS_=6 RAMP_S=2    of each measurement, and before it
# shared: three LUs with unequal loads over the same two NICs, each on a device of its own
#   SHARED_SPEEDS="4:1 1:1"    the ratios; FASTEST= and RAMP_S= as above
#   SHARED_S=20            seconds of each measurement
# change: a path that changes its speed
#   STEADY_MBIT=20 FAST_MBIT=80 SLOW_MBIT=8 PHASE_S=10    the speed of the other path; seconds before and after a change
# KDIR= names a prepared kernel tree.
#
# To add a section: scripts/bench/<section>.sh measures in the guest, .awk makes the page, .gnuplot the chart (if it
# wrote data for one); what they share is in scripts/guest/bench and in scripts/bench/common.*. And an entry in ALL,
# BOOT and WHICH, and in SETTINGS for what can be set.
. "$(dirname "$0")/common.sh"
. "$TOP/selftests/kernel-log.sh"

ENTER=$TOP/scripts/enter.sh
OUT=$CACHE/bench
CONSOLE=$CACHE/log/bench-console.log
if [ -n "${QUICK-}" ]; then
	: "${IOS:=20000}" "${ROUNDS:=2}" "${ROUND_S:=2}" "${SPEEDS:=4:1 16:1}" "${RW:=randread}" "${BS:=32k}"
	: "${SECONDS_:=4}" "${RAMP_S:=1}" "${PHASE_S:=6}"
	: "${SHARED_SPEEDS:=4:1}" "${SHARED_S:=10}"
fi
ALL="cost scaling memory balance shared change"
SECTIONS=${SECTIONS-$ALL}
: "${JUDGED:=bond-dynamic}" "${INTERVAL_MS=}" "${CROSS=}" "${IOS:=100000}" "${ROUNDS:=4}" "${ROUND_S:=3}"
: "${SPEEDS:=1:1 4:1 16:1 8:3:1}" "${RW:=randread randwrite randrw}" "${BS:=32k 4k 4k-256k}" "${DEPTHS:=32 8 2}"
: "${FASTEST:=80}" "${SECONDS_:=6}" "${RAMP_S:=2}" "${SHARED_SPEEDS:=4:1 1:1}" "${SHARED_S:=20}"
: "${STEADY_MBIT:=20}" "${FAST_MBIT:=80}" "${SLOW_MBIT:=8}" "${PHASE_S:=10}"
SETTINGS=(JUDGED INTERVAL_MS CROSS IOS ROUNDS ROUND_S SPEEDS RW BS DEPTHS FASTEST SECONDS_ RAMP_S SHARED_SPEEDS SHARED_S
	STEADY_MBIT FAST_MBIT SLOW_MBIT PHASE_S)
# vm.sh's options; <section>-native is a second boot, for native devices.
declare -A BOOT=(
	[cost]="--icount" [scaling]="--cpus 2" [memory]="--cpus 2"
	[balance]="--cpus 2" [balance-native]="--cpus 2 --append nvme_core.multipath=Y"
	[shared]="--cpus 2"
	[change]="--cpus 2" [change-native]="--cpus 2 --append nvme_core.multipath=Y"
)
BONDS="bond-static bond-dynamic bond-primary bond-adapter-hash bond-adapter-load"
PEERS="mpath-round-robin mpath-queue-length mpath-service-time"
REMOTE="bond-static bond-dynamic $PEERS mpath-historical-service-time mpath-io-affinity native-queue-depth"
declare -A WHICH=(
	[cost]="linear $BONDS $PEERS" [scaling]="linear $BONDS $PEERS"
	[memory]="linear bond-static bond-dynamic $PEERS" [balance]=$REMOTE [change]=$REMOTE
	[shared]="bond-dynamic bond-adapter-load mpath-queue-length mpath-service-time"
)

# The path selectors of dm-multipath that the stock kernel was built without, of its own source.
selectors() {
	rm -rf "$SELECTORS"
	mkdir -p "$SELECTORS"
	cp "$KDIR"/source/drivers/md/dm-ps-{historical-service-time,io-affinity}.c "$SELECTORS"
	# shellcheck disable=SC2016  # Expanded by make.
	printf '%s\n' 'obj-m := dm-ps-historical-service-time.o dm-ps-io-affinity.o' \
		'ccflags-y := -I$(srctree)/drivers/md' >"$SELECTORS/Kbuild"
	"$ENTER" -- make -C "$KDIR" M="$SELECTORS" modules
}
SELECTORS=$OUT/selectors

# boot <section>[-native]: what is measured goes to $OUT/<the same>.
boot() {
	local dir=$OUT/$1 section=${1%-native} devices name settings=()
	devices=${DEVICES:-${WHICH[$section]}}
	rm -rf "${dir:?}"
	[[ $1 != *-native || $devices == *native-* ]] || return 0
	mkdir -p "$dir"
	for name in "${SETTINGS[@]}"; do settings+=("$name=${!name}"); done
	say "boot a virtual machine with kernel $RELEASE for \"$1\" ..."
	# shellcheck disable=SC2086  # Words.
	"$TOP/scripts/vm.sh" ${BOOT[$1]} --log "$CONSOLE" --timeout "${TIMEOUT:-7200}" --append log_buf_len=8M -- \
		env "${settings[@]}" SELECTORS="$SELECTORS" DEVICES="$devices" scripts/guest/bench "$1" "$dir" ||
		FAILED+="failed: \"$1\" failed in the guest (status $?)"$'\n'
	machine "$dir/machine" >"$dir/ran-on" # With the commit of this moment.
	[ -e "$dir/kernel-log" ] || cp "$CONSOLE" "$dir/kernel-log"
	! kernel_faults <"$dir/kernel-log" >"$dir/faults" ||
		FAILED+="failed: the kernel's log has faults ($dir/faults): $(head -n 1 "$dir/faults")"$'\n'
}

# report <section>: its page and its chart.
report() {
	local page=$OUT/$1 name settings=() results=()
	for name in "${SETTINGS[@]}"; do settings+=(-v "$name=${!name}"); done
	for name in "$1" "$1-native"; do
		[ ! -s "$OUT/$name/results" ] || results+=("$OUT/$name/results")
	done
	rm -f "$page".{md,short,dat,svg}
	[ ${#results[@]} -gt 0 ] || return 0
	awk "${settings[@]}" -v machine="$(<"${results[0]%/*}/ran-on")" -v shorts="$page.short" \
		-v data="$page.dat" -f "$TOP/scripts/bench/common.awk" -f "$TOP/scripts/bench/$1.awk" \
		"${results[@]}" >"$page.md"
	echo
	cat "$page.md"
	[ -s "$page.dat" ] || return 0
	"$ENTER" -- gnuplot -e "data = '$page.dat'; svg = '$page.svg'" scripts/bench/common.gnuplot \
		"scripts/bench/$1.gnuplot" || FAILED+="failed: gnuplot, for the chart of \"$1\""$'\n'
}

document() {
	local section docs=$TOP/Documentation
	mkdir -p "$docs/bench"
	{
		echo "# Benchmarks"
		echo
		echo "Made by \`BENCH_DOC=1 make bench\`; what is measured and how can be read in scripts/bench.sh."
		for section in $ALL; do
			[ -e "$OUT/$section.md" ] || continue
			echo
			cat "$OUT/$section.md"
			[ -e "$OUT/$section.svg" ] || continue
			cp "$OUT/$section.svg" "$docs/bench"
			printf '\n![The chart of "%s"](bench/%s.svg)\n' "$section" "$section"
		done
	} >"$docs/benchmarks.md"
}

RELEASE=$("$ENTER" -- cat /etc/dm-bond-release)
FAILED=
if [ -n "$SECTIONS" ] && [ -z "${REPORT-}" ]; then
	KDIR=${KDIR:-$("$ENTER" -- scripts/kernel-tree.sh "$RELEASE")}
	step "build the modules" "$ENTER" -- make modules KDIR="$KDIR"
	[ ! -e "$KDIR/source/drivers/md/dm.h" ] || step "build the other path selectors" selectors
fi
for section in $SECTIONS; do
	[ -n "${BOOT[$section]-}" ] || die "there is no section $section"
	for name in "$section" "$section-native"; do
		[ -n "${REPORT-}" ] || [ -z "${BOOT[$name]-}" ] || boot "$name"
	done
	report "$section"
done
[ -z "${BENCH_DOC-}" ] || document
printf '\nPages and charts: %s\n' "$OUT"
for section in $SECTIONS; do
	[ ! -s "$OUT/$section.short" ] || FAILED+=$(sed 's/^/FELL SHORT: /' "$OUT/$section.short")$'\n'
done
printf %s "$FAILED"
[ -z "$FAILED" ]
