// SPDX-License-Identifier: GPL-2.0-only

//! Which path an I/O takes, and how many may be out.

use super::{
    counters::{Counted, Timed},
    Bond, Counters, Inner, Path,
};
use crate::{
    adapter::Adapter,
    kapi::{
        block::is_plugged,
        dm::Owned,
        percpu::Here,
        time::{jiffies, nanoseconds},
        trace,
    },
    policy::{
        choose::{self, Candidate, Least},
        health::Why,
        limit::Answer,
        quota::{Paths, Turn},
        table::Policy,
    },
    sync::{Atomic, Relaxed},
};
use kernel::{prelude::*, sync::Arc};

/// What of an I/O counts when a path is chosen for it.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) bytes: u32,
    place: u64,
    pub(super) writes: bool,
}

impl Shape {
    pub(super) fn of(bio: &Owned<Bond>) -> Self {
        Self {
            bytes: bio.bytes(),
            place: bio.place(),
            writes: bio.writes().is_some(),
        }
    }
}

/// What is kept with an I/O that is out.
#[derive(Clone, Copy, Zeroable)]
pub(super) struct Dispatch {
    /// One more than the number of the path that has it; 0 if none has.
    taker: u8,
    /// It counts for its adapter too.
    teamed: bool,
    io: Counted,
    /// The commands that the limit counts for it.
    commands: u32,
    /// The path's epoch when it was sent: if that has passed, the I/O was voided, and a success is
    /// none.
    pub(super) epoch: u32,
    /// The path's life in which it was sent: an error that comes back in a later one says nothing
    /// of the path as it is now, which came back meanwhile and answered a probe.
    pub(super) life: u32,
    /// When it was sent, in nanoseconds, if it is timed; else 0.
    sent_at: u64,
    /// The bytes that had succeeded until then, on the path and over its adapter, if it is timed.
    before: u64,
    adapter_before: u64,
}

impl Dispatch {
    /// The path that has the I/O, if one has.
    pub(super) fn path(&self) -> Option<usize> {
        usize::from(self.taker).checked_sub(1)
    }

    pub(super) fn io(&self) -> Counted {
        self.io
    }

    /// Counts that it is back, and at what time if that is to count. `moving`: the path has moved
    /// data all the time since it was sent.
    #[inline(always)]
    fn take(&self, counters: &Counters, before: u64, now: u64, success: bool, moving: bool) {
        let last = counters.returned(self.io, success) || !moving;
        if now > 0 || (last && counters.is_watched(self.io)) {
            let sent_at = self.sent_at;
            let timed = (now > 0).then_some((Timed { sent_at, before }, now));
            counters.watch(self.io, timed, last);
        }
    }

    /// It is back.
    pub(super) fn end(&mut self) {
        self.taker = 0;
    }
}

/// A path that an I/O may be sent to.
struct Choice<'a> {
    path: &'a Path,
    adapter: Option<&'a Adapter>,
    /// If that is still the path's when the I/O comes back, nothing was voided since the path was
    /// seen in use.
    epoch: u32,
}

impl<'a> Choice<'a> {
    /// To be asked before whether the path is in use: see [`Path::told_of_path`].
    #[inline(always)]
    fn of(path: &'a Path) -> Self {
        Self {
            path,
            epoch: path.epoch(),
            adapter: path.adapter(),
        }
    }

    /// Whether its adapter has its link now; a path that names none is taken to have.
    #[inline(always)]
    fn has_link(&self, here: &Here) -> bool {
        self.adapter
            .is_none_or(|adapter| adapter.has_link_now(here))
    }
}

/// What becomes of an I/O that wants to be sent.
pub(super) enum Sent {
    /// It goes to this path.
    To(usize),
    /// No path is in use.
    NoPath,
    /// As many are out as may be.
    Full,
}

/// The paths as a CPU sees them.
pub(super) struct View<'a> {
    bond: &'a Bond,
    pub(super) here: &'a Here,
    policy: Policy,
}

impl View<'_> {
    /// Where it is counted what is out on a path; or over its adapter, by whichever bond, where it
    /// is the adapters that balance.
    fn counters<'b>(&self, path: &'b Path) -> &'b Counters {
        let adapter = match self.policy {
            Policy::AdapterLoad => path.adapter(),
            _ => None,
        };
        adapter.map_or(path.counters(), Adapter::traffic)
    }

    /// The path that would have done an I/O first. What counts of each is what was sent from here
    /// and from the CPUs near here, if that was little from here when this was asked last; else
    /// from here alone, which is enough then. Where the adapters balance, all that is out counts.
    fn least_loaded(&self, turn: &Turn, shape: Shape) -> Least {
        let (all, near) = (self.policy == Policy::AdapterLoad, turn.has_few());
        let mut own_commands = 0u64;
        let candidates = self.bond.paths.iter().map(|path| {
            let counters = self.counters(path);
            let own = counters.out_here(self.here, shape.writes);
            own_commands = own_commands.wrapping_add(own.commands());
            let out = match (all, near) {
                (true, _) => counters.out_anywhere(self.here, shape.writes, jiffies() / 4),
                (false, true) => counters.out_near(self.here, shape.writes),
                (false, false) => own,
            };
            Candidate {
                share: path.share_in_force(),
                out,
            }
        });
        let least = choose::least_loaded(candidates, shape.bytes);
        turn.has_out(own_commands);
        least
    }

    /// The fastest paths: a bit for each.
    fn fastest(&self) -> u64 {
        choose::fastest((0..self.count()).map(|number| self.share(number)))
    }

    /// Of the paths over the adapter of this one, the one that has the least out.
    fn twin(&self, number: usize) -> usize {
        if self.policy != Policy::AdapterLoad || self.bond.each_has_its_adapter() {
            return number;
        }
        let paths = &self.bond.paths;
        let adapter = |number: usize| paths[number].adapter().map(core::ptr::from_ref);
        (0..self.count())
            .filter(|&other| self.share(other) > 0 && adapter(other) == adapter(number))
            .min_by_key(|&other| paths[other].counters().out().bytes())
            .unwrap_or(number)
    }
}

impl Paths for View<'_> {
    fn count(&self) -> usize {
        self.bond.paths.len()
    }

    fn share(&self, number: usize) -> u32 {
        self.bond.paths[number].share_in_force()
    }

    fn debt(&self, number: usize) -> &Atomic<i64> {
        &self.bond.paths[number].counters().lane(self.here).debt
    }

    fn version(&self) -> u32 {
        self.bond.version.load(Relaxed)
    }
}

impl Bond {
    /// Sends an I/O on its way, but for handing it down: lets it through the limit, chooses its
    /// path and counts it. Any context.
    pub(super) fn send(this: &Arc<Self>, shape: Shape, dispatch: &mut Dispatch) -> Sent {
        let here = Here::new();
        if !this.has_path() {
            return Sent::NoPath;
        }
        let commands = || this.commands(shape.bytes);
        let answer = this.limit.ask(commands);
        if answer == Answer::Wait {
            return Sent::Full;
        }
        let Some(choice) = Self::choose(this, &here, shape) else {
            if answer == Answer::Counted {
                this.limit.returned(commands());
                this.kick_crowd();
            }
            return Sent::NoPath;
        };
        let Choice {
            path,
            adapter,
            epoch,
        } = choice;
        let counters = path.counters();
        let io = Counted {
            cpu: here.cpu() as u16,
            writes: shape.writes,
            bytes: shape.bytes,
        };
        let answer = match answer {
            Answer::Settle => {
                // What is sent is on the path before the lock is given up: see `Limit::settle`.
                let _guard = this.inner.lock();
                let answer = this.limit.settle(commands(), || this.out());
                if answer == Answer::Wait {
                    counters.refund(io);
                    return Sent::Full;
                }
                counters.sent(&here, io);
                answer
            }
            answer => {
                counters.sent(&here, io);
                answer
            }
        };
        dispatch.commands = match answer {
            Answer::Counted => commands(),
            _ => 0,
        };
        dispatch.taker = path.number() as u8 + 1;
        dispatch.io = io;
        dispatch.epoch = epoch;
        dispatch.life = path.life();
        dispatch.sent_at = 0;
        let adapter = adapter.filter(|adapter| adapter.is_teamed());
        dispatch.teamed = adapter.is_some();
        if let Some(adapter) = adapter {
            adapter.traffic().sent(&here, io);
        }
        if io.bytes > 0 && counters.is_to_be_timed(&here, jiffies()) {
            let begin = |of: &Counters| of.begin_timing(&here, io);
            // As when it is back: first the time, then the bytes.
            dispatch.sent_at = nanoseconds();
            dispatch.before = begin(counters);
            dispatch.adapter_before = adapter.map_or(0, |adapter| begin(adapter.traffic()));
        }
        trace::choose(this.events.device(), path.dev(), io.bytes);
        Sent::To(path.number())
    }

    /// Takes down that an I/O is back from a path, and whether it had succeeded.
    pub(super) fn returned(this: &Arc<Self>, path: &Path, dispatch: &Dispatch, success: bool) {
        if dispatch.commands > 0 {
            // In this order: see `Limit::settle`.
            this.limit.returned(dispatch.commands);
        }
        // The time while the path was out of use is none that it moved data in.
        let moving = success && dispatch.life == path.life();
        let now = match dispatch.sent_at {
            1.. if moving => nanoseconds(),
            _ => 0,
        };
        dispatch.take(path.counters(), dispatch.before, now, success, moving);
        if dispatch.teamed {
            if let Some(adapter) = path.adapter() {
                let before = dispatch.adapter_before;
                dispatch.take(adapter.traffic(), before, now, success, moving);
            }
        }
        this.kick_crowd();
    }

    /// Something is back: if somebody waits for that, he is looked at.
    fn kick_crowd(self: &Arc<Self>) {
        if self.limit.is_crowded() {
            self.kick();
        }
    }

    /// How many I/Os are out on all paths, and how many commands they need at most.
    fn out(&self) -> (u32, u32) {
        let (mut ios, mut commands) = (0u64, 0u64);
        for path in &self.paths {
            let out = path.counters().out();
            ios += out.commands();
            commands += out.commands() + out.bytes() / u64::from(self.command_bytes);
        }
        let fit = |number| u32::try_from(number).unwrap_or(u32::MAX);
        (fit(ios), fit(commands))
    }

    /// Chooses a path that is in use and has its link; a path found without is failed here. Any
    /// context.
    #[inline(always)]
    fn choose<'a>(this: &'a Arc<Self>, here: &Here, shape: Shape) -> Option<Choice<'a>> {
        // Each round ends the use of a path, but for those that come back meanwhile.
        for _ in 0..=this.paths.len() {
            let number = this.pick(here, shape)?;
            let choice = Choice::of(&this.paths[number]);
            if !choice.has_link(here) {
                Self::fail(this, number, Why::Link);
            } else if this.is_usable(number) {
                let quiesced = choice.path.device().is_quiesced();
                let other = || this.takes_io(here);
                return quiesced.then(other).flatten().or(Some(choice));
            }
        }
        None
    }

    /// Some path whose driver takes I/O, for when that of the chosen one does not: one that makes a
    /// new session may keep what it is sent until it has that.
    #[cold]
    fn takes_io(&self, here: &Here) -> Option<Choice<'_>> {
        self.paths
            .iter()
            .map(|path| Choice::of(path))
            .find(|choice| {
                let takes = choice.has_link(here) && !choice.path.device().is_quiesced();
                takes && self.is_usable(choice.path.number())
            })
    }

    /// Chooses a path that is in use, by the policy if no miniport has named one.
    fn pick(&self, here: &Here, shape: Shape) -> Option<usize> {
        let policy = self.policy();
        if let Some(number) = self.preferred() {
            return Some(number);
        }
        if policy == Policy::Primary {
            return self.carrier();
        }
        let view = View {
            bond: self,
            here,
            policy,
        };
        if !policy.is_adapters() {
            return self.pick_by_share(&view, shape);
        }
        let primary = self.team.as_ref().and_then(|team| team.receive(here));
        let number = match primary.and_then(|primary| self.offloaded(primary, shape)) {
            Some(number) => number,
            None => self.pick_by_share(&view, shape)?,
        };
        if let (Some(primary), Some(adapter)) = (primary, self.paths[number].adapter()) {
            if !core::ptr::eq(primary, adapter) {
                primary.forward(here);
            }
        }
        Some(number)
    }

    /// A path that is to be tried, if there is one: see [`Meter`](crate::policy::speed::Meter). An
    /// I/O without data shows no speed.
    fn take_one_to_try(&self, shape: Shape) -> Option<usize> {
        let due = self.due.load(Relaxed);
        if due == 0 || shape.bytes == 0 {
            return None;
        }
        let number = match due & self.usable.load(Relaxed) {
            0 => return None,
            some => some.trailing_zeros(),
        };
        // For one of those who see it.
        let taken = self.due.cmpxchg(due, due & !(1 << number), Relaxed);
        taken.is_ok().then_some(number as usize)
    }

    fn pick_by_share(&self, view: &View<'_>, shape: Shape) -> Option<usize> {
        let turn = self.turns.local(view.here);
        if let Some(number) = turn.follow(shape.place, shape.bytes, self.command_bytes, is_plugged)
        {
            if view.share(number) > 0 {
                turn.charge(view, number, shape.bytes);
                return Some(number);
            }
        }
        let number = match view.policy {
            Policy::Dynamic | Policy::AdapterLoad => match self.take_one_to_try(shape) {
                Some(number) => number,
                None => match view.least_loaded(turn, shape) {
                    Least::Path(number) => view.twin(number),
                    Least::AllIdle => turn.rotate(view.fastest())?,
                    Least::None => return None,
                },
            },
            _ => turn.next(view, shape.bytes)?,
        };
        turn.went(number);
        Some(number)
    }

    /// The path that carries all I/O where the primary one does while it lives.
    pub(super) fn carrier(&self) -> Option<usize> {
        choose::primary(self.paths.len(), self.primary(), |number| {
            self.is_usable(number)
        })
    }

    /// Whether any path is in use. Any context.
    pub(super) fn has_path(&self) -> bool {
        self.usable.load(Relaxed) != 0
    }

    /// Whether a path is in use. Any context.
    pub(super) fn is_usable(&self, number: usize) -> bool {
        self.usable.load(Relaxed) >> number & 1 != 0
    }

    /// The path that ioctls and reservations go to: the one that an I/O would take.
    pub(super) fn path_for_ioctl(this: &Arc<Self>) -> Result<usize> {
        let shape = Shape {
            bytes: 0,
            place: u64::MAX,
            writes: false,
        };
        let choice = Self::choose(this, &Here::new(), shape).map(|choice| choice.path.number());
        choice.ok_or_else(|| this.inner.lock().errno_without_path())
    }

    /// Lets an I/O wait for the limit.
    pub(super) fn wait_for_room(this: &Arc<Self>, bio: Owned<Self>) {
        let mut inner = this.inner.lock();
        inner.waiting.push(bio);
        this.crowd(&inner);
    }

    /// There is I/O in the list that waits for the limit; or for nothing, if no path is left.
    pub(super) fn crowd(self: &Arc<Self>, inner: &Inner) {
        let first = inner.waiting.first();
        let needs = first.map_or(1, |bio| self.commands(bio.bytes()));
        if self.limit.crowd(needs, || self.out()) || inner.in_use == 0 {
            self.kick();
        }
    }

    /// How many commands an I/O of so many bytes needs.
    fn commands(&self, bytes: u32) -> u32 {
        bytes.div_ceil(self.command_bytes).max(1)
    }

    /// The most commands that may be out: what was set, else what the queues below take, 0 if they
    /// do not say.
    pub(super) fn max_commands(&self) -> u32 {
        match self.limit.most() {
            0 => {
                let usable = self.paths.iter().filter(|path| path.is_in_use());
                usable.fold(0, |sum, path| sum.saturating_add(path.device().depth()))
            }
            most => most,
        }
    }
}
