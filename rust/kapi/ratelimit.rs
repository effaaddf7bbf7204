// SPDX-License-Identifier: GPL-2.0-only

//! A limit for log lines that could come in floods.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::bindings;
use kernel::{prelude::*, types::Opaque};

/// Lets ten lines through in five seconds (the kernel's own default), and counts the rest.
#[pin_data]
pub(crate) struct RateLimit {
    #[pin]
    state: Opaque<bindings::ratelimit_state>,
}

// SAFETY: The C state has its own lock.
unsafe impl Send for RateLimit {}
// SAFETY: As above.
unsafe impl Sync for RateLimit {}

impl RateLimit {
    /// Makes a limit with nothing used of it.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The callee initialises the whole of the memory it is given.
            state <- Opaque::ffi_init(|slot| unsafe { bindings::dm_bond_ratelimit_init(slot) }),
        })
    }

    /// Says whether a line may be printed now. What was held back is told in the log, under `what`.
    /// Any context.
    pub(crate) fn allows(&self, what: &'static CStr) -> bool {
        // SAFETY: The state was initialised by `new` and stays where it is.
        unsafe { bindings::___ratelimit(self.state.get(), what.as_char_ptr()) != 0 }
    }
}
