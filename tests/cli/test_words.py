#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Command lines: what is refused and how, help, and whether dynfs(1) and the
program tell the same story."""
import os
import re

import cli

PAGE = os.environ.get("DYNFS_PAGE", "")
# every command takes these; the manual says them once
COMMON = {"config", "pool", "set", "json", "help"}


def options_of_help(text):
    return set(re.findall(r"^  --([a-z-]+)", text, re.M)) - COMMON


def words_of_help(text):
    """What stands for positional arguments, as PATH or [FILE]."""
    usage = re.search(r"^usage: dynfs [a-z ]+\[options\](.*)$", text, re.M)
    return re.findall(r"\[?([A-Z][A-Z/=]*)\]?", usage[1]) if usage else []


def commands_of_page(text):
    """name -> (options, positional words) from the .It lines."""
    found = {}
    for line in re.findall(r"^\.It Cm ([a-z].*)$", text, re.M):
        name = re.match(r"[a-z]+(?: [a-z]+)?(?= |$)", line)[0].strip()
        rest = line[len(name):]
        options = set(re.findall(r"Fl -([a-z-]+)", rest)) - COMMON
        plain = re.sub(r"Fl -[a-z-]+( Ar \S+)?", "", rest)
        found[name] = (options, re.findall(r"Ar (\S+)", plain))
    return found


LATIN = os.fsdecode(b"caf\xe9")  # not UTF-8


class Words(cli.Case):
    def test_json_is_given_whatever_bytes_a_name_has(self):
        pool, disk = self.path(LATIN), self.path(f"{LATIN}-disk")
        got = self.good("init", "--json", "--pool", pool, "--disk", disk)
        self.assertEqual(got.json()["config"],
                         self.path(r"caf\xe9", "pool.conf"), got)
        got = self.refused(cli.NO_POOL, "there is no pool yet", "status",
                           "--json", "--pool", pool)
        self.assertIn(r"caf\xe9", got.json()["error"]["text"], got)
        os.mkdir(disk)
        with open(os.path.join(disk, LATIN), "wb"):
            pass
        got = self.refused(cli.USAGE, "not a text that can be used", "disk",
                           "add", "--json", "--pool", pool, disk)
        self.assertIn(r"caf\xe9", got.json()["error"]["text"], got)

    @cli.needs_mount
    def test_no_disk_is_left_out_for_the_bytes_of_its_path(self):
        pool, disk = self.path("pool"), self.path(LATIN)
        self.good("init", "--pool", pool, "--policy", "replica:2", "--disk",
                  disk, "--disk", self.path("plain"))
        self.mount(pool, "--set", "pool.create=true")
        rows = self.good("disk", "list", "--json", "--pool", pool)
        self.umount(pool)
        self.assertEqual([r["path"] for r in rows.json()["disks"]],
                         [self.path(r"caf\xe9"), self.path("plain")], rows)

    def test_without_a_command_the_overview_is_shown_and_usage_fails(self):
        got = self.dynfs()
        self.assertEqual(got.code, cli.USAGE, got)
        self.assertIn("usage: dynfs COMMAND", got.out)

    def test_help_and_version_succeed_on_stdout(self):
        self.assertIn("usage:", self.good("--help").out)
        self.assertEqual(self.good("--help").out, self.good("-h").out)
        self.assertRegex(self.good("--version").out,
                         r"^dynfs \d+\.\d+\.\d+\n$")

    def test_an_unknown_command_is_named(self):
        self.refused(cli.USAGE, r'no command "frobnicate"', "frobnicate")
        self.refused(cli.USAGE, r'no command "--frobnicate"', "--frobnicate")

    def test_a_word_that_is_nearly_right_is_corrected(self):
        for words, want in (("statsu", "status"), ("disk lst", "disk list"),
                            ("disk-list", "disk list"),
                            ("list-disk", "list-disks"), ("mout", "mount")):
            self.refused(cli.USAGE, rf'no command "{words}"; did you mean '
                         rf"{want}\?", *words.split())
        got = self.refused(cli.USAGE, r'no command "disk frobnicate"; dynfs '
                           r"--help", "disk", "frobnicate", "--pool", "x")
        self.assertEqual(got.out, "")

    def test_help_can_stand_in_front(self):
        for words in ((), ("status",), ("disk", "add"), ("disk",), ("init",),
                      ("add-disk",)):
            self.assertEqual(self.good("help", *words).out,
                             self.good(*words, "--help").out)

    def test_a_group_without_a_command_lists_its_commands(self):
        got = self.dynfs("disk")
        self.assertEqual(got.code, cli.USAGE, got)
        for word in ("disk list", "disk add", "disk fail", "disk label"):
            self.assertIn(word, got.out)
        self.assertEqual(self.dynfs("disk", "--help").code, cli.OK)

    def test_an_unknown_option_is_named(self):
        self.refused(cli.USAGE, r"no option --shiny", "status", "--shiny")
        self.refused(cli.USAGE, r"no option --shiny", "disk", "add",
                     "--shiny", "x")
        for verb in ("umount", "status", "init"):
            for option in ("--readonly", "--force-rollback"):
                self.refused(cli.USAGE, option, verb, option, "--pool", "x")
        self.refused(cli.USAGE, r'dynfs mount: what is "--shiny"', "mount",
                     "--shiny", "--pool", "x")
        self.refused(cli.USAGE, r'what is "--shiny"', "init", "--shiny")

    def test_a_word_too_many_is_named(self):
        self.refused(cli.USAGE, r'what is "more"', "status", "more",
                     "--pool", "x")
        self.refused(cli.USAGE, r'what is "more"', "extent", "list", "a",
                     "more", "--pool", "x")

    def test_a_missing_value_is_asked_for(self):
        self.refused(cli.USAGE, r"--pool wants a value", "status", "--pool")
        self.refused(cli.USAGE, r"-c wants a value", "status", "-c")
        self.refused(cli.USAGE, r"--limit wants SIZE", "disk", "add", "x",
                     "--limit")
        for option in ("--mountpoint", "--log", "--log=", "--pool="):
            self.refused(cli.USAGE, r"wants a value", "mount", option)
        self.refused(cli.USAGE, r"--policy wants a value", "init", "--pool",
                     "x", "--policy")

    def test_a_value_of_the_wrong_type_is_shown(self):
        self.refused(cli.USAGE, r'--limit: "lots" is not a size', "disk",
                     "add", "--limit", "lots", "x", "--pool", "x")
        self.refused(cli.USAGE, r'--limit: "1e3" is not a number', "extent",
                     "list", "--limit=1e3", "--pool", "x")

    def test_a_pool_has_to_be_named_once(self):
        self.refused(cli.USAGE, r"which pool\?", "status")
        self.refused(cli.USAGE, r"which pool\?", "mount")
        self.refused(cli.USAGE, r"twice", "status", "-c", "x", "--pool", "y")

    def test_a_pool_that_is_not_there_is_named_by_its_path(self):
        gone = self.path("gone")
        for words in (("status",), ("disk", "list"), ("mount",), ("run",),
                      ("umount",), ("sync",)):
            self.refused(cli.NO_POOL, re.escape(gone) + "/pool.conf",
                         *words, "--pool", gone)

    def test_errors_are_json_when_asked_for(self):
        got = self.dynfs("status", "--json", "--pool", self.path("gone"))
        self.assertEqual(got.code, cli.NO_POOL)
        self.assertEqual(got.json()["error"]["errno"], "ENOENT")
        self.assertIn("gone", got.json()["error"]["text"])
        self.assertIn(got.json()["error"]["text"], got.err)

    def test_every_command_of_the_overview_has_help(self):
        names = cli.commands_of_help(self.good("--help").out)
        self.assertGreater(len(names), 15)
        for name in names:
            got = self.good(*name.split(), "--help")
            self.assertTrue(got.out.startswith(f"dynfs {name}: "), got)
            self.assertIn(f"usage: dynfs {name}", got.out)
            for word in ("--pool DIR", "--json", "--set KEY=VALUE"):
                self.assertIn(word, got.out, got)

    def test_every_alias_is_the_command_it_stands_for(self):
        seen = 0
        for name in cli.commands_of_help(self.good("--help").out):
            text = self.good(*name.split(), "--help").out
            alias = re.search(r"^Also called: dynfs (\S+)$", text, re.M)
            if alias:
                seen += 1
                self.assertEqual(self.good(alias[1], "--help").out, text)
        self.assertGreater(seen, 8)

    def test_manual_and_help_have_the_same_commands_and_options(self):
        with open(PAGE, encoding="utf-8") as f:
            page = commands_of_page(f.read())
        names = cli.commands_of_help(self.good("--help").out)
        self.assertEqual(sorted(names), sorted(page))
        for name in names:
            text = self.good(*name.split(), "--help").out
            with self.subTest(command=name):
                self.assertEqual(options_of_help(text), page[name][0])
                self.assertEqual(words_of_help(text), page[name][1])


if __name__ == "__main__":
    cli.main()
