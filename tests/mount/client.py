# SPDX-License-Identifier: Apache-2.0
"""One call on a file, in a process that can be sent a signal.

    client.py direct|fsync|write PATH

Says "begun" before the call.  SIGINT makes the call fail: ends with 4.  An
error ends with its errno + 100.
"""
import mmap
import os
import signal
import sys


class GaveUp(Exception):
    pass


def give_up(number, frame):
    raise GaveUp


def direct(fd):
    with mmap.mmap(-1, 65536) as page:
        os.preadv(fd, [page], 0)


def fsync(fd):
    os.pwrite(fd, b"x" * 300000, 0)
    print("begun", flush=True)
    os.fsync(fd)


def write(fd):
    at = 0
    while True:
        at += os.pwrite(fd, b"y" * (1 << 20), at)


def main():
    what, path = sys.argv[1:]
    flags = {"direct": os.O_RDONLY | os.O_DIRECT}.get(what, os.O_RDWR)
    fd = os.open(path, flags | os.O_CREAT * (what == "write"), 0o600)
    signal.signal(signal.SIGINT, give_up)
    if what != "fsync":
        print("begun", flush=True)
    try:
        {"direct": direct, "fsync": fsync, "write": write}[what](fd)
    except GaveUp:
        return 4
    except OSError as e:
        return 100 + e.errno
    finally:
        # whatever close says: who gave up does not care
        try:
            os.close(fd)
        except (OSError, GaveUp):
            pass
    return 0


sys.exit(main())
