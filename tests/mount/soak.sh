#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients that are killed in the middle of requests leave nothing behind: no
# open file, no inode, no reference, no buffer, no unwritten byte.
. "$(dirname "$0")/lib.sh"
need python3

kills=${DYNFS_SOAK_KILLS:-600}
seed=${DYNFS_TEST_SEED:-$RANDOM}

cat >"$work/soak.py" <<'PY'
import mmap, os, random, signal, sys, time

top, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
CLIENTS, FILES = 6, 40


def act(r, page):
    path = f"{top}/f{r.randrange(FILES)}"
    what = r.randrange(8)
    if what == 0:
        os.unlink(path)
    elif what == 1:
        os.rename(path, f"{top}/f{r.randrange(FILES)}")
    elif what == 2:
        os.truncate(path, r.randrange(300000))
    elif what == 3:
        # open without a name, until it is killed
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.unlink(path)
        os.pwrite(fd, page[:r.randrange(1, len(page))], r.randrange(100000))
    elif what == 4:
        os.listdir(top)
    else:
        flags = [os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_DIRECT][r.randrange(3)]
        fd = os.open(path, flags | os.O_CREAT, 0o600)
        for _ in range(r.randrange(5)):
            if flags & os.O_DIRECT:
                os.preadv(fd, [page], 4096 * r.randrange(50))
            elif flags == os.O_RDONLY:
                os.pread(fd, 1 << 20, r.randrange(200000))
            else:
                os.pwrite(fd, page[:r.randrange(1, len(page))],
                          r.randrange(300000))
        if r.randrange(3) == 0:
            os.fsync(fd)
        if r.randrange(4):
            os.close(fd)


def client(number):
    r = random.Random(seed * 1000003 + number)
    page = mmap.mmap(-1, 262144)
    page.write(os.urandom(262144))
    while True:
        try:
            act(r, page)
        except OSError:
            pass  # others took its name away


def start(number):
    pid = os.fork()
    if not pid:
        try:
            client(number)
        finally:
            os._exit(1)
    return pid


r = random.Random(seed)
os.mkdir(top)
pids = [start(i) for i in range(CLIENTS)]
for n in range(kills):
    time.sleep(r.random() * 0.03)
    i = r.randrange(CLIENTS)
    os.kill(pids[i], signal.SIGKILL)
    if os.waitpid(pids[i], 0)[1] != signal.SIGKILL:
        sys.exit("a client ended by itself")
    pids[i] = start(CLIENTS + n)
for pid in pids:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
PY

counters() {
	"$dynfs" status -c "$work/soak.conf" --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
print({k: s[k] for k in ("open_files", "known_inodes", "inodes",
			 "dirty_bytes", "buffer_bytes")})'
}

pool_new soak
pool_start soak
mnt=$work/soak.mnt
say "seed $seed, $kills kills"
# a round that nobody is killed in, for what is kept for good
python3 "$work/soak.py" "$mnt/first" 0 1
rm -r "$mnt/first"
settled() {
	for _ in $(seq 60); do
		drop_caches
		now=$(counters)
		[ "$now" != "$1" ] || return 0
		sleep 0.5
	done
	return 1
}
settled "{'open_files': 0, 'known_inodes': 0, 'inodes': 1, 'dirty_bytes': 0, 'buffer_bytes': 0}" ||
	die "before anybody is killed: $now"
before=$now

python3 "$work/soak.py" "$mnt/second" "$kills" "$seed" || die "the clients"
find "$mnt/second" -type f -exec cat {} + >/dev/null || die "unreadable files"
rm -r "$mnt/second"
settled "$before" || die "left behind: $now, not $before"
say "$now"
pool_stop soak
