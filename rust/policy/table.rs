// SPDX-License-Identifier: GPL-2.0-only

//! What a table line means.
//!
//! ```text
//! <#features> [<feature>]... <policy> <#policy args> [<arg>]...
//!     <#paths> { <device> <#path args> [<arg>]... }...
//! ```
//!
//! Features: `queue_if_no_path`, and `<time>:<ms>` for the times of [`TIMES`], up to a day.
//! Policies: `static`, `primary`, `adapter-hash`, `adapter-load`, and `dynamic` with
//! `interval_ms:<ms>`. Path arguments: `netdev:<name>`,
//! `share:<1..1000>`, `dest:<address>`. Numbers are decimal, times are milliseconds.

use crate::fmt;
use core::{ffi::CStr, net::IpAddr};

/// The most paths of a bond.
pub(crate) const MAX_PATHS: usize = 64;
/// A day: the longest time that can be set, in milliseconds.
pub(crate) const MAX_MS: u32 = 86_400_000;
/// The most that `max_commands` can be.
pub(crate) const MAX_COMMANDS: u32 = 1_000_000;
/// `IFNAMSIZ` less its NUL.
const MAX_NETDEV: usize = 15;

/// How a path is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Policy {
    /// By fixed shares.
    Static = 0,
    /// The primary path, while it lives.
    Primary = 1,
    /// By what is out on the paths, and by shares that follow their speeds.
    Dynamic = 2,
    /// The primary adapter chooses, by a hash of the address.
    AdapterHash = 3,
    /// The primary adapter chooses, by what is out over the adapters.
    AdapterLoad = 4,
}

impl Policy {
    /// The policy of this number; `Static` for what is none.
    pub(crate) fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Primary,
            2 => Self::Dynamic,
            3 => Self::AdapterHash,
            4 => Self::AdapterLoad,
            _ => Self::Static,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Primary => "primary",
            Self::Dynamic => "dynamic",
            Self::AdapterHash => "adapter-hash",
            Self::AdapterLoad => "adapter-load",
        }
    }

    /// Whether it is the adapters that balance.
    pub(crate) fn is_adapters(self) -> bool {
        matches!(self, Self::AdapterHash | Self::AdapterLoad)
    }

    /// Finds a policy by its name.
    pub(crate) fn named(name: &[u8]) -> Result<Self, Fault<'_>> {
        match name {
            b"static" => Ok(Self::Static),
            b"primary" => Ok(Self::Primary),
            b"dynamic" => Ok(Self::Dynamic),
            b"adapter-hash" => Ok(Self::AdapterHash),
            b"adapter-load" => Ok(Self::AdapterLoad),
            _ => Err(Fault::Unknown("policy", name)),
        }
    }
}

/// What is tuned by features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) queue_if_no_path: bool,
    /// The most commands that may be out; 0: as many as the queues below take.
    max_commands: u32,
    times: [u32; TIMES.len()],
}

/// The features that are times, in milliseconds: their places in [`TIMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// How long I/O waits for a path; 0: for ever.
    NoPathTimeout,
    /// How often a failed path is probed.
    Probe,
    /// How long a link may be lost before the commands on it are called back.
    Abort,
    /// How long a path may be silent while others answer; 0: for ever.
    Stall,
    /// How long a write waits that was on a path which failed.
    WriteHold,
    /// How often shares follow speeds. Not a feature, but an argument of a policy.
    Interval,
}

/// What the features are called that are times, the least of each, and what it is by default.
pub(crate) const TIMES: [(&str, u32, u32); 6] = [
    ("no_path_timeout_ms", 0, 0),
    ("probe_ms", 1, 1000),
    ("abort_ms", 0, 50),
    ("stall_ms", 0, 2000),
    ("write_hold_ms", 0, 0),
    ("interval_ms", 10, 100),
];
/// So many of them are features.
const FEATURES: usize = Time::Interval as usize;

impl Default for Features {
    fn default() -> Self {
        Self {
            queue_if_no_path: false,
            max_commands: 0,
            times: TIMES.map(|(_, _, default)| default),
        }
    }
}

impl Features {
    pub(crate) fn ms(&self, time: Time) -> u32 {
        self.times[time as usize]
    }

    /// Sets a time to what is read.
    pub(crate) fn set_ms<'a>(&mut self, time: Time, text: &'a [u8]) -> Result<(), Fault<'a>> {
        let (name, least, _) = TIMES[time as usize];
        self.times[time as usize] = number(name, text, least, MAX_MS)?;
        Ok(())
    }

    pub(crate) fn max_commands(&self) -> u32 {
        self.max_commands
    }

    /// Sets the most commands to what is read.
    pub(crate) fn set_max_commands<'a>(&mut self, text: &'a [u8]) -> Result<(), Fault<'a>> {
        self.max_commands = number("max_commands", text, 0, MAX_COMMANDS)?;
        Ok(())
    }

    /// Reads an argument of a policy's, into what tunes it.
    pub(crate) fn set_policy_arg<'a>(
        &mut self,
        policy: Policy,
        word: &'a [u8],
    ) -> Result<(), Fault<'a>> {
        match (policy, split(word)) {
            (Policy::Dynamic, (b"interval_ms", Some(value))) => self.set_ms(Time::Interval, value),
            _ => Err(Fault::Unknown("policy argument", word)),
        }
    }

    /// Writes the policy, the count of its arguments and the arguments.
    pub(crate) fn write_policy(&self, policy: Policy, out: &mut dyn fmt::Write) -> fmt::Result {
        let (name, _, default) = TIMES[Time::Interval as usize];
        let interval = self.ms(Time::Interval);
        match policy {
            Policy::Dynamic if interval != default => {
                write!(out, "{} 1 {name}:{interval}", policy.name())
            }
            _ => write!(out, "{} 0", policy.name()),
        }
    }

    /// Writes the count of features and the features, only those that are not as by default.
    pub(crate) fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let default = Self::default();
        let changed = || {
            let all = TIMES
                .iter()
                .zip(self.times)
                .zip(default.times)
                .take(FEATURES);
            all.filter(|((_, own), default)| own != default)
                .map(|(((name, ..), own), _)| (name, own))
        };
        let limited = self.max_commands > 0;
        let count = usize::from(self.queue_if_no_path) + usize::from(limited) + changed().count();
        write!(out, "{count}")?;
        if self.queue_if_no_path {
            out.write_str(" queue_if_no_path")?;
        }
        if limited {
            write!(out, " max_commands:{}", self.max_commands)?;
        }
        for (name, ms) in changed() {
            write!(out, " {name}:{ms}")?;
        }
        Ok(())
    }
}

/// An address of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dest {
    Ip(IpAddr),
    /// A Fibre Channel port's name.
    Wwpn(u64),
}

impl Dest {
    /// Reads `192.0.2.1`, `2001:db8::1`, `0x500a098012345678` or `50:0a:09:80:12:34:56:78`. (Eight
    /// groups of two digits are a port's name, though they would be an IPv6 address too.)
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let hex = |digits: &[u8]| {
            digits.iter().try_fold(0u64, |number, &digit| {
                Some((number << 4) | u64::from(char::from(digit).to_digit(16)?))
            })
        };
        if let Some(digits) = text.strip_prefix(b"0x") {
            return (digits.len() == 16).then(|| hex(digits).map(Self::Wwpn))?;
        }
        if text.len() == 23
            && text
                .split(|&byte| byte == b':')
                .all(|group| group.len() == 2)
        {
            return text
                .split(|&byte| byte == b':')
                .try_fold(0, |number, group| Some((number << 8) | hex(group)?))
                .map(Self::Wwpn);
        }
        core::str::from_utf8(text).ok()?.parse().ok().map(Self::Ip)
    }
}

impl fmt::Display for Dest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => {
                // Lest eight groups of two digits be read again as a port's name.
                let two = |group: &u16| (0x10..=0xff).contains(group);
                if matches!(address, IpAddr::V6(v6) if v6.segments().iter().all(two)) {
                    f.write_str("0")?;
                }
                core::fmt::Display::fmt(address, f)
            }
            Self::Wwpn(name) => write!(f, "{name:#018x}"),
        }
    }
}

/// The beginning of a table line, before the paths.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) features: Features,
    pub(crate) policy: Policy,
    pub(crate) paths: usize,
}

/// A path in a table line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PathLine<'a> {
    pub(crate) device: &'a CStr,
    pub(crate) netdev: Option<&'a CStr>,
    pub(crate) share: Option<u32>,
    pub(crate) dest: Option<Dest>,
}

/// What is wrong with a line. The first text says what was read, the bytes are the word at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault<'a> {
    Missing(&'static str),
    Unknown(&'static str, &'a [u8]),
    Twice(&'static str, &'a [u8]),
    NoNumber(&'static str, &'a [u8]),
    Range(&'static str, &'a [u8], u32, u32),
    NoName(&'static str, &'a [u8]),
    NoAddress(&'static str, &'a [u8]),
    Extra(&'a [u8]),
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Missing(what) => write!(f, "{what} missing"),
            Self::Unknown(what, word) => write!(f, "unknown {what} '{}'", word.escape_ascii()),
            Self::Twice(what, word) => write!(f, "{what} '{}' given twice", word.escape_ascii()),
            Self::NoNumber(what, word) => {
                write!(f, "{what}: '{}' is not a number", word.escape_ascii())
            }
            Self::Range(what, word, least, most) => {
                write!(
                    f,
                    "{what}: {} is not in {least}..{most}",
                    word.escape_ascii()
                )
            }
            Self::NoName(what, word) => {
                write!(f, "{what}: '{}' cannot be a name", word.escape_ascii())
            }
            Self::NoAddress(what, word) => {
                write!(f, "{what}: '{}' is not an address", word.escape_ascii())
            }
            Self::Extra(word) => write!(f, "extra word '{}'", word.escape_ascii()),
        }
    }
}

/// Reads a decimal number in a range.
pub(crate) fn number<'a>(
    what: &'static str,
    word: &'a [u8],
    least: u32,
    most: u32,
) -> Result<u32, Fault<'a>> {
    let in_range = |number: u64| number >= least.into() && number <= most.into();
    match long_number(what, word, u64::MAX) {
        Ok(number) if in_range(number) => Ok(number as u32),
        Ok(_) | Err(Fault::Range(..)) => Err(Fault::Range(what, word, least, most)),
        Err(fault) => Err(fault),
    }
}

/// Reads a decimal number of up to `most`.
pub(crate) fn long_number<'a>(
    what: &'static str,
    word: &'a [u8],
    most: u64,
) -> Result<u64, Fault<'a>> {
    if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
        return Err(Fault::NoNumber(what, word));
    }
    word.iter()
        .try_fold(0u64, |number, digit| {
            number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .filter(|number| *number <= most)
        .ok_or(Fault::Range(what, word, 0, u32::MAX))
}

/// Reads a table line, word by word.
pub(crate) struct Reader<I>(I);

impl<'a, I: Iterator<Item = &'a CStr>> Reader<I> {
    pub(crate) fn new(words: I) -> Self {
        Self(words)
    }

    fn word(&mut self, what: &'static str) -> Result<&'a CStr, Fault<'a>> {
        self.0.next().ok_or(Fault::Missing(what))
    }

    fn number(&mut self, what: &'static str, least: u32, most: u32) -> Result<u32, Fault<'a>> {
        number(what, self.word(what)?.to_bytes(), least, most)
    }

    /// Reads up to the count of paths. Then [`Reader::path`] is to be called that often, and
    /// [`Reader::end`].
    pub(crate) fn head(&mut self) -> Result<Head, Fault<'a>> {
        let mut features = self.features()?;
        let policy = Policy::named(self.word("policy")?.to_bytes())?;
        for number in 0..self.number("number of policy arguments", 0, 9)? {
            let word = self.word("policy argument")?.to_bytes();
            features.set_policy_arg(policy, word)?;
            if number > 0 {
                // No policy has two.
                return Err(Fault::Twice("policy argument", split(word).0));
            }
        }
        let paths = self.number("number of paths", 1, MAX_PATHS as u32)? as usize;
        Ok(Head {
            features,
            policy,
            paths,
        })
    }

    fn features(&mut self) -> Result<Features, Fault<'a>> {
        let mut features = Features::default();
        let mut given = [false; FEATURES];
        let mut limited = false;
        for _ in 0..self.number("number of features", 0, 9)? {
            let word = self.word("feature")?.to_bytes();
            let (name, value) = split(word);
            let time = TIMES[..FEATURES]
                .iter()
                .position(|(time, ..)| time.as_bytes() == name);
            let twice = match (name, time, value) {
                (b"queue_if_no_path", _, None) => {
                    core::mem::replace(&mut features.queue_if_no_path, true)
                }
                (_, Some(time), Some(value)) => {
                    let (name, least, _) = TIMES[time];
                    features.times[time] = number(name, value, least, MAX_MS)?;
                    core::mem::replace(&mut given[time], true)
                }
                (b"max_commands", _, Some(value)) => {
                    features.set_max_commands(value)?;
                    core::mem::replace(&mut limited, true)
                }
                _ => return Err(Fault::Unknown("feature", word)),
            };
            if twice {
                return Err(Fault::Twice("feature", name));
            }
        }
        Ok(features)
    }

    /// Reads a path.
    pub(crate) fn path(&mut self) -> Result<PathLine<'a>, Fault<'a>> {
        let device = self.word("path device")?;
        let mut path = PathLine {
            device,
            netdev: None,
            share: None,
            dest: None,
        };
        for _ in 0..self.number("number of path arguments", 0, 9)? {
            let word = self.word("path argument")?;
            let (name, value) = split(word.to_bytes());
            let twice = match (name, value) {
                (b"netdev", Some(value)) => path.netdev.replace(netdev(word, value)?).is_some(),
                (b"share", Some(value)) => path
                    .share
                    .replace(number("share", value, 1, super::share::WHOLE)?)
                    .is_some(),
                (b"dest", Some(value)) => {
                    let dest = Dest::parse(value).ok_or(Fault::NoAddress("dest", value))?;
                    path.dest.replace(dest).is_some()
                }
                _ => return Err(Fault::Unknown("path argument", word.to_bytes())),
            };
            if twice {
                return Err(Fault::Twice("path argument", name));
            }
        }
        Ok(path)
    }

    /// Checks that nothing follows.
    pub(crate) fn end(mut self) -> Result<(), Fault<'a>> {
        match self.0.next() {
            Some(word) => Err(Fault::Extra(word.to_bytes())),
            None => Ok(()),
        }
    }
}

/// Splits `name:value`.
fn split(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    match word.iter().position(|&byte| byte == b':') {
        Some(colon) => (&word[..colon], Some(&word[colon + 1..])),
        None => (word, None),
    }
}

/// The name of a network device, by the rules of `dev_valid_name()`: `value`, which is the end of
/// `word`.
fn netdev<'a>(word: &'a CStr, value: &'a [u8]) -> Result<&'a CStr, Fault<'a>> {
    let valid = (1..=MAX_NETDEV).contains(&value.len())
        && value != b"."
        && value != b".."
        && !value
            .iter()
            .any(|byte| matches!(byte, b'/' | b':' | b' ' | b'\t'..=b'\r' | 0xa0));
    let start = word.count_bytes() - value.len();
    CStr::from_bytes_with_nul(&word.to_bytes_with_nul()[start..])
        .ok()
        .filter(|_| valid)
        .ok_or(Fault::NoName("netdev", value))
}
