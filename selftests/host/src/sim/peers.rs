// SPDX-License-Identifier: GPL-2.0-only

//! The algorithms of the kernel, after their sources in Linux 7.3: `drivers/md/dm-ps-*.c` and
//! `drivers/nvme/host/multipath.c`.

use super::model::{Algorithm, Done};

/// Makes one, for so many paths.
pub(super) type Make = fn(usize) -> Box<dyn Algorithm>;

pub(super) const ALL: [(&str, Make); 6] = [
    ("round-robin", |paths| {
        Box::new(RoundRobin(List::new(paths)))
    }),
    ("queue-length", |paths| {
        Box::new(QueueLength(List::new(paths), vec![0; paths]))
    }),
    ("service-time", |paths| {
        Box::new(ServiceTime(List::new(paths), vec![0; paths]))
    }),
    ("historical", |paths| Box::new(Historical::new(paths))),
    ("io-affinity", |paths| {
        Box::new(IoAffinity(vec![true; paths]))
    }),
    ("nvme queue-depth", |paths| {
        Box::new(QueueDepth(vec![true; paths], vec![0; paths]))
    }),
];

/// The paths to be used, in the order in which they are looked at.
struct List(Vec<usize>);

impl List {
    fn new(paths: usize) -> Self {
        Self((0..paths).collect())
    }

    fn move_to_tail(&mut self, path: usize) {
        self.set(path, false);
        self.0.push(path);
    }

    fn set(&mut self, path: usize, usable: bool) {
        self.0.retain(|&other| other != path);
        if usable {
            self.0.push(path);
        }
    }

    /// Takes the first of the best, and moves it to the tail.
    fn best(&mut self, is_better: impl Fn(usize, usize) -> bool) -> usize {
        let best = |best, path| if is_better(path, best) { path } else { best };
        let best = self.0.iter().copied().reduce(best).expect("no path");
        self.move_to_tail(best);
        best
    }
}

/// dm-ps-round-robin.c; with two paths NVMe's round robin is the same.
struct RoundRobin(List);

impl Algorithm for RoundRobin {
    fn choose(&mut self, _now: u64, _cpu: usize, _bytes: u64, _write: bool) -> (usize, u64) {
        (self.0.best(|_, _| false), 0)
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        self.0.set(path, usable);
    }
}

/// dm-ps-queue-length.c: the fewest commands in flight.
struct QueueLength(List, Vec<u64>);

impl Algorithm for QueueLength {
    fn choose(&mut self, _now: u64, _cpu: usize, _bytes: u64, _write: bool) -> (usize, u64) {
        let Self(list, in_flight) = self;
        let path = list.best(|path, best| in_flight[path] < in_flight[best]);
        in_flight[path] += 1;
        (path, 0)
    }

    fn done(&mut self, done: &Done) {
        self.1[done.path] -= 1;
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        self.0.set(path, usable);
    }
}

/// dm-ps-service-time.c, without `relative_throughput`, which nobody measures: the fewest bytes in
/// flight.
struct ServiceTime(List, Vec<u64>);

impl Algorithm for ServiceTime {
    fn choose(&mut self, _now: u64, _cpu: usize, bytes: u64, _write: bool) -> (usize, u64) {
        let Self(list, in_flight) = self;
        let path = list.best(|path, best| in_flight[path] < in_flight[best]);
        in_flight[path] += bytes;
        (path, 0)
    }

    fn done(&mut self, done: &Done) {
        self.1[done.path] -= done.bytes;
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        self.0.set(path, usable);
    }
}

/// The `path_info` of dm-ps-historical-service-time.c.
#[derive(Clone, Copy)]
struct History {
    /// With 10 bits after the point.
    service_time: u64,
    stale_after: u64,
    last_finish: u64,
    outstanding: i64,
}

impl History {
    /// `hst_compare()`, with the default threshold 0.
    fn is_better(&self, than: &Self, now: u64) -> bool {
        let (one, two) = (self, than);
        // `over_threshold`: the larger is more than nothing.
        if one.service_time.max(two.service_time) == 0 {
            return one.outstanding < two.outstanding;
        }
        let idle = |path: &Self| path.outstanding == 0;
        let stale = |path: &Self| path.stale_after < now;
        if (idle(one) && stale(one)) || (idle(two) && stale(two)) || (idle(one) && idle(two)) {
            let after = |path: &Self, other: &Self| {
                if idle(other) {
                    path.stale_after as i64
                } else {
                    0
                }
            };
            return after(one, two) - after(two, one) < 0;
        }
        let time = |path: &Self| (1 + path.outstanding) as u64 * path.service_time;
        let worse = if one.outstanding == two.outstanding {
            one.service_time > two.service_time
        } else {
            time(one) > time(two)
        };
        // Where the better is stale, both are used equally.
        match worse {
            true if stale(two) => one.outstanding < two.outstanding,
            true => false,
            false if stale(one) => one.outstanding < two.outstanding,
            false => true,
        }
    }
}

struct Historical {
    list: List,
    paths: Vec<History>,
    weights: [u64; 64],
}

impl Historical {
    const SHIFT: u32 = 10;
    const ONE: u64 = 1 << Self::SHIFT;
    const BASE: u64 = 972;
    const HALF: u64 = 1 << (Self::SHIFT - 1);

    fn new(paths: usize) -> Self {
        let history = History {
            service_time: Self::ONE,
            stale_after: 0,
            last_finish: 0,
            outstanding: 0,
        };
        let mut weights = core::array::from_fn(|bucket| Self::power(Self::BASE, bucket + 1));
        weights[63] = 0;
        Self {
            list: List::new(paths),
            paths: vec![history; paths],
            weights,
        }
    }

    /// `fixed_power()`.
    fn power(mut base: u64, mut exponent: usize) -> u64 {
        let mut result = Self::ONE;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = (result * base + Self::HALF) >> Self::SHIFT;
            }
            exponent >>= 1;
            base = (base * base + Self::HALF) >> Self::SHIFT;
        }
        result
    }
}

impl Algorithm for Historical {
    fn choose(&mut self, now: u64, _cpu: usize, _bytes: u64, _write: bool) -> (usize, u64) {
        let Self { list, paths, .. } = self;
        let path = list.best(|path, best| paths[path].is_better(&paths[best], now));
        paths[path].outstanding += 1;
        (path, 0)
    }

    fn done(&mut self, done: &Done) {
        let usable = self.list.0.len() as u64;
        let path = &mut self.paths[done.path];
        let time = done.end - done.start.max(path.last_finish);
        let weight = self.weights[((time >> 24) as usize).min(63)];
        path.last_finish = done.end;
        path.outstanding -= 1;
        let new = (time << Self::SHIFT) * (Self::ONE - weight);
        path.service_time = (path.service_time * weight + new + Self::HALF) >> Self::SHIFT;
        path.stale_after = path.last_finish + usable * (path.service_time >> Self::SHIFT);
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        self.list.set(path, usable);
    }
}

/// dm-ps-io-affinity.c, with the CPUs mapped to the paths in turn.
struct IoAffinity(Vec<bool>);

impl Algorithm for IoAffinity {
    fn choose(&mut self, _now: u64, cpu: usize, _bytes: u64, _write: bool) -> (usize, u64) {
        let count = self.0.len();
        let mut paths = (0..count).map(|step| (cpu + step) % count);
        (paths.find(|&path| self.0[path]).expect("no path"), 0)
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        self.0[path] = usable;
    }
}

/// `nvme_queue_depth_path()`: the fewest commands in flight, of equals the first.
struct QueueDepth(Vec<bool>, Vec<u64>);

impl Algorithm for QueueDepth {
    fn choose(&mut self, _now: u64, _cpu: usize, _bytes: u64, _write: bool) -> (usize, u64) {
        let paths = (0..self.0.len()).filter(|&path| self.0[path]);
        let path = paths.min_by_key(|&path| self.1[path]).expect("no path");
        self.1[path] += 1;
        (path, 0)
    }

    fn done(&mut self, done: &Done) {
        self.1[done.path] -= 1;
    }

    fn set_usable(&mut self, path: usize, usable: bool) {
        self.0[path] = usable;
    }
}
