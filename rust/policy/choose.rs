// SPDX-License-Identifier: GPL-2.0-only

//! Which path carries an I/O, where no quota decides it: see [`quota`](super::quota).

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

/// What [`least_loaded`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Least {
    /// Nothing is out on any path that is to be used.
    AllIdle,
    /// This path has the least out, for its share.
    Path(usize),
    /// No path is to be used.
    None,
}

/// Chooses the path that has the fewest bytes out for its share, so that all would be done at the
/// same time. A path with nothing out comes first, of several the one with the largest share: as
/// long as there is enough to do none is idle, however slow it is.
///
/// `paths`: each path's share, 0 if it is not to be used, and what is out on it.
pub(crate) fn least_loaded(paths: impl Iterator<Item = (u32, Load)>) -> Least {
    let mut idle = true;
    let mut best: Option<(usize, u64, u64)> = None;
    for (number, (share, load)) in paths.enumerate() {
        if share == 0 {
            continue;
        }
        idle &= load.0 == 0;
        let (share, bytes) = (u64::from(share), load.bytes());
        // A command without data is one too.
        let bytes = bytes.max(load.commands().min(1));
        let better = best.is_none_or(|(_, least, of)| {
            // bytes / share < least / of; of two without any the larger share.
            let (own, other) = (bytes * of, least * share);
            own < other || (own == other && share > of)
        });
        if better {
            best = Some((number, bytes, share));
        }
    }
    match best {
        None => Least::None,
        Some(_) if idle => Least::AllIdle,
        Some((number, ..)) => Least::Path(number),
    }
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
