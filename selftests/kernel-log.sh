# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What must never be in the kernel's log. Sourced, not run.

KERNEL_FAULTS=(
	'WARNING:' 'BUG:' 'BUG at' 'Oops' 'general protection fault' 'Call Trace:' 'Kernel panic'
	'blocked for more than' 'soft lockup' 'hard LOCKUP' 'stall(s|ed)? (on|detected)' 'self-detected stall'
	'possible (circular|recursive|irq) lock' 'inconsistent .*lock state' 'suspicious RCU usage' 'bad unlock balance'
	'scheduling while atomic' 'sleeping function called'
	'trying to register non-static key' 'turning off the locking correctness validator' 'lockdep is turned off'
	'ODEBUG: ' 'ref_tracker: ' 'unregister_netdevice: waiting' 'pagealloc: (memory corruption|single bit)'
	'kmemleak: .*(new suspected|disabled|empty|Cannot|unknown object|Unknown object)'
	'refcount_t' 'UBSAN' 'KFENCE' 'KASAN' 'list_(add|del) corruption'
	'[Ss]lab.* corrupt' 'Poison overwritten' 'Redzone overwritten' 'Right Redzone' 'Objects remaining'
	'kobject.* (tried|not initialized|does not have a release)' 'cannot create duplicate filename'
	'unsafe precondition' 'rust_kernel: panicked' 'panicked at'
)

# kernel_faults: print what is wrong in the log on standard input; fail if nothing is.
kernel_faults() {
	local IFS='|'
	# Lines that user space wrote say nothing about the kernel.
	LC_ALL=C grep -v 'dm-bond-selftests:' | LC_ALL=C grep -E "${KERNEL_FAULTS[*]}"
}
