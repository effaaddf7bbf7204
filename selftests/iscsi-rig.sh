#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The storage network of rig.sh with iSCSI: LIO is the storage controller, open-iscsi the initiator, with one session
# over each cable, bound to its adapter. Source it, or run one function: iscsi-rig.sh <function> [<argument>]...
#
#   iscsi_up <paths> [<MiB>]             build all of it
#   iscsi_down                           remove whatever there is of it; harmless if there is nothing
#   iscsi_path <i> [<LUN>]               print the block device of path i, counted from 1
#   iscsi_session <i>                    print the session's directory in sysfs
#   iscsi_login <i> [<iface record> [<setting> <value>]]
#                                        log in over cable i; "default": by the routes only
#   iscsi_logout <i>
#
# LUN 0 is the medium, of which there is a disk for each path; LUN 1, of 8 MiB, for whoever needs one more in the same
# sessions. All timers are open-iscsi's defaults. iscsid is started if none runs.
# shellcheck source=rig.sh
. "$(dirname "${BASH_SOURCE[0]}")/rig.sh"

ISCSI_IQN=iqn.2014-08.org.example:dm-bond-rig
ISCSI_CORE=/sys/kernel/config/target/core
ISCSI_TPG=/sys/kernel/config/target/iscsi/$ISCSI_IQN/tpgt_1
ISCSI_RUN=/run/dm-bond-iscsi-rig # Of the iscsid that was started here.

# _iscsi_store <LUN> <kind of device> <what it is told>
_iscsi_store() {
	local lun=$1 control=$3 dev=$ISCSI_CORE/$2_$1/rig
	mkdir -p "$dev" &&
		_rig_set "$dev/control" "$control" &&
		_rig_set "$dev/wwn/vpd_unit_serial" "0dbd000$lun-0000-4000-8000-000000000000" &&
		_rig_set "$dev/enable" 1 &&
		mkdir "$ISCSI_TPG/lun/lun_$lun" &&
		ln -s "$dev" "$ISCSI_TPG/lun/lun_$lun/rig"
}

_iscsi_target() {
	mkdir -p "$ISCSI_TPG" &&
		_rig_set "$ISCSI_TPG/attrib/authentication" 0 &&
		_rig_set "$ISCSI_TPG/attrib/generate_node_acls" 1 &&
		_rig_set "$ISCSI_TPG/attrib/cache_dynamic_acls" 1 &&
		_rig_set "$ISCSI_TPG/attrib/demo_mode_write_protect" 0 &&
		_iscsi_store 0 iblock "udev_path=/dev/${RIG_MEDIUM##*/}" &&
		_iscsi_store 1 rd_mcp rd_pages=2048 &&
		_rig_set "$ISCSI_TPG/enable" 1
}

# Without systemd, which would start it when it is needed.
_iscsi_daemon() {
	local _
	mkdir -p /run/lock/iscsi
	pgrep -x iscsid >/dev/null && return
	mkdir -p "$ISCSI_RUN"
	echo "InitiatorName=iqn.2014-08.org.example:dm-bond-host" >"$ISCSI_RUN/initiatorname"
	iscsid -i "$ISCSI_RUN/initiatorname" -p "$ISCSI_RUN/pid" || return
	for _ in $(seq 100); do
		iscsiadm -m session >/dev/null 2>&1
		[ $? = 21 ] && return # No session: it answers.
		sleep 0.1
	done
	_rig_say "iscsid does not answer"
	return 1
}

_iscsi_node() { iscsiadm -m node -T "$ISCSI_IQN" -p "10.10.$1.2:3260" "${@:2}" >/dev/null; }

iscsi_login() {
	local i=$1 iface=${2:-dm-bond-rig-$1} _
	_iscsi_node "$i" -I "$iface" -o new || return
	[ -z "${3-}" ] || _iscsi_node "$i" -I "$iface" -o update -n "$3" -v "$4" || return
	_iscsi_node "$i" -I "$iface" --login || return
	for _ in $(seq 100); do
		[ -b "$(iscsi_path "$i" 2>/dev/null)" ] && [ -b "$(iscsi_path "$i" 1 2>/dev/null)" ] && return
		sleep 0.1
	done
	_rig_say "session $i has no block devices"
	return 1
}

iscsi_logout() { _iscsi_node "$1" --logout && _iscsi_node "$1" -o delete; }

iscsi_up() {
	local paths=$1 size=${2:-256} i
	modprobe -a configfs veth target_core_mod target_core_iblock iscsi_target_mod iscsi_tcp sd_mod &&
		modprobe null_blk nr_devices=0 || return
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || return
	iscsi_down && ip netns add "$RIG_NS" && _rig_medium "$size" && _iscsi_target && _iscsi_daemon || return
	for ((i = 1; i <= paths; i++)); do
		# It listens in the namespace of the task that makes the portal.
		_rig_cable "$i" && _rig_neighbours "$i" && _rig_far mkdir "$ISCSI_TPG/np/10.10.$i.2:3260" || return
		iscsiadm -m iface -I "dm-bond-rig-$i" -o new >/dev/null &&
			iscsiadm -m iface -I "dm-bond-rig-$i" -o update -n iface.net_ifacename -v "eth$i" >/dev/null &&
			iscsi_login "$i" || return
	done
}

iscsi_down() {
	local dir i
	_rig_mend
	for dir in /sys/class/iscsi_session/session*; do
		[ "$(cat "$dir/targetname" 2>/dev/null)" = "$ISCSI_IQN" ] || continue
		iscsiadm -m session -r "${dir##*/session}" --logout >/dev/null || return
	done
	for i in $(_rig_cables); do
		_iscsi_node "$i" -o delete 2>/dev/null
		iscsiadm -m iface -I "dm-bond-rig-$i" -o delete >/dev/null 2>&1
	done
	if [ -e "$ISCSI_RUN/pid" ]; then
		kill "$(cat "$ISCSI_RUN/pid")"
		rm -r "$ISCSI_RUN"
	fi
	if [ -e "$ISCSI_TPG" ]; then
		_rig_set "$ISCSI_TPG/enable" 0
		rm -f "$ISCSI_TPG"/lun/lun_*/rig
		for dir in "$ISCSI_TPG"/lun/lun_* "$ISCSI_TPG"/np/* "$ISCSI_TPG" "${ISCSI_TPG%/*}"; do
			[ ! -e "$dir" ] || rmdir "$dir" || return
		done
	fi
	for dir in "$ISCSI_CORE"/{iblock_0,rd_mcp_1}{/rig,}; do
		[ ! -e "$dir" ] || rmdir "$dir" || return
	done
	rig_down
}

iscsi_session() {
	local conn address=
	for conn in /sys/class/iscsi_connection/connection*; do
		{ read -r address <"$conn/persistent_address"; } 2>/dev/null
		[ "$address" = "10.10.$1.2" ] || continue
		conn=${conn##*/connection}
		echo "/sys/class/iscsi_session/session${conn%:*}"
		return
	done
	_rig_say "there is no session $1"
	return 1
}

iscsi_path() {
	local i=$1 lun=${2:-0} session disk
	session=$(iscsi_session "$i") || return
	for disk in "$session"/device/target*/*:"$lun"/block/*; do
		[ -b "/dev/${disk##*/}" ] && echo "/dev/${disk##*/}" && return
	done
	_rig_say "path $i has no block device"
	return 1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	set -u
	"$@"
fi
