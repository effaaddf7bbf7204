// SPDX-License-Identifier: GPL-2.0-only

//! What is required when something changes.

use super::bond::Bond;
use super::model::{run, Algorithm, Cable, Done, Job, Load, Sizes, Tick, INTERVAL, MS, SECOND, US};
use super::peers;
use std::collections::VecDeque;

const MEGA: u64 = 1_000_000;

/// The paths change at this time, and are as before from the other on.
const CHANGE: u64 = 2 * SECOND;
const BACK: u64 = 6 * SECOND;

fn load(depth: usize, sizes: Sizes) -> Load {
    Load {
        jobs: vec![Job::new(depth, 0)],
        sizes,
        reads: 100,
        from: 0,
        until: 10 * SECOND,
        seed: 1,
    }
}

fn ticks(paths: &[Cable], depth: usize, sizes: Sizes) -> Vec<Tick> {
    let mut bond = Bond::dynamic(paths.len(), 1);
    run(&mut bond, paths, &load(depth, sizes)).ticks
}

/// The first tick that has begun after a time.
fn after(time: u64) -> usize {
    (time / INTERVAL) as usize
}

fn moved(tick: &Tick) -> u64 {
    tick.bytes.iter().sum()
}

/// Checks that from 3 intervals after a change on, the shares are near to what they are much later,
/// and the throughput is 95 % of it.
fn check_converges(ticks: &[Tick], change: u64, what: &str) {
    let late = &ticks[after(change) + 20..after(change) + 35];
    let settled = &late.last().unwrap().shares;
    let optimum = late.iter().map(moved).sum::<u64>() / late.len() as u64;
    for tick in &ticks[after(change) + 2..after(change) + 10] {
        for (share, settled) in tick.shares.iter().zip(settled) {
            let close = share.abs_diff(*settled) <= settled / 5 + 16;
            assert!(close, "{what}: {:?}, later {settled:?}", tick.shares);
        }
    }
    // One interval may end just before a command does.
    for two in ticks[after(change) + 3..after(change) + 10].windows(2) {
        let part = (moved(&two[0]) + moved(&two[1])) as f64 / 2.0 / optimum as f64;
        assert!(part >= 0.95, "{what}: {part:.3} of the optimum");
    }
}

#[test]
fn shares_follow_a_speed_within_3_intervals() {
    for depth in [2, 8, 32] {
        for sizes in [Sizes::KiB(4), Sizes::KiB(32)] {
            for other in [100, 25] {
                let mut paths = [Cable::new(100 * MEGA), Cable::new(other * MEGA)];
                paths[0].speeds = vec![(0, 100 * MEGA), (CHANGE, 10 * MEGA), (BACK, 100 * MEGA)];
                let ticks = ticks(&paths, depth, sizes);
                let what = format!("100 and {other}, {sizes:?}, depth {depth}");
                check_converges(&ticks, CHANGE, &format!("{what}, down"));
                check_converges(&ticks, BACK, &format!("{what}, up"));
            }
        }
    }
}

/// Though what is in flight at the change takes 0.8 s to complete.
#[test]
fn a_long_queue_on_a_path_that_becomes_slow_delays_nothing() {
    let mut paths = [Cable::new(10 * MEGA), Cable::new(10 * MEGA)];
    paths[0].speeds = vec![(0, 10 * MEGA), (CHANGE, MEGA), (BACK, 10 * MEGA)];
    let ticks = ticks(&paths, 32, Sizes::KiB(32));
    for tick in &ticks[after(CHANGE)..after(BACK)] {
        assert!(moved(tick) >= 95 * 11 * MEGA / 1000, "{}", moved(tick));
    }
    check_converges(&ticks, CHANGE, "down");
    check_converges(&ticks, BACK, "up");
}

#[test]
fn a_failed_path_carries_nothing_and_a_restored_one_its_share() {
    for depth in [2, 8, 32] {
        let mut paths = [10, 10, 2].map(|speed| Cable::new(10 * MEGA * speed));
        paths[0].out = CHANGE..BACK;
        let ticks = ticks(&paths, depth, Sizes::KiB(32));
        for tick in &ticks[after(CHANGE)..after(BACK) - 1] {
            assert_eq!((tick.bytes[0], tick.shares[0]), (0, 0));
        }
        check_converges(&ticks, CHANGE, &format!("depth {depth}, failed"));
        check_converges(&ticks, BACK, &format!("depth {depth}, restored"));
    }
}

#[test]
fn a_new_path_gets_its_share() {
    for depth in [2, 8, 32] {
        for speeds in [[10, 2], [2, 10]] {
            let mut paths = speeds.map(|speed| Cable::new(10 * MEGA * speed));
            paths[1].out = 0..CHANGE;
            let ticks = ticks(&paths, depth, Sizes::KiB(32));
            assert_eq!(ticks[after(CHANGE) - 2].shares, [1000, 0]);
            check_converges(&ticks, CHANGE, &format!("{speeds:?}, depth {depth}"));
        }
    }
}

/// One command at a time goes to the fast path. That the other has become faster is found out in
/// 160 times as long as its commands took.
#[test]
fn an_idle_path_is_tried_again() {
    let mut paths = [Cable::new(100 * MEGA), Cable::new(20 * MEGA)];
    paths[1].speeds = vec![(0, 20 * MEGA), (CHANGE, 500 * MEGA)];
    let ticks = ticks(&paths, 1, Sizes::KiB(32));
    let before = &ticks[after(CHANGE) - 10..after(CHANGE)];
    let part = |path: usize| before.iter().map(|tick| tick.bytes[path]).sum::<u64>();
    assert!(
        part(1) > 0 && part(1) * 50 < part(0),
        "{} {}",
        part(0),
        part(1)
    );
    for tick in &ticks[after(CHANGE + 160 * 2 * MS) + 2..] {
        assert!(tick.bytes[1] > 50 * tick.bytes[0], "{:?}", tick.bytes);
    }
}

/// A path became so slow that it is not used, while commands queued up on it, and is fast again.
/// How soon that is found out depends on what one command would take, and on how many others there
/// are; not on how long the queue took.
#[test]
fn an_idle_path_that_had_a_queue_is_tried_soon() {
    for (depth, soon) in [(4, 40), (8, 20)] {
        let mut paths = [Cable::new(4 * MEGA), Cable::new(4 * MEGA)];
        paths.iter_mut().for_each(|path| path.delay = 20 * MS);
        paths[0].speeds = vec![(0, 4 * MEGA), (CHANGE, 25_000), (BACK, 4 * MEGA)];
        let ticks = ticks(&paths, depth, Sizes::KiB(4));
        let (before, ticks) = ticks.split_at(after(BACK));
        let shares = &before.last().unwrap().shares;
        assert!(shares[0] < 50, "depth {depth}: {shares:?}");
        let found = ticks.iter().position(|tick| tick.shares[0] >= 100);
        let in_time = found.is_some_and(|found| found < soon);
        assert!(in_time, "depth {depth}: after {found:?} intervals");
    }
}

/// In flight over latency is the same there for any share, if the shares are what is in flight.
#[test]
fn paths_that_are_nothing_but_delay_keep_their_shares() {
    for depth in [1, 2, 8, 32] {
        let mut paths = [Cable::new(1 << 40), Cable::new(1 << 40)];
        for path in &mut paths {
            path.delay = MS;
        }
        for tick in &ticks(&paths, depth, Sizes::KiB(4))[10..] {
            let share = tick.shares[0];
            assert!(
                (400..=600).contains(&share),
                "depth {depth}: {:?}",
                tick.shares
            );
        }
    }
}

/// And of different delay, the shorter is used. One of a few commands takes the longer.
#[test]
fn of_paths_that_are_nothing_but_delay_the_shorter_is_used() {
    for depth in [1, 8, 32] {
        let mut paths = [Cable::new(1 << 40), Cable::new(1 << 40)];
        (paths[0].delay, paths[1].delay) = (MS, 4 * MS);
        let load = load(depth, Sizes::KiB(4));
        let own = run(&mut Bond::dynamic(2, 1), &paths, &load).throughput();
        for (name, make) in peers::ALL {
            let peer = run(&mut *make(2), &paths, &load).throughput();
            let part = own / peer;
            // There the only path of the CPU happens to be the shorter.
            let floor = if name == "io-affinity" { 0.85 } else { 0.93 };
            assert!(part >= floor, "depth {depth}: {part:.3} of {name}");
        }
    }
}

/// A command that fails at once says nothing of the speed.
#[test]
fn errors_are_no_speed() {
    let mut bond = Bond::dynamic(2, 1);
    for (number, now) in (0..1000).map(|number| (number, number * MS)) {
        let (path, tag) = bond.choose(now, 0, 4096, false);
        bond.done(&Done {
            path,
            cpu: 0,
            bytes: 4096,
            write: false,
            start: now,
            end: now + if path == 0 { 10 * US } else { 500 * US },
            ok: path == 1,
            tag,
        });
        if number % 100 == 99 {
            bond.tick(now);
            assert_eq!(bond.shares(), [500, 500]);
        }
    }
}

/// Each CPU has a queue of its own, and the path serves them by turns. What one has out, alone,
/// overtakes much of what another has; it has not moved that.
#[test]
fn who_overtakes_is_no_faster() {
    const BYTES: u64 = 32 << 10;
    const EACH: u64 = 6 * MS;
    let mut bond = Bond::dynamic(1, 2);
    let send = |bond: &mut Bond, now, cpu| (now, bond.choose(now, cpu, BYTES, false).1);
    let mut queues = [(); 2].map(|()| VecDeque::new());
    queues[0].extend((0..25).map(|_| send(&mut bond, 0, 0)));
    queues[1].push_back(send(&mut bond, 0, 1));
    for turn in 1..500 {
        let (end, cpu) = (turn * EACH, turn as usize % 2);
        let (start, tag) = queues[cpu].pop_front().unwrap();
        bond.done(&Done {
            path: 0,
            cpu,
            bytes: BYTES,
            write: false,
            start,
            end,
            ok: true,
            tag,
        });
        queues[cpu].push_back(send(&mut bond, end, cpu));
        if end % INTERVAL < EACH {
            bond.tick(end);
            let speed = bond.speed(0).unwrap();
            let real = BYTES * SECOND / EACH;
            assert!(speed.abs_diff(real) <= real / 10, "{speed}, {real} really");
        }
    }
}
