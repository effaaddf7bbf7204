// SPDX-License-Identifier: GPL-2.0-only

//! `/sys/module/dm_bond/adapters/<netdev>/`. Documented in `Documentation/ABI`.

use super::Adapter;
use crate::kapi::sysfs::{Attributes, Directory, File};
use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
};

/// An adapter's directory.
pub(super) type AdapterDirectory = Directory<Arc<Adapter>>;

impl Attributes for Arc<Adapter> {
    const FILES: &'static [File<Self>] = &[
        File::read(c"link", |adapter, out| {
            out.write_str(if adapter.has_link() { "up" } else { "down" })
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
