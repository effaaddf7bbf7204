// SPDX-License-Identifier: GPL-2.0-only

//! Miniports, as they see themselves: the Rust face of `dm_bond.h`, for modules of their own.
//!
//! C header: `rust/miniport/dm_bond.h`

use crate::bindings;
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    error::{from_result, to_result},
    new_spinlock_irq,
    prelude::*,
    sync::{Arc, SpinLockIrq},
    types::Opaque,
};

/// A miniport, bound to one path.
pub(crate) trait Miniport: Send + Sync + 'static {
    /// What it is called.
    const NAME: &'static CStr;

    /// Binds to a path, or declines with `ENODEV`. May sleep. Must not send I/O to the device.
    fn bind(device: &Lower<'_>, path: Arc<BondPath>) -> Result<Arc<Self>>;
    /// Ends all that the miniport does by itself. The path hears nothing of it any more. May sleep.
    fn unbind(this: &Arc<Self>);
    /// The name of the network device, `ENODATA` if it is not known. May sleep.
    fn netdev(&self) -> Result<&[u8]>;
    /// The address that the path leads to, `ENODATA` if there is none. May sleep.
    fn dest(&self) -> Result<&[u8]>;
    /// Makes the driver below give back all pending commands; `EBUSY` to be asked again. May sleep.
    fn abort(&self) -> Result;
    /// Makes the session anew, whose link was lost and is back. May sleep.
    fn renew(&self) -> Result {
        Ok(())
    }
}

/// The block device that a miniport is asked to bind to, during that.
pub(crate) struct Lower<'a>(NonNull<bindings::block_device>, PhantomData<&'a ()>);

impl Lower<'_> {
    /// The device, valid as long as `self` is.
    pub(super) fn as_ptr(&self) -> *mut bindings::block_device {
        self.0.as_ptr()
    }
}

/// A path that a miniport is bound to, to speak of it. Once it is unbound nobody listens.
#[pin_data]
pub(crate) struct BondPath {
    /// The handle, until the miniport is unbound; whoever uses it holds the lock.
    #[pin]
    handle: SpinLockIrq<Option<Handle>>,
}

struct Handle(NonNull<bindings::dm_bond_path>);

// SAFETY: dm-bond takes calls with a handle from any thread.
unsafe impl Send for Handle {}

impl BondPath {
    /// The path has failed. Any context.
    pub(crate) fn failed(&self) {
        if let Some(Handle(path)) = &*self.handle.lock() {
            // SAFETY: The handle is valid until the miniport is unbound, which waits for the lock.
            unsafe { bindings::dm_bond_path_failed(path.as_ptr(), 0, core::ptr::null_mut()) };
        }
    }

    /// The path works again. Any context.
    pub(crate) fn restored(&self) {
        if let Some(Handle(path)) = &*self.handle.lock() {
            // SAFETY: The handle is valid until the miniport is unbound, which waits for the lock.
            unsafe { bindings::dm_bond_path_restored(path.as_ptr(), 0, core::ptr::null_mut()) };
        }
    }
}

/// What a miniport's `data` points to.
struct Bound<M: Miniport> {
    miniport: Arc<M>,
    path: Arc<BondPath>,
}

/// A miniport that dm-bond knows.
///
/// # Invariants
///
/// The struct is registered as long as this lives.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<M: Miniport> {
    #[pin]
    ops: Opaque<bindings::dm_bond_miniport>,
    _miniport: PhantomData<fn() -> M>,
}

// SAFETY: The struct is never written to once it is registered.
unsafe impl<M: Miniport> Send for Registration<M> {}
// SAFETY: As above.
unsafe impl<M: Miniport> Sync for Registration<M> {}

impl<M: Miniport> Registration<M> {
    /// Registers the miniport. May sleep.
    pub(crate) fn new(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ops <- Opaque::try_ffi_init(|slot: *mut bindings::dm_bond_miniport| {
                // SAFETY: The slot is valid for writing, and stays where it is. The functions are
                // ones for data of this type. It is unregistered by the drop.
                to_result(unsafe {
                    slot.write(bindings::dm_bond_miniport {
                        version: bindings::DM_BOND_MINIPORT_VERSION,
                        name: M::NAME.as_char_ptr(),
                        owner: module.as_ptr(),
                        bind: Some(Self::bind),
                        unbind: Some(Self::unbind),
                        netdev: Some(Self::netdev),
                        dest: Some(Self::dest),
                        abort: Some(Self::abort),
                        renew: Some(Self::renew),
                        // Those who have such adapters are written in C.
                        set_role: None,
                        choose: None,
                    });
                    bindings::dm_bond_register_miniport(slot)
                })
            }),
            _miniport: PhantomData,
        })
    }

    /// # Safety
    ///
    /// `data` is what [`Self::bind`] gave, and [`Self::unbind`] has not been called with it.
    unsafe fn bound<'a>(data: *mut c_void) -> &'a Bound<M> {
        // SAFETY: By this function's contract.
        unsafe { &*data.cast::<Bound<M>>() }
    }

    /// # Safety
    ///
    /// Called by dm-bond with a device and a path, valid as the header says.
    unsafe extern "C" fn bind(
        bdev: *mut bindings::block_device,
        path: *mut bindings::dm_bond_path,
        data: *mut *mut c_void,
    ) -> c_int {
        from_result(|| {
            let bdev = NonNull::new(bdev).ok_or(EINVAL)?;
            let handle = NonNull::new(path).map(Handle);
            let path = Arc::pin_init(
                pin_init!(BondPath { handle <- new_spinlock_irq!(handle, "BondPath::handle") }),
                GFP_KERNEL,
            )?;
            let place = KBox::<Bound<M>>::new_uninit(GFP_KERNEL)?;
            let result = M::bind(&Lower(bdev, PhantomData), path.clone());
            let miniport = result.inspect_err(|_| {
                // Nobody may use the handle after a failure.
                let _ = path.handle.lock().take();
            })?;
            let bound = KBox::write(place, Bound { miniport, path });
            // SAFETY: `data` is the caller's variable.
            unsafe { *data = KBox::into_raw(bound).cast() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by dm-bond with what [`Self::bind`] gave, for the last time.
    unsafe extern "C" fn unbind(data: *mut c_void) {
        // SAFETY: `bind` made it by `KBox::into_raw`, and nothing comes after this.
        let bound = unsafe { KBox::from_raw(data.cast::<Bound<M>>()) };
        let _ = bound.path.handle.lock().take();
        M::unbind(&bound.miniport);
    }

    /// # Safety
    ///
    /// Called by dm-bond with what [`Self::bind`] gave, and a buffer of `IFNAMSIZ` bytes.
    unsafe extern "C" fn netdev(data: *mut c_void, name: *mut c_char) -> c_int {
        // SAFETY: As said above.
        unsafe {
            Self::answer(
                Self::bound(data).miniport.netdev(),
                name,
                bindings::IFNAMSIZ,
            )
        }
    }

    /// # Safety
    ///
    /// Called by dm-bond with what [`Self::bind`] gave, and a buffer of `DM_BOND_DEST_SIZE` bytes.
    unsafe extern "C" fn dest(data: *mut c_void, text: *mut c_char) -> c_int {
        // SAFETY: As said above.
        unsafe {
            let size = bindings::DM_BOND_DEST_SIZE;
            Self::answer(Self::bound(data).miniport.dest(), text, size)
        }
    }

    /// Copies a text with a NUL after it.
    ///
    /// # Safety
    ///
    /// `to` is valid for writing `size` bytes.
    unsafe fn answer(text: Result<&[u8]>, to: *mut c_char, size: u32) -> c_int {
        match text {
            Ok(text) if text.len() < size as usize => {
                // SAFETY: The text and the NUL fit.
                unsafe {
                    core::ptr::copy_nonoverlapping(text.as_ptr(), to.cast(), text.len());
                    to.add(text.len()).write(0);
                }
                0
            }
            Ok(_) => ENODATA.to_errno(),
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Called by dm-bond with what [`Self::bind`] gave.
    unsafe extern "C" fn abort(data: *mut c_void) -> c_int {
        // SAFETY: As said above.
        match unsafe { Self::bound(data) }.miniport.abort() {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Called by dm-bond with what [`Self::bind`] gave.
    unsafe extern "C" fn renew(data: *mut c_void) -> c_int {
        // SAFETY: As said above.
        match unsafe { Self::bound(data) }.miniport.renew() {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }
}

#[pinned_drop]
impl<M: Miniport> PinnedDrop for Registration<M> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::dm_bond_unregister_miniport(self.ops.get()) };
    }
}
