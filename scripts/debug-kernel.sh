#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# On a Debian system: build the kernel of scripts/debug.config, modules included, and print its build tree, for KDIR=
# and "vm.sh --kernel":
#   debug-kernel.sh [<kernel release>]       default: the running kernel; its source and its tools are used
. "$(dirname "$0")/common.sh"

RELEASE=${1:-$(uname -r)}
STOCK=$("$TOP/scripts/kernel-tree.sh" "$RELEASE")
FRAGMENT=$TOP/scripts/debug.config
TREE=$CACHE/debug-kernel-$(key "$TOP/scripts/debug-kernel.sh" "$FRAGMENT" "$STOCK")

# Everything at Kconfig's default but for what the fragment says; an option that did not come out as it says is an error.
configure() {
	cd "$STOCK/source"
	scripts/kconfig/merge_config.sh -s -O "$TREE/build" "$FRAGMENT"
}

build() { make -C "$STOCK/source" O="$TREE/build" -j"$(nproc)" bzImage modules; }

make_tree() {
	[ -e "$TREE/ready" ] && return
	rm -rf "$TREE"
	mkdir -p "$TREE/build" # It names itself and its source by absolute paths, so it is made where it stays.
	step "configure the debug kernel" configure
	step "build the debug kernel" build
	touch "$TREE/ready"
}

once debug-kernel make_tree
echo "$TREE/build"
