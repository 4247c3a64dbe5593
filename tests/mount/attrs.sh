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

say "after a restart they are there, and heeded"
m=$work/attrs.mnt
chmod 711 "$work"
acl() {
	getfacl -cnp "$1" | tr -s '\t\n' ' '
}
may_read() {
	setpriv --reuid="$1" --regid="$1" --clear-groups cat "$m/f"
}
echo secret >"$m/f"
chmod 600 "$m/f"
setfacl -m u:1001:r "$m/f"
mkdir "$m/d"
setfacl -d -m u:1001:rwx "$m/d"
pool_stop attrs
pool_start attrs
[ "$(acl "$m/f")" = "user::rw- user:1001:r-- group::--- mask::r-- other::--- " ] ||
	die "the ACL is $(acl "$m/f")"
may_read 1001 >/dev/null || die "1001 may not read"
! may_read 1002 2>/dev/null || die "1002 may read"

say "with ACLs off they are kept, but none can be set"
pool_stop attrs
echo 'frontends = ( { plugin = "fuse"; acl = false; } );' >>"$work/attrs.conf"
pool_start attrs
! LC_ALL=C setfacl -m u:1002:r "$m/f" 2>"$work/words" || die "one was set"
grep -q 'not supported' "$work/words" || die "$(cat "$work/words")"
! may_read 1001 2>/dev/null || die "1001 may read"
[ "$(acl "$m/f")" = "user::rw- user:1001:r-- group::--- mask::r-- other::--- " ] ||
	die "the ACL is $(acl "$m/f")"
chmod 640 "$m/f"
(umask 077 && touch "$m/d/new")
pool_stop attrs
sed -i '$d' "$work/attrs.conf"
pool_start attrs
[ "$(acl "$m/d/new")" = "user::rw- user:1001:rwx #effective:--- group::r-x #effective:--- mask::--- other::--- " ] ||
	die "the ACL is $(acl "$m/d/new")"
setfacl -b "$m/f"
[ "$(acl "$m/f")" = "user::rw- group::--- other::--- " ] ||
	die "the ACL is $(acl "$m/f")"
pool_stop attrs
