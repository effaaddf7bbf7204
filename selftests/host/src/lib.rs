// SPDX-License-Identifier: GPL-2.0-only

//! Tests of what needs no kernel: `rust/policy` and `rust/nvme/address.rs`, which are compiled here
//! as they are in the modules. Run by `cargo test`.

#![cfg(test)]

// The policy's `crate::fmt`; in the module it is the kernel's.
use core::fmt;

#[allow(dead_code)]
#[path = "../../../rust/policy/mod.rs"]
mod policy;

#[path = "../../../rust/nvme/address.rs"]
mod address;

mod choose;
mod damping;
mod failure;
mod hash;
mod health;
mod limit;
mod nvme;
mod quota;
mod share;
mod silence;
mod sim;
mod speed;
mod sync;
mod table;
