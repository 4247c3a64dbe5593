#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that are added and given up on a mounted pool, under load."""
import hashlib
import os
import signal
import subprocess
import threading
import time

import cli


class Writer(threading.Thread):
    """Writes files with fsync until it is told to stop."""

    def __init__(self, top):
        super().__init__(daemon=True)
        self.top, self.done = top, threading.Event()
        self.sums, self.error = {}, None

    def run(self):
        try:
            while not self.done.is_set():
                self.one(len(self.sums))
        except OSError as e:
            self.error = e

    def one(self, i):
        data = os.urandom([100, 5000, 70000, 2000000][i % 4])
        with open(f"{self.top}/f{i}", "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        self.sums[f"f{i}"] = hashlib.sha256(data).digest()

    def progress(self, n):
        """Wait for n more files."""
        goal = len(self.sums) + n
        for _ in range(600):
            if len(self.sums) >= goal or self.error:
                break
            time.sleep(0.05)
        return len(self.sums) >= goal and not self.error

    def stop(self):
        self.done.set()
        self.join()


def drop_caches():
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
        f.write("3")


@cli.needs_mount
class Live(cli.Case):
    def rows(self, pool):
        return self.good("disk", "list", "--pool", pool,
                         "--json").json()["disks"]

    def states(self, pool):
        return [r["state"] for r in self.rows(pool)]

    def writing(self, mnt):
        w = Writer(mnt)
        w.start()
        self.addCleanup(w.stop)
        self.assertTrue(w.progress(4), w.error)
        return w

    def same(self, mnt, sums):
        drop_caches()
        for name, want in sums.items():
            with open(f"{mnt}/{name}", "rb") as f:
                self.assertEqual(hashlib.sha256(f.read()).digest(), want,
                                 name)

    def with_index(self, disks):
        found = [d for d in disks if os.path.exists(os.path.join(d, "index"))]
        self.assertEqual(len(found), 1, "the index is on one disk")
        return found[0]

    def test_disks_come_and_go_while_files_are_written(self):
        pool = self.make_pool(n=6)
        mnt = self.mount(pool)
        self.settled(pool)
        w = self.writing(mnt)
        got = self.good("disk", "add", "--pool", pool, "--limit", "512M",
                        self.path("disk7"))
        self.assertRegex(got.out, r"Disk +7")
        self.assertTrue(w.progress(8), w.error)
        # the one whose loss hurts most: log, index and fragments
        gone = self.with_index(self.path(f"disk{i}") for i in range(1, 8))
        got = self.good("disk", "fail", "--pool", pool, gone)
        self.assertRegex(got.out, r"State +failed")
        watch = cli.Watch(gone)
        self.addCleanup(watch.close)
        self.assertTrue(w.progress(20), w.error)
        w.stop()
        self.same(mnt, w.sums)
        self.assertEqual(watch.seen(), set())
        # it is known, and counted as what it is
        got = self.dynfs("status", "--pool", pool, "--json")
        self.assertEqual((got.code, got.json()["state"]),
                         (cli.DEGRADED, "degraded"), got)
        self.assertIn("disk-failed", [e["kind"] for e in
                                      got.json()["events"]])
        self.assertEqual(sorted(self.states(pool)),
                         ["failed"] + 6 * ["online"])
        self.umount(pool)
        self.assertEqual(watch.seen(), set())
        with self.subTest("after a restart"):
            self.mount(pool)
            self.same(mnt, w.sums)
            self.assertEqual(sorted(self.states(pool)),
                             ["failed"] + 6 * ["online"])
            self.umount(pool)
            self.assertEqual(watch.seen(), set())

    def test_a_failed_disk_that_the_file_names_is_only_looked_at(self):
        names = [self.path(f"d{i}") for i in range(1, 5)]
        self.good("init", "--pool", self.path("pool"), "--policy",
                  "erasure:2+1", *[w for d in names for w in ("--disk", d)])
        pool = self.path("pool")
        mnt = self.mount(pool, "--set", "pool.create=true")
        with open(mnt + "/file", "wb") as f:
            f.write(os.urandom(3 << 20))
        self.good("disk", "fail", "--pool", pool, names[1])
        watch = cli.Watch(names[1])
        self.addCleanup(watch.close)
        self.umount(pool)
        self.mount(pool)
        with open(mnt + "/file", "rb") as f:
            self.assertEqual(len(f.read()), 3 << 20)
        self.assertEqual(self.states(pool)[1], "failed")
        self.umount(pool)
        # who it is stands in its label, and nowhere else
        self.assertLessEqual(watch.seen(), {("open", "dynfs.label"),
                                            ("read", "dynfs.label")})

    def test_the_only_copy_of_the_metadata_is_not_given_up(self):
        pool = self.make_pool(n=6, policy="erasure:2+1")
        mnt = self.mount(pool, "--set", "metadata.copies=1")
        for row in self.rows(pool)[1:]:
            if row["metadata"] == "in sync":
                self.good("disk", "fail", "--pool", pool, row["path"])
        with open(mnt + "/file", "wb") as f:
            f.write(b"here")
        rows = [r for r in self.rows(pool) if r["metadata"] == "in sync"]
        self.assertEqual(len(rows), 1)
        self.refused(cli.FAILED, rf"disk {rows[0]['id']} has the only copy "
                     r"of the metadata", "disk", "fail", "--pool", pool,
                     rows[0]["path"])
        with open(mnt + "/other", "wb") as f:
            f.write(b"here, too")
            os.fsync(f.fileno())
        self.assertIn("online", [r["state"] for r in self.rows(pool)
                                 if r["id"] == rows[0]["id"]])
        self.umount(pool)

    def test_too_many_disks_are_not_given_up(self):
        pool = self.make_pool(n=4, policy="erasure:2+1")
        self.mount(pool)
        for i in (1, 2):
            self.good("disk", "fail", "--pool", pool, i)
        self.good("disk", "fail", "--pool", pool, 1)  # said before
        self.refused(cli.USAGE, r"disk 3 cannot be given up: more than half "
                     r"of the 2 disks must agree", "disk", "fail", "--pool",
                     pool, 3)
        self.umount(pool)

    def test_disks_are_given_up_at_once_and_at_any_moment(self):
        pool = self.make_pool(n=7)
        mnt = self.mount(pool)
        # at once: its log is just being copied to further disks
        running = [subprocess.Popen([cli.BIN, "disk", "fail", "--pool", pool,
                                     str(i)], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT)
                   for i in (1, 3)]
        for p in running:
            out, _ = p.communicate(timeout=60)
            self.assertEqual(p.returncode, 0, out)
        w = self.writing(mnt)
        self.assertTrue(w.progress(4), w.error)
        w.stop()
        self.umount(pool)
        self.mount(pool)
        self.same(mnt, w.sums)
        self.umount(pool)

    def test_labels_are_set_while_it_is_mounted_and_stay(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        mnt = self.mount(pool)
        got = self.good("label-disk", "--pool", pool, "disk2", "tier=ssd")
        self.assertRegex(got.out, r"Labels +tier=ssd")
        self.good("disk", "label", "--pool", pool, "2", "domain=shelf")
        with open(mnt + "/file", "wb") as f:
            f.write(os.urandom(1 << 20))
        text = self.good("list-disks", "--pool", pool).out
        self.assertRegex(text, r"(?m)^ID +STATE +SIZE .* PATH$")
        self.assertRegex(text, r"(?m)^ *2 +online .*tier=ssd, domain=shelf "
                         r".*disk2$")
        self.umount(pool)
        self.assertEqual(self.rows(pool)[1]["labels"],
                         ["tier=ssd", "domain=shelf"])
        self.mount(pool)
        self.good("disk", "label", "--pool", pool, "2", "tier=")
        self.assertEqual(self.rows(pool)[1]["labels"], ["domain=shelf"])
        self.umount(pool)

    def test_every_command_that_changes_something_answers_in_json(self):
        reply = self.good("init", "--pool", 'odd "name"', "--name", "odd",
                          "--policy", "replica:2", "--json").json()
        self.assertEqual(reply["config"], self.path('odd "name"/pool.conf'))
        pool = self.path('odd "name"')
        for i in (1, 2, 3):
            got = self.good("add-disk", "--pool", pool, "--limit", "256M",
                            f"d{i}", "--json").json()
            self.assertEqual(got["id"], i)
        mnt = self.path("mnt")
        os.mkdir(mnt)
        reply = self.good("mount", "--pool", pool, "--mountpoint", "mnt",
                          "--json").json()
        self.assertEqual((reply["pool"], reply["mountpoint"]), ("odd", mnt))
        pid = self.dynfs("status", "--pool", pool, "--json").json()["pid"]
        with open(mnt + "/file", "wb") as f:
            f.write(b"x")
        self.assertEqual(self.good("sync", "--pool", pool, "--json").json(),
                         {})
        self.assertEqual(self.good("disk", "label", "--pool", pool, "1",
                                   "a=b", "--json").json()["labels"], ["a=b"])
        self.assertEqual(self.good("fail-disk", "--pool", pool, "d3",
                                   "--json").json()["state"], "failed")
        reply = self.good("umount", "--pool", pool, "--json").json()
        self.assertEqual(reply["pid"], pid)
        # it is over, though perhaps nobody has asked for its exit code yet
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                self.assertIn(" Z ", f.read())
        except FileNotFoundError:
            pass
        reply = self.dynfs("umount", "--pool", pool, "--json").json()
        self.assertEqual(reply["error"]["errno"], "ENOTCONN")

    def all_of(self, terminal):
        """What was written there; a read may give a part of it."""
        os.set_blocking(terminal, False)
        said = b""
        try:
            while True:
                said += os.read(terminal, 4096)
        except BlockingIOError:
            return said

    def test_who_waits_at_a_terminal_is_told_and_a_script_is_not(self):
        pool = self.make_pool(n=2, policy="replica:2")
        self.mount(pool)
        pid = self.dynfs("status", "--pool", pool, "--json").json()["pid"]
        ours, theirs = os.openpty()
        log = self.write("said", "")
        os.kill(pid, signal.SIGSTOP)
        try:
            with open(log, "wb") as f:
                running = [subprocess.Popen([cli.BIN, "sync", "--pool", pool],
                                            stderr=to) for to in (theirs, f)]
            time.sleep(3.5)
        finally:
            os.kill(pid, signal.SIGCONT)
        for p in running:
            self.assertEqual(p.wait(timeout=60), 0)
        said = self.all_of(ours).decode()
        self.assertRegex(said, r"dynfs: the daemon is at it; 2 s.*; 3 s")
        # and the line is taken away at the end
        self.assertTrue(said.endswith("\r\x1b[K"), repr(said))
        self.assertEqual(os.path.getsize(log), 0)
        os.close(ours)
        os.close(theirs)
        self.umount(pool)

    def test_shared_devices_are_warned_about_once(self):
        conf = self.write("pool.conf", cli.SOUND.replace(
            'name = "sound";', 'name = "sound"; create = true;'))
        for how in ("made", "opened"):
            with self.subTest(how):
                self.good("mount", "-c", conf, "--mountpoint", "mnt")
                self.good("disk", "add", "-c", conf, f"more-{how}")
                self.good("umount", "-c", conf)
                with open(self.path("dynfs.log"), encoding="utf-8") as f:
                    text = f.read()
                self.assertEqual(text.count("lie on one device"), 1, text)
                os.unlink(self.path("dynfs.log"))


if __name__ == "__main__":
    cli.main()
