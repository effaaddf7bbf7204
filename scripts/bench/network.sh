# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What the sections over shaped NVMe/TCP paths share, in the guest; sourced by them.

MEDIUM_MB=256
LUS=1

# network_up <speed of a path, in Mbit/s>...: sets PATHS to their disks, those of the first LU first. With NATIVE set
# they are behind one head, HEAD.
network_up() {
	local i lu multipath=N
	[ -z "${NATIVE-}" ] || multipath=Y
	RIG_MULTIPATH=$multipath rig_up $# $MEDIUM_MB 1 $LUS || die "cannot build the storage network"
	PATHS=() HEAD=
	[ -z "${NATIVE-}" ] || HEAD=$(rig_path 1)
	for ((lu = 1; lu <= LUS; lu++)); do
		for ((i = 1; i <= $#; i++)); do
			[ -n "${NATIVE-}" ] || PATHS+=("$(rig_path $i 1 $lu)")
		done
	done
	for ((i = 1; i <= $#; i++)); do shape $i "${!i}"; done
	[ -e /sys/module/dm_bond_nvme ] || insmod "$TOP/dm-bond-nvme.ko" || die "cannot load dm-bond-nvme.ko"
}

# network_of <ratio of the paths' speeds>: network_up, with FASTEST for the fastest path; the shares follow the speeds.
network_of() {
	local mbits
	mapfile -t mbits < <(mbits_of "$1" "$FASTEST")
	# shellcheck disable=SC2034  # Read by bond_table.
	mapfile -t -O 1 SHARES < <(tr : '\n' <<<"$1")
	network_up "${mbits[@]}"
}

# mbits_of <ratio> <speed of the fastest>: the speed of each, on lines.
mbits_of() {
	awk -v ratio="$1" -v fastest="$2" 'BEGIN {
		n = split(ratio, part, ":")
		for (i = 1; i <= n; i++)
			most = part[i] > most ? part[i] : most
		for (i = 1; i <= n; i++)
			print fastest * part[i] / most
	}'
}

# on <device>: make one for each LU, over its paths; sets FILES to them and FILE to the first, or WHY if there is none.
# shellcheck disable=SC2034  # Read by those who call it.
on() {
	local policy lu paths=$((${#PATHS[@]} / LUS))
	FILES=()
	case $1 in
	native-*)
		FILE=$HEAD
		policy=$(echo /sys/class/nvme-subsystem/nvme-subsys*/iopolicy)
		WHY="the NVMe driver does not know it"
		echo "${1#native-}" >"$policy" 2>/dev/null
		;;
	*)
		FILE=/dev/mapper/bench1
		for ((lu = 1; lu <= LUS; lu++)); do
			device_up "$1" "bench$lu" "${PATHS[@]:(lu - 1) * paths:paths}" || { off "$1"; return 1; }
			FILES+=("/dev/mapper/bench$lu")
		done
		;;
	esac
}
off() {
	local file
	for file in "${FILES[@]}"; do device_down "${file##*/}" || die "cannot remove $1"; done
}

# Those of DEVICES that are for this boot.
devices_here() {
	local others=-v
	[ -z "${NATIVE-}" ] || others=
	tr -s ' ' '\n' <<<"$DEVICES" | grep $others '^native-'
}

# block_size <block size or range>: the options for it.
block_size() { if [[ $1 == *-* ]]; then echo "--bsrange=$1"; else echo "--bs=$1"; fi; }
