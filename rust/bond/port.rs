// SPDX-License-Identifier: GPL-2.0-only

//! A path and its miniport: what it tells, and what it is asked.

use super::{
    path::{Path, ABORT},
    Bond,
};
use crate::{
    adapter::{Adapter, Adapters},
    kapi::{
        miniport::{Binding, Port},
        workqueue::{enqueue_delayed, rearm},
    },
    miniport::Word,
    policy::{
        health::{Change, Health, Why},
        table::Dest,
    },
};
use kernel::{
    fmt,
    prelude::*,
    sync::{atomic::Relaxed, Arc},
    time::msecs_to_jiffies,
    workqueue::WorkItem,
};

/// How soon a miniport that was busy is asked again, in milliseconds.
const ASK_AGAIN_MS: u32 = 20;

impl Path {
    /// Lets a miniport bind, if none is bound yet. May sleep.
    pub(crate) fn bind(this: &Arc<Self>, port: Port) -> Result {
        let mut bound = this.binding.lock();
        if bound.is_some() {
            return Ok(());
        }
        let Some(binding) = port.bind(this.device(), this)? else {
            return Ok(());
        };
        let netdev = binding.netdev();
        let adapter = match netdev {
            Some(name) if this.adapter().is_none() => {
                Adapters::get(this.shared().adapters(), name.as_cstr()).ok()
            }
            _ => None,
        };
        let dest = binding.dest(Dest::parse);
        *bound = Some(binding);
        drop(bound);
        Self::learn(this, adapter, dest)
    }

    /// Unbinds the miniport, if it is one of these. May sleep.
    pub(crate) fn unbind(self: &Arc<Self>, which: impl FnOnce(&Binding) -> bool) {
        let mut bound = self.binding.lock();
        if bound.as_ref().is_some_and(which) {
            let binding = bound.take();
            drop(bound);
            drop(binding);
            // What it said counts no longer.
            if let Some(bond) = self.bond() {
                Bond::restored(&bond, self.number());
            }
        }
    }

    /// Writes what the path's miniport is called. May sleep.
    pub(super) fn write_miniport(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match &*self.binding.lock() {
            Some(binding) => out.write_fmt(fmt!("{}", binding.port().name())),
            None => out.write_str("generic"),
        }
    }

    /// The miniport says something of the path. Any context.
    pub(crate) fn told(this: &Arc<Self>, word: Word, instead: Option<&Self>) {
        match (word.adapter, this.adapter()) {
            (true, Some(adapter)) => Self::told_of_adapter(this, adapter, word),
            _ => Self::told_of_path(this, word),
        }
        if let Some(bond) = this.bond() {
            bond.prefer(instead);
        }
    }

    fn told_of_path(this: &Arc<Self>, word: Word) {
        let Some(bond) = this.bond() else { return };
        if !word.failed {
            return Bond::restored(&bond, this.number());
        }
        if word.voided {
            this.void();
        }
        Bond::fail(&bond, this.number(), Why::Miniport);
    }

    /// Says it to all paths over the adapter, and asks the miniports of those whose commands were
    /// not voided for what is pending.
    fn told_of_adapter(this: &Arc<Self>, adapter: &Adapter, word: Word) {
        adapter.each_path(|path| {
            let own = Arc::ptr_eq(path, this);
            let word = Word {
                voided: word.voided && own,
                ..word
            };
            Self::told_of_path(path, word);
            if word.failed && !word.voided {
                path.abort_in(0);
            }
        });
    }

    /// Lets the miniport be asked for what is pending on the path, after this many milliseconds, if
    /// the path is still out of use then. Any context.
    pub(super) fn abort_in(self: &Arc<Self>, ms: u32) {
        if ms == 0 {
            rearm::<_, ABORT>(self, 0);
        } else {
            enqueue_delayed::<_, ABORT>(self, msecs_to_jiffies(ms));
        }
    }

    fn abort(this: &Arc<Self>, bond: &Arc<Bond>) {
        let health = bond.health(this.number());
        // A link that came back in time costs nobody his session.
        let cause_is_gone = health.last_failure() == Some(Why::Link) && this.has_link();
        if this.is_in_use() || cause_is_gone {
            return;
        }
        let asked = match &*this.binding.lock() {
            Some(binding) => binding.abort(),
            None => return,
        };
        match asked {
            Err(error) if error == EBUSY && this.counters().inflight() > 0 => {
                this.abort_in(ASK_AGAIN_MS);
            }
            Ok(()) | Err(EBUSY | EOPNOTSUPP) => {}
            Err(error) => bond.warn(fmt!(
                "path {}: pending commands cannot be called back: {:?}",
                this.dev(),
                error
            )),
        }
    }
}

impl WorkItem<ABORT> for Path {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if let Some(bond) = this.bond() {
            Self::abort(&this, &bond);
        }
    }
}

impl Bond {
    /// A miniport says that a path works again, or says no more of it: it is probed at once. Any
    /// context.
    pub(super) fn restored(this: &Arc<Self>, number: usize) {
        let mut probe = false;
        Self::change(this, number, |health: &mut Health| {
            health.restored();
            probe = health.wants_probe();
            Change::None
        });
        if probe {
            this.paths[number].probe_at(0);
        }
    }

    /// Lets new I/O take a path as long as it is in use; `None` lets the policy choose again. One
    /// that is not the bond's, or not in use, is no such path.
    fn prefer(self: &Arc<Self>, path: Option<&Path>) {
        let own = path.filter(|path| {
            self.paths
                .get(path.number())
                .is_some_and(|own| core::ptr::eq(&**own, *path))
        });
        let usable = own.filter(|path| path.is_in_use());
        if path.is_some() && usable.is_none() {
            self.warn(fmt!("a miniport names a path that is not in use"));
        }
        let number = usable.map_or(Self::NONE_PREFERRED, |path| path.number() as u32);
        self.preferred.store(number, Relaxed);
    }
}
