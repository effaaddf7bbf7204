// SPDX-License-Identifier: GPL-2.0-only

//! `/sys/module/dm_bond/adapters/<netdev>/`. Documented in `Documentation/ABI`.

use super::Adapter;
use crate::{
    bond::errno,
    kapi::sysfs::{Attributes, Directory, File},
    policy::table::long_number,
    sync::{Atomic, Relaxed},
};
use kernel::{prelude::*, sync::Arc};

/// An adapter's directory.
pub(super) type AdapterDirectory = Directory<Arc<Adapter>>;

/// The most that a speed can be set to, in bytes a second.
const MAX_SPEED: u64 = 1 << 50;

fn sum<'a>(all: impl Iterator<Item = &'a Atomic<u64>>) -> u64 {
    all.fold(0, |sum, one| sum.wrapping_add(one.load(Relaxed)))
}

impl Attributes for Arc<Adapter> {
    const FILES: &'static [File<Self>] = &[
        File::read(c"link", |adapter, out| {
            out.write_str(if adapter.has_link() { "up" } else { "down" })
        }),
        File::write(
            c"role",
            |adapter, out| {
                out.write_str(if adapter.is_primary() {
                    "primary"
                } else {
                    "secondary"
                })
            },
            |adapter, text| {
                let primary = match text {
                    b"primary" => true,
                    b"secondary" => false,
                    _ => return Err(EINVAL),
                };
                adapter.team().ok_or(EINVAL)?.appoint(adapter, primary)
            },
        ),
        File::write(
            c"speed",
            |adapter, out| {
                let set = adapter.set_speed.load(Relaxed);
                let measured = adapter.speed.load(Relaxed);
                out.write_fmt(fmt!("{}", if set > 0 { set } else { measured }))
            },
            |adapter, text| {
                let speed = long_number("speed", text, MAX_SPEED);
                adapter
                    .set_speed
                    .store(speed.map_err(|fault| errno(&fault))?, Relaxed);
                Ok(())
            },
        ),
        File::read(c"received", |adapter, out| {
            let all = adapter.balance.iter().map(|balance| &balance.received);
            out.write_fmt(fmt!("{}", sum(all)))
        }),
        File::read(c"forwarded", |adapter, out| {
            let all = adapter.balance.iter().map(|balance| &balance.forwarded);
            out.write_fmt(fmt!("{}", sum(all)))
        }),
        File::read(c"paths", |adapter, out| {
            out.write_fmt(fmt!("{}", adapter.paths.len()))
        }),
        File::read(c"failures", |adapter, out| {
            out.write_fmt(fmt!("{}", adapter.failures.load(Relaxed)))
        }),
        File::read(c"inflight_bytes", |adapter, out| {
            let mut bytes = 0u64;
            adapter.each_path(|path| bytes += path.counters().inflight_bytes());
            out.write_fmt(fmt!("{}", bytes))
        }),
        File::read(c"bytes", |adapter, out| {
            // Under the lock, so that a path which leaves counts once.
            let inner = adapter.inner.lock();
            let mut bytes = inner.bytes_before;
            adapter.each_path(|path| bytes = bytes.wrapping_add(path.counters().bytes()));
            drop(inner);
            out.write_fmt(fmt!("{}", bytes))
        }),
    ];
}
