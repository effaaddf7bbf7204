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
            out.write_fmt(fmt!("{}", adapter.inner.lock().paths.len()))
        }),
        File::read(c"failures", |adapter, out| {
            out.write_fmt(fmt!("{}", adapter.failures.load(Relaxed)))
        }),
        File::read(c"inflight_bytes", |adapter, out| {
            let inner = adapter.inner.lock();
            let bytes: u64 = inner
                .paths
                .iter()
                .map(|path| path.counters().inflight_bytes())
                .sum();
            out.write_fmt(fmt!("{}", bytes))
        }),
        File::read(c"bytes", |adapter, out| {
            let inner = adapter.inner.lock();
            let now = inner.paths.iter().map(|path| path.counters().bytes());
            out.write_fmt(fmt!("{}", now.fold(inner.bytes_before, u64::wrapping_add)))
        }),
    ];
}
