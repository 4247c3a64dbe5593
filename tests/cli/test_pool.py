#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From nothing to a mounted pool and back; what is refused on the way; and
that JSON and text of every reading command have the same facts."""
import os
import re
import subprocess
import time

import cli



class Init(cli.Case):
    def test_init_writes_a_file_that_is_sound_and_names_the_pool(self):
        pool = self.path("photos")
        got = self.good("init", "--pool", pool)
        self.assertIn("disk add", got.out)
        self.good("config", "check", "--pool", pool)
        shown = self.good("config", "show", "--pool", pool).out
        self.assertIn('name = "photos"', shown)

    def test_init_never_replaces_a_file(self):
        pool = self.path("pool")
        self.good("init", "--pool", pool)
        with open(pool + "/pool.conf", "rb") as f:
            before = f.read()
        self.refused(cli.FAILED, r"pool\.conf: is there already", "init",
                     "--pool", pool, "--name", "other")
        with open(pool + "/pool.conf", "rb") as f:
            self.assertEqual(f.read(), before)

    def test_init_takes_a_policy_a_name_and_json(self):
        for policy, want in (("erasure:2+1", "k = 2; m = 1"),
                             ("replica:3", "copies = 3")):
            pool = self.path(policy.replace(":", "-"))
            reply = self.good("init", "--pool", pool, "--policy", policy,
                              "--name", "mine", "--json").json()
            self.assertEqual(reply["config"], pool + "/pool.conf")
            with open(reply["config"], encoding="utf-8") as f:
                text = f.read()
            self.assertIn('name = "mine"', text)
            default = re.search(r'default = "([^"]+)"', text)[1]
            self.assertRegex(text, rf"(?m)^\t{default} = {{ {want};")

    def test_a_form_that_has_a_usual_name_gets_no_second_one(self):
        pool = self.path("pool")
        self.good("init", "--pool", pool, "--policy=erasure:2+1", "--disk",
                  "d1", "--disk", "d2")
        with open(pool + "/pool.conf", encoding="utf-8") as f:
            text = f.read()
        self.assertIn('default = "ec21"', text)
        self.assertEqual(text.count("k = 2; m = 1"), 1)
        self.good("config", "check", "--pool", pool)

    def test_the_paths_given_to_init_begin_where_it_runs(self):
        self.good("init", "--pool", "far/away/pool", "--mountpoint", "mnt",
                  "--disk", "d1", "--disk=./d2/")
        shown = self.good("config", "show", "--pool", "far/away/pool").out
        for name in ("mnt", "d1", "d2"):
            self.assertIn(f'"{self.path(name)}"', shown)
        for option in ("--mountpoint=", "--disk="):
            self.refused(cli.USAGE, r"wants a value", "init", "--pool",
                         "other", option)

    def test_init_refuses_what_can_not_be(self):
        for policy in ("erasure:1+1", "erasure:30+3", "replica:0",
                       "replica:17", "raid6", "erasure:4+2x", ""):
            self.refused(cli.USAGE, r"--policy", "init", "--pool",
                         self.path("pool"), "--policy", policy)
        self.refused(cli.USAGE, r"--name", "init", "--pool",
                     self.path("pool"), "--name", "My Pool")
        self.refused(cli.USAGE, r"where\?", "init")
        self.assertFalse(os.path.exists(self.path("pool")))


class Disks(cli.Case):
    def test_a_pool_grows_from_nothing_and_says_what_it_lacks(self):
        pool = self.path("pool")
        self.good("init", "--pool", pool, "--policy", "erasure:2+1")
        self.refused(cli.NO_POOL, r"there is no pool yet", "disk", "list",
                     "--pool", pool)
        one = self.good("disk", "add", "--pool", pool, self.path("d1"))
        self.assertRegex(one.out, r"needs 2 more disks: it wants 3, the "
                         r"pool has 1")
        two = self.good("disk", "add", "--pool", pool, self.path("d2"))
        self.assertRegex(two.out, r"needs 1 more disk: it wants 3, the pool "
                         r"has 2")
        three = self.good("disk", "add", "--pool", pool, self.path("d3"))
        self.assertNotIn("needs", three.out)

    def test_a_limit_holds_and_is_remembered(self):
        pool = self.make_pool(n=3, policy="erasure:2+1", limit="512M")
        for row in self.good("disk", "list", "--pool", pool,
                             "--json").json()["disks"]:
            self.assertLessEqual(row["total_bytes"], 512 << 20, row)
            self.assertGreater(row["total_bytes"], 384 << 20, row)

    def test_labels_are_set_and_taken_away(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        self.good("disk", "add", "--pool", pool, "--label",
                  "tier=ssd,domain=a", self.path("d4"))
        self.good("disk", "label", "--pool", pool, "1", "tier=hdd")
        self.good("disk", "label", "--pool", pool, self.path("d4"),
                  "domain=")
        rows = self.good("disk", "list", "--pool", pool,
                         "--json").json()["disks"]
        self.assertEqual(rows[0]["labels"], ["tier=hdd"])
        self.assertEqual(rows[3]["labels"], ["tier=ssd"])
        self.refused(cli.USAGE, r'"fast" is no label.*KEY=VALUE', "disk",
                     "label", "--pool", pool, "1", "fast")
        self.refused(cli.USAGE, r"at most 1 label at once", "disk", "label",
                     "--pool", pool, "1", "a=b,c=d")

    def test_a_disk_is_named_by_its_path_however_that_is_written(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        for i, name in enumerate(("disk2", "./disk2", self.path("disk2/"),
                                  self.path(".//./disk2"), "2")):
            reply = self.good("disk", "label", "--pool", pool, name,
                              f"n={i}", "--json").json()
            self.assertEqual((reply["id"], reply["labels"]), (2, [f"n={i}"]))
        os.mkdir(self.path("rest"))
        self.good("disk", "add", "--pool", pool, "rest/../disk4/")

    def test_a_disk_without_room_is_refused_and_leaves_nothing(self):
        pool = self.make_pool(n=2, policy="replica:2")
        for limit in ("1", "1K", "1M"):
            self.refused(cli.USAGE, r"disk4: its store would have .*, and "
                         r"needs 2\.0 MiB", "disk", "add", "--pool", pool,
                         "--limit", limit, "disk4")
            self.assertFalse(os.path.exists(self.path("disk4")))
        self.refused(cli.USAGE, r'PATH: "" is not', "disk", "add", "--pool",
                     pool, "")
        self.refused(cli.FAILED, r"cannot make the directory: .*/far is not "
                     r"there", "disk", "add", "--pool", pool, "far/away")

    def test_commands_without_a_daemon_wait_for_each_other(self):
        pool = self.make_pool(n=2, policy="replica:2")
        running = [subprocess.Popen(
            [cli.BIN, "status", "--pool", pool, "--json"], cwd=self.dir,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(8)]
        for p in running:
            out, err = p.communicate(timeout=60)
            self.assertEqual(p.returncode, cli.DEGRADED, out + err)

    def test_status_without_a_daemon_knows_the_room(self):
        pool = self.make_pool(n=3, policy="erasure:2+1", limit="256M")
        reply = self.dynfs("status", "--pool", pool, "--json").json()
        self.assertIsNone(reply["pid"])
        self.assertGreater(reply["usable_bytes"], 400 << 20)
        self.assertGreater(reply["free_bytes"], 400 << 20)

    def test_a_place_that_can_not_be_a_disk_is_refused(self):
        pool = self.make_pool(n=2, policy="replica:2")
        with self.subTest("twice"):
            self.refused(cli.FAILED, r"disk1 has a label already", "disk",
                         "add", "--pool", pool, self.path("disk1"))
        with self.subTest("twice by a link"):
            os.symlink(self.path("disk1"), self.path("link"))
            self.refused(cli.FAILED, r"link has a label already", "disk",
                         "add", "--pool", pool, self.path("link"))
        with self.subTest("inside another"):
            self.refused(cli.USAGE, r"is inside disk .*disk1", "disk", "add",
                         "--pool", pool, self.path("disk1", "below"))
            self.assertFalse(os.path.exists(self.path("disk1", "below")))
        with self.subTest("around others"):
            got = self.dynfs("disk", "add", "--pool", pool, self.dir)
            self.assertIn(got.code, (cli.FAILED, cli.USAGE), got)
        with self.subTest("not empty"):
            os.mkdir(self.path("full"))
            self.write("full/file", "mine")
            self.refused(cli.FAILED, r"full is not empty: there is 'file'",
                         "disk", "add", "--pool", pool, self.path("full"))
            self.assertEqual(os.listdir(self.path("full")), ["file"])
        with self.subTest("a file"):
            self.write("file", "mine")
            got = self.dynfs("disk", "add", "--pool", pool,
                             self.path("file"))
            self.assertNotEqual(got.code, cli.OK)
        self.assertEqual(len(self.good("disk", "list", "--pool", pool,
                                       "--json").json()["disks"]), 2)

    def test_a_disk_of_another_pool_is_refused_and_untouched(self):
        mine = self.make_pool(n=2, policy="replica:2")
        other = self.path("other")
        self.good("init", "--pool", other, "--policy", "replica:2")
        self.good("disk", "add", "--pool", other, self.path("o1"))
        with open(self.path("o1", "dynfs.label"), "rb") as f:
            before = f.read()
        self.refused(cli.FAILED, r"o1 has a label already: it is part of a",
                     "disk", "add", "--pool", mine, self.path("o1"))
        # and when the config claims it
        conf = self.write("claim.conf", f"""
pool = {{
	name = "pool";
	dir = "{mine}";
	disks = ( {{ path = "{self.path('disk1')}"; }},
	          {{ path = "{self.path('o1')}"; }} );
}};
policies = {{ default = "two"; two = {{ copies = 2; }}; }};
""")
        got = self.dynfs("status", "-c", conf)
        self.assertEqual(got.code, cli.USAGE, got)
        self.assertRegex(got.err, r"o1 belongs to pool 'other', not 'pool'")
        with open(self.path("o1", "dynfs.label"), "rb") as f:
            self.assertEqual(f.read(), before)

    def test_one_directory_under_two_names_is_refused(self):
        os.mkdir(self.path("real"))
        os.symlink(self.path("real"), self.path("alias"))
        conf = self.write("pool.conf", """
pool = {
	name = "twice";
	create = true;
	disks = ( { path = "real"; }, { path = "alias"; } );
};
policies = { default = "two"; two = { copies = 2; }; };
frontends = ( );
""")
        got = self.dynfs("run", "-c", conf)
        self.assertNotEqual(got.code, cli.OK, got)
        self.assertRegex(got.err, r"real|alias")
        self.assertEqual(os.listdir(self.path("real")), [])

    def test_a_disk_that_is_given_up_stays_so(self):
        pool = self.make_pool(n=4, policy="erasure:2+1")
        self.good("disk", "fail", "--pool", pool, self.path("disk2"))
        self.refused(cli.FAILED, r'no disk "9"', "disk", "fail", "--pool",
                     pool, "9")
        rows = self.good("disk", "list", "--pool", pool,
                         "--json").json()["disks"]
        self.assertEqual([r["state"] for r in rows],
                         ["online", "failed", "online", "online"])

    def test_too_few_disks_are_counted_before_anything_is_made(self):
        conf = self.write("pool.conf", cli.SOUND.replace(
            ',\n\t\t{ path = "d4"; }, { path = "d5"; }, { path = "d6"; }',
            "").replace('name = "sound";', 'name = "sound"; create = true;'))
        got = self.dynfs("run", "-c", conf)
        self.assertEqual(got.code, cli.NO_POOL, got)
        self.assertRegex(got.err, r"wants 6 disks and the config names 3: "
                         r"it needs 3 more disks")
        self.assertFalse(os.path.exists(self.path("d1")))

    def test_a_pool_is_not_made_unless_the_file_says_so(self):
        conf = self.write("pool.conf", cli.SOUND)
        self.refused(cli.NO_POOL, r"there is no pool yet; dynfs disk add "
                     r"begins one, or pool\.create = true", "run", "-c", conf)
        self.assertFalse(os.path.exists(self.path("d1")))


@cli.needs_mount
class Mounted(cli.Case):
    def test_init_disks_mount_status_umount(self):
        pool = self.make_pool()
        mnt = self.mount(pool)
        with open(mnt + "/hello", "w", encoding="ascii") as f:
            f.write("hello\n")
        self.settled(pool)
        got = self.good("status", "--pool", pool)
        self.assertRegex(got.out, r"State +healthy")
        self.assertRegex(got.out, rf"Mounted on +{re.escape(mnt)}")
        self.good("sync", "--pool", pool)
        self.umount(pool)
        self.assertEqual(os.listdir(mnt), [])
        self.mount(pool)
        with open(mnt + "/hello", encoding="ascii") as f:
            self.assertEqual(f.read(), "hello\n")
        self.umount(pool)

    def test_a_second_daemon_is_refused_and_told_the_first(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        self.mount(pool)
        pid = self.settled(pool)["pid"]
        for verb in ("run", "mount"):
            self.refused(cli.NO_POOL, rf"is in use by process {pid}\b",
                         verb, "--pool", pool, "--mountpoint",
                         self.path("mnt"))
        self.assertTrue(os.path.ismount(self.path("mnt")))
        self.umount(pool)

    def test_mount_of_a_pool_that_lacks_disks_says_how_many(self):
        pool = self.make_pool(n=4)
        mnt = self.path("mnt")
        os.mkdir(mnt)
        for _ in range(3):  # one after the other: nothing is left behind
            self.refused(cli.FAILED, r"needs 2 more disks", "mount",
                         "--pool", pool, "--mountpoint", mnt)
        self.good("disk", "list", "--pool", pool)
        self.assertFalse(os.path.ismount(mnt))

    def test_what_only_a_daemon_can_do_is_refused_without_one(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        for words in (("sync",), ("quit",), ("umount",)):
            self.refused(cli.FAILED, r"no daemon is running for pool pool",
                         *words, "--pool", pool)

    def test_run_says_what_it_serves_and_ends_on_a_signal(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        mnt = self.path("mnt")
        os.mkdir(mnt)
        with open(self.path("said"), "w", encoding="utf-8") as said:
            run = subprocess.Popen([cli.BIN, "run", "--pool", pool,
                                    "--mountpoint", mnt], stdout=said,
                                   stderr=subprocess.STDOUT)
        self.daemons.append(run.pid)
        for _ in range(300):
            if os.path.ismount(mnt) or run.poll() is not None:
                break
            time.sleep(0.1)
        self.assertTrue(os.path.ismount(mnt))
        self.assertEqual(self.settled(pool)["pid"], run.pid)
        run.terminate()
        self.assertEqual(run.wait(timeout=60), 0)
        self.assertFalse(cli.is_dead_or_mounted(mnt))
        with open(self.path("said"), encoding="utf-8") as f:
            self.assertRegex(f.read(), rf"mounted on {re.escape(mnt)}")

    def test_a_pool_that_is_unmounted_from_outside_ends_cleanly(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        mnt = self.mount(pool)
        pid = self.settled(pool)["pid"]
        subprocess.run(["umount", mnt], check=True)
        for _ in range(200):
            if not os.path.exists(f"/proc/{pid}"):
                break
            time.sleep(0.1)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.mount(pool)
        self.umount(pool)

    def test_disks_that_are_away_make_it_degraded_by_name(self):
        pool = self.make_pool(n=4, policy="erasure:2+1")
        os.rename(self.path("disk4"), self.path("away"))
        self.mount(pool)
        got = self.dynfs("status", "--pool", pool, "--json")
        self.assertEqual(got.code, cli.DEGRADED, got)
        reply = got.json()
        self.assertEqual(reply["state"], "degraded")
        self.assertEqual(reply["disks_missing"], 1)
        rows = self.good("disk", "list", "--pool", pool,
                         "--json").json()["disks"]
        self.assertEqual(rows[3]["state"], "missing")
        self.umount(pool)

    def test_a_majority_of_disks_away_is_refused_by_name(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        for i in (2, 3):
            os.rename(self.path(f"disk{i}"), self.path(f"away{i}"))
        got = self.dynfs("run", "--pool", pool)
        self.assertEqual(got.code, cli.NO_POOL, got)
        self.assertRegex(got.err, r"2 of 3 disks are missing: number 2 "
                         r"\(.*disk2\), number 3 \(.*disk3\)")


def text_of(v):
    if v is None:
        return "-"
    if isinstance(v, bool):
        return "yes" if v else "no"
    if isinstance(v, list):
        return ", ".join(text_of(x) for x in v) if v else "-"
    return str(v)


def forms(v):
    """All ways in which the text may write a scalar of the reply."""
    found = {text_of(v)}
    if isinstance(v, int) and not isinstance(v, bool):
        found.add(cli.size_text(v) if v >= 0 else str(v))
        found.add(time.strftime("%Y-%m-%d %H:%M:%S",
                                time.localtime(v // 10**9)))
    return found


def is_table(v):
    return isinstance(v, list) and (not v or isinstance(v[0], dict))


class Facts:
    """The lines of a text reply: "Title  value" and tables."""

    def __init__(self, text):
        self.values, self.tables = {}, []
        lines = text.splitlines()
        i = 0
        while i < len(lines):
            line = lines[i]
            if re.match(r"^ *[A-Z][A-Z]+( |$)", line) and not re.match(
                    r"^[A-Z]+ +\S+$", line):
                i = self.table(lines, i)
                continue
            one = re.match(r"^(\S.*?) {2,}(.*)$", line)
            if one:
                self.values[one[1]] = one[2]
            elif line == "(none)":
                self.tables.append([])
            i += 1

    def table(self, lines, i):
        names = re.split(r" {2,}", lines[i].strip())
        rows = []
        i += 1
        while i < len(lines) and lines[i].strip():
            cells = re.split(r" {2,}", lines[i].strip())
            rows.append(dict(zip(names, cells)))
            assert len(cells) == len(names), lines[i]
            i += 1
        self.tables.append(rows)
        return i


@cli.needs_mount
class Json(cli.Case):
    """Text and JSON are printed from one reply, so they can not differ in
    what they say; what one shows and the other hides would be a bug."""

    # in the object only: for programs, or told by a table as well
    HIDDEN = {"status": {"group"}, "disk list": {"uuid"},
              "extent show": {"disks"}, "plugin list": {"path"}}

    def hidden(self, words):
        return self.HIDDEN.get(" ".join(words[:2]),
                               self.HIDDEN.get(words[0], set()))

    def pair(self, *words):
        """Both at one moment: nothing changed between two equal objects."""
        for _ in range(20):
            before = self.good(*words, "--json").json()
            text = self.good(*words).out
            if self.good(*words, "--json").json() == before:
                return before, text
            time.sleep(0.2)
        self.fail(f"{words}: never twice the same")

    def same(self, *words):
        reply, text = self.pair(*words)
        facts = Facts(text)
        plain = {k: v for k, v in reply.items() if not is_table(v)}
        for title, value in facts.values.items():
            self.assertTrue(any(value in forms(v) for v in plain.values()),
                            f"{words}: {title} {value} is not in {plain}")
        for key, v in plain.items():
            self.assertTrue(key in self.hidden(words) or
                            forms(v) & set(facts.values.values()),
                            f"{words}: {key} {v} is not in\n{text}")
        tables = [v for v in reply.values() if is_table(v)]
        self.assertEqual(len(tables), len(facts.tables), text)
        for rows, shown in zip(tables, facts.tables):
            self.same_rows(words, rows, shown)
        return reply

    def same_rows(self, words, rows, shown):
        self.assertEqual(len(rows), len(shown), words)
        for row, cells in zip(rows, shown):
            can = [forms(v) for v in row.values()]
            for name, cell in cells.items():
                self.assertTrue(cell == "-" or any(cell in f for f in can),
                                f"{words}: {name} {cell} is not in {row}")
            for key, v in row.items():
                self.assertTrue(key in self.hidden(words) or
                                forms(v) & set(cells.values()),
                                f"{words}: {key} {v} is not in {cells}")

    def all_commands(self, pool, extent):
        at = ("--pool", pool)
        self.same("status", *at)
        self.assertEqual(len(self.same("disk", "list", *at)["disks"]), 6)
        self.assertTrue(self.same("extent", "list", *at)["extents"])
        self.assertTrue(self.same("extent", "list", "big", *at)["extents"])
        self.same("extent", "show", extent, *at)
        self.assertTrue(self.same("redundancy", "show", *at)["policies"])
        self.same("config", "check", *at)
        self.assertTrue(self.same("plugin", "list")["plugins"])

    def test_both_forms_of_every_reading_command_have_the_same_facts(self):
        pool = self.make_pool()
        mnt = self.mount(pool)
        data = os.urandom(3 << 20)
        with open(mnt + "/big", "wb") as f:
            f.write(data)
        with open(mnt + "/small", "wb") as f:
            f.write(b"small")
        with open(mnt + "/sparse", "wb") as f:
            f.truncate(5 << 20)
            f.seek(4 << 20)
            f.write(data[:70000])
        self.good("sync", "--pool", pool)
        self.settled(pool)
        rows = self.good("extent", "list", "big", "--pool", pool,
                         "--json").json()["extents"]
        self.assertEqual(sum(r["length_bytes"] for r in rows), len(data))
        self.assertEqual({r["health"] for r in rows}, {"full"})
        extent = rows[0]["extent"]
        self.all_commands(pool, extent)
        shown = self.good("extent", "show", extent, "--pool", pool,
                          "--json").json()
        self.assertEqual(len({f["disk"] for f in shown["fragments"]}), 6)
        self.assertIn("/big", {o["path"] for o in shown["owners"]})
        self.umount(pool)
        with self.subTest("without a daemon"):
            self.all_commands(pool, extent)

    def test_the_listing_is_cut_where_it_was_asked_to_be(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        mnt = self.mount(pool)
        with open(mnt + "/big", "wb") as f:
            f.write(os.urandom(4 << 20))
        self.good("sync", "--pool", pool)
        got = self.good("extent", "list", "--limit", "2", "--pool", pool,
                        "--json").json()
        self.assertEqual(len(got["extents"]), 2)
        self.assertIn("more", got["cut"])
        self.refused(cli.USAGE, r"--limit is 1 to", "extent", "list",
                     "--limit", "0", "--pool", pool)
        self.refused(cli.USAGE, r"32 hexadecimal digits", "extent", "show",
                     "beef", "--pool", pool)
        self.refused(cli.FAILED, r"no such extent", "extent", "show",
                     "0" * 32, "--pool", pool)
        self.refused(cli.FAILED, r"gone", "extent", "list", "gone",
                     "--pool", pool)
        self.umount(pool)


if __name__ == "__main__":
    cli.main()
