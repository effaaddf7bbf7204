# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What the sections over shaped NVMe/TCP paths share, in the guest; sourced by them.

MEDIUM_MB=256

# network_up <speed of a path, in Mbit/s>...: sets PATHS to their disks. With NATIVE set they are behind one head, HEAD.
network_up() {
	local i multipath=N
	[ -z "${NATIVE-}" ] || multipath=Y
	RIG_MULTIPATH=$multipath rig_up $# $MEDIUM_MB || die "cannot build the storage network"
	PATHS=() HEAD=
	[ -z "${NATIVE-}" ] || HEAD=$(rig_path 1)
	for ((i = 1; i <= $#; i++)); do
		[ -n "${NATIVE-}" ] || PATHS+=("$(rig_path $i)")
		shape $i "${!i}"
	done
	[ -e /sys/module/dm_bond_nvme ] || insmod "$TOP/dm-bond-nvme.ko" || die "cannot load dm-bond-nvme.ko"
}

# on <device>: make it over the paths, and set FILE to it; sets WHY if there is none.
# shellcheck disable=SC2034  # Read by those who call it.
on() {
	local policy
	FILE=/dev/mapper/bench
	case $1 in
	native-*)
		FILE=$HEAD
		policy=$(echo /sys/class/nvme-subsystem/nvme-subsys*/iopolicy)
		WHY="the NVMe driver does not know it"
		echo "${1#native-}" >"$policy" 2>/dev/null
		;;
	*) device_up "$1" bench "${PATHS[@]}" ;;
	esac
}
off() { [ "$FILE" = "$HEAD" ] || device_down bench || die "cannot remove $1"; }

# Those of DEVICES that are for this boot.
devices_here() {
	local others=-v
	[ -z "${NATIVE-}" ] || others=
	tr -s ' ' '\n' <<<"$DEVICES" | grep $others '^native-'
}

# block_size <block size or range>: the options for it.
block_size() { if [[ $1 == *-* ]]; then echo "--bsrange=$1"; else echo "--bs=$1"; fi; }
