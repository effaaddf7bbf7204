// SPDX-License-Identifier: GPL-2.0-only

//! Decisions, and nothing but decisions: no kernel, no `unsafe`, no allocation. Compiled into the
//! module, and on the host for its tests (`selftests/host`). Time, numbers of I/O and the like
//! enter as arguments, atomics by `crate::sync`.
//!
//! | module | decides |
//! |---|---|
//! | [`choose`] | which path carries an I/O |
//! | [`damping`] | how long a path waits that fails again and again |
//! | [`failure`] | whose fault an error is |
//! | [`hash`] | which adapter an address takes |
//! | [`health`] | what becomes of a path when it fails, is probed, comes back |
//! | [`limit`] | whether more may be sent |
//! | [`quota`] | whose turn it is |
//! | [`share`] | how the load is divided |
//! | [`silence`] | whether a path is silent |
//! | [`speed`] | how fast a path is, and the shares that follow |
//! | [`table`] | what a table line means |

pub(crate) mod choose;
pub(crate) mod damping;
pub(crate) mod failure;
pub(crate) mod hash;
pub(crate) mod health;
pub(crate) mod limit;
pub(crate) mod quota;
pub(crate) mod share;
pub(crate) mod silence;
pub(crate) mod speed;
pub(crate) mod table;
