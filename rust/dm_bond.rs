// SPDX-License-Identifier: GPL-2.0-only

//! dm-bond: a device-mapper target that joins several paths to one logical unit, each over its own
//! network adapter.
//!
//! | module | what |
//! |---|---|
//! | [`adapter`] | network adapters, and word of their links |
//! | [`bond`] | the target |
//! | [`kapi`] | safe faces of C interfaces; the only `unsafe` code |
//! | [`miniport`] | the drivers below that know the adapter of a path |
//! | [`policy`] | decisions; also compiled and tested on the host |

use kernel::{fmt, prelude::*};

// Locks would sleep where I/O is sent with preemption off.
#[cfg(CONFIG_PREEMPT_RT)]
compile_error!("dm-bond does not work with PREEMPT_RT");

mod adapter;
mod bindings;
mod bond;
mod kapi;
mod miniport;
#[forbid(unsafe_code)]
mod policy;
/// The atomics; on the host [`policy`] has others.
mod sync {
    pub(crate) use crate::kapi::atomic::{Atomic, Flag};
    pub(crate) use kernel::sync::atomic::{Acquire, Full, Relaxed};
}

use adapter::{Adapters, Looking};
use bond::{Bond, Shared};
use kapi::{dm::Registration, global::Published, netdev::Watch};
use miniport::{Miniports, MINIPORTS};

module! {
    type: DmBond,
    name: "dm_bond",
    authors: ["The dm-bond authors"],
    description: "Device-mapper target that bonds paths over several network adapters",
    license: "GPL",
    alias: ["dm-bond"],
}

/// The module. What it has is dropped in this order: no new bonds, then no word of links, then no
/// miniports, then nobody looks at links.
#[pin_data]
struct DmBond {
    #[pin]
    target: Registration<Bond>,
    #[pin]
    watch: Watch<Adapters>,
    miniports: Published<Miniports>,
    looking: Looking,
}

impl kernel::InPlaceModule for DmBond {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let adapters = Adapters::new(module)?;
            let miniports = Miniports::new()?;
            let shared = Shared::new(adapters.clone(), miniports.clone())?;
            Ok(try_pin_init!(Self {
                looking: Adapters::look(&adapters),
                miniports: MINIPORTS.publish(miniports)?,
                watch <- Watch::new(adapters),
                target <- Registration::new(shared, module),
            }))
        })
    }
}
