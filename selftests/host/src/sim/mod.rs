// SPDX-License-Identifier: GPL-2.0-only

//! A simulator of the balance of load: which algorithm gets how much out of paths of different
//! speed, and at what latency. It needs milliseconds for what takes a virtual machine minutes.
//!
//! | module | is |
//! |---|---|
//! | [`model`] | the paths, the load, and the run of events |
//! | [`peers`] | the algorithms of the kernel |
//! | [`bond`] | the bond: the code of `rust/policy`, driven as `rust/bond` drives it |
//! | [`table`] | the cells of the balance table, and what is required in each |
//! | [`changes`] | what is required when something changes |

mod bond;
mod changes;
mod model;
mod peers;
mod table;
