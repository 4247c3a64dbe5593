#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom.

core/ is a stack: a module sees itself and the modules of the rows before its
own, never a neighbour of its row.  Plugins see the API, the system and their
own folder.  A library that one module wraps is included in that module only,
so that it can be replaced there.
"""
import posixpath
import re

import lintlib

ROWS = [
    ["base"],
    ["registry"],
    ["config"],  # checks what a file says about plugins
    ["disk"],
    ["meta"],
    ["extent"],
    ["file"],
    ["tree"],
    ["heat", "job", "telemetry"],
    ["pool"],
    ["control"],
]
RANK = {name: i for i, row in enumerate(ROWS) for name in row}

# Made by CMake, so no file of the tree: see core/base/version.h.in.
GENERATED = "dynfs_build.h"

WRAPPED = [
    (re.compile(r"libconfig\.h(\+\+)?$"), ("core/config/",), "libconfig"),
    (re.compile(r"(fuse3/|linux/)?(fuse|cuse)[^/]*\.h$"),
     ("plugins/frontend/fuse/", "tests/bench/"), "libfuse"),
    (re.compile(r"jansson[^/]*\.h$"), ("core/control/", "cmd/", "tests/"),
     "jansson"),
]


def place(path):
    """Which part of the house a file is in: (part, module)."""
    words = path.split("/")
    if words[0] == "core":
        return "core", words[1] if len(words) > 2 else ""
    if words[0] == "plugins":
        return "plugins", "/".join(words[1:3])
    return words[0], ""


def core_may(module, part, other):
    if part == "api":
        return None
    if part != "core":
        return f"core does not know {part}/"
    if module not in RANK:
        return f"core/{module} has no place in the order of modules"
    if other not in RANK:
        return f"core/{other} has no place in the order of modules"
    if other == module or RANK[other] < RANK[module]:
        return None
    if RANK[other] == RANK[module]:
        return f"core/{module} and core/{other} are neighbours"
    return f"core/{module} lies below core/{other}"


def plugin_may(module, target, part, other):
    if target.startswith("api/include/dynfs/"):
        return None
    if part != "plugins":
        return f"a plugin includes the API only, not {part}/"
    if other in (module, posixpath.dirname(module) + "/common"):
        return None
    return f"{target} belongs to another plugin"


def target_rule(path, target):
    """Why path must not include the tree's file target, or None."""
    part, module = place(path)
    to_part, to_module = place(target)
    if part == "core":
        return core_may(module, to_part, to_module)
    if part == "plugins":
        return plugin_may(module, target, to_part, to_module)
    if path.startswith("api/conform/") and \
            target.startswith(("tests/support/", "core/base/")):
        return None  # a program: its disks and hosts are the tests'
    if part == "api" and to_part != "api":
        return f"the API depends on nothing, so not on {to_part}/"
    if part == "cmd" and to_part not in ("cmd", "core", "api"):
        return f"cmd does not know {to_part}/"
    return None


def system_rule(path, quoted, name):
    """Why path must not include name, which no file of the tree bears."""
    if name == GENERATED:
        return None if path.startswith(("core/", "cmd/", "tests/")) else \
            f"{name} is for the core and the program"
    for pattern, homes, library in WRAPPED:
        if pattern.match(name) and not path.startswith(homes):
            return f"{library} is included below {' '.join(homes)} only"
    if quoted and path.split("/")[0] in ("api", "core", "plugins", "cmd"):
        return f'"{name}" is no file of the tree; <> for the system\'s'
    return None


def main():
    args = lintlib.arguments(__doc__)
    found = lintlib.Findings()
    for path in lintlib.tree_files(args.root):
        if not lintlib.is_c(path):
            continue
        text = lintlib.read(args.root, path) or ""
        for line, quoted, name in lintlib.includes(text):
            target = lintlib.resolve(args.root, path, quoted, name)
            why = target_rule(path, target) if target else \
                system_rule(path, quoted, name)
            if why:
                found.add(path, line, why)
    found.finish("layers")


main()
