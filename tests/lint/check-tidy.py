#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over every file of the tree that the build compiles.

A clean file is remembered by the hash of all that its result depends on: the
tool, its .clang-tidy, the command line, its own text and the headers of the tree
below it.  So the second run costs nothing, and a change pays for what it
touched.  (run-clang-tidy has no memory, and takes files of the system too.)
"""
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import lintlib


def closure(root, path, seen):
    """path and every header of the tree that it reaches."""
    if path in seen:
        return
    seen.add(path)
    text = lintlib.read(root, path) or ""
    for _, quoted, name in lintlib.includes(text):
        target = lintlib.resolve(root, path, quoted, name)
        if target:
            closure(root, target, seen)


def units(root, build):
    """Yield (path below root, command) of each C file the build compiles."""
    tree = set(lintlib.tree_files(root))
    with open(os.path.join(build, "compile_commands.json")) as f:
        rows = json.load(f)
    for row in rows:
        full = os.path.join(row["directory"], row["file"])
        path = os.path.relpath(os.path.realpath(full), os.path.realpath(root))
        if path in tree and path.endswith(".c"):
            yield path, row["command"]


def configs(root, path):
    """The .clang-tidy files that hold for path."""
    folder = os.path.dirname(path)
    while True:
        name = os.path.join(folder, ".clang-tidy")
        if os.path.isfile(os.path.join(root, name)):
            yield name
        if not folder:
            return
        folder = os.path.dirname(folder)


def key_of(root, tool_id, path, command):
    seen = set(configs(root, path))
    closure(root, path, seen)
    digest = hashlib.sha256(f"{tool_id}\0{command}\0".encode())
    for name in sorted(seen):
        with open(os.path.join(root, name), "rb") as f:
            digest.update(name.encode() + b"\0" + f.read() + b"\0")
    return digest.hexdigest()


def look(tool, root, build, path):
    run = subprocess.run(
        [tool, "-p", build, "--quiet",
         "--header-filter=^" + re.escape(root) + "/(api|core|plugins|cmd|tests)/",
         os.path.join(root, path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return run.returncode, run.stdout + (run.stderr if run.returncode else "")


def main():
    args = lintlib.arguments(
        __doc__, ("--build", {"required": True}),
        ("--tool", {"default": "clang-tidy"}),
        ("--jobs", {"type": int, "default": 2}))
    tool = shutil.which(args.tool)
    if not tool:
        print(f"no {args.tool} here")
        sys.exit(lintlib.SKIP)
    tool_id = subprocess.run([tool, "--version"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    cache = os.path.join(args.build, "lint", "tidy")
    os.makedirs(cache, exist_ok=True)
    known, todo = 0, {}
    for path, command in units(args.root, args.build):
        mark = os.path.join(cache, key_of(args.root, tool_id, path, command))
        if os.path.exists(mark):
            known += 1
        else:
            todo[path] = mark
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = {pool.submit(look, tool, args.root, args.build, p): p
                for p in sorted(todo)}
        for job in concurrent.futures.as_completed(jobs):
            code, text = job.result()
            if code:
                bad += 1
                print(text, flush=True)
            else:
                open(todo[jobs[job]], "w").close()
    print(f"clang-tidy: {len(todo)} files run, {known} known clean, "
          f"{bad} with findings")
    sys.exit(1 if bad or known + len(todo) == 0 else 0)


main()
