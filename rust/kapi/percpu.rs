// SPDX-License-Identifier: GPL-2.0-only

//! Values of which each CPU has one of its own, in memory near to it.
//!
//! C headers: [`include/linux/percpu.h`](srctree/include/linux/percpu.h),
//! [`include/linux/smp.h`](srctree/include/linux/smp.h)

use crate::bindings;
use core::{ptr::NonNull, slice::SliceIndex};
use kernel::{cpu::nr_cpu_ids, prelude::*, types::NotThreadSafe};

/// The CPU that we run on, and stay on as long as this lives: preemption is off, so nothing may
/// sleep meanwhile.
pub(crate) struct Here {
    cpu: u32,
    _thread: NotThreadSafe,
}

// SAFETY: A region with preemption off is a read-side critical section.
unsafe impl super::rcu::Reader for Here {}

impl Here {
    /// Stays on the present CPU. Any context.
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: Undone by the drop, in the same thread.
            cpu: unsafe { bindings::dm_bond_get_cpu() },
            _thread: NotThreadSafe,
        }
    }

    /// The CPU's number.
    pub(crate) fn cpu(&self) -> usize {
        self.cpu as usize
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // SAFETY: Pairs with the `dm_bond_get_cpu` of `new`.
        unsafe { bindings::dm_bond_put_cpu() };
    }
}

/// One `T` for each CPU there may be. All are shared: another CPU may look at them, or change them,
/// at any time.
///
/// # Invariants
///
/// `base` is a `__percpu` pointer, allocated for a `T` on each possible CPU; `slots` has the
/// address of each, by the CPU's number, and all are initialised.
pub(crate) struct PerCpu<T: Sync + 'static> {
    base: usize,
    slots: KVec<Option<NonNull<T>>>,
}

// SAFETY: What is shared are `T`s, by reference; they are `Sync`, and `Send`, since they end with
// this, in whatever thread.
unsafe impl<T: Send + Sync + 'static> Send for PerCpu<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for PerCpu<T> {}

impl<T: Sync + 'static> PerCpu<T> {
    /// How many CPUs are neighbours: see [`PerCpu::near`].
    const NEIGHBOURS: usize = 8;

    /// Makes a value for each CPU. May sleep.
    pub(crate) fn new(value: impl Fn() -> T) -> Result<Self> {
        const { assert!(!core::mem::needs_drop::<T>()) };
        let count = nr_cpu_ids();
        let mut slots = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        // SAFETY: Size and alignment are those of a type; where they are too large it is an error.
        let base = unsafe { bindings::dm_bond_alloc_percpu(size_of::<T>(), align_of::<T>()) };
        if base == 0 {
            return Err(ENOMEM);
        }
        for cpu in 0..count {
            // SAFETY: The memory was allocated per CPU, and the number is below `nr_cpu_ids`.
            let slot = unsafe { bindings::dm_bond_per_cpu_ptr(base, cpu) };
            let slot = NonNull::new(slot.cast::<T>());
            if let Some(slot) = slot {
                // SAFETY: The place is ours, and has the size and alignment of a `T`.
                unsafe { slot.write(value()) };
            }
            // There is room for it.
            let _ = slots.push_within_capacity(slot);
        }
        // INVARIANT: As made above.
        Ok(Self { base, slots })
    }

    /// The present CPU's value. Any context.
    pub(crate) fn local(&self, here: &Here) -> &T {
        // SAFETY: Whoever runs on a CPU runs on a possible one, and there is a value for each,
        // valid as long as `self`.
        unsafe {
            self.slots
                .get_unchecked(here.cpu())
                .unwrap_unchecked()
                .as_ref()
        }
    }

    /// Whether there can be one CPU only.
    pub(crate) fn is_single(&self) -> bool {
        self.slots.len() == 1
    }

    /// The value of a CPU; `None` if there can be no such CPU. Any context.
    pub(crate) fn of(&self, cpu: usize) -> Option<&T> {
        // SAFETY: Initialised by the type invariant, and valid as long as `self`.
        (*self.slots.get(cpu)?).map(|slot| unsafe { slot.as_ref() })
    }

    /// The values of a CPU and of up to seven that have numbers near to it: on most machines those
    /// that share caches with it. Any context.
    pub(crate) fn near(&self, cpu: usize) -> impl Iterator<Item = &T> {
        let first = cpu & !(Self::NEIGHBOURS - 1);
        let end = (first + Self::NEIGHBOURS).min(self.slots.len());
        self.values(first..end)
    }

    /// Whether there can be CPUs that are not near to each other.
    pub(crate) fn is_wide(&self) -> bool {
        self.slots.len() > Self::NEIGHBOURS
    }

    /// The values of all other CPUs than those near to this one, together those of CPUs that are
    /// near to each other. Any context.
    pub(crate) fn far(&self, cpu: usize) -> impl Iterator<Item = impl Iterator<Item = &T>> {
        let groups = (0..self.slots.len()).step_by(Self::NEIGHBOURS);
        let far = groups.filter(move |first| first / Self::NEIGHBOURS != cpu / Self::NEIGHBOURS);
        far.map(|first| self.near(first))
    }

    /// The values of all CPUs. Any context.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values(..)
    }

    /// The values of these CPUs.
    fn values(
        &self,
        cpus: impl SliceIndex<[Option<NonNull<T>>], Output = [Option<NonNull<T>>]>,
    ) -> impl Iterator<Item = &T> {
        let slots = self.slots.get(cpus).unwrap_or_default();
        // SAFETY: Initialised by the type invariant, and valid as long as `self`.
        slots.iter().flatten().map(|slot| unsafe { slot.as_ref() })
    }
}

impl<T: Sync + 'static> Drop for PerCpu<T> {
    fn drop(&mut self) {
        // SAFETY: Allocated by `new`, and nobody has a reference any more. A `T` needs no drop.
        unsafe { bindings::dm_bond_free_percpu(self.base) };
    }
}
