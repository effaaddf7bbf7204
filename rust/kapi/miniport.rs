// SPDX-License-Identifier: GPL-2.0-only

//! Miniports, as dm-bond sees them: the functions that they have, and those that they call.
//!
//! C header: `rust/miniport/dm_bond.h`

use super::{block::BlockDevice, netdev::Name};
use crate::{
    bindings,
    bond::Path,
    miniport::{Word, MINIPORTS},
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    str::CStrExt,
    sync::{Arc, ArcBorrow},
};

/// A miniport that is registered.
///
/// # Invariants
///
/// The struct, its name and its functions are valid until the miniport is unregistered, and
/// [`Miniports`](crate::miniport::Miniports) has forgotten this.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port(NonNull<bindings::dm_bond_miniport>);

// SAFETY: A miniport's functions may be called by any thread; the struct is never written to.
unsafe impl Send for Port {}
// SAFETY: As above.
unsafe impl Sync for Port {}

impl Port {
    fn get(&self) -> &bindings::dm_bond_miniport {
        // SAFETY: Valid by the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// A number that no other registered miniport has, and that is not 0.
    pub(crate) fn id(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// The miniport's name.
    pub(crate) fn name(&self) -> &CStr {
        // SAFETY: Registration requires a name.
        unsafe { CStr::from_char_ptr(self.get().name) }
    }

    /// Asks the miniport to bind to a path. `None` if it declines, or is being unloaded. May sleep.
    pub(crate) fn bind(self, device: &BlockDevice, path: &Arc<Path>) -> Result<Option<Binding>> {
        let bind = self.get().bind.ok_or(EINVAL)?;
        // SAFETY: The owner is null or the miniport's module.
        if !unsafe { bindings::try_module_get(self.get().owner) } {
            return Ok(None);
        }
        let mut binding = Binding {
            port: self,
            data: core::ptr::null_mut(),
            _path: path.clone(),
            bound: false,
        };
        // SAFETY: The device is valid. The handle stands for a reference, which the binding holds
        // beyond `unbind`.
        let result = to_result(unsafe {
            bind(
                device.as_ptr(),
                Arc::as_ptr(path).cast_mut().cast(),
                &mut binding.data,
            )
        });
        match result {
            Ok(()) => {
                binding.bound = true;
                Ok(Some(binding))
            }
            Err(error) if error == ENODEV => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The name of the module that a device's driver is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Driver([u8; Self::SIZE]);

impl Driver {
    /// The NUL included.
    const SIZE: usize = bindings::RUST_CONST_HELPER_MODULE_NAME_LEN;

    /// That of this device; `None` if its driver is built into the kernel.
    pub(crate) fn of(device: &BlockDevice) -> Option<Self> {
        // SAFETY: The device is open, so its driver's module is there.
        let name = unsafe { bindings::dm_bond_bdev_owner(device.as_ptr()) };
        if name.is_null() {
            return None;
        }
        // SAFETY: It is the name of a module.
        let name = unsafe { CStr::from_char_ptr(name) }.to_bytes_with_nul();
        let mut own = Self([0; Self::SIZE]);
        own.0.get_mut(..name.len())?.copy_from_slice(name);
        Some(own)
    }

    /// Has user space load the module that has the alias `dm-bond-port-<driver>`. That there is
    /// none is no error. May sleep, but not until the module is loaded.
    pub(crate) fn request_miniport(&self) {
        // SAFETY: The format takes one string, which ends within the array by construction.
        unsafe {
            bindings::__request_module(
                false,
                c"dm-bond-port-%s".as_char_ptr(),
                self.0.as_ptr().cast::<c_char>(),
            )
        };
    }
}

/// A miniport bound to a path. Dropping it unbinds. May sleep.
pub(crate) struct Binding {
    port: Port,
    data: *mut c_void,
    /// What the handle that the miniport has points to.
    _path: Arc<Path>,
    bound: bool,
}

// SAFETY: A miniport's functions may be called by any thread with its data.
unsafe impl Send for Binding {}
// SAFETY: As above, also at the same time.
unsafe impl Sync for Binding {}

impl Binding {
    pub(crate) fn port(&self) -> Port {
        self.port
    }

    /// The network device that the path runs over, if the miniport knows. May sleep.
    pub(crate) fn netdev(&self) -> Option<Name> {
        let ask = self.port.get().netdev?;
        let mut name = [0u8; Name::SIZE];
        // SAFETY: The miniport is bound with this data; the buffer has the size that it may fill.
        to_result(unsafe { ask(self.data, name.as_mut_ptr().cast()) }).ok()?;
        Name::new(CStr::from_bytes_until_nul(&name).ok()?).ok()
    }

    /// The address that the path leads to, if the miniport knows: calls `read` with it. May sleep.
    pub(crate) fn dest<R>(&self, read: impl FnOnce(&[u8]) -> Option<R>) -> Option<R> {
        let ask = self.port.get().dest?;
        let mut text = [0u8; bindings::DM_BOND_DEST_SIZE as usize];
        // SAFETY: The miniport is bound with this data; the buffer has the size that it may fill.
        to_result(unsafe { ask(self.data, text.as_mut_ptr().cast()) }).ok()?;
        read(CStr::from_bytes_until_nul(&text).ok()?.to_bytes())
    }

    /// Asks for the commands that are pending on the path; `EOPNOTSUPP` if the miniport cannot have
    /// them given back, `EBUSY` if it is to be asked again. May sleep.
    pub(crate) fn abort(&self) -> Result {
        let abort = self.port.get().abort.ok_or(EOPNOTSUPP)?;
        // SAFETY: The miniport is bound with this data.
        to_result(unsafe { abort(self.data) })
    }

    /// Writes the role register of the path's adapter; `EOPNOTSUPP` if the miniport has none. May
    /// sleep.
    pub(crate) fn set_role(&self, primary: bool) -> Result {
        let set_role = self.port.get().set_role.ok_or(EOPNOTSUPP)?;
        // SAFETY: The miniport is bound with this data.
        to_result(unsafe { set_role(self.data, primary) })
    }

    /// Asks for a new session, after a loss of the link. May sleep.
    pub(crate) fn renew(&self) -> Result {
        match self.port.get().renew {
            // SAFETY: The miniport is bound with this data.
            Some(renew) => to_result(unsafe { renew(self.data) }),
            None => Ok(()),
        }
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        if let (true, Some(unbind)) = (self.bound, self.port.get().unbind) {
            // SAFETY: The miniport is bound with this data, and is not used with it after this.
            unsafe { unbind(self.data) };
        }
        // SAFETY: The reference was taken by `bind`.
        unsafe { bindings::module_put(self.port.get().owner) };
    }
}

/// How an adapter chooses by itself, of the paths of one bond.
///
/// # Invariants
///
/// `data` has for each path what its binding gave, if that is one of the same miniport, else null.
/// The bindings are held.
pub(crate) struct Offload {
    choose: unsafe extern "C" fn(*mut c_void, *const *mut c_void, u64, c_uint, bool) -> c_int,
    own: *mut c_void,
    data: KVec<*mut c_void>,
    _bindings: KVec<Option<Arc<Binding>>>,
}

// SAFETY: A miniport's functions may be called by any thread with its data; the bindings are
// `Send`.
unsafe impl Send for Offload {}
// SAFETY: As above, also at the same time.
unsafe impl Sync for Offload {}

impl Offload {
    /// If the miniport of the path with this number can choose: of these, the bindings of all
    /// paths, those that are its own. May sleep.
    pub(crate) fn new(bindings: KVec<Option<Arc<Binding>>>, number: usize) -> Result<Option<Self>> {
        let Some(Some(chooser)) = bindings.get(number) else {
            return Ok(None);
        };
        let Some(choose) = chooser.port.get().choose else {
            return Ok(None);
        };
        let own = chooser.data;
        let mut data = KVec::with_capacity(bindings.len(), GFP_KERNEL)?;
        for binding in &bindings {
            let same = binding
                .as_ref()
                .filter(|binding| binding.port == chooser.port);
            let pointer = same.map_or(core::ptr::null_mut(), |binding| binding.data);
            data.push(pointer, GFP_KERNEL)?;
        }
        // INVARIANT: As just filled.
        Ok(Some(Self {
            choose,
            own,
            data,
            _bindings: bindings,
        }))
    }

    /// Asks for the number of the path that is to transmit an I/O, of those that have a bit in
    /// `usable`. `None` if the adapter leaves it to us. Any context but hard interrupts.
    pub(crate) fn choose(&self, usable: u64, bytes: u32, writes: bool) -> Option<usize> {
        // SAFETY: The miniport is bound with this data, and the array lives during the call; it has
        // an entry for each path.
        let number = unsafe { (self.choose)(self.own, self.data.as_ptr(), usable, bytes, writes) };
        usize::try_from(number)
            .ok()
            .filter(|&number| number < self.data.len())
    }
}

/// Checks at compile time that a function is of the type that the C header declares.
macro_rules! as_declared {
    ($($name:ident),*) => {
        $(const _: () = {
            let _ = if true { bindings::$name } else { $name };
        };)*
    };
}

as_declared!(
    dm_bond_register_miniport,
    dm_bond_unregister_miniport,
    dm_bond_path_failed,
    dm_bond_path_restored
);

/// # Safety
///
/// `miniport` is valid, as is all in it, until it is unregistered.
#[no_mangle]
unsafe extern "C" fn dm_bond_register_miniport(
    miniport: *const bindings::dm_bond_miniport,
) -> c_int {
    let register = || {
        let port = NonNull::new(miniport.cast_mut()).ok_or(EINVAL)?;
        // SAFETY: By this function's contract. The version is checked before all that it says of
        // what follows.
        let found = unsafe { (*miniport).version };
        if found != bindings::DM_BOND_MINIPORT_VERSION {
            // SAFETY: The name has been in this place in all versions.
            let name = unsafe { (*miniport).name };
            let name = match name.is_null() {
                true => c"?",
                // SAFETY: A name is a string.
                false => unsafe { CStr::from_char_ptr(name) },
            };
            pr_err!(
                "miniport {} was built for version {} of the interface, not {}\n",
                name,
                found,
                bindings::DM_BOND_MINIPORT_VERSION
            );
            return Err(EPROTO);
        }
        // SAFETY: By this function's contract.
        let given = unsafe { &*miniport };
        if given.name.is_null() || given.bind.is_none() || given.unbind.is_none() {
            return Err(EINVAL);
        }
        // INVARIANT: By this function's contract.
        MINIPORTS.get().ok_or(ENODEV)?.register(Port(port))
    };
    match register() {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// `miniport` was registered, and is not unregistered yet.
#[no_mangle]
unsafe extern "C" fn dm_bond_unregister_miniport(miniport: *const bindings::dm_bond_miniport) {
    if let (Some(port), Some(miniports)) = (NonNull::new(miniport.cast_mut()), MINIPORTS.get()) {
        miniports.unregister(Port(port));
    }
}

/// # Safety
///
/// `path` is null or one that the caller was bound to, and `unbind` has not returned.
unsafe fn path_of(path: *mut bindings::dm_bond_path) -> Option<Arc<Path>> {
    let path = NonNull::new(path)?.cast::<Path>();
    // SAFETY: The handle was made from an `Arc` that the binding holds until `unbind` has returned.
    Some(unsafe { ArcBorrow::from_raw(path.as_ptr()) }.into())
}

/// # Safety
///
/// `path` and `instead` are null or ones that the caller was bound to, and `unbind` has not
/// returned.
unsafe fn tell(
    path: *mut bindings::dm_bond_path,
    flags: c_uint,
    instead: *mut bindings::dm_bond_path,
    failed: bool,
) {
    // SAFETY: By this function's contract.
    let (path, instead) = unsafe { (path_of(path), path_of(instead)) };
    if let Some(path) = path {
        let word = Word {
            failed,
            adapter: flags & bindings::RUST_CONST_HELPER_DM_BOND_ADAPTER != 0,
            voided: flags & bindings::RUST_CONST_HELPER_DM_BOND_VOIDED != 0,
        };
        Path::told(&path, word, instead.as_deref());
    }
}

/// # Safety
///
/// As for [`tell`].
#[no_mangle]
unsafe extern "C" fn dm_bond_path_failed(
    path: *mut bindings::dm_bond_path,
    flags: c_uint,
    instead: *mut bindings::dm_bond_path,
) {
    // SAFETY: By this function's contract.
    unsafe { tell(path, flags, instead, true) };
}

/// # Safety
///
/// As for [`tell`].
#[no_mangle]
unsafe extern "C" fn dm_bond_path_restored(
    path: *mut bindings::dm_bond_path,
    flags: c_uint,
    instead: *mut bindings::dm_bond_path,
) {
    // SAFETY: By this function's contract.
    unsafe { tell(path, flags, instead, false) };
}
