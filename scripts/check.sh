#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What "make check" runs: all that can be said of the code without running it. Any warning is an
# error. Works on a copy, so that it neither needs nor leaves anything in the checkout.
. "$(dirname "$0")/common.sh"

[ -e /etc/dm-bond-release ] || exec "$TOP/scripts/enter.sh" -- "$TOP/scripts/check.sh" "$@"

KDIR=${KDIR:-$("$TOP/scripts/kernel-tree.sh" "$(cat /etc/dm-bond-release)")}
SOURCE=$KDIR/source
COPY=$CACHE/check
FAILED=0

# One at a time.
exec 9>"$CACHE/.check.lock"
flock 9

# try <what> <command>...: run a check, and show what it said only if it said something bad.
try() {
	local what=$1 log=$CACHE/log/check-$1.log
	shift
	if "$@" >"$log" 2>&1 </dev/null; then
		say "$what: clean"
	else
		cat "$log" >&2
		say "$what: FAILED"
		FAILED=1
	fi
}

# The project's files with names like these; not what was built.
files() {
	local pattern names=()
	for pattern in "$@"; do names+=(-o -name "$pattern"); done
	find . \( -name .git -o -name target \) -prune -o -type f ! -name '*.mod.c' ! -name generated.rs \
		\( "${names[@]:1}" \) -printf '%P\n' | sort
}

copy() {
	rm -rf "$COPY"
	mkdir -p "$COPY"
	tar -C "$TOP" --exclude=.git --exclude=target --exclude='*.o' --exclude='*.ko' --exclude='.*.cmd' \
		-cf - . | tar -C "$COPY" -xf -
}

# A build whose every warning counts; helpers.c with sparse.
build() {
	local log
	log=$(make -C "$KDIR" M="$COPY" modules "$@" 2>&1) || { echo "$log"; return 1; }
	# Without the vmlinux of the kernel there is no BTF to check the module's against; that is all.
	if grep -v 'Skipping BTF generation' <<<"$log" | grep -qEi 'warning|error'; then
		echo "$log"
		return 1
	fi
}

# The documentation of the crate, by the command that compiled it.
rustdoc_() {
	local command
	command=$(sed -n 's/^savedcmd_[^ ]* := \(.*rustc .*\) \([^ ]*dm_bond\.rs\).*/\1 \2/p' "$COPY/rust/.dm_bond.o.cmd")
	command=${command%%;*}
	[ -n "$command" ] || { echo "no compiler command in .dm_bond.o.cmd"; return 1; }
	command=$(sed -E 's/(^| )rustc /\1rustdoc /; s/ --emit=[^ ]*//g; s/ --out-dir [^ ]*//g' <<<"$command")
	(RUSTC_BOOTSTRAP=1 OBJTREE=$KDIR eval "$command --document-private-items \
		-D warnings -A rustdoc::private-intra-doc-links -o $COPY/doc")
}

checkpatch() {
	local file ignore bad=0
	for file in $(files '*.c' '*.h' '*.rs' Kbuild Makefile); do
		ignore=FILE_PATH_CHANGES
		case $file in
		# The way that all headers with trace events are written.
		rust/trace.h) ignore=OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT ;;
		# What is exported is in Rust.
		rust/miniport/exports.c) ignore=EXPORT_SYMBOL ;;
		esac
		"$SOURCE/scripts/checkpatch.pl" --no-tree --strict --terse --no-summary --quiet \
			--ignore "$ignore" -f "$file" || bad=1
	done
	return $bad
}

copy
cd "$COPY"
# shellcheck disable=SC2046  # No file of ours has a blank in its name.
try rustfmt rustfmt --check --config-path "$SOURCE/.rustfmt.toml" --edition 2021 \
	$(files '*.rs')
try clippy build CLIPPY=1
try sparse build C=2 CF=-D__CHECK_ENDIAN__
try rustdoc rustdoc_
try checkpatch checkpatch
# shellcheck disable=SC2046
try shellcheck shellcheck -x $(files '*.sh' | grep -v ^selftests/) $(grep -lE '^#!/bin/(ba)?sh' scripts/guest/*)
# A test is read where it runs.
try shellcheck-selftests bash -c 'cd selftests && shellcheck -x *.sh'
[ "$FAILED" = 0 ] || die "some checks failed"
say "all clean"
