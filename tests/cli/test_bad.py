#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with disks, from outside: damaged, stale, foreign, missing,
of the future.  A pool opens with what can be trusted or says why not."""
import os
import re
import shutil
import signal
import stat
import subprocess
import time

import cli

SLOT = 128 << 10  # of a label
MIB = 1 << 20


def overwrite(path, at, n):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(b"\xa5" * n)


@cli.needs_mount
class Disks(cli.Case):
    def setUp(self):
        super().setUp()
        self.n = 0

    def made(self, n=4, policy="erasure:2+1"):
        """A pool with a file in it, not mounted."""
        self.pool = self.make_pool(n=n, policy=policy)
        self.data = os.urandom(3 * MIB)
        with self.mounted() as mnt:
            self.put(mnt, "file", self.data)
        return self.pool

    def put(self, mnt, name, data):
        with open(f"{mnt}/{name}", "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())

    def get(self, mnt, name):
        with open(f"{mnt}/{name}", "rb") as f:
            return f.read()

    def mounted(self, *words):
        case = self

        class Mounted:
            def __enter__(self):
                return case.mount(case.pool, *words)

            def __exit__(self, *_):
                case.umount(case.pool)
        return Mounted()

    def log(self):
        with open(os.path.join(self.pool, "dynfs.log"),
                  encoding="utf-8") as f:
            return f.read()

    def states(self):
        rows = self.good("disk", "list", "--pool", self.pool,
                         "--json").json()["disks"]
        return [r["state"] for r in rows]

    def label(self, i):
        return self.path(f"disk{i}", "dynfs.label")

    # ---- missing -----------------------------------------------------------

    def test_a_missing_disk_is_named_and_the_rest_serves(self):
        self.made()
        os.rename(self.path("disk3"), self.path("away"))
        with self.mounted() as mnt:
            self.assertEqual(self.get(mnt, "file"), self.data)
            self.put(mnt, "more", self.data[:100000])
            self.assertEqual(self.states(), ["online", "online", "missing",
                                             "online"])
        self.assertRegex(self.log(), r"disk 3 is missing \(last at "
                         rf"{re.escape(self.path('disk3'))}\)")
        os.rename(self.path("away"), self.path("disk3"))
        with self.mounted() as mnt:
            self.assertEqual(self.states(), 4 * ["online"])
            self.assertEqual(self.get(mnt, "more"), self.data[:100000])

    def test_a_disk_that_is_found_elsewhere_is_the_same_disk(self):
        self.made()
        os.rename(self.path("disk2"), self.path("moved"))
        with self.mounted():
            self.assertIn("missing", self.states())
        conf = self.write("moved.conf", self.conf_of("disk1", "moved",
                                                     "disk3", "disk4"))
        self.good("mount", "-c", conf)
        self.assertEqual(self.states(), 4 * ["online"])
        self.good("umount", "-c", conf)

    def conf_of(self, *names):
        disks = ", ".join(f'{{ path = "{self.path(n)}"; }}' for n in names)
        return f"""
pool = {{ name = "pool"; dir = "{self.pool}"; mountpoint = "{self.path('mnt')}";
	disks = ( {disks} ); }};
policies = {{ default = "ec21"; ec21 = {{ k = 2; m = 1; }}; }};
"""

    def test_too_few_for_the_policy_are_too_few_to_read_all(self):
        # 5 disks: two may be away for the majority, one for the policy
        self.made(n=5)
        for i in (1, 2):
            os.rename(self.path(f"disk{i}"), self.path(f"away{i}"))
        with self.mounted() as mnt:
            got = self.dynfs("redundancy", "show", "--pool", self.pool,
                             "--json").json()["policies"]
            row = next(r for r in got if r["name"] == "ec21")
            self.assertGreater(row["degraded"], 0)
            with open(mnt + "/file", "rb") as f:
                for at in range(0, len(self.data), MIB):
                    try:
                        part = os.pread(f.fileno(), MIB, at)
                    except OSError:
                        continue  # of those that had two there
                    # it may end before a page that can not be had
                    self.assertTrue(part)
                    self.assertEqual(part, self.data[at:at + len(part)])

    # ---- labels --------------------------------------------------------------

    def test_half_a_damaged_label_is_mended(self):
        self.made()
        for slot in (0, 1):
            overwrite(self.label(2), slot * SLOT + 16, 40)
            with self.mounted() as mnt:
                self.assertEqual(self.get(mnt, "file"), self.data)
                self.assertEqual(self.states(), 4 * ["online"])
        # both are good again: the other half alone is enough once more
        overwrite(self.label(2), 0, SLOT)
        with self.mounted():
            self.assertEqual(self.states(), 4 * ["online"])

    def test_a_label_without_a_good_half_makes_its_disk_missing(self):
        self.made()
        overwrite(self.label(2), 16, 40)
        overwrite(self.label(2), SLOT + 16, 40)
        with open(self.label(2), "rb") as f:
            before = f.read()
        with self.mounted() as mnt:
            self.assertEqual(self.get(mnt, "file"), self.data)
            self.assertEqual(self.states(), ["online", "missing", "online",
                                             "online"])
        with open(self.label(2), "rb") as f:
            self.assertEqual(f.read(), before)
        # named by the configuration it is said what is wrong with it
        conf = self.write("all.conf", self.conf_of(
            "disk1", "disk2", "disk3", "disk4"))
        self.good("mount", "-c", conf)
        self.good("umount", "-c", conf)
        self.assertRegex(self.log(), r"disk2: both halves of its label are "
                         r"damaged; the pool opens without it")

    def test_a_majority_of_damaged_labels_is_refused(self):
        self.made()
        for i in (1, 2, 3):
            overwrite(self.label(i), 0, 2 * SLOT)
        for verb in ("run", "mount"):
            self.refused(cli.NO_POOL, r"3 of 4 disks are missing: number 1 "
                         r"\(.*disk1\), number 2 ", verb, "--pool", self.pool,
                         "--mountpoint", self.path("mnt"))
        self.assertFalse(os.path.ismount(self.path("mnt")))

    def test_a_label_of_zeros_or_cut_short_is_a_damaged_one(self):
        self.made()
        for how in ("zeros", "short", "empty"):
            keep = self.path("keep")
            shutil.copyfile(self.label(4), keep)
            with open(self.label(4), "r+b") as f:
                f.truncate({"zeros": 0, "short": 100, "empty": 0}[how])
                if how == "zeros":
                    f.truncate(2 * SLOT)
            with self.subTest(how), self.mounted() as mnt:
                self.assertEqual(self.get(mnt, "file"), self.data)
                self.assertEqual(self.states()[3], "missing")
            shutil.copyfile(keep, self.label(4))
        with self.mounted():
            self.assertEqual(self.states(), 4 * ["online"])

    # ---- stale ---------------------------------------------------------------

    def test_a_disk_that_missed_something_is_caught_up(self):
        self.made()
        os.rename(self.path("disk1"), self.path("away"))
        with self.mounted() as mnt:
            self.put(mnt, "file", self.data[::-1])
            self.put(mnt, "new", b"new")
            os.mkdir(mnt + "/folder")
        os.rename(self.path("away"), self.path("disk1"))
        with self.mounted() as mnt:
            self.assertEqual(self.states(), 4 * ["online"])
            self.assertEqual(self.get(mnt, "file"), self.data[::-1])
            self.assertEqual(sorted(os.listdir(mnt)),
                             ["file", "folder", "new"])
            self.put(mnt, "after", self.data)
        # and it counts again: with it, and without another one
        os.rename(self.path("disk2"), self.path("away"))
        with self.mounted() as mnt:
            self.assertEqual(self.get(mnt, "after"), self.data)

    def test_the_pulled_disks_alone_do_not_bring_back_the_past(self):
        self.made()
        for i in (1, 2, 3):
            shutil.copytree(self.path(f"disk{i}"), self.path(f"old{i}"))
        os.rename(self.path("disk1"), self.path("away1"))
        with self.mounted() as mnt:
            self.put(mnt, "file", b"new")
        for i in (2, 3, 4):
            os.rename(self.path(f"disk{i}"), self.path(f"away{i}"))
        os.rename(self.path("away1"), self.path("disk1"))
        for verb in ("run", "mount"):
            self.refused(cli.NO_POOL, r"3 of 4 disks are missing", verb,
                         "--pool", self.pool, "--mountpoint",
                         self.path("mnt"))
        # looking is allowed, and changes nothing
        self.dynfs("status", "--pool", self.pool)
        for i in (2, 3, 4):
            os.rename(self.path(f"away{i}"), self.path(f"disk{i}"))
        with self.mounted() as mnt:
            self.assertEqual(self.get(mnt, "file"), b"new")

    def test_logs_of_different_length_end_at_the_longest(self):
        self.made()
        mnt = self.mount(self.pool)
        self.settled(self.pool)
        for i in range(20):
            self.put(mnt, f"f{i}", os.urandom(100) + b"%d" % i)
        pid = self.dynfs("status", "--pool", self.pool, "--json").json()["pid"]
        os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", "-l", mnt], check=True)
        time.sleep(0.2)
        cut = 0
        for i in (1, 2, 3, 4):
            log = self.path(f"disk{i}", "log")
            if cut == 2 or not os.path.isdir(log) or not os.listdir(log):
                continue
            last = os.path.join(log, sorted(os.listdir(log))[-1])
            size = os.path.getsize(last)
            used = len(self.read_bytes(last).rstrip(b"\0"))
            os.truncate(last, used // (2 + cut))
            self.assertLess(used // 2, size)
            cut += 1
        self.assertEqual(cut, 2, "three disks have a log")
        with self.mounted() as mnt:
            for i in range(20):
                self.assertTrue(self.get(mnt, f"f{i}").endswith(b"%d" % i))
            self.assertEqual(self.get(mnt, "file"), self.data)

    def read_bytes(self, path):
        with open(path, "rb") as f:
            return f.read()

    # ---- foreign -------------------------------------------------------------

    def refuses_conf(self, names, why, code=cli.USAGE):
        conf = self.write("wrong.conf", self.conf_of(*names))
        for verb in ("run", "mount"):
            got = self.dynfs(verb, "-c", conf)
            self.assertEqual(got.code, code, got)
            self.assertRegex(got.err, why)
            self.assertFalse(os.path.ismount(self.path("mnt")))

    def test_a_copy_of_a_disk_is_not_a_second_disk(self):
        self.made()
        shutil.copytree(self.path("disk2"), self.path("copy"))
        self.refuses_conf(("disk1", "disk2", "copy", "disk3"),
                          r"disk2 and .*copy are the same disk, number 2: one "
                          r"is a copy of the other")

    def test_one_disk_by_two_ways_is_not_two(self):
        self.made()
        os.symlink(self.path("disk2"), self.path("link"))
        self.refuses_conf(("disk1", "disk2", "link"),
                          r"disk2 and .*link are the same directory")

    def test_a_folder_without_a_label_is_not_a_disk_of_the_pool(self):
        self.made()
        os.mkdir(self.path("empty"))
        self.refuses_conf(("disk1", "disk2", "disk3", "disk4", "empty"),
                          r"empty has no label, so it is not part of pool "
                          r"'pool': add it with 'dynfs disk add")
        self.assertEqual(os.listdir(self.path("empty")), [])

    def test_a_disk_in_the_mount_is_refused_while_it_is_mounted(self):
        self.made()
        with self.mounted() as mnt:
            for where in (mnt, mnt + "/below"):
                got = self.dynfs("disk", "add", "--pool", self.pool, where)
                self.assertEqual(got.code, cli.USAGE, got)
                self.assertRegex(got.err, r"mount point")
            self.assertEqual(os.listdir(mnt), ["file"])

    def test_a_disk_inside_another_by_a_link_is_refused(self):
        self.made()
        os.symlink(self.path("disk1", "store"), self.path("inside"))
        self.refused(cli.USAGE, r"is inside disk .*disk1", "disk", "add",
                     "--pool", self.pool, self.path("inside", "below"))
        self.assertFalse(os.path.exists(self.path("disk1", "store",
                                                  "below")))

    # ---- from the future -----------------------------------------------------

    def future(self, kind):
        self.made()
        subprocess.run([os.environ["DYNFS_FEATURE"], self.path("disk2"),
                        kind, "time-travel"], check=True)

    def test_an_unknown_compatible_feature_changes_nothing(self):
        self.future("compat")
        with self.mounted() as mnt:
            self.put(mnt, "file", b"new")
            self.assertEqual(self.states(), 4 * ["online"])

    def test_an_unknown_read_only_feature_lets_one_read(self):
        self.future("ro-compat")
        self.refused(cli.NO_POOL, r"disk2.*time-travel", "mount", "--pool",
                     self.pool, "--mountpoint", self.path("mnt"))
        with self.mounted("--readonly") as mnt:
            self.assertEqual(self.get(mnt, "file"), self.data)
            with self.assertRaises(OSError):
                self.put(mnt, "file", b"new")
        self.dynfs("status", "--pool", self.pool)

    def test_an_unknown_incompatible_feature_is_refused_by_name(self):
        self.future("incompat")
        for words in (("mount", "--mountpoint", self.path("mnt")),
                      ("mount", "--readonly", "--mountpoint",
                       self.path("mnt")),
                      ("status",), ("disk", "list")):
            self.refused(cli.NO_POOL, r"disk2.*time-travel", *words,
                         "--pool", self.pool)

    # ---- the mount point -------------------------------------------------------

    def test_a_dead_mount_in_the_way_is_replaced(self):
        self.made()
        mnt = self.mount(self.pool)
        pid = self.dynfs("status", "--pool", self.pool, "--json").json()["pid"]
        os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            try:
                os.stat(mnt)
            except OSError:
                break
            time.sleep(0.05)
        with self.assertRaises(OSError):
            os.listdir(mnt)
        with self.mounted() as mnt:
            self.assertEqual(self.get(mnt, "file"), self.data)

    def test_a_live_mount_of_another_pool_is_not_covered(self):
        self.made()
        mnt = self.mount(self.pool)
        other = self.path("other")
        self.good("init", "--pool", other, "--policy", "replica:1")
        self.good("disk", "add", "--pool", other, "o1")
        got = self.dynfs("mount", "--pool", other, "--mountpoint", mnt)
        self.assertEqual(got.code, cli.FAILED, got)
        self.assertIn(mnt, got.err)
        self.assertEqual(self.get(mnt, "file"), self.data)
        self.umount(self.pool)

    def test_a_mount_point_that_is_no_folder_is_named_as_it_was_given(self):
        self.made()
        self.write("plain", "text")
        for name in ("gone", "plain"):
            got = self.dynfs("mount", "--pool", self.pool, "--mountpoint",
                             name)
            self.assertEqual(got.code, cli.FAILED, got)
            self.assertIn(self.path(name), got.err)
        with open(self.path("plain"), encoding="utf-8") as f:
            self.assertEqual(f.read(), "text")


class Nothing(cli.Case):
    """A broken plugin starts nothing, whoever is asked."""

    def test_a_pool_is_not_made_with_a_plugin_that_can_not_be_trusted(self):
        where = self.path("plugins")
        shutil.copytree(cli.PLUGINS, where)
        conf = self.write("pool.conf", cli.SOUND.replace(
            'name = "sound";', 'name = "sound"; create = true;'))
        so = os.path.join(where, "store", "segment.so")
        for why, spoil in (
                (r"can be written by others", cli.others_may_write),
                (r"is cut short", lambda p: os.truncate(p, 5000)),
                (r"no plugin store/segment", os.unlink)):
            for top, _, files in os.walk(where):
                for name in [top] + [os.path.join(top, f) for f in files]:
                    os.chmod(name, stat.S_IRWXU)
            spoil(so)
            for verb in ("run", "mount"):
                got = self.dynfs(verb, "-c", conf,
                                 env={"DYNFS_PLUGIN_DIR": "plugins"})
                self.assertEqual(got.code, cli.USAGE, got)
                self.assertRegex(got.err, why)
                self.assertEqual(len(got.err.splitlines()), 1, got)
            self.assertFalse(os.path.exists(self.path("d1")))


if __name__ == "__main__":
    cli.main()
