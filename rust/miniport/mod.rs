// SPDX-License-Identifier: GPL-2.0-only

//! Miniports: the drivers that know the adapter of a path, and can have its commands given back.
//!
//! A path without one has the generic miniport: its commands come back when the driver below gives
//! them up, and no second copy is ever sent before that.

use crate::{
    bond::{Path, Roster},
    kapi::{
        global::Global,
        miniport::{Binding, Driver, Port},
        mm::NoIo,
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

/// What C calls find.
pub(crate) static MINIPORTS: Global<Miniports> = Global::new();

/// What a miniport says of a path.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    /// It failed, rather than was restored.
    pub(crate) failed: bool,
    /// So is everything over its adapter.
    pub(crate) adapter: bool,
    /// What ends with success from now on, of what was sent before, was not carried out.
    pub(crate) voided: bool,
}

/// All miniports, and all paths they may bind to.
///
/// The lock is held while a miniport binds, so that it is not gone meanwhile. Whoever holds it may
/// not wait for I/O, since a bond that is to be resumed may wait for him.
#[pin_data]
pub(crate) struct Miniports {
    #[pin]
    inner: Mutex<Inner>,
    /// The same paths, for whoever may not sleep.
    #[pin]
    roster: Roster,
}

struct Inner {
    ports: KVec<Port>,
    /// The drivers for whose devices a miniport was asked for already.
    asked: KVec<Driver>,
    paths: KVec<Arc<Path>>,
}

impl Miniports {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let inner = Inner {
            ports: KVec::new(),
            asked: KVec::new(),
            paths: KVec::new(),
        };
        Arc::pin_init(
            pin_init!(Self {
                inner <- new_mutex!(inner, "Miniports::inner"),
                roster <- Roster::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes a miniport known, and lets it bind to the paths that there are. May sleep.
    pub(crate) fn register(&self, port: Port) -> Result {
        let _noio = NoIo::new();
        let mut inner = self.inner.lock();
        if inner.ports.iter().any(|other| other.name() == port.name()) {
            return Err(EEXIST);
        }
        inner.ports.push(port, GFP_KERNEL)?;
        for path in &inner.paths {
            bind(path, port);
        }
        Ok(())
    }

    /// Forgets a miniport, and unbinds it where it still is bound. May sleep.
    pub(crate) fn unregister(&self, port: Port) {
        let _noio = NoIo::new();
        let mut inner = self.inner.lock();
        inner.ports.retain(|other| *other != port);
        inner.asked.clear();
        for path in &inner.paths {
            path.unbind(|binding| binding.port() == port);
        }
    }

    /// Lets miniports bind to a path, now and later. If none does now, one is asked for: once for
    /// each driver, since that needs user space, which may itself need the very bond whose table is
    /// replaced. May sleep.
    pub(crate) fn join(&self, path: &Arc<Path>) -> Result {
        let driver = Driver::of(path.device());
        let noio = NoIo::new();
        let mut inner = self.inner.lock();
        inner.paths.push(path.clone(), GFP_KERNEL)?;
        self.roster.join(path)?;
        for port in &inner.ports {
            bind(path, *port);
        }
        match driver {
            Some(driver) if !path.is_bound() && !inner.asked.contains(&driver) => {
                inner.asked.push(driver, GFP_KERNEL)?;
                drop(inner);
                drop(noio);
                // The module that this loads binds by itself.
                driver.request_miniport();
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends that, and unbinds the path. May sleep.
    pub(crate) fn leave(&self, path: &Arc<Path>) {
        let _noio = NoIo::new();
        let mut inner = self.inner.lock();
        inner.paths.retain(|other| !Arc::ptr_eq(other, path));
        path.unbind(|_: &Binding| true);
        self.roster.leave(path);
    }

    /// Calls a function with each path that a miniport may be bound to. It must not sleep. Any
    /// context.
    pub(crate) fn each_path(&self, f: impl FnMut(&Arc<Path>)) {
        self.roster.each(f);
    }
}

/// Lets a miniport bind to a path that has none.
fn bind(path: &Arc<Path>, port: Port) {
    if let Err(error) = Path::bind(path, port) {
        pr_err!(
            "miniport {} cannot bind to {}: {:?}\n",
            port.name(),
            path.name(),
            error
        );
    }
}
