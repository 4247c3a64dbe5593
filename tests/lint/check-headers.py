#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each header of the API compiles alone, twice in one file, in pedantic C99
and in C++, with nothing but its folder on the include path.

A plugin's author may use another compiler, another standard and other warning
flags than we do; a header that needs its neighbour, or _GNU_SOURCE, or a GNU
extension, is a bug of ours that only the author would see.
"""
import os
import shlex
import subprocess
import sys
import tempfile

import lintlib

STRICT = ["-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-pedantic",
          "-Werror"]
LANGUAGES = [("c", "-std=c99", "cc"), ("c++", "-std=c++11", "cxx")]


def compile_alone(args, folder, header, language, standard, compiler):
    source = os.path.join(folder, "alone.txt")
    with open(source, "w") as f:
        f.write(f"#include <{header}>\n" * 2 + "extern int not_empty;\n")
    run = subprocess.run(
        shlex.split(compiler) + ["-x", language, standard, *STRICT,
                                 "-I", os.path.join(args.root, "api/include"),
                                 source],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode:
        print(f"{header} as {language} ({standard}):\n{run.stdout}")
    return run.returncode == 0


def main():
    args = lintlib.arguments(__doc__, ("--cc", {"default": "cc"}),
                             ("--cxx", {"default": "c++"}))
    top = "api/include/"
    headers = [f[len(top):] for f in lintlib.tree_files(args.root)
               if f.startswith(top) and f.endswith(".h")]
    good = bool(headers)
    with tempfile.TemporaryDirectory() as folder:
        for header in headers:
            for language, standard, which in LANGUAGES:
                good &= compile_alone(args, folder, header, language,
                                      standard, getattr(args, which))
    print(f"{len(headers)} headers looked at")
    sys.exit(0 if good else 1)


main()
