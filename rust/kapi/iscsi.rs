// SPDX-License-Identifier: GPL-2.0-only

//! SCSI disks over iSCSI sessions that libiscsi runs; `iscsi_tcp` and others are drivers of that
//! kind.
//!
//! C headers: [`include/scsi/libiscsi.h`](srctree/include/scsi/libiscsi.h),
//! [`include/scsi/scsi_transport_iscsi.h`](srctree/include/scsi/scsi_transport_iscsi.h),
//! [`include/scsi/scsi_device.h`](srctree/include/scsi/scsi_device.h)

use super::port::Lower;
use crate::bindings;
use core::{net::IpAddr, ptr::NonNull};
use kernel::{error::to_result, page::PAGE_SIZE, prelude::*, str::CStrExt, sync::rcu};

/// A disk.
///
/// # Invariants
///
/// The pointer is a SCSI device whose commands are queued by `iscsi_queuecommand`, and the session
/// is its target's. A reference to the device is ours. It holds its target, that its session, and
/// that its host, each until it is released itself, so their memory is valid, whatever is left of
/// the session.
pub(crate) struct Disk {
    device: NonNull<bindings::scsi_device>,
    session: NonNull<bindings::iscsi_session>,
}

// SAFETY: A SCSI device and a session may be used by any thread.
unsafe impl Send for Disk {}
// SAFETY: As above, also at the same time: what is done here is done under their own locks.
unsafe impl Sync for Disk {}

impl Disk {
    /// The disk that a block device is, or is on; `ENODEV` if that is none over a session of
    /// libiscsi's.
    pub(crate) fn of(lower: &Lower<'_>) -> Result<Self> {
        // SAFETY: The block device is open, so its disk is valid, and that holds its parent.
        let device = unsafe { bindings::dm_bond_iscsi_disk(lower.as_ptr()) };
        let device = NonNull::new(device).ok_or(ENODEV)?;
        // SAFETY: A SCSI device has a host for life.
        if !unsafe { bindings::dm_bond_iscsi_owns(device.as_ptr()) } {
            return Err(ENODEV);
        }
        // SAFETY: What `iscsi_queuecommand` is given is a device whose target's parent is a
        // session, and libiscsi's own is in that. The device is valid, so a reference may be taken.
        let session = unsafe {
            bindings::dm_bond_iscsi_get(device.as_ptr());
            NonNull::new_unchecked(bindings::dm_bond_iscsi_session(device.as_ptr()))
        };
        // INVARIANT: As just seen.
        Ok(Self { device, session })
    }

    /// Whether the session is logged in. Any context.
    pub(crate) fn is_logged_in(&self) -> bool {
        // SAFETY: The device is valid and over a session, by the type invariant.
        unsafe { bindings::dm_bond_iscsi_logged_in(self.device.as_ptr()) }
    }

    /// Fails the session's connection, as if the driver had found it broken: all commands come back
    /// to the SCSI layer, which keeps those of blocked disks, and `iscsid` is told to log in again.
    /// Not in hard interrupts.
    pub(crate) fn fail_session(&self) {
        // SAFETY: The session's memory is valid by the type invariant; of one without a connection,
        // as it is before and after its life, the callee touches nothing.
        unsafe { bindings::dm_bond_iscsi_fail(self.session.as_ptr()) };
    }

    /// If the disk is blocked, waiting for its session to be logged in again, lets its commands
    /// fail instead, until it is: just what becomes of all of the session's disks when the
    /// replacement timeout is over. May sleep, but not for I/O or memory.
    pub(crate) fn give_back(&self) {
        let device = self.device.as_ptr();
        // SAFETY: The device is valid. Whoever blocks or unblocks it holds this lock, so while it
        // is held a device in that state is one that was blocked wholly. If the session comes back
        // meanwhile it sets its disks running after that, whether blocked or offline.
        unsafe {
            bindings::dm_bond_iscsi_lock_state(device);
            if bindings::dm_bond_iscsi_is_blocked(device) && !self.is_logged_in() {
                // It does not fail in this state.
                bindings::dm_bond_iscsi_unblock(device);
            }
            bindings::dm_bond_iscsi_unlock_state(device);
        }
    }

    /// The name of the network device that the session is bound to; else of the one that has the
    /// address that it comes from; `ENODATA` if neither is known. May sleep.
    pub(crate) fn netdev(&self) -> Result<KVec<u8>> {
        let bound = self.read_string(|_| {
            // SAFETY: The device is valid, and its host is libiscsi's.
            unsafe { bindings::dm_bond_iscsi_netdev(self.device.as_ptr()) }
        });
        match bound {
            // These are `iscsid`'s words for none.
            Ok(name) if !matches!(&name[..], b"" | b"default") => Ok(name),
            _ => device_of(&self.ask(bindings::dm_bond_iscsi_source)?),
        }
    }

    /// The address that the session is connected to; else what it was told to connect to, which may
    /// be a name; `ENODATA` if neither is known. May sleep.
    pub(crate) fn dest(&self) -> Result<KVec<u8>> {
        self.ask(bindings::dm_bond_iscsi_peer).or_else(|_| {
            self.read_string(|conn| {
                // SAFETY: The session is locked, so its connection is valid.
                unsafe { bindings::dm_bond_iscsi_portal(conn.as_ptr()) }
            })
        })
    }

    /// Copies a string of libiscsi's, up to the longest address; `ENODATA` if there is none.
    fn read_string(
        &self,
        string: impl FnOnce(NonNull<bindings::iscsi_conn>) -> *const c_char,
    ) -> Result<KVec<u8>> {
        let mut copy = KVec::with_capacity(bindings::DM_BOND_DEST_SIZE as usize, GFP_KERNEL)?;
        let locked = Locked::new(self);
        let string = string(locked.connection().ok_or(ENODATA)?);
        if string.is_null() {
            return Err(ENODATA);
        }
        // SAFETY: The strings are freed with the connection, or with the host after that, and the
        // lock keeps the connection. `iscsid` sets them while it logs in, for the first time before
        // there are disks; and to set one to what it is leaves it alone.
        for &byte in unsafe { CStr::from_char_ptr(string) }.to_bytes() {
            copy.push_within_capacity(byte).map_err(|_| ENODATA)?;
        }
        Ok(copy)
    }

    /// Asks the driver what it would show in sysfs, without the newline.
    fn ask(
        &self,
        what: unsafe extern "C" fn(*mut bindings::iscsi_conn, *mut c_char) -> c_int,
    ) -> Result<KVec<u8>> {
        // `kmalloc` aligns what is as large as a page to it.
        let mut page = KVec::from_elem(0u8, PAGE_SIZE, GFP_KERNEL)?;
        let locked = Locked::new(self);
        let conn = locked.connection().ok_or(ENODATA)?;
        // SAFETY: The lock keeps the connection meanwhile.
        unsafe { bindings::dm_bond_iscsi_get_conn(conn.as_ptr()) };
        drop(locked);
        // SAFETY: The reference, ours, is given up after the call. libiscsi's drivers all have the
        // functions behind `what`, which find out for themselves whether the connection is down;
        // the block device is open, so the driver stays loaded.
        let len = unsafe {
            let len = what(conn.as_ptr(), page.as_mut_ptr().cast());
            bindings::dm_bond_iscsi_put_conn(conn.as_ptr());
            len
        };
        to_result(len.min(0))?;
        page.truncate(page[..len as usize].trim_ascii_end().len());
        Ok(page)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::dm_bond_iscsi_put(self.device.as_ptr()) };
    }
}

/// The lock under which a session gets its connection, and loses it before that is freed.
struct Locked<'a>(&'a Disk);

impl<'a> Locked<'a> {
    fn new(disk: &'a Disk) -> Self {
        // SAFETY: The session's memory is valid by the type invariant.
        unsafe { bindings::dm_bond_iscsi_lock(disk.session.as_ptr()) };
        Self(disk)
    }

    /// The session's connection, valid as long as this lives.
    fn connection(&self) -> Option<NonNull<bindings::iscsi_conn>> {
        // SAFETY: As in `new`, and the lock is held.
        NonNull::new(unsafe { bindings::dm_bond_iscsi_conn(self.0.session.as_ptr()) })
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: `new` locked it.
        unsafe { bindings::dm_bond_iscsi_unlock(self.0.session.as_ptr()) };
    }
}

/// The name of the network device that has this address; `ENODATA` if none has. May sleep.
fn device_of(address: &[u8]) -> Result<KVec<u8>> {
    let address = core::str::from_utf8(address).map_err(|_| ENODATA)?;
    let mut copy = KVec::with_capacity(bindings::IFNAMSIZ as usize, GFP_KERNEL)?;
    let _guard = rcu::read_lock();
    // SAFETY: The addresses are in the network's byte order. What is found is valid as long as the
    // RCU lock is held.
    let device = unsafe {
        match address.parse().map_err(|_| ENODATA)? {
            IpAddr::V4(ip) => bindings::dm_bond_iscsi_netdev_ip4(u32::from_ne_bytes(ip.octets())),
            IpAddr::V6(ip) => {
                let mut address = bindings::in6_addr::default();
                address.in6_u.u6_addr8 = ip.octets();
                bindings::dm_bond_iscsi_netdev_ip6(&address)
            }
        }
    };
    if device.is_null() {
        return Err(ENODATA);
    }
    // SAFETY: The device is valid. Its name may change meanwhile, and is copied while it does, but
    // always ends.
    let name = unsafe { CStr::from_char_ptr(bindings::dm_bond_iscsi_netdev_name(device)) };
    for &byte in name.to_bytes() {
        copy.push_within_capacity(byte).map_err(|_| ENODATA)?;
    }
    Ok(copy)
}
