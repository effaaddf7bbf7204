// SPDX-License-Identifier: GPL-2.0-only

//! The cells of the balance table, and what is required in each.

use super::bond::{Bond, Idle, Options, View};
use super::model::{run, Algorithm, Cable, Job, Load, Outcome, Sizes, SECOND};
use super::peers;

/// In parts of the first path's, which is the fastest.
const SPEEDS: [&[u64]; 4] = [&[16, 16], &[16, 4], &[16, 1], &[16, 6, 2]];
const SIZES: [Sizes; 3] = [Sizes::KiB(4), Sizes::KiB(32), Sizes::Mixed];
const READS: [u64; 3] = [100, 0, 70];
const DEPTHS: [usize; 4] = [1, 2, 8, 32];

/// Of the fastest path, in bytes per second: 80 Mbit/s.
const FASTEST: u64 = 10_000_000;

#[derive(Clone)]
pub(super) struct Cell {
    pub(super) speeds: &'static [u64],
    pub(super) sizes: Sizes,
    pub(super) reads: u64,
    pub(super) depth: usize,
}

impl Cell {
    fn all() -> Vec<Self> {
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
                        });
                    }
                }
            }
        }
        cells
    }

    fn cables(&self) -> Vec<Cable> {
        self.speeds
            .iter()
            .map(|speed| Cable::new(FASTEST / 16 * speed))
            .collect()
    }

    /// With the depth split among so many jobs, each on its own CPU.
    fn load(&self, jobs: Vec<Job>) -> Load {
        let speed = FASTEST / 16 * self.speeds.iter().sum::<u64>();
        let commands = 4000 * self.sizes.mean() * SECOND / speed;
        let until = commands.max(3 * SECOND);
        Load {
            jobs,
            sizes: self.sizes,
            reads: self.reads,
            from: until / 4,
            until,
            seed: 1,
        }
    }

    fn run(&self, algorithm: &mut dyn Algorithm, jobs: Vec<Job>) -> Outcome {
        run(algorithm, &self.cables(), &self.load(jobs))
    }
}

#[test]
#[ignore = "prints the table"]
fn print() {
    let variant = std::env::var("VARIANT").unwrap_or_default();
    let cpus: usize = std::env::var("CPUS").map_or(1, |cpus| cpus.parse().unwrap());
    let hop: u64 = std::env::var("HOP").map_or(0, |hop| hop.parse().unwrap());
    let mut options = Options::FIRST;
    for word in variant.split(',') {
        let number = || word.split(':').nth(1).unwrap().parse::<u64>().unwrap();
        match word.split(':').next().unwrap() {
            "all" => options.view = View::All,
            "few" => options.view = View::Few(number()),
            "fastest" => options.idle = Idle::Fastest,
            "retry" => options.retry = number(),
            "sample-all" => options.sample_all = true,
            "every" => options.sample_every = number() * 1000,
            "part" => options.part = number() as u32,
            "slack" => options.slack = number() as u32,
            "damp" => options.damp = number(),
            _ => {}
        }
    }
    let (mut slow, mut late, mut late_all, mut cells) = (0, 0, 0, 0);
    for cell in Cell::all() {
        if cpus > cell.depth {
            continue;
        }
        let jobs = || -> Vec<Job> {
            if hop > 0 {
                let mut job = Job::new(cell.depth, 0);
                job.cpus = 0..cpus;
                job.stay = hop * 1_000_000;
                return vec![job];
            }
            (0..cpus)
                .map(|cpu| Job::new(cell.depth / cpus, cpu))
                .collect()
        };
        let sum = (FASTEST / 16 * cell.speeds.iter().sum::<u64>()) as f64;
        let mut line = format!(
            "{:?} {:?} r{} d{}:",
            cell.speeds, cell.sizes, cell.reads, cell.depth
        );
        let mut peers_ = vec![];
        for (_, make) in peers::ALL {
            let outcome = cell.run(&mut *make(cell.speeds.len()), jobs());
            peers_.push((
                outcome.throughput() / sum,
                outcome.percentile(99) as f64 / 1e6,
            ));
        }
        let mut bond = Bond::new(options, cell.speeds.len(), cpus);
        let outcome = cell.run(&mut bond, jobs());
        let (t, p) = (
            outcome.throughput() / sum,
            outcome.percentile(99) as f64 / 1e6,
        );
        let best = peers_.iter().map(|p| p.0).fold(0.0, f64::max);
        let p_best = peers_
            .iter()
            .filter(|p| p.0 >= best * 0.98)
            .map(|p| p.1)
            .fold(f64::MAX, f64::min);
        let p_all = peers_.iter().map(|p| p.1).fold(f64::MAX, f64::min);
        for (t, p) in &peers_ {
            line += &format!(" {t:.3}/{p:.1}");
        }
        line += &format!(" | {t:.3}/{p:.1}");
        cells += 1;
        if t < best * 0.98 {
            slow += 1;
            line += " SLOW";
        }
        if p > p_best * 1.1 {
            late += 1;
            line += " LATE";
        }
        if p > p_all * 1.1 {
            late_all += 1;
            line += " late";
        }
        let shares = &outcome.ticks.last().unwrap().shares;
        line += &format!(" {shares:?}");
        println!("{line}");
    }
    println!("of {cells}: slow {slow}, late {late}, later than any {late_all}");
}
