#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A pool that is mounted for reading is read, and nothing else: no byte of a
# disk, no size, no time is another afterwards.  After a clean end, after a
# kill, on file systems that are read-only themselves, and after a remount.
. "$(dirname "$0")/lib.sh"
need rsync getfattr setfattr mount umount python3

# Whatever may be asked of a mount for reading, and what it must refuse.
use_it() {
	local mnt=$1
	same "$work/src" "$mnt/src"
	find "$mnt" -printf '%A@ %p\n' | sort >"$work/atimes.1"
	find "$mnt" -type f -print0 | xargs -0 cat >/dev/null
	find "$mnt" -type l -print0 | xargs -0 readlink >/dev/null
	getfattr --absolute-names -R -d -m - "$mnt" >/dev/null
	stat -f "$mnt" >/dev/null
	find "$mnt" -printf '%A@ %p\n' | sort >"$work/atimes.2"
	cmp "$work/atimes.1" "$work/atimes.2" || die "times of access moved"
	python3 - "$mnt" <<-'PY'
		import errno, os, sys
		mnt = sys.argv[1]
		name = mnt + "/src/random"
		for path in (mnt, mnt + "/src", name):
		    fd = os.open(path, os.O_RDONLY)
		    os.fsync(fd)  # of nothing: it is all there
		    os.close(fd)
		for what, call in {
		    "open": lambda: os.open(name, os.O_RDWR),
		    "create": lambda: os.open(mnt + "/new", os.O_CREAT),
		    "truncate": lambda: os.truncate(name, 0),
		    "mkdir": lambda: os.mkdir(mnt + "/new"),
		    "mknod": lambda: os.mkfifo(mnt + "/new"),
		    "symlink": lambda: os.symlink("x", mnt + "/new"),
		    "link": lambda: os.link(name, mnt + "/new"),
		    "rename": lambda: os.rename(name, mnt + "/new"),
		    "unlink": lambda: os.unlink(name),
		    "rmdir": lambda: os.rmdir(mnt + "/src/empty"),
		    "chmod": lambda: os.chmod(name, 0o600),
		    "chown": lambda: os.chown(name, 1, 1),
		    "utime": lambda: os.utime(name),
		    "setxattr": lambda: os.setxattr(name, "user.a", b"b"),
		    "removexattr": lambda: os.removexattr(name, "user.x"),
		}.items():
		    try:
		        call()
		    except OSError as e:
		        if e.errno == errno.EROFS:
		            continue
		        sys.exit(f"{what}: {e}")
		    sys.exit(f"{what} was not refused")
	PY
}

untouched() {
	disks_state ro >"$work/now"
	diff "$work/before" "$work/now" >"$work/diff" || {
		head -n 20 "$work/diff"
		die "$1: the disks are not what they were"
	}
}

# A mount for reading, as long as it takes to use it.
read_session() {
	disks_state ro >"$work/before"
	pool_start ro --readonly || die "$1: not mounted"
	use_it "$work/ro.mnt"
	"$dynfs" status -c "$work/ro.conf" | grep -q "^State *read-only" ||
		die "$1: status does not say so"
	"$dynfs" sync -c "$work/ro.conf"
	! "$dynfs" remount -c "$work/ro.conf" 2>"$work/said" ||
		die "$1: a pool opened for reading takes changes"
	grep -q "opened for reading only" "$work/said" || die "$(<"$work/said")"
	pool_stop ro
	untouched "$1"
}

mkdir "$work/src" "$work/src/empty"
cp -r /usr/include/linux "$work/src/"
ln -s random "$work/src/link"
dd if=/dev/urandom of="$work/src/random" bs=1M count=12 status=none
truncate -s 20M "$work/src/sparse"
setfattr -n user.x -v y "$work/src/random"

pool_new ro 512M 512M 512M 512M 512M 512M
mount -t tmpfs -o size=512M dynfs-test "$work/ro"
pool_start ro
rsync -aHAX "$work/src/" "$work/ro.mnt/src/"
pool_stop ro

say "after a clean end"
read_session "clean"

say "after a kill, with a log to replay"
pool_start ro
cp "$work/src/random" "$work/ro.mnt/again"
rm -r "$work/ro.mnt/src/linux"
rsync -aHAX "$work/src/" "$work/ro.mnt/src/"
"$dynfs" sync -c "$work/ro.conf"
echo "nobody waits for this" >"$work/ro.mnt/src/late" && rm "$work/ro.mnt/src/late"
pool_kill ro
umount "$work/ro.mnt"
read_session "killed"

say "on a file system that is read-only"
mount -o remount,ro "$work/ro"
: >"$work/ro.log"
! pool_start ro || die "it is mounted for writing"
grep -q "disk1.*EROFS" "$work/ro.log" || die "no reason is given"
umount -l "$work/ro.mnt" 2>/dev/null || true
read_session "read-only below"
mount -o remount,rw "$work/ro"

say "remounted: what was written is stored, then nothing more"
pool_start ro
find "$work/ro.mnt" -type f -print0 | xargs -0 cat >/dev/null # atimes
cp "$work/src/random" "$work/ro.mnt/unsynced"
"$dynfs" remount --readonly -c "$work/ro.conf"
for _ in $(seq 30); do
	disks_state ro >"$work/before"
	sleep 1
	disks_state ro >"$work/now"
	cmp -s "$work/now" "$work/before" && break
done
use_it "$work/ro.mnt"
sleep 2
untouched "remounted"
pool_kill ro
umount "$work/ro.mnt"
pool_start ro
cmp "$work/src/random" "$work/ro.mnt/unsynced" || die "what was written is lost"
same "$work/src" "$work/ro.mnt/src"
pool_stop ro
