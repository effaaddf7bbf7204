// SPDX-License-Identifier: GPL-2.0-only

//! Which path carries an I/O, where no quota decides it: see [`quota`](super::quota).

use core::cmp::Ordering;

/// What is out on a path: commands, and their bytes, in one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load(pub(crate) u64);

impl Load {
    /// Bytes have the bits below this, commands those above.
    const SHIFT: u32 = 40;

    /// One command of so many bytes.
    pub(crate) fn of(bytes: u32) -> Self {
        Self(1 << Self::SHIFT | u64::from(bytes))
    }

    pub(crate) fn commands(self) -> u64 {
        self.0 >> Self::SHIFT
    }

    pub(crate) fn bytes(self) -> u64 {
        self.0 & ((1 << Self::SHIFT) - 1)
    }
}

/// A path that may carry an I/O.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// 0 if it is not to be used.
    pub(crate) share: u32,
    /// What is out on it in the I/O's direction.
    pub(crate) out: Load,
}

/// What a group of CPUs that look at each other saw of a path at some time: what it had out itself
/// then, in bytes, what others had, and how many other groups had any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) near: u64,
    pub(crate) far: u64,
    pub(crate) others: u64,
}

impl Seen {
    /// What is out of all now, where the group has `near` out. Each two of the other groups are
    /// taken to have done since what this one has: else each would make up for all of what it saw,
    /// and together they would swing from path to path.
    #[inline(always)]
    pub(crate) fn now(self, near: Load) -> Load {
        let since = near.bytes().wrapping_sub(self.near);
        let since = since.wrapping_mul(self.others / 2);
        let far = self.far.wrapping_add(since) as i64;
        Load(near.0.wrapping_add(far.clamp(0, Self::MOST) as u64))
    }

    /// Far below what a [`Load`] has room for.
    const MOST: i64 = 1 << 38;
}

/// What [`least_loaded`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Least {
    /// Nothing is out on any path: it is for the [`fastest`].
    AllIdle,
    /// This path would have done it first.
    Path(usize),
    /// No path is to be used.
    None,
}

/// A CPU that has more commands out than this looks at its own alone: that is enough to balance
/// by. Were it 16, a job with 32 that goes to another CPU would leave so many behind, unseen,
/// that some come back late.
pub(crate) const FEW: u64 = 24;

/// On a path with nothing out an I/O counts as one part in so many of its bytes.
const IDLE: u64 = 4;

/// Chooses the path that would have done an I/O of so many bytes first: the one with the least
/// bytes out, the I/O itself included, for its share. On a path with nothing out the I/O counts
/// only a quarter, so that a slow path is not idle as long as there is enough to do. If nothing is
/// out on any, that is left to the caller, among equals of whom they take turns. There are up to 64
/// paths, with shares of up to 1000.
///
/// What the others do with the same load, and why a quarter: `selftests/host/src/sim`.
#[inline(always)]
pub(crate) fn least_loaded(paths: impl Iterator<Item = Candidate>, bytes: u32) -> Least {
    let bytes = u64::from(bytes.max(1));
    let mut all_out = 0;
    // The best one's load and share. No product overflows: a load has 43 bits.
    let (mut best, mut least, mut of) = (usize::MAX, u64::MAX, 0u64);
    for (number, Candidate { share, out }) in paths.enumerate() {
        let share = u64::from(share);
        if share == 0 {
            continue;
        }
        all_out |= out.0;
        let load = match out.0 {
            0 => bytes,
            _ => out.bytes().wrapping_add(bytes).wrapping_mul(IDLE),
        };
        // load / share < least / of; of two equals the larger share.
        let (own, other) = (load.wrapping_mul(of), least.wrapping_mul(share));
        if of == 0 || own < other || (own == other && share > of) {
            (best, least, of) = (number, load, share);
        }
    }
    match (best, all_out) {
        (usize::MAX, _) => Least::None,
        (_, 0) => Least::AllIdle,
        (best, _) => Least::Path(best),
    }
}

/// Which of up to 64 paths have the largest share, given in their order: a bit for each.
pub(crate) fn fastest(shares: impl Iterator<Item = u32>) -> u64 {
    let (mut most, mut fastest) = (1, 0u64);
    for (number, share) in shares.enumerate() {
        let bit = 1u64.wrapping_shl(number as u32);
        match share.cmp(&most) {
            Ordering::Greater => (most, fastest) = (share, bit),
            Ordering::Equal => fastest |= bit,
            Ordering::Less => {}
        }
    }
    fastest
}

/// Chooses the primary path while it is to be used, else the next one after it, around the end.
pub(crate) fn primary(
    count: usize,
    primary: usize,
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    (primary..count)
        .chain(0..primary)
        .find(|&number| usable(number))
}
