// SPDX-License-Identifier: GPL-2.0-only

//! What the block layer says of an I/O, and a record of a bio from which it can be sent again.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

use crate::bindings;
use core::{mem::MaybeUninit, ops::Range};

/// How an I/O ended: a `blk_status_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(super) bindings::blk_status_t);

impl Status {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const IOERR: Self = Self(bindings::RUST_CONST_HELPER_BLK_STS_IOERR);
    pub(crate) const DM_REQUEUE: Self = Self(bindings::RUST_CONST_HELPER_BLK_STS_DM_REQUEUE);

    /// The number, for what decides by it.
    pub(crate) fn code(self) -> u8 {
        self.0
    }
}

/// What lower drivers change in a bio and must be as it was before the bio is sent again: `struct
/// dm_bio_details` of `drivers/md/dm-bio-record.h`, and beyond it the operation's flags and the
/// place in the integrity data.
#[derive(Clone, Copy)]
pub(super) struct Record {
    opf: bindings::blk_opf_t,
    flags: u16,
    remaining: i32,
    iter: bindings::bvec_iter,
    end_io: bindings::bio_end_io_t,
    integrity: *mut bindings::bio_integrity_payload,
    /// Initialised if there is a payload.
    integrity_iter: MaybeUninit<bindings::bvec_iter>,
}

impl Record {
    const INTEGRITY: u32 = 1 << bindings::req_flag_bits___REQ_INTEGRITY;
    const FAILFAST: u32 = 1 << bindings::req_flag_bits___REQ_FAILFAST_TRANSPORT;
    const NOWAIT: u32 = 1 << bindings::req_flag_bits___REQ_NOWAIT;
    const POLLED: u32 = 1 << bindings::req_flag_bits___REQ_POLLED;

    /// Records a bio.
    ///
    /// # Safety
    ///
    /// `bio` is valid, and the caller's.
    pub(super) unsafe fn of(bio: *mut bindings::bio) -> Self {
        // SAFETY: By this function's contract. The integrity payload is valid where the flag says
        // that it is there.
        unsafe {
            let mut integrity = core::ptr::null_mut::<bindings::bio_integrity_payload>();
            let mut integrity_iter = MaybeUninit::uninit();
            if (*bio).bi_opf & Self::INTEGRITY != 0 {
                integrity = (*bio).bi_integrity.cast();
                if !integrity.is_null() {
                    integrity_iter.write((*integrity).bip_iter);
                }
            }
            Self {
                opf: (*bio).bi_opf,
                flags: (*bio).bi_flags,
                remaining: (*bio).__bi_remaining.counter,
                iter: (*bio).bi_iter,
                end_io: (*bio).bi_end_io,
                integrity,
                integrity_iter,
            }
        }
    }

    /// Makes the bio again what it was, but for the submitter's wishes not to wait and to poll: it
    /// is another thread that sends it now, and nobody polls for it there.
    ///
    /// # Safety
    ///
    /// `bio` is valid, the caller's, and the one recorded.
    pub(super) unsafe fn restore(&self, bio: *mut bindings::bio) {
        // SAFETY: By this function's contract. The payload is the bio's own, freed with the bio
        // only, and was read when it was recorded.
        unsafe {
            (*bio).bi_status = Status::OK.0;
            (*bio).bi_opf = self.opf & !(Self::NOWAIT | Self::POLLED);
            (*bio).bi_flags = self.flags;
            (*bio).__bi_remaining.counter = self.remaining;
            (*bio).bi_iter = self.iter;
            (*bio).bi_end_io = self.end_io;
            (*bio).__bindgen_anon_1.bi_cookie = bindings::blk_qc_t::MAX; // BLK_QC_T_NONE
            (*bio).bi_integrity = self.integrity.cast();
            if !self.integrity.is_null() {
                (*self.integrity).bip_iter = self.integrity_iter.assume_init();
            }
        }
    }

    /// The sectors that the bio recorded changes, if it does.
    pub(super) fn writes(&self) -> Option<Range<u64>> {
        // As `op_is_write`.
        let writes = self.opf & 1 != 0 && self.iter.bi_size > 0;
        let sectors = u64::from(self.iter.bi_size >> bindings::SECTOR_SHIFT);
        writes.then(|| self.iter.bi_sector..self.iter.bi_sector + sectors)
    }

    /// The bytes that the bio recorded moves: `bio_has_data`.
    pub(super) fn bytes(&self) -> u32 {
        match self.operation() {
            bindings::req_op_REQ_OP_DISCARD
            | bindings::req_op_REQ_OP_SECURE_ERASE
            | bindings::req_op_REQ_OP_WRITE_ZEROES => 0,
            _ => self.iter.bi_size,
        }
    }

    /// The first byte of the bio recorded, with its operation in the uppermost bits.
    pub(super) fn place(&self) -> u64 {
        let operation = u64::from(self.operation()) << (u64::BITS - bindings::REQ_OP_BITS);
        self.iter.bi_sector << bindings::SECTOR_SHIFT ^ operation
    }

    fn operation(&self) -> u32 {
        self.opf & ((1 << bindings::REQ_OP_BITS) - 1)
    }
}

/// Directs a bio to a device: `bio_set_dev`; and, with `failfast`, the wish that the driver gives
/// the bio back when its transport dies rather than keep it.
///
/// # Safety
///
/// `bio` and `bdev` are valid, the bio is the caller's.
pub(super) unsafe fn direct(
    bio: *mut bindings::bio,
    bdev: *mut bindings::block_device,
    failfast: bool,
) {
    // SAFETY: By this function's contract.
    unsafe {
        (*bio).bi_status = Status::OK.0;
        if failfast {
            (*bio).bi_opf |= Record::FAILFAST;
        }
        (*bio).bi_flags &= !(1 << bindings::BIO_REMAPPED | 1 << bindings::BIO_BPS_THROTTLED);
        (*bio).bi_bdev = bdev;
        bindings::bio_associate_blkg(bio);
    }
}
