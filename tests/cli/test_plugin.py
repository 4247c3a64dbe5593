#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""plugin list, show and check."""
import os
import shutil

import cli


class Plugin(cli.Case):
    def test_all_that_were_built_are_listed(self):
        rows = self.good("plugin", "list", "--json").json()["plugins"]
        found = {f"{r['kind']}/{r['name']}" for r in rows}
        want = {f"{kind}/{name[:-3]}" for kind in os.listdir(cli.PLUGINS)
                for name in os.listdir(os.path.join(cli.PLUGINS, kind))
                if name.endswith(".so")}
        self.assertTrue(want)
        self.assertEqual(found, want)
        for row in rows:
            self.assertTrue(row["version"], row)
            self.assertTrue(row["summary"], row)

    def test_a_broken_one_is_listed_with_the_reason(self):
        where = self.path("plugins")
        os.makedirs(os.path.join(where, "checksum"), mode=0o755)
        path = os.path.join(where, "checksum", "torn.so")
        shutil.copyfile(os.path.join(cli.PLUGINS, "checksum", "xxh3.so"),
                        path)
        os.truncate(path, 5000)
        got = self.good("plugin", "list", "--json",
                        env={"DYNFS_PLUGIN_DIR": where})
        row, = got.json()["plugins"]
        self.assertEqual((row["kind"], row["name"]), ("checksum", "torn"))
        self.assertIsNone(row["version"])
        self.assertIn("cut short", row["summary"])

    def test_a_folder_without_plugins_lists_none(self):
        got = self.good("plugin", "list",
                        env={"DYNFS_PLUGIN_DIR": self.path("empty")})
        self.assertIn("(none)", got.out)

    def test_show_says_what_there_is_to_know(self):
        text = self.good("plugin", "show", "store/segment").out
        for word in ("store/segment: ", "version: ", "file: /", "threads: ",
                     "options:", "segment-size: size 4M..4G", "counters:"):
            self.assertIn(word, text)
        self.assertEqual(self.good("plugin", "show", "segment").out, text)
        reply = self.good("plugin", "show", "segment", "--json").json()
        self.assertEqual(reply["text"], text)

    def test_show_of_one_that_is_not_there_names_those_that_are(self):
        got = self.dynfs("plugin", "show", "store/paper")
        self.assertNotEqual(got.code, cli.OK)
        self.assertRegex(got.err, r"no plugin store/paper in .*segment")
        self.refused(cli.USAGE, r'no kind of plugin "shop"', "plugin",
                     "show", "shop/paper")
        self.refused(cli.USAGE, r"plugin show wants KIND/NAME", "plugin",
                     "show")

    def test_a_sound_file_passes_the_check(self):
        path = os.path.join(cli.PLUGINS, "checksum", "blake3.so")
        self.assertIn("checksum/blake3", self.good("plugin", "check",
                                                   path).out)
        honest = os.path.join(cli.LIARS, "checksum", "honest.so")
        self.assertIn("checksum/honest", self.good("plugin", "check",
                                                   honest).out)

    def test_every_lie_is_found_by_the_check(self):
        # sound ones, for tests of other things
        sound = {"honest", "parallel", "serial", "long-size", "long-stride",
                 "constructor"}
        n = 0
        for kind in ("checksum", "crash"):
            for name in sorted(os.listdir(os.path.join(cli.LIARS, kind))):
                path = os.path.join(cli.LIARS, kind, name)
                if not name.endswith(".so") or name[:-3] in sound:
                    continue
                n += 1
                with self.subTest(lie=name):
                    got = self.dynfs("plugin", "check", path)
                    self.assertIn(got.code, (cli.FAILED, cli.USAGE), got)
                    self.assertIn(path, got.err, got)
        self.assertGreater(n, 25)

    def test_one_that_crashes_does_so_in_a_process_of_its_own(self):
        for name, why in (("load-crashes", r"crashed with SIG"),
                          ("entry-crashes", r"crashed with SIG"),
                          ("entry-exits", r"ended the program")):
            self.refused(cli.USAGE, why, "plugin", "check",
                         os.path.join(cli.LIARS, "crash", name + ".so"))

    def test_what_is_no_plugin_is_refused(self):
        text = self.write("text.so", "not a plugin\n")
        self.refused(cli.USAGE, r"is not a shared object", "plugin", "check",
                     text)
        got = self.dynfs("plugin", "check", self.path("gone.so"))
        self.assertNotEqual(got.code, cli.OK)
        self.assertIn("gone.so", got.err)
        os.mkdir(self.path("dir.so"))
        self.refused(cli.USAGE, r"is not a regular file", "plugin", "check",
                     self.path("dir.so"))


if __name__ == "__main__":
    cli.main()
