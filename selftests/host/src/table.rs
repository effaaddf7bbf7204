// SPDX-License-Identifier: GPL-2.0-only

//! What a table line means.

use crate::policy::table::{
    number, Dest, Fault, Features, Head, PathLine, Policy, Reader, Time, MAX_MS, MAX_PATHS, TIMES,
};
use proptest::{collection::vec, option, prelude::*};
use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The words between single spaces.
fn words(line: &[u8]) -> Vec<CString> {
    line.split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .map(|word| CString::new(word).unwrap())
        .collect()
}

/// Reads a line as the target does.
fn read(words: &[CString]) -> Result<(Head, Vec<PathLine<'_>>), Fault<'_>> {
    let mut reader = Reader::new(words.iter().map(CString::as_c_str));
    let head = reader.head()?;
    let paths = (0..head.paths)
        .map(|_| reader.path())
        .collect::<Result<_, _>>()?;
    reader.end()?;
    Ok((head, paths))
}

fn error_of(line: &[u8]) -> Option<String> {
    read(&words(line)).err().map(|fault| fault.to_string())
}

/// Reads a line of one path with this argument.
fn with_path_argument<T>(
    argument: &str,
    look: impl FnOnce(PathLine<'_>) -> T,
) -> Result<T, String> {
    let words = words(format!("0 static 0 1 a 1 {argument}").as_bytes());
    let (_, mut paths) = read(&words).map_err(|fault| fault.to_string())?;
    Ok(look(paths.remove(0)))
}

fn dest(text: &str) -> Option<Dest> {
    with_path_argument(&format!("dest:{text}"), |path| path.dest)
        .ok()
        .flatten()
}

/// These, with those times that are features in the order of [`TIMES`].
fn features(queue_if_no_path: bool, times: [u32; 5]) -> Features {
    let mut features = Features::default();
    features.queue_if_no_path = queue_if_no_path;
    let all = [
        Time::NoPathTimeout,
        Time::Probe,
        Time::Abort,
        Time::Stall,
        Time::WriteHold,
    ];
    for (time, ms) in all.into_iter().zip(times) {
        features.set_ms(time, ms.to_string().as_bytes()).unwrap();
    }
    features
}

fn written(features: &Features) -> String {
    let mut text = String::new();
    features.write(&mut text).unwrap();
    text
}

/// Lines that mean nothing, and what is said of each.
#[rustfmt::skip]
const MALFORMED: &[(&[u8], &str)] = &[
    // Too short.
    (b"", "number of features missing"),
    (b"1", "feature missing"),
    (b"2 queue_if_no_path", "feature missing"),
    (b"0", "policy missing"),
    (b"1 queue_if_no_path", "policy missing"),
    (b"0 static", "number of policy arguments missing"),
    (b"0 static 1", "policy argument missing"),
    (b"0 static 0", "number of paths missing"),
    (b"0 static 0 1", "path device missing"),
    (b"0 static 0 1 a", "number of path arguments missing"),
    (b"0 static 0 1 a 1", "path argument missing"),
    (b"0 static 0 1 a 2 share:1", "path argument missing"),
    (b"0 static 0 2 a 0", "path device missing"),
    (b"0 static 0 2 a 0 b", "number of path arguments missing"),
    // Too long.
    (b"0 static 0 1 a 0 b", "extra word 'b'"),
    (b"0 static 0 1 a 0 b 0", "extra word 'b'"),
    (b"0 static 0 1 a 0 share:1", "extra word 'share:1'"),
    (b"0 static 0 1 a 1 share:1 \xff\x01'", "extra word '\\xff\\x01\\''"),
    // The features' number.
    (b"x static 0 1 a 0", "number of features: 'x' is not a number"),
    (b"static 0 1 a 0", "number of features: 'static' is not a number"),
    (b"-1 static 0 1 a 0", "number of features: '-1' is not a number"),
    (b"+1 queue_if_no_path static 0 1 a 0", "number of features: '+1' is not a number"),
    (b"0x1 queue_if_no_path static 0 1 a 0", "number of features: '0x1' is not a number"),
    (b"1.0 queue_if_no_path static 0 1 a 0", "number of features: '1.0' is not a number"),
    (b"10 static 0 1 a 0", "number of features: 10 is not in 0..9"),
    (b"4294967296 static 0 1 a 0", "number of features: 4294967296 is not in 0..9"),
    (b"\xd9\xa1 static 0 1 a 0", "number of features: '\\xd9\\xa1' is not a number"),
    // Features.
    (b"1 queue static 0 1 a 0", "unknown feature 'queue'"),
    (b"1 QUEUE_IF_NO_PATH static 0 1 a 0", "unknown feature 'QUEUE_IF_NO_PATH'"),
    (b"1 queue_if_no_path: static 0 1 a 0", "unknown feature 'queue_if_no_path:'"),
    (b"1 queue_if_no_path:1 static 0 1 a 0", "unknown feature 'queue_if_no_path:1'"),
    (b"1 queue_if_no_path\xff static 0 1 a 0", "unknown feature 'queue_if_no_path\\xff'"),
    (b"1 probe_ms static 0 1 a 0", "unknown feature 'probe_ms'"),
    (b"1 : static 0 1 a 0", "unknown feature ':'"),
    (b"1 :5 static 0 1 a 0", "unknown feature ':5'"),
    (b"2 queue_if_no_path static 0 1 a 0", "unknown feature 'static'"),
    (b"2 queue_if_no_path queue_if_no_path static 0 1 a 0",
     "feature 'queue_if_no_path' given twice"),
    (b"2 probe_ms:1 probe_ms:2 static 0 1 a 0", "feature 'probe_ms' given twice"),
    (b"2 no_path_timeout_ms:0 no_path_timeout_ms:0 static 0 1 a 0",
     "feature 'no_path_timeout_ms' given twice"),
    (b"1 probe_ms: static 0 1 a 0", "probe_ms: '' is not a number"),
    (b"1 probe_ms::1 static 0 1 a 0", "probe_ms: ':1' is not a number"),
    (b"1 probe_ms:0 static 0 1 a 0", "probe_ms: 0 is not in 1..86400000"),
    (b"1 probe_ms:-1 static 0 1 a 0", "probe_ms: '-1' is not a number"),
    (b"1 probe_ms:1s static 0 1 a 0", "probe_ms: '1s' is not a number"),
    (b"1 probe_ms:86400001 static 0 1 a 0", "probe_ms: 86400001 is not in 1..86400000"),
    (b"1 probe_ms:4294967297 static 0 1 a 0", "probe_ms: 4294967297 is not in 1..86400000"),
    (b"1 abort_ms static 0 1 a 0", "unknown feature 'abort_ms'"),
    (b"1 abort_ms: static 0 1 a 0", "abort_ms: '' is not a number"),
    (b"1 abort_ms:-1 static 0 1 a 0", "abort_ms: '-1' is not a number"),
    (b"1 abort_ms:86400001 static 0 1 a 0", "abort_ms: 86400001 is not in 0..86400000"),
    (b"1 abort_ms:4294967296 static 0 1 a 0", "abort_ms: 4294967296 is not in 0..86400000"),
    (b"2 abort_ms:50 abort_ms:50 static 0 1 a 0", "feature 'abort_ms' given twice"),
    (b"1 no_path_timeout_ms:86400001 static 0 1 a 0",
     "no_path_timeout_ms: 86400001 is not in 0..86400000"),
    (b"1 no_path_timeout_ms:18446744073709551616 static 0 1 a 0",
     "no_path_timeout_ms: 18446744073709551616 is not in 0..86400000"),
    (b"1 no_path_timeout_ms:never static 0 1 a 0", "no_path_timeout_ms: 'never' is not a number"),
    (b"1 max_commands static 0 1 a 0", "unknown feature 'max_commands'"),
    (b"1 max_commands: static 0 1 a 0", "max_commands: '' is not a number"),
    (b"1 max_commands:-1 static 0 1 a 0", "max_commands: '-1' is not a number"),
    (b"1 max_commands:1000001 static 0 1 a 0", "max_commands: 1000001 is not in 0..1000000"),
    (b"2 max_commands:8 max_commands:8 static 0 1 a 0", "feature 'max_commands' given twice"),
    (b"1 interval_ms:50 static 0 1 a 0", "unknown feature 'interval_ms:50'"),
    (b"1 stall_ms static 0 1 a 0", "unknown feature 'stall_ms'"),
    (b"1 stall_ms:86400001 static 0 1 a 0", "stall_ms: 86400001 is not in 0..86400000"),
    (b"2 stall_ms:1 stall_ms:1 static 0 1 a 0", "feature 'stall_ms' given twice"),
    (b"1 write_hold_ms:-9 static 0 1 a 0", "write_hold_ms: '-9' is not a number"),
    // The policy.
    (b"0 round-robin 0 1 a 0", "unknown policy 'round-robin'"),
    (b"0 Static 0 1 a 0", "unknown policy 'Static'"),
    (b"0 stati 0 1 a 0", "unknown policy 'stati'"),
    (b"0 static\xc3\xa9 0 1 a 0", "unknown policy 'static\\xc3\\xa9'"),
    (b"0 0 1 a 0", "unknown policy '0'"),
    (b"0 dynamic 1 1 a 0", "unknown policy argument '1'"),
    (b"0 dynamic 1 interval_ms 1 a 0", "unknown policy argument 'interval_ms'"),
    (b"0 dynamic 1 interval_ms: 1 a 0", "interval_ms: '' is not a number"),
    (b"0 dynamic 1 interval_ms:9 1 a 0", "interval_ms: 9 is not in 10..86400000"),
    (b"0 dynamic 1 interval_ms:86400001 1 a 0", "interval_ms: 86400001 is not in 10..86400000"),
    (b"0 dynamic 2 interval_ms:50 interval_ms:60 1 a 0",
     "policy argument 'interval_ms' given twice"),
    (b"0 static 1 interval_ms:50 1 a 0", "unknown policy argument 'interval_ms:50'"),
    (b"0 adapter-hash 1 interval_ms:50 1 a 0", "unknown policy argument 'interval_ms:50'"),
    (b"0 adapter 0 1 a 0", "unknown policy 'adapter'"),
    (b"0 static one 1 a 0", "number of policy arguments: 'one' is not a number"),
    (b"0 static 10 1 a 0", "number of policy arguments: 10 is not in 0..9"),
    (b"0 static 1 interval_ms:50 1 a 0", "unknown policy argument 'interval_ms:50'"),
    (b"0 primary 9 a b c d e f g h i 1 a 0", "unknown policy argument 'a'"),
    // The paths' number.
    (b"0 static 0 0", "number of paths: 0 is not in 1..64"),
    (b"0 static 0 65 a 0", "number of paths: 65 is not in 1..64"),
    (b"0 static 0 -1 a 0", "number of paths: '-1' is not a number"),
    (b"0 static 0 a 0", "number of paths: 'a' is not a number"),
    (b"0 static 0 4294967297 a 0", "number of paths: 4294967297 is not in 1..64"),
    // A path's arguments.
    (b"0 static 0 1 a b", "number of path arguments: 'b' is not a number"),
    (b"0 static 0 2 a b 0", "number of path arguments: 'b' is not a number"),
    (b"0 static 0 1 a 10", "number of path arguments: 10 is not in 0..9"),
    (b"0 static 0 1 a 1 weight:1", "unknown path argument 'weight:1'"),
    (b"0 static 0 1 a 1 share", "unknown path argument 'share'"),
    (b"0 static 0 1 a 1 Share:1", "unknown path argument 'Share:1'"),
    (b"0 static 0 1 a 1 \x80:1", "unknown path argument '\\x80:1'"),
    (b"0 static 0 2 a 1 b 0", "unknown path argument 'b'"),
    (b"0 static 0 1 a 2 share:1 share:1", "path argument 'share' given twice"),
    (b"0 static 0 1 a 3 share:1 netdev:x netdev:x", "path argument 'netdev' given twice"),
    (b"0 static 0 1 a 2 dest:::1 dest:::1", "path argument 'dest' given twice"),
    // Shares.
    (b"0 static 0 1 a 1 share:", "share: '' is not a number"),
    (b"0 static 0 1 a 1 share:0", "share: 0 is not in 1..1000"),
    (b"0 static 0 1 a 1 share:1001", "share: 1001 is not in 1..1000"),
    (b"0 static 0 1 a 1 share:-1", "share: '-1' is not a number"),
    (b"0 static 0 1 a 1 share:50%", "share: '50%' is not a number"),
    (b"0 static 0 1 a 1 share:4294967295", "share: 4294967295 is not in 1..1000"),
    (b"0 static 0 1 a 1 share:4294967296", "share: 4294967296 is not in 1..1000"),
    (b"0 static 0 2 a 0 b 1 share:0", "share: 0 is not in 1..1000"),
    // Network devices.
    (b"0 static 0 1 a 1 netdev:", "netdev: '' cannot be a name"),
    (b"0 static 0 1 a 1 netdev:.", "netdev: '.' cannot be a name"),
    (b"0 static 0 1 a 1 netdev:..", "netdev: '..' cannot be a name"),
    (b"0 static 0 1 a 1 netdev:a/b", "netdev: 'a/b' cannot be a name"),
    (b"0 static 0 1 a 1 netdev:eth0:1", "netdev: 'eth0:1' cannot be a name"),
    (b"0 static 0 1 a 1 netdev:a\tb", "netdev: 'a\\tb' cannot be a name"),
    (b"0 static 0 1 a 1 netdev:a\x0bb", "netdev: 'a\\x0bb' cannot be a name"),
    (b"0 static 0 1 a 1 netdev:a\xa0b", "netdev: 'a\\xa0b' cannot be a name"),
    (b"0 static 0 1 a 1 netdev:sixteen-letters-", "netdev: 'sixteen-letters-' cannot be a name"),
    // Addresses.
    (b"0 static 0 1 a 1 dest:", "dest: '' is not an address"),
    (b"0 static 0 1 a 1 dest:localhost", "dest: 'localhost' is not an address"),
    (b"0 static 0 1 a 1 dest:192.0.2.256", "dest: '192.0.2.256' is not an address"),
    (b"0 static 0 1 a 1 dest:192.0.2", "dest: '192.0.2' is not an address"),
    (b"0 static 0 1 a 1 dest:192.0.2.1:4420", "dest: '192.0.2.1:4420' is not an address"),
    (b"0 static 0 1 a 1 dest:2001:db8:::1", "dest: '2001:db8:::1' is not an address"),
    (b"0 static 0 1 a 1 dest:fe80::1%eth0", "dest: 'fe80::1%eth0' is not an address"),
    (b"0 static 0 1 a 1 dest:[::1]", "dest: '[::1]' is not an address"),
    (b"0 static 0 1 a 1 dest:0x", "dest: '0x' is not an address"),
    (b"0 static 0 1 a 1 dest:0x500a09801234567", "dest: '0x500a09801234567' is not an address"),
    (b"0 static 0 1 a 1 dest:0x500a0980123456789", "dest: '0x500a0980123456789' is not an address"),
    (b"0 static 0 1 a 1 dest:0x500a09801234567g", "dest: '0x500a09801234567g' is not an address"),
    (b"0 static 0 1 a 1 dest:500a098012345678", "dest: '500a098012345678' is not an address"),
    (b"0 static 0 1 a 1 dest:50:0a:09:80:12:34:56:7g",
     "dest: '50:0a:09:80:12:34:56:7g' is not an address"),
    (b"0 static 0 1 a 1 dest:50:0a:09:80:12:34:56",
     "dest: '50:0a:09:80:12:34:56' is not an address"),
    (b"0 static 0 1 a 1 dest:0:1:2:3:4:5:6:7:8:9:a:b",
     "dest: '0:1:2:3:4:5:6:7:8:9:a:b' is not an address"),
    (b"0 static 0 1 a 1 dest:\xff\xfe", "dest: '\\xff\\xfe' is not an address"),
];

#[test]
fn malformed_lines_are_refused_with_the_fault_named() {
    for (line, error) in MALFORMED {
        assert_eq!(
            error_of(line).as_deref(),
            Some(*error),
            "'{}'",
            line.escape_ascii()
        );
    }
}

#[test]
fn a_whole_line_is_read() {
    let words = words(
        b"6 queue_if_no_path no_path_timeout_ms:5000 probe_ms:200 abort_ms:0 stall_ms:0 \
          write_hold_ms:3000 primary 0 3 \
          /dev/nvme0n1 3 netdev:eth1 share:800 dest:192.0.2.1 \
          /dev/nvme1n1 1 dest:2001:db8::1 \
          8:16 0",
    );
    let (head, paths) = read(&words).unwrap();
    let features = features(true, [5000, 200, 0, 0, 3000]);
    assert_eq!(
        head,
        Head {
            features,
            policy: Policy::Primary,
            paths: 3
        }
    );
    let bare = |device| PathLine {
        device,
        netdev: None,
        share: None,
        dest: None,
    };
    assert_eq!(
        paths,
        [
            PathLine {
                netdev: Some(c"eth1"),
                share: Some(800),
                dest: Some(Dest::Ip(Ipv4Addr::new(192, 0, 2, 1).into())),
                ..bare(c"/dev/nvme0n1")
            },
            PathLine {
                dest: Some(Dest::Ip(
                    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()
                )),
                ..bare(c"/dev/nvme1n1")
            },
            bare(c"8:16"),
        ]
    );
}

#[test]
fn what_is_not_given_is_as_documented() {
    let words = words(b"0 static 0 1 a 0");
    let features = features(false, [0, 1000, 50, 2000, 0]);
    assert_eq!(features, Features::default());
    assert_eq!(
        read(&words).unwrap().0,
        Head {
            features,
            policy: Policy::Static,
            paths: 1
        }
    );
}

#[test]
fn there_are_up_to_64_paths() {
    let line = |paths| format!("0 static 0 {paths}{}", " a 0".repeat(paths));
    assert_eq!(error_of(line(1).as_bytes()), None);
    assert_eq!(error_of(line(MAX_PATHS).as_bytes()), None);
    assert_eq!(
        error_of(line(MAX_PATHS + 1).as_bytes()).as_deref(),
        Some("number of paths: 65 is not in 1..64")
    );
}

#[test]
fn a_line_cut_off_anywhere_lacks_something() {
    let line = b"2 queue_if_no_path probe_ms:5 static 0 2 a 2 netdev:x share:1 b 1 dest:::1";
    let words = words(line);
    assert!(read(&words).is_ok());
    for count in 0..words.len() {
        assert!(
            matches!(read(&words[..count]), Err(Fault::Missing(_))),
            "{count} words"
        );
    }
}

#[test]
fn the_longest_netdev_name_has_15_bytes() {
    let name = "fifteen-letters";
    let read = |name| {
        with_path_argument(&format!("netdev:{name}"), |path| {
            path.netdev == Some(c"fifteen-letters")
        })
    };
    assert_eq!(read(name), Ok(true));
    assert!(read("sixteen-letters-").is_err());
}

#[test]
fn a_netdev_name_has_no_space() {
    // No line split at its spaces has this word, but one with an escaped space has.
    let mut words = words(b"0 static 0 1 a 1");
    words.push(c"netdev:a b".into());
    assert_eq!(read(&words), Err(Fault::NoName("netdev", b"a b")));
}

#[test]
fn policies_have_names_and_numbers() {
    for policy in [
        Policy::Static,
        Policy::Primary,
        Policy::Dynamic,
        Policy::AdapterHash,
        Policy::AdapterLoad,
    ] {
        assert_eq!(Policy::named(policy.name().as_bytes()), Ok(policy));
        assert_eq!(Policy::from_u8(policy as u8), policy);
    }
    assert_eq!(Policy::from_u8(u8::MAX), Policy::Static);
}

#[test]
fn a_policy_is_written_with_its_arguments() {
    let written = |features: &Features, policy| {
        let mut text = String::new();
        features.write_policy(policy, &mut text).unwrap();
        text
    };
    let mut features = Features::default();
    assert_eq!(written(&features, Policy::Dynamic), "dynamic 0");
    features
        .set_policy_arg(Policy::Dynamic, b"interval_ms:50")
        .unwrap();
    assert_eq!(
        written(&features, Policy::Dynamic),
        "dynamic 1 interval_ms:50"
    );
    assert_eq!(written(&features, Policy::Static), "static 0");
    let line = words(b"0 dynamic 1 interval_ms:50 1 a 0");
    assert_eq!(read(&line).unwrap().0.features, features);
    let before = features;
    for bad in [&b"interval_ms:9"[..], b"interval_ms", b"share:5", b""] {
        assert!(features.set_policy_arg(Policy::Dynamic, bad).is_err());
        assert_eq!(features, before);
    }
}

#[test]
fn features_are_written_only_if_they_are_not_as_by_default() {
    assert_eq!(written(&Features::default()), "0");
    assert_eq!(
        written(&features(true, [1, 2, 3, 4, 5])),
        "6 queue_if_no_path no_path_timeout_ms:1 probe_ms:2 abort_ms:3 stall_ms:4 write_hold_ms:5"
    );
    let late = features(false, [0, MAX_MS, 50, 2000, 0]);
    assert_eq!(written(&late), "1 probe_ms:86400000");
    let never = features(false, [0, 1000, 0, 0, 0]);
    assert_eq!(written(&never), "2 abort_ms:0 stall_ms:0");
    let mut limited = features(true, [0, 1000, 50, 2000, 0]);
    limited.set_max_commands(b"7").unwrap();
    assert_eq!(written(&limited), "2 queue_if_no_path max_commands:7");
    limited.set_max_commands(b"0").unwrap();
    assert_eq!(written(&limited), "1 queue_if_no_path");
    // An argument of a policy is no feature.
    limited.set_ms(Time::Interval, b"50").unwrap();
    assert_eq!(written(&limited), "1 queue_if_no_path");
}

#[test]
fn a_time_that_cannot_be_changes_nothing() {
    let mut features = Features::default();
    for text in [&b""[..], b"-1", b"0", b"86400001"] {
        assert!(features.set_ms(Time::Probe, text).is_err());
        assert_eq!(features, Features::default());
    }
    features.set_ms(Time::Stall, b"0").unwrap();
    assert_eq!(features.ms(Time::Stall), 0);
    assert_eq!(features.ms(Time::Probe), 1000);
}

#[test]
fn an_address_of_eight_groups_of_two_digits_is_read_back() {
    let text = "0050:001a:0019:0080:0012:0034:0056:0078";
    let address = dest(text).unwrap();
    assert_eq!(address, Dest::Ip(text.parse().unwrap()));
    assert_eq!(dest(&address.to_string()), Some(address));
}

fn any_features() -> impl Strategy<Value = Features> {
    let time = |least| {
        prop_oneof![
            least..=MAX_MS,
            Just(least),
            Just(MAX_MS),
            Just(1000),
            Just(50)
        ]
    };
    let times: [_; 5] = core::array::from_fn(|number| time(TIMES[number].1));
    (any::<bool>(), times).prop_map(|(queue, times)| features(queue, times))
}

fn any_dest() -> impl Strategy<Value = Dest> {
    prop_oneof![
        any::<IpAddr>().prop_map(Dest::Ip),
        any::<u64>().prop_map(Dest::Wwpn)
    ]
}

type Path = (String, Option<String>, Option<u32>, Option<Dest>);

fn any_path() -> impl Strategy<Value = Path> {
    let netdev = "[!-.0-9;-~]{1,15}".prop_filter("no name", |name| name != "." && name != "..");
    (
        "/dev/[a-z0-9]{1,9}|[0-9]{1,3}:[0-9]{1,6}",
        option::of(netdev),
        option::of(1..=1000u32),
        option::of(any_dest()),
    )
}

/// The words that say so, with the arguments in this order or the other way round.
fn path_words((device, netdev, share, dest): &Path, reverse: bool) -> String {
    let mut arguments: Vec<String> = netdev
        .iter()
        .map(|name| format!(" netdev:{name}"))
        .chain(share.map(|share| format!(" share:{share}")))
        .chain(dest.map(|dest| format!(" dest:{dest}")))
        .collect();
    if reverse {
        arguments.reverse();
    }
    format!(" {device} {}{}", arguments.len(), arguments.concat())
}

/// Words that get far, mixed with any bytes.
fn any_word() -> impl Strategy<Value = CString> {
    let known = prop::sample::select(vec![
        "0",
        "1",
        "2",
        "64",
        "static",
        "primary",
        "queue_if_no_path",
        "probe_ms:7",
        "abort_ms:0",
        "stall_ms:100",
        "write_hold_ms:1",
        "a",
        "share:1",
        "netdev:x",
        "dest:::1",
        "dest:0x",
        "dest:0:0:0:0:0:0:0:0:0:0:0:0",
    ]);
    let prefix = prop::sample::select(vec![
        "",
        "share:",
        "netdev:",
        "dest:",
        "dest:0x",
        "probe_ms:",
    ]);
    let bytes = (prefix, vec(1..=u8::MAX, 0..30))
        .prop_map(|(prefix, bytes)| [prefix.as_bytes(), &bytes].concat());
    prop_oneof![3 => known.prop_map(|word| word.as_bytes().to_vec()), 1 => bytes]
        .prop_map(|word| CString::new(word).unwrap())
}

proptest! {
    #[test]
    fn a_line_that_is_written_is_read(
        features in any_features(),
        policy in prop_oneof![Just(Policy::Static), Just(Policy::Primary)],
        given in vec(any_path(), 1..=MAX_PATHS),
        reverse in any::<bool>(),
    ) {
        let paths: String = given.iter().map(|path| path_words(path, reverse)).collect();
        let line = format!("{} {} 0 {}{paths}", written(&features), policy.name(), given.len());
        let words = words(line.as_bytes());
        let (head, paths) = read(&words).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(head, Head { features, policy, paths: given.len() });
        for (path, (device, netdev, share, dest)) in paths.iter().zip(&given) {
            let text = |word: &CStr| word.to_str().unwrap().to_owned();
            prop_assert_eq!(&text(path.device), device);
            prop_assert_eq!(&path.netdev.map(text), netdev);
            prop_assert_eq!(path.share, *share);
            prop_assert_eq!(path.dest, *dest);
        }
    }

    #[test]
    fn any_words_are_read_or_refused(words in vec(any_word(), 0..40)) {
        if let Err(fault) = read(&words) {
            let text = fault.to_string();
            prop_assert!(!text.is_empty() && text.is_ascii(), "{}", text);
            prop_assert!(!text.contains(|letter: char| letter.is_ascii_control()), "{}", text);
        }
    }

    #[test]
    fn any_words_after_a_head_are_read_or_refused(words in vec(any_word(), 0..40)) {
        let mut reader = Reader::new(words.iter().map(CString::as_c_str));
        while let Ok(path) = reader.path() {
            prop_assert!(words.iter().any(|word| word.as_c_str() == path.device));
        }
    }

    #[test]
    fn any_number_is_read(value in any::<u32>(), zeros in 0..20usize) {
        let text = format!("{}{value}", "0".repeat(zeros));
        prop_assert_eq!(number("n", text.as_bytes(), 0, u32::MAX), Ok(value));
    }

    #[test]
    fn a_number_is_within_its_range(
        value in any::<u32>(),
        least in any::<u32>(),
        most in any::<u32>(),
    ) {
        let text = value.to_string();
        let expected = if least <= value && value <= most {
            Ok(value)
        } else {
            Err(Fault::Range("n", text.as_bytes(), least, most))
        };
        prop_assert_eq!(number("n", text.as_bytes(), least, most), expected);
    }

    #[test]
    fn any_number_too_large_is_out_of_range(value in u64::from(u32::MAX) + 1..) {
        let text = value.to_string();
        let fault = Fault::Range("n", text.as_bytes(), 0, u32::MAX);
        prop_assert_eq!(number("n", text.as_bytes(), 0, u32::MAX), Err(fault));
    }

    #[test]
    fn any_destination_that_is_written_is_read(address in any_dest()) {
        prop_assert_eq!(dest(&address.to_string()), Some(address));
    }

    #[test]
    fn any_port_name_is_read_in_both_forms(name in any::<u64>()) {
        let groups = name.to_be_bytes().map(|byte| format!("{byte:02x}")).join(":");
        prop_assert_eq!(dest(&groups), Some(Dest::Wwpn(name)));
        prop_assert_eq!(dest(&format!("{name:#018X}").replace("0X", "0x")), Some(Dest::Wwpn(name)));
    }
}
