#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each check finds what it is there to find, and leaves good code alone.

Every test lays a tiny tree in a temporary folder, runs the check as ctest
would and reads its exit code and words.  A check that stopped to look would
pass its own run for ever; here it fails.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import lintlib

HERE = os.path.dirname(os.path.abspath(__file__))
C = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)
        return full

    def run_check(self, check, *args):
        run = subprocess.run(
            [sys.executable, "-B", os.path.join(HERE, check),
             "--root", self.root, *args],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return run.returncode, run.stdout

    def finds(self, words, check, *args):
        code, text = self.run_check(check, *args)
        self.assertEqual(code, 1, text)
        self.assertIn(words, text)

    def passes(self, check, *args):
        code, text = self.run_check(check, *args)
        self.assertEqual(code, 0, text)

    def need(self, tool):
        if not shutil.which(tool):
            self.skipTest(f"no {tool} here")


class Layers(Tree):
    def include(self, path, what, *others):
        for other in others:
            self.put(other, C)
        self.put(path, C + f"#include {what}\n")

    def test_a_module_may_include_what_lies_below_it(self):
        self.include("core/disk/label.c", '"base/fail.h"', "core/base/fail.h")
        self.passes("check-layers.py")

    def test_a_module_may_not_include_what_lies_above_it(self):
        self.include("core/base/buf.c", '"disk/label.h"', "core/disk/label.h")
        self.finds("core/base lies below core/disk", "check-layers.py")

    def test_going_up_by_a_relative_path_is_seen_too(self):
        self.include("core/base/buf.c", '"../disk/label.h"',
                     "core/disk/label.h")
        self.finds("core/base lies below core/disk", "check-layers.py")

    def test_neighbours_do_not_include_each_other(self):
        self.include("core/heat/load.c", '"job/job.h"', "core/job/job.h")
        self.finds("are neighbours", "check-layers.py")

    def test_a_module_without_a_place_is_refused(self):
        self.include("core/misc/x.c", '"base/fail.h"', "core/base/fail.h")
        self.finds("core/misc has no place", "check-layers.py")

    def test_an_include_in_a_comment_is_no_include(self):
        self.put("core/base/a.c", C + '/*\n#include "disk/label.h"\n*/\n')
        self.put("core/disk/label.h", C)
        self.passes("check-layers.py")

    def test_a_plugin_may_include_the_api_its_folder_and_its_kinds_common(self):
        self.put("plugins/placement/a/a.h", C)
        self.put("plugins/placement/common/w.h", C)
        self.put("api/include/dynfs/plugin.h", C)
        self.put("plugins/placement/a/a.c", C + '#include <dynfs/plugin.h>\n'
                 '#include "a.h"\n#include "../common/w.h"\n'
                 '#include <zstd.h>\n')
        self.passes("check-layers.py")

    def test_a_plugin_may_not_include_the_core_in_either_spelling(self):
        for spelling in '"../../../core/base/fail.h"', "<base/fail.h>":
            with self.subTest(spelling):
                self.include("plugins/store/a/a.c", spelling,
                             "core/base/fail.h")
                self.finds("a plugin includes the API only",
                           "check-layers.py")

    def test_a_plugin_may_not_include_another_plugin(self):
        self.include("plugins/store/a/a.c", '"../b/b.h"',
                     "plugins/store/b/b.h")
        self.finds("belongs to another plugin", "check-layers.py")

    def test_wrapped_libraries_stay_where_they_are_wrapped(self):
        for path, header in [("core/pool/a.c", "libconfig.h"),
                             ("core/tree/a.c", "fuse3/fuse_lowlevel.h"),
                             ("cmd/dynfs/a.c", "linux/fuse.h"),
                             ("plugins/export/j/a.c", "jansson.h")]:
            with self.subTest(header):
                self.include(path, f"<{header}>")
                self.finds(path, "check-layers.py")
                os.unlink(os.path.join(self.root, path))

    def test_wrapped_libraries_are_welcome_at_home(self):
        self.include("core/config/a.c", "<libconfig.h>")
        self.include("core/control/a.c", "<jansson.h>")
        self.include("plugins/frontend/fuse/a.c", "<fuse_lowlevel.h>")
        self.include("tests/bench/a.c", "<fuse_lowlevel.h>")
        self.passes("check-layers.py")

    def test_the_api_depends_on_nothing(self):
        self.include("api/include/dynfs/x.h", '"base/fail.h"',
                     "core/base/fail.h")
        self.finds("the API depends on nothing", "check-layers.py")


class Source(Tree):
    def setUp(self):
        super().setUp()
        self.put("api/include/dynfs/plugin.h", C + "struct dynfs_host;\n")

    def finds_in(self, path, text, words):
        self.put(path, text)
        self.finds(words, "check-source.py")

    def test_good_code_is_left_alone(self):
        self.put("core/base/a.c", C + "#include <dynfs/plugin.h>\n"
                 "/* sprintf() would overflow; never exit() here */\n"
                 "static const char *s = \"dynfs_reads printf( atoi(\";\n"
                 "int a_system(struct dynfs_host *h)\n{\n"
                 "\treturn h->os->system(s);\n}\n")
        self.put("tests/run.sh", "#!/bin/sh\n"
                 "# SPDX-License-Identifier: Apache-2.0\n")
        self.passes("check-source.py")

    def test_each_banned_function_is_found(self):
        for name in ("sprintf strcat strcpy strtok gets atoi system").split():
            with self.subTest(name):
                self.finds_in("core/base/a.c",
                              C + f"int a(char *s)\n{{\n\t{name} (s);\n}}\n",
                              f"core/base/a.c:4: {name}( is banned"
                              .replace("(", ""))

    def test_printing_and_leaving_below_cmd_is_found(self):
        for text in ("exit(1)", "abort()", "printf(s)", "fputs(s, stderr)"):
            with self.subTest(text):
                self.finds_in("plugins/store/a/a.c",
                              C + f"int a(void)\n{{\n\t{text};\n}}\n",
                              "nothing below cmd/")

    def test_the_program_itself_may_print(self):
        self.put("cmd/dynfs/a.c", C + "int a(void)\n{\n\tputs(s);\n}\n")
        self.passes("check-source.py")

    def test_the_public_prefix_outside_the_api_is_found(self):
        self.finds_in("core/base/a.c", C + "int dynfs_mine;\n",
                      "dynfs_mine is not of the API")

    def test_notes_to_oneself_are_found(self):
        for word in ("TO" "DO", "FIX" "ME", "X" "XX"):
            with self.subTest(word):
                self.finds_in("cmd/a.c", C + f"/* {word}: later */\n",
                              f"{word}: do it")
        self.finds_in("cmd/a.c", C + "/* for n" "ow */\n", "finish it")

    def test_a_long_file_is_found(self):
        self.finds_in("cmd/a.c", C + "int a;\n" * 700, "701 lines")

    def test_a_long_function_is_found(self):
        self.finds_in("cmd/a.c", C + "int a(void)\n{\n" + "\ta++;\n" * 80 +
                      "}\n", "function of 81 lines")

    def test_a_missing_licence_line_is_found(self):
        for path in "cmd/a.c", "packaging/a.sh", ".ci/run":
            with self.subTest(path):
                self.finds_in(path, "#!/bin/sh\n", f"{path}:1: the first line")

    def test_paths_of_a_workplace_are_found(self):
        for place in "/wo" "rk/main", "/tmp/" "wt/x", "/ho" "me/me", "/ro" "ot/x":
            with self.subTest(place):
                self.finds_in("docs/a.md", f"see {place}\n",
                              "somebody's own place")

    def test_a_path_that_only_ends_like_one_is_no_workplace(self):
        self.put("docs/a.md", "build/wo" "rk/x and ../ro" "ot/x\n")
        self.passes("check-source.py")


class Format(Tree):
    def setUp(self):
        super().setUp()
        self.need("clang-format")
        shutil.copy(os.path.join(lintlib.TREE, ".clang-format"), self.root)

    def test_a_file_as_the_tool_leaves_it_passes(self):
        self.put("a.c", C + "int a(void)\n{\n\treturn 1;\n}\n")
        self.passes("check-format.py")

    def test_a_misformatted_file_is_found(self):
        self.put("a.c", C + "int a(void) {\n  return 1;\n}\n")
        self.finds("a.c:2", "check-format.py")

    def test_a_missing_tool_is_a_skip_and_no_success(self):
        self.put("a.c", C)
        code, _ = self.run_check("check-format.py", "--tool", "no-such-tool")
        self.assertEqual(code, lintlib.SKIP)


class Headers(Tree):
    def header(self, text):
        self.put("api/include/dynfs/a.h", C + text)

    def test_a_plain_header_passes(self):
        self.header("#ifndef A_H\n#define A_H\nstruct a {\n\tint b;\n};\n"
                    "#endif\n")
        self.passes("check-headers.py")

    def test_a_header_that_needs_its_neighbour_is_found(self):
        self.header("uint32_t a(void);\n")
        self.finds("uint32_t", "check-headers.py")

    def test_a_header_without_a_guard_is_found(self):
        self.header("struct a {\n\tint b;\n};\n")
        self.finds("redefinition", "check-headers.py")

    def test_a_gnu_extension_is_found(self):
        self.header("#ifndef A_H\n#define A_H\nstruct a {\n\tint b[0];\n};\n"
                    "#endif\n")
        self.finds("zero-size array", "check-headers.py")

    def test_a_word_that_cxx_keeps_for_itself_is_found(self):
        self.header("#ifndef A_H\n#define A_H\nint a(int class);\n#endif\n")
        self.finds("as c++", "check-headers.py")

    def test_no_header_at_all_is_a_failure(self):
        self.assertEqual(self.run_check("check-headers.py")[0], 1)


class Symbols(Tree):
    ENTRY = C + ("__attribute__((visibility(\"default\"))) const void "
                 "*dynfs_plugin_entry(void);\n"
                 "const void *dynfs_plugin_entry(void)\n{\n\treturn 0;\n}\n")

    def setUp(self):
        super().setUp()
        for tool in "cc", "nm", "size":
            self.need(tool)
        self.empty = self.build("empty", C)
        self.allow = self.put("allow", "# nothing\n")

    def build(self, name, text):
        source = self.put(name + ".c", text)
        output = os.path.join(self.root, name + ".so")
        subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden",
                        "-o", output, source], check=True)
        return output

    def args(self, text):
        return ("check-symbols.py", "kind/a", self.build("a", text),
                "--empty", self.empty, "--allow", self.allow)

    def test_a_plugin_with_one_symbol_and_no_state_passes(self):
        self.passes(*self.args(self.ENTRY))

    def test_a_second_symbol_is_found(self):
        self.finds("only dynfs_plugin_entry leaves", *self.args(
            self.ENTRY + "__attribute__((visibility(\"default\"))) "
            "int leak(void)\n{\n\treturn 1;\n}\n"))

    def test_a_plugin_without_its_entry_is_found(self):
        self.finds("exports nothing", *self.args(C))

    def test_a_mutable_global_is_found(self):
        self.finds(".bss is", *self.args(
            self.ENTRY + "static long n[8];\nlong *a(void);\n"
            "long *a(void)\n{\n\treturn n;\n}\n"))

    def test_an_initialised_global_is_found(self):
        self.finds(".data is", *self.args(
            self.ENTRY + "static long n[8] = { 1 };\nlong *a(void);\n"
            "long *a(void)\n{\n\treturn n;\n}\n"))

    def test_state_per_thread_is_found(self):
        self.finds(".tbss is", *self.args(
            self.ENTRY + "static __thread long n;\nlong *a(void);\n"
            "long *a(void)\n{\n\treturn &n;\n}\n"))

    def test_a_constructor_is_found(self):
        self.finds(".init_array is", *self.args(
            self.ENTRY + "__attribute__((constructor)) static void a(void)"
            "\n{\n}\n"))

    def test_the_allow_list_permits_what_it_names_and_no_more(self):
        state = self.ENTRY + ("static long n[8];\nlong *a(void);\n"
                              "long *a(void)\n{\n\treturn n;\n}\n")
        self.put("allow", "kind/a .bss 96 third party\n")
        self.passes(*self.args(state))
        self.put("allow", "kind/a .bss 8 third party\n")
        self.finds(".bss is", *self.args(state))
        self.put("allow", "kind/b .bss 96 third party\n")
        self.finds(".bss is", *self.args(state))


class Deep(Tree):
    """clang-tidy and cppcheck, and the memory of clean files."""
    BAD = C + "int a(int n);\nint a(int n)\n{\n\tint v[2] = { 0, 0 };\n" \
        "\treturn v[2] + n;\n}\n"
    GOOD = BAD.replace("v[2] +", "v[1] +")

    def tidy(self):
        self.need("clang-tidy")
        shutil.copy(os.path.join(lintlib.TREE, ".clang-tidy"), self.root)
        build = os.path.join(self.root, "build")
        self.put("build/compile_commands.json", '[{"directory": "%s", '
                 '"file": "core/a.c", "command": "cc -c core/a.c"}]'
                 % self.root)
        return "check-tidy.py", "--build", build

    def test_clang_tidy_finds_a_read_past_the_end(self):
        self.put("core/a.c", self.BAD)
        self.finds("array", *self.tidy())

    def test_a_clean_file_is_remembered_until_it_or_its_header_changes(self):
        self.put("core/a.h", C + "#define N 1\n")
        self.put("core/a.c", self.GOOD.replace(
            "int a(int n);", '#include "a.h"\nint a(int n);', 1))
        check = self.tidy()
        self.assertIn("1 files run, 0 known", self.run_check(*check)[1])
        self.assertIn("0 files run, 1 known", self.run_check(*check)[1])
        self.put("core/a.h", C + "#define N 2\n")
        self.assertIn("1 files run, 0 known", self.run_check(*check)[1])
        self.put("core/.clang-tidy", "InheritParentConfig: true\n"
                 "Checks: -cert-err34-c\n")
        self.assertIn("1 files run, 0 known", self.run_check(*check)[1])
        self.assertIn("0 files run, 1 known", self.run_check(*check)[1])

    def test_a_file_with_findings_is_not_remembered(self):
        self.put("core/a.c", self.BAD)
        check = self.tidy()
        self.finds("1 with findings", *check)
        self.finds("1 with findings", *check)

    def test_cppcheck_finds_a_read_past_the_end(self):
        self.need("cppcheck")
        self.put("core/a.c", self.BAD)
        build = os.path.join(self.root, "build")
        self.finds("out of bounds", "check-cppcheck.py", "--build", build)
        self.put("core/a.c", self.GOOD)
        self.passes("check-cppcheck.py", "--build", build)


class Man(Tree):
    PAGE = ('.TH A 1 2024-01-01 dynfs dynfs\n.SH NAME\na \\- b\n'
            '.SH SYNOPSIS\n.B a\n.SH DESCRIPTION\nText.\n'
            '.SH SEE ALSO\n.BR b (1)\n')

    def setUp(self):
        super().setUp()
        self.need("man")

    def test_a_sound_page_passes(self):
        self.passes("check-man.py", self.put("a.1", self.PAGE))

    def test_an_unknown_macro_is_found(self):
        self.finds("NOSUCH", "check-man.py",
                   self.put("a.1", self.PAGE + ".NOSUCH\n"))

    def test_a_missing_section_is_found(self):
        self.finds("no section SEE ALSO", "check-man.py", self.put(
            "a.1", self.PAGE.replace("SEE ALSO", "FILES")))


if __name__ == "__main__":
    unittest.main()
