// SPDX-License-Identifier: GPL-2.0-only

//! Messages, and what sysfs changes: one function for each thing that can be told a bond, for both.

use super::{Bond, Path};
use crate::{
    kapi::{
        block::DevT,
        dm::{device_number, Args},
    },
    policy::{
        health::Why,
        share,
        table::{number, Fault, Features, Policy, Time, MAX_PATHS},
    },
};
use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, rcu, Arc},
    time::Instant,
};

/// The error for a value that cannot be: `ERANGE` for a number out of its range, `EINVAL` for all
/// else.
pub(crate) fn errno(fault: &Fault<'_>) -> Error {
    match fault {
        Fault::Range(..) => ERANGE,
        _ => EINVAL,
    }
}

impl Bond {
    /// Does what a message says. As dm-multipath's, its first word may be in capitals.
    pub(super) fn obey(this: &Arc<Self>, args: Args<'_>) -> Result {
        let mut words = args.iter();
        let told = (words.next(), words.next(), words.next(), words.next());
        let result = match told {
            (Some(verb), None, None, None) => this.obey_verb(verb.to_bytes()),
            (Some(verb), Some(object), value, None) => {
                Self::obey_object(this, verb.to_bytes(), object, value.map(CStr::to_bytes))
            }
            _ => Err(EINVAL),
        };
        if let (Err(error), Some(verb)) = (&result, told.0) {
            pr_err!(
                "bond {}: message '{}' refused: {:?}\n",
                this.events.device(),
                verb,
                error
            );
        }
        result
    }

    fn obey_verb(self: &Arc<Self>, verb: &[u8]) -> Result {
        let is = |word: &[u8]| verb.eq_ignore_ascii_case(word);
        if is(b"queue_if_no_path") {
            self.set_queueing(true);
        } else if is(b"fail_if_no_path") {
            self.set_queueing(false);
        } else {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn obey_object(this: &Arc<Self>, verb: &[u8], object: &CStr, value: Option<&[u8]>) -> Result {
        let is = |word: &[u8]| verb.eq_ignore_ascii_case(word);
        let path = || this.path_named(object).map(|path| path.number());
        match value {
            None if is(b"fail_path") => Self::fail(this, path()?, Why::Administrator),
            None if is(b"reinstate_path") => Self::reinstate(this, path()?),
            None if is(b"set_primary") => this.set_primary(path()?),
            _ if is(b"set_policy") => this.set_policy(object.to_bytes(), value)?,
            Some(share) if is(b"set_share") => this.set_share(path()?, share)?,
            _ => return Err(EINVAL),
        }
        Ok(())
    }

    /// Finds a path by its device's path, `major:minor`, or name in `/sys/block`. May sleep, and
    /// wait for I/O to look the path up.
    fn path_named(&self, name: &CStr) -> Result<&Arc<Path>> {
        if let Ok(path) = self.path_known(name.to_bytes()) {
            return Ok(path);
        }
        let dev = device_number(name).map_err(|_| EINVAL)?;
        self.path_with(dev)
    }

    /// Finds a path by `major:minor`, or name in `/sys/block`.
    fn path_known(&self, name: &[u8]) -> Result<&Arc<Path>> {
        match DevT::parse(name) {
            Some(dev) => self.path_with(dev),
            None => {
                let named = |path: &&Arc<Path>| path.name().to_bytes() == name;
                self.paths.iter().find(named).ok_or(EINVAL)
            }
        }
    }

    fn path_with(&self, dev: DevT) -> Result<&Arc<Path>> {
        self.paths
            .iter()
            .find(|path| path.dev() == dev)
            .ok_or(EINVAL)
    }

    /// Changes whether and how long I/O waits for a path. Whoever does has the present outage in
    /// mind: its time starts again.
    pub(super) fn tune_queueing<'a>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Features) -> Result<(), Fault<'a>>,
    ) -> Result<(), Fault<'a>> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        change(&mut inner.features)?;
        inner.expired = false;
        if inner.in_use == 0 {
            inner.without_path_since = Some(Instant::now());
        }
        self.watch_for_path(inner);
        self.kick();
        Ok(())
    }

    /// Changes whether I/O waits for a path.
    pub(super) fn set_queueing(self: &Arc<Self>, queue: bool) {
        let _ = self.tune_queueing(|features| {
            features.queue_if_no_path = queue;
            Ok(())
        });
    }

    /// Changes a time. What waits for the old one is looked at again.
    pub(super) fn set_ms(self: &Arc<Self>, time: Time, text: &[u8]) -> Result {
        let set = |features: &mut Features| features.set_ms(time, text);
        match time {
            Time::NoPathTimeout => return self.tune_queueing(set).map_err(|fault| errno(&fault)),
            _ => set(&mut self.inner.lock().features).map_err(|fault| errno(&fault))?,
        }
        match time {
            Time::Probe => {
                let (now, ms) = (self.now(), self.ms(time));
                for path in &self.paths {
                    let watched = &mut self.inner.lock().health[path.number()];
                    watched.damping.rescale(now, ms);
                    if watched.health.wants_probe() {
                        path.probe_at(ms);
                    }
                }
            }
            Time::Stall => self.listen(),
            Time::WriteHold => self.release_by(0),
            Time::Interval => self.measure(),
            Time::NoPathTimeout | Time::Abort => {}
        }
        Ok(())
    }

    pub(super) fn set_policy(self: &Arc<Self>, name: &[u8], arg: Option<&[u8]>) -> Result {
        let policy = Policy::named(name).map_err(|fault| errno(&fault))?;
        let set = |features: &mut Features| match arg {
            Some(arg) => features.set_policy_arg(policy, arg),
            None => Ok(()),
        };
        // Nothing is to be changed if the argument is wrong.
        set(&mut self.features()).map_err(|fault| errno(&fault))?;
        if policy.is_adapters() {
            if let Err(fault) = self.join_team(policy) {
                pr_err!(
                    "bond {}: policy '{}': {}\n",
                    self.events.device(),
                    policy.name(),
                    fault
                );
                return Err(fault.errno());
            }
        }
        let mut inner = self.inner.lock();
        set(&mut inner.features).map_err(|fault| errno(&fault))?;
        self.policy.store(policy as u32, Relaxed);
        self.shares_changed();
        self.prefer_none();
        drop(inner);
        if arg.is_some() {
            self.measure();
        }
        Ok(())
    }

    /// Sets the most commands that may be out; 0: as many as the queues below take. May sleep.
    pub(super) fn set_max_commands(self: &Arc<Self>, text: &[u8]) -> Result {
        let _one = self.limiting.lock();
        let mut inner = self.inner.lock();
        let set = inner.features.set_max_commands(text);
        set.map_err(|fault| errno(&fault))?;
        self.limit.set(inner.features.max_commands());
        self.kick();
        drop(inner);
        // Whoever found none before has counted what he sends after this.
        rcu::synchronize_rcu();
        self.limit.is_set();
        Ok(())
    }

    pub(super) fn set_primary(&self, number: usize) {
        self.primary.store(number as u32, Relaxed);
        self.prefer_none();
    }

    /// Makes the path primary that goes by this name, or `major:minor`. Looks nothing up: sysfs
    /// must not wait for I/O, for the end of a suspend waits for it.
    pub(super) fn set_primary_named(&self, name: &[u8]) -> Result {
        self.set_primary(self.path_known(name)?.number());
        Ok(())
    }

    /// Sets a path's share; the others keep their proportions. Only where shares are set by hand.
    pub(super) fn set_share(&self, path: usize, value: &[u8]) -> Result {
        let share = number("share", value, 1, share::WHOLE).map_err(|fault| errno(&fault))?;
        if !matches!(self.policy(), Policy::Static | Policy::AdapterHash) {
            return Err(EINVAL);
        }
        let _guard = self.inner.lock();
        let mut shares = [0; MAX_PATHS];
        let shares = self.shares(&mut shares);
        share::set(shares, path, share).map_err(|_| ERANGE)?;
        for (path, share) in self.paths.iter().zip(shares) {
            path.set_share(*share);
        }
        self.shares_changed();
        self.prefer_none();
        Ok(())
    }

    fn shares<'a>(&self, shares: &'a mut [u32; MAX_PATHS]) -> &'a mut [u32] {
        let shares = &mut shares[..self.paths.len()];
        for (share, path) in shares.iter_mut().zip(&self.paths) {
            *share = path.share();
        }
        shares
    }
}
