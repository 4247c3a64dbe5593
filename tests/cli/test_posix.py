#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs expect of a file system, on a mounted pool: names, links,
attributes, sparse and large files, directories that change while they are
listed."""
import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
import unittest

import cli

NAMES = int(os.environ.get("DYNFS_NAMES", "100000"))
MIB = 1 << 20
GIB = 1 << 30

APPENDER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
for i in range(int(sys.argv[3])):
    line = b"%s %06d " % (sys.argv[2].encode(), i)
    os.write(fd, line + b"." * (99 - len(line)) + b"\\n")
"""


def make(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


@cli.needs_mount
class Posix(unittest.TestCase):
    """One pool for all: each test has a folder of its own in it."""

    @classmethod
    def setUpClass(cls):
        cls.case = cli.Case()
        cls.case.setUp()
        cls.addClassCleanup(cls.case.doCleanups)
        # other users are to be stopped by the pool, not on the way to it
        os.chmod(cls.case.dir, 0o755)
        cls.pool = cls.case.make_pool()
        cls.mnt = cls.case.mount(cls.pool)

    @classmethod
    def tearDownClass(cls):
        cls.case.umount(cls.pool)

    def setUp(self):
        self.top = os.path.join(self.mnt, self.id().rsplit(".", 1)[1])
        os.mkdir(self.top)

    def path(self, *names):
        return os.path.join(self.top, *names)

    def again(self):
        """The same after a restart: what the kernel kept is gone."""
        self.case.umount(self.pool)
        self.case.mount(self.pool)

    def as_other(self, script):
        """By a user who owns nothing but what was given to 1234."""
        return subprocess.run(["setpriv", "--reuid=1234", "--regid=4321",
                               "--clear-groups", "sh", "-c", script, "sh",
                               self.top], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)

    def fails(self, err, call, *args, **kw):
        with self.assertRaises(OSError) as e:
            call(*args, **kw)
        self.assertEqual(errno.errorcode[e.exception.errno],
                         errno.errorcode[err])

    # ---- directories -------------------------------------------------------

    def test_a_large_directory_is_listed_once_while_it_changes(self):
        for i in range(NAMES):
            os.close(os.open(self.path(f"stay-{i}"), os.O_CREAT | os.O_WRONLY))
        done = threading.Event()
        changes = [0]

        def change():
            i = 0
            while not done.is_set():
                make(self.path(f"come-{i}"))
                if i >= 10:
                    os.unlink(self.path(f"come-{i - 10}"))
                if i % 3 == 0:
                    os.rename(self.path(f"come-{i}"), self.path(f"other-{i}"))
                    os.rename(self.path(f"other-{i}"), self.path(f"come-{i}"))
                i += 1
                changes[0] = i

        t = threading.Thread(target=change, daemon=True)
        t.start()
        try:
            for _ in range(2):
                before = changes[0]
                seen = {}
                with os.scandir(self.top) as it:
                    for e in it:
                        seen[e.name] = seen.get(e.name, 0) + 1
                stay = {n: c for n, c in seen.items() if n[0] == "s"}
                self.assertEqual(len(stay), NAMES)
                self.assertEqual(set(stay.values()), {1})
                self.assertGreater(changes[0], before)
        finally:
            done.set()
            t.join()
        self.assertEqual(os.stat(self.top).st_nlink, 2)
        subprocess.run(["rm", "-rf", self.top], check=True)
        self.assertFalse(os.path.exists(self.top))
        os.mkdir(self.top)

    def test_a_listing_goes_on_where_it_was_left(self):
        for i in range(3000):
            make(self.path(f"n{i}"))
        fd = os.open(self.top, os.O_RDONLY)
        try:
            with os.scandir(fd) as it:
                first = [next(it).name for _ in range(100)]
                for name in first:
                    os.unlink(self.path(name))
                rest = [e.name for e in it]
        finally:
            os.close(fd)
        self.assertEqual(len(set(first)), 100)
        self.assertEqual(sorted(first + rest),
                         sorted(f"n{i}" for i in range(3000)))

    def test_renames_replace_and_move_across_directories(self):
        os.makedirs(self.path("a", "deep"))
        os.mkdir(self.path("b"))
        make(self.path("a", "one"), b"1")
        make(self.path("b", "two"), b"22")
        os.rename(self.path("a", "one"), self.path("b", "two"))
        self.assertEqual(read(self.path("b", "two")), b"1")
        os.rename(self.path("a", "deep"), self.path("b", "deep"))
        self.assertEqual(os.stat(self.path("a")).st_nlink, 2)
        self.assertEqual(os.stat(self.path("b")).st_nlink, 3)
        os.mkdir(self.path("empty"))
        os.rename(self.path("b"), self.path("empty"))
        self.assertEqual(sorted(os.listdir(self.path("empty"))),
                         ["deep", "two"])
        self.fails(errno.ENOTEMPTY, os.rename, self.path("a"),
                   self.path("empty"))
        self.fails(errno.EINVAL, os.rename, self.path("empty"),
                   self.path("empty", "deep", "x"))
        make(self.path("file"))
        self.fails(errno.ENOTDIR, os.rename, self.path("a"),
                   self.path("file"))
        self.fails(errno.EISDIR, os.rename, self.path("file"), self.path("a"))
        self.fails(errno.ENOTEMPTY, os.rmdir, self.path("empty"))
        self.fails(errno.ENAMETOOLONG, make, self.path("n" * 256))
        make(self.path("n" * 255))
        self.again()
        self.assertEqual(sorted(os.listdir(self.top)),
                         ["a", "empty", "file", "n" * 255])

    # ---- links ---------------------------------------------------------------

    def test_hard_links_are_one_file(self):
        make(self.path("one"), b"x")
        os.link(self.path("one"), self.path("two"))
        os.mkdir(self.path("sub"))
        os.link(self.path("two"), self.path("sub", "three"))
        self.assertEqual(os.stat(self.path("one")).st_nlink, 3)
        make(self.path("two"), b"changed")
        os.unlink(self.path("one"))
        self.again()
        self.assertEqual(read(self.path("sub", "three")), b"changed")
        self.assertEqual(os.stat(self.path("two")).st_nlink, 2)
        self.assertEqual(os.stat(self.path("two")).st_ino,
                         os.stat(self.path("sub", "three")).st_ino)
        self.fails(errno.EPERM, os.link, self.path("sub"), self.path("dir"))
        self.fails(errno.EEXIST, os.link, self.path("two"),
                   self.path("sub", "three"))

    def test_symbolic_links_say_what_they_were_told(self):
        for i, target in enumerate(("nowhere", "/etc/passwd", "../x/../y",
                                    "t" * 4095, "ümläut\n")):
            os.symlink(target, self.path(f"l{i}"))
        self.again()
        self.assertEqual(os.readlink(self.path("l3")), "t" * 4095)
        self.assertEqual(os.readlink(self.path("l4")), "ümläut\n")
        self.assertEqual(read(self.path("l1")), read("/etc/passwd"))
        self.assertEqual(os.lstat(self.path("l0")).st_size, 7)
        self.fails(errno.ENOENT, read, self.path("l0"))
        os.symlink("loop", self.path("loop"))
        self.fails(errno.ELOOP, read, self.path("loop"))

    def test_an_open_file_lives_on_without_a_name(self):
        data = os.urandom(3 * MIB)
        make(self.path("f"), data)
        with open(self.path("f"), "r+b") as f:
            os.unlink(self.path("f"))
            self.assertEqual(os.listdir(self.top), [])
            self.assertEqual(f.read(), data)
            f.write(b"more")
            f.flush()
            os.fsync(f.fileno())
            self.assertEqual(os.fstat(f.fileno()).st_nlink, 0)
            self.assertEqual(os.fstat(f.fileno()).st_size, 3 * MIB + 4)
            make(self.path("f"), b"another")
            self.assertEqual(os.pread(f.fileno(), 4, 3 * MIB), b"more")
        self.assertEqual(read(self.path("f")), b"another")

    # ---- content -------------------------------------------------------------

    def test_a_file_beyond_4_gib_holds_what_was_put_there(self):
        at = 5 * GIB + 4321
        with open(self.path("f"), "wb") as f:
            for off in (0, 2 * GIB - 5, 4 * GIB - 5, at):
                os.pwrite(f.fileno(), b"here %11d" % off, off)
        size = at + 16
        self.again()
        st = os.stat(self.path("f"))
        self.assertEqual(st.st_size, size)
        self.assertLess(st.st_blocks * 512, 8 * MIB)
        with open(self.path("f"), "r+b") as f:
            for off in (0, 2 * GIB - 5, 4 * GIB - 5, at):
                self.assertEqual(os.pread(f.fileno(), 16, off),
                                 b"here %11d" % off)
            self.assertEqual(os.pread(f.fileno(), 100, 3 * GIB), bytes(100))
            self.assertEqual(os.pread(f.fileno(), 100, at), b"here %11d" % at)
            os.ftruncate(f.fileno(), 4 * GIB)
            os.ftruncate(f.fileno(), size)
            self.assertEqual(os.pread(f.fileno(), 16, at), bytes(16))
            self.assertEqual(os.pread(f.fileno(), 16, 4 * GIB - 5),
                             b"here " + bytes(11))

    def test_holes_are_found_and_take_no_room(self):
        with open(self.path("f"), "w+b") as f:
            fd = f.fileno()
            os.ftruncate(fd, 64 * MIB)
            os.pwrite(fd, os.urandom(MIB), 32 * MIB)
            os.fsync(fd)
            self.assertLess(os.fstat(fd).st_blocks * 512, 4 * MIB)
            at = os.lseek(fd, 0, os.SEEK_DATA)
            end = os.lseek(fd, at, os.SEEK_HOLE)
            self.assertLessEqual(at, 32 * MIB)
            self.assertGreaterEqual(end, 33 * MIB)
        subprocess.run(["cp", "--sparse=always", self.path("f"),
                        self.path("g")], check=True)
        subprocess.run(["cmp", self.path("f"), self.path("g")], check=True)
        self.assertLess(os.stat(self.path("g")).st_blocks * 512, 4 * MIB)

    def test_two_processes_append_without_losing_a_line(self):
        n = 2000
        writers = [subprocess.Popen([sys.executable, "-c", APPENDER,
                                     self.path("log"), name, str(n)])
                   for name in ("a", "b")]
        for p in writers:
            self.assertEqual(p.wait(timeout=120), 0)
        data = read(self.path("log"))
        self.assertEqual(len(data), 2 * n * 100)
        lines = [line[:8] for line in data.split(b"\n")[:-1]]
        self.assertTrue(all(len(line) == 99 for line in
                            data.split(b"\n")[:-1]))
        for name in (b"a", b"b"):
            self.assertEqual([line for line in lines if line[:1] == name],
                             [b"%s %06d" % (name, i) for i in range(n)])

    def test_two_handles_see_each_other(self):
        with open(self.path("f"), "w+b", 0) as a, \
                open(self.path("f"), "r+b", 0) as b:
            a.write(b"hello")
            self.assertEqual(b.read(), b"hello")
            b.write(b" you")
            self.assertEqual(os.pread(a.fileno(), 100, 0), b"hello you")
            os.ftruncate(a.fileno(), 3)
            self.assertEqual(os.pread(b.fileno(), 100, 0), b"hel")

    def test_locks_of_two_processes_exclude_each_other(self):
        with open(self.path("f"), "w+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX)
            code = ("import fcntl,sys\n"
                    "f = open(sys.argv[1], 'r+b')\n"
                    "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)")
            run = subprocess.run([sys.executable, "-c", code, self.path("f")],
                                 stderr=subprocess.PIPE, check=False)
            self.assertIn(b"BlockingIOError", run.stderr)
            fcntl.lockf(f, fcntl.LOCK_UN)
            subprocess.run([sys.executable, "-c", code, self.path("f")],
                           check=True)

    # ---- attributes ----------------------------------------------------------

    def test_attributes_stay(self):
        make(self.path("f"), b"x" * 1000)
        os.mkdir(self.path("d"))
        os.symlink("f", self.path("l"))
        times = (1000000000123456789, 4102444800987654321)
        for name in ("f", "d"):
            os.chown(self.path(name), 1234, 4321)
            os.chmod(self.path(name), 0o6751 if name == "f" else 0o1770)
            os.utime(self.path(name), ns=times)
        os.utime(self.path("l"), ns=(-1500000000, 1), follow_symlinks=False)
        os.chown(self.path("l"), 7, 8, follow_symlinks=False)
        self.again()
        for name in ("f", "d"):
            st = os.stat(self.path(name))
            self.assertEqual((st.st_uid, st.st_gid), (1234, 4321))
            self.assertEqual(stat.S_IMODE(st.st_mode),
                             0o6751 if name == "f" else 0o1770)
            self.assertEqual((st.st_atime_ns, st.st_mtime_ns), times)
        st = os.lstat(self.path("l"))
        self.assertEqual((st.st_uid, st.st_gid), (7, 8))
        self.assertEqual((st.st_atime_ns, st.st_mtime_ns), (-1500000000, 1))
        # a write takes the set-id bits, and moves the times
        before = os.stat(self.path("f")).st_ctime_ns
        self.assertEqual(self.as_other('printf x >"$1/f"').returncode, 0)
        st = os.stat(self.path("f"))
        self.assertEqual(st.st_mode & 0o6000, 0)
        self.assertGreater(st.st_ctime_ns, before)
        self.assertLess(abs(st.st_mtime - time.time()), 60)

    def test_permissions_are_kept_to(self):
        make(self.path("secret"), b"x")
        os.chmod(self.path("secret"), 0o600)
        make(self.path("public"), b"y")
        os.mkdir(self.path("theirs"))
        os.chown(self.path("theirs"), 1234, 4321)
        got = self.as_other('cat "$1/public"; cat "$1/secret"; echo z >"$1/z";'
                            'echo mine >"$1/theirs/f"; cat "$1/theirs/f"')
        self.assertEqual(got.stdout, b"ymine\n", got)
        self.assertEqual(got.stderr.count(b"Permission denied"), 2, got)
        st = os.stat(self.path("theirs", "f"))
        self.assertEqual((st.st_uid, st.st_gid), (1234, 4321))

    def test_extended_attributes_stay(self):
        make(self.path("f"))
        os.mkdir(self.path("d"))
        values = {"user.small": b"\0\1\2", "user.empty": b"",
                  "user.large": os.urandom(60000),
                  "trusted.root": b"root"}
        for name in ("f", "d"):
            for k, v in values.items():
                os.setxattr(self.path(name), k, v)
        self.fails(errno.EEXIST, os.setxattr, self.path("f"), "user.small",
                   b"", os.XATTR_CREATE)
        self.fails(errno.ENODATA, os.setxattr, self.path("f"), "user.none",
                   b"", os.XATTR_REPLACE)
        self.again()
        for name in ("f", "d"):
            self.assertEqual(sorted(os.listxattr(self.path(name))),
                             sorted(values))
            for k, v in values.items():
                self.assertEqual(os.getxattr(self.path(name), k), v)
        os.removexattr(self.path("f"), "user.large")
        self.fails(errno.ENODATA, os.getxattr, self.path("f"), "user.large")

    def test_special_files_are_what_they_are(self):
        os.mkfifo(self.path("fifo"), 0o640)
        os.mknod(self.path("null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(self.path("sock"), stat.S_IFSOCK | 0o600)
        self.again()
        st = os.stat(self.path("fifo"))
        self.assertTrue(stat.S_ISFIFO(st.st_mode))
        self.assertEqual(stat.S_IMODE(st.st_mode), 0o640)
        st = os.stat(self.path("null"))
        self.assertTrue(stat.S_ISCHR(st.st_mode))
        self.assertEqual(st.st_rdev, os.makedev(1, 3))
        self.assertTrue(stat.S_ISSOCK(os.stat(self.path("sock")).st_mode))
        got = []
        t = threading.Thread(target=lambda: got.append(read(
            self.path("fifo"))))
        t.start()
        make(self.path("fifo"), b"through the pipe")
        t.join(timeout=30)
        self.assertEqual(got, [b"through the pipe"])


if __name__ == "__main__":
    cli.main()
