#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does what docs/adding-a-plugin.md says, to the letter: its shell blocks, one
after the other, in an empty folder, with what `cmake --install` lays down.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in "guide", "build", "cmake":
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()
    with open(args.guide) as f:
        blocks = re.findall(r"^```sh\n(.*?)^```", f.read(), re.M | re.S)
    if len(blocks) < 5:
        sys.exit("the guide has lost its commands")
    with tempfile.TemporaryDirectory() as top:
        prefix = os.path.join(top, "prefix")
        away = os.path.join(top, "away")
        os.mkdir(away)
        subprocess.run([args.cmake, "--install", args.build, "--component",
                        "sdk", "--prefix", prefix], check=True,
                       stdout=subprocess.DEVNULL)
        done = subprocess.run(["bash", "-euxc", "\n".join(blocks)], cwd=away,
                              env=dict(os.environ, PREFIX=prefix), text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        print(done.stdout)
        if done.returncode:
            sys.exit(f"the guide ends with exit code {done.returncode}")
        found = [f for _, _, names in os.walk(prefix) for f in names]
        if "parity.so" not in found:
            sys.exit("the plugin was not installed")


main()
