#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A storage network inside one machine: a storage controller in a network namespace, reached over one veth pair, the
# "cable", per path. Source it, or run one function: rig.sh <function> [<argument>]...
#
#   rig_up <paths> [<MiB> [<hosts> [<LUs>]]]   build all of it; every host gets a controller of its own on every path,
#                                      and every LU a medium of its own
#   rig_down                           remove whatever there is of it; harmless if there is nothing
#   rig_path <i> [<host> [<LU>]]       print the block device of path i, counted from 1
#   rig_controller <i> [<host>]        print the name of its controller
#   cable_pull <i>, cable_plug <i>     the far end goes down and up: our adapter sees the carrier
#   admin_down <i>, admin_up <i>       our own end goes down and up, by the administrator's hand
#   shape <i> <Mbit/s>, loss <i> <%>   a slow or a lossy cable, in both directions; 0 mends it; shape before loss
#   delay <i> <ms>                     a long cable, in our direction: so that I/O is always on its way; instead of shape
#   multipathd <name> <path>           in place of that daemon: take a path of a dm-multipath device into use whenever
#                                      it answers; until killed. One for each path, for a read may wait for long
#
# Path i runs from our adapter eth<i>, 10.10.<i>.1, to the controller's port 10.10.<i>.2. The medium is a null_blk
# that keeps what is written, exported by nvmet over TCP. The timers are NVMe's defaults, unless RIG_CONNECT holds more
# options for "nvme connect". The kernel must have been booted with nvme_core.multipath=N, or the paths hide behind one
# native head; with RIG_MULTIPATH=Y that is what is wanted, and rig_path prints the head.

RIG_NS=storage
RIG_NQN=nqn.2014-08.org.nvmexpress:dm-bond-rig
RIG_NVMET=/sys/kernel/config/nvmet
RIG_MEDIUM=/sys/kernel/config/nullb/rig_medium # The disk is named like it. LU 2 has rig_medium2, and so on.

_rig_say() { echo "rig: $*" >&2; }
_rig_set() { echo "$2" >"$1" || { _rig_say "cannot write $2 to $1"; return 1; }; }
_rig_hostid() { printf '00000000-0000-4000-8000-%012d' "$1"; }
_rig_hostnqn() { echo "nqn.2014-08.org.nvmexpress:uuid:$(_rig_hostid "$1")"; }
# Run in the storage namespace. Not "ip netns exec": it would hide configfs.
_rig_far() { nsenter --net="/run/netns/$RIG_NS" "$@"; }
_rig_far_ip() { ip -n "$RIG_NS" "$@"; }

_rig_medium() {
	local disk=$RIG_MEDIUM${2-}
	mkdir "$disk" &&
		_rig_set "$disk/size" "$1" &&
		_rig_set "$disk/memory_backed" 1 &&
		_rig_set "$disk/discard" 1 &&
		_rig_set "$disk/power" 1
}

_rig_subsystem() {
	local sub=$RIG_NVMET/subsystems/$RIG_NQN
	mkdir "$sub" && _rig_set "$sub/attr_allow_any_host" 1
}

# _rig_lu <number> <MiB>
_rig_lu() {
	local ns=$RIG_NVMET/subsystems/$RIG_NQN/namespaces/$1 number=${1#1} id
	id=$(printf '0dbd0000-0000-4000-8000-%011d' $(($1 - 1)))
	_rig_medium "$2" "$number" && mkdir "$ns" &&
		_rig_set "$ns/device_path" "/dev/${RIG_MEDIUM##*/}$number" &&
		_rig_set "$ns/device_uuid" "${id}1" &&
		_rig_set "$ns/device_nguid" "${id}2" &&
		_rig_set "$ns/enable" 1
}

_rig_mac() { printf '02:db:00:00:%02x:%02x' "$1" "$2"; }
# Neighbours are told, not asked for, so that a path is back as soon as its cable is. The kernel forgets even
# permanent ones when a link goes down; an end that is down now takes none, and is told when it comes up.
_rig_neighbours() {
	local i=$1
	ip neigh replace "10.10.$i.2" dev "eth$i" nud permanent lladdr "$(_rig_mac "$i" 2)" 2>/dev/null
	_rig_far_ip neigh replace "10.10.$i.1" dev "far$i" nud permanent lladdr "$(_rig_mac "$i" 1)" 2>/dev/null
	return 0
}

_rig_cable() {
	local i=$1
	ip link add "eth$i" address "$(_rig_mac "$i" 1)" type veth \
		peer name "far$i" address "$(_rig_mac "$i" 2)" netns "$RIG_NS" &&
		ip addr add "10.10.$i.1/24" dev "eth$i" &&
		_rig_far_ip addr add "10.10.$i.2/24" dev "far$i" &&
		ip link set "eth$i" up &&
		_rig_far_ip link set "far$i" up
}

# A port listens in the namespace of the task that links a subsystem to it.
_rig_port() {
	local i=$1 port=$RIG_NVMET/ports/$1
	mkdir "$port" &&
		_rig_set "$port/addr_trtype" tcp &&
		_rig_set "$port/addr_adrfam" ipv4 &&
		_rig_set "$port/addr_traddr" "10.10.$i.2" &&
		_rig_set "$port/addr_trsvcid" 4420 &&
		_rig_far ln -s "$RIG_NVMET/subsystems/$RIG_NQN" "$port/subsystems/"
}

_rig_connect() {
	local i=$1 host=$2 lus=$3 lu _
	# shellcheck disable=SC2086  # Words.
	nvme connect -t tcp -n "$RIG_NQN" -a "10.10.$i.2" -s 4420 --host-traddr "10.10.$i.1" --host-iface "eth$i" \
		--hostnqn "$(_rig_hostnqn "$host")" --hostid "$(_rig_hostid "$host")" ${RIG_CONNECT-} >/dev/null || return
	# The namespaces appear when the kernel has scanned for them.
	for ((lu = 1; lu <= lus; lu++)); do
		for _ in $(seq 100); do
			[ -b "$(rig_path "$i" "$host" "$lu" 2>/dev/null)" ] && continue 2
			sleep 0.1
		done
		_rig_say "path $i of host $host has no block device for LU $lu"
		return 1
	done
}

rig_up() {
	local paths=$1 size=${2:-256} hosts=${3:-1} lus=${4:-1} i host lu
	modprobe -a configfs veth nvmet nvmet-tcp nvme-tcp && modprobe null_blk nr_devices=0 || return
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || return
	[ "$(cat /sys/module/nvme_core/parameters/multipath)" = "${RIG_MULTIPATH-N}" ] ||
		{ _rig_say "boot with nvme_core.multipath=${RIG_MULTIPATH-N}"; return 1; }
	rig_down && ip netns add "$RIG_NS" && _rig_subsystem || return
	for ((lu = 1; lu <= lus; lu++)); do
		_rig_lu "$lu" "$size" || return
	done
	for ((i = 1; i <= paths; i++)); do
		_rig_cable "$i" && _rig_neighbours "$i" && _rig_port "$i" || return
		for ((host = 1; host <= hosts; host++)); do
			_rig_connect "$i" "$host" "$lus" || return
		done
	done
}

# The numbers of the cables there are.
_rig_cables() {
	[ ! -e "/run/netns/$RIG_NS" ] || _rig_far_ip -br link | sed -n 's/^far\([0-9]*\)@.*/\1/p'
}

# All cables as they were.
_rig_mend() {
	local i
	for i in $(_rig_cables); do
		_rig_qdisc "$i" del root
		ip link set "eth$i" up
		cable_plug "$i"
	done
}

rig_down() {
	local dir i nqn controllers=()
	for dir in /sys/class/nvme/nvme*; do
		{ read -r nqn <"$dir/subsysnqn"; } 2>/dev/null && [ "$nqn" = "$RIG_NQN" ] && controllers+=("$dir")
	done
	# One is told goodbye before it is deleted, which takes long over a cable that is pulled or lossy.
	[ ${#controllers[@]} = 0 ] || _rig_mend
	for dir in "${controllers[@]}"; do
		echo 1 >"$dir/delete_controller"
	done
	for dir in "$RIG_NVMET"/ports/*/subsystems/"$RIG_NQN"; do
		[ -e "$dir" ] && rm "$dir" && rmdir "${dir%/subsystems/*}"
	done
	for dir in "$RIG_NVMET/subsystems/$RIG_NQN"{/namespaces/*,} "$RIG_MEDIUM"*; do
		[ ! -e "$dir" ] || rmdir "$dir" || return
	done
	for i in $(_rig_cables); do
		ip link del "eth$i"
	done
	[ ! -e "/run/netns/$RIG_NS" ] || ip netns del "$RIG_NS"
}

rig_controller() {
	local i=$1 host=${2:-1} dir address nqn
	for dir in /sys/class/nvme/nvme*; do
		{ read -r address <"$dir/address" && read -r nqn <"$dir/hostnqn"; } 2>/dev/null || continue
		[[ $address == "traddr=10.10.$i.2,"* && $nqn == "$(_rig_hostnqn "$host")" ]] && echo "${dir##*/}" && return
	done
	_rig_say "path $i of host $host has no controller"
	return 1
}

rig_path() {
	local controller disk nsid numbers='(.*)c[0-9]+(n.*)'
	controller=$(rig_controller "$1" "${2:-1}") || return
	for disk in "/sys/class/nvme/$controller"/nvme*n*; do
		disk=${disk##*/}
		[[ ! $disk =~ $numbers ]] || disk=${BASH_REMATCH[1]}${BASH_REMATCH[2]} # Below a native head: it has no node.
		{ read -r nsid <"/sys/block/$disk/nsid"; } 2>/dev/null || continue
		[ "$nsid" = "${3:-1}" ] || continue
		[ -b "/dev/$disk" ] && echo "/dev/$disk" && return
	done
	_rig_say "path $1 of host ${2:-1} has no block device for LU ${3:-1}"
	return 1
}

cable_pull() { _rig_far_ip link set "far$1" down; }
cable_plug() { _rig_far_ip link set "far$1" up && _rig_neighbours "$1"; }
admin_down() { ip link set "eth$1" down; }
admin_up() { ip link set "eth$1" up && _rig_neighbours "$1"; }

multipathd() {
	local name=$1 path=$2 number
	number=$(lsblk -ndo MAJ:MIN "$path" | tr -d ' ')
	while sleep 1; do
		[[ $(dmsetup status "$name") == *" $number F "* ]] || continue
		dd if="$path" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null || continue
		dmsetup message "$name" 0 "reinstate_path $number"
	done
}

# Put a queueing discipline on both ends of a cable, or take it off.
_rig_qdisc() {
	local i=$1 what=$2
	shift 2
	if [ "$what" = del ]; then
		tc qdisc del dev "eth$i" "$@" 2>/dev/null
		tc -n "$RIG_NS" qdisc del dev "far$i" "$@" 2>/dev/null
		return 0
	fi
	# The far end first: from then on nothing comes back that is not to.
	tc -n "$RIG_NS" qdisc replace dev "far$i" "$@" && tc qdisc replace dev "eth$i" "$@"
}

shape() {
	modprobe sch_tbf || return
	if [ "$2" = 0 ]; then
		_rig_qdisc "$1" del root
	else
		_rig_qdisc "$1" replace root handle 1: tbf rate "$2mbit" burst 128kb latency 400ms
	fi
}

delay() { modprobe sch_netem && tc qdisc replace dev "eth$1" root netem delay "$2ms"; }

loss() {
	local where=(root)
	modprobe sch_netem || return
	tc qdisc show dev "eth$1" | grep -q '^qdisc tbf 1:' && where=(parent 1:1)
	if [ "$2" != 0 ]; then
		_rig_qdisc "$1" replace "${where[@]}" handle 10: netem loss "$2%"
	elif [ "${where[0]}" = parent ]; then
		_rig_qdisc "$1" replace "${where[@]}" handle 11: bfifo # With none below it a tbf passes nothing.
	else
		_rig_qdisc "$1" del "${where[@]}"
	fi
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	set -u
	"$@"
fi
