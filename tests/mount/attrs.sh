#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ACLs and extended attributes are on a pool what they are on ext4: the same
# list of cases is run on both, and the transcripts are compared.
. "$(dirname "$0")/lib.sh"
need python3 setfacl getfacl mkfs.ext4 rsync tar diff

seed=${DYNFS_TEST_SEED:-$RANDOM$RANDOM}
say "seed $seed (DYNFS_TEST_SEED)"

truncate -s 256M "$work/ext4.img"
# values of 64 KiB want inodes of their own there
mkfs.ext4 -q -O ea_inode "$work/ext4.img"
mkdir "$work/ext4.mnt"
mount -o loop,acl,user_xattr "$work/ext4.img" "$work/ext4.mnt" ||
	skip "no loop mounts of ext4 here"

pool_new attrs
pool_start attrs
for on in ext4 attrs; do
	mkdir "$work/$on.mnt/cases"
	python3 "$(dirname "$0")/attr_cases.py" "$work/$on.mnt/cases" "$seed" \
		>"$work/$on.out" || {
		tail -n 20 "$work/$on.out" >&2
		die "the cases did not end on $on"
	}
done
[ "$(wc -l <"$work/ext4.out")" -gt 4000 ] || die "so few answers?"
diff -U 8 "$work/ext4.out" "$work/attrs.out" >"$work/attrs.diff" || {
	head -n 80 "$work/attrs.diff" >&2
	die "ext4 and the pool differ"
}
say "$(wc -l <"$work/ext4.out") lines are the same"
pool_stop attrs
