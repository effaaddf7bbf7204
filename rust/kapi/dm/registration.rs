// SPDX-License-Identifier: GPL-2.0-only

//! How device mapper calls a target.

use super::{bios::PerBio, Args, Completed, Events, Incoming, Member, Refusal, Table, Target};
use crate::{
    bindings,
    kapi::{bio::Status, mm::NoIo, text::Cut},
};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    error::{from_result, to_result},
    fmt,
    prelude::*,
    sync::Arc,
    types::Opaque,
};

/// What `dm_target::private` points to.
pub(super) struct Private<T: Target> {
    target: Arc<T>,
    events: Arc<Events>,
    devices: KVec<Member>,
    ti: NonNull<bindings::dm_target>,
}

impl<T: Target> Private<T> {
    /// The block device with this number, in the order in which they were opened, and whether its
    /// bios are to fail fast.
    pub(super) fn device(&self, number: usize) -> Option<(NonNull<bindings::block_device>, bool)> {
        let member = self.devices.get(number)?;
        // SAFETY: The devices are put in the destructor only, and are valid until then.
        let bdev = NonNull::new(unsafe { (*member.dev.as_ptr()).bdev })?;
        Some((bdev, member.failfast))
    }

    /// Whether a suspend without flush is under way, in which bios can be given back.
    pub(super) fn takes_back(&self) -> bool {
        // SAFETY: The target is valid until the end of the destructor.
        unsafe { bindings::dm_noflush_suspending(self.ti.as_ptr()) != 0 }
    }
}

/// A target type that device mapper knows.
///
/// # Invariants
///
/// `target_type` is registered, as long as this lives; it is what every `dm_target::type` of this
/// kind points to.
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct Registration<T: Target> {
    #[pin]
    target_type: Opaque<bindings::target_type>,
    context: Arc<T::Context>,
}

// SAFETY: The C type is only used by device mapper, under its own lock; the context is `Send` and
// `Sync`.
unsafe impl<T: Target> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: Target> Sync for Registration<T> {}

impl<T: Target> Registration<T> {
    /// Registers the target. May sleep.
    ///
    /// To be part of the module's own state, which is dropped only when no target is left (each
    /// holds a reference to the module), and to be the last in it to be made: from then on targets
    /// come, which a failed module init would not wait for.
    pub(crate) fn new(
        context: Arc<T::Context>,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            context,
            target_type <- Opaque::try_ffi_init(|slot: *mut bindings::target_type| {
                // SAFETY: The slot is valid for writing; the functions are ones for targets of this
                // type. Nothing is registered if the callee fails. No target can be made before the
                // callee returns without the context being there, for it was initialised first.
                to_result(unsafe {
                    slot.write(Vtable::<T>::target_type(module));
                    bindings::dm_register_target(slot)
                })
            }),
        })
    }
}

#[pinned_drop]
impl<T: Target> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant. Each target holds a reference to the module, so
        // there is none now.
        unsafe { bindings::dm_unregister_target(self.target_type.get()) };
    }
}

/// The functions that device mapper calls for targets of type `T`.
struct Vtable<T: Target>(PhantomData<T>);

impl<T: Target> Vtable<T> {
    fn target_type(module: &'static ThisModule) -> bindings::target_type {
        // Device mapper aligns per-bio data like a `struct dm_target_io`.
        const { assert!(align_of::<PerBio<T>>() <= align_of::<u64>()) };
        bindings::target_type {
            features: T::FEATURES.into(),
            name: T::NAME.as_char_ptr(),
            module: module.as_ptr(),
            version: T::VERSION,
            ctr: Some(Self::ctr),
            dtr: Some(Self::dtr),
            map: Some(Self::map),
            end_io: Some(Self::end_io),
            presuspend: Some(Self::presuspend),
            presuspend_undo: Some(Self::presuspend_undo),
            postsuspend: Some(Self::postsuspend),
            resume: Some(Self::resume),
            status: Some(Self::status),
            message: Some(Self::message),
            prepare_ioctl: Some(Self::prepare_ioctl),
            iterate_devices: Some(Self::iterate_devices),
            ..bindings::target_type::default()
        }
    }

    /// # Safety
    ///
    /// `ti` is a target for which [`Self::ctr`] succeeded and [`Self::dtr`] has not ended.
    unsafe fn private<'a>(ti: *mut bindings::dm_target) -> &'a Private<T> {
        // SAFETY: `ctr` put it there, `dtr` has not taken it yet.
        unsafe { &*(*ti).private.cast::<Private<T>>() }
    }

    /// # Safety
    ///
    /// Called by device mapper with a new target of this type and its arguments.
    unsafe extern "C" fn ctr(
        ti: *mut bindings::dm_target,
        argc: c_uint,
        argv: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: The type is that of a registration, whose first field it is.
        let registration = unsafe { &*(*ti).type_.cast::<Registration<T>>() };
        // SAFETY: The arguments are as this function's.
        let args = unsafe { Args::from_raw(argc, argv) };
        // SAFETY: `ti` is not null.
        let ti = unsafe { NonNull::new_unchecked(ti) };

        match Self::make(registration, ti, args) {
            Ok(private) => {
                // SAFETY: The target is ours until this returns.
                unsafe {
                    let ti = &mut *ti.as_ptr();
                    ti.private = KBox::into_raw(private).cast();
                    ti.per_io_data_size = size_of::<PerBio<T>>() as u32;
                    ti.num_flush_bios = 1;
                    ti.num_discard_bios = 1;
                    ti.num_secure_erase_bios = 1;
                    ti.num_write_zeroes_bios = 1;
                    // A bio that is kept counts as begun when it is sent: `Owned::submit` says so.
                    ti.set_accounts_remapped_io(true);
                }
                0
            }
            Err(refusal) => {
                // SAFETY: The target is ours until this returns; the string is static and is not
                // written to.
                unsafe { (*ti.as_ptr()).error = refusal.reason.as_char_ptr().cast_mut() };
                refusal.errno.to_errno()
            }
        }
    }

    fn make(
        registration: &Registration<T>,
        ti: NonNull<bindings::dm_target>,
        args: Args<'_>,
    ) -> Result<KBox<Private<T>>, Refusal> {
        // SAFETY: Silenced below or in the destructor, while `ti` is valid.
        let events = unsafe { Events::new(ti) }?;
        let mut table = Table {
            ti,
            devices: KVec::new(),
            events: events.clone(),
            _ti: PhantomData,
        };
        let made = KBox::<Private<T>>::new_uninit(GFP_KERNEL)
            .map_err(Refusal::from)
            .and_then(|place| Ok((place, T::ctr(&registration.context, &mut table, args)?)));
        match made {
            Ok((place, target)) => Ok(KBox::write(
                place,
                Private {
                    target,
                    events,
                    devices: table.devices,
                    ti,
                },
            )),
            Err(refusal) => {
                events.silence();
                Self::put_devices(ti, table.devices);
                Err(refusal)
            }
        }
    }

    fn put_devices(ti: NonNull<bindings::dm_target>, devices: KVec<Member>) {
        for Member { dev, .. } in devices {
            // SAFETY: Got by `Table::get_device` for this target, and put only once.
            unsafe { bindings::dm_put_device(ti.as_ptr(), dev.as_ptr()) };
        }
    }

    /// # Safety
    ///
    /// Called by device mapper as the last function of a target, with no bio outstanding.
    unsafe extern "C" fn dtr(ti: *mut bindings::dm_target) {
        // SAFETY: `ctr` put it there by `KBox::into_raw`, and nothing comes after this.
        let private = unsafe { KBox::from_raw((*ti).private.cast::<Private<T>>()) };
        T::dtr(&private.target);
        let Private {
            target,
            events,
            devices,
            ..
        } = KBox::into_inner(private);
        events.silence();
        // The devices' last references are put by device mapper, not by whatever the target has of
        // them.
        drop(target);
        // SAFETY: `ti` is not null.
        Self::put_devices(unsafe { NonNull::new_unchecked(ti) }, devices);
    }

    /// # Safety
    ///
    /// Called by device mapper with a live target and a clone made for it.
    unsafe extern "C" fn map(ti: *mut bindings::dm_target, bio: *mut bindings::bio) -> c_int {
        // SAFETY: The target is live, as it has a bio; the bio is given up as its result says.
        unsafe {
            let private = NonNull::new_unchecked((*ti).private.cast::<Private<T>>());
            let bio = Incoming::new(NonNull::new_unchecked(bio), private);
            T::map(&private.as_ref().target, bio).0 as c_int
        }
    }

    /// # Safety
    ///
    /// Called by device mapper with a live target and a bio that was mapped by it.
    unsafe extern "C" fn end_io(
        ti: *mut bindings::dm_target,
        bio: *mut bindings::bio,
        status: *mut bindings::blk_status_t,
    ) -> c_int {
        // SAFETY: The target is live, as it has a bio; the bio is given up as its result says.
        unsafe {
            let bio = Completed::new(NonNull::new_unchecked(bio), Status(*status));
            let ended = T::end_io(&Self::private(ti).target, bio);
            *status = ended.1 .0;
            ended.0 as c_int
        }
    }

    /// # Safety
    ///
    /// Called by device mapper with a live target, as are the three that follow.
    unsafe extern "C" fn presuspend(ti: *mut bindings::dm_target) {
        // SAFETY: The target is live.
        let (private, noflush) =
            unsafe { (Self::private(ti), bindings::dm_noflush_suspending(ti) != 0) };
        T::presuspend(&private.target, noflush);
    }

    /// # Safety
    ///
    /// As for `presuspend`.
    unsafe extern "C" fn presuspend_undo(ti: *mut bindings::dm_target) {
        // SAFETY: The target is live.
        T::presuspend_undo(&unsafe { Self::private(ti) }.target);
    }

    /// # Safety
    ///
    /// As for `presuspend`.
    unsafe extern "C" fn postsuspend(ti: *mut bindings::dm_target) {
        // SAFETY: The target is live.
        unsafe { Self::private(ti) }.events.set_heard(false);
    }

    /// # Safety
    ///
    /// As for `presuspend`.
    unsafe extern "C" fn resume(ti: *mut bindings::dm_target) {
        // What the target allocates must not wait for I/O to its own device, still suspended.
        let _noio = NoIo::new();
        // SAFETY: The target is live.
        let private = unsafe { Self::private(ti) };
        private.events.set_heard(true);
        T::resume(&private.target);
    }

    /// # Safety
    ///
    /// Called by device mapper with a live target and a buffer of `maxlen` bytes.
    unsafe extern "C" fn status(
        ti: *mut bindings::dm_target,
        kind: bindings::status_type_t,
        _flags: c_uint,
        result: *mut c_char,
        maxlen: c_uint,
    ) {
        // SAFETY: The target is live.
        let private = unsafe { Self::private(ti) };
        // SAFETY: The caller's buffer is of that size, and initialised memory.
        let buffer =
            unsafe { core::slice::from_raw_parts_mut(result.cast::<u8>(), maxlen as usize) };
        let Some((end, room)) = buffer.split_last_mut() else {
            return;
        };
        let mut out = Cut::new(room);
        // Nothing here fails: what does not fit is cut.
        let _ = match kind {
            bindings::status_type_t_STATUSTYPE_INFO => private.target.status(&mut out),
            bindings::status_type_t_STATUSTYPE_TABLE => private.target.table(&mut out),
            _ => Self::ima(&private.target, &mut out),
        };
        let used = out.used();
        *room.get_mut(used).unwrap_or(end) = 0;
    }

    /// The line for the integrity measurement: as every target's, `target_name=` and
    /// `target_version=` first.
    fn ima(target: &T, out: &mut dyn fmt::Write) -> fmt::Result {
        let [major, minor, patch] = T::VERSION;
        let name = T::NAME.to_str().unwrap_or_default();
        out.write_fmt(fmt!(
            "target_name={},target_version={}.{}.{},table=",
            name,
            major,
            minor,
            patch
        ))?;
        target.table(out)?;
        out.write_str(";")
    }

    /// # Safety
    ///
    /// Called by device mapper with a live target and the words of a message.
    unsafe extern "C" fn message(
        ti: *mut bindings::dm_target,
        argc: c_uint,
        argv: *mut *mut c_char,
        _result: *mut c_char,
        _maxlen: c_uint,
    ) -> c_int {
        // SAFETY: The target is live, and the words are as this function's.
        let (private, args) = unsafe { (Self::private(ti), Args::from_raw(argc, argv)) };
        from_result(|| {
            T::message(&private.target, args)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by device mapper with a live target, and a place for the device.
    unsafe extern "C" fn prepare_ioctl(
        ti: *mut bindings::dm_target,
        bdev: *mut *mut bindings::block_device,
        cmd: c_uint,
        _arg: c_ulong,
        forward: *mut bool,
    ) -> c_int {
        // SAFETY: The target is live.
        let private = unsafe { Self::private(ti) };
        from_result(|| {
            if (cmd >> 8) & 0xff == bindings::DM_IOCTL {
                // Of device mapper's own ioctls on a device we have none.
                // SAFETY: `forward` is the caller's variable.
                unsafe { *forward = false };
                return Err(ENOTTY);
            }
            let number = T::ioctl_device(&private.target)?;
            let (device, _) = private.device(number).ok_or(EIO)?;
            // SAFETY: `bdev` is the caller's variable; the device and the target are valid.
            unsafe {
                *bdev = device.as_ptr();
                // 1 asks for the right to talk to the whole device, for a table that shows less
                // than that.
                Ok(((*ti).len != (*device.as_ptr()).bd_nr_sectors).into())
            }
        })
    }

    /// # Safety
    ///
    /// Called by device mapper with a live target and a function to call for each device.
    unsafe extern "C" fn iterate_devices(
        ti: *mut bindings::dm_target,
        callout: bindings::iterate_devices_callout_fn,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: The target is live.
        let private = unsafe { Self::private(ti) };
        let Some(callout) = callout else { return 0 };
        for Member { dev, .. } in &private.devices {
            // SAFETY: The callee is device mapper's own, the devices are the target's.
            let result = unsafe { callout(ti, dev.as_ptr(), (*ti).begin, (*ti).len, data) };
            if result != 0 {
                return result;
            }
        }
        0
    }
}
