// SPDX-License-Identifier: GPL-2.0-only

//! Safe faces of C interfaces that the kernel crate lacks. All `unsafe` code of the module is here.
//!
//! | module | C header |
//! |---|---|
//! | [`atomic`] | `include/asm-generic/rwonce.h` |
//! | [`bio`] | `include/linux/bio.h` |
//! | [`block`] | `include/linux/blkdev.h` |
//! | [`dm`] | `include/linux/device-mapper.h` |
//! | [`global`] | none |
//! | [`miniport`] | `rust/miniport/dm_bond.h` |
//! | [`mm`] | `include/linux/sched/mm.h` |
//! | [`netdev`] | `include/linux/netdevice.h` |
//! | [`percpu`] | `include/linux/percpu.h` |
//! | [`ratelimit`] | `include/linux/ratelimit.h` |
//! | [`rcu`] | `include/linux/rcupdate.h` |
//! | [`sysfs`] | `include/linux/sysfs.h`, `include/linux/kobject.h` |
//! | [`time`] | `include/linux/jiffies.h`, `include/linux/timekeeping.h` |
//! | [`trace`] | `include/linux/tracepoint.h`, `rust/trace.h` |
//! | [`workqueue`] | `include/linux/workqueue.h` |

pub(crate) mod atomic;
pub(crate) mod bio;
pub(crate) mod block;
pub(crate) mod dm;
pub(crate) mod global;
pub(crate) mod miniport;
pub(crate) mod mm;
pub(crate) mod netdev;
pub(crate) mod percpu;
pub(crate) mod ratelimit;
pub(crate) mod rcu;
pub(crate) mod sysfs;
mod text;
pub(crate) mod time;
pub(crate) mod trace;
pub(crate) mod workqueue;
