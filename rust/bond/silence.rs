// SPDX-License-Identifier: GPL-2.0-only

//! Paths that fall silent: looked at again and again, as long as the bond is live.

use super::{works, Bond, Path};
use crate::{
    kapi::workqueue::{enqueue_delayed, rearm},
    policy::{
        health::Why,
        silence::{pace, Finding, Silence},
        table::{Time, MAX_PATHS},
    },
};
use kernel::{
    sync::{atomic::Relaxed, Arc},
    time::msecs_to_jiffies,
    workqueue::WorkItem,
};

impl Bond {
    /// Lets the paths be looked at, if they are to be. Any context.
    pub(super) fn listen(self: &Arc<Self>) {
        rearm::<_, { works::LISTEN }>(self, 0);
    }

    /// Looks which paths are silent. In how many milliseconds that is to be done again.
    fn look_for_silence(this: &Arc<Self>, stall_ms: u32) -> u32 {
        let now = this.now();
        let passed = now.saturating_sub(this.looked.xchg(now, Relaxed));
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        let mut answers = [0; MAX_PATHS];
        for (answers, path) in answers.iter_mut().zip(&this.paths) {
            *answers = path.answers();
        }
        let (mut owed, mut suspicion, mut suspected_in_use) = (false, false, false);
        let mut answered = 0u64;
        let mut guard = this.inner.lock();
        // One bit a path.
        for (number, path) in this.paths.iter().enumerate() {
            let silence = &guard.health[number].silence;
            if path.is_in_use() && silence.has_answered(answers[number]) {
                answered |= 1 << number;
            }
        }
        for (number, path) in this.paths.iter().enumerate() {
            let in_use = path.is_in_use();
            let is_last = in_use && guard.in_use == 1;
            let silence = &mut guard.health[number].silence;
            let finding = silence.look(
                answers[number],
                path.is_owed_an_answer(),
                answered & !(1 << number) != 0,
                passed,
                stall_ms,
            );
            owed |= silence.owes_an_answer();
            match finding {
                Finding::Well => {}
                Finding::Suspected => {
                    suspicion = true;
                    suspected_in_use |= in_use;
                }
                // Silence of the last path says nothing of it.
                Finding::Stalled if is_last => {}
                Finding::Stalled => {
                    *silence = Silence::default();
                    if in_use {
                        Self::fail_locked(this, &mut guard, number, Why::Silence);
                    } else {
                        path.abort_now();
                    }
                }
            }
        }
        if suspected_in_use && answered == 0 {
            // Those that wait may be better.
            this.end_damping(&mut guard);
        }
        drop(guard);
        if suspicion {
            // The others too: do they answer?
            this.paths.iter().for_each(Path::doubt);
        }
        pace(stall_ms) / if owed { 2 } else { 1 }
    }
}

impl WorkItem<{ works::LISTEN }> for Bond {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let stall_ms = this.ms(Time::Stall);
        if stall_ms > 0 && this.paths.len() > 1 {
            let again_ms = Self::look_for_silence(&this, stall_ms);
            enqueue_delayed::<_, { works::LISTEN }>(&this, msecs_to_jiffies(again_ms));
        }
    }
}
