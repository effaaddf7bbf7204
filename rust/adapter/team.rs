// SPDX-License-Identifier: GPL-2.0-only

//! Teams: the adapters that a bond's paths use, where it is the adapters that balance.
//!
//! A bond with such a policy hands every I/O to the *primary* adapter of its team, and that chooses
//! which of them transmits it; the others, the *secondary* ones, only transmit. Bonds over the same
//! adapters are of the same team. Teams that had some adapters in common and others not could not
//! agree on roles (of three adapters with a team for each two, no choice gives every team one
//! primary adapter), so there are none: a bond that would make one is refused.
//!
//! Which adapter is primary is one number of the team, so there are never two. It is another one
//! when that adapter loses its link, or its last path in use, for whatever reason; there is none
//! while no adapter of the team has a link. An adapter that comes back is a secondary one.

use super::{Adapter, Adapters};
use crate::{
    bond::Path,
    kapi::{
        mm::NoIo,
        netdev::Name,
        percpu::Here,
        workqueue::{enqueue_delayed, rearm, stop_delayed, OnQueue, OwnedQueue},
    },
    policy::{
        choose,
        speed::{self, Meter},
        table::MAX_PATHS,
    },
    sync::{Atomic, Flag, Full, Relaxed},
};
use kernel::{
    impl_has_delayed_work, new_delayed_work, new_spinlock_irq,
    prelude::*,
    sync::{Arc, SpinLockIrq},
    time::msecs_to_jiffies,
    workqueue::{DelayedWork, WorkItem},
};

/// When a register that could not be written is tried again, in milliseconds.
const WRITE_AGAIN_MS: u32 = 1000;

/// A team.
#[pin_data]
pub(crate) struct Team {
    adapters: Arc<Adapters>,
    members: KVec<Arc<Adapter>>,
    /// The number of the primary one, or [`Self::NONE`]. Written under the lock.
    primary: Atomic<u32>,
    /// It has none, and that was said.
    headless: Flag,
    #[pin]
    inner: SpinLockIrq<Inner>,
    /// Writes the role registers.
    #[pin]
    register: DelayedWork<Team>,
}

struct Inner {
    /// Of each member, in their order.
    meters: KVec<Meter>,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Team { self.register }
}

impl OnQueue for Team {
    fn queue(&self) -> &OwnedQueue {
        &self.adapters.queue
    }
}

impl Team {
    /// No adapter's number.
    const NONE: u32 = u32::MAX;

    /// A team of these, of which the first one is to be primary.
    fn new(adapters: &Arc<Adapters>, members: KVec<Arc<Adapter>>) -> Result<Arc<Self>> {
        let mut meters = KVec::from_elem(Meter::default(), members.len(), GFP_KERNEL)?;
        for (meter, member) in meters.iter_mut().zip(&members) {
            // What they did in another team is not measured again.
            let (moved, nanos) = member.traffic.times();
            meter.pass(moved, nanos);
            meter.forget();
        }
        let inner = Inner { meters };
        let even = crate::policy::share::WHOLE / members.len() as u32;
        for member in &members {
            member.weight.store(even.max(1), Relaxed);
        }
        let team = Arc::pin_init(
            pin_init!(Self {
                adapters: adapters.clone(),
                members,
                primary: Atomic::new(0),
                headless: Flag::new(false),
                inner <- new_spinlock_irq!(inner, "Team::inner"),
                register <- new_delayed_work!("Team::register"),
            }),
            GFP_KERNEL,
        )?;
        Ok(team)
    }

    /// Hands an I/O to the primary adapter. `None` if there is none. Any context.
    pub(crate) fn receive(self: &Arc<Self>, here: &Here) -> Option<&Adapter> {
        let has_link = |primary: &Adapter| primary.has_link_now(here);
        if !self.primary().is_some_and(has_link) {
            self.elect();
        }
        let primary = self.primary()?;
        primary.balance.local(here).received.add(1u64, Relaxed);
        Some(primary)
    }

    /// How many adapters it has.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// The primary adapter.
    pub(crate) fn primary(&self) -> Option<&Adapter> {
        let number = self.primary.load(Relaxed) as usize;
        self.members.get(number).map(|member| &**member)
    }

    pub(super) fn has_primary(&self, adapter: &Adapter) -> bool {
        self.primary()
            .is_some_and(|own| core::ptr::eq(own, adapter))
    }

    /// If the primary adapter can be so no longer, makes the next one primary that can: one that is
    /// available; if none is, one that has its link. To be called when an adapter's link or the use
    /// of a path over it has changed. Any context, but not under the lock of a bond.
    pub(crate) fn elect(self: &Arc<Self>) {
        let _guard = self.inner.lock();
        let count = self.members.len();
        let first = match self.primary.load(Relaxed) as usize {
            number if number < count => number,
            _ => 0,
        };
        let next = |can: fn(&Adapter) -> bool| {
            choose::primary(count, first, |number| can(&self.members[number]))
        };
        let next = next(Adapter::is_available).or_else(|| next(Adapter::has_link));
        self.set(next.map_or(Self::NONE, |next| next as u32));
    }

    /// To be called under the lock only.
    fn set(self: &Arc<Self>, number: u32) {
        if self.primary.xchg(number, Full) != number {
            self.write_roles();
        }
    }

    /// Lets the role registers be written. Any context.
    pub(crate) fn write_roles(self: &Arc<Self>) {
        rearm(self, 0);
    }

    /// An administrator makes an adapter primary, or secondary: then the next one after it is
    /// primary. `ENOLINK` if who is to be is not available. Any context.
    pub(super) fn appoint(self: &Arc<Self>, adapter: &Adapter, primary: bool) -> Result {
        let _guard = self.inner.lock();
        let is = |member: &Arc<Adapter>| core::ptr::eq(&**member, adapter);
        let own = self.members.iter().position(is).ok_or(EINVAL)?;
        if primary {
            if !adapter.is_available() {
                return Err(ENOLINK);
            }
            self.set(own as u32);
        } else if self.primary.load(Relaxed) as usize == own {
            let other = |number: usize| number != own && self.members[number].is_available();
            let next = choose::primary(self.members.len(), own, other).ok_or(ENOLINK)?;
            self.set(next as u32);
        }
        Ok(())
    }

    /// Writes the role registers: the secondary ones' first, so that no two say "primary"; while
    /// one that does and has its link does not take that, no other is told to be. Says whether all
    /// were written. May sleep.
    fn write_registers(&self) -> bool {
        let number = self.primary.load(Relaxed);
        let (mut written, mut free) = (true, true);
        for (other, member) in self.members.iter().enumerate() {
            if other as u32 != number && !member.write_role(false) {
                written = false;
                free &= !(member.may_say_primary() && member.has_link());
            }
        }
        let Some(primary) = self.members.get(number as usize) else {
            if !self.headless.xchg(true, Relaxed) {
                pr_warn!("a team has no adapter with a link\n");
            }
            return written;
        };
        self.headless.store(false, Relaxed);
        // Another one may be by now: then this is done anew.
        if free && self.primary.load(Relaxed) == number {
            written &= primary.write_role(true);
        }
        for member in &self.members {
            let learn =
                |paths: &[Arc<Path>]| paths.iter().for_each(|path| path.learn_who_chooses());
            written &= member.with_paths(learn).is_ok();
        }
        written
    }

    /// Lets the members' weights follow their speeds. Any context.
    pub(super) fn measure(&self) {
        let mut weights = [0; MAX_PATHS];
        let weights = &mut weights[..self.members.len()];
        let mut guard = self.inner.lock();
        for (number, member) in self.members.iter().enumerate() {
            let meter = &mut guard.meters[number];
            let (moved, nanos) = member.traffic.times();
            meter.pass(moved, nanos);
            if !member.has_link() {
                meter.forget(); // It may come back as another one.
            }
            meter.force(member.set_speed.load(Relaxed));
            member.speed.store(meter.speed().unwrap_or(0), Relaxed);
            weights[number] = member.weight.load(Relaxed);
        }
        if speed::follow(&guard.meters, weights) {
            for (member, weight) in self.members.iter().zip(weights) {
                member.weight.store(*weight, Relaxed);
            }
            drop(guard);
            for member in &self.members {
                member.each_path(|path| path.reweighed());
            }
        }
    }
}

impl WorkItem for Team {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if !this.write_registers() {
            enqueue_delayed(&this, msecs_to_jiffies(WRITE_AGAIN_MS));
        }
    }
}

/// A bond's part in a team.
pub(crate) struct Membership {
    team: Arc<Team>,
    left: Flag,
}

/// Why there can be no such team: an adapter is of another one already, that this one is not.
pub(crate) struct Overlap(pub(crate) Name);

impl core::ops::Deref for Membership {
    type Target = Arc<Team>;

    fn deref(&self) -> &Arc<Team> {
        &self.team
    }
}

impl Membership {
    /// Joins, or forms, the team of these adapters, of which each is there once. A new one's
    /// primary adapter is the first. May sleep.
    pub(crate) fn of(
        adapters: &Arc<Adapters>,
        members: KVec<Arc<Adapter>>,
    ) -> Result<Result<Self, Overlap>> {
        // Who looks at the links takes the lock too, and the end of an I/O may wait for that.
        let _noio = NoIo::new();
        let mut teams = adapters.teams.lock();
        let has = |team: &Team, adapter: &Arc<Adapter>| {
            team.members.iter().any(|own| Arc::ptr_eq(own, adapter))
        };
        for (team, bonds) in teams.iter_mut() {
            let common = members.iter().filter(|member| has(team, member)).count();
            if common == members.len() && common == team.members.len() {
                *bonds += 1;
                return Ok(Ok(Self::new(team)));
            }
            if let Some(at_fault) = members.iter().find(|member| has(team, member)) {
                return Ok(Err(Overlap(at_fault.name())));
            }
        }
        let team = Team::new(adapters, members)?;
        teams.push((team.clone(), 1), GFP_KERNEL)?;
        for member in &team.members {
            member.set_team(Some(team.clone()));
        }
        drop(teams);
        team.elect();
        Ok(Ok(Self::new(&team)))
    }

    fn new(team: &Arc<Team>) -> Self {
        Self {
            team: team.clone(),
            left: Flag::new(false),
        }
    }

    /// Leaves the team, which ends with its last bond. May sleep.
    pub(crate) fn leave(&self) {
        if self.left.xchg(true, Full) {
            return;
        }
        let mut teams = self.team.adapters.teams.lock();
        let own = |(team, _): &(Arc<Team>, usize)| Arc::ptr_eq(team, &self.team);
        let Some(index) = teams.iter().position(own) else {
            return;
        };
        teams[index].1 -= 1;
        if teams[index].1 == 0 {
            let _ = teams.remove(index);
            for member in &self.team.members {
                member.set_team(None);
            }
            drop(teams);
            stop_delayed(&self.team);
            for member in &self.team.members {
                // Nobody is left to write it later.
                let _ = member.write_role(false) || member.write_role(false);
                // Of a new one, that was formed meanwhile.
                if let Some(team) = member.team() {
                    team.write_roles();
                }
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}
