// SPDX-License-Identifier: GPL-2.0-only

//! Network devices: their names, whether they have a link, and word of their changes.
//!
//! Only those of the initial network namespace count here; a device moved out of it is as if
//! unregistered.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    fmt,
    prelude::*,
    str::CStrExt,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        Arc,
    },
    types::Opaque,
};

/// A network device.
#[repr(transparent)]
pub(crate) struct NetDevice(Opaque<bindings::net_device>);

// SAFETY: What is done here with a device may be done from any thread.
unsafe impl Send for NetDevice {}
// SAFETY: As above, also at the same time.
unsafe impl Sync for NetDevice {}

// SAFETY: `dev_hold` and `dev_put` count references; a device is freed only when there are none.
unsafe impl AlwaysRefCounted for NetDevice {
    fn inc_ref(&self) {
        // SAFETY: A shared reference exists, so the device is valid.
        unsafe { bindings::dm_bond_netdev_hold(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference that it owns.
        unsafe { bindings::dm_bond_netdev_put(obj.as_ptr().cast()) };
    }
}

impl NetDevice {
    /// Finds the device of this name. May sleep.
    pub(crate) fn by_name(name: &CStr) -> Option<ARef<Self>> {
        // SAFETY: The initial namespace is always there, and the name is a string.
        let dev =
            unsafe { bindings::dev_get_by_name(&raw mut bindings::init_net, name.as_char_ptr()) };
        // SAFETY: The callee took a reference for us; `Self` is transparent.
        NonNull::new(dev.cast::<Self>()).map(|dev| unsafe { ARef::from_raw(dev) })
    }

    /// Whether the device is administratively up and has its carrier, at this moment. Any context.
    ///
    /// This is ahead of the notifications: a carrier's change is told up to a second late.
    pub(crate) fn has_link(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::dm_bond_netdev_link(self.0.get()) }
    }

    /// The device's present name, which may be another one soon. May sleep.
    pub(crate) fn present_name(&self) -> Name {
        let mut name = [0u8; Name::SIZE];
        // SAFETY: The device is valid, and the place has the size of a name, which the callee ends.
        unsafe { bindings::dm_bond_netdev_copy_name(self.0.get(), name.as_mut_ptr().cast()) };
        Name(name)
    }

    /// Whether this is the same device as the other.
    pub(crate) fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

/// The name of a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name([u8; Self::SIZE]);

impl Name {
    /// `IFNAMSIZ`, the NUL included.
    pub(crate) const SIZE: usize = 16;

    /// Takes a name; `EINVAL` if it is too long to be one.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        let mut bytes = [0; Self::SIZE];
        let name = name.to_bytes();
        bytes[..Self::SIZE - 1]
            .get_mut(..name.len())
            .ok_or(EINVAL)?
            .copy_from_slice(name);
        Ok(Self(bytes))
    }

    /// The name as a string.
    pub(crate) fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }

    /// Writes the name; what is not UTF-8 in it as `?`.
    pub(crate) fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for chunk in self.as_cstr().to_bytes().utf8_chunks() {
            out.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                out.write_str("?")?;
            }
        }
        Ok(())
    }
}

/// A device during a notification, when the RTNL is held and its name stands still.
pub(crate) struct Notified<'a>(&'a NetDevice);

impl Notified<'_> {
    /// The name.
    pub(crate) fn name(&self) -> Name {
        // SAFETY: The name of a valid device is a string; it only changes under the RTNL.
        let name = unsafe { CStr::from_char_ptr(bindings::dm_bond_netdev_name(self.0 .0.get())) };
        // It never is too long.
        Name::new(name).unwrap_or(Name([0; Name::SIZE]))
    }
}

impl core::ops::Deref for Notified<'_> {
    type Target = NetDevice;

    fn deref(&self) -> &NetDevice {
        self.0
    }
}

/// A place for a device that is looked at by anybody at any time.
pub(crate) type Slot = super::rcu::Slot<ARef<NetDevice>>;

/// What happened to a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It appeared, or came into this namespace.
    Registered,
    /// It is about to go away, or to leave this namespace.
    Unregistered,
    /// It has another name.
    Renamed,
    /// It is going administratively down, or is so.
    Down,
    /// Something else of it changed: up, carrier.
    Changed,
}

/// Whoever wants to know of network devices.
pub(crate) trait Watcher: Send + Sync + 'static {
    /// Called under the RTNL, so one event at a time. May sleep, but for no I/O.
    fn event(&self, dev: &Notified<'_>, event: Event);
}

/// A registered watcher.
///
/// # Invariants
///
/// `block` is registered as long as this lives.
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct Watch<W: Watcher> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    watcher: Arc<W>,
}

// SAFETY: The C block is only used by the notifier chain, under its own lock; the watcher is `Send`
// and `Sync`.
unsafe impl<W: Watcher> Send for Watch<W> {}
// SAFETY: As above.
unsafe impl<W: Watcher> Sync for Watch<W> {}

impl<W: Watcher> Watch<W> {
    /// Starts to watch. The devices that are there are told as registered, and as changed if they
    /// are up. May sleep; takes the RTNL.
    pub(crate) fn new(watcher: Arc<W>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            watcher,
            block <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                // SAFETY: The slot is valid for writing. The watcher was initialised first, so the
                // callback may come.
                to_result(unsafe {
                    slot.write(bindings::notifier_block {
                        notifier_call: Some(Self::call),
                        ..Default::default()
                    });
                    bindings::register_netdevice_notifier_net(&raw mut bindings::init_net, slot)
                })
            }),
        })
    }

    /// # Safety
    ///
    /// Called by the notifier chain with the block of a `Watch<W>`.
    unsafe extern "C" fn call(
        block: *mut bindings::notifier_block,
        event: c_ulong,
        info: *mut c_void,
    ) -> c_int {
        // SAFETY: The block is the first field of a watch that lives while the block is registered.
        let watch = unsafe { &*block.cast::<Self>() };
        // SAFETY: The chain's info is of a device that is valid during the call.
        let dev = Notified(unsafe { &*bindings::dm_bond_netdev_of(info).cast() });
        watch.watcher.event(
            &dev,
            match event as bindings::netdev_cmd {
                bindings::netdev_cmd_NETDEV_REGISTER => Event::Registered,
                bindings::netdev_cmd_NETDEV_UNREGISTER => Event::Unregistered,
                bindings::netdev_cmd_NETDEV_CHANGENAME => Event::Renamed,
                bindings::netdev_cmd_NETDEV_GOING_DOWN | bindings::netdev_cmd_NETDEV_DOWN => {
                    Event::Down
                }
                bindings::netdev_cmd_NETDEV_UP | bindings::netdev_cmd_NETDEV_CHANGE => {
                    Event::Changed
                }
                _ => return 0, // NOTIFY_DONE
            },
        );
        1 // NOTIFY_OK
    }
}

/// Stops watching. Takes the RTNL. The chain tells the watcher once more that every device goes
/// down and away, though none does.
#[pinned_drop]
impl<W: Watcher> PinnedDrop for Watch<W> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe {
            bindings::unregister_netdevice_notifier_net(
                &raw mut bindings::init_net,
                self.block.get(),
            )
        };
    }
}
