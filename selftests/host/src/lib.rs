// SPDX-License-Identifier: GPL-2.0-only

//! Tests of `rust/policy`, which is compiled here as it is in the module. Run by `cargo test`.

#![cfg(test)]

// The policy's `crate::fmt`; in the module it is the kernel's.
use core::fmt;

#[allow(dead_code)]
#[path = "../../../rust/policy/mod.rs"]
mod policy;

mod choose;
mod failure;
mod health;
mod share;
mod table;
