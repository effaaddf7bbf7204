// SPDX-License-Identifier: GPL-2.0-only

//! The round robin of quotas: a path carries I/O until its quota of bytes is used, then the next.
//!
//! Each CPU goes its own round, so that the choice writes nothing that another CPU looks at. This
//! is deficit round robin (M. Shreedhar and G. Varghese, "Efficient Fair Queuing Using Deficit
//! Round Robin", 1996), with the deficit turned round: the I/O that uses the quota up is sent
//! whole, and what it was too long is taken off the path's next quota. So over any number of rounds
//! the bytes that a CPU sends down the paths match their shares within one I/O for each path,
//! whatever the sizes.
//!
//! The quota of a path, in bytes, is
//!
//! ```text
//! quota = share * floor(mean I/O length / least share)
//! ```
//!
//! with shares in permille, the least one of those that are to be used, and the mean of the bytes
//! of the I/O that the CPU has sent lately, of all paths together: were each path's own taken, a
//! path that happened to get longer I/O would get more of them too. So the path with the least
//! share gets one I/O in its turn, or none now and then: no finer division is possible, and a
//! coarser one would leave paths idle. The mean and the least share are looked at when a round
//! begins, if the mean has changed by more than a quarter, or shares or paths have.

use super::choose::FEW;
use crate::sync::{Atomic, Relaxed};

/// The paths, as a round robin sees them on one CPU.
pub(crate) trait Paths {
    /// How many there are, at least 1.
    fn count(&self) -> usize;
    /// The share of one, in permille; 0 if it is not to be used.
    fn share(&self, number: usize) -> u32;
    /// The bytes that this CPU has sent down it beyond its quotas, below zero; above it, those that
    /// came back unsent. That is kept with the path, to be changed by whoever gets them.
    fn debt(&self, number: usize) -> &Atomic<i64>;
    /// Changes when shares were changed, or paths came or went: then a new round begins.
    fn version(&self) -> u32;
}

/// A CPU's place in its round. Written by that CPU only.
pub(crate) struct Turn {
    path: Atomic<u32>,
    /// Bytes of the quota that are left; below zero, what it was exceeded by.
    left: Atomic<i64>,
    /// The bytes that a share of 1 is worth in this round.
    unit: Atomic<i64>,
    version: Atomic<u32>,
    /// The mean length of the I/O sent, times 2^[`Self::MEAN_SHIFT`].
    mean: Atomic<u32>,
    /// What it was when the unit was found; 0: find it anew.
    round_mean: Atomic<u32>,
    /// What was sent last: see [`Turn::follow`].
    last: Atomic<u32>,
    run: Atomic<u32>,
    end: Atomic<u64>,
    /// What the CPU had out when it was looked last.
    commands: Atomic<u64>,
}

impl Turn {
    /// Of the mean an I/O makes up one part in 2 to the power of this.
    const MEAN_SHIFT: u32 = 5;
    /// I/O longer than this counts as this in the mean, in bytes: 32 MiB.
    const LONGEST: u32 = 1 << 25;

    /// Before the first round, in which the first path comes first.
    pub(crate) fn new() -> Self {
        Self {
            path: Atomic::new(u32::MAX),
            left: Atomic::new(0),
            unit: Atomic::new(1),
            version: Atomic::new(0),
            mean: Atomic::new(4096 << Self::MEAN_SHIFT),
            round_mean: Atomic::new(0),
            last: Atomic::new(0),
            run: Atomic::new(0),
            end: Atomic::new(u64::MAX),
            commands: Atomic::new(0),
        }
    }

    /// Chooses the path for an I/O of so many bytes, and takes them off its quota. `None` if none
    /// is to be used.
    pub(crate) fn next(&self, paths: &impl Paths, bytes: u32) -> Option<usize> {
        let mut number = self.path.load(Relaxed) as usize;
        let mut left = self.left.load(Relaxed);
        let length = bytes.min(Self::LONGEST);
        let current = self.version.load(Relaxed) == paths.version() && number < paths.count();
        if !current || left <= 0 || paths.share(number) == 0 {
            if !current {
                if number == u32::MAX as usize && bytes > 0 {
                    // The first one of all is what the mean begins with.
                    self.mean.store(length << Self::MEAN_SHIFT, Relaxed);
                }
                self.restart(paths);
                number = paths.count() - 1;
            } else {
                let debt = paths.debt(number);
                debt.store(debt.load(Relaxed) + left.min(0), Relaxed);
            }
            (number, left) = self.advance(paths, number)?;
            self.path.store(number as u32, Relaxed);
        }
        self.left.store(left - i64::from(bytes), Relaxed);
        let mean = self.mean.load(Relaxed);
        let new = mean - (mean >> Self::MEAN_SHIFT) + length;
        self.mean.store(new, Relaxed);
        Some(number)
    }

    /// Begins anew, as shares have changed.
    fn restart(&self, paths: &impl Paths) {
        self.version.store(paths.version(), Relaxed);
        self.round_mean.store(0, Relaxed);
        for number in 0..paths.count() {
            paths.debt(number).store(0, Relaxed);
        }
    }

    /// Finds the next path whose quota is more than it owes, and how much more.
    fn advance(&self, paths: &impl Paths, last: usize) -> Option<(usize, i64)> {
        let count = paths.count();
        // How many rounds more it takes until one of them has paid.
        let mut rounds = i64::MAX;
        for _ in 0..2 {
            for step in 1..=count {
                let number = (last + step) % count;
                if number == 0 {
                    self.begin_round(paths);
                }
                let share = paths.share(number);
                if share == 0 {
                    continue;
                }
                let quota = self.unit.load(Relaxed) * i64::from(share);
                let debt = paths.debt(number);
                let left = debt.load(Relaxed) + quota;
                if left > 0 {
                    debt.store(0, Relaxed);
                    return Some((number, left));
                }
                debt.store(left, Relaxed);
                rounds = rounds.min(-left / quota);
            }
            if rounds == i64::MAX {
                return None;
            }
            for number in 0..count {
                let quota = self.unit.load(Relaxed) * i64::from(paths.share(number));
                let debt = paths.debt(number);
                debt.store(debt.load(Relaxed) + rounds * quota, Relaxed);
            }
        }
        // Whoever had paid is found in the second pass, but for shares that change meanwhile.
        (0..count)
            .find(|&number| paths.share(number) > 0)
            .map(|number| (number, 1))
    }

    /// Looks at the mean and the least share, if the mean has changed by more than a quarter.
    fn begin_round(&self, paths: &impl Paths) {
        let mean = self.mean.load(Relaxed);
        let before = self.round_mean.load(Relaxed);
        if mean.abs_diff(before) <= before / 4 {
            return;
        }
        self.round_mean.store(mean, Relaxed);
        let shares = (0..paths.count()).map(|number| paths.share(number));
        let least = shares.filter(|&share| share > 0).min().unwrap_or(1);
        self.unit
            .store(unit(mean >> Self::MEAN_SHIFT, least), Relaxed);
    }

    /// The path that an I/O is to follow the last one of this CPU down, so that the path's queue
    /// can make one command of both: if it begins where that ended, and the run has not become
    /// longer than a command can be.
    ///
    /// `place` is the I/O's first byte, with what kind it is in bits that no place has. `plugged`
    /// is asked only then: whether the queue below still has the last one.
    pub(crate) fn follow(
        &self,
        place: u64,
        bytes: u32,
        longest: u32,
        plugged: impl FnOnce() -> bool,
    ) -> Option<usize> {
        let begins_there = self.end.load(Relaxed) == place && bytes > 0;
        self.end.store(place.wrapping_add(bytes.into()), Relaxed);
        if begins_there {
            let run = self.run.load(Relaxed).saturating_add(bytes);
            if run <= longest && plugged() {
                self.run.store(run, Relaxed);
                return Some(self.last.load(Relaxed) as usize);
            }
        }
        self.run.store(bytes, Relaxed);
        None
    }

    /// The path that an I/O which followed none went to.
    pub(crate) fn went(&self, number: usize) {
        self.last.store(number as u32, Relaxed);
    }

    /// Whether the CPU had few commands out lately, so that it is to look at those of others too.
    pub(crate) fn has_few(&self) -> bool {
        self.commands.load(Relaxed) <= FEW
    }

    /// The CPU has so many commands out.
    pub(crate) fn has_out(&self, commands: u64) {
        self.commands.store(commands, Relaxed);
    }

    /// Of the paths that have a bit here, the next one after the last.
    pub(crate) fn rotate(&self, among: u64) -> Option<usize> {
        let last = self.last.load(Relaxed) & 63;
        let later = among & (u64::MAX << last << 1);
        let next = if later != 0 { later } else { among };
        (next != 0).then(|| next.trailing_zeros() as usize)
    }

    /// Takes the bytes of an I/O that followed another off its path's quota.
    pub(crate) fn charge(&self, paths: &impl Paths, number: usize, bytes: u32) {
        let account = match self.path.load(Relaxed) as usize == number {
            true => &self.left,
            false => paths.debt(number),
        };
        account.store(account.load(Relaxed) - i64::from(bytes), Relaxed);
    }
}

/// What a share of 1 permille is worth in a round, in bytes.
fn unit(mean: u32, least: u32) -> i64 {
    i64::from((mean / least).max(1))
}

/// The quota of a path with this share, in bytes, where the mean length of I/O is `mean` and the
/// least share `least`.
pub(crate) fn quota(share: u32, mean: u32, least: u32) -> u64 {
    u64::from(share) * unit(mean, least.max(1)).unsigned_abs()
}
