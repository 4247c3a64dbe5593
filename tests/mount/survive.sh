#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real files survive a restart and the loss of any two of six disks.
. "$(dirname "$0")/lib.sh"
need rsync dd cmp

big_mib=${DYNFS_BIG_MIB:-2048}

say "copy real trees and a file of $big_mib MiB in"
pool_new six
pool_start six
mnt=$work/six.mnt
src=$work/src
mkdir "$src"
dd if=/dev/urandom of="$src/random" bs=1M count="$big_mib" status=none
for tree in /usr/include /usr/share/doc; do
	rsync -aHAX "$tree" "$mnt/"
done
rsync -aHAX "$src" "$mnt/"
same /usr/include "$mnt/include"
same /usr/share/doc "$mnt/doc"
same "$src" "$mnt/src"

say "the same after a restart"
pool_stop six
pool_start six
same /usr/include "$mnt/include"
same /usr/share/doc "$mnt/doc"
same "$src" "$mnt/src"
pool_stop six

say "each pair of disks away, on a smaller tree"
pool_new pairs
pool_start pairs
mnt=$work/pairs.mnt
small=$work/small
mkdir "$small"
cp -a /usr/include/linux "$small/"
dd if=/dev/urandom of="$small/random" bs=1M count=24 status=none
rsync -aHAX "$small/" "$mnt/tree/"
pool_stop pairs

away=$work/away
mkdir "$away"
for a in 1 2 3 4 5 6; do
	for b in 1 2 3 4 5 6; do
		[ "$a" -lt "$b" ] || continue
		for d in $a $b; do
			mv "$work/pairs/disk$d" "$away/"
		done
		pool_start pairs || die "no start without disks $a and $b"
		same "$small" "$mnt/tree"
		mkdir -p "$mnt/more" "$work/more"
		dd if=/dev/urandom of="$work/more/$a$b" bs=64K count=50 \
			status=none
		cp -a /usr/include/linux/fs.h "$work/more/fs-$a$b.h"
		rsync -aHAX "$work/more/" "$mnt/more/"
		same "$work/more" "$mnt/more"
		pool_stop pairs
		for d in $a $b; do
			mv "$away/disk$d" "$work/pairs/"
		done
		pool_start pairs || die "no start with disks $a and $b back"
		same "$small" "$mnt/tree"
		same "$work/more" "$mnt/more"
		pool_stop pairs
		say "disks $a and $b: fine"
	done
done
