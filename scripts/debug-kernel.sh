#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Build the kernel of scripts/debug.config, modules included, from the source and with the tools of the stock kernel,
# and print its build tree: for KDIR=, and for vm.sh --kernel.
. "$(dirname "$0")/common.sh"

[ -e /etc/dm-bond-release ] || exec "$TOP/scripts/enter.sh" -- "$TOP/scripts/debug-kernel.sh"

FRAGMENT=$TOP/scripts/debug.config
STOCK=$("$TOP/scripts/kernel-tree.sh" "$(cat /etc/dm-bond-release)")
TREE=$CACHE/debug-kernel-$(key "$TOP/scripts/debug-kernel.sh" "$FRAGMENT" "$STOCK")

# An option that does not come out as the fragment has it is an error.
configure() {
	cd "$STOCK/source"
	scripts/kconfig/merge_config.sh -s -O "$TREE/build" "$FRAGMENT"
}

build() { make -C "$STOCK/source" O="$TREE/build" -j"$(nproc)" bzImage modules; }

make_tree() {
	[ -e "$TREE/ready" ] && return
	rm -rf "$TREE"
	mkdir -p "$TREE/build" # It names itself by absolute paths, so it is made where it stays.
	step "configure the debug kernel" configure
	step "build the debug kernel" build
	touch "$TREE/ready"
}

once debug-kernel make_tree
echo "$TREE/build"
