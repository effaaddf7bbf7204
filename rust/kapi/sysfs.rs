// SPDX-License-Identifier: GPL-2.0-only

//! Directories in sysfs, with files that show and tune a value.
//!
//! C headers: [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h),
//! [`include/linux/kobject.h`](srctree/include/linux/kobject.h)

use super::text::Cut;
use crate::bindings;
use kernel::{
    error::to_result, fmt, page::PAGE_SIZE, prelude::*, str::CStrExt, sync::Completion,
    types::Opaque,
};

/// A kernel object that has a directory in sysfs.
#[repr(transparent)]
pub(crate) struct Kobject(Opaque<bindings::kobject>);

impl Kobject {
    /// # Safety
    ///
    /// `kobj` is valid, and in sysfs, during `'a`.
    pub(super) unsafe fn from_raw<'a>(kobj: *mut bindings::kobject) -> &'a Self {
        // SAFETY: By this function's contract; `Self` is transparent.
        unsafe { &*kobj.cast() }
    }

    /// The module's own directory, `/sys/module/<name>`.
    ///
    /// What is built into the kernel has none.
    pub(crate) fn of_module(module: &'static ThisModule) -> Option<&'static Self> {
        let module = core::ptr::NonNull::new(module.as_ptr())?;
        // SAFETY: A module's object is valid and in sysfs as long as its code runs.
        Some(unsafe { Self::from_raw(&raw mut (*module.as_ptr()).mkobj.kobj) })
    }
}

/// A file in a directory that shows a `T`.
#[repr(C)]
pub(crate) struct File<T: 'static> {
    attribute: bindings::attribute,
    show: Show<T>,
    store: Option<Store<T>>,
}

/// Writes a file's value, without the newline at its end.
pub(crate) type Show<T> = fn(&T, &mut dyn fmt::Write) -> fmt::Result;
/// Takes what was written to a file, without white space around it; all or nothing.
pub(crate) type Store<T> = fn(&T, &[u8]) -> Result;

// SAFETY: A file is never written to; the pointer in it is to a static string.
unsafe impl<T> Sync for File<T> {}
// SAFETY: As above.
unsafe impl<T> Send for File<T> {}

impl<T> File<T> {
    /// A file to read.
    pub(crate) const fn read(name: &'static CStr, show: Show<T>) -> Self {
        Self {
            attribute: Self::attribute(name, 0o444),
            show,
            store: None,
        }
    }

    /// A file to read and write.
    pub(crate) const fn write(name: &'static CStr, show: Show<T>, store: Store<T>) -> Self {
        Self {
            attribute: Self::attribute(name, 0o644),
            show,
            store: Some(store),
        }
    }

    const fn attribute(name: &'static CStr, mode: u16) -> bindings::attribute {
        // SAFETY: All bytes zero are a valid value; lock debugging adds fields that start so.
        let mut attribute: bindings::attribute = unsafe { core::mem::zeroed() };
        attribute.name = kernel::str::as_char_ptr_in_const_context(name);
        attribute.mode = mode;
        attribute
    }
}

/// What a directory shows.
pub(crate) trait Attributes: Sized + Send + Sync + 'static {
    /// The files.
    const FILES: &'static [File<Self>];
}

/// A directory that shows a `T`. Dropping it removes it, and waits for readers and writers that are
/// inside.
///
/// A directory made below this one must be dropped first.
///
/// # Invariants
///
/// `kobj` was initialised and, once [`Directory::new`] has succeeded, added; `released` is
/// completed when its last reference is gone.
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct Directory<T: Attributes> {
    #[pin]
    kobj: Opaque<bindings::kobject>,
    #[pin]
    released: Completion,
    data: T,
}

// SAFETY: A kernel object may be used and dropped by any thread; the data are `Send` and `Sync`.
unsafe impl<T: Attributes> Send for Directory<T> {}
// SAFETY: As above.
unsafe impl<T: Attributes> Sync for Directory<T> {}

impl<T: Attributes> Directory<T> {
    const OPS: &'static bindings::sysfs_ops = &bindings::sysfs_ops {
        show: Some(Self::show),
        store: Some(Self::store),
    };

    const KIND: &'static bindings::kobj_type = &bindings::kobj_type {
        release: Some(Self::release),
        sysfs_ops: Self::OPS,
        default_groups: core::ptr::null_mut(),
        child_ns_type: None,
        namespace: None,
        get_ownership: None,
    };

    /// Makes a directory below another, with all its files. May sleep.
    pub(crate) fn new(parent: &Kobject, name: &CStr, data: T) -> Result<Pin<KBox<Self>>> {
        let mut added = Ok(());
        let directory = KBox::pin_init(
            pin_init!(Self {
                data,
                released <- Completion::new(),
                kobj <- Opaque::ffi_init(|slot: *mut bindings::kobject| {
                    // SAFETY: The slot is zeroed before it is initialised; the parent is valid; the
                    // kind is static; the name is copied. The object is initialised even if it
                    // cannot be added.
                    added = to_result(unsafe {
                        slot.write_bytes(0, 1);
                        bindings::kobject_init_and_add(
                            slot,
                            Self::KIND,
                            parent.0.get(),
                            c"%s".as_char_ptr(),
                            name.as_char_ptr(),
                        )
                    });
                }),
            }),
            GFP_KERNEL,
        )?;
        // From here on the drop undoes it all, for an object that was not added too.
        added?;
        for file in T::FILES {
            // SAFETY: The object is in sysfs, the attribute is static.
            to_result(unsafe {
                bindings::sysfs_create_file_ns(
                    directory.kobj.get(),
                    &file.attribute,
                    core::ptr::null(),
                )
            })?;
        }
        Ok(directory)
    }

    /// Gives the directory another name. Callers must not do so at the same time. May sleep.
    pub(crate) fn rename(&self, name: &CStr) -> Result {
        // SAFETY: The object is in sysfs by the type invariant; the name is copied.
        to_result(unsafe { bindings::kobject_rename(self.kobj.get(), name.as_char_ptr()) })
    }

    /// Wakes those who poll a file. May sleep.
    pub(crate) fn notify(&self, name: &'static CStr) {
        // SAFETY: The object is in sysfs by the type invariant.
        unsafe {
            bindings::sysfs_notify(self.kobj.get(), core::ptr::null(), name.as_char_ptr());
        }
    }

    /// # Safety
    ///
    /// `kobj` is that of a `Directory<T>`, valid during `'a`.
    unsafe fn of<'a>(kobj: *mut bindings::kobject) -> &'a Self {
        // SAFETY: The object is the first field.
        unsafe { &*kobj.cast() }
    }

    /// # Safety
    ///
    /// Called by sysfs with a file of such a directory, and a page to write to; the directory is
    /// not removed meanwhile.
    unsafe extern "C" fn show(
        kobj: *mut bindings::kobject,
        attribute: *mut bindings::attribute,
        page: *mut c_char,
    ) -> isize {
        // SAFETY: The attribute is the first field of a `File<T>`; the page is ours to write.
        let (this, file, page) = unsafe {
            (
                Self::of(kobj),
                &*attribute.cast::<File<T>>(),
                core::slice::from_raw_parts_mut(page.cast::<u8>(), PAGE_SIZE),
            )
        };
        let mut out = Cut::new(page);
        // A value never comes near a page, so nothing is cut.
        match (file.show)(&this.data, &mut out).and_then(|()| fmt::Write::write_str(&mut out, "\n"))
        {
            Ok(()) => out.used() as isize,
            Err(_) => EIO.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// Called by sysfs with a file of such a directory, and `len` bytes that were written.
    unsafe extern "C" fn store(
        kobj: *mut bindings::kobject,
        attribute: *mut bindings::attribute,
        text: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: The attribute is the first field of a `File<T>`; the text is ours to read.
        let (this, file, text) = unsafe {
            (
                Self::of(kobj),
                &*attribute.cast::<File<T>>(),
                core::slice::from_raw_parts(text.cast::<u8>(), len),
            )
        };
        let stored = file
            .store
            .ok_or(EACCES)
            .and_then(|store| store(&this.data, text.trim_ascii()));
        match stored {
            Ok(()) => len as isize,
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// Called by the object's last `kobject_put`.
    unsafe extern "C" fn release(kobj: *mut bindings::kobject) {
        // SAFETY: The directory's drop waits for this call's end.
        unsafe { Self::of(kobj) }.released.complete_all();
    }
}

impl<T: Attributes> core::ops::Deref for Directory<T> {
    type Target = Kobject;

    fn deref(&self) -> &Kobject {
        // SAFETY: The object is valid by the type invariant.
        unsafe { Kobject::from_raw(self.kobj.get()) }
    }
}

#[pinned_drop]
impl<T: Attributes> PinnedDrop for Directory<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The object is initialised by the type invariant, and the reference put is the one
        // it began with.
        unsafe {
            bindings::kobject_del(self.kobj.get());
            bindings::kobject_put(self.kobj.get());
        }
        self.released.wait_for_completion();
    }
}

/// A directory that only holds others.
pub(crate) struct Plain;

impl Attributes for Plain {
    const FILES: &'static [File<Self>] = &[];
}
