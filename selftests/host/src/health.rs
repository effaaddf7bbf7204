// SPDX-License-Identifier: GPL-2.0-only

//! What becomes of a path when it fails, is probed, comes back.

use crate::policy::health::{Change, Health, State, Why};
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Copy, Debug)]
enum Event {
    Fail(Why),
    Reinstate,
    /// A miniport says that it works again.
    Restored,
    ProbeSent,
    ProbeEnded {
        answered: bool,
    },
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop_oneof![Just(Why::Link), any::<u8>().prop_map(Why::Io)].prop_map(Event::Fail),
        2 => Just(Event::Fail(Why::Silence)),
        1 => Just(Event::Fail(Why::Administrator)),
        1 => Just(Event::Fail(Why::Miniport)),
        1 => Just(Event::Reinstate),
        1 => Just(Event::Restored),
        4 => Just(Event::ProbeSent),
        4 => any::<bool>().prop_map(|answered| Event::ProbeEnded { answered }),
    ]
}

/// Does to a path what happens, and says what changed; and of a probe whether it may be sent.
fn apply(health: &mut Health, event: Event) -> (Change, Option<bool>) {
    match event {
        Event::Fail(why) => (health.fail(why), None),
        Event::Reinstate => (health.reinstate(), None),
        Event::Restored => {
            health.restored();
            (Change::None, None)
        }
        Event::ProbeSent => (Change::None, Some(health.probe_sent())),
        Event::ProbeEnded { answered } => (health.probe_ended(answered), None),
    }
}

/// What an answer to the probe under way would mean.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Probe {
    None,
    Counts,
    /// The path failed or was reinstated since the probe was sent.
    Stale,
}

/// A path's health in other words: there is no state, but what led to it.
#[derive(Debug)]
struct Model {
    in_use: bool,
    held: bool,
    told: bool,
    /// It was silent, and nothing else was said of it since.
    stalled: bool,
    probe: Probe,
    failures: u64,
    last_failure: Option<Why>,
}

impl Model {
    fn new() -> Self {
        Self {
            in_use: true,
            held: false,
            told: false,
            stalled: false,
            probe: Probe::None,
            failures: 0,
            last_failure: None,
        }
    }

    /// Probes are sent one at a time, and only a probe that was sent ends.
    fn can_happen(&self, event: Event) -> bool {
        match event {
            Event::ProbeSent => self.probe == Probe::None,
            Event::ProbeEnded { .. } => self.probe != Probe::None,
            _ => true,
        }
    }

    fn apply(&mut self, event: Event) -> (Change, Option<bool>) {
        let was_in_use = self.in_use;
        let mut may_probe = None;
        match event {
            // Of a path out of use that says nothing.
            Event::Fail(Why::Silence) if !self.in_use => {}
            Event::Fail(why) => {
                self.stalled = why == Why::Silence;
                if self.in_use {
                    self.failures += 1;
                }
                if self.in_use || why == Why::Administrator {
                    self.last_failure = Some(why);
                }
                self.in_use = false;
                self.held |= why == Why::Administrator;
                self.told |= why == Why::Miniport;
                self.overtake_probe();
            }
            Event::Reinstate => {
                self.in_use = true;
                self.held = false;
                self.told = false;
                self.overtake_probe();
            }
            Event::Restored => self.told = false,
            Event::ProbeSent => {
                let may = self.wants_probe();
                if may {
                    self.probe = Probe::Counts;
                }
                may_probe = Some(may);
            }
            Event::ProbeEnded { answered } => {
                let late = self.stalled && self.wants_probe();
                self.in_use |= answered && (self.probe == Probe::Counts || late);
                self.probe = Probe::None;
            }
        }
        let change = match (was_in_use, self.in_use) {
            (true, false) => Change::Lost,
            (false, true) => Change::Gained,
            _ => Change::None,
        };
        (change, may_probe)
    }

    fn wants_probe(&self) -> bool {
        !self.in_use && !self.held && !self.told
    }

    fn overtake_probe(&mut self) {
        if self.probe == Probe::Counts {
            self.probe = Probe::Stale;
        }
    }

    fn state(&self) -> State {
        match (self.in_use, self.probe) {
            (true, _) => State::Active,
            (false, Probe::Counts) => State::Probing,
            (false, _) if self.stalled => State::Stalled,
            (false, _) => State::Failed,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_path_behaves_as_the_model(events in vec(any_event(), 0..100)) {
        let (mut health, mut model) = (Health::new(), Model::new());
        for event in events {
            if !model.can_happen(event) {
                continue;
            }
            prop_assert_eq!(apply(&mut health, event), model.apply(event), "{:?}", event);
            prop_assert_eq!(health.state(), model.state(), "{:?}", event);
            prop_assert_eq!(health.wants_probe(), model.wants_probe(), "{:?}", event);
            prop_assert_eq!(health.failures(), model.failures, "{:?}", event);
            prop_assert_eq!(health.last_failure(), model.last_failure, "{:?}", event);
        }
    }

    /// In whatever order things happen, probes that were never sent and end included.
    #[test]
    fn the_count_of_paths_in_use_is_kept_by_changes(
        events in vec((0..4usize, any_event()), 0..100),
    ) {
        let mut paths = [Health::new(); 4];
        let mut last = [Change::Gained; 4];
        let mut lost = [0; 4];
        let mut in_use = paths.len();
        for (number, event) in events {
            let (change, _) = apply(&mut paths[number], event);
            match change {
                Change::None => {}
                Change::Lost => {
                    in_use -= 1;
                    lost[number] += 1;
                }
                Change::Gained => in_use += 1,
            }
            if change != Change::None {
                prop_assert_ne!(change, last[number], "{:?}", event);
                last[number] = change;
            }
            let active = paths.iter().filter(|path| path.state() == State::Active).count();
            prop_assert_eq!(in_use, active, "{:?}", event);
            prop_assert_eq!(paths.map(|path| path.failures()), lost, "{:?}", event);
        }
    }

    #[test]
    fn only_an_administrator_brings_back_what_one_failed(
        before in vec(any_event(), 0..20),
        after in vec(any_event(), 0..50),
    ) {
        let mut health = Health::new();
        for event in before {
            apply(&mut health, event);
        }
        health.fail(Why::Administrator);
        for event in after.into_iter().filter(|event| !matches!(event, Event::Reinstate)) {
            let (change, may_probe) = apply(&mut health, event);
            prop_assert_eq!(change, Change::None, "{:?}", event);
            prop_assert_ne!(may_probe, Some(true));
            prop_assert_eq!(health.state(), State::Failed, "{:?}", event);
            prop_assert!(!health.wants_probe(), "{:?}", event);
            prop_assert_eq!(health.last_failure(), Some(Why::Administrator), "{:?}", event);
        }
        prop_assert_eq!(health.reinstate(), Change::Gained);
        // It is like any other path again.
        prop_assert_eq!(health.fail(Why::Link), Change::Lost);
        prop_assert!(health.probe_sent());
        prop_assert_eq!(health.probe_ended(true), Change::Gained);
    }

    #[test]
    fn what_a_miniport_failed_waits_for_its_word(
        before in vec(any_event(), 0..20),
        after in vec(any_event(), 0..50),
    ) {
        let mut health = Health::new();
        for event in before {
            apply(&mut health, event);
        }
        health.fail(Why::Miniport);
        for event in after {
            if matches!(event, Event::Reinstate | Event::Restored) {
                continue;
            }
            let (change, may_probe) = apply(&mut health, event);
            prop_assert_eq!(change, Change::None, "{:?}", event);
            prop_assert_ne!(may_probe, Some(true));
            prop_assert_eq!(health.state(), State::Failed, "{:?}", event);
            prop_assert!(!health.wants_probe(), "{:?}", event);
        }
        // Then it is probed, unless an administrator holds it.
        health.restored();
        prop_assert_eq!(health.state(), State::Failed);
        if health.probe_sent() {
            prop_assert_eq!(health.probe_ended(true), Change::Gained);
        } else {
            prop_assert_eq!(health.last_failure(), Some(Why::Administrator));
        }
    }
}

#[test]
fn a_path_that_a_miniport_failed_is_probed_once_it_is_restored() {
    let mut health = Health::new();
    assert_eq!(health.fail(Why::Miniport), Change::Lost);
    assert_eq!(health.last_failure(), Some(Why::Miniport));
    assert!(!health.wants_probe());
    assert!(!health.probe_sent());
    health.restored();
    assert_eq!(health.state(), State::Failed);
    assert!(health.probe_sent());
    assert_eq!(health.probe_ended(true), Change::Gained);
    assert_eq!(health.failures(), 1);
}

#[test]
fn an_administrator_overrules_a_miniport_and_not_the_reverse() {
    let mut health = Health::new();
    health.fail(Why::Miniport);
    assert_eq!(health.reinstate(), Change::Gained);
    // Its word is forgotten with that.
    assert_eq!(health.fail(Why::Link), Change::Lost);
    assert!(health.wants_probe());

    health.fail(Why::Administrator);
    health.fail(Why::Miniport);
    assert_eq!(health.last_failure(), Some(Why::Administrator));
    health.restored();
    assert!(!health.wants_probe());
    assert_eq!(health.reinstate(), Change::Gained);
}

#[test]
fn a_word_of_a_miniport_is_forgotten_by_no_failure() {
    let mut health = Health::new();
    health.fail(Why::Link);
    assert_eq!(health.fail(Why::Miniport), Change::None);
    health.fail(Why::Io(10));
    assert_eq!(health.last_failure(), Some(Why::Link));
    assert!(!health.wants_probe());
}

#[test]
fn a_path_in_use_that_is_restored_stays_as_it_is() {
    let mut health = Health::new();
    health.restored();
    assert_eq!(health.state(), State::Active);
    assert!(!health.wants_probe());
}

#[test]
fn a_new_path_is_trusted() {
    let mut health = Health::new();
    assert_eq!(health.state(), State::Active);
    assert_eq!((health.failures(), health.last_failure()), (0, None));
    assert!(!health.wants_probe());
    assert!(!health.probe_sent());
}

#[test]
fn a_path_comes_back_once_it_answers() {
    let mut health = Health::new();
    assert_eq!(health.fail(Why::Io(10)), Change::Lost);
    assert!(health.probe_sent());
    assert_eq!(health.state(), State::Probing);
    assert_eq!(health.probe_ended(false), Change::None);
    assert_eq!(health.state(), State::Failed);
    assert!(health.probe_sent());
    assert_eq!(health.probe_ended(true), Change::Gained);
    assert_eq!(health.state(), State::Active);
    assert_eq!(health.failures(), 1);
    assert_eq!(health.last_failure(), Some(Why::Io(10)));
}

#[test]
fn a_failure_overtakes_the_answer_of_a_probe() {
    for why in [Why::Link, Why::Io(4), Why::Miniport, Why::Administrator] {
        let mut health = Health::new();
        health.fail(Why::Link);
        assert!(health.probe_sent());
        assert_eq!(health.fail(why), Change::None);
        assert_eq!(health.probe_ended(true), Change::None);
        assert_eq!(health.state(), State::Failed);
        assert_eq!(health.failures(), 1);
    }
}

#[test]
fn a_stalled_path_stays_so_until_it_answers() {
    let mut health = Health::new();
    assert_eq!(health.fail(Why::Silence), Change::Lost);
    assert_eq!(health.state(), State::Stalled);
    assert!(health.probe_sent());
    assert_eq!(health.probe_ended(false), Change::None);
    assert_eq!(health.state(), State::Stalled);
    // The answer to a probe sent when it was only suspected.
    assert_eq!(health.probe_ended(true), Change::Gained);
    assert_eq!(health.last_failure(), Some(Why::Silence));
}

#[test]
fn a_stalled_path_that_fails_is_failed_and_not_the_reverse() {
    let mut health = Health::new();
    health.fail(Why::Silence);
    assert_eq!(health.fail(Why::Miniport), Change::None);
    assert_eq!(health.state(), State::Failed);
    assert_eq!(health.fail(Why::Silence), Change::None);
    assert_eq!(health.state(), State::Failed);
    assert_eq!(health.probe_ended(true), Change::None);
}

#[test]
fn a_probe_unanswered_does_not_fail_a_path_reinstated_meanwhile() {
    let mut health = Health::new();
    health.fail(Why::Link);
    assert!(health.probe_sent());
    assert_eq!(health.reinstate(), Change::Gained);
    assert_eq!(health.probe_ended(false), Change::None);
    assert_eq!(health.state(), State::Active);
}

#[test]
fn the_first_reason_stands_but_for_an_administrators() {
    let mut health = Health::new();
    health.fail(Why::Link);
    health.fail(Why::Io(10));
    assert_eq!(health.last_failure(), Some(Why::Link));
    health.fail(Why::Administrator);
    assert_eq!(health.last_failure(), Some(Why::Administrator));
    assert_eq!(health.failures(), 1);
}

#[test]
fn states_and_reasons_are_written_as_documented() {
    for (state, letter, name) in [
        (State::Active, 'A', "active"),
        (State::Failed, 'F', "failed"),
        (State::Probing, 'R', "probing"),
        (State::Stalled, 'S', "stalled"),
    ] {
        assert_eq!((state.letter(), state.name()), (letter, name));
        assert_eq!(State::from_u8(state as u8), state);
    }
    assert_eq!(State::from_u8(u8::MAX), State::Failed);
    assert_eq!(Why::Link.to_string(), "link down");
    assert_eq!(Why::Io(4).to_string(), "transport error");
    assert_eq!(Why::Silence.to_string(), "silent");
    assert_eq!(Why::Miniport.to_string(), "miniport");
    assert_eq!(Why::Administrator.to_string(), "administrator");
}
