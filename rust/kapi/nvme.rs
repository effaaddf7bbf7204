// SPDX-License-Identifier: GPL-2.0-only

//! NVMe controllers, as far as the NVMe driver lets other modules know them: what it shows of a
//! controller in sysfs can be asked for in the kernel too, and its commands can be called back by
//! the block layer's own means. So nothing here depends on the layout of the driver's structs.
//!
//! C source: `drivers/nvme/host/core.c`, `drivers/nvme/host/sysfs.c`, `block/blk-timeout.c`

use super::port::Lower;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{error::to_result, page::PAGE_SIZE, prelude::*, str::CStrExt};

/// A controller, and the queue of a namespace of its.
///
/// # Invariants
///
/// The device is one of the driver's class `nvme`; the queue is one of the driver's. A reference to
/// each is ours. The page is one page, aligned as such.
pub(crate) struct Controller {
    device: NonNull<bindings::device>,
    queue: NonNull<bindings::request_queue>,
    page: KVec<u8>,
}

// SAFETY: A device and a queue may be used by any thread.
unsafe impl Send for Controller {}

impl Controller {
    /// The controller of a namespace's block device; `ENODEV` if it is none, or one that hides its
    /// controllers (native multipath). May sleep.
    pub(crate) fn of(lower: &Lower<'_>) -> Result<Self> {
        // `kmalloc` aligns what is as large as a page to it.
        let page = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        let bdev = lower.as_ptr();
        // SAFETY: The block device is open, so its disk is valid.
        if !unsafe { bindings::dm_bond_nvme_owns(bdev) } {
            return Err(ENODEV);
        }
        // SAFETY: The disk is a namespace's of the NVMe driver. While it is open it holds its
        // namespace, that its controller (`nvme_ns_open`, `nvme_alloc_ns`), and the controller is
        // the parent of the disk's device. A controller has a class.
        let device = unsafe {
            let parent = (*(*(*bdev).bd_disk).part0).bd_device.parent;
            let parent = NonNull::new(parent).ok_or(ENODEV)?;
            let class = (*parent.as_ptr()).class;
            if class.is_null() || CStr::from_char_ptr((*class).name) != c"nvme" {
                return Err(ENODEV);
            }
            parent
        };
        // SAFETY: The queue of an open device is valid.
        let queue = unsafe {
            let queue = (*bdev).bd_queue;
            if !bindings::blk_get_queue(queue) {
                return Err(ENODEV);
            }
            bindings::get_device(device.as_ptr());
            NonNull::new_unchecked(queue)
        };
        // INVARIANT: As just seen.
        Ok(Self {
            device,
            queue,
            page,
        })
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

    /// Lets one command time out at once, if there is one. The driver then does what it does when a
    /// command times out: on fabrics it gives back all of them and connects again. May sleep.
    ///
    /// `EBUSY` if nothing is out in a queue that is frozen.
    pub(crate) fn time_out(&self) -> Result {
        let queue = self.queue.as_ptr();
        // SAFETY: The queue is valid by the type invariant.
        if !unsafe { bindings::dm_bond_nvme_queue_enter(queue) } {
            return Err(EBUSY);
        }
        // SAFETY: The queue is not taken down before it is left, nor then is its tag set. The
        // function is called while it goes through the tags.
        unsafe {
            bindings::blk_mq_tagset_busy_iter(
                (*queue).tag_set,
                Some(Self::time_out_one),
                core::ptr::null_mut(),
            );
            bindings::dm_bond_nvme_queue_exit(queue);
        }
        Ok(())
    }

    /// Lets the driver connect to the controller anew, which takes it a while; its state is no
    /// longer `live` when this returns. `EBUSY` if it cannot from the state that it is in.
    pub(crate) fn reset(&self) -> Result {
        // SAFETY: The device is valid by the type invariant; a controller's has it for driver data.
        to_result(unsafe {
            bindings::nvme_reset_ctrl(bindings::dev_get_drvdata(self.device.as_ptr()).cast())
        })
    }

    /// # Safety
    ///
    /// Called with a request that was started, and that is held meanwhile.
    unsafe extern "C" fn time_out_one(request: *mut bindings::request, _: *mut c_void) -> bool {
        // SAFETY: By this function's contract.
        unsafe { bindings::blk_abort_request(request) };
        false
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // SAFETY: The references are ours.
        unsafe {
            bindings::blk_put_queue(self.queue.as_ptr());
            bindings::put_device(self.device.as_ptr());
        }
    }
}
