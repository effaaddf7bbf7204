// SPDX-License-Identifier: GPL-2.0-only

//! Paths, a load with a fixed number of commands outstanding, and the run of events. All times are
//! in nanoseconds from the start of the run.

use core::cmp::Reverse;
use core::ops::Range;
use std::collections::BinaryHeap;

pub(super) const US: u64 = 1_000;
pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;

/// How often the shares are measured: `interval_ms`.
pub(super) const INTERVAL: u64 = 100 * MS;

/// After this time a path that is out completes a command with an error.
const ERROR_AFTER: u64 = 50 * US;

/// Chooses paths.
pub(super) trait Algorithm {
    /// Which path carries a command, and a number that comes back with its completion.
    fn choose(&mut self, now: u64, cpu: usize, bytes: u64, write: bool) -> (usize, u64);
    fn done(&mut self, _done: &Done) {}
    /// Every [`INTERVAL`].
    fn tick(&mut self, _now: u64) {}
    /// A path has failed, or was restored.
    fn set_usable(&mut self, path: usize, usable: bool);
    fn shares(&self) -> Vec<u32> {
        vec![]
    }
}

/// A command that has completed.
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub(super) path: usize,
    /// The one it was sent from.
    pub(super) cpu: usize,
    pub(super) bytes: u64,
    pub(super) write: bool,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) ok: bool,
    /// What [`Algorithm::choose`] gave with the path.
    pub(super) tag: u64,
}

/// A path: one server for each direction, which serves commands one after the other.
#[derive(Clone)]
pub(super) struct Cable {
    /// The speeds in bytes per second, each from a time on; the first from 0 on.
    pub(super) speeds: Vec<(u64, u64)>,
    /// What a command takes besides, while others are served.
    pub(super) delay: u64,
    /// What a command takes of the server's time besides its bytes: from nothing to twice this.
    pub(super) overhead: u64,
    /// When all I/O fails.
    pub(super) out: Range<u64>,
    /// When the server of each direction has done all it was given.
    free: [u64; 2],
}

impl Cable {
    pub(super) fn new(speed: u64) -> Self {
        Self {
            speeds: vec![(0, speed)],
            delay: 100 * US,
            overhead: 20 * US,
            out: 0..0,
            free: [0; 2],
        }
    }

    /// When a command is completed that is sent now, and whether with success.
    fn send(&mut self, now: u64, bytes: u64, write: bool, random: &mut Random) -> (u64, bool) {
        if self.out.contains(&now) {
            return (now + ERROR_AFTER, false);
        }
        let free = &mut self.free[usize::from(write)];
        let start = now.max(*free) + random.below(2 * self.overhead + 1);
        *free = transferred(&self.speeds, start, bytes);
        let end = *free + self.delay;
        // What is on its way then fails too.
        if now < self.out.start && self.out.start < end {
            return (self.out.start, false);
        }
        (end, true)
    }
}

/// When so many bytes are transferred, from `now` on.
fn transferred(speeds: &[(u64, u64)], mut now: u64, mut bytes: u64) -> u64 {
    for (number, &(_, speed)) in speeds.iter().enumerate() {
        let until = speeds.get(number + 1).map_or(u64::MAX, |next| next.0);
        if now >= until {
            continue;
        }
        let end = now + bytes * SECOND / speed;
        if end <= until {
            return end;
        }
        let part = u128::from(until - now) * u128::from(speed) / u128::from(SECOND);
        bytes = bytes.saturating_sub(part as u64);
        now = until;
    }
    unreachable!("the last speed has no end");
}

/// Who submits: as many commands as `depth` are outstanding at any time.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) depth: usize,
    /// The CPUs it runs on, in turn.
    pub(super) cpus: Range<usize>,
    /// How long it stays on each.
    pub(super) stay: u64,
    /// When it submits.
    pub(super) runs: Range<u64>,
}

impl Job {
    pub(super) fn new(depth: usize, cpu: usize) -> Self {
        Self {
            depth,
            cpus: cpu..cpu + 1,
            stay: SECOND,
            runs: 0..u64::MAX,
        }
    }

    fn cpu(&self, now: u64) -> usize {
        self.cpus.start + (now / self.stay) as usize % self.cpus.len()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sizes {
    KiB(u64),
    /// 4 to 256 KiB.
    Mixed,
}

impl Sizes {
    pub(super) fn mean(self) -> u64 {
        match self {
            Sizes::KiB(size) => size << 10,
            Sizes::Mixed => 130 << 10,
        }
    }

    pub(super) fn largest(self) -> u64 {
        match self {
            Sizes::KiB(size) => size << 10,
            Sizes::Mixed => 256 << 10,
        }
    }

    fn next(self, random: &mut Random) -> u64 {
        match self {
            Sizes::KiB(size) => size << 10,
            Sizes::Mixed => (1 + random.below(64)) << 12,
        }
    }
}

#[derive(Clone)]
pub(super) struct Load {
    pub(super) jobs: Vec<Job>,
    pub(super) sizes: Sizes,
    /// How many of a hundred commands are reads.
    pub(super) reads: u64,
    /// What comes before is not counted in the [`Outcome`].
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) seed: u64,
}

/// What was done between two ticks.
#[derive(Clone, Default)]
pub(super) struct Tick {
    /// By each path.
    pub(super) bytes: Vec<u64>,
    /// At the end.
    pub(super) shares: Vec<u32>,
}

pub(super) struct Outcome {
    /// In the time that is counted, by each path.
    pub(super) bytes: Vec<u64>,
    pub(super) span: u64,
    /// In order.
    latencies: Vec<u64>,
    /// All of them, from the start of the run on.
    pub(super) ticks: Vec<Tick>,
}

impl Outcome {
    /// Bytes per second.
    pub(super) fn throughput(&self) -> f64 {
        self.bytes.iter().sum::<u64>() as f64 * SECOND as f64 / self.span as f64
    }

    pub(super) fn percentile(&self, percent: usize) -> u64 {
        let at = self.latencies.len() * percent / 100;
        self.latencies
            .get(at)
            .or(self.latencies.last())
            .copied()
            .unwrap_or(0)
    }
}

/// SplitMix64 (G. Steele, D. Lea, C. Flood: Fast splittable pseudorandom number generators, 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[derive(Clone, Copy)]
struct Command {
    job: usize,
    /// When it was first sent.
    born: u64,
    done: Done,
}

enum Event {
    Start(usize),
    Done(Command),
    Restored(usize),
    Tick,
}

/// An event at a time; the number makes it one of a kind, and keeps those of one time in order.
struct At(u64, u64, Event);

impl PartialEq for At {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for At {}
impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for At {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

struct Run<'a> {
    algorithm: &'a mut dyn Algorithm,
    load: &'a Load,
    paths: Vec<Cable>,
    usable: Vec<bool>,
    events: BinaryHeap<Reverse<At>>,
    numbers: u64,
    /// Of the commands, the same whatever the algorithm does.
    commands: Random,
    /// Of the paths.
    noise: Random,
    tick: Tick,
    outcome: Outcome,
}

/// Runs the load on the paths with the algorithm.
pub(super) fn run(algorithm: &mut dyn Algorithm, paths: &[Cable], load: &Load) -> Outcome {
    let count = paths.len();
    let mut run = Run {
        algorithm,
        load,
        paths: paths.to_vec(),
        usable: vec![true; count],
        events: BinaryHeap::new(),
        numbers: 0,
        commands: Random(load.seed),
        noise: Random(!load.seed),
        tick: Tick::default(),
        outcome: Outcome {
            bytes: vec![0; count],
            span: load.until - load.from,
            latencies: vec![],
            ticks: vec![],
        },
    };
    run.tick.bytes = vec![0; count];
    for (path, cable) in paths.iter().enumerate() {
        if cable.out.contains(&0) {
            run.set_usable(path, false);
        }
        if !cable.out.is_empty() {
            run.at(cable.out.end, Event::Restored(path));
        }
    }
    for (job, of) in load.jobs.iter().enumerate() {
        run.at(of.runs.start, Event::Start(job));
    }
    run.at(INTERVAL, Event::Tick);
    while let Some(Reverse(At(now, _, event))) = run.events.pop() {
        if now > load.until {
            break;
        }
        run.event(now, event);
    }
    run.outcome.latencies.sort_unstable();
    run.outcome
}

impl Run<'_> {
    fn at(&mut self, time: u64, event: Event) {
        self.numbers += 1;
        self.events.push(Reverse(At(time, self.numbers, event)));
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        if self.usable[path] != usable {
            self.usable[path] = usable;
            self.algorithm.set_usable(path, usable);
        }
    }

    fn event(&mut self, now: u64, event: Event) {
        match event {
            Event::Start(job) => {
                for _ in 0..self.load.jobs[job].depth {
                    self.submit(now, job);
                }
            }
            Event::Done(command) => self.done(now, command),
            Event::Restored(path) => {
                self.paths[path].free = [now; 2];
                self.set_usable(path, true);
            }
            Event::Tick => {
                self.algorithm.tick(now);
                let bytes = vec![0; self.paths.len()];
                let mut tick = core::mem::replace(&mut self.tick.bytes, bytes);
                let shares = self.algorithm.shares();
                self.outcome.ticks.push(Tick {
                    bytes: core::mem::take(&mut tick),
                    shares,
                });
                self.at(now + INTERVAL, Event::Tick);
            }
        }
    }

    fn done(&mut self, now: u64, command: Command) {
        let done = command.done;
        self.algorithm.done(&done);
        if !done.ok {
            // The first error fails the path, and the command is sent again.
            if self.paths[done.path].out.contains(&now) {
                self.set_usable(done.path, false);
            }
            self.send(now, command);
            return;
        }
        self.tick.bytes[done.path] += done.bytes;
        if now >= self.load.from {
            self.outcome.bytes[done.path] += done.bytes;
            self.outcome.latencies.push(now - command.born);
        }
        self.submit(now, command.job);
    }

    fn submit(&mut self, now: u64, job: usize) {
        if !self.load.jobs[job].runs.contains(&now) {
            return;
        }
        let bytes = self.load.sizes.next(&mut self.commands);
        let write = self.commands.below(100) >= self.load.reads;
        let command = Command {
            job,
            born: now,
            done: Done {
                path: 0,
                cpu: 0,
                bytes,
                write,
                start: now,
                end: now,
                ok: true,
                tag: 0,
            },
        };
        self.send(now, command);
    }

    fn send(&mut self, now: u64, mut command: Command) {
        let cpu = self.load.jobs[command.job].cpu(now);
        let bytes = command.done.bytes;
        let (path, tag) = self.algorithm.choose(now, cpu, bytes, command.done.write);
        assert!(self.usable[path], "path {path} is chosen that has failed");
        let (end, ok) = self.paths[path].send(now, bytes, command.done.write, &mut self.noise);
        command.done = Done {
            path,
            cpu,
            start: now,
            end,
            ok,
            tag,
            ..command.done
        };
        self.at(end, Event::Done(command));
    }
}
