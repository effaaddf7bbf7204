// SPDX-License-Identifier: GPL-2.0-only

//! Device-mapper targets.
//!
//! A target implements [`Target`] and is made known by [`Registration`]. The bios that device
//! mapper hands to a target are values that own the bio: [`Incoming`] in [`Target::map`],
//! [`Completed`] in [`Target::end_io`], and [`Owned`] once the target has taken it over. What a
//! target says of a bio ([`Mapped`], [`Ended`]) can only be made by giving the bio up, so a bio is
//! neither lost nor used after it was passed on.
//!
//! C header: [`include/linux/device-mapper.h`](srctree/include/linux/device-mapper.h)

mod bios;
mod registration;

pub(crate) use bios::{BioList, Completed, Ended, Incoming, Mapped, Owned};
pub(crate) use registration::Registration;

use super::{
    block::{BlockDevice, DevT},
    mm::NoIo,
    sysfs::Kobject,
};
use crate::bindings;
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    alloc::AllocError, error::to_result, fmt, new_mutex, prelude::*, str::CStrExt, sync::Arc,
    sync::Mutex,
};

/// The target is alone in its table (`DM_TARGET_SINGLETON`).
pub(crate) const SINGLETON: u32 = bindings::DM_TARGET_SINGLETON;
/// Integrity data goes through to the devices below (`DM_TARGET_PASSES_INTEGRITY`).
pub(crate) const PASSES_INTEGRITY: u32 = bindings::DM_TARGET_PASSES_INTEGRITY;
/// The target never waits in [`Target::map`] (`DM_TARGET_NOWAIT`).
pub(crate) const NOWAIT: u32 = bindings::DM_TARGET_NOWAIT;
/// Atomic writes go through whole (`DM_TARGET_ATOMIC_WRITES`).
pub(crate) const ATOMIC_WRITES: u32 = bindings::DM_TARGET_ATOMIC_WRITES;

/// A device-mapper target, working on bios.
///
/// `map` and `end_io` are called concurrently, by any number of threads, `end_io` also in hard
/// interrupts; the others may sleep.
pub(crate) trait Target: Sized + Send + Sync + 'static {
    /// The target's name in tables.
    const NAME: &'static CStr;
    /// The version that `dmsetup targets` shows.
    const VERSION: [u32; 3];
    /// What the target can do: an or of this module's constants.
    const FEATURES: u32;
    /// What all targets of this type share, given when the type is registered.
    type Context: Send + Sync + 'static;
    /// What a target keeps with each bio that it has. Starts as zeros.
    type BioData: Copy + Zeroable + Send + 'static;

    /// Makes a target from the arguments of a table line.
    fn ctr(
        context: &Arc<Self::Context>,
        table: &mut Table<'_>,
        args: Args<'_>,
    ) -> Result<Arc<Self>, Refusal>;
    /// Ends all that the target does by itself: works, timers, notifications. No bio is
    /// outstanding, none will come.
    fn dtr(this: &Arc<Self>);
    /// Says what becomes of a new bio. Must not sleep.
    fn map<'a>(this: &Arc<Self>, bio: Incoming<'a, Self>) -> Mapped<'a>;
    /// Says what becomes of a bio that came back. Must not sleep; may run in a hard interrupt.
    fn end_io<'a>(this: &Arc<Self>, bio: Completed<'a, Self>) -> Ended<'a>;
    /// A suspend begins; `noflush` says that bios may be given back with [`Completed::push_back`]
    /// and its like.
    fn presuspend(this: &Arc<Self>, noflush: bool);
    /// The suspend that had begun was broken off.
    fn presuspend_undo(this: &Arc<Self>);
    /// The target is the live one of its device now.
    fn resume(this: &Arc<Self>);
    /// Writes the `dmsetup status` line. What does not fit the buffer is cut, and device mapper
    /// asks again.
    fn status(&self, out: &mut dyn fmt::Write) -> fmt::Result;
    /// Writes the arguments of a table line that makes this target again.
    fn table(&self, out: &mut dyn fmt::Write) -> fmt::Result;
    /// Does what a message says.
    fn message(this: &Arc<Self>, args: Args<'_>) -> Result;
    /// Chooses the device that ioctls go to, by its number in the order of [`Table::get_device`];
    /// `ENOTCONN` to be asked again soon.
    fn ioctl_device(this: &Arc<Self>) -> Result<usize>;
}

/// Why a table line was refused: what dmsetup and the kernel log say.
pub(crate) struct Refusal {
    errno: Error,
    reason: &'static CStr,
}

impl Refusal {
    pub(crate) fn new(errno: Error, reason: &'static CStr) -> Self {
        Self { errno, reason }
    }
}

impl From<AllocError> for Refusal {
    fn from(_: AllocError) -> Self {
        Self::new(ENOMEM, c"out of memory")
    }
}

impl From<Error> for Refusal {
    fn from(errno: Error) -> Self {
        Self::new(errno, c"cannot be set up")
    }
}

/// The words of a table line or a message.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a> {
    argv: *mut *mut c_char,
    argc: c_uint,
    words: PhantomData<&'a CStr>,
}

impl<'a> Args<'a> {
    /// # Safety
    ///
    /// `argv` has `argc` valid strings, that stay so during `'a`.
    unsafe fn from_raw(argc: c_uint, argv: *mut *mut c_char) -> Self {
        Self {
            argv,
            argc,
            words: PhantomData,
        }
    }

    /// All words in their order.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a CStr> + Clone {
        (0..self.argc as usize)
            // SAFETY: `from_raw`'s caller promised that there are `argc` valid strings.
            .map(move |i| unsafe { CStr::from_char_ptr(*self.argv.add(i)) })
    }
}

/// The table that a target is made for, while it is made.
pub(crate) struct Table<'a> {
    ti: NonNull<bindings::dm_target>,
    devices: KVec<Member>,
    events: Arc<Events>,
    _ti: PhantomData<&'a ()>,
}

impl Table<'_> {
    /// Opens a device for the target, and claims it. It is closed after the target's end.
    pub(crate) fn get_device(&mut self, name: &CStr) -> Result<BlockDevice> {
        self.devices.reserve(1, GFP_KERNEL)?;
        let mut dev = core::ptr::null_mut();
        // SAFETY: `ti` is the target being made, `name` a string, and `dev` is written on success.
        to_result(unsafe {
            let mode = bindings::dm_table_get_mode(self.ti.as_ref().table);
            bindings::dm_get_device(self.ti.as_ptr(), name.as_char_ptr(), mode, &mut dev)
        })?;
        // SAFETY: On success `dev` is valid, and so is its file, as long as the device is not put.
        let (dev, device) = unsafe {
            (
                NonNull::new_unchecked(dev),
                BlockDevice::from_file((*dev).bdev_file),
            )
        };
        // SAFETY: The device is valid. A native NVMe multipath device fails over by itself, and
        // would not if it were told to give bios back.
        let failfast = unsafe { !bindings::dm_bond_bdev_is_nvme_head((*dev.as_ptr()).bdev) };
        let member = Member { dev, failfast };
        if self.devices.push_within_capacity(member).is_err() {
            // SAFETY: Just got, and not kept.
            unsafe { bindings::dm_put_device(self.ti.as_ptr(), dev.as_ptr()) };
            return Err(ENOMEM);
        }
        Ok(device)
    }

    /// The number of sectors that the table line asks for.
    pub(crate) fn sectors(&self) -> u64 {
        // SAFETY: `ti` is the target being made.
        unsafe { self.ti.as_ref().len }
    }

    /// How the target speaks of itself to the outside, later.
    pub(crate) fn events(&self) -> Arc<Events> {
        self.events.clone()
    }
}

/// A device of a target.
struct Member {
    dev: NonNull<bindings::dm_dev>,
    /// Its driver is asked to give bios back when its transport dies.
    failfast: bool,
}

/// Finds out the number of a device named by path or `major:minor`. May sleep.
pub(crate) fn device_number(name: &CStr) -> Result<DevT> {
    let mut dev = 0;
    // SAFETY: `name` is a string, `dev` a place for the number.
    to_result(unsafe { bindings::dm_devt_from_path(name.as_char_ptr(), &mut dev) })?;
    Ok(DevT(dev))
}

/// A path's change that is told to the outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathEvent {
    Failed,
    Reinstated,
}

/// A target's voice: its device's name, events and place in sysfs. Silent while the target's table
/// is not the device's live one or is suspended, and once the target is gone.
#[pin_data]
pub(crate) struct Events {
    #[pin]
    voice: Mutex<Voice>,
    name: DevT,
}

struct Voice {
    /// The target, until its destructor; whoever uses it holds the lock, and the destructor takes
    /// it away under it.
    ti: Option<TargetPtr>,
    heard: bool,
}

/// A target's address, to be handed between threads.
struct TargetPtr(NonNull<bindings::dm_target>);

// SAFETY: The functions called with it may be called by any thread.
unsafe impl Send for TargetPtr {}

impl Events {
    /// # Safety
    ///
    /// `ti` is valid until [`Events::silence`] is called.
    unsafe fn new(ti: NonNull<bindings::dm_target>) -> Result<Arc<Self>> {
        // SAFETY: The target is valid, hence its table, device and disk are.
        let name = unsafe {
            let disk = bindings::dm_disk(bindings::dm_table_get_md((*ti.as_ptr()).table));
            DevT(((*disk).major as u32) << 20 | (*disk).first_minor as u32)
        };
        let voice = Voice {
            ti: Some(TargetPtr(ti)),
            heard: false,
        };
        Arc::pin_init(
            pin_init!(Self { voice <- new_mutex!(voice, "Events::voice"), name }),
            GFP_KERNEL,
        )
    }

    fn silence(&self) {
        self.voice.lock().ti = None;
    }

    /// From `resume` to `postsuspend`. Device mapper forgets, and leaks, what is told later.
    fn set_heard(&self, heard: bool) {
        self.voice.lock().heard = heard;
    }

    /// The device's number.
    pub(crate) fn device(&self) -> DevT {
        self.name
    }

    /// Sends a uevent of a path, named by its device number, with the number of paths now in use;
    /// and wakes who waits for an event of the device (`dmsetup wait`). Says whether that was heard
    /// by anybody. May sleep, but not for I/O: a suspend waits for it.
    pub(crate) fn path_event(&self, event: PathEvent, path: DevT, in_use: u32) -> bool {
        let _noio = NoIo::new();
        let Ok(name) = kernel::str::CString::try_from_fmt(fmt!("{}", path)) else {
            return false;
        };
        let kind = match event {
            PathEvent::Failed => bindings::dm_uevent_type_DM_UEVENT_PATH_FAILED,
            PathEvent::Reinstated => bindings::dm_uevent_type_DM_UEVENT_PATH_REINSTATED,
        };
        let voice = self.voice.lock();
        match &voice.ti {
            Some(TargetPtr(ti)) if voice.heard => {
                // SAFETY: The target is valid as long as the lock is held and it is there, and so
                // is its table. The callee copies the name.
                unsafe {
                    bindings::dm_path_uevent(kind, ti.as_ptr(), name.as_char_ptr(), in_use);
                    // It leaves with this.
                    bindings::dm_table_event(ti.as_ref().table);
                }
                true
            }
            _ => false,
        }
    }

    /// Calls `f` with the device's directory in sysfs, if the target is still there. May sleep.
    pub(crate) fn with_disk<R>(&self, f: impl FnOnce(&Kobject) -> R) -> Option<R> {
        let voice = self.voice.lock();
        let TargetPtr(ti) = voice.ti.as_ref()?;
        // SAFETY: The target is valid as long as the lock is held and it is there, and so is its
        // device's disk.
        Some(f(unsafe {
            let disk = bindings::dm_disk(bindings::dm_table_get_md(ti.as_ref().table));
            Kobject::from_raw(&raw mut (*(*disk).part0).bd_device.kobj)
        }))
    }
}
