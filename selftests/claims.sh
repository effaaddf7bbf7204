#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Nobody uses a path behind the bond's back: from the moment its table is loaded a member cannot be mounted, made a file
# system, partitioned or put in a second bond; once the bond is gone it can.
. ./lib.sh
. ./paths.sh

a='' b='' c='' part='' bond='' second=''
need sd_mod mkfs.ext4 sfdisk mount ext4
load_bond
# One logical unit, two ways to it; and a disk with a partition.
modprobe -q scsi_debug dev_size_mb=16 add_host=2 vpd_use_hostno=0 || skip_all "needs scsi_debug"
at_exit rmmod scsi_debug
lun() { (set -- /sys/bus/pseudo/drivers/scsi_debug/adapter"$1"/host*/target*/*/block/sd* && [ -b "/dev/${1##*/}" ] && echo "/dev/${1##*/}"); }
wait_for 10 lun 0
wait_for 10 lun 1
a=$(lun 0) b=$(lun 1)
scratch part 16
dir=$(mktemp -d)
at_exit rmdir "$dir"
unmount() { ! mountpoint -q "$dir" || umount "$dir"; }
at_exit unmount
fresh name
LINE="0 32768 bond 0 primary 0 2 $a 0 $b 0"

# used <what>: both members are.
used() {
	local device
	for device in "$a" "$b"; do
		check_fails "$1: ${device##*/} cannot be mounted" "busy|already mounted|Can.t open blockdev" mount -t ext4 "$device" "$dir"
		check_fails "$1: ${device##*/} cannot be made a file system" "in use" mkfs.ext4 -q "$device"
		check_fails "$1: ${device##*/} cannot be partitioned" "in use" sfdisk -q "$device" <<<"start=2048"
		check_fails "$1: ${device##*/} cannot be read for partitions" "busy" blockdev --rereadpt "$device"
		check_fails "$1: ${device##*/} cannot be opened exclusively" "busy" exclusively "$device"
	done
}
check "both are free" exclusively "$a" && check "both" exclusively "$b"

check "a device without a table" dmsetup create "$name" --notable
check "a table is loaded, and not yet live" dmsetup load "$name" --table "$LINE"
used "loaded"
check "the table is dropped again" dmsetup clear "$name"
check "both are free" exclusively "$a" && check "both" exclusively "$b"
dmsetup remove "$name"

make_bond bond "0 primary 0 2 $a 0 $b 0" 32768 || finish
check "a file system is made on the bond" mkfs.ext4 -q "$bond"
used "live"
log_mark
fresh second
for device in "$a" "$b"; do
	check_fails "${device##*/} cannot be in a second bond" "busy" \
		dmsetup create "$second" --table "0 32768 bond 0 primary 0 1 $device 0"
	check "and the log says whose it is" grep -Eq \
		"dm_bond: bond [0-9:]+: path 1: device '$device' \([0-9:]+\) is a path of bond ${DEVT[$bond]}" <<<"$(log_new)"
done
check "the bond itself can have it twice: for a reload" dmsetup load "${bond#/dev/mapper/}" --table "$LINE"
check "which is dropped" dmsetup clear "${bond#/dev/mapper/}"
used "after that"
check "the bond is mounted" mount -t ext4 "$bond" "$dir"
check "and takes a file" dd if=/dev/urandom of="$dir/file" bs=64k count=16 conv=fsync status=none
sum=$(sha256sum <"$dir/file")
used "mounted"
check_fails "a bond that is mounted is not removed" "busy" dmsetup remove "${bond#/dev/mapper/}"
check "it is unmounted" umount "$dir"
check "and removed" dmsetup remove "${bond#/dev/mapper/}"

check "both are free" exclusively "$a" && check "both" exclusively "$b"
check "a member can be mounted then" mount -t ext4 -o ro "$b" "$dir"
check_is "and has what was written to the bond" "$sum" "$(sha256sum <"$dir/file")"
log_mark
check_fails "while it is mounted it cannot be in a bond" "busy" dmsetup create "$second" --table "$LINE"
check "and the log says so" grep -q "path 2: device '$b' cannot be opened: EBUSY" <<<"$(log_new)"
check "of which nothing is left" exclusively "$a"
check "it is unmounted" umount "$dir"

# Whole disks and their partitions.
check "a disk is partitioned" sfdisk -q "$part" <<<"start=2048"
wait_for 5 test -b "${part}p1"
make_bond c "0 primary 0 1 $part 0" 32768
check_is "and made a path" 0 $?
check_fails "its partition cannot be used" "busy" exclusively "${part}p1"
dmsetup remove "${c#/dev/mapper/}"
dmsetup create "$second" --table "0 8192 bond 0 primary 0 1 ${part}p1 0"
check_is "the partition is made a path" 0 $?
check_fails "the disk cannot be used" "busy" exclusively "$part"
dmsetup remove "$second"
check "both are free" exclusively "$part" && check "both" exclusively "${part}p1"
finish
