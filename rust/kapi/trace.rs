// SPDX-License-Identifier: GPL-2.0-only

//! The tracepoints of `trace.h`. One that is off costs a jump over it. Any context.
//!
//! [`kernel::tracepoint`] does the same, for tracepoints that the kernel crate has bindings for.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

use super::{bio::Status, block::DevT};
use crate::bindings;

macro_rules! trace {
    ($tracepoint:ident, $call:ident, $($name:ident: $argument:expr),*) => {
        $(let $name = $argument;)*
        // SAFETY: The key is a tracepoint's own, and the function takes these numbers as they are.
        unsafe {
            if kernel::jump_label::static_branch_unlikely!(
                bindings::$tracepoint,
                bindings::tracepoint,
                key
            ) {
                bindings::$call($($name),*);
            }
        }
    };
}

/// A path is chosen for an I/O.
#[inline(always)]
pub(crate) fn choose(bond: DevT, path: DevT, bytes: u32) {
    trace!(
        __tracepoint_dm_bond_choose,
        rust_do_trace_dm_bond_choose,
        bond: bond.0,
        path: path.0,
        size: bytes
    );
}

/// An I/O that came back from a path with this status is to be sent again.
pub(crate) fn requeue(bond: DevT, path: DevT, bytes: u32, status: Status) {
    trace!(
        __tracepoint_dm_bond_requeue,
        rust_do_trace_dm_bond_requeue,
        bond: bond.0,
        path: path.0,
        size: bytes,
        status: status.code().into()
    );
}

/// A path went out of use; so many are left.
pub(crate) fn fail(bond: DevT, path: DevT, in_use: usize) {
    trace!(
        __tracepoint_dm_bond_fail,
        rust_do_trace_dm_bond_fail,
        bond: bond.0,
        path: path.0,
        in_use: in_use as u32
    );
}

/// A path came back into use; so many are there now.
pub(crate) fn restore(bond: DevT, path: DevT, in_use: usize) {
    trace!(
        __tracepoint_dm_bond_restore,
        rust_do_trace_dm_bond_restore,
        bond: bond.0,
        path: path.0,
        in_use: in_use as u32
    );
}
