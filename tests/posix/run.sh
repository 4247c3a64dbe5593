#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# posixcheck on a fresh ext4, where every check must hold, for else it is no
# check; then on a pool, which must do the same.  Both once more mounted
# read-only, and what takes rights from programs with the kernel's write cache.
# Arguments go to posixcheck: --only rename -v, say.
set -euo pipefail
. "$(dirname "$0")/../mount/lib.sh"
need mkfs.ext4
check=${DYNFS_POSIXCHECK:?DYNFS_POSIXCHECK names the program}

scene() {
	mkdir "$1/dir"
	echo content >"$1/file"
	echo content >"$1/dir/in"
	ln -s file "$1/link"
}

readonly_checks() {
	"$check" "$work" --only readonly --readonly "$1"
}

# ea_inode: attributes up to the kernel's limit
say "ext4"
truncate -s 3G "$work/ext4.img"
mkfs.ext4 -q -F -O ea_inode "$work/ext4.img"
mkdir "$work/ext4.mnt"
mount -o loop,acl,user_xattr "$work/ext4.img" "$work/ext4.mnt"
"$check" "$work/ext4.mnt" "$@" || die "a check that ext4 fails is wrong"
scene "$work/ext4.mnt"
mount -o remount,ro "$work/ext4.mnt"
readonly_checks "$work/ext4.mnt" || die "ext4, read-only"
umount "$work/ext4.mnt"

say "dynfs"
pool_new posix
pool_start posix
failed=0
"$check" "$work/posix.mnt" "$@" || failed=1
scene "$work/posix.mnt"
pool_stop posix
pool_start posix --readonly
readonly_checks "$work/posix.mnt" || failed=1
pool_stop posix

say "dynfs, with the kernel's write cache"
echo 'frontends = ( { plugin = "fuse"; writeback = true; } );' >>"$work/posix.conf"
pool_start posix
"$check" "$work/posix.mnt" --only setid || failed=1
pool_stop posix
[ $failed = 0 ] || die "the pool does not do what ext4 does"
