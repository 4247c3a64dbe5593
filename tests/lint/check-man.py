#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A manual page that man and, where it is installed, mandoc take without a
word of complaint, and that has the sections every page of ours has.
"""
import os
import re
import shutil
import subprocess
import sys

import lintlib

SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"]


def complaints(command, page, may_fail):
    run = subprocess.run(command + [page], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT if may_fail else
                         subprocess.PIPE, text=True, errors="replace",
                         env=dict(os.environ, MANWIDTH="80", LC_ALL="C.UTF-8"))
    text = run.stdout if may_fail else run.stderr
    if run.returncode and not text:
        text = f"{command[0]}: exit code {run.returncode}"
    return text.strip()


def main():
    args = lintlib.arguments(__doc__, ("page", {}))
    page = os.path.abspath(args.page)
    texts, looked = [], False
    if shutil.which("man"):
        looked = True
        texts.append(complaints(["man", "--warnings", "-l", "-Tutf8"], page,
                                False))
    if shutil.which("mandoc"):
        looked = True
        texts.append(complaints(["mandoc", "-Tlint", "-Wwarning"], page, True))
    if not looked:
        print("neither man nor mandoc here")
        sys.exit(lintlib.SKIP)
    source = lintlib.read("/", page) or ""
    for section in SECTIONS:
        if not re.search(rf'^\.S[Hh] "?{section}"?\s*$', source, re.M):
            texts.append(f"no section {section}")
    texts = [t for t in texts if t]
    for text in texts:
        print(text)
    sys.exit(1 if texts else 0)


main()
