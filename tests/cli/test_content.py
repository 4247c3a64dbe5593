#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Content that can not be given back, and content for which there is no
room: what fails is said, and nothing else fails."""
import errno
import os
import subprocess
import time

import cli

KIB, MIB = 1 << 10, 1 << 20
ENDS = 30  # seconds for what happens by itself soon


def drop_caches(fd):
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def marked(i):
    """A MiB of which every 512 bytes say where they are."""
    return b"".join(b"%-16d%-16d" % (i, j) + bytes([i % 251]) * 480
                    for j in range(2048))


@cli.needs_mount
class Damage(cli.Case):
    def spoil(self, disks, needle, n):
        """Overwrite n bytes of fragments where the needle is found."""
        hits = 0
        for disk in disks:
            for top, _, files in os.walk(self.path(disk, "store")):
                for name in files:
                    hits += self.spoil_file(os.path.join(top, name), needle,
                                            n)
        return hits

    @staticmethod
    def spoil_file(path, needle, n):
        with open(path, "r+b") as f:
            at = f.read().find(needle)
            if at < 0:
                return 0
            f.seek(at)
            f.write(b"\xee" * n)
            f.flush()
            os.fsync(f.fileno())
            return 1

    def read_all(self, path):
        """Page by page: the bytes, and the pages that gave EIO."""
        data, bad = {}, set()
        with open(path, "rb") as f:
            drop_caches(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for at in range(0, os.fstat(f.fileno()).st_size, 4 * KIB):
                try:
                    data[at] = os.pread(f.fileno(), 4 * KIB, at)
                except OSError as e:
                    self.assertEqual(e.errno, errno.EIO)
                    bad.add(at)
        return data, bad

    def make(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        mnt = self.mount(pool)
        want = b"".join(marked(i) for i in range(4))
        for name, data in (("hurt", want), ("whole", want[::-1])):
            with open(f"{mnt}/{name}", "wb") as f:
                f.write(data)
        self.umount(pool)
        return pool, want

    def check_rest(self, mnt, want, bad):
        data, found = self.read_all(mnt + "/hurt")
        for at, part in data.items():
            self.assertEqual(part, want[at:at + 4 * KIB], at)
        self.assertEqual(found, bad)
        with open(mnt + "/whole", "rb") as f:
            self.assertEqual(f.read(), want[::-1])

    def test_one_bad_fragment_is_read_around_and_noted(self):
        pool, want = self.make()
        self.assertEqual(self.spoil(("disk1", "disk2", "disk3"),
                                    marked(1)[:512], 64 * KIB), 1)
        mnt = self.mount(pool)
        self.check_rest(mnt, want, set())
        reply = self.dynfs("status", "--pool", pool, "--json").json()
        self.assertEqual(reply["state"], "degraded")
        self.assertGreater(reply["repair_extents"], 0)
        self.umount(pool)

    def test_too_many_bad_fragments_are_eio_there_and_nowhere_else(self):
        pool, want = self.make()
        # both data fragments of the second MiB, at the same place
        for needle in (marked(1)[:512], marked(1)[512 * KIB:512 * KIB + 512]):
            self.assertEqual(self.spoil(("disk1", "disk2", "disk3"), needle,
                                        32 * KIB), 1)
        mnt = self.mount(pool)
        bad = {MIB + half + at for half in (0, 512 * KIB)
               for at in range(0, 32 * KIB, 4 * KIB)}
        self.check_rest(mnt, want, bad)
        got = self.dynfs("status", "--pool", pool)
        self.assertRegex(got.out, r"unreadable +/hurt: ")
        self.assertNotIn("whole", got.out)
        # what is bad can be written anew, and the file is whole again
        with open(mnt + "/hurt", "r+b") as f:
            f.seek(MIB)
            f.write(marked(1))
            f.flush()
            os.fsync(f.fileno())
        self.check_rest(mnt, want, set())
        with open(mnt + "/new", "wb") as f:
            f.write(want)
        os.unlink(mnt + "/hurt")
        self.umount(pool)


@cli.needs_mount
class Full(cli.Case):
    def fill(self, path, block=MIB):
        """Until ENOSPC at write(2); how much went in."""
        done = 0
        block = os.urandom(block)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            with self.assertRaises(OSError) as e:
                while done < 4 << 30:
                    done += os.write(fd, block)
            self.assertEqual(e.exception.errno, errno.ENOSPC)
            os.fsync(fd)  # what was taken is there
        finally:
            os.close(fd)
        self.assertEqual(os.path.getsize(path), done)
        return done

    def room(self, mnt):
        s = os.statvfs(mnt)
        return s.f_bavail * s.f_frsize

    def comes_back(self, mnt, want):
        """What was deleted can be written again, soon."""
        for _ in range(10 * ENDS):
            if self.room(mnt) >= want:
                return
            time.sleep(0.1)
        self.fail(f"{self.room(mnt)} of {want} bytes came back")

    def full_and_back(self, pool, mnt, promise):
        with open(mnt + "/first", "wb") as f:
            f.write(b"first" * 1000)
        with open(mnt + "/more", "wb"):
            pass
        done = self.fill(mnt + "/big")
        self.assertGreater(done, promise * 9 // 10)
        with open(mnt + "/first", "rb") as f:
            self.assertEqual(f.read(), b"first" * 1000)
        # what was kept back for bytes on their way to the disks, no more
        self.assertLess(self.fill(mnt + "/more"), promise // 20)
        # still a file system: names move, go, and are told
        os.rename(mnt + "/first", mnt + "/second")
        os.truncate(mnt + "/second", 100)
        got = self.good("status", "--pool", pool, "--json").json()
        self.assertEqual(got["state"], "healthy")
        with self.subTest("after a restart"):
            self.umount(pool)
            self.mount(pool)
            with open(mnt + "/big", "rb") as f:
                f.seek(done - 10)
                self.assertEqual(len(f.read()), 10)
        os.unlink(mnt + "/big")
        os.unlink(mnt + "/more")
        self.comes_back(mnt, promise * 9 // 10)
        self.assertGreater(self.fill(mnt + "/big"), promise * 9 // 10)
        os.unlink(mnt + "/big")
        os.unlink(mnt + "/second")
        self.assertEqual(os.listdir(mnt), [])
        self.umount(pool)

    def test_disks_with_a_limit_fill_up_to_it_and_empty_again(self):
        pool = self.make_pool(n=3, policy="erasure:2+1", limit="64M")
        mnt = self.mount(pool)
        self.full_and_back(pool, mnt, self.room(mnt))
        for i in (1, 2, 3):
            used = int(subprocess.run(
                ["du", "-sB1", self.path(f"disk{i}")], check=True,
                stdout=subprocess.PIPE).stdout.split()[0])
            self.assertLess(used, 96 * MIB)

    def test_what_is_deleted_makes_room_for_who_writes_next(self):
        pool = self.make_pool(n=3, policy="erasure:2+1", limit="64M")
        mnt = self.mount(pool)
        done = self.fill(mnt + "/big")
        os.unlink(mnt + "/big")
        with open(mnt + "/next", "wb") as f:
            f.write(bytes(done // 2))
        os.truncate(mnt + "/next", 0)
        os.mkdir(mnt + "/folder")
        with open(mnt + "/next", "ab") as f:
            f.write(bytes(done * 3 // 4))
        os.unlink(mnt + "/next")
        os.rmdir(mnt + "/folder")
        self.umount(pool)

    def tmpfs(self, i, size):
        path = self.path(f"real{i}")
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "dynfs",
                        path], check=True)

    def make_real(self, size, n=3):
        """A pool on file systems of its own that are full at size."""
        pool = self.path("pool")
        self.good("init", "--pool", pool, "--policy", "erasure:2+1")
        for i in range(1, n + 1):
            self.tmpfs(i, size)
            self.good("disk", "add", "--pool", pool,
                      self.path(f"real{i}", "dynfs"))
        return pool

    def test_file_systems_below_fill_up_and_empty_again(self):
        pool = self.make_real("96m")
        mnt = self.mount(pool)
        self.full_and_back(pool, mnt, self.room(mnt))

    def test_others_that_take_the_room_below_are_noticed(self):
        pool = self.make_real("96m")
        mnt = self.mount(pool)
        before = self.room(mnt)
        for i in (1, 2, 3):
            with open(self.path(f"real{i}", "foreign"), "wb") as f:
                f.write(bytes(60 * MIB))
        time.sleep(0.3)
        self.assertLess(self.room(mnt), before - 80 * MIB)
        done = self.fill(mnt + "/big")
        self.assertLess(done, before - 80 * MIB)
        for i in (1, 2, 3):
            os.unlink(self.path(f"real{i}", "foreign"))
        self.comes_back(mnt, 60 * MIB)
        with open(mnt + "/more", "wb") as f:
            f.write(os.urandom(20 * MIB))
        os.unlink(mnt + "/big")
        self.umount(pool)
        self.mount(pool)
        self.assertEqual(os.path.getsize(mnt + "/more"), 20 * MIB)
        self.umount(pool)

    def test_many_small_files_fill_it_too(self):
        pool = self.make_pool(n=3, policy="erasure:2+1", limit="32M")
        mnt = self.mount(pool)
        n = 0
        with self.assertRaises(OSError) as e:
            while n < 20000:
                with open(f"{mnt}/f{n}", "wb") as f:
                    f.write(b"%d" % n * 2000)
                n += 1
        self.assertEqual(e.exception.errno, errno.ENOSPC)
        self.assertGreater(n, 1000)
        for i in range(0, n, 97):
            with open(f"{mnt}/f{i}", "rb") as f:
                self.assertEqual(f.read(), b"%d" % i * 2000)
        subprocess.run(["find", mnt, "-type", "f", "-delete"], check=True)
        self.assertEqual(os.listdir(mnt), [])
        self.comes_back(mnt, 20 * MIB)
        with open(mnt + "/new", "wb") as f:
            f.write(bytes(MIB))
        self.umount(pool)


if __name__ == "__main__":
    cli.main()
