// SPDX-License-Identifier: GPL-2.0-only

//! The cells of the balance table, and what is required in each.
//!
//! `cargo test print -- --ignored --nocapture` prints the table. The environment may name a variant
//! of the algorithm (`VARIANT=own,robin`), a number of CPUs with a job each (`CPUS=2`), or between
//! which one job goes to and fro every so many milliseconds (`HOP=3`), and the speed of the fastest
//! path in bytes per second (`FASTEST=100000000`).

use super::bond::{Bond, Idle, Options, View};
use super::model::{run, Algorithm, Cable, Job, Load, Outcome, Sizes, MS, SECOND};
use super::peers;
use std::env::var;

/// In parts of the first path's, which is the fastest.
const SPEEDS: [&[u64]; 4] = [&[16, 16], &[16, 4], &[16, 1], &[16, 6, 2]];
const SIZES: [Sizes; 3] = [Sizes::KiB(4), Sizes::KiB(32), Sizes::Mixed];
/// Of a hundred. Writes alone are here the same as reads alone.
const READS: [u64; 2] = [100, 70];
const DEPTHS: [usize; 4] = [1, 2, 8, 32];

/// 80 Mbit/s, in bytes per second.
const FASTEST: u64 = 10_000_000;

/// It balances nothing: all that one CPU sends goes to one path.
const NO_BALANCE: &str = "io-affinity";

/// Who submits.
#[derive(Clone, Copy, Debug)]
enum Jobs {
    /// So many, each on a CPU of its own, with an equal part of the depth.
    Each(usize),
    /// One, which goes from CPU to CPU.
    Hops { cpus: usize, stay: u64 },
}

impl Jobs {
    const ALL: [Self; 4] = [
        Jobs::Each(1),
        Jobs::Each(2),
        Jobs::Hops {
            cpus: 2,
            stay: 3 * MS,
        },
        Jobs::Hops {
            cpus: 4,
            stay: 3 * MS,
        },
    ];

    fn cpus(self) -> usize {
        match self {
            Jobs::Each(cpus) | Jobs::Hops { cpus, .. } => cpus,
        }
    }

    fn of(self, depth: usize) -> Vec<Job> {
        match self {
            Jobs::Each(cpus) => (0..cpus).map(|cpu| Job::new(depth / cpus, cpu)).collect(),
            Jobs::Hops { cpus, stay } => vec![Job {
                cpus: 0..cpus,
                stay,
                ..Job::new(depth, 0)
            }],
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    speeds: &'static [u64],
    sizes: Sizes,
    reads: u64,
    depth: usize,
    jobs: Jobs,
    fastest: u64,
}

impl Cell {
    fn all(jobs: Jobs, fastest: u64) -> Vec<Self> {
        let mut cells = vec![];
        for speeds in SPEEDS {
            for sizes in SIZES {
                for reads in READS {
                    for depth in DEPTHS {
                        cells.push(Self {
                            speeds,
                            sizes,
                            reads,
                            depth,
                            jobs,
                            fastest,
                        });
                    }
                }
            }
        }
        cells.retain(|cell| {
            matches!(jobs, Jobs::Each(cpus) if cpus <= cell.depth)
                || matches!(jobs, Jobs::Hops { .. })
        });
        cells
    }

    /// Bytes per second.
    fn speed(&self, path: usize) -> u64 {
        self.fastest / 16 * self.speeds[path]
    }

    fn sum(&self) -> u64 {
        (0..self.speeds.len()).map(|path| self.speed(path)).sum()
    }

    /// Some thousand commands, and some intervals.
    fn run(&self, algorithm: &mut dyn Algorithm) -> Outcome {
        let paths: Vec<_> = (0..self.speeds.len())
            .map(|path| Cable::new(self.speed(path)))
            .collect();
        let until = (4000 * self.sizes.mean() * SECOND / self.sum()).max(SECOND);
        let load = Load {
            jobs: self.jobs.of(self.depth),
            sizes: self.sizes,
            reads: self.reads,
            from: until / 4,
            until,
            seed: 1,
        };
        run(algorithm, &paths, &load)
    }

    fn bond(&self, options: Options) -> Outcome {
        self.run(&mut Bond::new(options, self.speeds.len(), self.jobs.cpus()))
    }

    fn judge(&self, own: &Outcome, counted: impl Fn(&str) -> bool) -> Verdict {
        let peers: Vec<_> = peers::ALL
            .iter()
            .filter(|(name, _)| counted(name))
            .map(|(name, make)| (*name, self.run(&mut *make(self.speeds.len()))))
            .collect();
        let outcomes = || peers.iter().map(|peer| &peer.1);
        let best = outcomes().map(Outcome::throughput).fold(0.0, f64::max);
        let good = |peer: &&Outcome| peer.throughput() >= 0.98 * best;
        let p99 = outcomes()
            .filter(good)
            .map(|peer| peer.percentile(99))
            .min();
        let p99_of_any = outcomes().map(|peer| peer.percentile(99)).min();
        let later = |than: Option<u64>| own.percentile(99) as f64 / than.unwrap() as f64;
        Verdict {
            throughput: own.throughput() / best,
            p99: later(p99),
            p99_of_any: later(p99_of_any),
            peers,
        }
    }
}

/// An outcome in parts of what the peers have.
struct Verdict {
    /// Of the best peer's.
    throughput: f64,
    /// Of the lowest of those peers whose throughput is within 2 % of the best.
    p99: f64,
    /// Of the lowest of all peers.
    p99_of_any: f64,
    peers: Vec<(&'static str, Outcome)>,
}

impl Verdict {
    /// With two commands outstanding and paths of different speed either one waits for the slow
    /// path, or the slow path is left idle. Which is better depends on whether one command is
    /// enough to keep the fast path busy, which no algorithm here knows. So one loses here what it
    /// wins there.
    fn is_good(&self, cell: &Cell) -> bool {
        let no_rule_fits = cell.depth == 2 && cell.speeds[0] != cell.speeds[1];
        let (throughput, p99) = if no_rule_fits {
            (0.92, 1.3)
        } else {
            (0.98, 1.1)
        };
        self.throughput >= throughput && self.p99 <= p99
    }
}

fn bad_cells(options: Options, jobs: Jobs) -> Vec<String> {
    let mut bad = vec![];
    for cell in Cell::all(jobs, FASTEST) {
        let verdict = cell.judge(&cell.bond(options), |peer| peer != NO_BALANCE);
        if !verdict.is_good(&cell) {
            let Verdict {
                throughput, p99, ..
            } = verdict;
            bad.push(format!(
                "{cell:?}: {throughput:.3} of the throughput, {p99:.2} of the 99th percentile"
            ));
        }
    }
    bad
}

#[test]
fn no_peer_is_better_in_any_cell() {
    for jobs in Jobs::ALL {
        let bad = bad_cells(Options::BEST, jobs);
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }
}

#[test]
fn the_table_finds_what_is_worse() {
    let (own, first) = (View::Own, Options::FIRST);
    let each_for_itself = Options {
        view: own,
        ..Options::BEST
    };
    for jobs in &Jobs::ALL[1..] {
        assert!(bad_cells(each_for_itself, *jobs).len() > 5, "{jobs:?}");
    }
    assert!(bad_cells(first, Jobs::Each(1)).len() > 20);
}

#[test]
fn at_depth_32_the_paths_are_used_to_99_percent() {
    for jobs in Jobs::ALL {
        for cell in Cell::all(jobs, FASTEST) {
            if (cell.depth, cell.sizes) != (32, Sizes::KiB(32)) || cell.reads == 70 {
                continue;
            }
            let part = cell.bond(Options::BEST).throughput() / cell.sum() as f64;
            assert!(part >= 0.99, "{cell:?}: {part:.3}");
        }
    }
}

/// With a few large commands of different length in an interval, shares are known only so well.
#[test]
fn shares_are_those_of_the_speeds_and_steady() {
    for cell in Cell::all(Jobs::Each(1), FASTEST) {
        if cell.depth < 8 {
            continue;
        }
        let ticks = cell.bond(Options::BEST).ticks;
        let off_by = if cell.sizes == Sizes::Mixed { 120 } else { 40 };
        for tick in &ticks[ticks.len() / 4..] {
            for (path, share) in tick.shares.iter().enumerate() {
                let due = (cell.speed(path) * 1000 / cell.sum()) as u32;
                assert!(share.abs_diff(due) <= off_by, "{cell:?}: {:?}", tick.shares);
            }
        }
        let changes = ticks[ticks.len() / 4..]
            .windows(2)
            .filter(|two| two[0].shares != two[1].shares)
            .count();
        let most = if cell.sizes == Sizes::Mixed {
            ticks.len() / 4
        } else {
            ticks.len() / 8 + 1
        };
        assert!(changes <= most, "{cell:?}: {changes} of {}", ticks.len());
    }
}

/// Of the algorithm, as the environment says.
fn variant() -> Options {
    let mut options = Options::BEST;
    for word in var("VARIANT").unwrap_or_default().split(',') {
        let (name, number) = word.split_once(':').unwrap_or((word, "0"));
        let number = number.parse().expect(word);
        match name {
            "" => {}
            "first" => options = Options::FIRST,
            "own" => options.view = View::Own,
            "all" => options.view = View::All,
            "few" => options.view = View::Few(number),
            "robin" => options.idle = Idle::Robin,
            "fastest" => options.idle = Idle::Fastest,
            "directions" => options.directions = number > 0,
            "added" => options.added = number > 0,
            "idle-part" => options.idle_part = number,
            "aligned" => options.aligned = number > 0,
            "retry" => options.retry = number,
            _ => panic!("{word}"),
        }
    }
    options
}

#[test]
#[ignore = "prints the table"]
fn print() {
    let number = |name| {
        var(name)
            .ok()
            .map(|number| number.parse::<u64>().expect(name))
    };
    let cpus = number("CPUS").unwrap_or(1) as usize;
    let jobs = match number("HOP") {
        Some(ms) => Jobs::Hops {
            cpus,
            stay: ms * MS,
        },
        None => Jobs::Each(cpus),
    };
    println!("{jobs:?}; throughput as part of the sum, 99th percentile in ms, changes of shares");
    let mut bad = [0; 6];
    let cells = Cell::all(jobs, number("FASTEST").unwrap_or(FASTEST));
    for cell in &cells {
        let own = cell.bond(variant());
        let verdict = cell.judge(&own, |peer| peer != NO_BALANCE);
        let with_all = cell.judge(&own, |_| true);
        let mut line = format!(
            "{:?} {:?} r{} d{}:",
            cell.speeds, cell.sizes, cell.reads, cell.depth
        );
        let show = |name: &str, outcome: &Outcome| {
            let part = outcome.throughput() / cell.sum() as f64;
            let p99 = outcome.percentile(99) as f64 / MS as f64;
            format!(" {name} {part:.3}/{p99:.1}")
        };
        for (name, outcome) in &with_all.peers {
            line += &show(name, outcome);
        }
        line += &show("| bond", &own);
        let changes = own
            .ticks
            .windows(2)
            .filter(|two| two[0].shares != two[1].shares)
            .count();
        line += &format!(" {changes}/{}", own.ticks.len());
        for (number, (verdict, name)) in [(&verdict, ""), (&with_all, "*")].iter().enumerate() {
            let marks = [
                (verdict.throughput < 0.98, "SLOW"),
                (verdict.p99 > 1.1, "LATE"),
                (verdict.p99_of_any > 1.1, "late"),
            ];
            for (mark, (is, word)) in marks.into_iter().enumerate() {
                bad[3 * number + mark] += u32::from(is);
                if is {
                    line += &format!(" {word}{name}");
                }
            }
        }
        println!("{line}");
    }
    println!(
        "of {}: SLOW {}, LATE {}, later than any peer {}; with {NO_BALANCE}* {}, {}, {}",
        cells.len(),
        bad[0],
        bad[1],
        bad[2],
        bad[3],
        bad[4],
        bad[5]
    );
}
