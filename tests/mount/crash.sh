#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A killed daemon loses nothing that fsync answered; a deleted index is made
# again from a checkpoint and the log.
. "$(dirname "$0")/lib.sh"
need dd cmp rsync python3

rounds=${DYNFS_CRASH_ROUNDS:-5}

# Writes files with fsync, says each name when fsync returned, for ever.
cat >"$work/writer.py" <<'PY'
import os, sys, hashlib
top, tag = sys.argv[1], sys.argv[2]
for i in range(1000000):
    size = [100, 5000, 70000, 1500000][i % 4]
    data = hashlib.shake_128(f"{tag} {i}".encode()).digest(size)
    path = f"{top}/{tag}-{i}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
    print(i, flush=True)
PY
cat >"$work/check.py" <<'PY'
import os, sys, hashlib
top, tag, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
for i in range(last + 1):
    size = [100, 5000, 70000, 1500000][i % 4]
    want = hashlib.shake_128(f"{tag} {i}".encode()).digest(size)
    got = open(f"{top}/{tag}-{i}", "rb").read()
    if got != want:
        sys.exit(f"{tag}-{i}: {len(got)} of {len(want)} bytes, or others")
PY

pool_new crash
pool_start crash
mnt=$work/crash.mnt
for round in $(seq "$rounds"); do
	mkdir -p "$mnt/synced" "$mnt/copy-$round"
	python3 "$work/writer.py" "$mnt/synced" "r$round" \
		>"$work/said" 2>/dev/null &
	writer=$!
	cp -a /usr/include "$mnt/copy-$round/" 2>/dev/null &
	copier=$!
	sleep "$((RANDOM % 3 + 1)).$((RANDOM % 10))"
	pool_kill crash
	wait "$writer" "$copier" 2>/dev/null || true
	pool_start crash || die "the pool does not open after kill -9"
	last=$(tail -n 1 "$work/said")
	say "round $round: ${last:-none} files were synced"
	[ -z "$last" ] || [ ! -s "$work/said" ] ||
		python3 "$work/check.py" "$mnt/synced" "r$round" "$last" ||
		die "round $round"
	# what was not synced is old or new, and readable
	find "$mnt/copy-$round" -type f -exec cat {} + >/dev/null ||
		die "round $round: unreadable files"
done

say "without the index"
find "$mnt" -type f -exec md5sum {} + | sort >"$work/before"
pool_stop crash
rm -rf "$work"/crash/disk*/index
pool_start crash || die "the pool does not open without its index"
find "$mnt" -type f -exec md5sum {} + | sort >"$work/after"
cmp "$work/before" "$work/after" || die "files differ"

say "without the index after a kill"
cp -a /usr/include/linux "$mnt/late"
sync -f "$mnt/late" || true
sleep 3
pool_kill crash
rm -rf "$work"/crash/disk*/index
pool_start crash || die "the pool does not open"
same /usr/include/linux "$mnt/late"
pool_stop crash
