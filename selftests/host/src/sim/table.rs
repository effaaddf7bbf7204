// SPDX-License-Identifier: GPL-2.0-only

//! The cells of the balance table, and what is required in each.
//!
//! `cargo test print -- --ignored --nocapture` prints the table in Markdown; with `FASTEST=100` for
//! paths of which the fastest has so many megabytes a second.

use super::bond::Bond;
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
    /// So many, each on a CPU of its own, with an equal part of the depth: of 8 with one command
    /// each; of 16 with two, and the one half does not see what the other has out.
    Each(usize),
    /// One, which goes from CPU to CPU.
    Hops { cpus: usize, stay: u64 },
}

impl Jobs {
    const ALL: [Self; 6] = [
        Jobs::Each(1),
        Jobs::Each(2),
        Jobs::Each(8),
        Jobs::Each(16),
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

    fn dynamic(&self) -> Outcome {
        self.run(&mut Bond::dynamic(self.speeds.len(), self.jobs.cpus()))
    }

    fn adapters(&self) -> Outcome {
        self.run(&mut Bond::adapters(self.speeds.len(), self.jobs.cpus()))
    }

    /// By shares that are right.
    fn fixed(&self) -> Outcome {
        let shares: Vec<_> = self.speeds.iter().map(|&speed| speed as u32).collect();
        self.run(&mut Bond::fixed(&shares, self.jobs.cpus()))
    }

    fn peer(&self, make: peers::Make) -> Outcome {
        self.run(&mut *make(self.speeds.len()))
    }

    fn judge(&self, own: &Outcome) -> Verdict {
        let balance = peers::ALL.iter().filter(|peer| peer.0 != NO_BALANCE);
        let peers: Vec<_> = balance.map(|peer| self.peer(peer.1)).collect();
        let best = peers.iter().map(Outcome::throughput).fold(0.0, f64::max);
        let good = peers.iter().filter(|peer| peer.throughput() >= 0.98 * best);
        let p99 = good.map(|peer| peer.percentile(99)).min().unwrap();
        Verdict {
            throughput: own.throughput() / best,
            p99: own.percentile(99) as f64 / p99 as f64,
        }
    }
}

/// An outcome in parts of what the peers have.
struct Verdict {
    /// Of the best one's.
    throughput: f64,
    /// Of the lowest of those whose throughput is within 2 % of the best.
    p99: f64,
}

impl Verdict {
    fn is_as_required(&self) -> bool {
        self.throughput >= 0.98 && self.p99 <= 1.1
    }

    /// With two commands outstanding on two paths of different speed, either one waits for the slow
    /// path, or the slow path is left idle. Which is better depends on whether one command is
    /// enough to keep the fast path busy, which no algorithm here knows. So one loses here what it
    /// wins there. At 4:1 with writes among the reads it has 94 % of the throughput with 4 KiB,
    /// 98 % with 32 KiB, and with mixed sizes 115 % of the 99th percentile; at 16:1 with reads
    /// alone 97 % of the throughput, for a third of the 99th percentile. Where the fast path is so
    /// fast that a single command leaves it idle for most of the time, it is measured as slow as
    /// that, and the slow path stays in use: 70 % of the throughput at 100 MB/s, 16:1, 4 KiB.
    fn is_good(&self, cell: &Cell) -> bool {
        let no_rule_fits = cell.depth == 2 && matches!(cell.speeds, &[one, two] if one != two);
        self.is_as_required() || (no_rule_fits && self.throughput >= 0.93 && self.p99 <= 1.2)
    }
}

fn bad_cells(jobs: Jobs, outcome: fn(&Cell) -> Outcome) -> Vec<String> {
    let mut bad = vec![];
    for cell in Cell::all(jobs, FASTEST) {
        let verdict = cell.judge(&outcome(&cell));
        if !verdict.is_good(&cell) {
            let Verdict { throughput, p99 } = verdict;
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
        let bad = bad_cells(jobs, Cell::dynamic);
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }
}

/// Where the adapters balance, CPUs know, though late, what those have out that are not near.
#[test]
fn no_peer_is_better_than_adapters_that_balance() {
    for jobs in [Jobs::Each(1), Jobs::Each(16), Jobs::Each(32)] {
        let bad = bad_cells(jobs, Cell::adapters);
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }
}

/// Though what they know is older than their commands take, and they are many: they do not all make
/// up for the same.
#[test]
fn adapters_of_many_cpus_do_not_swing() {
    for (cpus, depth) in [(16, 128), (32, 256), (64, 512), (128, 1024)] {
        for speeds in SPEEDS {
            let cell = Cell {
                speeds,
                sizes: Sizes::KiB(4),
                reads: 100,
                depth,
                jobs: Jobs::Each(cpus),
                fastest: 1_000_000_000,
            };
            let (own, other) = (cell.adapters(), cell.dynamic());
            let part = own.throughput() / other.throughput();
            let p99 = own.percentile(99) as f64 / other.percentile(99) as f64;
            assert!(part >= 0.98 && p99 <= 1.1, "{cell:?}: {part:.3}, {p99:.2}");
        }
    }
}

/// Quotas do not look at what is out, so though the shares are right commands queue behind others.
#[test]
fn the_table_finds_what_is_worse() {
    assert!(bad_cells(Jobs::Each(1), Cell::fixed).len() > 20);
}

/// Where paths are equal it is a round robin itself; but each CPU goes its own round, so that
/// several with few commands meet on a path more often than where all go the same.
#[test]
fn with_shares_set_right_quotas_beat_a_round_robin() {
    let (_, round_robin) = peers::ALL[0];
    for jobs in Jobs::ALL {
        for cell in Cell::all(jobs, FASTEST) {
            let part = cell.fixed().throughput() / cell.peer(round_robin).throughput();
            let least = match (cell.speeds, jobs.cpus()) {
                ([16, 16], 1) => 0.99,
                ([16, 16], _) => 0.88,
                _ => 1.4,
            };
            assert!(part >= least, "{cell:?}: {part:.3}");
        }
    }
}

/// But for what is out at the end, and an I/O or two of each CPU; whatever is measured meanwhile.
#[test]
fn fixed_shares_are_kept() {
    for jobs in Jobs::ALL {
        for cell in Cell::all(jobs, FASTEST) {
            let Outcome { ticks, .. } = cell.fixed();
            let of = |path: usize| ticks.iter().map(|tick| tick.bytes[path]).sum::<u64>();
            let all: u64 = (0..cell.speeds.len()).map(of).sum();
            let most = (cell.depth + 2 * jobs.cpus()) as u64 * cell.sizes.largest();
            for (path, &share) in ticks[0].shares.iter().enumerate() {
                let due = all * u64::from(share) / 1000;
                assert!(
                    of(path).abs_diff(due) <= most,
                    "{cell:?}: {} of {due}",
                    of(path)
                );
            }
        }
    }
}

#[test]
fn at_depth_32_the_paths_are_used_to_99_percent() {
    for jobs in Jobs::ALL {
        for cell in Cell::all(jobs, FASTEST) {
            if (cell.depth, cell.sizes) != (32, Sizes::KiB(32)) || cell.reads == 70 {
                continue;
            }
            let part = cell.dynamic().throughput() / cell.sum() as f64;
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
        let ticks = cell.dynamic().ticks;
        let off_by = if cell.sizes == Sizes::Mixed { 40 } else { 15 };
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

#[test]
#[ignore = "prints the table"]
fn print() {
    let fastest = var("FASTEST").map_or(FASTEST, |mega| mega.parse::<u64>().unwrap() * 1_000_000);
    println!("Throughput in percent of the paths' sum, and 99th percentile in milliseconds.");
    let names: Vec<_> = peers::ALL.iter().map(|peer| peer.0).collect();
    for jobs in Jobs::ALL {
        println!("\n## {jobs:?}\n");
        println!(
            "| speeds | sizes | reads | depth | {} | static | dynamic | of the best |",
            names.join(" | ")
        );
        println!("|{}", "---|".repeat(7 + names.len()));
        for cell in Cell::all(jobs, fastest) {
            let own = cell.dynamic();
            let verdict = cell.judge(&own);
            let peers = peers::ALL.iter().map(|peer| cell.peer(peer.1));
            let outcomes = peers.chain([cell.fixed(), own]);
            let column = |outcome: Outcome| {
                let part = 100.0 * outcome.throughput() / cell.sum() as f64;
                let p99 = outcome.percentile(99) as f64 / MS as f64;
                format!("{part:.1} / {p99:.1}")
            };
            let columns: Vec<_> = outcomes.map(column).collect();
            let missed = match verdict.is_as_required() {
                true => "",
                false => " **missed**",
            };
            println!(
                "| {:?} | {:?} | {} % | {} | {} | {:.3} / {:.2}{} |",
                cell.speeds,
                cell.sizes,
                cell.reads,
                cell.depth,
                columns.join(" | "),
                verdict.throughput,
                verdict.p99,
                missed,
            );
        }
    }
}
