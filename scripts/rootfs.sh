#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Make the Debian 13 root directory that everything is built and booted in, and print where it is.
# It holds the newest backported kernel of our series, unpacked but not installed, beside its headers and source.
. "$(dirname "$0")/common.sh"

VIRTME_NG=1.42
HERE=$TOP/scripts
ROOT=$CACHE/root-$(key "$HERE/packages" "$HERE/rootfs.sh")

# Runs in the new root: take the newest kernel of the series and everything that was built with it.
kernel_packages() {
	local release deb
	cd /var/cache/dm-bond
	release=$(apt-cache pkgnames | sed -n "s/^linux-image-\($SERIES\.[0-9.]*+deb13-amd64\)$/\1/p" | sort -V | tail -n 1)
	[ -n "$release" ] || { echo "no kernel of series $SERIES in the archive" >&2; return 1; }
	apt-get download linux-{base,binary,modules,headers}-"$release" "linux-source-$SERIES"
	for deb in linux-{base,binary,modules}-*.deb; do
		dpkg -x "$deb" /
		rm "$deb"
	done
	echo "$release" >/etc/dm-bond-release
	# The guest loads some dozens of modules; in emulation unpacking them would take most of the boot.
	find "/usr/lib/modules/$release" -name '*.ko.xz' -print0 | xargs -0 -n 64 -P 2 xz -d
	depmod "$release"
}

make_root() {
	local new=$ROOT.new
	[ -e "$ROOT" ] && return
	command -v mmdebstrap >/dev/null || {
		step "apt-get update" apt-get update
		step "install mmdebstrap" apt-get install -y --no-install-recommends mmdebstrap
	}
	rm -rf "$new"
	# The mirror is mmdebstrap's own default; the backports suite is added to what it wrote.
	# shellcheck disable=SC2016  # "$1" is for the hooks' own shell.
	step "make a Debian 13 root directory" mmdebstrap --mode=root --variant=apt --skip=cleanup/apt \
		--aptopt='APT::Install-Recommends "false"' \
		--include="$(grep -v '^#' "$HERE/packages" | tr -s ' \n' ',,' | sed 's/,$//')" \
		--setup-hook='f=$(ls "$1"/etc/apt/sources.list.d/*.sources "$1"/etc/apt/sources.list 2>/dev/null | head -n 1)
			sed -i -e "/security/d" -e "s/^\(deb .*\) trixie main$/&\n\1 trixie-backports main/" "$f"' \
		trixie "$new"
	mkdir -p "$new/var/cache/dm-bond"
	step "unpack the newest $SERIES kernel" "$HERE/enter.sh" --root "$new" -- \
		/bin/bash -euc "SERIES=$SERIES; $(declare -f kernel_packages); kernel_packages"
	step "install virtme-ng" "$HERE/enter.sh" --root "$new" -- \
		pip install --break-system-packages --no-deps --root-user-action ignore "virtme-ng==$VIRTME_NG"
	mv "$new" "$ROOT"
}

once root make_root
echo "$ROOT"
