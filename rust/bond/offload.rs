// SPDX-License-Identifier: GPL-2.0-only

//! Adapters that balance: how a bond joins their team, and how one that can choose by itself does.

use super::{balance::Shape, Bond, Path};
use crate::{
    adapter::{Adapter, Membership, Overlap},
    kapi::{miniport::Offload, mm::NoIo, netdev::Name},
    policy::table::Policy,
};
use kernel::{
    fmt,
    prelude::*,
    sync::{atomic::Relaxed, Arc},
};

/// A primary adapter that chooses by itself.
pub(super) struct Chooser {
    adapter: Arc<Adapter>,
    how: Offload,
}

/// Why the adapters of a bond cannot balance.
pub(super) enum TeamFault {
    /// The adapter of the path with this number is not known.
    NoAdapter(usize),
    /// Nor is the address that it leads to.
    NoDest(usize),
    /// This adapter is of another team.
    Overlap(Name),
    Other(Error),
}

impl TeamFault {
    pub(super) fn errno(&self) -> Error {
        match self {
            Self::NoAdapter(_) | Self::NoDest(_) => EINVAL,
            Self::Overlap(_) => EBUSY,
            Self::Other(error) => *error,
        }
    }
}

impl From<Error> for TeamFault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<kernel::alloc::AllocError> for TeamFault {
    fn from(_: kernel::alloc::AllocError) -> Self {
        Self::Other(ENOMEM)
    }
}

impl fmt::Display for TeamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAdapter(number) => f.write_fmt(fmt!(
                "path {}: its adapter is not known; name it with netdev:",
                number + 1
            )),
            Self::NoDest(number) => f.write_fmt(fmt!(
                "path {}: its destination is not known; name it with dest:",
                number + 1
            )),
            Self::Overlap(name) => f.write_fmt(fmt!(
                "adapter {} is of a team with other adapters than these",
                name.as_cstr()
            )),
            Self::Other(error) => f.write_fmt(fmt!("{:?}", error)),
        }
    }
}

impl Bond {
    /// Lets the adapters of all paths be a team, if they can be, and sees to it that this policy
    /// finds what it needs. May sleep.
    pub(super) fn join_team(&self, policy: Policy) -> Result<(), TeamFault> {
        // A reload of the device may wait for whoever writes to sysfs.
        let _noio = NoIo::new();
        let mut members: KVec<Arc<Adapter>> = KVec::new();
        for path in &self.paths {
            let number = path.number();
            let adapter = path.adapter_arc().ok_or(TeamFault::NoAdapter(number))?;
            if policy == Policy::AdapterHash && path.dest().is_none() {
                return Err(TeamFault::NoDest(number));
            }
            if !members.iter().any(|member| Arc::ptr_eq(member, &adapter)) {
                members.push(adapter, GFP_KERNEL)?;
            }
        }
        if self.team.as_ref().is_none() {
            let adapters = self.shared.adapters();
            let team = Membership::of(adapters, members)?
                .map_err(|Overlap(name)| TeamFault::Overlap(name))?;
            // Another thread may have done the same; then this one leaves again.
            self.team.populate(team);
        }
        // For this bond too it is to be found out who chooses.
        if let Some(team) = self.team.as_ref() {
            team.write_roles();
        }
        // Of what is known of adapters and addresses only since the paths have begun.
        let _guard = self.inner.lock();
        self.shares_changed();
        Ok(())
    }

    /// Whether no two paths run over one adapter.
    pub(super) fn each_has_its_adapter(&self) -> bool {
        let members = self.team.as_ref().map(|team| team.size());
        members.is_none_or(|members| members == self.paths.len())
    }

    /// The path that the primary adapter itself chooses, if it does.
    pub(super) fn offloaded(&self, primary: &Adapter, shape: Shape) -> Option<usize> {
        let usable = self.usable.load(Relaxed);
        self.offload.with(|chooser| {
            // Another one may be primary already.
            let chooser = chooser.filter(|chooser| core::ptr::eq(&*chooser.adapter, primary))?;
            let how = &chooser.how;
            let number = how.choose(usable, shape.bytes, shape.writes)?;
            (usable >> number & 1 != 0).then_some(number)
        })
    }

    /// Finds out whether the primary adapter chooses itself. May sleep.
    fn learn_who_chooses(&self) {
        // The queue that looks at the links asks for this.
        let _noio = NoIo::new();
        let allowed = self.chooser.lock();
        if !*allowed {
            return;
        }
        let new = self.offload_of_primary().unwrap_or_else(|error| {
            self.warn(fmt!("the primary adapter cannot choose: {:?}", error));
            None
        });
        self.offload.set(new);
    }

    fn offload_of_primary(&self) -> Result<Option<KBox<Chooser>>> {
        let Some(team) = self.team.as_ref() else {
            return Ok(None);
        };
        let Some(primary) = team.primary() else {
            return Ok(None);
        };
        let is_over_it = |path: &&Arc<Path>| {
            path.adapter()
                .is_some_and(|own| core::ptr::eq(own, primary))
                && path.told_primary.load(Relaxed)
        };
        let Some(path) = self.paths.iter().find(is_over_it) else {
            return Ok(None);
        };
        let mut bindings = KVec::with_capacity(self.paths.len(), GFP_KERNEL)?;
        for path in &self.paths {
            bindings.push(path.binding.lock().clone(), GFP_KERNEL)?;
        }
        let how = Offload::new(bindings, path.number())?;
        let (Some(how), Some(adapter)) = (how, path.adapter_arc()) else {
            return Ok(None);
        };
        Ok(Some(KBox::new(Chooser { adapter, how }, GFP_KERNEL)?))
    }

    /// Lets no miniport choose any more. May sleep.
    pub(super) fn end_offload(&self) {
        *self.chooser.lock() = false;
        self.offload.set(None);
    }
}

impl Path {
    /// Calls a function while no miniport chooses for the path's bond; then finds out who does. May
    /// sleep.
    pub(super) fn without_offload<R>(&self, f: impl FnOnce() -> R) -> R {
        let Some(bond) = self.bond() else {
            return f();
        };
        let allowed = bond.chooser.lock();
        bond.offload.set(None);
        let result = f();
        drop(allowed);
        if bond.team.as_ref().is_some() {
            bond.learn_who_chooses();
        }
        result
    }

    /// Finds out who chooses for the path's bond. May sleep.
    pub(crate) fn learn_who_chooses(&self) {
        if let Some(bond) = self.bond() {
            bond.learn_who_chooses();
        }
    }

    /// The weights of the adapters have changed. Any context.
    pub(crate) fn reweighed(&self) {
        if let Some(bond) = self.bond() {
            bond.reweigh();
        }
    }

    /// Whether the register of the path's adapter may say "primary". Any context.
    pub(crate) fn may_say_primary(&self) -> bool {
        self.says_primary.load(Relaxed)
    }

    /// The path's adapter is to be a secondary one, so its miniport is not to be asked to choose
    /// any more. May sleep.
    pub(crate) fn choose_no_more(&self) {
        if self.told_primary.xchg(false, Relaxed) {
            self.without_offload(|| ());
        }
    }

    /// Writes the role register of the path's adapter, where the miniport has one. Says whether
    /// that went well. May sleep.
    pub(crate) fn write_role(&self, primary: bool) -> bool {
        let binding = self.binding.lock();
        let written = binding.as_deref().map(|binding| binding.set_role(primary));
        let took = matches!(written, Some(Ok(())));
        self.told_primary.store(primary && took, Relaxed);
        let error = match written {
            Some(Err(error)) if error != EOPNOTSUPP => error,
            _ => {
                self.says_primary.store(primary && took, Relaxed);
                self.refused_role.store(false, Relaxed);
                return true;
            }
        };
        if primary {
            self.says_primary.store(true, Relaxed); // Maybe.
        }
        drop(binding);
        if let (false, Some(bond)) = (self.refused_role.xchg(true, Relaxed), self.bond()) {
            bond.warn(fmt!(
                "path {}: the adapter's role is not written: {:?}",
                self.dev(),
                error
            ));
        }
        false
    }
}
