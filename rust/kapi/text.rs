// SPDX-License-Identifier: GPL-2.0-only

//! Text written into a buffer of the C side's.

use kernel::fmt;

/// Writes into a buffer, and cuts what does not fit, as `scnprintf` does.
pub(crate) struct Cut<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl<'a> Cut<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// The bytes written.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = &mut self.buffer[self.used..];
        let len = s.len().min(room.len());
        room[..len].copy_from_slice(&s.as_bytes()[..len]);
        self.used += len;
        Ok(())
    }
}
