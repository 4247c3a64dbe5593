#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin builds outside of the tree, from what `cmake --install` lays down:
once with find_package(DynfsPlugin), once with pkg-config; and both refuse
what a plugin must not do, a symbol that nobody defines.
"""
import os
import shlex
import subprocess
import sys
import tempfile

import lintlib

GOOD = """#include <dynfs/plugin.h>

static const struct dynfs_plugin self = { DYNFS_PLUGIN_HEADER,
					  .name = "sample" };

int helper(void);
int helper(void)
{
	return 1;
}

const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	return helper() ? &self : 0;
}
"""
BAD = GOOD.replace("int helper(void)\n{\n\treturn 1;\n}\n", "")
LISTS = """cmake_minimum_required(VERSION 3.16)
project(sample LANGUAGES C)
find_package(DynfsPlugin REQUIRED)
dynfs_plugin(checksum sample SOURCES sample.c)
"""


class Failed(Exception):
    pass


def run(*command, env=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, env=env,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stdout}")
    return done.stdout


def put(folder, name, text):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w") as f:
        f.write(text)


def exports_entry_only(plugin):
    rows = run("nm", "-D", "--defined-only", "--format=posix", plugin)
    names = [row.split()[0] for row in rows.splitlines()]
    if names != ["dynfs_plugin_entry"]:
        raise Failed(f"{plugin} exports {names}")


def by_cmake(args, prefix, folder, source):
    put(folder, "sample.c", source)
    put(folder, "CMakeLists.txt", LISTS)
    build = os.path.join(folder, "build")
    run(args.cmake, "-S", folder, "-B", build, "-DCMAKE_C_COMPILER=" + args.cc,
        "-DCMAKE_PREFIX_PATH=" + prefix)
    run(args.cmake, "--build", build)
    exports_entry_only(os.path.join(build, "lib/dynfs/checksum/sample.so"))
    away = os.path.join(folder, "away")
    run(args.cmake, "--install", build, "--prefix", away)
    found = [f for _, _, files in os.walk(away) for f in files]
    if found != ["sample.so"]:
        raise Failed(f"installed {found}")


def by_pkg_config(args, prefix, folder, source):
    put(folder, "sample.c", source)
    where = next(d for d, _, files in os.walk(prefix) if "dynfs.pc" in files)
    flags = run("pkg-config", "--cflags", "--libs", "dynfs",
                env=dict(os.environ, PKG_CONFIG_PATH=where))
    plugin = os.path.join(folder, "sample.so")
    run(args.cc, os.path.join(folder, "sample.c"), "-o", plugin,
        *shlex.split(flags))
    exports_entry_only(plugin)


def refused(way, *args):
    try:
        way(*args)
    except Failed as e:
        return "helper" in str(e)
    return False


def main():
    args = lintlib.arguments(__doc__, ("--build", {"required": True}),
                             ("--cmake", {"default": "cmake"}),
                             ("--cc", {"default": "cc"}))
    with tempfile.TemporaryDirectory() as top:
        prefix = os.path.join(top, "prefix")
        try:
            run(args.cmake, "--install", args.build, "--component", "sdk",
                "--prefix", prefix)
            for way in by_cmake, by_pkg_config:
                folder = os.path.join(top, way.__name__)
                way(args, prefix, folder + "-good", GOOD)
                if not refused(way, args, prefix, folder + "-bad", BAD):
                    raise Failed(f"{way.__name__}: an undefined symbol links")
        except Failed as e:
            print(e)
            sys.exit(1)
    print("a plugin builds with find_package and with pkg-config")


main()
