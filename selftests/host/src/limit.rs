// SPDX-License-Identifier: GPL-2.0-only

//! How many commands may be out.

use crate::policy::limit::{Answer, Limit};

#[cfg(not(loom))]
mod alone {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn no_paths() -> (u32, u32) {
        panic!("not asked");
    }

    /// What happens: an I/O of so many commands wants to be sent, one of those out comes back, the
    /// limit is changed.
    #[derive(Clone, Debug)]
    enum Step {
        Send(u32),
        Return(prop::sample::Index),
        Set(u32),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..=9u32).prop_map(Step::Send),
            4 => any::<prop::sample::Index>().prop_map(Step::Return),
            1 => prop_oneof![Just(0), 1..=20u32].prop_map(Step::Set),
        ]
    }

    proptest! {
        #[test]
        fn what_is_sent_never_exceeds_the_limit(
            first in 0..20u32,
            steps in vec(any_step(), 0..200),
        ) {
            let limit = Limit::new(first);
            let mut most = first;
            // The commands of each I/O that is out, and whether it is counted.
            let mut out: Vec<(u32, bool)> = vec![];
            for step in steps {
                match step {
                    Step::Send(commands) => {
                        let used: u32 = out.iter().map(|(commands, _)| commands).sum();
                        let answer = match limit.ask(|| commands) {
                            Answer::Settle => limit.settle(commands, || (out.len() as u32, used)),
                            other => other,
                        };
                        match answer {
                            Answer::Free => prop_assert_eq!(most, 0),
                            Answer::Counted => prop_assert!(used == 0 || used + commands <= most),
                            Answer::Wait => prop_assert!(used > 0 && used + commands > most),
                            Answer::Settle => prop_assert!(false),
                        }
                        if answer != Answer::Wait {
                            out.push((commands, answer == Answer::Counted));
                        }
                    }
                    Step::Return(which) if !out.is_empty() => {
                        let (commands, counted) = out.swap_remove(which.index(out.len()));
                        if counted {
                            limit.returned(commands);
                        }
                    }
                    Step::Return(_) => {}
                    Step::Set(new) => {
                        limit.set(new);
                        limit.is_set();
                        most = new;
                        prop_assert_eq!(limit.most(), new);
                    }
                }
            }
        }
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let limit = Limit::new(0);
        assert_eq!(limit.ask(|| u32::MAX), Answer::Free);
        assert!(limit.crowd(1, no_paths));
    }

    #[test]
    fn one_larger_than_the_limit_goes_alone() {
        let limit = Limit::new(2);
        assert_eq!(limit.ask(|| 5), Answer::Counted);
        assert_eq!(limit.ask(|| 1), Answer::Wait);
        limit.returned(5);
        assert_eq!(limit.ask(|| 1), Answer::Counted);
        assert_eq!(limit.ask(|| 5), Answer::Wait);
    }

    /// Else whoever retries it would do so again and again.
    #[test]
    fn there_is_no_room_for_who_needs_more_than_is_left() {
        let limit = Limit::new(7);
        assert_eq!(limit.ask(|| 6), Answer::Counted);
        assert_eq!(limit.ask(|| 2), Answer::Wait);
        assert!(!limit.crowd(2, no_paths));
        assert!(limit.crowd(1, no_paths));
        assert!(!limit.crowd(9, no_paths), "it has to be alone");
        limit.returned(6);
        assert!(limit.crowd(9, no_paths));
    }

    #[test]
    fn who_waits_is_seen_until_cleared() {
        let limit = Limit::new(1);
        assert_eq!(limit.ask(|| 1), Answer::Counted);
        assert!(!limit.is_crowded());
        assert!(!limit.crowd(1, no_paths));
        assert!(limit.is_crowded());
        limit.returned(1);
        assert!(limit.crowd(1, no_paths), "there is room now");
        limit.clear();
        assert!(!limit.is_crowded());
    }

    /// The uncounted one is on the paths until it is back, whatever is sent and returned meanwhile.
    #[test]
    fn a_new_limit_reckons_with_what_is_out() {
        let limit = Limit::new(0);
        assert_eq!(limit.ask(|| 1), Answer::Free);
        limit.set(2);
        // Somebody may have asked, and not sent yet.
        assert_eq!(limit.settle(1, || (0, 0)), Answer::Counted);
        assert_eq!(limit.ask(|| 1), Answer::Settle);
        limit.returned(1);
        limit.is_set();
        assert_eq!(limit.ask(|| 1), Answer::Settle);
        assert_eq!(limit.settle(1, || (1, 1)), Answer::Counted);
        assert_eq!(limit.ask(|| 1), Answer::Settle);
        assert_eq!(limit.settle(1, || (2, 2)), Answer::Wait);
        limit.returned(1);
        assert_eq!(limit.settle(1, || (1, 1)), Answer::Counted);
        // Now the uncounted one is back.
        assert_eq!(limit.settle(1, || (1, 1)), Answer::Counted);
        assert_eq!(limit.ask(|| 1), Answer::Wait);
    }

    /// Who was told to settle the limit counts as all others do once it is settled: what they
    /// counted may not be on the paths yet.
    #[test]
    fn who_comes_to_settle_a_settled_limit_keeps_it() {
        let limit = Limit::new(0);
        limit.set(2);
        limit.is_set();
        assert_eq!(limit.ask(|| 1), Answer::Settle);
        assert_eq!(limit.settle(1, || (0, 0)), Answer::Counted);
        assert_eq!(limit.ask(|| 1), Answer::Counted);
        assert_eq!(limit.settle(1, || (1, 1)), Answer::Wait);
    }
}

/// All orders of what threads do, and all that weak memory allows. Run with `--cfg loom`.
#[cfg(loom)]
mod together {
    use super::*;
    use crate::sync::{Atomic, Full, Relaxed};
    use loom::{sync::Arc, sync::Mutex, thread};

    /// What the bond has: the limit, what is on the paths, and a list with its lock.
    struct Bond {
        limit: Limit,
        paths: Atomic<u32>,
        waiting: Mutex<u32>,
        kicked: Atomic<u32>,
    }

    impl Bond {
        fn new(most: u32) -> Arc<Self> {
            Arc::new(Self {
                limit: Limit::new(most),
                paths: Atomic::new(0),
                waiting: Mutex::new(0),
                kicked: Atomic::new(0),
            })
        }

        /// As `Bond::send` and `wait_for_room`. Says whether it is counted, if it was sent.
        fn send(&self) -> Option<bool> {
            let answer = match self.limit.ask(|| 1) {
                Answer::Settle => {
                    let _guard = self.waiting.lock().unwrap();
                    let answer = self.limit.settle(1, || self.on_paths());
                    if answer != Answer::Wait {
                        self.paths.fetch_add(1, Full);
                    }
                    answer
                }
                Answer::Wait => Answer::Wait,
                answer => {
                    self.paths.fetch_add(1, Full);
                    answer
                }
            };
            if answer != Answer::Wait {
                return Some(answer == Answer::Counted);
            }
            let mut waiting = self.waiting.lock().unwrap();
            *waiting += 1;
            if self.limit.crowd(1, || self.on_paths()) {
                self.kicked.store(1, Relaxed);
            }
            None
        }

        /// As `Bond::returned`.
        fn returned(&self, counted: bool) {
            if counted {
                self.limit.returned(1);
            }
            self.paths.fetch_sub(1, Full);
            if self.limit.is_crowded() {
                self.kicked.store(1, Relaxed);
            }
        }

        fn on_paths(&self) -> (u32, u32) {
            let paths = self.paths.load(Full);
            (paths, paths)
        }
    }

    #[test]
    fn loom_limit_is_kept_and_nobody_is_forgotten() {
        loom::model(|| {
            let bond = Bond::new(1);
            let inside = Arc::new(loom::sync::atomic::AtomicU32::new(0));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let (bond, inside) = (bond.clone(), inside.clone());
                    thread::spawn(move || {
                        if let Some(counted) = bond.send() {
                            let others = inside.fetch_add(1, loom::sync::atomic::Ordering::SeqCst);
                            assert_eq!(others, 0);
                            inside.fetch_sub(1, loom::sync::atomic::Ordering::SeqCst);
                            bond.returned(counted);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            // All that was sent is back: who waits must have been kicked.
            let waits = *bond.waiting.lock().unwrap() > 0;
            assert!(!waits || bond.kicked.load(Relaxed) == 1, "a lost wake-up");
        });
    }

    #[test]
    fn loom_limit_that_is_set_reckons_with_what_is_out() {
        loom::model(|| {
            let bond = Bond::new(0);
            // Sent before there was a limit.
            assert_eq!(bond.send(), Some(false));
            bond.limit.set(1);
            bond.limit.is_set();
            let other = {
                let bond = bond.clone();
                thread::spawn(move || bond.send())
            };
            bond.returned(false);
            let sent = other.join().unwrap();
            match sent {
                Some(counted) => {
                    assert!(counted);
                    assert_eq!(bond.send(), None, "one is out");
                }
                None => assert_eq!(bond.kicked.load(Relaxed), 1, "a lost wake-up"),
            }
        });
    }

    /// One had asked before the limit was set, and is sent meanwhile; another one looks meanwhile
    /// whether all is counted.
    #[test]
    fn loom_limit_is_not_settled_by_an_early_look() {
        loom::model(|| {
            let bond = Bond::new(0);
            assert_eq!(bond.limit.ask(|| 1), Answer::Free);
            bond.limit.set(2);
            let first = {
                let bond = bond.clone();
                thread::spawn(move || bond.paths.fetch_add(1, Full))
            };
            let second = {
                let bond = bond.clone();
                thread::spawn(move || bond.send())
            };
            first.join().unwrap();
            bond.limit.is_set();
            assert_eq!(second.join().unwrap(), Some(true));
            assert_eq!(bond.send(), None, "two are out");
        });
    }
}
