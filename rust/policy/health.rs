// SPDX-License-Identifier: GPL-2.0-only

//! What becomes of a path when it fails, is probed, comes back.
//!
//! ```text
//!             fail                  probe sent
//!   Active ----------> Failed  <--------------->  Probing
//!      ^               Stalled  probe unanswered     |
//!      |                 | administrator             | probe answered
//!      +-----------------+---------------------------+
//! ```
//!
//! A path that was found silent is stalled; in all else it is like one that failed, but that the
//! answer to a probe that was sent before brings it back too.
//!
//! A path that an administrator failed is not probed; only an administrator brings it back. One
//! that a miniport says has failed is not probed until the miniport says that it is restored.

use super::failure;
use crate::fmt;

/// Whether a path is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// It carries I/O.
    Active = 0,
    /// It carries none.
    Failed = 1,
    /// It carries none but a probe, whose answer is awaited.
    Probing = 2,
    /// It carries none, since it is silent.
    Stalled = 3,
}

impl State {
    /// The state of this number; `Failed` for what is none.
    pub(crate) fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Active,
            2 => Self::Probing,
            3 => Self::Stalled,
            _ => Self::Failed,
        }
    }

    /// As in `dmsetup status`.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Active => 'A',
            Self::Failed => 'F',
            Self::Probing => 'R',
            Self::Stalled => 'S',
        }
    }

    /// As in sysfs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Probing => "probing",
            Self::Stalled => "stalled",
        }
    }
}

/// Why a path failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its adapter has no link.
    Link,
    /// An I/O came back with this status.
    Io(u8),
    /// It is silent.
    Silence,
    /// A miniport said so.
    Miniport,
    /// An administrator said so.
    Administrator,
}

impl Why {
    /// Whether this is a fault that was noticed, rather than somebody's word.
    pub(crate) fn is_fault(self) -> bool {
        !matches!(self, Self::Miniport | Self::Administrator)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "link down",
            Self::Io(status) => failure::name(*status),
            Self::Silence => "silent",
            Self::Miniport => "miniport",
            Self::Administrator => "administrator",
        })
    }
}

/// Whether paths in use became more or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Lost,
    Gained,
}

/// A path's health.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    state: State,
    /// What it was before it was probed.
    rest: State,
    /// An administrator took the path out of use.
    held: bool,
    /// A miniport says that it has failed.
    told: bool,
    failures: u64,
    last_failure: Option<Why>,
}

impl Health {
    /// A new path is trusted.
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Active,
            rest: State::Failed,
            held: false,
            told: false,
            failures: 0,
            last_failure: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// How often the path went out of use.
    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// Why it did so last.
    pub(crate) fn last_failure(&self) -> Option<Why> {
        self.last_failure
    }

    /// Whether a path that is not in use is to be probed.
    pub(crate) fn wants_probe(&self) -> bool {
        self.state != State::Active && !self.held && !self.told
    }

    /// The path is at fault, or an administrator says so.
    pub(crate) fn fail(&mut self, why: Why) -> Change {
        self.held |= why == Why::Administrator;
        self.told |= why == Why::Miniport;
        let was = self.state;
        match (why, was) {
            (Why::Silence, State::Active) => self.state = State::Stalled,
            (Why::Silence, _) => {}
            _ => self.state = State::Failed,
        }
        if was == State::Active {
            self.failures += 1;
            self.last_failure = Some(why);
            Change::Lost
        } else {
            if why == Why::Administrator {
                self.last_failure = Some(why);
            }
            Change::None
        }
    }

    /// An administrator takes the path into use.
    pub(crate) fn reinstate(&mut self) -> Change {
        self.release();
        self.activate()
    }

    /// An administrator lets the path be used when it answers.
    pub(crate) fn release(&mut self) {
        self.held = false;
        self.told = false;
    }

    /// A miniport says that the path works again, or is gone. It is to be probed.
    pub(crate) fn restored(&mut self) {
        self.told = false;
    }

    /// A probe is sent. Says whether it may be. There is one at a time.
    pub(crate) fn probe_sent(&mut self) -> bool {
        let may = self.wants_probe();
        if may && self.state != State::Probing {
            self.rest = core::mem::replace(&mut self.state, State::Probing);
        }
        may
    }

    /// The probe sent last came back, answered or not. If the path failed since, that counts more.
    pub(crate) fn probe_ended(&mut self, answered: bool) -> Change {
        match (self.state, answered) {
            (State::Probing, true) => self.activate(),
            (State::Probing, false) => {
                self.state = self.rest;
                Change::None
            }
            (State::Stalled, true) if self.wants_probe() => self.activate(),
            _ => Change::None,
        }
    }

    fn activate(&mut self) -> Change {
        match core::mem::replace(&mut self.state, State::Active) {
            State::Active => Change::None,
            _ => Change::Gained,
        }
    }
}
