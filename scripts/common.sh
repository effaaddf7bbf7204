# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What every script here shares: the checkout, the cache, and how a step fails. Sourced, not run.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${DM_BOND_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/dm-bond}
SERIES=7.3 # The kernel series that is built for and booted.
export TOP CACHE SERIES

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# step <what> <command>...: run a command with its output in a log; on failure, say what failed and show the end.
step() {
	local what=$1 log start=$SECONDS
	shift
	mkdir -p "$CACHE/log"
	log=$CACHE/log/$(tr -c 'a-zA-Z0-9\n' - <<<"$what").log
	say "$what ..."
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		die "$what failed (whole log: $log); mend what it names and run this again"
	fi
	say "$what: done in $((SECONDS - start)) s"
}

# key <text or file>...: a short name made from the contents of what something was built from.
key() {
	local part
	for part in "$@"; do
		if [ -f "$part" ]; then cat "$part"; else printf '%s\n' "$part"; fi
	done | sha256sum | cut -c1-12
}

# once <name> <command>...: hold a lock while the command makes <name> in the cache, so two runs do not mix.
once() {
	local name=$1
	shift
	mkdir -p "$CACHE"
	(
		flock 9
		"$@"
	) 9>"$CACHE/.$name.lock"
}

# machine <file>: what a benchmark ran on, from what describe_guest (guest/common.sh) wrote to the file.
machine() {
	local kernel='' cpus='' by='' cpu
	{ read -r kernel; read -r cpus; read -r by; } <"$1" 2>/dev/null || true # No line for none.
	cpu=$(sed -n 's/^model name\s*: *//p' /proc/cpuinfo | head -n 1)
	[ "$cpus" = 1 ] && cpus+=" CPU" || cpus+=" CPUs"
	echo "Kernel $kernel in a virtual machine (${by:-software emulation}) with $cpus, on $(nproc) cores of $cpu." \
		"Commit $(git -C "$TOP" describe --always --dirty)."
}
