#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every C file is as clang-format leaves it.

The rules are the root's .clang-format.  clang-format's output differs from
version to version; Debian 12's is the one that counts.
"""
import os
import shutil
import subprocess
import sys

import lintlib


def main():
    args = lintlib.arguments(__doc__, ("--tool", {"default": "clang-format"}))
    tool = shutil.which(args.tool)
    if not tool:
        print(f"no {args.tool} here")
        sys.exit(lintlib.SKIP)
    style = os.path.join(args.root, ".clang-format")
    files = [f for f in lintlib.tree_files(args.root)
             if f.endswith((".c", ".h"))]
    if not files:
        print("no C file found")
        sys.exit(1)
    run = subprocess.run([tool, f"--style=file:{style}", "--dry-run",
                          "-Werror", "--ferror-limit=3"] + files,
                         cwd=args.root)
    print(f"{len(files)} files looked at; clang-format -i mends them")
    sys.exit(1 if run.returncode else 0)


main()
