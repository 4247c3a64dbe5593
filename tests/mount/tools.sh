#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Programs that people keep their data with work on a mounted pool, and what
# they left is whole after a restart.
. "$(dirname "$0")/lib.sh"
need cmp

have() {
	command -v "$1" >/dev/null && return 0
	say "without $1, which is not installed"
	return 1
}

at_exit() {
	umount "$work/overlay" 2>/dev/null || :
}

overlay_mount() {
	local all=lowerdir=$mnt/ov/lower,upperdir=$mnt/ov/upper

	mount -t overlay overlay -o "$all,workdir=$mnt/ov/work" \
		"$work/overlay" || die "overlay: it can not be mounted"
}

# Names, types and content.
tree_sum() {
	(
		cd "$1"
		find . -printf '%P %y\n' | sort
		find . -type f -print0 | sort -z | xargs -0 cksum
	) | cksum
}

overlay=
if grep -qw overlay /proc/filesystems || modprobe -q overlay; then
	overlay=yes
else
	say "without overlay, which the kernel does not have"
fi

pool_new tools
pool_start tools
mnt=$work/tools.mnt
src=/usr/include/linux
rows=2000

if have sqlite3; then
	say "sqlite3: transactions, in both journal modes, two at once"
	for mode in delete wal; do
		db=$mnt/$mode.db
		sqlite3 "$db" "pragma journal_mode=$mode;
			create table t(i integer primary key, v blob);" >/dev/null
		for who in 1 2; do
			(
				echo ".timeout 60000"
				echo "pragma synchronous=full;"
				for i in $(seq 1 40); do
					echo "begin immediate;
					insert into t(v) select randomblob(300)
					from generate_series(1, $((rows / 80)));
					commit;"
				done
			) | sqlite3 "$db" >/dev/null &
			writers[who]=$!
		done
		wait "${writers[1]}" || die "sqlite3, $mode: first writer"
		wait "${writers[2]}" || die "sqlite3, $mode: second writer"
		[ "$(sqlite3 "$db" 'select count(*) from t')" = $rows ] ||
			die "sqlite3, $mode: rows are missing"
	done
fi

if have git; then
	say "git: a repository, packed and checked"
	export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a
	export GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_GLOBAL=/dev/null
	git init -q "$mnt/repo"
	cp -r $src "$mnt/repo/"
	git -C "$mnt/repo" add -A
	git -C "$mnt/repo" commit -qm one
	git -C "$mnt/repo" mv linux tree
	git -C "$mnt/repo" commit -qam two
	git -C "$mnt/repo" gc -q
	git clone -q "$mnt/repo" "$mnt/clone"
fi

if have tar; then
	say "tar: out and in, with everything"
	mkdir "$work/odd"
	mkfifo "$work/odd/fifo"
	truncate -s 300M "$work/odd/sparse"
	echo end >>"$work/odd/sparse"
	ln -s fifo "$work/odd/link"
	ln "$work/odd/sparse" "$work/odd/hard"
	touch -d 1970-01-02T03:04:05.678901234 "$work/odd/fifo"
	chmod 1731 "$work/odd"
	cp -r $src "$work/odd/"
	tar -C "$work" --sparse -cf "$mnt/odd.tar" odd
	tar -C "$mnt" -xpf "$mnt/odd.tar"
	[ "$(du -sm "$mnt/odd/sparse" | cut -f1)" -lt 20 ] ||
		die "tar: the holes were filled"
fi

if [ -n "$overlay" ]; then
	say "overlay: changes over a tree that stays as it is"
	mkdir -p "$mnt/ov/"{lower,upper,work} "$work/overlay"
	cp -r $src "$mnt/ov/lower/"
	overlay_mount
	(
		cd "$work/overlay/linux"
		echo more >>fuse.h
		mv fuse.h moved.h
		rm fs.h
		rm -r can
		mkdir can
		echo new >can/new.h
		[ ! -e fuse.h ] && [ ! -e fs.h ] && [ -e moved.h ]
	)
	sum=$(tree_sum "$work/overlay")
	umount "$work/overlay"
	for gone in fs.h fuse.h; do
		[ -c "$mnt/ov/upper/linux/$gone" ] || die "overlay: no whiteout"
	done
	diff -r $src "$mnt/ov/lower/linux" || die "overlay: the tree changed"
fi

if have rsync; then
	say "rsync: a tree, then only what has changed"
	rsync -aHAX $src/ "$mnt/copy/"
	[ -z "$(rsync -aHAXi $src/ "$mnt/copy/")" ] || die "rsync: not quiet"
	rsync -aHAX --inplace --no-whole-file $src/ "$mnt/copy/"
fi

say "a copy that is interrupted ends at once and can be taken away"
env --default-signal=INT dd if=/dev/zero of="$mnt/interrupted" bs=4M \
	count=100000 status=none &
copier=$!
sleep 0.5
kill -INT $copier
for _ in $(seq 50); do
	kill -0 $copier 2>/dev/null || break
	sleep 0.1
done
! kill -0 $copier 2>/dev/null || die "it does not end within 5 s"
! wait $copier || die "it ended by itself"
rm "$mnt/interrupted"
[ ! -e "$mnt/interrupted" ] || die "it is still there"

say "all of it after a restart"
pool_stop tools
pool_start tools
if have sqlite3; then
	for mode in delete wal; do
		[ "$(sqlite3 "$mnt/$mode.db" 'pragma integrity_check')" = ok ] ||
			die "sqlite3, $mode: damaged"
		[ "$(sqlite3 "$mnt/$mode.db" 'select count(*) from t')" = $rows ] ||
			die "sqlite3, $mode: rows are missing"
	done
fi
if have git; then
	git -C "$mnt/repo" fsck --full --strict >/dev/null || die "git fsck"
	[ -z "$(git -C "$mnt/repo" status --porcelain)" ] || die "git: changes"
	git -C "$mnt/clone" fsck --full >/dev/null || die "git fsck of the clone"
	diff -r $src "$mnt/repo/tree" || die "git: files differ"
fi
if have tar; then
	tar -C "$mnt" -df "$mnt/odd.tar" || die "tar: differs"
	same "$work/odd" "$mnt/odd"
fi
if [ -n "$overlay" ]; then
	overlay_mount
	[ "$(tree_sum "$work/overlay")" = "$sum" ] || die "overlay: differs"
	umount "$work/overlay"
fi
if have rsync; then
	same $src "$mnt/copy"
fi
pool_stop tools
