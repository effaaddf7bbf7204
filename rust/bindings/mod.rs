// SPDX-License-Identifier: GPL-2.0-only

//! Bindings to what the kernel crate does not bind: device mapper, netdevice notifiers and our own
//! C helpers.
//!
//! Types that the kernel crate has are its own here too, so that a `bio` is the same type
//! everywhere.

#![allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

use kernel::ffi;
use pin_init::MaybeZeroable;

mod generated {
    use super::*;
    include!("generated.rs");
}
pub use generated::*;
