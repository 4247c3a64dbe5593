#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dynfs-conform catches liars: for each lie that liar.c knows, the check that
must fail, and no lie passes.
"""
import json
import subprocess
import sys

LIES = {
    "none": None,
    "wrong-byte": "Up to 12 shards, every loss is undone",
    "last-byte": "Up to 12 shards, every loss is undone",
    "beyond": "encode() leaves data shards and memory beyond them alone",
    "touches-data": "encode() leaves data shards and memory beyond them alone",
    "no-message": "check() agrees with the limits and says why not",
    "loose-check": "check() agrees with the limits and says why not",
    "message": "An instance is made with the defaults, used, and freed whole",
    "leak": "An instance is made with the defaults, used, and freed whole",
    "crash": "Up to 12 shards, every loss is undone",
    "too-few": "Fewer than k shards are refused with a message",
    "bad-limits": "The limits make sense",
    "no-memory": "Whichever allocation fails in create(), it says ENOMEM and "
                 "leaves nothing",
    "shared": "Eight threads do not disturb one another",
}


def failures(tool, plugin, lie):
    run = subprocess.run([tool, plugin, "--json", "--seed", "7", "--set",
                          "lie=" + lie], stdout=subprocess.PIPE, text=True)
    report = json.loads(run.stdout)
    failed = [c["check"] for c in report["checks"] if c["result"] == "fail"]
    if report["failed"] != len(failed) or run.returncode != bool(failed):
        sys.exit(f"{lie}: exit code {run.returncode}, {report['failed']} "
                 f"failed, {len(failed)} listed")
    return failed


def main():
    tool, plugin = sys.argv[1:]
    good = True
    for lie, check in LIES.items():
        failed = failures(tool, plugin, lie)
        caught = check in failed if check else not failed
        print(f"{lie}: {'caught' if check else 'clean'}" if caught else
              f"{lie}: not caught by '{check}', failed were {failed}")
        good = good and caught
    if subprocess.run([tool, "/dev/null"], stderr=subprocess.DEVNULL
                      ).returncode != 2:
        print("what is no plugin does not give exit code 2")
        good = False
    sys.exit(0 if good else 1)


main()
