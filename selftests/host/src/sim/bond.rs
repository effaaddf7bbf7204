// SPDX-License-Identifier: GPL-2.0-only

//! The algorithm of the bond: weighted least outstanding, by measured speed.

use super::model::{Algorithm, Done, INTERVAL, MS, SECOND};

/// Of whose commands in flight a CPU decides.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum View {
    /// Its own.
    Own,
    /// Those of all CPUs.
    All,
    /// Those of all CPUs while it has no more than so many of its own, else its own.
    Few(u64),
}

/// Who carries a command when nothing is in flight.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Idle {
    /// The next in a round robin with quotas.
    Robin,
    /// The fastest; of equals, in turn.
    Fastest,
}

#[derive(Clone, Copy)]
pub(super) struct Options {
    pub(super) view: View,
    pub(super) idle: Idle,
    /// Whether a sample counts what all CPUs have in flight, or its own.
    pub(super) sample_all: bool,
    /// A CPU takes at most one sample of a path in this time.
    pub(super) sample_every: u64,
    /// Shares are changed by more than 1 part in this, and [`Options::slack`].
    pub(super) part: u32,
    pub(super) slack: u32,
    /// A path idle for so many times its last latency is tried again: [`Idle::Fastest`].
    pub(super) retry: u64,
    /// Counted as in flight in addition to what is, in parts of 16 of a command: against drift.
    pub(super) damp: u64,
}

impl Options {
    pub(super) const FIRST: Self = Self {
        view: View::Own,
        idle: Idle::Robin,
        sample_all: false,
        sample_every: 4 * MS,
        part: 16,
        slack: 8,
        retry: 64,
        damp: 0,
    };
}

#[derive(Clone, Default)]
struct Path {
    usable: bool,
    /// In decayed sums, and since the last tick.
    moved: u64,
    time: u64,
    new_moved: u64,
    new_time: u64,
    speed: u64,
    share: u32,
    /// 2^20 by the share.
    inverse: u64,
    last_sample: u64,
    last_latency: u64,
}

#[derive(Clone, Default)]
struct OnPath {
    in_flight: u64,
    commands: u64,
    next_sample: u64,
    /// What is left of the quota, or owed.
    left: i64,
}

#[derive(Clone, Default)]
struct Cpu {
    paths: Vec<OnPath>,
    commands: u64,
    /// Whose turn it is.
    turn: usize,
    mean: u64,
}

pub(super) struct Bond {
    options: Options,
    paths: Vec<Path>,
    cpus: Vec<Cpu>,
}

impl Bond {
    pub(super) fn new(options: Options, paths: usize, cpus: usize) -> Self {
        let mut bond = Self {
            options,
            paths: vec![
                Path {
                    usable: true,
                    ..Path::default()
                };
                paths
            ],
            cpus: vec![
                Cpu {
                    paths: vec![OnPath::default(); paths],
                    ..Cpu::default()
                };
                cpus
            ],
        };
        bond.set_shares();
        bond
    }

    fn usable(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.paths.len()).filter(|&path| self.paths[path].usable)
    }

    fn in_flight_of_all(&self, path: usize) -> u64 {
        self.cpus.iter().map(|cpu| cpu.paths[path].in_flight).sum()
    }

    fn pick(&mut self, now: u64, cpu: usize, bytes: u64) -> usize {
        let all = match self.options.view {
            View::Own => false,
            View::All => true,
            View::Few(few) => self.cpus[cpu].commands <= few,
        };
        let in_flight = |path: usize| match all {
            true => self.in_flight_of_all(path),
            false => self.cpus[cpu].paths[path].in_flight,
        };
        let key = |&path: &usize| {
            let Path { inverse, share, .. } = self.paths[path];
            (in_flight(path) * inverse, u32::MAX - share)
        };
        let best = self.usable().min_by_key(key).expect("no path");
        if self.usable().any(|path| in_flight(path) > 0) {
            return best;
        }
        match self.options.idle {
            Idle::Robin => self.next_in_turn(cpu, bytes),
            Idle::Fastest => self.fastest(now, cpu, best),
        }
    }

    fn next_in_turn(&mut self, cpu: usize, bytes: u64) -> usize {
        let least = self
            .usable()
            .map(|path| self.paths[path].share)
            .min()
            .unwrap_or(1);
        let Cpu {
            paths, turn, mean, ..
        } = &mut self.cpus[cpu];
        while !self.paths[*turn].usable || paths[*turn].left <= 0 {
            *turn = (*turn + 1) % self.paths.len();
            let path = &mut paths[*turn];
            path.left += (*mean * u64::from(self.paths[*turn].share / least)) as i64;
        }
        paths[*turn].left -= bytes as i64;
        *turn
    }

    fn fastest(&mut self, now: u64, cpu: usize, best: usize) -> usize {
        let retry = |&path: &usize| {
            let Path {
                last_sample,
                last_latency,
                ..
            } = self.paths[path];
            now > last_sample + INTERVAL.max(last_latency * self.options.retry)
        };
        let stale = self.usable().find(retry);
        if let Some(path) = stale {
            self.paths[path].last_sample = now;
            return path;
        }
        let share = self.paths[best].share;
        let count = self.paths.len();
        let turn = self.cpus[cpu].turn;
        let mut equals = (1..=count).map(|step| (turn + step) % count);
        let path = equals
            .find(|&path| self.paths[path].usable && self.paths[path].share == share)
            .unwrap_or(best);
        self.cpus[cpu].turn = path;
        path
    }

    fn set_shares(&mut self) {
        let usable: Vec<_> = self.usable().collect();
        let known = usable.iter().filter(|&&path| self.paths[path].speed > 0);
        let (sum, known) = known.fold((0, 0), |(sum, known), &path| {
            (sum + self.paths[path].speed, known + 1)
        });
        let mean = if known > 0 { sum / known } else { 1 };
        let speed = |path: usize| match self.paths[path].speed {
            0 => mean,
            speed => speed,
        };
        let sum: u64 = usable.iter().map(|&path| speed(path)).sum();
        let share = |path: usize| ((speed(path) * 1000 / sum) as u32).max(1);
        let shares: Vec<_> = usable.iter().map(|&path| (path, share(path))).collect();
        let Options { part, slack, .. } = self.options;
        let differs = |&(path, share): &(usize, u32)| {
            let old: u32 = self.paths[path].share;
            old.abs_diff(share) > old / part + slack
        };
        if shares.iter().any(differs) {
            for (path, share) in shares {
                self.paths[path].share = share;
                self.paths[path].inverse = (1 << 20) / u64::from(share);
            }
        }
    }
}

impl Algorithm for Bond {
    fn choose(&mut self, now: u64, cpu: usize, bytes: u64) -> (usize, u64) {
        let mean = &mut self.cpus[cpu].mean;
        *mean = if *mean == 0 {
            bytes
        } else {
            (*mean * 15 + bytes) / 16
        };
        let path = self.pick(now, cpu, bytes);
        let on = &mut self.cpus[cpu].paths[path];
        on.in_flight += bytes;
        on.commands += 1;
        let sampled = now >= on.next_sample;
        if sampled {
            on.next_sample = now + self.options.sample_every;
        }
        let own = on.in_flight;
        self.cpus[cpu].commands += 1;
        let seen = match sampled {
            false => 0,
            true if self.options.sample_all => self.in_flight_of_all(path),
            true => own,
        };
        (
            path,
            if sampled {
                seen + self.cpus[cpu].mean * self.options.damp / 16
            } else {
                0
            },
        )
    }

    fn done(&mut self, done: &Done) {
        let on = &mut self.cpus[done.cpu].paths[done.path];
        on.in_flight -= done.bytes;
        on.commands -= 1;
        self.cpus[done.cpu].commands -= 1;
        if done.ok && done.tag > 0 {
            let path = &mut self.paths[done.path];
            path.new_moved += done.tag;
            path.new_time += done.end - done.start;
            path.last_sample = done.end;
            path.last_latency = done.end - done.start;
        }
    }

    fn tick(&mut self, _now: u64) {
        for path in &mut self.paths {
            path.moved = path.moved / 4 + core::mem::take(&mut path.new_moved);
            path.time = path.time / 4 + core::mem::take(&mut path.new_time);
            if path.moved > 0 && path.time > 0 {
                path.speed = path.moved * (SECOND / 1000) / path.time.div_ceil(1000);
            }
        }
        self.set_shares();
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        self.paths[path] = Path {
            usable,
            ..Path::default()
        };
        self.set_shares();
    }

    fn shares(&self) -> Vec<u32> {
        self.paths.iter().map(|path| path.share).collect()
    }
}
