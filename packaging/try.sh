#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build dynfs and run the sample pool of config/quickstart.conf in the
# foreground, on a Debian 12 machine, as root.  Ctrl-C unmounts and ends it.
#
#   --no-install   do not look for missing packages
#   --clean        remove the sample pool and everything in it; asks first
set -eu

top=$(dirname "$(dirname "$(readlink -f "$0")")")
config=$top/config/quickstart.conf
pool=/var/lib/dynfs/quickstart
mount=/mnt/dynfs
install=yes

usage() {
	sed -n '/^# Build/,/^set/s/^# \{0,1\}//p' "$0"
}

clean() {
	if mountpoint -q "$mount"; then
		echo "$mount is mounted: end the daemon first" >&2
		exit 1
	fi
	if [ ! -e "$pool" ]; then
		echo "$pool is not there: nothing to remove"
		exit 0
	fi
	printf 'Remove %s with all files of the sample pool? [y/N] ' "$pool"
	read -r answer || answer=
	case $answer in
	y | Y | yes) rm -rf --one-file-system "$pool" && echo removed ;;
	*) echo kept ;;
	esac
	exit 0
}

for arg; do
	case $arg in
	--no-install) install=no ;;
	--clean) clean ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
done

if [ "$(id -u)" != 0 ]; then
	echo "try.sh: run it as root: it mounts $mount" >&2
	exit 1
fi
[ $install = no ] || "$top/packaging/packages.sh" build

cd "$top"
# A warning of a compiler that we do not know should not stop a first look.
cmake --preset release -DDYNFS_TESTS=OFF -DDYNFS_WERROR=OFF >/dev/null
cmake --build build/release
mkdir -p "$pool" "$mount"
exec build/release/bin/dynfs run -c "$config"
