#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What "make test" runs: build the module, run the host's tests, then all kselftests in one boot of the stock kernel
# with the kernel's own checks turned on. TESTS="<name>..." restricts the kselftests, KDIR= names a prepared kernel
# tree, PULLS=1000 and the like, which the tests' heads explain, say how often they do something. Ends with one line,
# "N passed, N failed, N skipped", and fails if anything failed.
#   test.sh --debug      what "make test-debug" runs: the same, without the host's tests, with the debug kernel
. "$(dirname "$0")/common.sh"
. "$TOP/selftests/kernel-log.sh"

ENTER=$TOP/scripts/enter.sh
LOG=$CACHE/log/kselftest.log
CONSOLE=$CACHE/log/guest-console.log
CHECKS="slab_debug=FZPU oops=panic kfence.sample_interval=100 log_buf_len=8M
	sysctl.kernel.hung_task_timeout_secs=60"
PASSED=0
FAILED=0
SKIPPED=0

failed() {
	FAILED=$((FAILED + 1))
	say "failed: $*"
}

finish() {
	echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
	exit $((FAILED > 0))
}

# host_tests <log> [<variable for cargo>=<value>]... -- [<filter>]: add up what cargo says of every test binary.
host_tests() {
	local log=$CACHE/log/$1.log status=0 seed passed failed ignored environment=()
	for ((; $# > 1; )); do
		shift
		[ "$1" != -- ] || { shift; break; }
		environment+=("$1")
	done
	# Properties are tried with other cases for each state of the tree, but with the same if it is tested again.
	seed=$(git -C "$TOP" rev-parse --short=8 'HEAD^{tree}' 2>/dev/null) || :
	"$ENTER" -- env CARGO_HOME="$CACHE/cargo" PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-$((16#${seed:-1}))}" \
		"${environment[@]}" cargo test --no-fail-fast --manifest-path "$TOP/selftests/host/Cargo.toml" "$@" 2>&1 |
		tee "$log" || status=$?
	while read -r passed failed ignored; do
		PASSED=$((PASSED + passed))
		FAILED=$((FAILED + failed))
		SKIPPED=$((SKIPPED + ignored))
	done < <(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored;.*/\1 \2 \3/p' "$log")
	sed -n 's/^test \(.*\) \.\.\. FAILED$/failed: \1/p' "$log" >&2
	if [ "$status" != 0 ] && ! grep -q '^test result: FAILED' "$log"; then
		failed "the host tests (status $status)"
	fi
}

# Read KTAP as the kernel's runner prints it, a test's own lines behind "# ". Print a line for everything counted: a
# test's own checks where it prints any, else the test; and a test that failed with no failed check of its own.
ktap() {
	awk '
		function verdict(line) {
			return line ~ /^not ok/ ? "failed" : toupper(line) ~ /# SKIP/ ? "skipped" : "passed"
		}
		function name(line) { sub(/^(not )?ok [0-9]+ *(- )?/, "", line); return line }
		/^# selftests: / { test = $NF; own = bad = 0 }
		/^# (not )?ok [0-9]/ {
			line = substr($0, 3)
			own++
			bad += verdict(line) == "failed"
			print verdict(line), test ": " name(line)
		}
		/^(not )?ok [0-9]/ {
			if (!own || (verdict($0) == "failed" && !bad))
				print verdict($0), name($0)
			test = ""
		}
		END { if (test) print "failed", test ": did not end" }
	'
}

kselftests() {
	local status=0 tests=() test verdict what own console
	for test in ${TESTS-}; do
		test=$(basename "$test" .sh).sh
		[ -x "$TOP/selftests/$test" ] || die "there is no test $test"
		tests+=("$test")
	done
	# While one run waits for another's guest to end, both have theirs.
	own=$(mktemp -p "${LOG%/*}" --suffix="-${LOG##*/}")
	console=$(mktemp -p "${CONSOLE%/*}" --suffix="-${CONSOLE##*/}")
	"$TOP/scripts/vm.sh" "${VM[@]}" --log "$console" --append "$CHECKS" -- "${IN_GUEST[@]}" \
		scripts/guest/run-kselftest "$KDIR" "${tests[@]}" | tee "$own" || status=$?
	while read -r verdict what; do
		case $verdict in
		passed) PASSED=$((PASSED + 1)) ;;
		skipped) SKIPPED=$((SKIPPED + 1)) ;;
		failed) failed "$what" ;;
		esac
	done < <(ktap <"$own")
	case $status in
	0) ;;
	124) failed "the guest: timeout or hang" ;;
	125) failed "the guest: crashed" ;;
	*) failed "the guest: the runner ended with status $status" ;;
	esac
	grep -q '^\(not \)\?ok ' "$own" || failed "the kselftests: none ran"
	mv "$own" "$LOG"
	mv "$console" "$CONSOLE"
	if kernel_faults <"$CONSOLE" >&2; then
		failed "the guest's kernel log as a whole ($CONSOLE)"
	else
		PASSED=$((PASSED + 1))
	fi
}

if [ "${1-}" = --debug ]; then
	KDIR=${KDIR:-$("$TOP/scripts/debug-kernel.sh")}
	VM=(--kernel "$KDIR" --memory 3G --timeout "${TEST_TIMEOUT:-21600}")
	# Lockdep says that it gives up where only debug messages show.
	CHECKS+=" page_poison=1 loglevel=8"
	IN_GUEST=(env SLOW=4 kselftest_override_timeout=3600) # The latter in place of selftests/settings.
	if [ -z "${TESTS-}" ]; then
		# Lockdep turns itself off with its first report.
		IN_GUEST+=(SKIP=iscsi.sh)
		SKIPPED=1
		say "skipped: iscsi.sh: the kernel's iSCSI target breaks lockdep's rules by itself. TESTS=iscsi runs it"
	fi
else
	RELEASE=$("$ENTER" -- cat /etc/dm-bond-release)
	KDIR=${KDIR:-$("$ENTER" -- scripts/kernel-tree.sh "$RELEASE")}
	VM=(--timeout "${TEST_TIMEOUT:-5400}")
	IN_GUEST=(env)
fi
# How often a test does something, and how long it may take: see their heads, and selftests/settings.
for name in RACES PULLS BIG_PULLS FS_PULLS LINK_PULLS RELOADS CYCLES LONGEST_OUT kselftest_override_timeout; do
	[ -z "${!name-}" ] || IN_GUEST+=("$name=${!name}")
done
(step "build the module" "$ENTER" -- make modules KDIR="$KDIR") || { failed "the build of the module"; finish; }
(step "build the test miniport" "$ENTER" -- make -C "$KDIR" M="$TOP/selftests/miniport" modules) ||
	failed "the build of the test miniport"
if [ "${1-}" != --debug ]; then
	host_tests host-tests CARGO_TARGET_DIR="$CACHE/host-tests" --
	# What threads do together, in all orders.
	host_tests host-tests-loom CARGO_TARGET_DIR="$CACHE/host-tests-loom" RUSTFLAGS="--cfg loom" -- loom
fi
kselftests
finish
