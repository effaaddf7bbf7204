// SPDX-License-Identifier: GPL-2.0-only

//! The algorithm of the bond, in variants: the least outstanding by measured speed.
//!
//! A path's speed is what it has completed in a time in which it was never idle, over that time:
//! from the completion of one sampled command to that of the next. Where it was idle in between, it
//! is what was in flight when the command was sent, itself included, over its latency (J. Little,
//! 1961). Shares follow the speeds.

use super::model::{Algorithm, Done, INTERVAL, MS, SECOND};
use core::mem::take;
use core::ops::Range;

/// A CPU takes at most one sample of a path in this time.
const SAMPLE_EVERY: u64 = 4 * MS;

/// What is left at a tick of what was measured before is one part in so many.
const DECAY: u64 = 8;

/// Of whose commands in flight a CPU decides.
#[derive(Clone, Copy)]
pub(super) enum View {
    /// Its own.
    Own,
    /// Those of all CPUs.
    All,
    /// Those of all CPUs while it has no more than so many itself, else its own.
    Few(u64),
}

/// Who carries a command when nothing is in flight.
#[derive(Clone, Copy)]
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
    /// Reads and writes do not wait for each other.
    pub(super) directions: bool,
    /// The command itself is added to what is in flight.
    pub(super) added: bool,
    /// But only one part of it in so many where nothing is in flight; 0: nothing of it.
    pub(super) idle_part: u64,
    /// A path that was idle for so many times its last latency carries a command; 0: never.
    pub(super) retry: u64,
    /// While a path is never idle, a sample begins where the last one has ended.
    pub(super) aligned: bool,
}

impl Options {
    /// Round robin when nothing is in flight, each CPU for itself.
    pub(super) const FIRST: Self = Self {
        view: View::Own,
        idle: Idle::Robin,
        directions: false,
        added: false,
        idle_part: 0,
        retry: 0,
        aligned: false,
    };

    /// What passes the table.
    pub(super) const BEST: Self = Self {
        view: View::Few(16),
        idle: Idle::Fastest,
        directions: true,
        added: true,
        idle_part: 4,
        retry: 160,
        aligned: true,
    };
}

#[derive(Clone, Default)]
struct Path {
    usable: bool,
    share: u32,
    /// 2^20 by the share.
    inverse: u64,
    /// Bytes per second; 0: not known.
    speed: u64,
    /// Bytes and nanoseconds, in decayed sums, and since the last tick.
    moved: u64,
    time: u64,
    new_moved: u64,
    new_time: u64,
    /// Of the last sample.
    latency: u64,
    /// Ticks without a sample.
    quiet: u64,
    /// To carry a command now.
    due: bool,
}

/// What a CPU knows of a path.
#[derive(Clone, Default)]
struct OnPath {
    /// Bytes of reads, and of writes.
    in_flight: [u64; 2],
    next_sample: u64,
    /// Bytes completed, and when and at how many of all CPUs' the last sample ended.
    completed: [u64; 2],
    last: [Option<(u64, u64)>; 2],
    /// Of the quota; less than 0 is owed.
    left: i64,
}

#[derive(Clone, Default)]
struct Cpu {
    paths: Vec<OnPath>,
    /// In flight.
    commands: u64,
    /// Which path's turn it is.
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
        let path = Path {
            usable: true,
            ..Path::default()
        };
        let cpu = Cpu {
            paths: vec![OnPath::default(); paths],
            ..Cpu::default()
        };
        let mut bond = Self {
            options,
            paths: vec![path; paths],
            cpus: vec![cpu; cpus],
        };
        bond.set_shares();
        bond
    }

    fn usable(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.paths.len()).filter(|&path| self.paths[path].usable)
    }

    /// What a command in this direction has to wait for, of these CPUs'.
    fn in_flight(&self, cpus: Range<usize>, path: usize, write: bool) -> u64 {
        let on = self.cpus[cpus].iter().map(|cpu| cpu.paths[path].in_flight);
        match self.options.directions {
            true => on.map(|on| on[usize::from(write)]).sum(),
            false => on.flatten().sum(),
        }
    }

    fn pick(&mut self, cpu: usize, bytes: u64, write: bool) -> usize {
        let Options {
            view,
            idle,
            added,
            idle_part,
            ..
        } = self.options;
        let all = match view {
            View::Own => false,
            View::All => true,
            View::Few(few) => self.cpus[cpu].commands <= few,
        };
        let cpus = if all {
            0..self.cpus.len()
        } else {
            cpu..cpu + 1
        };
        let load = |&path: &usize| {
            let Path {
                due,
                inverse,
                share,
                ..
            } = self.paths[path];
            let load = match self.in_flight(cpus.clone(), path, write) {
                0 if due || idle_part == 0 => 0,
                0 => bytes * inverse / idle_part,
                in_flight => (in_flight + if added { bytes } else { 0 }) * inverse,
            };
            (load, !due, u32::MAX - share)
        };
        let best = self.usable().min_by_key(load).expect("no path");
        let busy = |path| self.in_flight(cpus.clone(), path, write) > 0;
        if self.paths[best].due || self.usable().any(busy) {
            return best;
        }
        match idle {
            Idle::Robin => self.next_by_quota(cpu, bytes),
            Idle::Fastest => self.next_like(cpu, best),
        }
    }

    /// A quota is the path's part of a round, in which the slowest carries one command.
    fn next_by_quota(&mut self, cpu: usize, bytes: u64) -> usize {
        let least = self.usable().map(|path| self.paths[path].share).min();
        let least = u64::from(least.expect("no path"));
        let Cpu {
            paths, turn, mean, ..
        } = &mut self.cpus[cpu];
        while !self.paths[*turn].usable || paths[*turn].left <= 0 {
            *turn = (*turn + 1) % self.paths.len();
            let share = u64::from(self.paths[*turn].share);
            paths[*turn].left += (*mean * share / least) as i64;
        }
        paths[*turn].left -= bytes as i64;
        *turn
    }

    fn next_like(&mut self, cpu: usize, best: usize) -> usize {
        let count = self.paths.len();
        let turn = self.cpus[cpu].turn;
        let alike = |&path: &usize| {
            self.paths[path].usable && self.paths[path].share == self.paths[best].share
        };
        let next = (1..=count).map(|step| (turn + step) % count).find(alike);
        self.cpus[cpu].turn = next.unwrap_or(best);
        self.cpus[cpu].turn
    }

    /// A path of unknown speed counts as the mean of the others.
    fn set_shares(&mut self) {
        let usable: Vec<_> = self.usable().collect();
        let speeds = usable.iter().map(|&path| self.paths[path].speed);
        let known = speeds.clone().filter(|&speed| speed > 0).count() as u64;
        let mean = speeds
            .clone()
            .sum::<u64>()
            .checked_div(known)
            .unwrap_or(1)
            .max(1);
        let speeds = speeds.map(|speed| if speed > 0 { speed } else { mean });
        let sum: u64 = speeds.clone().sum();
        let shares: Vec<_> = speeds
            .map(|speed| ((speed * 1000 / sum) as u32).max(1))
            .collect();
        let differs = |(&path, &share): (&usize, &u32)| {
            let old = self.paths[path].share;
            old.abs_diff(share) > old / 16 + 8
        };
        if usable.iter().zip(&shares).any(differs) {
            for (path, share) in usable.into_iter().zip(shares) {
                self.paths[path].share = share;
                self.paths[path].inverse = (1 << 20) / u64::from(share);
            }
        }
    }
}

impl Algorithm for Bond {
    fn choose(&mut self, now: u64, cpu: usize, bytes: u64, write: bool) -> (usize, u64) {
        let mean = &mut self.cpus[cpu].mean;
        *mean = if *mean == 0 {
            bytes
        } else {
            (*mean * 15 + bytes) / 16
        };
        let path = self.pick(cpu, bytes, write);
        if take(&mut self.paths[path].due) {
            self.paths[path].quiet = 0;
        }
        self.cpus[cpu].commands += 1;
        let on = &mut self.cpus[cpu].paths[path];
        on.in_flight[usize::from(write)] += bytes;
        if now < on.next_sample {
            return (path, 0);
        }
        on.next_sample = now + SAMPLE_EVERY;
        (path, self.in_flight(0..self.cpus.len(), path, write))
    }

    fn done(&mut self, done: &Done) {
        self.cpus[done.cpu].commands -= 1;
        let on = &mut self.cpus[done.cpu].paths[done.path];
        let way = usize::from(done.write);
        on.in_flight[way] -= done.bytes;
        let idle = on.in_flight[way] == 0;
        if !done.ok {
            on.last[way] = None;
            return;
        }
        on.completed[way] += done.bytes;
        if done.tag > 0 {
            let completed = self
                .cpus
                .iter()
                .map(|cpu| cpu.paths[done.path].completed[way])
                .sum();
            let path = &mut self.paths[done.path];
            path.latency = done.end - done.start;
            let last = &mut self.cpus[done.cpu].paths[done.path].last[way];
            let (moved, time) = match last.replace((done.end, completed)) {
                Some((end, before)) if self.options.aligned => (completed - before, done.end - end),
                _ => (done.tag, path.latency),
            };
            path.new_moved += moved;
            path.new_time += time;
        }
        if idle {
            self.cpus[done.cpu].paths[done.path].last[way] = None;
        }
    }

    fn tick(&mut self, _now: u64) {
        for number in 0..self.paths.len() {
            let all = 0..self.cpus.len();
            let busy = [false, true].map(|write| self.in_flight(all.clone(), number, write));
            let path = &mut self.paths[number];
            if path.new_time > 0 {
                // Only now: what has decayed for long is too small for a quotient.
                path.moved = path.moved / DECAY + take(&mut path.new_moved);
                path.time = path.time / DECAY + take(&mut path.new_time);
                path.speed = path.moved * (SECOND / 1000) / path.time.div_ceil(1000);
                path.quiet = 0;
            } else {
                path.quiet += 1;
                let retry = self.options.retry;
                let long = path.quiet * INTERVAL > path.latency * retry;
                path.due = retry > 0 && busy == [0, 0] && long;
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
