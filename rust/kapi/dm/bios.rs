// SPDX-License-Identifier: GPL-2.0-only

//! Bios in a target's hands.

use super::{registration::Private, Target};
use crate::{
    bindings,
    kapi::bio::{self, Record, Status},
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{Deref, Range},
    ptr::NonNull,
};
use kernel::prelude::*;

/// What is kept in a bio's per-bio data.
pub(super) struct PerBio<T: Target> {
    target: NonNull<Private<T>>,
    record: Record,
    data: T::BioData,
}

/// A bio that belongs to a target, from its `map` on until it is passed on.
///
/// # Invariants
///
/// The bio is a device-mapper clone made for a target of type `T`, `per_bio` is its per-bio data
/// and initialised, the target's destructor was not called yet (it is not, while a bio is
/// outstanding), and nobody else uses the bio.
pub(crate) struct Owned<T: Target> {
    bio: NonNull<bindings::bio>,
    per_bio: NonNull<PerBio<T>>,
}

// SAFETY: A bio belongs to no thread, and its data are `Send`.
unsafe impl<T: Target> Send for Owned<T> {}

impl<T: Target> Owned<T> {
    /// Takes a bio that was mapped before.
    ///
    /// # Safety
    ///
    /// The type's invariants hold for `bio`.
    unsafe fn from_raw(bio: NonNull<bindings::bio>) -> Self {
        // INVARIANT: By this function's contract.
        Self {
            bio,
            // SAFETY: The bio is a clone that has per-bio data of this size.
            per_bio: unsafe { Self::per_bio_of(bio) },
        }
    }

    /// # Safety
    ///
    /// The bio is a device-mapper clone made for a target of type `T`.
    unsafe fn per_bio_of(bio: NonNull<bindings::bio>) -> NonNull<PerBio<T>> {
        // SAFETY: The data are at a fixed place before the bio, so the address is not null.
        unsafe {
            NonNull::new_unchecked(bindings::dm_per_bio_data(
                bio.as_ptr(),
                size_of::<PerBio<T>>(),
            ))
            .cast()
        }
    }

    /// Gives the bio up.
    fn into_raw(self) -> NonNull<bindings::bio> {
        ManuallyDrop::new(self).bio
    }

    /// What the target keeps with the bio.
    pub(crate) fn data(&mut self) -> &mut T::BioData {
        // SAFETY: Initialised by the type invariant, and borrowed no longer than `self` is.
        unsafe { &mut (*self.per_bio.as_ptr()).data }
    }

    /// The same, to look at.
    pub(crate) fn peek(&self) -> &T::BioData {
        // SAFETY: Initialised by the type invariant, and borrowed no longer than `self` is.
        unsafe { &(*self.per_bio.as_ptr()).data }
    }

    fn record(&self) -> &Record {
        // SAFETY: Initialised by the type invariant, and borrowed no longer than `self` is.
        unsafe { &(*self.per_bio.as_ptr()).record }
    }

    /// The bytes of data that the bio moves: none for a flush or a discard.
    pub(crate) fn bytes(&self) -> u32 {
        self.record().bytes()
    }

    /// Where the bio begins, in bytes, with what it does in the uppermost bits: where one ends that
    /// another goes on from.
    pub(crate) fn place(&self) -> u64 {
        self.record().place()
    }

    /// The sectors that the bio changes, if it does.
    pub(crate) fn writes(&self) -> Option<Range<u64>> {
        self.record().writes()
    }

    /// The target's device with this number, where there is one.
    fn device(&self, number: usize) -> Option<(NonNull<bindings::block_device>, bool)> {
        self.target().device(number)
    }

    fn target(&self) -> &Private<T> {
        // SAFETY: The per-bio data are initialised, and the target is valid, by the type invariant.
        unsafe { (*self.per_bio.as_ptr()).target.as_ref() }
    }

    /// Whether device mapper takes bios back now: see [`Incoming::push_back`]. Any context.
    pub(crate) fn can_push_back(&self) -> bool {
        self.target().takes_back()
    }

    /// Makes the bio again what it was when it was mapped, and sends it to the device with this
    /// number. May sleep.
    ///
    /// The bio is completed with an error if there is no such device.
    pub(crate) fn submit(self, number: usize) {
        let Some((device, failfast)) = self.device(number) else {
            return self.complete(Status::IOERR);
        };
        let per_bio = self.per_bio;
        let bio = self.into_raw().as_ptr();
        // SAFETY: The bio was ours and is passed on by this. The device is the target's own, and
        // outlives its bios.
        unsafe {
            (*per_bio.as_ptr()).record.restore(bio);
            bio::direct(bio, device.as_ptr(), failfast);
            // Puts it down to the cgroup that sent it, too.
            bindings::dm_submit_bio_remap(bio, core::ptr::null_mut());
        }
    }

    /// Completes the bio. [`Target::end_io`] is called for it once more. Any context.
    pub(crate) fn complete(self, status: Status) {
        let per_bio = self.per_bio;
        let bio = self.into_raw().as_ptr();
        // SAFETY: The bio was ours and is passed on by this.
        unsafe {
            (*per_bio.as_ptr()).record.restore(bio);
            (*bio).bi_status = status.0;
            bindings::bio_endio(bio);
        }
    }
}

/// A bio is not lost: what is dropped fails.
impl<T: Target> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: The bio is ours, and after this neither it nor `self` is used.
        unsafe { Self::from_raw(self.bio) }.complete(Status::IOERR);
    }
}

/// Marks a value as belonging to one call: no other call's value has the same `'a`.
type Brand<'a> = PhantomData<fn(&'a ()) -> &'a ()>;

/// What becomes of a bio given to [`Target::map`].
pub(crate) struct Mapped<'a>(pub(super) u32, Brand<'a>);

/// What becomes of a bio given to [`Target::end_io`].
pub(crate) struct Ended<'a>(pub(super) u32, pub(super) Status, Brand<'a>);

/// A new bio, in [`Target::map`].
pub(crate) struct Incoming<'a, T: Target> {
    bio: Owned<T>,
    brand: Brand<'a>,
}

/// All that can be asked of a bio.
impl<T: Target> Deref for Incoming<'_, T> {
    type Target = Owned<T>;

    fn deref(&self) -> &Owned<T> {
        &self.bio
    }
}

impl<'a, T: Target> Incoming<'a, T> {
    /// Takes over a new clone: records it, and gives it its data.
    ///
    /// # Safety
    ///
    /// `bio` is a clone made for the target, `target` its private data, and the caller gives it up,
    /// but for what the returned [`Mapped`] tells it to do.
    pub(super) unsafe fn new(bio: NonNull<bindings::bio>, target: NonNull<Private<T>>) -> Self {
        // SAFETY: The clone is one for this target; nothing in its data is valid yet, so they are
        // only written.
        let per_bio = unsafe {
            let per_bio = Owned::per_bio_of(bio);
            // One by one, and so without a copy of all on the stack.
            let place = per_bio.as_ptr();
            (&raw mut (*place).target).write(target);
            (&raw mut (*place).record).write(Record::of(bio.as_ptr()));
            // Valid, as the type is `Zeroable`.
            (&raw mut (*place).data).write_bytes(0, 1);
            per_bio
        };
        Self {
            // INVARIANT: See this function's contract and the write above.
            bio: Owned { bio, per_bio },
            brand: PhantomData,
        }
    }

    /// What the target keeps with the bio.
    pub(crate) fn data(&mut self) -> &mut T::BioData {
        self.bio.data()
    }

    /// Sends the bio to the target's device with this number; it fails if there is none.
    pub(crate) fn remap(self, number: usize) -> Mapped<'a> {
        let Some((device, failfast)) = self.bio.device(number) else {
            return self.kill();
        };
        // SAFETY: The bio is ours, the device the target's own, and outlives its bios.
        unsafe { bio::direct(self.bio.into_raw().as_ptr(), device.as_ptr(), failfast) };
        Mapped(bindings::DM_MAPIO_REMAPPED, PhantomData)
    }

    /// Keeps the bio, to send or complete it later.
    pub(crate) fn take(self) -> (Owned<T>, Mapped<'a>) {
        (self.bio, Mapped(bindings::DM_MAPIO_SUBMITTED, PhantomData))
    }

    /// Fails the bio.
    pub(crate) fn kill(self) -> Mapped<'a> {
        self.bio.into_raw();
        Mapped(bindings::DM_MAPIO_KILL, PhantomData)
    }

    /// Gives the bio back to device mapper, that sends it again after the suspend. Only in a
    /// suspend without flush: otherwise it fails.
    pub(crate) fn push_back(self) -> Mapped<'a> {
        self.bio.into_raw();
        Mapped(bindings::DM_MAPIO_REQUEUE, PhantomData)
    }
}

/// A bio that came back, in [`Target::end_io`].
pub(crate) struct Completed<'a, T: Target> {
    bio: Owned<T>,
    status: Status,
    brand: Brand<'a>,
}

/// All that can be asked of a bio.
impl<T: Target> Deref for Completed<'_, T> {
    type Target = Owned<T>;

    fn deref(&self) -> &Owned<T> {
        &self.bio
    }
}

impl<'a, T: Target> Completed<'a, T> {
    /// Takes over a bio that came back.
    ///
    /// # Safety
    ///
    /// `bio` was made an [`Incoming`] for the same target before, was passed on since, and the
    /// caller gives it up, but for what the returned [`Ended`] tells it to do.
    pub(super) unsafe fn new(bio: NonNull<bindings::bio>, status: Status) -> Self {
        // SAFETY: By this function's contract.
        let bio = unsafe { Owned::from_raw(bio) };
        Self {
            bio,
            status,
            brand: PhantomData,
        }
    }

    /// How it ended.
    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// What the target keeps with the bio.
    pub(crate) fn data(&mut self) -> &mut T::BioData {
        self.bio.data()
    }

    /// Lets the bio end, with this status.
    pub(crate) fn done(self, status: Status) -> Ended<'a> {
        self.bio.into_raw();
        Ended(bindings::DM_ENDIO_DONE, status, PhantomData)
    }

    /// Keeps the bio, to send or complete it later.
    pub(crate) fn take(self) -> (Owned<T>, Ended<'a>) {
        (
            self.bio,
            Ended(bindings::DM_ENDIO_INCOMPLETE, self.status, PhantomData),
        )
    }

    /// Gives the bio back to device mapper, that sends it again after the suspend. Only in a
    /// suspend without flush: otherwise it fails.
    pub(crate) fn push_back(self) -> Ended<'a> {
        self.bio.into_raw();
        Ended(bindings::DM_ENDIO_REQUEUE, self.status, PhantomData)
    }
}

/// A bio of a list, to look at.
pub(crate) struct Listed<'a, T: Target>(ManuallyDrop<Owned<T>>, PhantomData<&'a BioList<T>>);

impl<T: Target> Deref for Listed<'_, T> {
    type Target = Owned<T>;

    fn deref(&self) -> &Owned<T> {
        &self.0
    }
}

/// Bios in a row, linked through the bios themselves, so that adding one allocates nothing.
///
/// # Invariants
///
/// From `head` on, `bi_next` links `len` bios, each ours as [`Owned`] says; `tail` is the last one.
pub(crate) struct BioList<T: Target> {
    head: Option<NonNull<bindings::bio>>,
    tail: Option<NonNull<bindings::bio>>,
    len: usize,
    _target: PhantomData<fn() -> T>,
}

// SAFETY: What the list owns is `Send`.
unsafe impl<T: Target> Send for BioList<T> {}

impl<T: Target> BioList<T> {
    pub(crate) const fn new() -> Self {
        Self {
            head: None,
            tail: None,
            len: 0,
            _target: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, bio: Owned<T>) {
        let bio = bio.into_raw();
        // SAFETY: The new bio and the last one are ours.
        unsafe {
            (*bio.as_ptr()).bi_next = core::ptr::null_mut();
            match self.tail {
                Some(tail) => (*tail.as_ptr()).bi_next = bio.as_ptr(),
                None => self.head = Some(bio),
            }
        }
        self.tail = Some(bio);
        self.len += 1;
    }

    pub(crate) fn push_front(&mut self, bio: Owned<T>) {
        let bio = bio.into_raw();
        // SAFETY: The new bio is ours.
        unsafe {
            (*bio.as_ptr()).bi_next = self.head.map_or(core::ptr::null_mut(), NonNull::as_ptr)
        };
        self.tail.get_or_insert(bio);
        self.head = Some(bio);
        self.len += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The first bio, to look at.
    pub(crate) fn first(&self) -> Option<Listed<'_, T>> {
        self.iter().next()
    }

    /// Takes all bios of another list, behind its own.
    pub(crate) fn append(&mut self, other: &mut Self) {
        let other = ManuallyDrop::new(other.take());
        match self.tail {
            // SAFETY: The last bio is ours.
            Some(tail) => unsafe {
                (*tail.as_ptr()).bi_next = other.head.map_or(core::ptr::null_mut(), NonNull::as_ptr)
            },
            None => self.head = other.head,
        }
        // INVARIANT: What the other list had is linked behind what we had, and is ours.
        self.tail = other.tail.or(self.tail);
        self.len += other.len;
    }

    /// The bios, to look at.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Listed<'_, T>> {
        let mut next = self.head;
        core::iter::from_fn(move || {
            let bio = next?;
            // SAFETY: The bio is the list's, which is borrowed meanwhile.
            unsafe {
                next = NonNull::new((*bio.as_ptr()).bi_next);
                Some(Listed(ManuallyDrop::new(Owned::from_raw(bio)), PhantomData))
            }
        })
    }

    pub(crate) fn pop(&mut self) -> Option<Owned<T>> {
        let bio = self.head?;
        // SAFETY: The first bio is ours.
        unsafe {
            self.head = NonNull::new((*bio.as_ptr()).bi_next);
            (*bio.as_ptr()).bi_next = core::ptr::null_mut();
        }
        if self.head.is_none() {
            self.tail = None;
        }
        self.len -= 1;
        // SAFETY: The bio was ours as the list's, and is no longer in the list.
        Some(unsafe { Owned::from_raw(bio) })
    }

    /// Takes all bios, leaving the list empty.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Self::new())
    }
}

impl<T: Target> Drop for BioList<T> {
    fn drop(&mut self) {
        while let Some(bio) = self.pop() {
            drop(bio);
        }
    }
}
