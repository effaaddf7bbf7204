// SPDX-License-Identifier: GPL-2.0-only

//! Clocks, beside what [`kernel::time`] has.
//!
//! C headers: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h),
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use crate::bindings;

/// Ticks, of some milliseconds each: cheap to read. Any context.
pub(crate) fn jiffies() -> u64 {
    // SAFETY: A word that is always there, read whole, as C does.
    unsafe { (&raw const bindings::jiffies).read_volatile() as u64 }
}

/// Nanoseconds on a clock that does not go back; never 0. Any context.
pub(crate) fn nanoseconds() -> u64 {
    // SAFETY: Callable at any time once the kernel has its clocks, long before modules.
    unsafe { bindings::ktime_get() }.max(1).unsigned_abs()
}
