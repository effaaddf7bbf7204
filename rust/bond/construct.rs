// SPDX-License-Identifier: GPL-2.0-only

//! From a table line to a bond, and back.

use super::{
    path::{Parts, Path},
    shared::{Claim, Shared},
    works, Bond, Gate, Inner, Watched,
};
use crate::{
    adapter::Adapters,
    kapi::{
        block::UniqueId,
        dm::{Args, BioList, Refusal, Table},
        percpu::PerCpu,
        ratelimit::RateLimit,
        rcu,
        workqueue::{stop, stop_delayed},
    },
    policy::{
        damping::Damping,
        health::Health,
        limit::Limit,
        quota::Turn,
        share,
        silence::Silence,
        speed::Meter,
        table::{Fault, Head, PathLine, Reader, MAX_PATHS},
    },
    sync::{Atomic, Flag},
};
use kernel::{
    fmt, new_delayed_work, new_mutex, new_spinlock_irq, new_work,
    prelude::*,
    sync::{Arc, SetOnce},
    time::Instant,
};

/// Says in the log what is wrong with a table line, and to device mapper in short: its own line
/// takes fixed text only.
macro_rules! refuse {
    ($table:expr, $errno:expr, $short:literal, $($long:tt)*) => {{
        pr_err!("bond {}: {}\n", $table.events().device(), fmt!($($long)*));
        Err(Refusal::new($errno, $short))
    }};
}

impl Bond {
    /// Makes a bond from the arguments of a table line. On an error nothing of it is left.
    pub(super) fn from_table(
        shared: &Arc<Shared>,
        table: &mut Table<'_>,
        args: Args<'_>,
    ) -> Result<Arc<Self>, Refusal> {
        let mut reader = Reader::new(args.iter());
        let head = match reader.head() {
            Ok(head) => head,
            Err(fault) => return bad_line(table, None, &fault),
        };
        let mut paths = KVec::with_capacity(head.paths, GFP_KERNEL)?;
        let mut given = KVec::with_capacity(head.paths, GFP_KERNEL)?;
        let mut lu_id = None;
        for number in 0..head.paths {
            let line = match reader.path() {
                Ok(line) => line,
                Err(fault) => return bad_line(table, Some(number), &fault),
            };
            let path = make_path(shared, table, &line, &paths, &mut lu_id)?;
            paths.push(path, GFP_KERNEL)?;
            given.push(line.share, GFP_KERNEL)?;
        }
        if let Err(fault) = reader.end() {
            return bad_line(table, None, &fault);
        }

        let mut shares = [0; MAX_PATHS];
        let shares = &mut shares[..paths.len()];
        share::settle(shares, |number| given[number]);
        for (path, share) in paths.iter().zip(shares) {
            path.set_share(*share);
            path.set_measured_share(*share);
        }
        Self::begin(shared, table, &head, paths, lu_id)
    }

    fn begin(
        shared: &Arc<Shared>,
        table: &Table<'_>,
        head: &Head,
        paths: KVec<Arc<Path>>,
        lu_id: Option<UniqueId>,
    ) -> Result<Arc<Self>, Refusal> {
        let mut health = KVec::with_capacity(paths.len(), GFP_KERNEL)?;
        let meters = KVec::from_elem(Meter::default(), paths.len(), GFP_KERNEL)?;
        let command_bytes = paths.iter().map(|path| path.device().max_bytes()).min();
        for _ in &paths {
            let watched = Watched {
                health: Health::new(),
                told_failures: 0,
                told_in_use: true,
                damping: Damping::default(),
                silence: Silence::default(),
            };
            health.push(watched, GFP_KERNEL)?;
        }
        let inner = Inner {
            features: head.features,
            gate: Gate::Open,
            waiting: BioList::new(),
            later: BioList::new(),
            held: BioList::new(),
            in_use: paths.len(),
            health,
            meters,
            without_path_since: None,
            expired: false,
        };
        let turns = PerCpu::new(Turn::new)?;
        let bond = Arc::pin_init(
            pin_init!(Self {
                shared: shared.clone(),
                events: table.events(),
                lu_id,
                paths,
                born: Instant::now(),
                policy: Atomic::new(head.policy as u32),
                primary: Atomic::new(0),
                preferred: Atomic::new(Self::NONE_PREFERRED),
                usable: Atomic::new(u64::MAX >> (MAX_PATHS - inner.health.len())),
                turns,
                version: Atomic::new(0),
                due: Atomic::new(0),
                limit: Limit::new(head.features.max_commands()),
                team: SetOnce::new(),
                offload: rcu::Slot::new(),
                chooser <- new_mutex!(true, "Bond::chooser"),
                limiting <- new_mutex!((), "Bond::limiting"),
                command_bytes: command_bytes.unwrap_or(0).max(1),
                holding: Flag::new(false),
                looked: Atomic::new(0),
                inner <- new_spinlock_irq!(inner, "Bond::inner"),
                tree <- new_mutex!(None, "Bond::tree"),
                log <- RateLimit::new(),
                retry <- new_work!("Bond::retry"),
                retry_later <- new_delayed_work!("Bond::retry_later"),
                announce <- new_work!("Bond::announce"),
                no_path <- new_delayed_work!("Bond::no_path"),
                release <- new_delayed_work!("Bond::release"),
                listen <- new_delayed_work!("Bond::listen"),
                measure <- new_delayed_work!("Bond::measure"),
            }),
            GFP_KERNEL,
        )?;
        let guard = bond.inner.lock();
        bond.shares_changed();
        drop(guard);
        for path in &bond.paths {
            if let Err(error) = Path::begin(path, &bond) {
                Self::end(&bond);
                return Err(error.into());
            }
        }
        if head.policy.is_adapters() {
            if let Err(fault) = bond.join_team(head.policy) {
                Self::end(&bond);
                return refuse!(
                    table,
                    fault.errno(),
                    c"its adapters cannot balance",
                    "policy '{}': {}",
                    head.policy.name(),
                    fault
                );
            }
        }
        Ok(bond)
    }

    /// Ends all that the bond and its paths do by themselves. May sleep, as long as a probe is out.
    pub(super) fn end(this: &Arc<Self>) {
        // First those who could start something new, then what was started.
        Shared::withdraw(this);
        stop_delayed::<_, { works::LISTEN }>(this);
        stop_delayed::<_, { works::MEASURE }>(this);
        this.end_offload();
        for path in &this.paths {
            Path::end(path);
        }
        if let Some(team) = this.team.as_ref() {
            team.leave();
        }
        stop::<_, { works::RETRY }>(this);
        stop_delayed::<_, { works::RETRY_LATER }>(this);
        stop::<_, { works::ANNOUNCE }>(this);
        stop_delayed::<_, { works::NO_PATH }>(this);
        stop_delayed::<_, { works::RELEASE }>(this);
    }

    /// Writes the arguments of a table line that makes this bond as it now is. The first path is
    /// the primary one.
    pub(super) fn write_table(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let features = self.features();
        let (count, primary) = (self.paths.len(), self.primary());
        features.write(out)?;
        out.write_str(" ")?;
        features.write_policy(self.policy(), out)?;
        out.write_fmt(fmt!(" {}", count))?;
        for number in Iterator::chain(primary..count, 0..primary) {
            let path = &self.paths[number];
            // Once each: a miniport may bind meanwhile and know of more.
            let (adapter, dest) = (path.adapter(), path.dest());
            let args = 1 + usize::from(adapter.is_some()) + usize::from(dest.is_some());
            out.write_fmt(fmt!(" {} {}", path.dev(), args))?;
            if let Some(adapter) = adapter {
                out.write_str(" netdev:")?;
                adapter.write_name(&mut Quoted(out))?;
            }
            out.write_fmt(fmt!(" share:{}", path.share()))?;
            if let Some(dest) = dest {
                out.write_fmt(fmt!(" dest:{}", dest))?;
            }
        }
        Ok(())
    }

    /// Writes the status line.
    pub(super) fn write_status(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let queued = self.queued();
        out.write_fmt(fmt!(
            "{} {} {}",
            self.policy().name(),
            queued,
            self.paths.len()
        ))?;
        let mut shares = [0; MAX_PATHS];
        let shares = self.shares_now(&mut shares);
        for (path, &mut share) in self.paths.iter().zip(shares) {
            out.write_fmt(fmt!(" {} ", path.dev()))?;
            match path.adapter() {
                Some(adapter) => adapter.write_name(out)?,
                None => out.write_str("-")?,
            }
            let counters = path.counters();
            let role = if path.number() == self.primary() {
                'P'
            } else {
                'S'
            };
            out.write_fmt(fmt!(
                " {} {} {} {} {} {} {} {}",
                path.state().letter(),
                role,
                share,
                counters.inflight(),
                counters.ios(),
                counters.bytes(),
                counters.errors(),
                counters.requeues(),
            ))?;
        }
        Ok(())
    }
}

fn bad_line<T>(table: &Table<'_>, number: Option<usize>, fault: &Fault<'_>) -> Result<T, Refusal> {
    match number {
        Some(number) => refuse!(
            table,
            EINVAL,
            c"bad table line",
            "path {}: {}",
            number + 1,
            fault
        ),
        None => refuse!(table, EINVAL, c"bad table line", "{}", fault),
    }
}

/// Opens a path's device and adapter. It must lead to the LU of those before it: `lu_id` is what
/// the first one said.
fn make_path(
    shared: &Arc<Shared>,
    table: &mut Table<'_>,
    line: &PathLine<'_>,
    before: &[Arc<Path>],
    lu_id: &mut Option<UniqueId>,
) -> Result<Arc<Path>, Refusal> {
    let number = before.len();
    let name = line.device;
    let device = match table.get_device(name) {
        Ok(device) => device,
        Err(errno) => {
            return refuse!(
                table,
                errno,
                c"a path's device cannot be opened, or is in use",
                "path {}: device '{}' cannot be opened: {:?}",
                number + 1,
                name,
                errno
            )
        }
    };
    let dev = device.dev();
    if before.iter().any(|path| path.dev() == dev) {
        return refuse!(
            table,
            EINVAL,
            c"a device is given twice",
            "path {}: device '{}' ({}) is given twice",
            number + 1,
            name,
            dev
        );
    }
    let claim = match Claim::new(shared, dev, table.events().device())? {
        Ok(claim) => claim,
        Err(owner) => {
            return refuse!(
                table,
                EBUSY,
                c"a path's device is in use by another bond",
                "path {}: device '{}' ({}) is a path of bond {}",
                number + 1,
                name,
                dev,
                owner
            )
        }
    };
    if device.sectors() < table.sectors() {
        return refuse!(
            table,
            EINVAL,
            c"a path's device is too small",
            "path {}: device '{}' has {} sectors, fewer than the table's {}",
            number + 1,
            name,
            device.sectors(),
            table.sectors()
        );
    }
    let id = device.unique_id();
    match before.first() {
        None => *lu_id = id,
        Some(first) => {
            let (own, others) = (Id(id), Id(*lu_id));
            if id != *lu_id {
                return refuse!(
                    table,
                    EINVAL,
                    c"paths lead to different logical units",
                    "path {}: device '{}' is LU {}, but device '{}' is LU {}",
                    number + 1,
                    name,
                    own,
                    first.name(),
                    others
                );
            }
            if device.start_sector() != first.device().start_sector() {
                return refuse!(
                    table,
                    EINVAL,
                    c"paths are different partitions",
                    "path {}: device '{}' starts at sector {} of its disk, but device '{}' at {}",
                    number + 1,
                    name,
                    device.start_sector(),
                    first.name(),
                    first.device().start_sector()
                );
            }
            if device.sectors() != first.device().sectors() {
                return refuse!(
                    table,
                    EINVAL,
                    c"paths differ in size",
                    "path {}: device '{}' has {} sectors, but device '{}' has {}",
                    number + 1,
                    name,
                    device.sectors(),
                    first.name(),
                    first.device().sectors()
                );
            }
        }
    }
    let adapter = match line
        .netdev
        .map(|netdev| (netdev, Adapters::get(shared.adapters(), netdev)))
    {
        None => None,
        Some((_, Ok(adapter))) => Some(adapter),
        Some((netdev, Err(errno))) => {
            return refuse!(
                table,
                errno,
                c"a path's network device is not there",
                "path {}: no adapter for network device '{}': {:?}",
                number + 1,
                netdev,
                errno
            )
        }
    };
    Ok(Path::new(Parts {
        number,
        device,
        adapter,
        dest: line.dest,
        claim,
    })?)
}

/// Writes words of a table line: what device mapper reads as a quote is quoted.
struct Quoted<'a>(&'a mut dyn fmt::Write);

impl fmt::Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (number, part) in text.split('\\').enumerate() {
            if number > 0 {
                self.0.write_str("\\\\")?;
            }
            self.0.write_str(part)?;
        }
        Ok(())
    }
}

/// An LU's id in words.
struct Id(Option<UniqueId>);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(id) => id.fmt(f),
            None => f.write_str("(without id)"),
        }
    }
}
