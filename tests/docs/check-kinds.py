#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dynfs-KIND(3) names every function of the kind's header, and no other.

With --example, also: the C source in the EXAMPLES of dynfs-plugin(3) compiles
as an author would compile it, and is a plugin that the registry takes.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

STRUCT = r"^struct (dynfs_(?:{kind}_ops|fs_view)) {{\n(.*?)^}};"
MEMBER = r"\(\*(\w+)\)\("
# callbacks of an argument, not of the struct: they follow a comma
CALLBACK = r",\s*\w+ \(\*(\w+)\)\("


def functions(header, kind):
    with open(header, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    found = set()
    for m in re.finditer(STRUCT.format(kind=kind), text, re.M | re.S):
        found |= set(re.findall(MEMBER, m[2])) - set(
            re.findall(CALLBACK, m[2]))
    return found


def named(page):
    """What .It Fn lines of a page are about."""
    with open(page, encoding="utf-8") as f:
        lines = re.findall(r"^\.It (Fn .*)$", f.read(), re.M)
    return {m for line in lines for m in re.findall(r"Fn (\w+)", line)}


def check_kind(root, kind):
    header = os.path.join(root, "api/include/dynfs", kind + ".h")
    page = os.path.join(root, "docs/man", f"dynfs-{kind}.3")
    want, have = functions(header, kind), named(page)
    if not want:
        return [f"{header}: no functions found"]
    return ([f"{page}: {f}() of {header} is missing"
             for f in sorted(want - have)] +
            [f"{page}: there is no {f}() in {header}"
             for f in sorted(have - want)])


def check_example(root, cc, tables):
    page = os.path.join(root, "docs/man/dynfs-plugin.3")
    with open(page, encoding="utf-8") as f:
        text = f.read()
    source = [s for s in re.findall(r"^\.Bd -literal\n(.*?)^\.Ed$", text,
                                    re.M | re.S) if "#include" in s]
    if len(source) != 1:
        return [f"{page}: expected one C source"]
    name = re.search(r'\.name = "([^"]+)"', source[0])[1]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        with open(path + ".c", "w", encoding="utf-8") as f:
            f.write(source[0].replace("\\e", "\\"))
        for command in (
                [cc, "-std=c99", "-Wall", "-Wextra", "-Werror", "-shared",
                 "-fPIC", "-fvisibility=hidden", "-Wl,-z,defs,-z,relro,-z,now",
                 "-I", os.path.join(root, "api/include"),
                 "-o", path + ".so", path + ".c"],
                [tables, "check", path + ".so"]):
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                                 stderr=subprocess.STDOUT, errors="replace")
            if run.returncode:
                return [f"{page}: the example: {run.stdout.strip()}"]
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--example", nargs=2, metavar=("CC", "TABLES"))
    parser.add_argument("kinds", nargs="*")
    args = parser.parse_args()
    wrong = [w for kind in args.kinds for w in check_kind(args.root, kind)]
    if args.example:
        wrong += check_example(args.root, *args.example)
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()
