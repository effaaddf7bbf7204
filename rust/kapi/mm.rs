// SPDX-License-Identifier: GPL-2.0-only

//! Allocation without I/O.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use crate::bindings;
use kernel::types::NotThreadSafe;

/// While this lives, what this thread allocates does not start or wait for I/O: for where a
/// device is suspended, or a lock is held that whoever ends an I/O may need.
pub(crate) struct NoIo {
    flags: u32,
    _thread: NotThreadSafe,
}

impl NoIo {
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: Undone by the drop, on the same thread.
            flags: unsafe { bindings::dm_bond_noio_save() },
            _thread: NotThreadSafe,
        }
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: The flags are those of this thread, as `new` found them.
        unsafe { bindings::dm_bond_noio_restore(self.flags) };
    }
}
