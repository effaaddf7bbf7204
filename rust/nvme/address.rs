// SPDX-License-Identifier: GPL-2.0-only

//! The address of an NVMe over Fabrics controller, as its file `address` in sysfs shows it:
//! `traddr=192.0.2.1,trsvcid=4420,host_iface=eth1,src_addr=192.0.2.7`.

/// The network device that the connection was bound to.
pub(crate) fn host_iface(address: &[u8]) -> Option<&[u8]> {
    field(address, b"host_iface")
}

/// The address of the storage: an IP address without a scope, or of Fibre Channel the port's name.
pub(crate) fn traddr(address: &[u8]) -> Option<&[u8]> {
    let traddr = field(address, b"traddr")?;
    // Fibre Channel: nn-0x1000000044001123:pn-0x2000000055001123
    let port = traddr.windows(3).position(|part| part == b"pn-");
    let address = port.map_or(traddr, |at| &traddr[at + 3..]);
    address.split(|&byte| byte == b'%').next()
}

fn field<'a>(address: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    address
        .split(|&byte| byte == b',')
        .find_map(|field| field.strip_prefix(name)?.strip_prefix(b"="))
        .filter(|value| !value.is_empty())
}
