// SPDX-License-Identifier: GPL-2.0-only

//! How many commands may be out at the logical unit.
//!
//! Without a limit nothing is counted here, so that nothing is written that all CPUs share. When
//! one is set, there may be I/O out that was not counted. Until that is back the limit is
//! *settling*: whoever wants to send takes all that is out on the paths instead, under a lock.

use crate::sync::{Acquire, Atomic, Full, Relaxed};

/// What somebody who wants to send is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is no limit.
    Free,
    /// Send it; it is counted.
    Counted,
    /// Wait until something is back.
    Wait,
    /// Ask again under the lock, with [`Limit::settle`].
    Settle,
}

/// A limit on the commands that are out.
pub(crate) struct Limit {
    /// 0: there is none.
    most: Atomic<u32>,
    /// Whether some that are out may not have been counted: 1, or 2 while some may not even be on
    /// the paths.
    settling: Atomic<u32>,
    /// What is counted: I/Os in the upper half, commands in the lower one.
    out: Atomic<u64>,
    /// A flag: somebody waits.
    crowded: Atomic<u32>,
}

/// One I/O that needs so many commands, as it is counted.
fn io(commands: u32) -> u64 {
    1 << 32 | u64::from(commands)
}

fn ios(out: u64) -> u32 {
    (out >> 32) as u32
}

fn commands(out: u64) -> u32 {
    out as u32
}

impl Limit {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: Atomic::new(most),
            settling: Atomic::new(0),
            out: Atomic::new(0),
            crowded: Atomic::new(0),
        }
    }

    /// The limit; 0 if there is none.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Relaxed)
    }

    /// Sets the limit, 0 for none. When all that is sent by who has asked before is on the paths,
    /// [`Limit::is_set`] is to be called. One caller at a time.
    pub(crate) fn set(&self, most: u32) {
        if self.most() == 0 {
            self.settling.store(2, Relaxed);
        }
        self.most.xchg(most, Full);
    }

    /// Whoever asked before the limit was set has put what he sends on the paths.
    pub(crate) fn is_set(&self) {
        let _ = self.settling.cmpxchg(2, 1, Full);
    }

    /// Asks to send an I/O that needs so many commands. One that needs more than the limit has to
    /// be alone.
    pub(crate) fn ask(&self, needs: impl FnOnce() -> u32) -> Answer {
        let most = self.most.load(Acquire);
        if most == 0 {
            return Answer::Free;
        }
        let needs = needs();
        if self.settling.load(Relaxed) != 0 {
            return Answer::Settle;
        }
        self.count(needs, most)
    }

    fn count(&self, needs: u32, most: u32) -> Answer {
        let mut out = self.out.load(Relaxed);
        while fits(commands(out), needs, most) {
            match self.out.cmpxchg(out, out + io(needs), Full) {
                Ok(_) => return Answer::Counted,
                Err(now) => out = now,
            }
        }
        Answer::Wait
    }

    /// The same while the limit settles. Under a lock, under which what is sent is also put on the
    /// paths: `on_paths` says how many I/Os are there, and how many commands they need at most.
    /// What comes back is taken off the paths only after [`Limit::returned`]. So as long as any is
    /// out that was not counted, there are more on the paths than are counted here.
    pub(crate) fn settle(&self, needs: u32, on_paths: impl FnOnce() -> (u32, u32)) -> Answer {
        let most = self.most.load(Acquire);
        if most == 0 {
            return Answer::Free;
        }
        // First: only what is summed after `is_set` has all that was sent before the limit was set.
        let before = self.settling.load(Acquire);
        // In this order, which the full barrier keeps: what comes back meanwhile is missing from
        // both, or from the second only.
        let (all, at_most) = on_paths();
        let out = self.out.fetch_add(0u64, Full);
        // Another one may have settled it since this one asked: then who asked after that is
        // counted, and not on the paths yet.
        let is_settled = self.settling.load(Acquire) == 0
            || before == 1 && all <= ios(out) && self.settling.cmpxchg(1, 0, Full).is_ok();
        if is_settled {
            return self.count(needs, most);
        }
        if !fits(at_most, needs, most) {
            return Answer::Wait;
        }
        self.out.fetch_add(io(needs), Full);
        Answer::Counted
    }

    /// Somebody waits who needs so many commands. Says whether there is room for him all the same:
    /// what was out when he was told to wait may be back before this. `on_paths` is as for
    /// [`Limit::settle`].
    pub(crate) fn crowd(&self, needs: u32, on_paths: impl FnOnce() -> (u32, u32)) -> bool {
        // In this order, the reverse of that in `returned` and what follows it: either who comes
        // back sees that somebody waits, or it is seen here that he is back.
        self.crowded.xchg(1, Full);
        let most = self.most();
        let used = match self.settling.load(Relaxed) {
            0 => commands(self.out.load(Acquire)),
            _ => on_paths().1,
        };
        most == 0 || fits(used, needs, most)
    }

    /// Whether somebody waits: to be asked after anything came back.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.load(Relaxed) != 0
    }

    /// Nobody waits any more.
    pub(crate) fn clear(&self) {
        self.crowded.store(0, Relaxed);
    }

    /// A counted I/O is back.
    pub(crate) fn returned(&self, needed: u32) {
        self.out.fetch_sub(io(needed), Full);
    }
}

fn fits(out: u32, needs: u32, most: u32) -> bool {
    out == 0 || out.saturating_add(needs) <= most
}
