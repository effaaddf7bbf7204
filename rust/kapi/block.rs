// SPDX-License-Identifier: GPL-2.0-only

//! Block devices: what they are called, what they are, and a read to see whether they answer.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use super::bio::Status;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{fmt, fs::File, prelude::*, sync::aref::ARef, types::Opaque};

/// Whether the thread has gathered I/O that it sent, and not yet handed to the queues' drivers:
/// what is sent next may become one command with that.
pub(crate) fn is_plugged() -> bool {
    // SAFETY: Looks at the present thread only.
    unsafe { bindings::dm_bond_is_plugged() }
}

/// A device number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct DevT(pub(super) bindings::dev_t);

impl DevT {
    /// `MINORBITS` of `include/linux/kdev_t.h`.
    const MINOR_BITS: u32 = 20;

    /// Reads `major:minor`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (major, minor) = core::str::from_utf8(text).ok()?.split_once(':')?;
        let number = |text: &str| text.parse::<u32>().ok();
        let (major, minor) = (number(major)?, number(minor)?);
        let fits = major < 1 << (u32::BITS - Self::MINOR_BITS) && minor < 1 << Self::MINOR_BITS;
        fits.then_some(Self((major << Self::MINOR_BITS) | minor))
    }

    fn major(self) -> u32 {
        self.0 >> Self::MINOR_BITS
    }

    fn minor(self) -> u32 {
        self.0 & ((1 << Self::MINOR_BITS) - 1)
    }
}

impl fmt::Display for DevT {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{}:{}", self.major(), self.minor()))
    }
}

/// How a logical unit names itself: `enum blk_unique_id`, in the order in which the kinds are asked
/// for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct UniqueId {
    kind: bindings::blk_unique_id,
    len: u8,
    bytes: [u8; 16],
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            bindings::blk_unique_id_BLK_UID_EUI64 => "eui.",
            bindings::blk_unique_id_BLK_UID_NAA => "naa.",
            _ => "t10.",
        })?;
        for byte in self.bytes.iter().take(self.len.into()) {
            f.write_fmt(fmt!("{:02x}", byte))?;
        }
        Ok(())
    }
}

/// An open block device.
///
/// # Invariants
///
/// `bdev` is the device of `_file`, and so valid as long as `_file` is held.
pub(crate) struct BlockDevice {
    _file: ARef<File>,
    bdev: NonNull<bindings::block_device>,
}

// SAFETY: What is done here with a block device may be done from any thread.
unsafe impl Send for BlockDevice {}
// SAFETY: As above, also at the same time.
unsafe impl Sync for BlockDevice {}

impl BlockDevice {
    /// Takes a reference to an open device.
    ///
    /// # Safety
    ///
    /// `file` is a valid file of a block device.
    pub(super) unsafe fn from_file(file: *mut bindings::file) -> Self {
        // SAFETY: The file is valid by this function's contract; nobody calls `fdget_pos` on a file
        // without descriptor.
        let file: ARef<File> = unsafe { File::from_raw_file(file) }.into();
        // SAFETY: The file is one of a block device, whose `file_bdev` is never null.
        let bdev = unsafe { NonNull::new_unchecked(bindings::file_bdev(file.as_ptr())) };
        // INVARIANT: As just looked up.
        Self { _file: file, bdev }
    }

    /// The device, valid as long as `self` is.
    pub(super) fn as_ptr(&self) -> *mut bindings::block_device {
        self.bdev.as_ptr()
    }

    /// The device number.
    pub(crate) fn dev(&self) -> DevT {
        // SAFETY: Valid by the type invariant; set before a device can be opened.
        DevT(unsafe { (*self.bdev.as_ptr()).bd_dev })
    }

    /// The size in sectors of 512 bytes; 0 of a device that is gone.
    pub(crate) fn sectors(&self) -> u64 {
        // SAFETY: The field is valid; it is read as the C code does, for it may change at the same
        // time.
        unsafe { (&raw const (*self.bdev.as_ptr()).bd_nr_sectors).read_volatile() }
    }

    /// The first sector on the whole disk: 0 but for a partition.
    pub(crate) fn start_sector(&self) -> u64 {
        // SAFETY: Valid by the type invariant; set before a partition can be opened.
        unsafe { (*self.bdev.as_ptr()).bd_start_sect }
    }

    /// The name in `/sys/block`, cut to the size of `buf`.
    pub(crate) fn kernel_name<'a>(&self, buf: &'a mut [u8; 32]) -> &'a str {
        // SAFETY: The device is valid, the buffer has the size given, and what is printed fits it
        // with its NUL.
        let len = unsafe {
            bindings::dm_bond_bdev_name(self.bdev.as_ptr(), buf.as_mut_ptr().cast(), buf.len())
        };
        core::str::from_utf8(&buf[..len as usize]).unwrap_or("?")
    }

    /// How many commands the device's queues take; 0 if there is no such number. Any context.
    pub(crate) fn depth(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dm_bond_bdev_depth(self.bdev.as_ptr()) }
    }

    /// The most bytes that the device's queue makes one command of. Any context.
    pub(crate) fn max_bytes(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dm_bond_bdev_max_bytes(self.bdev.as_ptr()) }
    }

    /// Grows with all that the device completes, parts of larger I/O too, whoever sent it; unless
    /// its statistics are turned off (`queue/iostats`). Any context.
    pub(crate) fn done(&self) -> u64 {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dm_bond_bdev_done(self.bdev.as_ptr()) }
    }

    /// Whether the device's driver takes nothing at the moment: what is sent waits until it does
    /// again, and nobody can call it back. Any context.
    pub(crate) fn is_quiesced(&self) -> bool {
        // SAFETY: Valid by the type invariant, and so is the queue of an open device; the flags are
        // read whole, as C does.
        let flags = unsafe {
            let queue = (*self.bdev.as_ptr()).bd_queue;
            (&raw const (*queue).queue_flags).read_volatile()
        };
        flags & (1 << bindings::QUEUE_FLAG_QUIESCED) != 0
    }

    /// How the device's LU names itself, where its driver can tell. May sleep.
    pub(crate) fn unique_id(&self) -> Option<UniqueId> {
        // SAFETY: Valid by the type invariant; set before a device can be opened.
        let disk = unsafe { (*self.bdev.as_ptr()).bd_disk };
        // SAFETY: The disk of an open device is valid, and so are its operations.
        let ask = unsafe { (*(*disk).fops).get_unique_id }?;
        let mut bytes = [0u8; 16];
        [
            bindings::blk_unique_id_BLK_UID_NAA,
            bindings::blk_unique_id_BLK_UID_EUI64,
            bindings::blk_unique_id_BLK_UID_T10,
        ]
        .into_iter()
        .find_map(|kind| {
            // SAFETY: The disk is valid, and `bytes` has the 16 bytes that the callee may write.
            let len = unsafe { ask(disk, bytes.as_mut_ptr(), kind) };
            (1..=16).contains(&len).then_some((kind, len as u8))
        })
        .map(|(kind, len)| UniqueId { kind, len, bytes })
    }

    /// Reads the first block and waits for the answer, however long the driver takes. May sleep.
    ///
    /// The read asks the driver not to retry over a dead transport.
    pub(crate) fn probe(&self, probe: &mut Probe) -> Status {
        const OPF: u32 = bindings::req_op_REQ_OP_READ
            | (1 << bindings::req_flag_bits___REQ_FAILFAST_TRANSPORT)
            | (1 << bindings::req_flag_bits___REQ_SYNC)
            | (1 << bindings::req_flag_bits___REQ_META);
        let Probe { bio, vec, buffer } = probe;
        let (bio, vec) = (bio.get(), vec.get());
        // SAFETY: The device is valid. The bio, its one segment and the buffer, which is contiguous
        // as `kmalloc` memory, are exclusively borrowed until the read has ended, which
        // `submit_bio_wait` waits for.
        unsafe {
            bindings::dm_bond_bio_init(bio, self.bdev.as_ptr(), vec, OPF);
            bindings::dm_bond_bio_add_buffer(bio, buffer.as_mut_ptr().cast(), buffer.len() as u32);
            bindings::submit_bio_wait(bio);
            let status = Status((*bio).bi_status);
            bindings::bio_uninit(bio);
            status
        }
    }
}

/// What a probe needs, kept so that probing allocates nothing.
///
/// # Invariants
///
/// The buffer is not empty.
pub(crate) struct Probe {
    bio: KBox<Opaque<bindings::bio>>,
    vec: KBox<Opaque<bindings::bio_vec>>,
    buffer: KVec<u8>,
}

// SAFETY: A bio belongs to no thread; between probes nobody else knows this one.
unsafe impl Send for Probe {}

impl Probe {
    /// Makes what a probe of this device needs. May sleep.
    pub(crate) fn new(device: &BlockDevice) -> Result<Self> {
        // SAFETY: The device is valid by its type invariant.
        let size = unsafe { bindings::dm_bond_bdev_block_size(device.bdev.as_ptr()) };
        // INVARIANT: A logical block has 512 bytes or more.
        Ok(Self {
            bio: KBox::new(Opaque::uninit(), GFP_KERNEL)?,
            vec: KBox::new(Opaque::uninit(), GFP_KERNEL)?,
            buffer: KVec::from_elem(0, size.max(512) as usize, GFP_KERNEL)?,
        })
    }
}
