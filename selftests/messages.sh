#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What a bond can be told by "dmsetup message", with devices named in every way, and what it refuses to be told; and
# its status line, to the letter.
. ./lib.sh
. ./paths.sh

disk='' a='' b='' bond=''
need ip dummy
load_bond
scratch disk 64
way a "$disk"
way b "$disk"
net=dmb-message0
dummy "$net"
make_bond bond "0 static 0 2 $a 1 netdev:$net $b 0" || finish
A=${DEVT[$a]} B=${DEVT[$b]}
log_mark

tell() { dmsetup message -- "${bond#/dev/mapper/}" 0 "$@"; }
status() { dmsetup status "${bond#/dev/mapper/}"; }
table() { dmsetup table "${bond#/dev/mapper/}"; }
# is <what> <expected status, without its head>
is() { check_is "$1" "0 131072 bond $2" "$(status)"; }

is "the status of a new bond" "static 0 2 $A $net A P 500 0 0 0 0 0 $B - A S 500 0 0 0 0 0"
tell set_policy primary
read_blocks "$bond" 3
is "after three reads" "primary 0 2 $A $net A P 1000 0 3 12288 0 0 $B - A S 0 0 0 0 0 0"
dd if=/dev/zero of="$bond" bs=16k count=1 oflag=direct status=none
is "after a longer write" "primary 0 2 $A $net A P 1000 0 4 28672 0 0 $B - A S 0 0 0 0 0 0"
tell set_primary "$b"
read_blocks "$bond" 7
tell set_primary "$a"
tell set_policy static
is "and seven reads over the other path" "static 0 2 $A $net A P 500 0 4 28672 0 0 $B - A S 500 0 7 28672 0 0"

# One path, by every name it has.
for name in "$a" "$A" "${KNAME[$a]}" "/dev/${KNAME[$a]}" "/dev/block/../${KNAME[$a]}"; do
	[[ $name != /dev/block/* || -d /dev/block ]] || continue
	check "fail_path $name" tell fail_path "$name"
	is "it is failed" "static 0 2 $A $net F P 0 0 4 28672 0 0 $B - A S 1000 0 7 28672 0 0"
	check "reinstate_path $name" tell reinstate_path "$name"
	is "it is back" "static 0 2 $A $net A P 500 0 4 28672 0 0 $B - A S 500 0 7 28672 0 0"
done
check "fail_path, twice" tell fail_path "$b"
check "is no error" tell fail_path "$b"
check "nor is reinstate_path" tell reinstate_path "$b"
check "twice" tell reinstate_path "$b"

check "set_primary" tell set_primary "$B"
is "the other path is primary" "static 0 2 $A $net A S 500 0 4 28672 0 0 $B - A P 500 0 7 28672 0 0"
check_is "and first in the table" "0 131072 bond 0 static 0 2 $B 1 share:500 $A 2 netdev:$net share:500" "$(table)"
check "set_policy primary" tell set_policy primary
is "the primary carries all" "primary 0 2 $A $net A S 0 0 4 28672 0 0 $B - A P 1000 0 7 28672 0 0"
read_blocks "$bond" 10
is "indeed" "primary 0 2 $A $net A S 0 0 4 28672 0 0 $B - A P 1000 0 17 69632 0 0"
check_fails "set_share is refused there" "Invalid argument" tell set_share "$a" 5
check "set_policy static" tell set_policy static
check "set_share" tell set_share "${KNAME[$a]}" 800
is "the others share the rest" "static 0 2 $A $net A S 800 0 4 28672 0 0 $B - A P 200 0 17 69632 0 0"
check "set_primary back" tell set_primary "${KNAME[$a]}"
check_is "the table has it all" "0 131072 bond 0 static 0 2 $A 2 netdev:$net share:800 $B 1 share:200" "$(table)"

# Messages that are refused, and change nothing: at that "unchanged" looks.
now() { status; table; }
NOW=$(now)
unchanged() { check_is "and nothing has changed: $1" "$NOW" "$(now)"; }
refused() {
	local what=$1 error=$2 said text found=
	shift 2
	log_read
	if said=$(tell "$@" 2>&1); then
		fail "refused: $what"
		return
	elif [[ $said != *"$error"* ]]; then
		fail "refused: $what"
		note "it was refused with: $said"
		return
	fi
	log_read
	for text in "${LOG[@]}"; do
		[[ ! $text =~ ^"dm_bond: bond ${DEVT[$bond]}: message '".*"' refused: E"[A-Z]+$ ]] || found=yes
	done
	if [ -n "$found" ]; then
		pass "refused: $what"
	else
		fail "refused, and the log says so: $what"
		note "the log has:" "${LOG[@]}"
	fi
}
E="Invalid argument" R="Numerical result out of range"
refused "an unknown message" "$E" jump
refused "an unknown message about a path" "$E" jump "$a"
refused "a message that is not UTF-8" "$E" $'\xff\xfe'
unchanged "unknown messages"
for verb in fail_path reinstate_path set_primary; do
	refused "$verb without a path" "$E" $verb
	refused "$verb with two paths" "$E" $verb "$a" "$b"
	refused "$verb with too many words" "$E" $verb "$a" "$b" "$a" "$b"
	refused "$verb with no device" "$E" $verb /dev/absent
	refused "$verb with a word" "$E" $verb x
	refused "$verb with bytes" "$E" $verb $'\xff'
	refused "$verb with a number nobody has" "$E" $verb 999:999
	refused "$verb with half a number" "$E" $verb "${A%:*}:"
	refused "$verb with a device that is no path" "$E" $verb "$disk"
	refused "$verb with the bond" "$E" $verb "$bond"
	refused "$verb with a character device" "$E" $verb /dev/null
	unchanged $verb
done
refused "queue_if_no_path with a value" "$E" queue_if_no_path 1
refused "fail_if_no_path with a value" "$E" fail_if_no_path 0
refused "set_policy without a policy" "$E" set_policy
refused "an unknown policy" "$E" set_policy round-robin
refused "an argument that is none of the policy" "$E" set_policy static interval_ms:50
refused "an argument that is no number" "$E" set_policy dynamic interval_ms:x
refused "an argument too many" "$E" set_policy dynamic interval_ms:50 interval_ms:50
refused "an argument out of its range" "$R" set_policy dynamic interval_ms:9
refused "a policy with an argument it has not" "$E" set_policy static 5
unchanged set_policy
refused "set_share without anything" "$E" set_share
refused "set_share without a share" "$E" set_share "$a"
refused "set_share without a path" "$E" set_share 5
refused "set_share of two paths" "$E" set_share "$a" "$b" 5
refused "a share that is no number" "$E" set_share "$a" half
refused "a negative share" "$E" set_share "$a" -5
refused "a share of 0" "$R" set_share "$a" 0
refused "a share that leaves nothing" "$R" set_share "$a" 1000
refused "a share of 1001" "$R" set_share "$a" 1001
refused "a share of 2^32 + 5" "$R" set_share "$a" 4294967301
refused "a share of no path" "$E" set_share "$disk" 5
unchanged set_share

# With no path.
tell fail_path "$a"
tell fail_path "$b"
is "no path in use" "static 0 2 $A $net F P 0 0 4 28672 0 0 $B - F S 0 0 17 69632 0 0"
check_fails "a read fails" "Input/output error" read_blocks "$bond" 1
check "queue_if_no_path" tell queue_if_no_path
check_is "is in the table" "0 131072 bond 1 queue_if_no_path static 0 2 $A 2 netdev:$net share:800 $B 1 share:200" "$(table)"
read_blocks "$bond" 1 2>/dev/null &
reader=$!
queues() { [[ $(status) == "0 131072 bond static 1 2 "* ]]; }
check "a read waits, which the status shows" wait_for 10 queues
check "fail_if_no_path" tell fail_if_no_path
wait $reader
check_is "ends that, with an error" 1 $?
check_is "and the feature" "0 131072 bond 0 static 0 2 $A 2 netdev:$net share:800 $B 1 share:200" "$(table)"
tell reinstate_path "$a"
check "with a path reads go again" read_blocks "$bond" 1
is "over that path alone" "static 0 2 $A $net A P 1000 0 5 32768 0 0 $B - F S 0 0 17 69632 0 0"
finish
