# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program share: running it, a folder of their own,
pools, and going away without a trace.

DYNFS_BIN names the program, DYNFS_LIARS the plugins that lie.  A test that
can not run here is skipped; a file of which all are skipped exits 77.
"""
import ctypes
import functools
import json
import operator
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SKIP = 77
SECONDS = 60  # for one command
OK, FAILED, USAGE, NO_POOL, DEGRADED = range(5)

BIN = os.environ.get("DYNFS_BIN", "")
LIARS = os.path.realpath(os.environ.get("DYNFS_LIARS", ""))
PLUGINS = os.path.realpath(os.environ.get("DYNFS_PLUGIN_DIR", ""))

# A sound configuration to spoil.
SOUND = """\
pool = {
	name = "sound";
	mountpoint = "mnt";
	disks = (
		{ path = "d1"; }, { path = "d2"; }, { path = "d3"; },
		{ path = "d4"; }, { path = "d5"; }, { path = "d6"; }
	);
};
policies = {
	default = "ec42";
	ec42 = { k = 4; m = 2; };
};
"""


class Result:
    def __init__(self, words, run):
        self.words = words
        self.code = run.returncode
        self.out = run.stdout
        self.err = run.stderr

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return (f"dynfs {' '.join(self.words)}\n-> {self.code}\n"
                f"{self.out}{self.err}")


def may_mount():
    return os.geteuid() == 0 and os.path.exists("/dev/fuse")


def is_dead_or_mounted(path):
    try:
        return os.path.ismount(path)
    except OSError:
        return True  # a mount whose daemon is gone


class Case(unittest.TestCase):
    """A folder of its own; whatever is mounted below it goes at the end."""

    maxDiff = None

    def setUp(self):
        base = os.environ.get("DYNFS_TEST_DIR", "/var/tmp")
        self.dir = tempfile.mkdtemp(prefix="dynfs-cli.", dir=base)
        self.daemons = []
        self.addCleanup(self.go_away)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def go_away(self):
        for pid in self.daemons + self.pids_of_logs():
            self.end(pid)
        for name in sorted(os.listdir(self.dir)):
            if is_dead_or_mounted(self.path(name)):
                subprocess.run(["umount", "-l", self.path(name)],
                               stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def pids_of_logs(self):
        """Daemons that have a disk of ours open: they say so in the lock."""
        found = set()
        for name in os.listdir(self.dir):
            try:
                with open(self.path(name, "dynfs.lock"),
                          encoding="ascii") as f:
                    found.add(int(f.read()))
            except (OSError, ValueError):
                continue
        return [pid for pid in found if self.is_ours(pid)]

    def is_ours(self, pid):
        """The daemon that was started with a path below our folder."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                return self.dir.encode() in f.read()
        except OSError:
            return False

    @staticmethod
    def end(pid):
        for sig, pause in ((signal.SIGTERM, 100), (signal.SIGKILL, 20)):
            for i in range(pause):
                try:
                    os.kill(pid, sig if i == 0 else 0)
                except OSError:
                    return
                time.sleep(0.1)

    # ---- running ---------------------------------------------------------

    def dynfs(self, *words, env=None, seconds=SECONDS):
        words = [str(w) for w in words]
        run = subprocess.run([BIN, *words], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True,
                             errors="replace", timeout=seconds, cwd=self.dir,
                             env=dict(os.environ, **(env or {})),
                             stdin=subprocess.DEVNULL, check=False)
        return Result(words, run)

    def good(self, *words, **how):
        got = self.dynfs(*words, **how)
        self.assertEqual(got.code, OK, got)
        return got

    def refused(self, code, text, *words, **how):
        """Fails with the code; one line on stderr that has the text, besides
        warnings of a daemon on its way."""
        got = self.dynfs(*words, **how)
        self.assertEqual(got.code, code, got)
        self.assertRegex(got.err, text, got)
        lines = [li for li in got.err.splitlines()
                 if li.startswith("dynfs: ")
                 and not li.startswith("dynfs: warning: ")]
        self.assertEqual(len(lines), 1, got)
        return got

    # ---- pools -----------------------------------------------------------

    def make_pool(self, n=6, policy="erasure:4+2", limit="512M"):
        """init and disk add; the pool's folder."""
        pool = self.path("pool")
        self.good("init", "--pool", pool, "--policy", policy)
        for i in range(1, n + 1):
            self.good("disk", "add", "--pool", pool, "--limit", limit,
                      self.path(f"disk{i}"))
        return pool

    def mount(self, pool, *words):
        mnt = self.path("mnt")
        os.makedirs(mnt, exist_ok=True)
        self.good("mount", "--pool", pool, "--mountpoint", mnt, *words)
        return mnt

    def settled(self, pool):
        """status --json when the pool is healthy: a young one is not, until
        its log is on as many disks as are wanted."""
        for _ in range(150):
            got = self.dynfs("status", "--pool", pool, "--json")
            if got.code == OK:
                break
            self.assertEqual(got.code, DEGRADED, got)
            time.sleep(0.2)
        self.assertEqual(got.json()["state"], "healthy", got)
        return got.json()

    def umount(self, pool):
        self.good("umount", "--pool", pool)
        self.assertFalse(is_dead_or_mounted(self.path("mnt")))


class Watch:
    """Whoever opens, reads or changes something below a folder."""

    EVENTS = {1: "read", 2: "write", 4: "attributes", 0x20: "open",
              0x40: "moved away", 0x80: "moved here", 0x100: "create",
              0x200: "delete", 0x400: "delete itself"}

    def __init__(self, top):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.names = {}
        for folder in [top] + [os.path.join(at, d) for at, dirs, _
                               in os.walk(top) for d in dirs]:
            wd = self.libc.inotify_add_watch(
                self.fd, os.fsencode(folder),
                functools.reduce(operator.or_, self.EVENTS))
            if self.fd < 0 or wd < 0:
                raise OSError(ctypes.get_errno(), "inotify")
            self.names[wd] = os.path.relpath(folder, top)
        self.seen()  # our own walk

    def seen(self):
        """Since the last call: a set of (what, relative path)."""
        found = set()
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                wd, mask, _, n = struct.unpack_from("iIII", data, at)
                name = data[at + 16:at + 16 + n].rstrip(b"\0").decode()
                path = os.path.normpath(
                    os.path.join(self.names.get(wd, "?"), name))
                found |= {(word, path) for bit, word in self.EVENTS.items()
                          if mask & bit}
                at += 16 + n

    def close(self):
        os.close(self.fd)


needs_mount = unittest.skipUnless(may_mount(), "mounting needs root and FUSE")


def main():
    if not BIN or not os.access(BIN, os.X_OK):
        print("DYNFS_BIN names no program")
        sys.exit(SKIP)
    # a runner that gives up says so by TERM: clean up then too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    test = unittest.main(exit=False, verbosity=2)
    ran = test.result
    if not ran.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIP if ran.testsRun == len(ran.skipped) else 0)


def others_may_write(path):
    os.chmod(path, os.stat(path).st_mode | stat.S_IWOTH)


def size_text(n):
    """As str_size() writes it."""
    v, unit = float(n), ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    i = 0
    while v >= 1024 and i + 1 < len(unit):
        v /= 1024
        i += 1
    return f"{v:.1f} {unit[i]}" if i and v < 100 else f"{v:.0f} {unit[i]}"


def commands_of_help(text):
    """The names in the overview."""
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}\S", text, re.M)
