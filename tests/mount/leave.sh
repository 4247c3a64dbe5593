#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A disk that is given up can be unmounted while the pool goes on: nothing of
# it is open any more, neither log nor index, label nor store.
. "$(dirname "$0")/lib.sh"
need rsync dd umount mount

writer=
stop_writer() {
	[ -z "$writer" ] || kill "$writer" 2>/dev/null || true
	[ -z "$writer" ] || wait "$writer" 2>/dev/null || true
	writer=
}

for store in segment dir; do
	say "store $store: a pool with two disks in file systems of their own"
	pool_new $store 512M 512M 512M 512M 512M 512M
	echo "store = { plugin = \"$store\"; };" >>"$work/$store.conf"
	for d in 1 4; do
		mkdir "$work/$store/disk$d"
		mount -t tmpfs -o size=128M dynfs-test "$work/$store/disk$d"
	done
	pool_start $store
	mnt=$work/$store.mnt
	mkdir "$work/src-$store"
	cp -a /usr/include/linux "$work/src-$store/"
	dd if=/dev/urandom of="$work/src-$store/random" bs=1M count=16 \
		status=none
	rsync -aHAX "$work/src-$store/" "$mnt/tree/"
	(while dd if=/dev/urandom of="$mnt/busy" bs=64K count=20 conv=fsync \
		status=none; do :; done) 2>/dev/null &
	writer=$!

	for d in 1 4; do
		disk=$work/$store/disk$d
		"$dynfs" disk fail -c "$work/$store.conf" "$disk" ||
			die "disk $d can not be given up"
		umount "$disk" || die "disk $d is still in use"
		say "disk $d is unmounted"
	done
	stop_writer
	rsync -aHAX "$work/src-$store/" "$mnt/again/"
	pool_stop $store
	pool_start $store
	same "$work/src-$store" "$mnt/tree"
	same "$work/src-$store" "$mnt/again"
	pool_stop $store
done
