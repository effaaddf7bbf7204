// SPDX-License-Identifier: GPL-2.0-only

//! One way to the LU: a block device, over an adapter.

use super::{
    counters::Counters,
    shared::{Claim, Shared},
    Bond,
};
use crate::{
    adapter::{Adapter, Lease, Team},
    kapi::{
        block::{BlockDevice, DevT, Probe},
        miniport::Binding,
        workqueue::{disable_delayed, enqueue_delayed, rearm, stop_delayed},
    },
    policy::{
        failure,
        hash::{self, Bid},
        health::{State, Why},
        share,
        table::{Dest, Policy, Time},
    },
    sync::{Acquire, Atomic, Flag, Full, Relaxed},
};
use kernel::{
    impl_has_delayed_work, new_delayed_work, new_mutex, new_spinlock_irq,
    prelude::*,
    str::CString,
    sync::{Arc, Mutex, SetOnce, SpinLockIrq},
    time::{delay::fsleep, msecs_to_jiffies, Delta},
    workqueue::{DelayedWork, WorkItem},
};

/// A path.
#[pin_data]
pub(crate) struct Path {
    number: usize,
    device: BlockDevice,
    /// The device's name in `/sys/block`.
    name: CString,
    /// As the table line names them, or else as a miniport does.
    adapter: SetOnce<Lease>,
    /// There may be one: cheaper to ask.
    has_adapter: Flag,
    dest: SetOnce<Dest>,
    claim: Claim,
    /// A [`State`]: what the bond's lock guards, to be read without it.
    state: Atomic<u32>,
    /// Its part of the load when all paths are in use, in permille: as it was set, and as its speed
    /// was measured. Written under the bond's lock.
    share: Atomic<u32>,
    measured_share: Atomic<u32>,
    /// What it drew last for the address that it leads to.
    drawn: Atomic<u64>,
    /// The share that counts now, 0 if the path is not to be used. Written under the bond's lock.
    share_in_force: Atomic<u32>,
    counters: Counters,
    /// How often what was out on the path was voided: see [`Trip`](super::io::Trip).
    epoch: Atomic<u32>,
    /// How often the path went out of use: see [`Trip`](super::io::Trip).
    life: Atomic<u32>,
    /// Tells the miniport that is bound from others: its `Port::id`, or 0.
    pub(super) port: Atomic<usize>,
    /// What the path's miniport said last of the adapter was that it failed.
    pub(super) spoke: Flag,
    /// The miniport is to be asked for what is pending whatever the link.
    pub(super) abort_told: Flag,
    /// It was asked already, and what counts is the I/O that was out then.
    pub(super) abort_again: Flag,
    /// The miniport has taken it that its adapter is the primary one, and may be asked to choose.
    pub(super) told_primary: Flag,
    /// It was told so, and has not yet taken it that its adapter is a secondary one.
    pub(super) says_primary: Flag,
    /// It did not take the last word of that, and the log says so.
    pub(super) refused_role: Flag,
    /// The link was lost for so long that the session over it is not to be relied on.
    harmed: Flag,
    /// It is to be probed though it is in use.
    doubted: Flag,
    /// A probe is out.
    probed: Flag,
    /// The bond, from its birth to its end.
    #[pin]
    bond: SpinLockIrq<Option<Arc<Bond>>>,
    /// Held while a probe is out.
    #[pin]
    probe: Mutex<Probe>,
    /// The miniport that is bound to the path.
    #[pin]
    pub(super) binding: Mutex<Option<Arc<Binding>>>,
    #[pin]
    probe_work: DelayedWork<Path, PROBE>,
    #[pin]
    abort_work: DelayedWork<Path, ABORT>,
}

/// For how many turns of 20 ms a probe that is out is waited for before it is called back: one of a
/// path that is in use, or is not.
const PATIENCE: u32 = 250;
const IMPATIENCE: u32 = 50;

/// The number of the work that probes a path.
pub(super) const PROBE: u64 = 0;
/// The number of the work that asks for a path's pending commands.
pub(super) const ABORT: u64 = 1;

impl_has_delayed_work! {
    impl HasDelayedWork<Self, PROBE> for Path { self.probe_work }
    impl HasDelayedWork<Self, ABORT> for Path { self.abort_work }
}

/// What a path is made of.
pub(super) struct Parts {
    pub(super) number: usize,
    pub(super) device: BlockDevice,
    pub(super) adapter: Option<Lease>,
    pub(super) dest: Option<Dest>,
    pub(super) claim: Claim,
}

impl Path {
    pub(super) fn new(parts: Parts) -> Result<Arc<Self>> {
        let Parts {
            number,
            device,
            adapter,
            dest,
            claim,
        } = parts;
        let mut buf = [0; 32];
        let name = CString::try_from_fmt(fmt!("{}", device.kernel_name(&mut buf)))?;
        let probe = Probe::new(&device)?;
        let counters = Counters::new()?;
        let path = Arc::pin_init(
            pin_init!(Self {
                number,
                device,
                name,
                adapter: SetOnce::new(),
                has_adapter: Flag::new(false),
                dest: SetOnce::new(),
                claim,
                state: Atomic::new(State::Active as u32),
                share: Atomic::new(0),
                measured_share: Atomic::new(0),
                drawn: Atomic::new(1),
                share_in_force: Atomic::new(0),
                counters,
                epoch: Atomic::new(0),
                life: Atomic::new(0),
                port: Atomic::new(0),
                spoke: Flag::new(false),
                abort_told: Flag::new(false),
                abort_again: Flag::new(false),
                told_primary: Flag::new(false),
                says_primary: Flag::new(false),
                refused_role: Flag::new(false),
                harmed: Flag::new(false),
                doubted: Flag::new(false),
                probed: Flag::new(false),
                bond <- new_spinlock_irq!(None, "Path::bond"),
                probe <- new_mutex!(probe, "Path::probe"),
                binding <- new_mutex!(None, "Path::binding"),
                probe_work <- new_delayed_work!("Path::probe_work"),
                abort_work <- new_delayed_work!("Path::abort_work"),
            }),
            GFP_KERNEL,
        )?;
        if let Some(adapter) = adapter {
            path.has_adapter.store(true, Relaxed);
            path.adapter.populate(adapter);
        }
        if let Some(dest) = dest {
            path.dest.populate(dest);
        }
        Ok(path)
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn device(&self) -> &BlockDevice {
        &self.device
    }

    pub(super) fn dev(&self) -> DevT {
        self.device.dev()
    }

    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    pub(super) fn adapter(&self) -> Option<&Adapter> {
        match self.has_adapter.load(Relaxed) {
            true => self.adapter.as_ref().map(core::ops::Deref::deref),
            false => None,
        }
    }

    /// The team that the path's adapter is of.
    pub(super) fn team(&self) -> Option<Arc<Team>> {
        self.adapter().and_then(Adapter::team)
    }

    /// The adapter, to be kept.
    pub(super) fn adapter_arc(&self) -> Option<Arc<Adapter>> {
        self.adapter.as_ref().map(|lease| lease.adapter().clone())
    }

    pub(super) fn dest(&self) -> Option<Dest> {
        self.dest.copy()
    }

    /// Takes the adapter and the address that a miniport knows, where none were given. May sleep.
    pub(super) fn learn(this: &Arc<Self>, adapter: Option<Lease>, dest: Option<Dest>) -> Result {
        if let Some(dest) = dest {
            this.dest.populate(dest);
        }
        let Some(adapter) = adapter else {
            return Ok(());
        };
        adapter.join(this)?;
        if !this.adapter.populate(adapter) {
            return Ok(());
        }
        // In this order: whoever speaks of the adapter meanwhile sees this, or has spoken below.
        this.has_adapter.xchg(true, Full);
        if let (false, Some(bond)) = (this.has_link(), this.bond()) {
            Bond::fail(&bond, this.number, Why::Link);
        }
        Self::repeat_word(this);
        Ok(())
    }

    /// Whether the link was lost for so long that the session over it is not to be relied on.
    pub(super) fn is_harmed(&self) -> bool {
        self.harmed.load(Relaxed)
    }

    pub(super) fn set_harmed(&self, harmed: bool) {
        self.harmed.store(harmed, Relaxed);
    }

    /// The present epoch: what is sent carries it. Pairs with [`Path::void`].
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Acquire)
    }

    /// The path's present life.
    pub(super) fn life(&self) -> u32 {
        self.life.load(Relaxed)
    }

    /// The path went out of use. To be called under the bond's lock only.
    pub(super) fn end_life(&self) {
        self.life.store(self.life().wrapping_add(1), Relaxed);
    }

    /// Declares all that was sent before this call void, if it ends with success after it.
    pub(super) fn void(&self) {
        self.epoch.fetch_add(1, Full);
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn state(&self) -> State {
        State::from_u8(self.state.load(Relaxed) as u8)
    }

    /// To be called under the bond's lock only.
    pub(super) fn set_state(&self, state: State) {
        self.state.store(state as u32, Relaxed);
    }

    pub(super) fn share(&self) -> u32 {
        self.share.load(Relaxed)
    }

    /// The share that counts under a policy.
    pub(super) fn share_under(&self, policy: Policy) -> u32 {
        match policy {
            Policy::Dynamic => self.measured_share.load(Relaxed),
            Policy::AdapterLoad => self.adapter().map_or(1, Adapter::weight),
            // Each address has one path.
            Policy::AdapterHash => share::WHOLE,
            Policy::Static | Policy::Primary => self.share(),
        }
    }

    /// To be called under the bond's lock only.
    pub(super) fn set_share(&self, share: u32) {
        self.share.store(share, Relaxed);
    }

    /// To be called under the bond's lock only.
    pub(super) fn set_measured_share(&self, share: u32) {
        self.measured_share.store(share, Relaxed);
    }

    /// Draws for the address that the path leads to, for an [auction](super::shares). To be called
    /// under the bond's lock only.
    pub(super) fn draw(&self) {
        if let (Some(dest), Some(adapter)) = (self.dest(), self.adapter()) {
            let drawn = hash::drawn(&dest, adapter.key().to_bytes());
            self.drawn.store(drawn, Relaxed);
        }
    }

    /// What the path bids with then.
    pub(super) fn bid(&self) -> Bid {
        Bid::new(self.share(), self.drawn.load(Relaxed))
    }

    /// The share that counts now, 0 if the path is not to be used. Any context.
    pub(super) fn share_in_force(&self) -> u32 {
        self.share_in_force.load(Relaxed)
    }

    /// To be called under the bond's lock only.
    pub(super) fn set_share_in_force(&self, share: u32) {
        self.share_in_force.store(share, Relaxed);
    }

    pub(crate) fn is_in_use(&self) -> bool {
        self.state() == State::Active
    }

    /// Whether the adapter has its link now; a path that names none is taken to have.
    pub(super) fn has_link(&self) -> bool {
        self.adapter().is_none_or(Adapter::has_link)
    }

    /// Grows when the path answers: what was sent to it, a probe, or part of what was sent.
    pub(super) fn answers(&self) -> u64 {
        self.counters.answers().wrapping_add(self.device.done())
    }

    /// Whether anything is out on the path: I/O, or a probe.
    pub(super) fn has_anything_out(&self) -> bool {
        self.counters.inflight() > 0 || self.is_probed()
    }

    /// Whether something is out that is to be answered in `stall_ms`. Also on a path out of use,
    /// for a miniport to call it back: I/O, if there is a probe beside it, for one slow command
    /// says nothing; and not on a lost link, for which there is `abort_ms`.
    pub(super) fn is_owed_an_answer(&self) -> bool {
        if self.is_in_use() {
            return self.has_anything_out();
        }
        let waits = self.counters.inflight() > 0 && self.is_probed();
        waits && self.has_link() && self.port.load(Relaxed) != 0
    }

    /// Begins the path's life in a bond: it hears of its link from now on, and fails if it has
    /// none. May sleep.
    pub(super) fn begin(this: &Arc<Self>, bond: &Arc<Bond>) -> Result {
        *this.bond.lock() = Some(bond.clone());
        if let Some(adapter) = this.adapter() {
            adapter.join(this)?;
        }
        this.shared().miniports().join(this)?;
        if !this.has_link() {
            Bond::fail(bond, this.number, Why::Link);
        }
        Ok(())
    }

    /// Ends it: nothing comes from the path by itself any more. Waits for a probe that is under
    /// way. May sleep.
    pub(super) fn end(this: &Arc<Self>) {
        // From now on there is no bond to be told anything, or to be probed for.
        let bond = this.bond.lock().take();
        drop(bond);
        disable_delayed::<_, PROBE>(this);
        // A probe may be out for as long as the driver below takes, unless it can be called back;
        // who waits for it in short turns does not look hung. The device of a path in use may be
        // one of a new table's too, which would lose its session.
        let mut turns = 0;
        while this.probe.try_lock().is_none() {
            fsleep(Delta::from_millis(20));
            turns += 1;
            let patience = if this.is_in_use() {
                PATIENCE
            } else {
                IMPATIENCE
            };
            if turns % patience == 0 {
                this.abort_at_end();
            }
        }
        stop_delayed::<_, PROBE>(this);
        // Stops what a miniport is asked, then the miniport.
        stop_delayed::<_, ABORT>(this);
        this.shared().miniports().leave(this);
        // Nobody binds now, who could let the path join an adapter.
        if let Some(adapter) = this.adapter() {
            adapter.leave(this);
        }
    }

    pub(super) fn bond(&self) -> Option<Arc<Bond>> {
        self.bond.lock().clone()
    }

    /// The adapter has its link, or has not. Must not wait for I/O: the RTNL is held.
    pub(crate) fn link_changed(self: &Arc<Self>, up: bool) {
        let Some(bond) = self.bond() else { return };
        if !up {
            return Bond::fail(&bond, self.number, Why::Link);
        }
        self.keep_with_link();
        if bond.wants_probe(self.number) {
            self.probe_at(0);
        }
    }

    /// Lets the path be probed after this many milliseconds, or earlier if that was so. Any
    /// context.
    pub(super) fn probe_by(self: &Arc<Self>, ms: u32) {
        enqueue_delayed::<_, PROBE>(self, msecs_to_jiffies(ms));
    }

    /// Lets the path be probed after this many milliseconds. Any context.
    pub(super) fn probe_at(self: &Arc<Self>, ms: u32) {
        rearm::<_, PROBE>(self, msecs_to_jiffies(ms));
    }

    pub(super) fn shared(&self) -> &Shared {
        self.claim.shared()
    }

    /// Lets the path be probed though it is in use, unless a probe is out already. Any context.
    pub(super) fn doubt(self: &Arc<Self>) {
        if self.is_in_use() && !self.is_probed() {
            self.doubted.store(true, Relaxed);
            self.probe_at(0);
        }
    }

    /// Whether a probe is out.
    pub(super) fn is_probed(&self) -> bool {
        self.probed.load(Relaxed)
    }

    /// Probes the path, if that is due.
    fn probe(this: &Arc<Self>, bond: &Arc<Bond>) {
        let damped = bond.damped_ms(this.number);
        if damped > 0 {
            this.probe_by(damped);
            // If that has changed meanwhile, it could not be queued earlier by whoever did it.
            if bond.damped_ms(this.number) < damped {
                this.probe_at(0);
            }
            return;
        }
        let life = this.life();
        if let Some(status) = Self::send_probe(this, bond) {
            Bond::probe_ended(bond, this.number, life, status);
            if failure::is_answer(status) && bond.wants_probe(this.number) && this.renew(bond) {
                return this.probe_at(0);
            }
        }
        if bond.wants_probe(this.number) {
            this.probe_by(bond.ms(Time::Probe));
        }
    }
}

impl Path {
    /// Sends a probe, if that is due, and says how it ended.
    fn send_probe(this: &Arc<Self>, bond: &Arc<Bond>) -> Option<u8> {
        let doubted = this.doubted.xchg(false, Relaxed);
        // Whoever ends the path takes the bond away, and then waits for this.
        let mut probe = this.probe.lock();
        this.bond()?;
        // In this order: either who asks for what is pending without a link sees that a probe is,
        // or it is seen here that there is no link.
        this.probed.xchg(true, Full);
        let is_due = || Bond::probe_sent(bond, this.number) || (doubted && this.is_in_use());
        let sent = this.has_link() && is_due();
        let status = sent.then(|| this.device.probe(&mut probe).code());
        this.probed.store(false, Relaxed);
        status
    }
}

impl WorkItem<PROBE> for Path {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if let Some(bond) = this.bond() {
            Self::probe(&this, &bond);
        }
    }
}
