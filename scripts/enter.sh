#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Run a command in the Debian 13 root directory, as root, with this checkout and the cache at their usual places:
#   enter.sh [--root <dir>] -- <command>...
# The mounts live in a mount namespace of their own and are gone with the command.
. "$(dirname "$0")/common.sh"

if [ "${1-}" = --root ]; then
	ROOT=$2
	shift 2
else
	ROOT=$("$TOP/scripts/rootfs.sh")
fi
[ "${1-}" = -- ] && shift
[ $# -gt 0 ] || die "usage: enter.sh [--root <dir>] -- <command>..."
[ "$(id -u)" = 0 ] || die "needs root, for chroot and mounts"
mkdir -p "$CACHE"

# shellcheck disable=SC2016  # Expanded by the inner shell.
exec unshare --mount --propagation private bash -euc '
	root=$1 top=$2 cache=$3
	shift 3
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
	for dir in "$top" "$cache"; do
		mkdir -p "$root$dir"
		mount --bind "$dir" "$root$dir"
	done
	# Names and certificates as on the host, so that registries are reached the same way.
	for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
		[ -e "$file" ] || continue
		[ -e "$root$file" ] || touch "$root$file"
		mount --bind "$file" "$root$file"
	done
	cd "$top"
	exec chroot "$root" /usr/bin/env -C "$top" \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive DM_BOND_CACHE="$cache" "$@"
' enter "$ROOT" "$TOP" "$CACHE" "$@"
