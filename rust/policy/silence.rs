// SPDX-License-Identifier: GPL-2.0-only

//! Whether a path is silent: commands are out on it and none is answered, while other paths do
//! answer. It is looked at [`LOOKS`] times in `stall_ms`, and twice as often while it owes an
//! answer.
//!
//! A path that has been silent for half of `stall_ms` is suspected: it gets a probe, for one slow
//! command says nothing of its path, and so do the others that are idle. If that is not answered
//! either, and in two looks since then others have answered, it is stalled when `stall_ms` is over.
//! Two looks, for when a storage controller that was silent on all paths comes back, one path
//! answers first.

/// How often a path is looked at during `stall_ms`.
const LOOKS: u32 = 32;
/// The shortest time between looks, in milliseconds; half of it while an answer is owed.
const SHORTEST: u32 = 10;
/// In how many looks others must have answered.
const WITNESSES: u32 = 2;

/// The time between two looks, in milliseconds.
pub(crate) fn pace(stall_ms: u32) -> u32 {
    (stall_ms / LOOKS).max(SHORTEST)
}

/// What a look shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It answers, or has nothing to answer.
    Well,
    /// It is to be probed.
    Suspected,
    /// It is to be taken out of use.
    Stalled,
}

/// What is remembered of a path from one look to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silence {
    answers: u64,
    silent_ms: u32,
    /// The time that does not count yet.
    unseen_ms: u32,
    witnesses: u32,
}

impl Silence {
    /// Whether the path has answered since the last look. `answers` counts all that it ever did.
    pub(crate) fn has_answered(&self, answers: u64) -> bool {
        answers != self.answers
    }

    /// It has answered nothing in the time before the last look, and should have.
    pub(crate) fn owes_an_answer(&self) -> bool {
        self.silent_ms > 0
    }

    /// Looks at the path, `passed_ms` after the last time. `outstanding`: commands are out on it.
    /// `others`: another path in use has answered since then.
    pub(crate) fn look(
        &mut self,
        answers: u64,
        outstanding: bool,
        others: bool,
        passed_ms: u32,
        stall_ms: u32,
    ) -> Finding {
        if self.has_answered(answers) || !outstanding {
            *self = Self {
                answers,
                ..Self::default()
            };
            return Finding::Well;
        }
        // Once it is suspected, only that silence counts in which others answer: when all have been
        // silent, and some answer first, it has its time from then.
        let suspected = self.silent_ms >= stall_ms / 2;
        self.unseen_ms = self.unseen_ms.saturating_add(passed_ms);
        if others || !suspected {
            // A machine that stood still says nothing of the path, nor does a silence of all. But
            // the others may only take longer to answer than from one look to the next.
            let counts = core::mem::take(&mut self.unseen_ms).min(2 * pace(stall_ms));
            self.silent_ms = self.silent_ms.saturating_add(counts);
        }
        if self.silent_ms < stall_ms / 2 {
            return Finding::Well;
        }
        self.witnesses += u32::from(others);
        if self.silent_ms >= stall_ms && self.witnesses >= WITNESSES {
            Finding::Stalled
        } else {
            Finding::Suspected
        }
    }
}
