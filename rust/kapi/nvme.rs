// SPDX-License-Identifier: GPL-2.0-only

//! NVMe controllers, as far as the NVMe driver lets other modules know them: `nvme_reset_ctrl()` is
//! exported, and what the driver shows of a controller in sysfs can be asked for in the kernel too.
//! So nothing here depends on the layout of the driver's own structs.
//!
//! C source: `drivers/nvme/host/core.c`, `drivers/nvme/host/sysfs.c`

use super::port::Lower;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{error::to_result, page::PAGE_SIZE, prelude::*, str::CStrExt};

/// A controller.
///
/// # Invariants
///
/// The device is one of the driver's class `nvme`, and a reference to it is ours: so its driver data
/// is the controller, which is freed with the device. The page is one page, aligned as such.
pub(crate) struct Controller {
    device: NonNull<bindings::device>,
    page: KVec<u8>,
}

// SAFETY: A device may be used by any thread.
unsafe impl Send for Controller {}

impl Controller {
    /// The controller of a namespace's block device; `ENODEV` if it is none, or one that hides its
    /// controllers (native multipath). May sleep.
    pub(crate) fn of(lower: &Lower<'_>) -> Result<Self> {
        // `kmalloc` aligns what is as large as a page to it.
        let page = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        // SAFETY: The block device is open, so its disk is valid, and so are the disk's parent as
        // long as it is in sysfs, and the parent's class. A driver waits for its disk to be closed
        // or deletes it first; then there is no parent, or it is still referenced by the disk.
        let device = unsafe {
            let parent = (*(*(*lower.as_ptr()).bd_disk).part0).bd_device.parent;
            let parent = NonNull::new(parent).ok_or(ENODEV)?;
            let class = (*parent.as_ptr()).class;
            if class.is_null() || CStr::from_char_ptr((*class).name) != c"nvme" {
                return Err(ENODEV);
            }
            bindings::get_device(parent.as_ptr());
            parent
        };
        // INVARIANT: As just seen.
        Ok(Self { device, page })
    }

    /// What sysfs shows in this file of the controller's, without the newline. May sleep.
    pub(crate) fn attribute(&mut self, name: &CStr) -> Result<&[u8]> {
        let device = self.device.as_ptr();
        let attribute = self.find(name).ok_or(ENODATA)?;
        // SAFETY: The attribute is one of the device's, and those are all `device_attribute`s.
        let len = unsafe {
            let attribute = attribute.as_ptr().cast::<bindings::device_attribute>();
            let show = (*attribute).__bindgen_anon_1.show.ok_or(ENODATA)?;
            show(device, attribute, self.page.as_mut_ptr().cast())
        };
        to_result(len.min(0) as c_int)?;
        Ok(self.page.get(..len as usize).ok_or(EIO)?.trim_ascii_end())
    }

    /// Writes to this file of the controller's in sysfs. May sleep.
    pub(crate) fn set_attribute(&mut self, name: &CStr, text: &[u8]) -> Result {
        let device = self.device.as_ptr();
        let attribute = self.find(name).ok_or(ENODATA)?;
        // What is written ends with a NUL, as with sysfs.
        let (place, rest) = self.page.split_at_mut_checked(text.len()).ok_or(EINVAL)?;
        *rest.first_mut().ok_or(EINVAL)? = 0;
        place.copy_from_slice(text);
        // SAFETY: The attribute is one of the device's, and those are all `device_attribute`s.
        let done = unsafe {
            let attribute = attribute.as_ptr().cast::<bindings::device_attribute>();
            let store = (*attribute).__bindgen_anon_2.store.ok_or(EACCES)?;
            store(device, attribute, self.page.as_ptr().cast(), text.len())
        };
        to_result(done.min(0) as c_int)
    }

    fn find(&self, name: &CStr) -> Option<NonNull<bindings::attribute>> {
        let device = self.device.as_ptr();
        // SAFETY: A device's groups are an array that ends with null, and so are a group's
        // attributes; all of them are constants of the driver's.
        unsafe {
            let mut group = (*device).groups;
            while !group.is_null() && !(*group).is_null() {
                let mut attribute = (**group).__bindgen_anon_2.attrs;
                while !attribute.is_null() && !(*attribute).is_null() {
                    if CStr::from_char_ptr((**attribute).name) == name {
                        return NonNull::new(*attribute);
                    }
                    attribute = attribute.add(1);
                }
                group = group.add(1);
            }
        }
        None
    }

    /// Resets the controller, which gives back all its commands: `EBUSY` if it is not live. Returns
    /// at once. May sleep.
    pub(crate) fn reset(&self) -> Result {
        // SAFETY: The driver data of such a device is its controller.
        to_result(unsafe { bindings::nvme_reset_ctrl((*self.device.as_ptr()).driver_data.cast()) })
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::put_device(self.device.as_ptr()) };
    }
}
