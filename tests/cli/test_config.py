#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""config check and show: sound files pass, and what is wrong is said with
file and line."""
import os
import re
import shutil

import cli


class Config(cli.Case):
    def spoiled(self, old, new):
        """The sound configuration with one change; its path and line."""
        self.assertIn(old, cli.SOUND)
        text = cli.SOUND.replace(old, new, 1)
        line = text[:text.index(new)].count("\n") + 1 if new else 0
        return self.write("pool.conf", text), line

    def wrong(self, old, new, why, line=None):
        path, at = self.spoiled(old, new)
        place = f"{path}:{line or at}: " if line != 0 else path
        got = self.refused(cli.USAGE, why, "config", "check", path)
        self.assertIn(place, got.err, got)
        # the daemon says the same, and makes nothing
        ran = self.dynfs("run", "-c", path)
        self.assertEqual(ran.code, cli.USAGE, ran)
        self.assertIn(place, ran.err, ran)
        self.assertFalse(os.path.exists(self.path("d1")))
        return got

    def test_a_sound_file_is_sound_however_it_is_named(self):
        path = self.write("pool.conf", cli.SOUND)
        for words in ((path,), ("-c", path), ("--pool", self.dir),
                      ("pool.conf",)):
            got = self.good("config", "check", *words)
            self.assertRegex(got.out, r"Config +sound")
            self.assertRegex(got.out, r"Disks +6")
        reply = self.good("config", "check", path, "--json").json()
        self.assertEqual(reply["result"], "sound")
        self.assertEqual(reply["disks"], 6)
        self.assertEqual(reply["file"], path)

    def test_the_samples_are_sound(self):
        top = os.environ["DYNFS_CONFIGS"]
        samples = [f for f in os.listdir(top) if f.endswith(".conf")]
        self.assertTrue(samples)
        for name in samples:
            self.good("config", "check", os.path.join(top, name))

    def test_an_unknown_key_is_named_with_a_likely_one(self):
        self.wrong('mountpoint = "mnt"', 'mountpiont = "mnt"',
                   r"pool has no key mountpiont; did you mean mountpoint\?")
        self.wrong("k = 4;", "kk = 4;", r"ec42 has no key kk")
        self.wrong("policies = {", 'polices = {};\npolicies = {',
                   r"no key polices; did you mean policies\?")

    def test_a_wrong_type_says_what_was_expected(self):
        self.wrong("k = 4;", 'k = "four";', r"k: expected integer.*four")
        self.wrong('name = "sound"', "name = 7", r"name: expected .*got 7")
        self.wrong('mountpoint = "mnt"', 'mountpoint = ( "mnt" )',
                   r"mountpoint: expected path, got a list")

    def test_a_value_out_of_range_says_the_range(self):
        self.wrong("k = 4;", "k = 400;", r"k: expected integer 0\.\.32")
        self.wrong('name = "sound";',
                   'name = "sound";\n\textent-size = "1K";',
                   r"extent-size: expected size 64K\.\.16M", line=3)
        self.wrong('name = "sound";',
                   'name = "sound";\n\textent-size = "1000K";',
                   r"extent-size: expected .*a power of two", line=3)

    def test_a_syntax_error_has_its_line(self):
        self.wrong("policies = {", "policies = = {", r"syntax error")

    def test_a_policy_that_is_not_there_is_named(self):
        self.wrong('default = "ec42"', 'default = "ec24"',
                   r"no policy ec24", line=0)
        self.wrong("k = 4; m = 2;", "k = 4; m = 2; copies = 3;",
                   r"policy ec42: expected either copies, or k and m")
        self.wrong("k = 4; m = 2;", "k = 30; m = 3;",
                   r"k \+ m of 32 or less")

    def test_disks_that_meet_are_named(self):
        self.wrong('path = "d2"', 'path = "d1"', r"d1 is also another disk")
        self.wrong('path = "d2"', 'path = "d1/below"',
                   r"d1/below lies inside another disk")
        self.wrong('path = "d2"', 'path = "mnt/d2"',
                   r"lies inside the mountpoint")
        self.wrong('path = "d2"', 'path = "."', r"holds")

    def test_a_missing_plugin_is_named_with_those_there_are(self):
        self.wrong("k = 4; m = 2;",
                   'k = 4; m = 2; redundancy = "paper";',
                   r"no plugin redundancy/paper in .*(erasure|replica), (erasure|replica)")

    def test_an_option_of_a_plugin_is_checked(self):
        path = self.write("pool.conf", cli.SOUND +
                          'store = { plugin = "segment"; segment-syze = 1; '
                          "};\n")
        got = self.refused(cli.USAGE, r"plugin store/segment has no option "
                           r"segment-syze; did you mean segment-size\?",
                           "config", "check", path)
        self.assertIn(f"{path}:13: ", got.err)
        path = self.write("pool.conf", cli.SOUND +
                          'store = { plugin = "segment"; open-segments = 99; '
                          "};\n")
        self.refused(cli.USAGE, r"open-segments .*expected integer 1\.\.16",
                     "config", "check", path)

    def test_a_policy_that_its_plugin_can_not_do_is_refused(self):
        self.wrong("k = 4; m = 2;",
                   'k = 4; m = 2; redundancy = "replica";',
                   r"replica")

    def test_set_replaces_a_key_and_is_checked(self):
        path = self.write("pool.conf", cli.SOUND)
        got = self.good("config", "show", path, "--set", "pool.name=other",
                        "--set", "pool.disks.0.limit=4G")
        self.assertIn('name = "other"', got.out)
        self.refused(cli.USAGE, r"--set.*level.*debug", "config", "check",
                     path, "--set", "log.level=loud")
        self.refused(cli.USAGE, r"--set", "config", "check", path, "--set",
                     "nonsense")

    def test_what_show_prints_loads_and_shows_the_same(self):
        path = self.write("pool.conf", cli.SOUND)
        first = self.good("config", "show", path).out
        again = self.write("again.conf", first)
        self.good("config", "check", again)
        self.assertEqual(self.good("config", "show", again).out, first)

    def test_a_file_that_can_not_be_read_is_named(self):
        for name in ("gone.conf", "folder"):
            os.makedirs(self.path("folder"), exist_ok=True)
            got = self.dynfs("config", "check", self.path(name))
            self.assertIn(got.code, (cli.USAGE, cli.NO_POOL), got)
            self.assertIn(self.path(name), got.err)


class Plugins(cli.Case):
    """A configuration is as sound as the plugins that it names."""

    def private(self):
        """A plugin folder of our own, to spoil."""
        where = self.path("plugins")
        shutil.copytree(cli.PLUGINS, where)
        for top, _, files in os.walk(where):
            os.chmod(top, 0o755)
            for name in files:
                os.chmod(os.path.join(top, name), 0o755)
        self.path_env = {"DYNFS_PLUGIN_DIR": where}
        self.conf = self.write("pool.conf", cli.SOUND)
        self.good("config", "check", self.conf, env=self.path_env)
        return where

    def spoil(self, why):
        got = self.refused(cli.USAGE, why, "config", "check", self.conf,
                           env=self.path_env)
        self.assertRegex(got.err, re.escape(self.conf), got)

    def test_one_that_others_may_write_is_refused(self):
        where = self.private()
        cli.others_may_write(os.path.join(where, "store", "segment.so"))
        got = self.dynfs("config", "check", self.conf, env=self.path_env)
        self.assertEqual(got.code, cli.USAGE, got)
        self.assertRegex(got.err, r"segment\.so can be written by others; "
                         r"chmod go-w")

    def test_one_in_a_folder_that_others_may_write_is_refused(self):
        where = self.private()
        cli.others_may_write(os.path.join(where, "store"))
        got = self.dynfs("config", "check", self.conf, env=self.path_env)
        self.assertEqual(got.code, cli.USAGE, got)
        self.assertRegex(got.err, r"folder .*store.* can be written by "
                         r"others")

    def test_one_that_is_cut_short_is_refused_and_crashes_nobody(self):
        where = self.private()
        path = os.path.join(where, "store", "segment.so")
        for size in (0, 10, 64, 4096, os.path.getsize(path) // 2,
                     os.path.getsize(path) - 1):
            shutil.copyfile(os.path.join(cli.PLUGINS, "store", "segment.so"),
                            path)
            os.truncate(path, size)
            with self.subTest(size=size):
                self.spoil(r"segment\.so (is cut short|is not a shared)")

    def test_one_of_another_abi_is_refused(self):
        where = self.private()
        path = os.path.join(where, "checksum", "wrong-major.so")
        shutil.copyfile(os.path.join(cli.LIARS, "checksum",
                                     "wrong-major.so"), path)
        os.chmod(path, 0o755)
        self.write("pool.conf", cli.SOUND.replace(
            "m = 2;", 'm = 2; checksum = "wrong-major";'))
        self.spoil(r"was built for ABI \d+, this program has \d+; build it "
                   r"again")

    def test_one_of_another_kind_is_refused(self):
        where = self.private()
        shutil.copyfile(os.path.join(cli.PLUGINS, "store", "dir.so"),
                        os.path.join(where, "checksum", "dir.so"))
        self.write("pool.conf", cli.SOUND.replace(
            "m = 2;", 'm = 2; checksum = "dir";'))
        self.spoil(r"is a store, not a checksum")


if __name__ == "__main__":
    cli.main()
