// SPDX-License-Identifier: GPL-2.0-only

//! Work queues of one's own, and stopping work, beside what [`kernel::workqueue`] has.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::Arc,
    time::Jiffies,
    workqueue::{HasDelayedWork, HasWork, Queue, Work, WorkItem},
};

/// A work queue. Dropping it destroys it; no work of its own may do so.
///
/// # Invariants
///
/// The pointer is a work queue that is valid until the drop, and that nobody else destroys.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: The C functions on a work queue may be called from any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: As above, also at the same time.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Makes an unbound queue. With `reclaim` it goes on under memory pressure, by a thread of its
    /// own, so that I/O may wait for what is queued there. May sleep.
    pub(crate) fn new(name: &'static CStr, reclaim: bool) -> Result<Self> {
        let reclaim = match reclaim {
            true => bindings::wq_flags_WQ_MEM_RECLAIM,
            false => 0,
        };
        // SAFETY: The format takes one string, which `name` is, and which is copied.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND | reclaim,
                0,
                name.as_char_ptr(),
            )
        };
        // INVARIANT: The queue is new, and `Self` is its only owner.
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: The queue is valid by the type invariant and not used after this. No work waits
        // in it, or for its time: each would hold its item, and that this queue (`OnQueue`).
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// An item that keeps alive the queue that its work runs on: the queue lives as long as the item is
/// shared, so also as long as the work waits in the queue, or for its time.
pub(crate) trait OnQueue<const ID: u64 = 0> {
    /// The queue.
    fn queue(&self) -> &OwnedQueue;
}

/// Lets work run. If it waits already that is as good. Any context.
///
/// Work that was stopped is not queued; nor is it by the two that follow.
pub(crate) fn enqueue<T, const ID: u64>(item: &Arc<T>)
where
    T: OnQueue<ID> + HasWork<T, ID> + WorkItem<ID, Pointer = Arc<T>> + Send + Sync + 'static,
{
    // SAFETY: The queue is valid as long as the item, a reference to which goes with the work.
    let queue = unsafe { Queue::from_raw(item.queue().0.as_ptr()) };
    let _ = queue.enqueue(item.clone());
}

/// Lets delayed work run after `delay`. If it waits already its time stays. Says whether it did
/// not. Any context.
///
/// While another thread cancels it, it seems to wait: who cancels must look whether it is to run
/// after all.
pub(crate) fn enqueue_delayed<T, const ID: u64>(item: &Arc<T>, delay: Jiffies) -> bool
where
    T: OnQueue<ID> + HasDelayedWork<T, ID> + WorkItem<ID, Pointer = Arc<T>> + Send + Sync + 'static,
{
    // SAFETY: The queue is valid as long as the item, a reference to which goes with the work.
    let queue = unsafe { Queue::from_raw(item.queue().0.as_ptr()) };
    queue.enqueue_delayed(item.clone(), delay).is_ok()
}

/// Lets delayed work run after `delay`, whether it waited already or not. Any context.
pub(crate) fn rearm<T, const ID: u64>(item: &Arc<T>, delay: Jiffies)
where
    T: OnQueue<ID> + HasDelayedWork<T, ID> + WorkItem<ID, Pointer = Arc<T>> + Send + Sync + 'static,
{
    // `mod_delayed_work` does not tell work that was queued from work that is stopped for good, so
    // whose the reference is. Another thread that does the same may come in between: the last one
    // counts. Work that is stopped is given up soon.
    for _ in 0..8 {
        cancel_delayed(item);
        if enqueue_delayed(item, delay) {
            return;
        }
    }
}

/// Lets delayed work not run that waits for its time. Any context. It may be running.
pub(crate) fn cancel_delayed<T, const ID: u64>(item: &Arc<T>)
where
    T: HasDelayedWork<T, ID> + WorkItem<ID, Pointer = Arc<T>>,
{
    // SAFETY: The `DelayedWork` is initialised, as is every field of a value in an `Arc`.
    if unsafe { bindings::cancel_delayed_work(delayed_work(item)) } {
        drop_queued(item);
    }
}

/// Ends a work item for good: cancels it if it waits, waits for it if it runs, and lets it not be
/// queued again.
///
/// May sleep. Must not be called from the work itself, nor for delayed work.
pub(crate) fn stop<T, const ID: u64>(item: &Arc<T>)
where
    T: HasWork<T, ID> + WorkItem<ID, Pointer = Arc<T>>,
{
    // SAFETY: `item` points to a valid `T`.
    let work = unsafe { Work::raw_get(T::raw_get_work(Arc::as_ptr(item).cast_mut())) };
    // SAFETY: The `Work` is initialised, as is every field of a value in an `Arc`.
    if unsafe { bindings::disable_work_sync(work) } {
        drop_queued(item);
    }
}

/// Like [`stop`], for delayed work.
pub(crate) fn stop_delayed<T, const ID: u64>(item: &Arc<T>)
where
    T: HasDelayedWork<T, ID> + WorkItem<ID, Pointer = Arc<T>>,
{
    // SAFETY: The `DelayedWork` is initialised, as is every field of a value in an `Arc`.
    if unsafe { bindings::disable_delayed_work_sync(delayed_work(item)) } {
        drop_queued(item);
    }
}

/// Lets delayed work not be queued again. What waits or runs may still run. Any context.
/// [`stop_delayed`] is to follow.
pub(crate) fn disable_delayed<T, const ID: u64>(item: &Arc<T>)
where
    T: HasDelayedWork<T, ID> + WorkItem<ID, Pointer = Arc<T>>,
{
    // SAFETY: The `DelayedWork` is initialised, as is every field of a value in an `Arc`.
    if unsafe { bindings::disable_delayed_work(delayed_work(item)) } {
        drop_queued(item);
    }
}

/// The C struct in an item.
fn delayed_work<T, const ID: u64>(item: &Arc<T>) -> *mut bindings::delayed_work
where
    T: HasDelayedWork<T, ID>,
{
    // SAFETY: `item` points to a valid `T`.
    let work = unsafe { Work::raw_get(T::raw_get_work(Arc::as_ptr(item).cast_mut())) };
    // SAFETY: `HasDelayedWork` says that the `work_struct` is that of a `delayed_work`.
    unsafe { kernel::container_of!(work, bindings::delayed_work, work) }
}

/// Gives back the reference that queueing took, of an item that was queued and now never runs.
fn drop_queued<T>(item: &Arc<T>) {
    // SAFETY: Queueing an `Arc` takes one reference by `Arc::into_raw`, that the work's function
    // gives back. The work was cancelled before it ran, so that reference is still there and now
    // ours.
    drop(unsafe { Arc::from_raw(Arc::as_ptr(item)) });
}
