#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cppcheck over the tree's C files: warnings, performance, portability.

cppcheck keeps its own memory of unchanged files in the build folder.  Tests
are left to clang-tidy: cppcheck follows neither cmocka's assertions nor a
table of test data, and complains about both.  Leaks are not looked for in the
core: cppcheck does not know the attribute behind AUTOFREE; the leak sanitizer
sees real ones.
"""
import os
import shutil
import subprocess
import sys

import lintlib

PARTS = ("api/", "core/", "plugins/", "cmd/")


def main():
    args = lintlib.arguments(
        __doc__, ("--build", {"required": True}),
        ("--tool", {"default": "cppcheck"}))
    tool = shutil.which(args.tool)
    if not tool:
        print(f"no {args.tool} here")
        sys.exit(lintlib.SKIP)
    files = [f for f in lintlib.tree_files(args.root)
             if f.startswith(PARTS) and f.endswith(".c")]
    if not files:
        print("no C file found")
        sys.exit(1)
    cache = os.path.join(args.build, "lint", "cppcheck")
    os.makedirs(cache, exist_ok=True)
    run = subprocess.run(
        [tool, "--quiet", "--enable=warning,performance,portability",
         "--inline-suppr", "--std=c11", "--language=c", "-D_GNU_SOURCE",
         "--suppress=missingIncludeSystem", "--suppress=unknownMacro",
         "--suppress=checkersReport", "--suppress=memleak:core/*",
         "--template={file}:{line}: {severity}: {message} [{id}]",
         "--error-exitcode=1", "-j2", f"--cppcheck-build-dir={cache}",
         "-Icore", "-Iapi/include", "-Itests/support"] + files,
        cwd=args.root)
    print(f"cppcheck: {len(files)} files")
    sys.exit(1 if run.returncode else 0)


main()
