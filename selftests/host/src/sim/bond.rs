// SPDX-License-Identifier: GPL-2.0-only

//! The bond: the code of `rust/policy`, asked what `rust/bond/balance.rs` asks it, and told what
//! `counters.rs` counts. The names are theirs. One event comes after the other here, so what is
//! atomic there is a plain number; and no I/O follows another one down its path, as all go to
//! random places.

use super::model::{Algorithm, Done, INTERVAL, MS};
use crate::{
    policy::{
        choose::{fastest, least_loaded, Candidate, Least, Load, Seen, FEW},
        quota::{Paths, Turn},
        share,
        speed::{self, Meter},
        table::Policy,
    },
    sync::Atomic,
};
use core::mem::replace;

/// Of the kernel's clock, at 250 Hz.
const JIFFY: u64 = 4 * MS;
/// How many CPUs look at each other's commands: `PerCpu::NEIGHBOURS`.
const NEIGHBOURS: usize = 8;

/// A path's part on one CPU, its watch included. What there are two of is of reads, and of writes.
struct Lane {
    out: [u64; 2],
    debt: Atomic<i64>,
    timed: u64,
    bytes: [u64; 2],
    last_at: [u64; 2],
    last_bytes: [u64; 2],
    seen: [Seen; 2],
    seen_at: [u64; 2],
}

impl Lane {
    fn new() -> Self {
        Self {
            out: [0; 2],
            debt: Atomic::new(0),
            timed: 0,
            bytes: [0; 2],
            last_at: [0; 2],
            last_bytes: [0; 2],
            seen: [Seen::default(); 2],
            seen_at: [0; 2],
        }
    }
}

struct Path {
    lanes: Vec<Lane>,
    share: u32,
    measured_share: u32,
    meter: Meter,
    moved: u64,
    nanos: u64,
    latency: u64,
}

impl Path {
    fn new(share: u32, cpus: usize) -> Self {
        Self {
            lanes: (0..cpus).map(|_| Lane::new()).collect(),
            share,
            measured_share: share,
            meter: Meter::default(),
            moved: 0,
            nanos: 0,
            latency: 0,
        }
    }

    fn out(&self, write: bool) -> Load {
        Load(out(&self.lanes, write))
    }

    /// The bytes that have succeeded, of all CPUs.
    fn moved_by_all(&self, way: usize) -> u64 {
        self.lanes.iter().map(|lane| lane.bytes[way]).sum()
    }
}

fn out(lanes: &[Lane], write: bool) -> u64 {
    lanes.iter().map(|lane| lane.out[usize::from(write)]).sum()
}

pub(super) struct Bond {
    policy: Policy,
    paths: Vec<Path>,
    /// One for each CPU.
    turns: Vec<Turn>,
    /// A bit for each path.
    usable: u64,
    due: u64,
    version: u32,
}

/// The paths as a CPU sees them.
struct View<'a> {
    bond: &'a Bond,
    cpu: usize,
}

impl View<'_> {
    fn candidates(&self, write: bool) -> impl Iterator<Item = Candidate> + '_ {
        let here = self.cpu..self.cpu + 1;
        let own = self.bond.paths.iter();
        let own = own.map(|path| Load(out(&path.lanes[here.clone()], write)).commands());
        let all = self.bond.policy == Policy::AdapterLoad;
        let seen = match all || own.sum::<u64>() <= FEW {
            true => {
                let first = self.cpu & !(NEIGHBOURS - 1);
                first..self.bond.turns.len().min(first + NEIGHBOURS)
            }
            false => here,
        };
        (0..self.count()).map(move |number| {
            let lanes = &self.bond.paths[number].lanes;
            let near = Load(out(&lanes[seen.clone()], write));
            let out = match all {
                true => lanes[self.cpu].seen[usize::from(write)].now(near),
                false => near,
            };
            Candidate {
                share: self.share(number),
                out,
            }
        })
    }
}

impl Paths for View<'_> {
    fn count(&self) -> usize {
        self.bond.paths.len()
    }

    fn share(&self, number: usize) -> u32 {
        let path = &self.bond.paths[number];
        match (self.bond.usable >> number & 1, self.bond.policy) {
            (0, _) => 0,
            (_, Policy::Dynamic | Policy::AdapterLoad) => path.measured_share,
            _ => path.share,
        }
    }

    fn debt(&self, number: usize) -> &Atomic<i64> {
        &self.bond.paths[number].lanes[self.cpu].debt
    }

    fn version(&self) -> u32 {
        self.bond.version
    }
}

impl Bond {
    /// With shares that follow the speeds, and are even before one is known.
    pub(super) fn dynamic(paths: usize, cpus: usize) -> Self {
        Self::new(Policy::Dynamic, vec![None; paths], cpus)
    }

    /// The paths being adapters, which are of this bond alone.
    pub(super) fn adapters(paths: usize, cpus: usize) -> Self {
        Self::new(Policy::AdapterLoad, vec![None; paths], cpus)
    }

    /// With shares as given.
    pub(super) fn fixed(shares: &[u32], cpus: usize) -> Self {
        let given = shares.iter().map(|&share| Some(share));
        Self::new(Policy::Static, given.collect(), cpus)
    }

    fn new(policy: Policy, given: Vec<Option<u32>>, cpus: usize) -> Self {
        let mut shares = vec![0; given.len()];
        share::settle(&mut shares, |number| given[number]);
        Self {
            policy,
            usable: (1 << shares.len()) - 1,
            paths: shares
                .into_iter()
                .map(|share| Path::new(share, cpus))
                .collect(),
            turns: (0..cpus).map(|_| Turn::new()).collect(),
            due: 0,
            version: 0,
        }
    }

    /// As last measured.
    pub(super) fn speed(&self, path: usize) -> Option<u64> {
        self.paths[path].meter.speed()
    }

    fn view(&self, cpu: usize) -> View<'_> {
        View { bond: self, cpu }
    }

    /// Once in four jiffies: what others have out is looked at that are not near.
    fn look_far(&mut self, now: u64, cpu: usize, write: bool) {
        let (way, time) = (usize::from(write), 1 + now / JIFFY / 4);
        for path in &mut self.paths {
            if replace(&mut path.lanes[cpu].seen_at[way], time) == time {
                continue;
            }
            let mut seen = Seen::default();
            for (group, lanes) in path.lanes.chunks(NEIGHBOURS).enumerate() {
                let bytes = Load(out(lanes, write)).bytes();
                match group == cpu / NEIGHBOURS {
                    true => seen.near = bytes,
                    false => {
                        seen.far += bytes;
                        seen.others += u64::from(bytes > 0);
                    }
                }
            }
            path.lanes[cpu].seen[way] = seen;
        }
    }

    fn take_one_to_try(&mut self) -> Option<usize> {
        let number = match self.due & self.usable {
            0 => return None,
            some => some.trailing_zeros(),
        };
        self.due &= !(1 << number);
        Some(number as usize)
    }

    fn pick(&mut self, cpu: usize, bytes: u32, write: bool) -> Option<usize> {
        let to_try = match self.policy {
            // There is no I/O without data here.
            Policy::Dynamic | Policy::AdapterLoad => self.take_one_to_try(),
            _ => None,
        };
        let (view, turn) = (self.view(cpu), &self.turns[cpu]);
        let number = match (self.policy, to_try) {
            (_, Some(number)) => number,
            (Policy::Static, None) => turn.next(&view, bytes)?,
            (_, None) => match least_loaded(view.candidates(write), bytes) {
                Least::Path(number) => number,
                Least::AllIdle => {
                    turn.rotate(fastest((0..view.count()).map(|path| view.share(path))))?
                }
                Least::None => return None,
            },
        };
        turn.went(number);
        Some(number)
    }
}

impl Algorithm for Bond {
    /// The number is one more than the bytes that have succeeded, if the command is timed.
    fn choose(&mut self, now: u64, cpu: usize, bytes: u64, write: bool) -> (usize, u64) {
        let bytes = bytes as u32;
        if self.policy == Policy::AdapterLoad {
            self.look_far(now, cpu, write);
        }
        let number = self.pick(cpu, bytes, write).expect("no path");
        let path = &mut self.paths[number];
        let lane = &mut path.lanes[cpu];
        lane.out[usize::from(write)] += Load::of(bytes).0;
        let jiffies = 1 + now / JIFFY;
        match replace(&mut lane.timed, jiffies) == jiffies {
            true => (number, 0),
            false => (number, 1 + path.moved_by_all(usize::from(write))),
        }
    }

    fn done(&mut self, done: &Done) {
        let path = &mut self.paths[done.path];
        let way = usize::from(done.write);
        let lane = &mut path.lanes[done.cpu];
        lane.out[way] -= Load::of(done.bytes as u32).0;
        if done.ok {
            lane.bytes[way] += done.bytes;
        }
        if done.ok && done.tag > 0 {
            let bytes = path.moved_by_all(way);
            let meanwhile = bytes - (done.tag - 1);
            let lane = &mut path.lanes[done.cpu];
            let before = replace(&mut lane.last_bytes[way], bytes);
            let latency = done.end - done.start;
            path.latency = speed::alone(latency, done.bytes as u32, meanwhile);
            let (moved, nanos) = match replace(&mut lane.last_at[way], done.end) {
                0 => (meanwhile, latency),
                at => (bytes - before, done.end - at),
            };
            path.moved += moved;
            path.nanos += nanos.max(1);
        }
        let lane = &mut path.lanes[done.cpu];
        if lane.out[way] == 0 || !done.ok {
            lane.last_at[way] = 0;
        }
    }

    fn tick(&mut self, _now: u64) {
        self.due = 0;
        let inflight = |path: &Path| path.out(false).commands() + path.out(true).commands();
        let usable = self.usable;
        let in_use = |number: usize| usable >> number & 1 != 0;
        let out = self.paths.iter().enumerate();
        let out = out.filter(|&(number, _)| in_use(number));
        let out = out.map(|(_, path)| inflight(path)).sum();
        for (number, path) in self.paths.iter_mut().enumerate() {
            path.meter.pass(path.moved, path.nanos);
            if !in_use(number) {
                path.meter.forget();
            }
            let interval_ms = (INTERVAL / MS) as u32;
            let to_try = path.meter.is_to_be_tried(interval_ms, path.latency, out);
            if to_try && in_use(number) && inflight(path) == 0 {
                self.due |= 1 << number;
            }
        }
        let meters: Vec<_> = self.paths.iter().map(|path| path.meter).collect();
        let mut shares: Vec<_> = self.paths.iter().map(|path| path.measured_share).collect();
        if speed::follow(&meters, &mut shares) {
            for (path, share) in self.paths.iter_mut().zip(shares) {
                path.measured_share = share;
            }
            self.version += u32::from(self.policy != Policy::Static);
        }
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        self.usable = self.usable & !(1 << path) | u64::from(usable) << path;
        self.version += 1;
        if !usable {
            self.paths[path].meter.forget();
        }
    }

    fn shares(&self) -> Vec<u32> {
        let view = self.view(0);
        let mut shares: Vec<_> = (0..view.count()).map(|path| view.share(path)).collect();
        share::in_use(&mut shares, |path| self.usable >> path & 1 != 0);
        shares
    }
}
