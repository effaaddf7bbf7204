#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A bond bears it for long: pulled cables, reloads and suspends under verified load, bonds that come and go while links
# do; and nothing is left over. Small by default; FULL=1, or any of the sizes below, for more.
#
#   PULLS        cable pulls over NVMe/TCP, alternating adapters, by turns administratively down and carrier lost,
#                under random writes of 4 KiB at depth 64
#   BIG_PULLS    the same under writes of 4 MiB
#   FS_PULLS     the same under ext4 with buffered writes, and stress-ng's file system stressors (fsstress is in no
#                Debian package)
#   LINK_PULLS   over paths that do not notice their link, so that the bond alone acts on it
#   RELOADS      table reloads with suspend and resume, by turns with and without flush
#   CYCLES       bonds created and removed while links go up and down
#   LONGEST_OUT  for how many tenths of a second a cable is out at most
#
# NVMe tries to connect again every second here, not every ten, to save time.
. ./lib.sh
. ./load.sh
. ./rig.sh

if [ -n "${FULL-}" ]; then
	: "${PULLS=100}" "${BIG_PULLS=20}" "${FS_PULLS=20}" "${LINK_PULLS=100}" "${RELOADS=200}" "${CYCLES=500}" "${LONGEST_OUT=60}"
else
	: "${PULLS=2}" "${BIG_PULLS=1}" "${FS_PULLS=1}" "${LINK_PULLS=4}" "${RELOADS=10}" "${CYCLES=10}" "${LONGEST_OUT=20}"
fi
WAYS=(admin_down admin_up cable_pull cable_plug) # To pull a cable and to put it back, twice.
RIG_CONNECT="--reconnect-delay=1 --ctrl-loss-tmo=-1"
MIB=128
FEATURES="1 probe_ms:50" # So soon that no pull is a flap. No queueing: with no path left, for a moment, I/O would fail.

# bond_up <device 1> <netdev 1> <device 2> <netdev 2>: sets BOND_NAME and BOND (dm-N).
bond_up() {
	fresh BOND_NAME
	TABLE="0 $(blockdev --getsz "$1") bond $FEATURES static 0 2 $1 1 netdev:$2 $3 1 netdev:$4"
	OTHER_TABLE="0 $(blockdev --getsz "$1") bond $FEATURES primary 0 2 $3 1 netdev:$4 $1 1 netdev:$2"
	dmsetup create "$BOND_NAME" --table "$TABLE" || return
	BOND=dm-$(dmsetup info -c --noheadings -o minor "$BOND_NAME")
	MEMBERS=("" "$(lsblk -dno KNAME "$1")" "$(lsblk -dno KNAME "$3")")
}

state_is() { [ "$(value "/sys/block/$BOND/bond/paths/${MEMBERS[$1]}/state" 2>/dev/null)" = "$2" ]; }

is_busy() { [ "$(value "/sys/block/$BOND/bond/paths/${MEMBERS[$1]}/inflight")" -gt 0 ]; }

# pulls <n> <most tenths of a second that the cable is out>: some shorter than nvme-tcp needs to notice, some longer
pulls() {
	local n=$1 longest=$2 i done_=0 way slow=0 tenths began back
	for ((; done_ < n; done_++)); do
		i=$((done_ % 2 + 1)) way=$((done_ / 2 % 2 * 2))
		wait_for 20 is_busy "$i" || { note "pull $done_: path $i is idle"; break; }
		"${WAYS[way]}" "$i"
		wait_for 5 state_is "$i" failed || { note "pull $done_: path $i is not failed"; break; }
		tenths=$((1 + RANDOM % longest))
		sleep "$((tenths / 10)).$((tenths % 10))"
		began=$SECONDS
		"${WAYS[way + 1]}" "$i"
		wait_for 60 state_is "$i" active || { note "pull $done_: path $i does not come back"; break; }
		back=$((SECONDS - began))
		[ "$back" -le "$slow" ] || slow=$back
	done
	echo "$slow" >"$LOAD_DIR/slow"
	[ "$done_" = "$n" ]
}

# clean_log: no error of the bond's, and none above it.
clean_log() {
	! log_since | grep -m 5 -E "error.*(dev )?$BOND\b|EXT4-fs.*(error|abort)|Aborting journal|lost (async|sync) page write"
}

is_silent() { log_since | grep -q "dm_bond: bond .* failed: silent"; }

idle_counters() { cat "/sys/block/$BOND/bond/paths/"*/inflight "/sys/block/$BOND/bond/queued" | xargs; }

under_pulls() {
	local what=$1 n=$2 tenths=$3
	shift 3
	[ "$n" -gt 0 ] || return 0
	load_start load "/dev/mapper/$BOND_NAME" "$@"
	goes_on "$BOND" 10 || fail "$what: the load goes on"
	check "$what: $n pulls are noticed, and the path comes back" pulls "$n" "$tenths"
	note "a path was back after at most $(cat "$LOAD_DIR/slow") s"
	load_stop "$what, $n pulls" load
	check_is "$what: nothing is left in flight" "0 0 0" "$(idle_counters)"
	note "sent again, by path: $(cat "/sys/block/$BOND/bond/paths/"*/requeued | xargs)"
	check "$what: no error in the log" clean_log
	# Slow it may be, but all of it moves.
	is_silent
	check_is "$what: no path was taken to be silent" 1 $?
}

# Pages written back, metadata, renames, holes, and files checked after writing. Until it is interrupted.
stressors() {
	exec stress-ng --temp-path "$1" --hdd 1 --hdd-bytes 8M --hdd-opts wr-rnd,fsync --rename 1 --dentry 1 --link 1 \
		--fallocate 1 --fallocate-bytes 4M --verify --timeout 0 --quiet
}

is_whole() {
	e2fsck -fn "$1" >"$LOAD_DIR/e2fsck" 2>&1 || { head -n 10 "$LOAD_DIR/e2fsck"; return 1; }
}

file_system() {
	local mount stress
	[ "$FS_PULLS" -gt 0 ] || return 0
	mount=$(mktemp -d)
	check "mkfs.ext4 on the bond" mkfs.ext4 -q -F -E lazy_itable_init=0 "/dev/mapper/$BOND_NAME" || return
	load_module ext4
	check "it is mounted" mount -o errors=remount-ro "/dev/mapper/$BOND_NAME" "$mount" || return
	at_exit eval "umount -l $mount 2>/dev/null; rmdir $mount"
	stressors "$mount" >"$LOAD_DIR/stress-ng" 2>&1 &
	stress=$!
	at_exit eval "kill $stress 2>/dev/null; true"
	load_start files "$mount/file" --direct=0 --ioengine=psync --fsync=64 --size=4M
	check "ext4: $FS_PULLS pulls are noticed, and the path comes back" pulls "$FS_PULLS" "$LONGEST_OUT"
	load_stop "ext4, buffered, $FS_PULLS pulls" files
	check "ext4: the stressors are still at it" kill -0 "$stress"
	kill -INT "$stress"
	wait "$stress"
	note "stress-ng: status $?" "$(head -c 500 "$LOAD_DIR/stress-ng" | tr '\n' ';')"
	check_is "ext4: the stressors saw no error" "" "$(grep -iE "fail|error" "$LOAD_DIR/stress-ng" | head -n 5)"
	check "ext4 is still writable" touch "$mount/last"
	check "ext4 is unmounted" umount "$mount"
	check "ext4 is whole" is_whole "/dev/mapper/$BOND_NAME"
	check "ext4: no error in the log" clean_log
}

# By turns: with flush and without, the same table and one with the paths the other way round, a path just failed.
reloads() {
	local n=$1 i flag table
	for ((i = 0; i < n; i++)); do
		flag=() table=$TABLE
		[ $((i % 2)) = 0 ] || flag=(--noflush)
		[ $((i % 4)) -lt 2 ] || table=$OTHER_TABLE
		[ $((i % 5)) != 0 ] || dmsetup message "$BOND_NAME" 0 fail_path "/dev/${MEMBERS[1]}"
		if ! dmsetup load "$BOND_NAME" --table "$table" || ! dmsetup suspend --nolockfs "${flag[@]}" "$BOND_NAME" ||
			! dmsetup resume "$BOND_NAME"; then
			note "reload $i of $n: ${flag[*]} $table"
			return 1
		fi
	done
}

reloads_under_load() {
	[ "$RELOADS" -gt 0 ] || return 0
	load_start reload "/dev/mapper/$BOND_NAME" --size=4M
	goes_on "$BOND" || fail "the load goes on"
	check "$RELOADS reloads, suspends and resumes under load" reloads "$RELOADS"
	load_stop "$RELOADS reloads" reload
	check_is "reloads: nothing is left in flight" "0 0 0" "$(idle_counters)"
	check "reloads: no error in the log" clean_log
}

# Two ways to a disk, and two adapters, which that disk knows nothing of: la1 and la2, whose far ends are lb1 and lb2.
links_up() {
	local i
	scratch MEDIUM 32 irqmode=2 completion_nsec=5000000 || return
	for i in 1 2; do
		fresh "VIA$i"
		ip link add "la$i" type veth peer name "lb$i" && at_exit eval "ip link del la$i" &&
			ip link set "la$i" up && ip link set "lb$i" up || return
	done
	dmsetup create "$VIA1" --table "0 65536 linear $MEDIUM 0" && dmsetup create "$VIA2" --table "0 65536 linear $MEDIUM 0"
}

link_admin_down() { ip link set "la$1" down; }
link_admin_up() { ip link set "la$1" up; }
link_cable_pull() { ip link set "lb$1" down; }
link_cable_plug() { ip link set "lb$1" up; }

link_pulls() {
	local WAYS=(link_admin_down link_admin_up link_cable_pull link_cable_plug)
	bond_up "/dev/mapper/$VIA1" la1 "/dev/mapper/$VIA2" la2 || return
	under_pulls "4 KiB, link only" "$LINK_PULLS" 10 --size=8M
	remove_dm "$BOND_NAME"
}

flap() {
	trap - EXIT TERM INT HUP
	while [ ! -e "$LOAD_DIR/flap.stop" ]; do
		ip link set "la$((RANDOM % 2 + 1))" down
		ip link set "lb$((RANDOM % 2 + 1))" down
		ip link add lc1 type dummy && ip link set lc1 up && ip link set lc1 down && ip link set lc1 name lc2
		ip link set la1 up && ip link set lb1 up && ip link set la2 up && ip link set lb2 up
		ip link del lc2
	done
}

cycles() {
	local n=$1 i name=$2 table
	table="0 65536 bond 3 queue_if_no_path no_path_timeout_ms:10000 probe_ms:10 static 0 2"
	table+=" /dev/mapper/$VIA1 1 netdev:la1 /dev/mapper/$VIA2 1 netdev:la2"
	for ((i = 0; i < n; i += 2)); do
		if ! dmsetup create "$name" --table "$table" || ! dmsetup remove "$name" ||
			! dmsetup create "$name" --table "$table" ||
			! dd if=/dev/zero of="/dev/mapper/$name" bs=4k count=4 oflag=direct conv=notrunc status=none ||
			! dmsetup remove "$name"; then
			note "cycle $i of $n"
			return 1
		fi
	done
}

# ours: how many objects live that were allocated by dm-bond, or by what it called: "<function of dm-bond's> <objects>"
# a line. Needs slab_debug=U on the kernel's command line.
ours() {
	cat /sys/kernel/debug/slab/*/alloc_traces | awk '
		/^ *[0-9]+ / { count = $1; counted = 0 }
		/\[dm_bond\]/ && !counted++ {
			match($0, /[^ ]+ \[dm_bond\]/)
			all[substr($0, RSTART, RLENGTH)] += count
		}
		END { for (who in all) print who, all[who] }' | sort
}

# allocated_by <function of dm-bond's>: where, by what way, and when.
allocated_by() {
	awk -v who="$1" '
		/^ *[0-9]+ / { if (own) printf "%s", all; all = own = "" }
		!/^No data/ { all = all "# " $0 "\n" }
		index($0, who) { own = 1 }
		END { if (own) printf "%s", all }' /sys/kernel/debug/slab/*/alloc_traces
}

# memory: "<cache> <active objects> <object size>" a line, then what else is counted in kB.
memory() {
	local i
	for i in 1 2; do
		sync
		echo 3 >/proc/sys/vm/drop_caches
		sleep 0.5
	done
	for i in /sys/kernel/slab/*/shrink; do echo 1 >"$i"; done 2>/dev/null
	sleep 1
	awk 'NR > 2 { print $1, $2, $4 }' /proc/slabinfo
	awk '/^(Percpu|VmallocUsed|KernelStack|SUnreclaim):/ { print "kB." $1, $2, 1 }' /proc/meminfo
}

# grown <before> <after> <objects>: what has grown by more objects than that; for what is counted in kB, by 1 MiB.
# The kernel gives vmalloc areas back lazily: what counts of them is VmallocUsed. An object of kmemleak's is one of
# the others too.
grown() {
	join <(sort <<<"$1") <(sort <<<"$2") | grep -Ev '^(vmap_area|kmemleak_object) ' | awk -v most="$3" '
		$4 - $2 > (/^kB/ ? 1024 : most) { print $1 ": " $2 " -> " $4 " (of " $3 " bytes)" }'
}

cycles_with_flaps() {
	local name flaps before after ours more most
	[ "$CYCLES" -gt 0 ] || return 0
	fresh name
	flap 2>/dev/null &
	flaps=$!
	check "a few cycles, to warm up" cycles $((CYCLES / 10 + 4)) "$name"
	touch "$LOAD_DIR/flap.stop"
	wait "$flaps"
	before=$(memory)
	ours=$(ours)
	rm "$LOAD_DIR/flap.stop"
	flap 2>/dev/null &
	flaps=$!
	check "$CYCLES bonds come and go with link events" cycles "$CYCLES" "$name"
	touch "$LOAD_DIR/flap.stop"
	wait "$flaps"
	after=$(memory)
	if [ -n "$ours" ]; then
		for _ in 1 2 3; do # Some is freed late.
			more=$(awk 'NR == FNR { was[$1] = $NF; next } $NF > was[$1] + 0 { print $1 }' <(echo "$ours") <(ours))
			[ -n "$more" ] || break
			sleep 2
		done
		check_is "dm-bond has as many objects as before" "" "$more" || allocated_by "${more%%$'\n'*}"
		note "those are $(awk '{ all += $NF } END { print all }' <<<"$ours")"
	else
		skip "dm-bond has as many objects as before" "not booted with slab_debug=U"
	fi
	note "slabs before: $(awk '!/^kB/ { n += $2 * $3 } END { print n / 1024 }' <<<"$before") kB," \
		"after: $(awk '!/^kB/ { n += $2 * $3 } END { print n / 1024 }' <<<"$after") kB;" \
		"$(grep -h ^kB <<<"$before" | xargs) -> $(grep ^kB <<<"$after" | xargs)"
	# Half an object a cycle and some noise: a leak of one in each is found from some hundreds of cycles on.
	most=$((CYCLES / 2 + 500))
	more=$(grown "$before" "$after" $most)
	# Some is freed late.
	[ -z "$more" ] || { sleep 2; more=$(grown "$before" "$(memory)" $most); }
	check_is "no memory is lost" "" "$more"
}

load_nvme() {
	[ -e /sys/module/dm_bond_nvme ] || insmod "${DM_BOND_DIR:-..}/dm-bond-nvme.ko" || modprobe dm-bond-nvme ||
		skip_all "needs dm-bond-nvme"
}

# A workqueue that helps reclaim has a thread of its own, kworker/R-<name>; names are cut short.
threads() { pgrep -c 'R-dm_bo'; }

need fio nvme ip jq stress-ng mkfs.ext4 veth nvmet-tcp nvme-tcp null_blk
[ "$(cat /sys/module/nvme_core/parameters/multipath)" = N ] || skip_all "needs nvme_core.multipath=N"
load_bond
load_nvme

if links_up; then
	link_pulls || fail "a bond whose paths do not notice their link"
	cycles_with_flaps
	remove_dm "$VIA1"
	remove_dm "$VIA2"
else
	fail "two links over one disk"
fi

at_exit rig_down
check "the rig" rig_up 2 "$MIB" || finish
bond_up "$(rig_path 1)" eth1 "$(rig_path 2)" eth2 || { fail "a bond over both cables"; finish; }
# Slow enough cables that there is always I/O on its way when one is pulled: without, a guest's are instant.
shape 1 60
shape 2 60
under_pulls "4 KiB" "$PULLS" "$LONGEST_OUT" --size=16M
under_pulls "4 MiB" "$BIG_PULLS" "$LONGEST_OUT" --bs=4M --size=32M --iodepth=8
shape 1 0
shape 2 0
file_system
reloads_under_load
remove_dm "$BOND_NAME"
rig_down

check "the miniport unloads" rmmod dm_bond_nvme
check_is "nothing holds the module" 0 "$(cat /sys/module/dm_bond/refcnt)"
check_is "no adapter is left" "" "$(ls /sys/module/dm_bond/adapters)"
check "the module unloads" rmmod dm_bond
no_threads() { [ "$(threads)" = 0 ]; }
check "no thread of it is left" wait_for 5 no_threads
finish
