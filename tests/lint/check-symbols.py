#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a built plugin shows and keeps.

Shows: one defined dynamic symbol, dynfs_plugin_entry; anything more can be
bound by mistake to somebody else's call.  Keeps: no writable data and no
constructors; a pool may use a plugin many times, and code that runs inside
dlopen runs before anybody looked at what was loaded.  An empty shared object
built with the same flags tells what the tool chain itself brings along.

State of third-party code that is linked in statically is listed in
symbols.allow, with its reason.
"""
import subprocess
import sys

import lintlib

ENTRY = "dynfs_plugin_entry"
WRITABLE = (".data", ".bss", ".tdata", ".tbss", ".init_array", ".fini_array",
            ".preinit_array", ".ctors", ".dtors")


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def exported(path):
    rows = output("nm", "-D", "--defined-only", "--format=posix", path)
    return [row.split()[0] for row in rows.splitlines() if row]


def writable(path):
    """Bytes per writable section, from `size -A`."""
    sizes = dict.fromkeys(WRITABLE, 0)
    for row in output("size", "-A", path).splitlines():
        words = row.split()
        if len(words) == 3 and words[0] in sizes:
            sizes[words[0]] += int(words[1])
    return sizes


def allowances(path, plugin):
    """Lines `kind/name section bytes reason...` of the allow list."""
    allowed = {}
    with open(path) as f:
        for row in f:
            words = row.split("#", 1)[0].split(None, 3)
            if not words:
                continue
            if len(words) < 4 or words[1] not in WRITABLE:
                sys.exit(f"{path}: bad line: {row.rstrip()}")
            if words[0] == plugin:
                allowed[words[1]] = int(words[2])
    return allowed


def main():
    args = lintlib.arguments(
        __doc__, ("plugin", {"help": "kind/name"}), ("file", {}),
        ("--empty", {"required": True, "help": "an empty shared object"}),
        ("--allow", {"default": lintlib.TREE + "/tests/lint/symbols.allow"}))
    good = True
    names = exported(args.file)
    if names != [ENTRY]:
        print(f"{args.plugin}: exports {' '.join(names) or 'nothing'}; "
              f"only {ENTRY} leaves a plugin")
        good = False
    have, base = writable(args.file), writable(args.empty)
    allowed = allowances(args.allow, args.plugin)
    for section in WRITABLE:
        limit = base[section] + allowed.get(section, 0)
        if have[section] > limit:
            print(f"{args.plugin}: {section} is {have[section]} bytes, "
                  f"{limit} at most: no mutable globals, no constructors")
            good = False
    if good:
        print(f"{args.plugin}: one symbol, no state")
    sys.exit(0 if good else 1)


main()
