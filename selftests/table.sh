#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Table lines: every one that is malformed is refused, the kernel's log names the very fault, and nothing is left
# behind; every feature and argument is taken, and the line that "dmsetup table" prints makes the same bond again.
. ./lib.sh
. ./paths.sh

SIZE=131072 # Sectors of the bond: 64 MiB.

need ip sfdisk sd_mod dummy
load_bond
disk='' small='' big='' a='' b='' bond='' other='' name=''
scratch disk 64
scratch small 32
scratch big 96
way a "$disk"
way b "$disk"
fresh name
net=dmb-table0
ip link add "$net" up type dummy
at_exit ip link del "$net"
log_mark

# left: sets LEFT to what there is of devices, adapters, uses of the module, holders of the two ways. No process is made,
# for it is looked at often.
left() {
	local devices adapters holders refs
	shopt -s nullglob
	devices=(/sys/block/dm-*)
	adapters=(/sys/module/dm_bond/adapters/*)
	holders=(/sys/block/{"${KNAME[$a]}","${KNAME[$b]}"}/holders/*)
	shopt -u nullglob
	read -r refs </sys/module/dm_bond/refcnt
	LEFT="devices:${#devices[@]} adapters:${#adapters[@]} references:$refs holders:${#holders[@]}"
}
left
CLEAN=$LEFT

# line_refused <what> <fault> <whole line>: not with a line of the bond's own, if the fault begins with "device-mapper".
line_refused() {
	local what=$1 fault=$2 line=$3 said text found=
	if said=$(dmsetup create "$name" --table "$line" 2>&1); then
		dmsetup remove "$name"
		fail "refused: $what"
		note "it was taken: $line"
		return
	fi
	log_read
	[[ $fault == device-mapper* ]] || fault="dm_bond: bond [0-9]+:[0-9]+: $fault"
	for text in "${LOG[@]}"; do
		[[ ! $text =~ ^($fault)$ ]] || found=yes
	done
	left
	if [ -n "$found" ]; then
		check_is "refused: $what" "$CLEAN" "$LEFT"
	else
		fail "refused, and the log says why: $what"
		note "the line was:    $line" "instead of:      $fault" "the log has:" "${LOG[@]}" "dmsetup said:    $said"
	fi
}
refused() { line_refused "$1" "$2" "0 $SIZE bond $3"; }
# Of the first path, whose arguments are given.
path_refused() { refused "$1" "path 1: $2" "0 static 0 1 $a $3"; }

# What comes before the paths.
refused "no arguments" "number of features missing" ""
refused "features that are no number" "number of features: 'x' is not a number" "x static 0 1 $a 0"
refused "a negative number of features" "number of features: '-1' is not a number" "-1 static 0 1 $a 0"
refused "ten features" "number of features: 10 is not in 0..9" "10 static 0 1 $a 0"
refused "2^32 features" "number of features: 4294967296 is not in 0..9" "4294967296 static 0 1 $a 0"
refused "2^64 + 1 features" "number of features: 18446744073709551617 is not in 0..9" \
	"18446744073709551617 static 0 1 $a 0"
refused "a feature that is not there" "feature missing" "1"
refused "fewer features than announced" "unknown feature 'static'" "2 queue_if_no_path static 0 1 $a 0"
refused "more features than announced" "unknown policy 'probe_ms:5'" "1 queue_if_no_path probe_ms:5 static 0 1 $a 0"
refused "an unknown feature" "unknown feature 'queue'" "1 queue static 0 1 $a 0"
refused "a feature in capitals" "unknown feature 'QUEUE_IF_NO_PATH'" "1 QUEUE_IF_NO_PATH static 0 1 $a 0"
refused "a feature that is not UTF-8" "unknown feature '.xff.xfe'" "1 "$'\xff\xfe'" static 0 1 $a 0"
refused "a feature twice" "feature 'queue_if_no_path' given twice" "2 queue_if_no_path queue_if_no_path static 0 1 $a 0"
refused "a feature with a value twice" "feature 'probe_ms' given twice" "2 probe_ms:5 probe_ms:6 static 0 1 $a 0"
refused "a value for a feature without one" "unknown feature 'queue_if_no_path:1'" "1 queue_if_no_path:1 static 0 1 $a 0"
refused "a feature without its value" "unknown feature 'probe_ms'" "1 probe_ms static 0 1 $a 0"
refused "a feature with an empty value" "probe_ms: '' is not a number" "1 probe_ms: static 0 1 $a 0"
refused "a negative time" "no_path_timeout_ms: '-1' is not a number" "1 no_path_timeout_ms:-1 static 0 1 $a 0"
refused "a time with a sign" "no_path_timeout_ms: '.1' is not a number" "1 no_path_timeout_ms:+1 static 0 1 $a 0"
refused "a hexadecimal time" "no_path_timeout_ms: '0x10' is not a number" "1 no_path_timeout_ms:0x10 static 0 1 $a 0"
refused "a broken time" "no_path_timeout_ms: '1.5' is not a number" "1 no_path_timeout_ms:1.5 static 0 1 $a 0"
refused "a time that is not UTF-8" "probe_ms: '1.x80' is not a number" "1 probe_ms:1"$'\x80'" static 0 1 $a 0"
refused "more than a day" "no_path_timeout_ms: 86400001 is not in 0..86400000" \
	"1 no_path_timeout_ms:86400001 static 0 1 $a 0"
refused "probes without a pause" "probe_ms: 0 is not in 1..86400000" "1 probe_ms:0 static 0 1 $a 0"
refused "more than a day for an abort" "abort_ms: 86400001 is not in 0..86400000" "1 abort_ms:86400001 static 0 1 $a 0"
refused "a time with a sign for an abort" "abort_ms: '-0' is not a number" "1 abort_ms:-0 static 0 1 $a 0"
refused "two times for an abort" "feature 'abort_ms' given twice" "2 abort_ms:50 abort_ms:50 static 0 1 $a 0"
refused "a time of 2^32 + 5" "probe_ms: 4294967301 is not in 1..86400000" "1 probe_ms:4294967301 static 0 1 $a 0"
refused "max_commands out of its range" "max_commands: 1000001 is not in 0..1000000" \
	"1 max_commands:1000001 static 0 1 $a 0"
refused "an interval too short" "interval_ms: 9 is not in 10..86400000" "0 dynamic 1 interval_ms:9 1 $a 0"
refused "an argument of another policy" "unknown policy argument 'interval_ms:50'" "0 static 1 interval_ms:50 1 $a 0"
for feature in stall_ms write_hold_ms; do
	refused "$feature without a time" "unknown feature '$feature'" "1 $feature static 0 1 $a 0"
	refused "$feature of more than a day" "$feature: 86400001 is not in 0..86400000" "1 $feature:86400001 static 0 1 $a 0"
	refused "$feature with a sign" "$feature: '-1' is not a number" "1 $feature:-1 static 0 1 $a 0"
	refused "$feature twice" "feature '$feature' given twice" "2 $feature:1 $feature:1 static 0 1 $a 0"
done
refused "no policy" "policy missing" "0"
refused "an unknown policy" "unknown policy 'round-robin'" "0 round-robin 0 1 $a 0"
refused "a policy in capitals" "unknown policy 'Static'" "0 Static 0 1 $a 0"
refused "a policy that is not UTF-8" "unknown policy 'st.xe4tic'" "0 st"$'\xe4'"tic 0 1 $a 0"
for policy in adapter-hash adapter-load; do
	refused "$policy without adapters" "policy '$policy': path 1: its adapter is not known; name it with netdev:" "0 $policy 0 1 $a 0"
done
refused "adapter-hash without addresses" "policy 'adapter-hash': path 1: its destination is not known; name it with dest:" \
	"0 adapter-hash 0 1 $a 1 netdev:lo"
refused "no number of policy arguments" "number of policy arguments missing" "0 static"
refused "policy arguments that are no number" "number of policy arguments: '/.*' is not a number" "0 static $a 0"
refused "ten policy arguments" "number of policy arguments: 10 is not in 0..9" "0 static 10 1 $a 0"
refused "a policy argument that is not there" "policy argument missing" "0 static 1"
refused "an argument for a policy without any" "unknown policy argument 'interval_ms:50'" \
	"0 static 1 interval_ms:50 1 $a 0"
refused "no number of paths" "number of paths missing" "0 static 0"
refused "no path" "number of paths: 0 is not in 1..64" "0 static 0 0"
refused "a negative number of paths" "number of paths: '-1' is not a number" "0 static 0 -1 $a 0"
refused "paths that are no number" "number of paths: 'two' is not a number" "0 static 0 two $a 0 $b 0"
refused "2^32 + 1 paths" "number of paths: 4294967297 is not in 1..64" "0 static 0 4294967297 $a 0"
refused "65 paths" "number of paths: 65 is not in 1..64" "0 static 0 65$(printf " $a 0%.0s" {1..65})"

# The paths.
refused "no device" "path 1: path device missing" "0 static 0 1"
refused "fewer paths than announced" "path 2: path device missing" "0 static 0 2 $a 0"
refused "more paths than announced" "extra word '$b'" "0 static 0 1 $a 0 $b 0"
refused "an extra word" "extra word 'more'" "0 static 0 2 $a 0 $b 0 more"
refused "an extra word that is not UTF-8" "extra word '.xc3[(]'" "0 static 0 1 $a 0 "$'\xc3('
path_refused "no number of arguments" "number of path arguments missing" ""
path_refused "arguments that are no number" "number of path arguments: 'share:5' is not a number" "share:5"
path_refused "a negative number of arguments" "number of path arguments: '-2' is not a number" "-2 share:5"
path_refused "ten arguments" "number of path arguments: 10 is not in 0..9" "10 share:5"
path_refused "an argument that is not there" "path argument missing" "1"
path_refused "an unknown argument" "unknown path argument 'weight:5'" "1 weight:5"
path_refused "an argument without its value" "unknown path argument 'netdev'" "1 netdev"
path_refused "an argument that is not UTF-8" "unknown path argument '.xf0.x9f'" "1 "$'\xf0\x9f'
refused "a fault of the second path" "path 2: unknown path argument 'x'" "0 static 0 2 $a 0 $b 1 x"
path_refused "a netdev without a name" "netdev: '' cannot be a name" "1 netdev:"
path_refused "a netdev named like a directory" "netdev: '[.]' cannot be a name" "1 netdev:."
path_refused "a netdev named like its parent" "netdev: '[.][.]' cannot be a name" "1 netdev:.."
path_refused "a netdev with a slash" "netdev: '[.][.]/eth1' cannot be a name" "1 netdev:../eth1"
path_refused "a netdev with a colon" "netdev: 'eth1:0' cannot be a name" "1 netdev:eth1:0"
path_refused "a netdev's name of 16 bytes" "netdev: 'abcdefghijklmnop' cannot be a name" "1 netdev:abcdefghijklmnop"
path_refused "a netdev that is not there" "no adapter for network device 'absent0': ENODEV" "1 netdev:absent0"
path_refused "a netdev that is not UTF-8 nor there" "no adapter for network device '.*': ENODEV" "1 netdev:"$'\xff'
path_refused "two netdevs" "path argument 'netdev' given twice" "2 netdev:$net netdev:$net"
path_refused "a share of 0" "share: 0 is not in 1..1000" "1 share:0"
path_refused "a share of 1001" "share: 1001 is not in 1..1000" "1 share:1001"
path_refused "a negative share" "share: '-5' is not a number" "1 share:-5"
path_refused "an empty share" "share: '' is not a number" "1 share:"
path_refused "a share in percent" "share: '50%' is not a number" "1 share:50%"
path_refused "a share of 2^32 + 1" "share: 4294967297 is not in 1..1000" "1 share:4294967297"
path_refused "two shares" "path argument 'share' given twice" "2 share:5 share:6"
for address in "" 192.0.2 192.0.2.256 192.0.2.1/24 192.0.2.1:4420 2001:db8::g fe80::1%eth0 1::2::3 storage.example \
	0x500a0980123456 0x500a0980123456789 0x500a09801234567g 50:0a:09:80:12:34:56 50:0a:09:80:12:34:56:7g $'1\xff'; do
	path_refused "the destination '$address'" "dest: '.*' is not an address" "1 dest:$address"
done
path_refused "two destinations" "path argument 'dest' given twice" "2 dest:192.0.2.1 dest:192.0.2.1"
refused "a fault after a path with a netdev" "path 2: share: 0 is not in 1..1000" \
	"0 static 0 2 $a 1 netdev:$net $b 1 share:0"

# The devices.
path_of() { echo "0 static 0 1 $1 0"; }
refused "a device that is not there" "path 1: device '/dev/absent' cannot be opened: E[A-Z]+" "$(path_of /dev/absent)"
refused "a directory" "path 1: device '/dev' cannot be opened: ENOTBLK" "$(path_of /dev)"
refused "a character device" "path 1: device '/dev/null' cannot be opened: ENOTBLK" "$(path_of /dev/null)"
refused "a number that no device has" "path 1: device '999:999' cannot be opened: E[A-Z]+" "$(path_of 999:999)"
refused "a word that is no device" "path 1: device 'disk' cannot be opened: E[A-Z]+" "$(path_of disk)"
refused "a device that is not UTF-8" "path 1: device '.*' cannot be opened: E[A-Z]+" "$(path_of /dev/$'\xff')"
refused "a device twice" "path 2: device '$a' \(${DEVT[$a]}\) is given twice" "0 static 0 2 $a 0 $a 0"
refused "a device twice, the second time by number" "path 2: device '${DEVT[$a]}' \(${DEVT[$a]}\) is given twice" \
	"0 static 0 2 $a 0 ${DEVT[$a]} 0"
refused "a device twice, not side by side" "path 3: device '$a' \(${DEVT[$a]}\) is given twice" \
	"0 static 0 3 $a 0 $b 0 $a 0"
refused "a device that is too small" "path 1: device '$small' has 65536 sectors, fewer than the table's $SIZE" \
	"0 static 0 1 $small 0"
refused "a second device that is too small" "path 2: device '$small' has 65536 sectors, fewer than the table's $SIZE" \
	"0 static 0 2 $a 0 $small 0"
refused "devices that differ in size" "path 2: device '$big' has 196608 sectors, but device '${KNAME[$a]}' has 131072" \
	"0 static 0 2 $a 0 $big 0"
line_refused "a table longer than the device" "path 1: device '$a' has 131072 sectors, fewer than the table's 131080" \
	"0 131080 bond 0 static 0 1 $a 0"
line_refused "a bond that does not begin at 0" "device-mapper: .*" "8 1024 bond 0 static 0 1 $a 0"
line_refused "a bond beside another target" "device-mapper: .*singleton.*|device-mapper: .*alone.*" \
	"0 1024 bond 0 static 0 1 $a 0
1024 1024 zero"

# A disk and its own only partition lead to different sectors.
check "a disk is partitioned" sfdisk -q "$big" <<<"start=2048, size=131072, type=83"
wait_for 5 test -b "${big}p1"
line_refused "a partition and its whole disk" "path 2: device '$big' cannot be opened: EBUSY" \
	"0 8192 bond 0 static 0 2 ${big}p1 0 $big 0"
# What differs must be said: "LU (without id), but LU (without id)" would say nothing.
line_refused "a partition and another disk" "path 2: device '${big}p1' .*(start|begin|partition|sector).*" \
	"0 8192 bond 0 static 0 2 $a 0 ${big}p1 0"

# Disks with ids: two hosts, each with the same two logical units.
check "scsi_debug has disks" modprobe scsi_debug dev_size_mb=8 add_host=2 max_luns=2 vpd_use_hostno=0
at_exit rmmod scsi_debug
# lun <host> <number>: its disk, once it is there.
lun() { (set -- /sys/bus/pseudo/drivers/scsi_debug/adapter"$1"/host*/target*/*:"$2"/block/sd* && [ -b "/dev/${1##*/}" ] && echo "/dev/${1##*/}"); }
for lun in "0 0" "0 1" "1 0"; do
	# shellcheck disable=SC2086  # Two words.
	wait_for 10 lun $lun
done
l00=$(lun 0 0) l01=$(lun 0 1) l10=$(lun 1 0)
line_refused "two logical units" \
	"path 2: device '$l01' is LU naa.[0-9a-f]+, but device '${l00#/dev/}' is LU naa.[0-9a-f]+" \
	"0 16384 bond 0 static 0 2 $l00 0 $l01 0"
line_refused "the third path to another logical unit" "path 3: device '$l01' is LU naa.*, but device '.*' is LU naa.*" \
	"0 16384 bond 0 static 0 3 $l00 0 $l10 0 $l01 0"
line_refused "a second path without an id" "path 2: device '$a' is LU \(without id\), but device '${l00#/dev/}' is LU naa.*" \
	"0 16384 bond 0 static 0 2 $l00 0 $a 0"
line_refused "a first path without an id" "path 2: device '$l00' is LU naa.*, but device '.*' is LU \(without id\)" \
	"0 16384 bond 0 static 0 2 $a 0 $l00 0"

# Whoever was named in all that is free: for exclusive use, and for a bond under another number.
for device in "$disk" "$small" "$big" "$l00" "$l01" "$l10"; do
	[ "$device" = "$disk" ] && device=$a
	check "free after all: $device" exclusively "$device"
done
fresh other
dmsetup create "$other" --table "0 8 zero" # It takes the number that the bonds had.
make_bond bond "0 static 0 2 $a 1 netdev:$net $b 0"
check_is "both ways make a bond" 0 $?
check "which takes the adapter" test -d "/sys/module/dm_bond/adapters/$net"
check "and is removed" dmsetup remove "${bond#/dev/mapper/}"
dmsetup remove "$other"
left
check_is "with nothing left" "$CLEAN" "$LEFT"
make_bond bond "0 static 0 2 $l00 0 $l10 0" 16384
id=$(cat "${SYS[$bond]}/lu_id")
check "the two paths to one logical unit make a bond, with its id ($id)" grep -Eqx 'naa\.[0-9a-f]{16}|naa\.[0-9a-f]{32}' <<<"$id"
check_fails "it cannot be its own path" "reload ioctl .* failed" \
	dmsetup load "${bond#/dev/mapper/}" --table "0 16384 bond 0 static 0 1 $bond 0"
check "the log says so" grep -Eq "path 1: device '$bond' cannot be opened: E" <<<"$(log_new)"
dmsetup remove "${bond#/dev/mapper/}"

# good <what> <arguments> <arguments as printed>: a bond is made, prints that, is loaded with it, and prints it again.
good() {
	local what=$1 args=$2 printed="0 $SIZE bond $3" first second=
	dmsetup create "$name" --table "0 $SIZE bond $args" || { fail "$what: not taken"; note "$args"; return; }
	first=$(dmsetup table "$name")
	dmsetup load "$name" --table "$first" && dmsetup resume "$name" && second=$(dmsetup table "$name")
	check_is "$what" "$printed" "$first" && check_is "$what: the same again" "$printed" "$second"
	check_is "$what: removed" "" "$(dmsetup remove "$name" 2>&1)"
}
A=${DEVT[$a]} B=${DEVT[$b]}
good "static, one path" "0 static 0 1 $a 0" "0 static 0 1 $A 1 share:1000"
good "primary, two paths" "0 primary 0 2 $a 0 $b 0" "0 primary 0 2 $A 1 share:500 $B 1 share:500"
good "devices by number" "0 primary 0 2 $B 0 $A 0" "0 primary 0 2 $B 1 share:500 $A 1 share:500"
good "all features" \
	"6 write_hold_ms:7 stall_ms:0 abort_ms:0 probe_ms:250 no_path_timeout_ms:86400000 queue_if_no_path static 0 1 $a 0" \
	"6 queue_if_no_path no_path_timeout_ms:86400000 probe_ms:250 abort_ms:0 stall_ms:0 write_hold_ms:7 static 0 1 $A 1 share:1000"
good "features as by default" "5 probe_ms:1000 no_path_timeout_ms:0 abort_ms:50 stall_ms:2000 write_hold_ms:0 static 0 1 $a 0" \
	"0 static 0 1 $A 1 share:1000"
good "the shortest and the longest pause" "1 probe_ms:1 static 0 1 $a 0" "1 probe_ms:1 static 0 1 $A 1 share:1000"
good "the longest time before an abort" "1 abort_ms:86400000 static 0 1 $a 0" \
	"1 abort_ms:86400000 static 0 1 $A 1 share:1000"
good "leading zeros" "01 probe_ms:00086400000 static 00 01 $a 00" "1 probe_ms:86400000 static 0 1 $A 1 share:1000"
good "all arguments of a path" "0 static 0 2 $a 3 share:750 netdev:$net dest:192.0.2.1 $b 1 share:250" \
	"0 static 0 2 $A 3 netdev:$net share:750 dest:192.0.2.1 $B 1 share:250"
good "one share given" "0 static 0 2 $a 1 share:900 $b 0" "0 static 0 2 $A 1 share:900 $B 1 share:100"
good "shares that add up to less" "0 static 0 2 $a 1 share:1 $b 1 share:3" "0 static 0 2 $A 1 share:250 $B 1 share:750"
good "shares that add up to more" "0 static 0 2 $a 1 share:1000 $b 1 share:1000" \
	"0 static 0 2 $A 1 share:500 $B 1 share:500"
good "a share that leaves nothing" "0 static 0 2 $a 1 share:1000 $b 0" "0 static 0 2 $A 1 share:999 $B 1 share:1"
while read -r given printed; do
	good "the destination $given" "0 static 0 1 $a 1 dest:$given" "0 static 0 1 $A 2 share:1000 dest:$printed"
done <<-EOT
	192.0.2.1 192.0.2.1
	2001:DB8:0:0::1 2001:db8::1
	::ffff:192.0.2.1 ::ffff:192.0.2.1
	:: ::
	0x500A098012345678 0x500a098012345678
	50:0a:09:80:12:34:56:78 0x500a098012345678
EOT

# 64 paths, made at one stroke. The line printed is long.
ways=
for i in {1..64}; do ways+="dm-bond-way$i,,,rw,0 $SIZE linear $disk 0;"; done
check "64 ways" dmsetup create --concise "${ways%;}"
drop_ways() { [ ! -e /dev/mapper/dm-bond-way1 ] || dmsetup remove dm-bond-way{1..64}; }
at_exit drop_ways
check "64 paths make a bond" dmsetup create "$name" --table \
	"0 $SIZE bond 0 static 0 64$(printf ' /dev/mapper/dm-bond-way%d 1 dest:2001:db8:1:2:3:4:5:6' {1..64})"
first=$(dmsetup table "$name")
check_is "they are all in the table" 64 "$(grep -o 'dest:2001:db8:1:2:3:4:5:6' <<<"$first" | wc -l)"
check_is "with shares that add up to 1000" 1000 "$(grep -o 'share:[0-9]*' <<<"$first" | awk -F: '{ n += $2 } END { print n }')"
check "the line loads" dmsetup load "$name" --table "$first"
check "and is resumed" dmsetup resume "$name"
check_is "and is the same" "$first" "$(dmsetup table "$name")"
check_is "the status has them all" 64 "$(dmsetup status "$name" | awk '{ print (NF - 6) / 10 }')"
check "all 64 carry I/O" read_blocks "/dev/mapper/$name" 256
idle=$(dmsetup status "$name" | awk '{ for (i = 7; i <= NF; i += 10) if ($(i + 6) < 3) n++; print n + 0 }')
check_is "none of them less than its part" 0 "$idle"
dmsetup remove "$name"
drop_ways
left
check_is "nothing is left" "$CLEAN" "$LEFT"
check "the module can be unloaded" rmmod dm_bond
finish
