// SPDX-License-Identifier: GPL-2.0-only

//! A path and its miniport: what it tells, and what it is asked.

use super::{
    path::{Path, ABORT},
    Bond,
};
use crate::{
    adapter::Adapters,
    kapi::{
        miniport::{Binding, Port},
        workqueue::{cancel_delayed, enqueue_delayed, rearm},
    },
    miniport::Word,
    policy::{
        health::{Change, Health, Why},
        table::Dest,
    },
    sync::Flag,
};
use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{Full, Relaxed},
        rcu, Arc,
    },
    time::msecs_to_jiffies,
    workqueue::WorkItem,
};

/// How soon a miniport that was busy is asked again, in milliseconds.
const ASK_AGAIN_MS: u32 = 20;
/// When it is looked whether all has come back that a miniport was asked for, in milliseconds.
const LOOK_AGAIN_MS: u32 = 1000;

impl Path {
    /// Lets a miniport bind, if none is bound yet. May sleep.
    pub(crate) fn bind(this: &Arc<Self>, port: Port) -> Result {
        let mut bound = this.binding.lock();
        if bound.is_some() {
            return Ok(());
        }
        // Before it may speak, and before what it says of an adapter may concern the path.
        this.port.store(port.id(), Relaxed);
        let binding = match port.bind(this.device(), this) {
            Ok(Some(binding)) => Arc::new(binding, GFP_KERNEL).map_err(Error::from).map(Some),
            result => result.map(|_| None),
        };
        let binding = match binding {
            Ok(Some(binding)) => binding,
            result => {
                this.port.store(0, Relaxed);
                drop(bound);
                // Whatever it said already, nobody would take back.
                this.forget_words(port.id());
                return result.map(|_| ());
            }
        };
        let adapter = match binding.netdev() {
            Some(name) if this.adapter().is_none() => {
                Adapters::get(this.shared().adapters(), name.as_cstr()).ok()
            }
            _ => None,
        };
        let dest = binding.dest(Dest::parse);
        *bound = Some(binding);
        drop(bound);
        Self::learn(this, adapter, dest)?;
        if !this.has_link() {
            // When the link was lost there was nobody to be asked.
            this.abort_without_link(0);
        }
        if let Some(team) = this.team() {
            team.elect();
            team.write_roles();
        }
        Ok(())
    }

    /// Whether a miniport is bound. May sleep.
    pub(crate) fn is_bound(&self) -> bool {
        self.binding.lock().is_some()
    }

    /// Unbinds the miniport, if it is one of these. May sleep.
    pub(crate) fn unbind(self: &Arc<Self>, which: impl FnOnce(&Binding) -> bool) {
        let unbound = self.without_offload(|| {
            let mut bound = self.binding.lock();
            let is_one = bound.as_deref().is_some_and(which);
            let binding = bound.take_if(|_| is_one)?;
            let port = self.port.load(Relaxed);
            self.told_primary.store(false, Relaxed);
            self.refused_role.store(false, Relaxed);
            if self.says_primary.xchg(false, Relaxed)
                && !self.is_true_beside(port, |path| &path.told_primary)
            {
                // Nobody is left to write it later.
                let _ = binding.set_role(false).or_else(|_| binding.set_role(false));
            }
            // It may speak until it is unbound, which is done under the lock: nobody else holds the
            // binding now.
            drop(binding);
            Some(self.port.xchg(0, Relaxed))
        });
        let Some(port) = unbound else {
            return;
        };
        self.forget_words(port);
        // Another path over the adapter may have the same register.
        if let Some(team) = self.team() {
            team.write_roles();
        }
    }

    /// Whether this is so of any path over the adapter that this miniport is bound to.
    fn is_true_beside(&self, port: usize, what: impl Fn(&Self) -> &Flag) -> bool {
        let mut is_true = false;
        if let Some(adapter) = self.adapter() {
            adapter.each_path(|path| {
                is_true |= path.port.load(Relaxed) == port && what(path).load(Relaxed);
            });
        }
        is_true
    }

    /// What a miniport said counts no longer; nor what it said of the adapter, unless it is bound
    /// to another path over that, which has its word then.
    fn forget_words(self: &Arc<Self>, port: usize) {
        let mut adapter = self.spoke.xchg(false, Relaxed);
        if let (true, Some(common)) = (adapter, self.adapter()) {
            common.each_path(|path| {
                if adapter && path.port.load(Relaxed) == port {
                    path.spoke.store(true, Relaxed);
                    adapter = false;
                }
            });
        }
        let nothing = Word {
            failed: false,
            adapter,
            voided: false,
        };
        Self::told(self, nothing, None);
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
        if word.adapter {
            // First: see `Path::learn`.
            this.spoke.xchg(word.failed, Full);
            Self::told_of_adapter(this, word);
        } else {
            this.session_is(word);
            Self::told_of_path(this, word);
        }
        if let Some(bond) = this.bond() {
            bond.prefer(instead);
        }
    }

    /// When its miniport says that it works again, its session is as good as new, and nothing more
    /// is to be called back from it.
    fn session_is(self: &Arc<Self>, word: Word) {
        if word.failed {
            return;
        }
        let Some(bond) = self.bond() else { return };
        let _guard = bond.inner.lock();
        if self.has_link() {
            self.set_harmed(false);
            self.abort_no_more();
        }
    }

    fn told_of_path(this: &Arc<Self>, word: Word) {
        let Some(bond) = this.bond() else { return };
        if !word.failed {
            return Bond::restored(&bond, this.number());
        }
        // In this order, the reverse of that in `Bond::choose`: what is sent after the call sees
        // that the path is out of use, or is void.
        Bond::fail(&bond, this.number(), Why::Miniport);
        if word.voided {
            this.void();
        }
    }

    /// Says it to all paths over the adapter, and asks their miniports for what is pending, if that
    /// was not voided: a miniport speaks of its own paths' commands only.
    fn told_of_adapter(this: &Arc<Self>, word: Word) {
        let port = this.port.load(Relaxed);
        let adapter = this.adapter();
        if word.voided {
            // Those whose adapter is not known, or not yet: what they have out may be among what
            // was voided, and to send it again harms nobody. All, if it is this one's. Before the
            // others: who learns his meanwhile is one of those then.
            this.shared().miniports().each_path(|path| {
                let unknown = adapter.is_none() || path.adapter().is_none();
                if unknown && path.port.load(Relaxed) == port {
                    path.void();
                }
            });
        }
        let tell = |path: &Arc<Self>| {
            let own = path.port.load(Relaxed) == port;
            let voided = word.voided && own;
            if own {
                path.session_is(word);
            }
            Self::told_of_path(path, Word { voided, ..word });
            if word.failed && !voided {
                path.abort_now();
            }
        };
        tell(this);
        if let Some(adapter) = adapter {
            adapter.each_path(|path| {
                if Arc::ptr_eq(path, this) {
                    return;
                }
                if path.port.load(Relaxed) == port {
                    // What counts is what was said last, by whichever path.
                    path.spoke.store(false, Relaxed);
                }
                tell(path);
            });
        }
    }

    /// The path has its adapter now: what its miniport said of that before is said to the others.
    pub(super) fn repeat_word(this: &Arc<Self>) {
        let mut said = false;
        loop {
            let failed = this.spoke.load(Relaxed);
            // It is no longer this path's word that it has failed, but maybe another's.
            let port = this.port.load(Relaxed);
            if failed == said || (!failed && this.is_true_beside(port, |path| &path.spoke)) {
                return;
            }
            said = failed;
            let word = Word {
                failed,
                adapter: true,
                voided: false,
            };
            Self::told_of_adapter(this, word);
        }
    }

    /// Lets the miniport be asked for what is pending on the path, if its link is not back after
    /// this many milliseconds; or after less, if that was said before. Any context.
    pub(super) fn abort_without_link(self: &Arc<Self>, ms: u32) {
        self.abort_again.store(false, Relaxed);
        enqueue_delayed::<_, ABORT>(self, msecs_to_jiffies(ms));
    }

    /// The link is back. Any context.
    pub(super) fn keep_with_link(self: &Arc<Self>) {
        if self.abort_told.load(Relaxed) {
            return;
        }
        cancel_delayed::<_, ABORT>(self);
        // It may have been asked for meanwhile.
        if self.abort_told.load(Relaxed) || !self.has_link() {
            rearm::<_, ABORT>(self, 0);
        }
    }

    /// Lets the miniport be asked for what is pending on the path, whatever its link. Any context.
    pub(super) fn abort_now(self: &Arc<Self>) {
        self.abort_again.store(false, Relaxed);
        self.abort_told.store(true, Relaxed);
        rearm::<_, ABORT>(self, 0);
    }

    /// The path is in use again, or may be soon: when it next fails nothing is asked for because of
    /// what was before. To be called under the bond's lock only.
    pub(super) fn abort_no_more(self: &Arc<Self>) {
        self.abort_told.store(false, Relaxed);
        cancel_delayed::<_, ABORT>(self);
    }

    fn abort(this: &Arc<Self>, bond: &Arc<Bond>) {
        let told = this.abort_told.xchg(false, Relaxed);
        let again = this.abort_again.xchg(false, Relaxed);
        if !this.has_link() && !this.is_in_use() && this.is_bound() {
            this.set_harmed(true);
        }
        // A link that came back in time costs nobody his session, nor does a path with nothing out.
        if this.is_in_use() || (!told && this.has_link()) {
            return;
        }
        // A probe that was sent since is no rest of what was called back.
        let is_out = || this.counters().inflight() > 0 || (!again && this.is_probed());
        if !is_out() {
            // Whoever chose the path before it went out of use has counted his I/O then.
            rcu::synchronize_rcu();
            if !is_out() {
                return;
            }
        }
        let asked = match &*this.binding.lock() {
            Some(binding) => binding.abort(),
            None => return,
        };
        let in_ms = match asked {
            Err(error) if error == EBUSY => ASK_AGAIN_MS,
            // What had not come as far as the driver then is out still.
            Ok(()) => LOOK_AGAIN_MS,
            Err(EOPNOTSUPP) => return,
            Err(error) => {
                return bond.warn(fmt!(
                    "path {}: pending commands cannot be called back: {:?}",
                    this.dev(),
                    error
                ))
            }
        };
        bond.unless_in_use(this, || {
            if this.abort_told.load(Relaxed) {
                return; // It is to be asked anew, at once.
            }
            if told {
                this.abort_told.store(true, Relaxed);
            }
            this.abort_again.store(asked.is_ok() || again, Relaxed);
            rearm::<_, ABORT>(this, msecs_to_jiffies(in_ms));
        });
    }
}

impl Path {
    /// If the link was lost for long, lets the miniport make a new session, though the old one
    /// answers. Says whether that was due. May sleep.
    pub(super) fn renew(&self, bond: &Bond) -> bool {
        if !self.is_harmed() {
            return false;
        }
        self.set_harmed(false);
        if let Some(Err(error)) = self.binding.lock().as_deref().map(Binding::renew) {
            bond.warn(fmt!("path {}: no new session: {:?}", self.dev(), error));
        }
        true
    }

    /// Lets the miniport give back a probe that holds up the end. May sleep.
    pub(super) fn abort_at_end(&self) {
        if let Some(binding) = &*self.binding.lock() {
            let _ = binding.abort();
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
    /// Does something unless a path is in use, which it does not get into meanwhile. Any context.
    fn unless_in_use(&self, path: &Path, f: impl FnOnce()) {
        let _guard = self.inner.lock();
        if !path.is_in_use() {
            f();
        }
    }

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
        let guard = self.inner.lock();
        let usable = own.filter(|path| path.is_in_use());
        let number = usable.map_or(Self::NONE_PREFERRED, |path| path.number() as u32);
        self.preferred.store(number, Relaxed);
        drop(guard);
        if path.is_some() && usable.is_none() {
            self.warn(fmt!("a miniport names a path that is not in use"));
        }
    }
}
