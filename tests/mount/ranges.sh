#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ranges of files on a mounted pool: instant copies, holes, data and holes
# found, and what is stored of it, also after a restart.
. "$(dirname "$0")/lib.sh"
need strace fallocate cmp python3

big=${DYNFS_BIG_MIB:-256}
pool_new ranges
pool_start ranges
mnt=$work/ranges.mnt

# blocks FILE: what is stored, in KiB
blocks() {
	echo $(($(stat -c %b "$1") / 2))
}

used() {
	"$dynfs" sync -c "$work/ranges.conf" >/dev/null
	df -k --output=used "$mnt" | tail -n 1
}

say "cp shares what it copies, and does not read it"
dd if=/dev/urandom of="$mnt/one" bs=1M count="$big" status=none
before=$(used)
strace -f -e trace=copy_file_range,read,write -o "$work/cp.txt" \
	cp "$mnt/one" "$mnt/two"
# the first asks for as much as a call takes; the last says that it is the end
grep -q "copy_file_range(.* = $((big << 20))\$" "$work/cp.txt" ||
	die "cp did not copy all by one copy_file_range"
after=$(used)
[ $((after - before)) -lt $((big * 1024 / 8)) ] ||
	die "the copy took room: $before KiB before, $after after"
[ "$(blocks "$mnt/two")" = $((big * 1024)) ] || die "st_blocks of the copy"
cmp "$mnt/one" "$mnt/two"

say "each goes on alone"
printf changed | dd of="$mnt/one" bs=1 seek=1000000 conv=notrunc status=none
cp "$mnt/two" "$mnt/three"
rm "$mnt/two"
cmp -n 1000000 "$mnt/one" "$mnt/three"
! cmp -s "$mnt/one" "$mnt/three" || die "they share what was changed"

say "holes"
cp "$mnt/three" "$work/plain"
for file in "$mnt/three" "$work/plain"; do
	fallocate -p -o 5000 -l 3000000 "$file"
	fallocate -p -o 10000000 -l 1M "$file"
done
cmp "$mnt/three" "$work/plain"
[ "$(blocks "$mnt/three")" -lt $((big * 1024 - 3900)) ] ||
	die "st_blocks did not shrink"
python3 - "$mnt/three" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
assert os.lseek(fd, 0, os.SEEK_HOLE) == 5000
assert os.lseek(fd, 6000, os.SEEK_DATA) == 3005000
assert os.lseek(fd, 3005000, os.SEEK_HOLE) == 10000000
end = os.fstat(fd).st_size
assert os.lseek(fd, 11 << 20, os.SEEK_HOLE) == end
PY
cp --sparse=always "$mnt/three" "$mnt/four"
cmp "$mnt/three" "$mnt/four"

say "room that is reserved"
avail() {
	"$dynfs" sync -c "$work/ranges.conf" >/dev/null
	sleep 0.2
	df -k --output=avail "$mnt" | tail -n 1
}
before=$(avail)
fallocate -l 1G "$mnt/room"
[ "$(stat -c %s "$mnt/room")" = $((1 << 30)) ] || die "its size"
[ "$(blocks "$mnt/room")" = $((1 << 20)) ] || die "its st_blocks"
gone=$((before - $(avail)))
[ $gone -ge $((1 << 20)) ] || die "only $gone KiB are kept"
dd if="$mnt/one" of="$mnt/room" bs=1M count=32 conv=notrunc,fsync status=none
[ "$(blocks "$mnt/room")" = $((1 << 20)) ] || die "st_blocks after a write"
fallocate -z -o 1M -l 2M "$mnt/room"
cmp -n 1048576 "$mnt/room" "$mnt/one"
cmp -n 2097152 -i 1048576:0 "$mnt/room" /dev/zero
! fallocate -l 100T "$mnt/room" 2>/dev/null || die "100 TiB were reserved"
[ "$(stat -c %s "$mnt/room")" = $((1 << 30)) ] || die "it grew all the same"
fallocate -p -o 0 -l 1G "$mnt/room"
[ "$(blocks "$mnt/room")" = 0 ] || die "st_blocks of a hole"
rm "$mnt/room"

say "what was just written counts"
head -c 1000000 /dev/urandom >"$mnt/fresh"
[ "$(stat -c %b "$mnt/fresh")" = 1954 ] || die "st_blocks of what is dirty"

say "16 TiB with three slices"
truncate -s 16T "$mnt/sparse"
printf x | dd of="$mnt/sparse" bs=1 seek=8T conv=notrunc status=none
begun=$(date +%s%N)
cp "$mnt/sparse" "$mnt/sparse2"
[ "$(stat -c %s "$mnt/sparse2")" = $((16 << 40)) ] || die "its size"
fallocate -p -o 1T -l 2T "$mnt/sparse2"
python3 - "$mnt/sparse2" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
assert os.lseek(fd, 0, os.SEEK_DATA) == 8 << 40
assert os.lseek(fd, 8 << 40, os.SEEK_HOLE) == (8 << 40) + 1
assert os.pread(fd, 1, 8 << 40) == b"x"
os.ftruncate(fd, (1 << 63) - 1)
try:
    os.pwrite(fd, b"x", (1 << 63) - 1)
    raise SystemExit("written beyond the largest size")
except OSError as e:
    assert e.errno in (27, 22), e
PY
truncate -s 1T "$mnt/sparse"
rm "$mnt/sparse" "$mnt/sparse2"
took=$((($(date +%s%N) - begun) / 1000000))
[ $took -lt 5000 ] || die "that took $took ms"

say "all of it after a restart"
pool_stop ranges
drop_caches
pool_start ranges
cmp "$mnt/three" "$work/plain"
cmp "$mnt/three" "$mnt/four"
pool_stop ranges
