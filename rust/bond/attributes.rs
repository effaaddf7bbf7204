// SPDX-License-Identifier: GPL-2.0-only

//! `/sys/block/dm-N/bond`. Documented in `Documentation/ABI`.

use super::{Bond, Path};
use crate::{
    kapi::sysfs::{Attributes, Directory, File, Plain},
    policy::{health::Why, table::Time},
};
use kernel::{prelude::*, sync::Arc};

/// A bond's directory and those below it, which go first.
pub(super) struct Tree {
    each: KVec<Pin<KBox<Directory<Member>>>>,
    _paths: Pin<KBox<Directory<Plain>>>,
    _bond: Pin<KBox<Directory<Arc<Bond>>>>,
}

/// A path of a bond, as its directory shows it.
struct Member {
    bond: Arc<Bond>,
    path: Arc<Path>,
}

impl Tree {
    /// Makes the directories. May sleep.
    pub(super) fn new(bond: &Arc<Bond>) -> Result<Self> {
        let top = bond
            .events
            .with_disk(|disk| Directory::new(disk, c"bond", bond.clone()))
            .ok_or(ENODEV)??;
        let paths = Directory::new(&top, c"paths", Plain)?;
        let mut each = KVec::with_capacity(bond.paths.len(), GFP_KERNEL)?;
        for path in &bond.paths {
            let member = Member {
                bond: bond.clone(),
                path: path.clone(),
            };
            each.push(Directory::new(&paths, path.name(), member)?, GFP_KERNEL)?;
        }
        Ok(Self {
            each,
            _paths: paths,
            _bond: top,
        })
    }
}

impl Bond {
    /// Shows the bond, or no more. Waits for readers and writers that are inside. May sleep.
    pub(super) fn set_tree(&self, tree: Option<Tree>) {
        let old = core::mem::replace(&mut *self.tree.lock(), tree);
        // Not under the lock, which `notify_states` takes.
        drop(old);
    }

    /// Wakes those who poll the states of paths. May sleep.
    pub(super) fn notify_states(&self) {
        if let Some(tree) = &*self.tree.lock() {
            for directory in &tree.each {
                directory.notify(c"state");
            }
        }
    }
}

/// Reads yes or no: whole words, which `kstrtobool` does not ask for.
fn yes(text: &[u8]) -> Result<bool> {
    match text {
        b"1" | b"y" | b"Y" | b"yes" | b"on" | b"true" => Ok(true),
        b"0" | b"n" | b"N" | b"no" | b"off" | b"false" => Ok(false),
        _ => Err(EINVAL),
    }
}

impl Attributes for Arc<Bond> {
    const FILES: &'static [File<Self>] = &[
        File::write(
            c"policy",
            |bond, out| out.write_str(bond.policy().name()),
            |bond, text| bond.set_policy(text, None),
        ),
        File::write(
            c"primary",
            |bond, out| out.write_fmt(fmt!("{}", bond.paths[bond.primary()].name())),
            |bond, text| bond.set_primary_named(text),
        ),
        File::write(
            c"queue_if_no_path",
            |bond, out| {
                out.write_str(if bond.features().queue_if_no_path {
                    "1"
                } else {
                    "0"
                })
            },
            |bond, text| {
                bond.set_queueing(yes(text)?);
                Ok(())
            },
        ),
        File::write(
            c"no_path_timeout_ms",
            |bond, out| out.write_fmt(fmt!("{}", bond.ms(Time::NoPathTimeout))),
            |bond, text| bond.set_ms(Time::NoPathTimeout, text),
        ),
        File::write(
            c"probe_ms",
            |bond, out| out.write_fmt(fmt!("{}", bond.ms(Time::Probe))),
            |bond, text| bond.set_ms(Time::Probe, text),
        ),
        File::write(
            c"abort_ms",
            |bond, out| out.write_fmt(fmt!("{}", bond.ms(Time::Abort))),
            |bond, text| bond.set_ms(Time::Abort, text),
        ),
        File::write(
            c"stall_ms",
            |bond, out| out.write_fmt(fmt!("{}", bond.ms(Time::Stall))),
            |bond, text| bond.set_ms(Time::Stall, text),
        ),
        File::write(
            c"write_hold_ms",
            |bond, out| out.write_fmt(fmt!("{}", bond.ms(Time::WriteHold))),
            |bond, text| bond.set_ms(Time::WriteHold, text),
        ),
        File::write(
            c"interval_ms",
            |bond, out| out.write_fmt(fmt!("{}", bond.ms(Time::Interval))),
            |bond, text| bond.set_ms(Time::Interval, text),
        ),
        File::write(
            c"max_commands",
            |bond, out| out.write_fmt(fmt!("{}", bond.max_commands())),
            |bond, text| bond.set_max_commands(text),
        ),
        File::read(c"lu_id", |bond, out| match &bond.lu_id {
            Some(id) => out.write_fmt(fmt!("{}", id)),
            None => Ok(()),
        }),
        File::read(c"queued", |bond, out| {
            let queued = bond.queued();
            out.write_fmt(fmt!("{}", queued))
        }),
    ];
}

impl Attributes for Member {
    const FILES: &'static [File<Self>] = &[
        File::write(
            c"state",
            |member, out| out.write_str(member.path.state().name()),
            |member, text| {
                match text {
                    b"failed" => {
                        Bond::fail(&member.bond, member.path.number(), Why::Administrator);
                    }
                    b"active" => Bond::reinstate(&member.bond, member.path.number()),
                    _ => return Err(EINVAL),
                }
                Ok(())
            },
        ),
        File::write(
            c"share",
            |member, out| out.write_fmt(fmt!("{}", member.bond.share_now(member.path.number()))),
            |member, text| member.bond.set_share(member.path.number(), text),
        ),
        File::read(c"role", |member, out| {
            let primary = member.path.number() == member.bond.primary();
            out.write_str(if primary { "primary" } else { "secondary" })
        }),
        File::read(c"netdev", |member, out| match member.path.adapter() {
            Some(adapter) => adapter.write_name(out),
            None => Ok(()),
        }),
        File::read(c"dest", |member, out| match member.path.dest() {
            Some(dest) => out.write_fmt(fmt!("{}", dest)),
            None => Ok(()),
        }),
        File::read(c"miniport", |member, out| member.path.write_miniport(out)),
        File::read(c"quota_bytes", |member, out| {
            out.write_fmt(fmt!("{}", member.bond.quota(member.path.number())))
        }),
        File::read(c"speed", |member, out| {
            out.write_fmt(fmt!("{}", member.bond.speed(member.path.number())))
        }),
        File::read(c"mean_io_bytes", |member, out| {
            let counters = member.path.counters();
            let mean = counters.bytes().checked_div(counters.ios()).unwrap_or(0);
            out.write_fmt(fmt!("{}", mean))
        }),
        File::read(c"inflight", |member, out| {
            out.write_fmt(fmt!("{}", member.path.counters().inflight()))
        }),
        File::read(c"ios", |member, out| {
            out.write_fmt(fmt!("{}", member.path.counters().ios()))
        }),
        File::read(c"bytes", |member, out| {
            out.write_fmt(fmt!("{}", member.path.counters().bytes()))
        }),
        File::read(c"errors", |member, out| {
            out.write_fmt(fmt!("{}", member.path.counters().errors()))
        }),
        File::read(c"requeued", |member, out| {
            out.write_fmt(fmt!("{}", member.path.counters().requeues()))
        }),
        File::read(c"failures", |member, out| {
            let failures = member.bond.health(member.path.number()).failures();
            out.write_fmt(fmt!("{}", failures))
        }),
        File::read(c"flaps", |member, out| {
            out.write_fmt(fmt!("{}", member.bond.flaps(member.path.number())))
        }),
        File::read(c"damped_ms", |member, out| {
            let damped = member.bond.damped_ms(member.path.number());
            out.write_fmt(fmt!("{}", damped))
        }),
        File::read(c"last_failure", |member, out| {
            match member.bond.health(member.path.number()).last_failure() {
                Some(why) => out.write_fmt(fmt!("{}", why)),
                None => Ok(()),
            }
        }),
    ];
}
