# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Verified load, sourced after lib.sh by the tests that need it.
#
#   load_start <name> <file> [<fio option>]...   write and verify again and again, in the background
#   load_stop <what> <name>                      end it, check it, set LONGEST to the longest I/O in milliseconds
#   load_stop_all                                at the end of a test that went wrong
#   goes_on <disk> [<I/Os>]                      wait until so many more have been completed: by default more than one
#                                                load has out
#
# Each round writes all of <file> in random order at depth 64 and reads it back. Rounds have seeds of their own, so
# that data left from an earlier round is a miscompare.

LOAD_DIR=$(mktemp -d)
at_exit rm -rf "$LOAD_DIR"

load_start() {
	local name=$1 file=$2
	shift 2
	rm -f "$LOAD_DIR/$name".*
	_load_loop "$name" fio --name="$name" --filename="$file" --rw=randwrite --bs=4k --iodepth=64 --ioengine=io_uring \
		--direct=1 --size=32M --randrepeat=0 --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
		--output-format=json "$@" &
	echo $! >"$LOAD_DIR/$name.pid"
	at_exit load_stop_all # Before what it runs on is removed.
}

_load_loop() {
	local name=$1 round=0
	shift
	trap - EXIT TERM INT HUP
	cd "$LOAD_DIR" || exit
	until [ -e "$name.stop" ]; do
		"$@" --output="$name.$round.json" >"$name.out" 2>&1 || { echo "$?" >"$name.failed"; exit 1; }
		: $((round++))
	done
}

_completed() {
	local reads writes
	read -r reads _ _ _ writes _ <"/sys/block/$1/stat"
	COMPLETED=$((reads + writes))
}
_has_completed() { _completed "$1" && [ "$COMPLETED" -ge "$2" ]; }
goes_on() {
	_completed "$1"
	wait_for 20 _has_completed "$1" $((COMPLETED + ${2-65}))
}

_load_ended() { ! kill -0 "$(value "$LOAD_DIR/$1.pid")"; }

# _load_sum <name>: of all rounds: how many there were, how many failed, the longest I/O in milliseconds, all I/Os. fio
# may print a line before the JSON.
_load_sum() {
	sed -sn '/^{/,$p' "$LOAD_DIR/$1".*.json | jq -rs '[.[].jobs[]] | . as $jobs | map(.write, .read) | [
		($jobs | length), ($jobs | map(select(.error != 0)) | length),
		((map(.lat_ns.max) | max) / 1e6 | floor), (map(.total_ios) | add)] | @tsv'
}

load_stop() {
	local what=$1 name=$2 rounds errors
	: >"$LOAD_DIR/$name.stop"
	if ! wait_for 120 _load_ended "$name"; then
		fail "$what: the load ends"
		return 1
	fi
	wait "$(cat "$LOAD_DIR/$name.pid")"
	rm "$LOAD_DIR/$name.pid"
	if [ -e "$LOAD_DIR/$name.failed" ]; then
		fail "$what: no error, no miscompare"
		note "fio ended with $(cat "$LOAD_DIR/$name.failed")"
		head -n 5 "$LOAD_DIR/$name.out" | sed 's/^/# /'
		return 1
	fi
	read -r rounds errors LONGEST IOS < <(_load_sum "$name")
	[ "${rounds:-0}" -gt 0 ] || { fail "$what: the load ran"; return 1; }
	check_is "$what: no error, no miscompare" "0 errors" "$errors errors" || return
	note "$what: $rounds rounds, $IOS I/Os, the longest took $LONGEST ms"
}

# What hangs in a device is left to whoever removes that.
load_stop_all() {
	local pid
	for pid in "$LOAD_DIR"/*.pid; do
		[ -e "$pid" ] || continue
		touch "${pid%.pid}.stop"
		pkill -TERM -P "$(cat "$pid")"
		wait_for 20 _load_ended "$(basename "$pid" .pid)" || pkill -KILL -P "$(cat "$pid")"
	done
	return 0
}
