#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mounting by the system's own tools: mount(8), fstab, umount(8), remount.
#
# mount(8) looks for helpers in /sbin only: a link is put there for the time of
# the test, unless there is something already; then they are called the way
# mount(8) would.
#
# A mount that another process has a copy of is served on after umount.  So
# that nobody makes one, all is done in a name space that has no part in others.
if [ "${1:-}" != alone ] && [ "$(id -u)" = 0 ]; then
	exec unshare --mount --propagation private "$0" alone
fi
. "$(dirname "$0")/lib.sh"
need mount umount unshare findmnt ps python3 cmp
# copies of what others have mounted: gone from here, not from there
(findmnt -n -l -t fuse.dynfs -o TARGET || true) | while read -r target; do
	umount -i -l "$target" || true
done

bin=$(dirname "$dynfs")
helper=$bin/mount.fuse.dynfs
linked= holder=
export DYNFS_CONFIG_DIR=$work/etc

at_exit() {
	[ -z "$linked" ] || rm -f $linked
	[ -z "$holder" ] || kill "$holder" 2>/dev/null
}
for name in mount.fuse.dynfs umount.fuse.dynfs; do
	ln -s "$(realpath "$bin")/$name" /sbin/$name 2>/dev/null &&
		linked="$linked /sbin/$name"
done
if [ "$(readlink /sbin/mount.fuse.dynfs)" = "$(realpath "$bin")/mount.fuse.dynfs" ] &&
	[ "$(readlink /sbin/umount.fuse.dynfs)" = "$(realpath "$bin")/umount.fuse.dynfs" ]; then
	by_mount=yes
	do_mount() { mount -t fuse.dynfs "$@"; }
	do_umount() { umount "$@"; }
else
	by_mount=
	do_mount() { "$helper" "$@" -t fuse.dynfs; }
	do_umount() { "$bin/umount.fuse.dynfs" "$@"; }
	say "without mount(8): /sbin/mount.fuse.dynfs is not ours"
fi

# refused CODE TEXT COMMAND...: fails so, with a line that has the text
refused() {
	local want=$1 text=$2 code=0
	shift 2
	"$@" >"$work/said" 2>&1 || code=$?
	[ $code = "$want" ] || die "$*: $code: $(<"$work/said")"
	grep -q -- "$text" "$work/said" || die "$*: says: $(<"$work/said")"
}

flags() {
	findmnt -n -o "${2:-OPTIONS}" -M "$1"
}

has() {
	case ,$(flags "$1"), in *,$2,*) ;; *) die "no $2 in $(flags "$1")" ;; esac
}

serving() {
	"$dynfs" status -c "$conf" --json 2>/dev/null |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
}

# the process is over, not only its socket; init may not have asked about it
gone() {
	local state
	state=$(ps -o state= -p "$1" || true)
	[ -z "$state" ] || [ "$state" = Z ] || die "process $1 is still there"
}

pool_new sys 1G 1G 1G
sed -i 's/mountpoint = .*//; s/ec42";/c2";/; s/ec42 = .*/c2 = { copies = 2; };/' \
	"$work/sys.conf"
mkdir "$work/etc"
cp "$work/sys.conf" "$work/etc/tank.conf"
conf=$work/sys.conf
mnt=$work/sys.mnt

say "mount and umount"
exec 7>"$work/held"
(cd "$work/etc" && do_mount "$conf" "$mnt" -o noexec,nosuid,nodev,x-a=b,nofail,_netdev)
exec 7>&-
mountpoint -q "$mnt" || die "not mounted when the helper returns"
daemon=$(serving)
[ "$(flags "$mnt" SOURCE)" = "$conf" ] || die "source: $(flags "$mnt" SOURCE)"
[ "$(flags "$mnt" FSTYPE)" = fuse.dynfs ] || die "type: $(flags "$mnt" FSTYPE)"
for flag in rw noexec nosuid nodev relatime; do has "$mnt" $flag; done
cp /bin/true "$mnt/"
! "$mnt/true" 2>/dev/null || die "noexec is not heard"
[ "$(ps -o sid= -p "$daemon" | tr -d ' ')" = "$daemon" ] || die "no own session"
[ "$(readlink "/proc/$daemon/cwd")" = / ] || die "it holds a folder"
for fd in 0 1 2; do
	[ "$(readlink "/proc/$daemon/fd/$fd")" = /dev/null ] || die "fd $fd"
done
! ls -l "/proc/$daemon/fd" | grep -q "$work/held" || die "a file leaked"
do_umount "$mnt"
gone "$daemon"

say "mounted again while the last daemon still stores"
for round in 1 2 3; do
	do_mount "$conf" "$mnt"
	daemon=$(serving)
	head -c 64M /dev/urandom >"$work/bytes"
	cp "$work/bytes" "$mnt/bytes.$round"
	umount -i "$mnt" # not the helper, which waits
	do_mount "$conf" "$mnt" || die "round $round: not mounted"
	gone "$daemon"
	cmp "$work/bytes" "$mnt/bytes.$round"
	do_umount "$mnt"
done

say "a copy of the mount in another name space is served on, and said"
do_mount "$conf" "$mnt"
daemon=$(serving)
unshare --mount --propagation private sleep 60 &
holder=$!
until grep -qs "$mnt" "/proc/$holder/mountinfo" &&
	grep -qs sleep "/proc/$holder/comm"; do sleep 0.1; done
"$bin/umount.fuse.dynfs" "$mnt" 2>"$work/said"
grep -q "still mounted, in another name space" "$work/said" || die "$(<"$work/said")"
[ "$(serving)" = "$daemon" ] || die "it serves no more"
refused 32 "is in use by process $daemon" "$helper" "$conf" "$mnt"
kill $holder
wait $holder || true
holder=
do_mount "$conf" "$mnt"
gone "$daemon"
do_umount "$mnt"

say "two at once: one of them mounts"
for who in one two; do
	(
		code=0
		do_mount "$conf" "$mnt" >"$work/$who" 2>&1 || code=$?
		echo $code >"$work/$who.code"
	) &
done
wait
[ "$(sort -n "$work/one.code" "$work/two.code" | tr '\n' ' ')" = "0 32 " ] ||
	die "$(cat "$work/one" "$work/two")"
cat "$work/one" "$work/two" | grep -q "is in use by process $(serving): it is mounted on $mnt" ||
	die "$(cat "$work/one" "$work/two")"
[ "$(findmnt -n -l -o TARGET | grep -cx "$mnt")" = 1 ] || die "mounted twice"
mkdir "$work/other.mnt"
refused 32 "it is mounted on $mnt" "$helper" "$conf" "$work/other.mnt"
do_umount "$mnt"

say "remount: the kernel and the daemon"
do_mount "$conf" "$mnt" -o sync
has "$mnt" sync
do_umount "$mnt"
do_mount "$conf" "$mnt"
remount() {
	if [ $by_mount ]; then
		mount -o "remount,$1" "$mnt"
	else
		"$helper" "$conf" "$mnt" -o "remount,$1"
	fi
}
exec 7>"$mnt/open"
refused 32 "busy" remount ro
has "$mnt" rw
echo "it goes on" >&7
exec 7>&-
cp "$work/bytes" "$mnt/stored"
remount ro
has "$mnt" ro
! touch "$mnt/x" 2>/dev/null || die "written while read-only"
"$dynfs" status -c "$conf" | grep -q "^State *read-only" || die "status"
remount rw,noexec
has "$mnt" rw
has "$mnt" noexec
touch "$mnt/x"
# the daemon by itself, whatever the kernel thinks
exec 7>"$mnt/open"
refused 1 "open for writing" "$dynfs" remount --readonly -c "$conf"
echo "it still goes on" >&7
exec 7>&-
"$dynfs" remount --readonly -c "$conf"
! touch "$mnt/y" 2>"$work/said" || die "the daemon takes changes"
grep -q "Read-only" "$work/said" || die "$(<"$work/said")"
refused 1 "for reading only" "$dynfs" disk add -c "$conf" "$work/sys/disk9"
"$dynfs" remount -c "$conf"
touch "$mnt/y"
refused 2 "no way to keep access times" "$dynfs" remount --atime never -c "$conf"

say "a remount to read-only stores what was written"
head -c 32M /dev/urandom >"$work/bytes"
cp "$work/bytes" "$mnt/stored"
remount ro
daemon=$(serving)
kill -KILL "$daemon"

say "a daemon that was killed: an error at once, and the next mount works"
timeout 5 ls "$mnt" >/dev/null 2>&1 && die "a dead daemon answers"
sleep 0.5 # what it was about to answer says "connection abort"
gone "$daemon"
refused 2 "not connected" timeout 5 ls "$mnt"
do_mount "$conf" "$mnt"
cmp "$work/bytes" "$mnt/stored" || die "what was written is lost"
[ "$(findmnt -n -l -o TARGET | grep -cx "$mnt")" = 1 ] || die "the dead mount stays"
do_umount "$mnt"

say "mounted for reading, it does not become writable"
do_mount "$conf" "$mnt" -o ro
has "$mnt" ro
refused 32 "opened for reading only" remount rw
has "$mnt" ro
do_umount "$mnt"

say "access times"
atime() { stat -c %X "$mnt/$1"; }
for how in noatime relatime strictatime nodiratime; do
	do_mount "$conf" "$mnt" -o $how
	case $how in
	strictatime) ;; # the kernel shows it by showing nothing
	*) has "$mnt" $how ;;
	esac
	mkdir -p "$mnt/dir/below"
	echo a >"$mnt/file"
	# newer than the changes, and not a day old
	touch -a -d "-60 seconds" "$mnt/file" "$mnt/dir"
	touch -m -d "-1 hour" "$mnt/file" "$mnt/dir"
	sleep 0.1
	case $how in
	relatime) touch -a -d "-2 hours" "$mnt/file" "$mnt/dir" ;;
	nodiratime) touch -a -d "-2 hours" "$mnt/file" "$mnt/dir" ;;
	esac
	was=$(atime file) was_dir=$(atime dir)
	cat "$mnt/file" >/dev/null
	ls "$mnt/dir" >/dev/null
	moved=
	[ "$(atime file)" = "$was" ] || moved=file
	[ "$(atime dir)" = "$was_dir" ] || moved="$moved dir"
	case $how in
	noatime) [ "$moved" = "" ] ;;
	nodiratime) [ "$moved" = "file" ] ;;
	*) [ "$moved" = "file dir" ] ;;
	esac || die "$how: moved: $moved"
	do_umount "$mnt"
done

if [ $by_mount ]; then
	say "fstab: by file and by name"
	cat >"$work/fstab" <<-TAB
		dynfs:tank $mnt fuse.dynfs rw,nosuid,nofail,x-a=b,set=log.level=debug 0 0
		dynfs:tank $work/no.mnt fuse.dynfs noauto 0 0
	TAB
	mount -T "$work/fstab" -a
	[ "$(flags "$mnt" SOURCE)" = dynfs:tank ] || die "source: $(flags "$mnt" SOURCE)"
	has "$mnt" nosuid
	mount -T "$work/fstab" -a || die "again: $?"
	mount -o remount,ro "$mnt"
	has "$mnt" ro
	daemon=$(serving)
	umount "$mnt" # which waits, for there is a note of it
	gone "$daemon"
	mount -T "$work/fstab" "$mnt" -o ro
	has "$mnt" ro
	umount "$mnt"
	(mkdir "$work/tank" && cd "$work" && mount -t fuse.dynfs dynfs:tank "$mnt")
	umount "$mnt"
	mount -f -t fuse.dynfs tank "$mnt"
	! mountpoint -q "$mnt" || die "-f mounts"
fi
"$helper" tank "$mnt" -o 'set="log.level=debug",rw' -v -n -s -t fuse.dynfs |
	grep -q "mounted on $mnt" || die "-v says nothing"
"$bin/umount.fuse.dynfs" "$mnt"

say "what can not be is said, with the exit codes of mount(8)"
refused 1 'no mount option "nosiud"; did you mean nosuid' "$helper" tank "$mnt" -o nosiud
refused 1 'no mount option "user_id=0"' "$helper" tank "$mnt" -o user_id=0
refused 1 "usage" "$helper" tank
refused 1 "no option -q" "$helper" tank "$mnt" -q
refused 1 "ext4 is not a type" "$helper" tank "$mnt" -t ext4
"$helper" tank "$mnt" -s -f -o nosiud || die "sloppy is not heard"
refused 32 "$work/etc/nobody.conf" "$helper" nobody "$mnt"
refused 32 "$work/nowhere.conf" "$helper" "$work/nowhere.conf" "$mnt"
refused 32 "mount point $work/no.mnt does not exist" "$helper" tank "$work/no.mnt"
[ ! -e "$work/no.mnt" ] || die "the mount point was made"
refused 32 "is not a directory" "$helper" tank "$conf"
mkdir "$work/sys/disk1/inside"
refused 32 "disk1 holds the mountpoint" "$helper" tank "$work/sys/disk1/inside"
ln -s sys/disk1/inside "$work/link"
refused 32 "is inside disk" "$helper" tank "$work/link"
rmdir "$work/sys/disk1/inside"
refused 32 "is not mounted on\|no daemon" "$helper" tank "$mnt" -o remount,ro
refused 32 "has no key" "$helper" tank "$mnt" -o set=no.key=1
refused 32 "is in use\|target is busy" bash -c "cd '$mnt' && '$helper' tank '$mnt' &&
	cd '$mnt' && '$bin/umount.fuse.dynfs' '$mnt'"
"$bin/umount.fuse.dynfs" -l "$mnt"
refused 32 "Invalid argument\|not mounted" "$bin/umount.fuse.dynfs" "$mnt"

say "over what is there: it works, and warns"
touch "$mnt/hidden"
"$helper" tank "$mnt" 2>"$work/said" || die "$(<"$work/said")"
grep -q "warning: mount point $mnt is not empty" "$work/said" || die "$(<"$work/said")"
[ ! -e "$mnt/hidden" ] || die "not on top"
"$bin/umount.fuse.dynfs" "$mnt"
[ -e "$mnt/hidden" ] || die "what was below is gone"
[ -z "$(daemons)" ] || die "still running: $(daemons)"
