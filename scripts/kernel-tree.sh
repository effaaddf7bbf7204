#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# On a Debian system: prepare a kernel tree with Rust metadata for a stock kernel, and print it for KDIR=.
#   kernel-tree.sh [<kernel release>]        default: the running kernel
# Debian's header packages lack the Rust metadata. It is made again from linux-source with the flavour's own
# configuration and the same tools; the modules built against it then load on the stock kernel.
. "$(dirname "$0")/common.sh"

RELEASE=${1:-$(uname -r)}
SERIES=${RELEASE%.*}
DEBS=/var/cache/dm-bond # Packages fetched already, where scripts/rootfs.sh made this system.
TREE=$CACHE/kernel-$RELEASE-$(key "$TOP/scripts/kernel-tree.sh" "$(rustc --version)" "$(gcc --version)" "$(bindgen --version)")

fetch() {
	if [ -d "$DEBS" ]; then
		ln -s "$DEBS"/linux-{headers,source}-*.deb .
	else
		apt-get download "linux-headers-$RELEASE" "linux-source-$SERIES"
	fi
	[ "$(dpkg-deb -f linux-headers-*.deb Version)" = "$(dpkg-deb -f linux-source-*.deb Version)" ] ||
		{ echo "the archive's source is of another version than the headers of $RELEASE"; return 1; }
}

unpack() {
	dpkg-deb --fsys-tarfile linux-source-*.deb | tar -xO "./usr/src/linux-source-$SERIES.tar.xz" | tar -xJ
	mv "linux-source-$SERIES" source
	dpkg -x linux-headers-*.deb headers
}

prepare() {
	local headers=$PWD/headers/usr/src/linux-headers-$RELEASE
	mkdir -p build
	cp "$headers/.config" build/
	make -C source O="$PWD/build" olddefconfig
	# A tool that is missing or of another version turns options off, and with them parts of what modules share.
	diff -I CONFIG_CC_VERSION_TEXT "$headers/.config" build/.config ||
		{ echo "the tools here are not those that $RELEASE was built with: see the differing options above"; return 1; }
	make -C source O="$PWD/build" -j"$(nproc)" prepare modules_prepare
	# What says which kernel this is: the symbols' versions and the release with its suffix.
	cp "$headers/Module.symvers" build/
	cp "$headers/include/config/kernel.release" build/include/config/
	cp "$headers/include/generated/utsrelease.h" build/include/generated/
	rm -rf headers ./*.deb
}

make_tree() {
	[ -e "$TREE/ready" ] && return
	rm -rf "$TREE"
	mkdir -p "$TREE"
	cd "$TREE" # The build tree names itself and its source by absolute paths, so it is made where it stays.
	step "fetch the source of $RELEASE" fetch
	step "unpack the source of $RELEASE" unpack
	step "prepare the kernel tree" prepare
	touch ready
}

once kernel make_tree
echo "$TREE/build"
