#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boot the stock kernel in a virtual machine and run a command there, as root, in this checkout:
#   vm.sh [--kernel <build tree>] [--cpus N] [--memory SIZE] [--timeout SECONDS] [--append "<kernel arguments>"]...
#         [--icount] [--log FILE] -- <command>...
# With --kernel it is the kernel of that build tree, such as scripts/debug-kernel.sh makes, with its modules.
# With --icount there is one emulated CPU, which takes one nanosecond of the guest's time for each instruction, and
# time without any to run is skipped: what is measured there repeats to the digit.
# The guest's root file system is the Debian 13 root, read-only with overlays in memory; the checkout and the cache
# are the host's own. The command's output comes out here, the kernel's log goes to $CACHE/log/guest-console.log
# (which the next guest writes anew), or to a file of the cache.
# The exit status is the command's; 124 after a timeout or a hang, 125 if the guest died before the command ended.
. "$(dirname "$0")/common.sh"

[ -e /etc/dm-bond-release ] || exec "$TOP/scripts/enter.sh" -- "$TOP/scripts/vm.sh" "$@"

CPUS=2
MEMORY=2G
TIMEOUT=900      # Seconds for everything, the boot included.
BOOT_LIMIT=180   # Seconds until the command must have started.
SILENCE_LIMIT=90 # Seconds without a heartbeat until the guest counts as hung.
# Emulated CPUs may stand still for seconds when the host is busy: neither the clock nor a watchdog should mind.
TREE=
LOG=$CACHE/log/guest-console.log
ACCEL= # QEMU's options, in place of KVM or of the fastest emulation.
APPEND="mitigations=off tsc=reliable no_timer_check rcupdate.rcu_cpu_stall_timeout=60 watchdog_thresh=60
	workqueue.watchdog_thresh=120 nvme_core.multipath=N loglevel=7 printk.devkmsg=on"

while [ $# -gt 0 ]; do
	case $1 in
	--kernel) TREE=$2 ;;
	--cpus) CPUS=$2 ;;
	--memory) MEMORY=$2 ;;
	--timeout) TIMEOUT=$2 ;;
	--append) APPEND+=" $2" ;;
	--log) LOG=$2 ;;
	--icount)
		ACCEL="-accel tcg,thread=single,tb-size=512 -icount shift=0,sleep=off"
		APPEND+=" sysctl.kernel.hung_task_timeout_secs=0" # What waits for the host waits for long.
		CPUS=1 BOOT_LIMIT=600 SILENCE_LIMIT=300 # By the guest's clock the heart beats once in 5 billion instructions.
		shift
		continue
		;;
	--) shift; break ;;
	*) die "unknown option $1; see the head of this file" ;;
	esac
	shift 2
done
[ $# -gt 0 ] || die "no command; see the head of this file"

RELEASE=$(cat /etc/dm-bond-release)
KERNEL=/usr/lib/modules/$RELEASE/vmlinuz
if [ -n "$TREE" ]; then
	RELEASE=$(cat "$TREE/include/config/kernel.release")
	KERNEL=$TREE/arch/x86/boot/bzImage # Recognized by virtme-ng, which then links the tree's modules.
	BOOT_LIMIT=600 SILENCE_LIMIT=300   # It may have slow checks built in.
fi
RUN=$CACHE/guest # What host and guest tell each other.

# Does KVM boot this kernel? A device node that opens proves nothing, so let a guest get as far as looking for a root.
kvm_boots() {
	timeout -k 1 10 qemu-system-x86_64 -accel kvm -cpu host -smp 2 -m 512M -nodefaults -display none -no-reboot \
		-serial stdio -kernel "$KERNEL" -append "console=ttyS0 panic=-1" </dev/null 2>&1 |
		grep -q 'Unable to mount root fs'
}

# Tried once for every pair of host kernel and QEMU.
use_kvm() {
	local known
	known=$CACHE/kvm-$(key "$(uname -r)" "$(qemu-system-x86_64 --version)" "$RELEASE")
	if [ ! -e "$known" ]; then
		if [ -w /dev/kvm ] && kvm_boots; then echo yes; else echo no; fi >"$known"
		say "does KVM boot a guest here: $(cat "$known")"
	fi
	[ "$(cat "$known")" = yes ]
}

# What the guest runs. The heartbeat is a file that grows, since the guest's clock is its own. The serial ports that
# are its standard output cannot be opened twice, so pipes stand between. A new /tmp must not hide the checkout.
guest_script() {
	cat <<-EOF
		$([[ " $TOP $CACHE" == *" /tmp/"* ]] || echo mount -t tmpfs -o mode=1777 tmpfs /tmp)
		mount --bind ${RUN@Q}/udevadm /usr/bin/udevadm
		modprobe configfs && mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
		export HOME=/root LC_ALL=C.UTF-8 DM_BOND_CACHE=${CACHE@Q}
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		cd ${TOP@Q}
		while printf . >>${RUN@Q}/heartbeat; do sleep 5; done &
		exec 3> >(exec cat) 4> >(exec cat >&2)
		${*@Q} </dev/null >&3 2>&4 3>&- 4>&-
		echo \$? >${RUN@Q}/status
		exec 3>&- 4>&-
		wait \$! # The host waits for this shell, but not for ever.
	EOF
}

# Runs in mount and PID namespaces of its own, so that nothing of it is left behind however it ends.
boot() {
	local arg args=()
	# Coldplug and tmpfiles would take longer than all the rest of the boot, for devices and files nobody needs.
	mount --bind /usr/bin/true /usr/bin/systemd-tmpfiles
	cp -L /usr/bin/udevadm "$RUN/udevadm"
	mount --bind "$TOP/scripts/guest/udevadm" /usr/bin/udevadm
	for arg in $APPEND; do args+=(--append "$arg"); done
	[ -n "$ACCEL" ] || use_kvm || ACCEL="-accel tcg,thread=multi,tb-size=512"
	[ -z "$ACCEL" ] || args+=(--disable-kvm --qemu-opts="$ACCEL")
	exec vng --run "$KERNEL" --cpus "$CPUS" --memory "$MEMORY" --disable-microvm --rwdir "$TOP" --rwdir "$CACHE" \
		--qemu-opts="-set chardev.console.path=$LOG" "${args[@]}" --exec "bash $RUN/command" </dev/null
}

failed() {
	local status=$1
	shift
	echo "---- the end of the guest's kernel log:" >&2
	tail -n 60 "$LOG" >&2
	say "error: $*; the whole kernel log is in $LOG"
	exit "$status"
}

# Kill the namespace's first process; the rest of it, QEMU included, dies with it.
stop() { pkill -KILL -P "$1" || kill -KILL "$1"; } 2>/dev/null

size() { stat -c %s "$RUN/heartbeat" 2>/dev/null || echo 0; }

# Wait for the guest, and make sure that the wait has an end.
watch() {
	local vm=$1 start=$SECONDS beat=0 heard=$SECONDS now
	while kill -0 "$vm" 2>/dev/null && [ ! -s "$RUN/status" ]; do
		sleep 0.2
		now=$(size)
		[ "$now" = "$beat" ] || heard=$SECONDS
		beat=$now
		if [ "$beat" = 0 ] && [ $((SECONDS - start)) -ge "$BOOT_LIMIT" ]; then
			why="the guest has not come up in $BOOT_LIMIT s"
		elif [ "$beat" != 0 ] && [ $((SECONDS - heard)) -ge "$SILENCE_LIMIT" ]; then
			why="the guest hangs: no sign of life for $SILENCE_LIMIT s"
		elif [ $((SECONDS - start)) -ge "$TIMEOUT" ]; then
			why="timeout: the command has not ended in $TIMEOUT s"
		else
			continue
		fi
		stop "$vm"
		return
	done
	# Powering off takes the guest a moment; a guest that cannot even do that is no loss.
	for _ in $(seq 100); do
		kill -0 "$vm" 2>/dev/null || return 0
		sleep 0.1
	done
	stop "$vm"
}

mkdir -p "$CACHE/log" "$RUN"
exec 9>"$CACHE/.guest.lock"
flock -n 9 || { say "waiting for another guest to end"; flock 9; }
rm -f "$RUN"/{heartbeat,status}
: >"$LOG"
guest_script "$@" >"$RUN/command"
use_kvm || true # Ask now, before anything is hidden behind a mount.

# QEMU opens what it finds as standard output anew for every port, which only pipes bear without loss.
export ACCEL APPEND CPUS MEMORY RELEASE KERNEL LOG RUN
export -f boot use_kvm kvm_boots key say
exec 3> >(exec cat 9>&-)
OUT=$!
exec 4> >(exec cat >&2 3>&- 9>&-)
ERR=$!
unshare --mount --propagation unchanged --pid --fork --kill-child --mount-proc bash -euc boot "$0" >&3 2>&4 9>&- &
VM=$!
disown "$VM" # Or bash reports its end.
trap 'stop "$VM" || true' EXIT
exec 3>&- 4>&-
why=
watch "$VM"
wait "$OUT" "$ERR" || true
[ -z "$why" ] || failed 124 "$why"
[ -s "$RUN/status" ] || failed 125 "the guest died"
exit "$(cat "$RUN/status")"
