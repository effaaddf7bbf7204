// SPDX-License-Identifier: GPL-2.0-only

//! What the address of an NVMe over Fabrics controller says.

use crate::address::{host_iface, traddr};
use crate::policy::table::Dest;
use proptest::{collection::vec, prelude::*};

const TCP: &[u8] = b"traddr=192.0.2.1,trsvcid=4420,host_iface=eth1,src_addr=192.0.2.7";

#[test]
fn tcp_has_both() {
    assert_eq!(traddr(TCP), Some(&b"192.0.2.1"[..]));
    assert_eq!(host_iface(TCP), Some(&b"eth1"[..]));
}

#[test]
fn what_is_not_there_is_not_found() {
    assert_eq!(host_iface(b"traddr=192.0.2.1,trsvcid=4420"), None);
    assert_eq!(traddr(b"trsvcid=4420,host_iface=eth1"), None);
    for nothing in [
        &b""[..],
        b",",
        b"traddr",
        b"traddr=",
        b"host_iface=,traddr=",
        b"=",
    ] {
        assert_eq!((host_iface(nothing), traddr(nothing)), (None, None));
    }
}

#[test]
fn a_field_is_known_by_its_whole_name() {
    let address = b"host_traddr=192.0.2.7,traddr=192.0.2.1,host_iface_alt=eth9,host_iface=eth1";
    assert_eq!(traddr(address), Some(&b"192.0.2.1"[..]));
    assert_eq!(host_iface(address), Some(&b"eth1"[..]));
    assert_eq!(traddr(b"host_traddr=192.0.2.7"), None);
}

#[test]
fn an_ipv6_address_loses_its_scope() {
    assert_eq!(
        traddr(b"traddr=fe80::1%eth1,trsvcid=4420"),
        Some(&b"fe80::1"[..])
    );
    assert_eq!(traddr(b"traddr=2001:db8::1"), Some(&b"2001:db8::1"[..]));
}

#[test]
fn of_fibre_channel_it_is_the_ports_name() {
    let port =
        traddr(b"traddr=nn-0x1000000044001123:pn-0x2000000055001123,host_traddr=nn-0x1:pn-0x2");
    assert_eq!(port, Some(&b"0x2000000055001123"[..]));
    assert_eq!(
        Dest::parse(port.unwrap()),
        Some(Dest::Wwpn(0x2000_0000_5500_1123))
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read(address in vec(any::<u8>(), 0..100)) {
        let _ = (host_iface(&address), traddr(&address));
    }

    #[test]
    fn any_ip_address_is_a_destination(
        ip in any::<std::net::IpAddr>(),
        netdev in "[a-z0-9.@-]{1,15}",
        before in any::<bool>(),
    ) {
        let (traddr_, iface) = (format!("traddr={ip}"), format!("host_iface={netdev}"));
        let address = match before {
            true => format!("{iface},trsvcid=4420,{traddr_}"),
            false => format!("{traddr_},trsvcid=4420,{iface}"),
        };
        prop_assert_eq!(host_iface(address.as_bytes()), Some(netdev.as_bytes()));
        let dest = traddr(address.as_bytes()).and_then(Dest::parse);
        prop_assert_eq!(dest, Some(Dest::Ip(ip)));
    }
}
