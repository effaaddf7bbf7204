# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What the benchmarks share in the guest. Sourced, not run.

export DM_DISABLE_UDEV=1 # Nobody else would make the device nodes.

die() { echo "${0##*/}: error: $*" >&2; exit 1; }
tell() { printf '%6d s  %s\n' $SECONDS "$*"; }
event() { echo "$EPOCHREALTIME $*" >>events; }

# wait_for <seconds> <command>...
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return
		sleep 0.2
	done
}

# For machine() of ../common.sh: the kernel, the CPUs, and KVM unless it is emulation.
describe_guest() {
	uname -r
	nproc
	lscpu | sed -n 's/^Hypervisor vendor: *//p'
}
