#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who reads behind a writer never reads an old end of the file: as it is
# mounted by default, with attributes that the kernel keeps for a moment or not
# at all, and with the kernel's write cache.
. "$(dirname "$0")/lib.sh"
check=${DYNFS_TAILCHECK:-$(dirname "$dynfs")/tailcheck}
[ -x "$check" ] || die "$check is not built"
seconds=${DYNFS_SECONDS:-20}

pool_new tails
for options in "" "attr-timeout = 0; entry-timeout = 0;" "attr-timeout = 1;" \
	"writeback = true;" "writeback = true; attr-timeout = 1;"; do
	say "$seconds s with ${options:-the defaults}"
	sed -i '/^frontends/d' "$work/tails.conf"
	[ -z "$options" ] ||
		echo "frontends = ({ plugin = \"fuse\"; $options });" \
			>>"$work/tails.conf"
	pool_start tails
	"$check" "$work/tails.mnt" "$seconds" || die "an old end was read"
	pool_stop tails
done
