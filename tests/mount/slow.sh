#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Disks that hang: who gives up waiting gets away, and nobody else is kept out.
# Bytes that can not be stored: each open file is told once, and what is shown
# then is what is stored, not what the kernel has kept.
. "$(dirname "$0")/lib.sh"
need python3 dd cmp
shim=${DYNFS_SLOWDISK:?DYNFS_SLOWDISK names the library}
client=$(dirname "$0")/client.py

export DYNFS_SLOW=$work/slow
mkdir "$DYNFS_SLOW"
real=$dynfs
cat >"$work/daemon" <<WRAP
#!/bin/sh
[ "\$1" != run ] || export LD_PRELOAD="$shim"
ASAN_OPTIONS=verify_asan_link_order=0:\$ASAN_OPTIONS exec "$real" "\$@"
WRAP
chmod +x "$work/daemon"
dynfs=$work/daemon

# within SECONDS COMMAND...: it ends with 0 in time
within() {
	timeout "$@" || die "not within $1 s: ${*:2}"
}

begin() { # ARGS of client.py: sets job
	: >"$work/said"
	# a shell has its children ignore SIGINT
	python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execvp("python3", ["python3"] + sys.argv[1:])' \
		"$client" "$@" >"$work/said" &
	job=$!
	for _ in $(seq 100); do
		grep -q begun "$work/said" && break
		sleep 0.05
	done
	sleep 1
	kill -0 "$job" || die "client.py $* did not wait"
}

ends() { # SIGNAL CODE
	local code=0
	kill "-$1" "$job"
	for _ in $(seq 60); do
		kill -0 "$job" 2>/dev/null || break
		sleep 0.1
	done
	kill -0 "$job" 2>/dev/null && die "SIG$1 does not end it in 6 s"
	wait "$job" || code=$?
	[ "$code" = "$2" ] || die "it ended with $code, not $2"
}

counter() {
	"$real" status -c "$work/slow.conf" --json | python3 -c \
		"import json, sys; print(json.load(sys.stdin)['$1'])"
}

others_go_on() {
	within 10 stat "$mnt/small" >/dev/null
	within 10 ls "$mnt" >/dev/null
	within 10 cat "$mnt/small" >/dev/null
	within 10 mkdir "$mnt/dir-$1"
	within 10 sh -c "echo new >'$mnt/new-$1'"
	[ "$(within 10 cat "$mnt/new-$1")" = new ] || die "new-$1"
}

pool_new slow 512M 512M 512M 512M 512M 512M
printf 'limits = { memory = "96M"; };\nmetadata = { memory = "32M"; };\n' >>"$work/slow.conf"
pool_start slow
mnt=$work/slow.mnt
dd if=/dev/urandom of="$work/big" bs=1M count=8 status=none
cp "$work/big" "$mnt/big"
cp "$work/big" "$mnt/other"
echo small >"$mnt/small"
cp "$work/big" "$mnt/sync"
"$real" sync -c "$work/slow.conf"
before=$(counter open_files)

say "disks that do not read"
drop_caches
touch "$DYNFS_SLOW/reads"
begin direct "$mnt/big"
others_go_on 1
ends INT "${DYNFS_DIRECT_CODE:-4}"
python3 -c 'import signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.stdout.buffer.write(open(sys.argv[1], "rb").read())' "$mnt/other" \
	>/dev/null 2>&1 &
job=$!
sleep 2
ends INT 130
others_go_on 2
rm "$DYNFS_SLOW/reads"
within 20 cmp "$work/big" "$mnt/big"
within 20 cmp "$work/big" "$mnt/other"

say "disks that do not sync"
touch "$DYNFS_SLOW/syncs"
begin fsync "$mnt/sync"
ends INT 4
begin fsync "$mnt/sync"
ends KILL 137
others_go_on 3
rm "$DYNFS_SLOW/syncs"

say "disks that do not write: no room in memory"
touch "$DYNFS_SLOW/writes"
begin write "$mnt/grows"
sleep 2
ends INT 4
begin write "$mnt/grows"
sleep 2
ends KILL 137
rm "$DYNFS_SLOW/writes"
within 60 rm "$mnt/grows"
within 60 "$real" sync -c "$work/slow.conf"
[ "$(counter open_files)" = "$before" ] || die "open files are left"

say "bytes that can not be stored"
cat >"$work/loss.py" <<'PY'
import errno, mmap, os, sys, time
path, slow = sys.argv[1:]
old = os.urandom(1 << 20)
a = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
os.pwrite(a, old, 0)
os.fsync(a)
b = os.open(path, os.O_RDWR)
open(slow + "/full", "w").close()
os.pwrite(a, b"new" * 100000, 0)
os.pwrite(a, b"more" * 100000, 1 << 20)
size = os.fstat(a).st_size
assert size == (1 << 20) + 400000, size
# a page that is mapped stays when somebody drops caches
page = mmap.mmap(b, 4096, prot=mmap.PROT_READ)
assert page[:300] == b"new" * 100
def told(fd):
    try:
        os.fsync(fd)
        return 0
    except OSError as e:
        return e.errno
# as long as they are tried, whoever asks is told
assert told(a) == errno.ENOSPC
assert told(b) == errno.ENOSPC
for _ in range(900):
    if page[:300] == old[:300]:
        break
    time.sleep(0.1)
else:
    sys.exit("the kernel shows what was lost")
os.unlink(slow + "/full")
assert os.fstat(b).st_size == 1 << 20
assert os.pread(b, 2 << 20, 0) == old
c = os.open(path, os.O_RDWR)
got = [told(fd) for fd in (a, a, b, b, c)]
late = os.open(path, os.O_RDWR)
got.append(told(late))
want = [errno.ENOSPC, 0] * 2 + [errno.ENOSPC, 0]
assert got == want, got
os.pwrite(a, b"again", 0)
assert told(a) == 0
PY
python3 "$work/loss.py" "$mnt/loss" "$DYNFS_SLOW" || die "a loss"
pool_stop slow
