#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What ACLs and extended attributes do, as a transcript.

Run in two directories, on ext4 and on a pool; the transcripts must be equal.
Every case works in a directory of its own and writes down what was answered
and what is there afterwards.  Needs root; acts as other users in children.

    attr_cases.py DIR SEED
"""
import errno
import os
import random
import re
import shutil
import stat
import struct
import subprocess
import sys
import traceback

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
CAPS = "security.capability"
# cap_net_raw+ep, version 2
CAPS_VALUE = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
KERNEL = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
TAGS = {"u": (1, 2), "g": (4, 8), "m": (16, 16), "o": (32, 32)}
CASES = []


def case(f):
    CASES.append(f)
    return f


def say(*words):
    print("   ", *words)


def acl(text):
    """ "u::rw-,u:5:r--,m::rwx" as setxattr(2) wants it."""
    out = struct.pack("<I", 2)
    for entry in text.split(","):
        kind, who, bits = entry.split(":")
        tag = TAGS[kind][1 if who else 0]
        perm = sum(4 >> i for i, c in enumerate(bits) if c != "-")
        out += struct.pack("<HHI", tag, perm, int(who or 0xffffffff))
    return out


def show_acl(value):
    names = {1: "u:", 2: "u:", 4: "g:", 8: "g:", 16: "m:", 32: "o:"}
    out = []
    for at in range(4, len(value), 8):
        tag, perm, who = struct.unpack_from("<HHI", value, at)
        bits = "".join("rwx"[i] if perm & 4 >> i else "-" for i in range(3))
        out.append(names[tag] + ("%d" % who if tag in (2, 8) else "") +
                   ":" + bits)
    return ",".join(out)


def run(what, f, *args, **kw):
    """Call f and write down what came of it."""
    try:
        r = f(*args, **kw)
    except OSError as e:
        say(what, "->", errno.errorcode[e.errno])
        return None
    say(what, "->", "ok" if r is None else r)
    return r


def child(uid, gid, groups, f, umask=None):
    """f in a child that is somebody else; it prints for itself."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if umask is not None:
                os.umask(umask)
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            f()
            sys.stdout.flush()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    if os.waitpid(pid, 0)[1] != 0:
        print("a child failed")
        sys.exit(1)


def tool(*words):
    p = subprocess.run(words, stdout=subprocess.PIPE, check=False,
                       stderr=subprocess.STDOUT, text=True,
                       env=dict(os.environ, LC_ALL="C"))
    say("$", *words, "->", p.returncode)
    for line in p.stdout.splitlines():
        say("   |", line)


def look(path):
    """All that is to be known of path."""
    st = os.lstat(path)
    words = [path, stat.filemode(st.st_mode), st.st_uid, st.st_gid]
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        value = os.getxattr(path, name, follow_symlinks=False)
        if name.startswith("system.posix_acl_"):
            words.append("%s=%s" % (name[-7:], show_acl(value)))
        elif len(value) > 20:
            words.append("%s=%d bytes" % (name, len(value)))
        else:
            words.append("%s=%s" % (name, value.hex()))
    say(*words)


def make(name, mode=0o644, uid=0, gid=0, kind=stat.S_IFREG):
    if kind == stat.S_IFDIR:
        os.mkdir(name)
    else:
        os.mknod(name, kind | 0o600, os.makedev(1, 3)
                 if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0)
    os.chown(name, uid, gid)
    os.chmod(name, mode)
    return name


def changes_ctime(path, f, *args):
    before = os.lstat(path).st_ctime_ns
    for _ in range(200):
        # ext4's clock moves by ticks
        os.utime("tick")
        if os.lstat("tick").st_ctime_ns > before:
            break
    run(f.__name__, f, *args)
    say("ctime", "moved" if os.lstat(path).st_ctime_ns > before else "stays")


# ---- access ACLs -----------------------------------------------------------

@case
def an_acl_that_says_no_more_than_the_mode_is_not_kept():
    f = make("f", 0o600)
    run("set", os.setxattr, f, ACCESS, acl("u::rw-,g::r--,o::r-x"))
    look(f)
    run("set", os.setxattr, f, ACCESS, acl("u::rwx,u:9:rw-,g::r--,m::rwx,o::---"))
    look(f)
    run("set", os.setxattr, f, ACCESS, acl("u::r--,g::---,o::---"))
    look(f)
    # a mask alone is more than the mode
    run("set", os.setxattr, f, ACCESS, acl("u::rw-,g::rwx,m::r--,o::---"))
    look(f)


@case
def chmod_and_acl_keep_in_step():
    f = make("f")
    run("set", os.setxattr, f, ACCESS,
        acl("u::rw-,u:1001:rwx,g::r-x,g:2001:-w-,m::rwx,o::r--"))
    for mode in (0o777, 0o640, 0o000, 0o4711, 0o2070, 0o1777, 0o604):
        run("chmod %o" % mode, os.chmod, f, mode)
        look(f)
    d = make("d", 0o755, kind=stat.S_IFDIR)
    run("set", os.setxattr, d, DEFAULT,
        acl("u::rwx,u:1001:rwx,g::r-x,m::rwx,o::---"))
    run("chmod", os.chmod, d, 0o700)
    look(d)
    run("set", os.setxattr, d, ACCESS, acl("u::rwx,g::r-x,g:7:rwx,m::rwx,o::--x"))
    run("chmod", os.chmod, d, 0o3750)
    look(d)


@case
def acls_go_away():
    f = make("f")
    run("remove none", os.removexattr, f, ACCESS)
    run("set", os.setxattr, f, ACCESS, acl("u::rw-,u:1:rwx,g::r--,m::rwx,o::---"))
    run("remove", os.removexattr, f, ACCESS)
    look(f)
    run("remove again", os.removexattr, f, ACCESS)
    run("set", os.setxattr, f, ACCESS, acl("u::rw-,u:1:rwx,g::r--,m::rwx,o::---"))
    run("set empty", os.setxattr, f, ACCESS, struct.pack("<I", 2))
    look(f)
    run("set empty again", os.setxattr, f, ACCESS, struct.pack("<I", 2))
    run("set nothing", os.setxattr, f, ACCESS, b"")
    d = make("d", 0o755, kind=stat.S_IFDIR)
    run("remove none", os.removexattr, d, DEFAULT)
    run("set", os.setxattr, d, DEFAULT, acl("u::rwx,g::r-x,o::---"))
    look(d)
    run("remove", os.removexattr, d, DEFAULT)
    look(d)
    run("set", os.setxattr, d, DEFAULT, acl("u::rwx,g::r-x,o::---"))
    run("set empty", os.setxattr, d, DEFAULT, struct.pack("<I", 2))
    look(d)


@case
def only_directories_have_defaults_and_links_have_none():
    f = make("f")
    plain = acl("u::rwx,u:3:r--,g::r-x,m::r-x,o::---")
    run("default of a file", os.setxattr, f, DEFAULT, plain)
    run("empty default of a file", os.setxattr, f, DEFAULT,
        struct.pack("<I", 2))
    run("remove", os.removexattr, f, DEFAULT)
    run("get", os.getxattr, f, DEFAULT)
    os.symlink("f", "l")
    for name in (ACCESS, DEFAULT):
        run("link: set", os.setxattr, "l", name, plain, follow_symlinks=False)
        run("link: get", os.getxattr, "l", name, follow_symlinks=False)
        run("link: remove", os.removexattr, "l", name, follow_symlinks=False)
    for kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK):
        n = make("n%o" % kind, kind=kind)
        run("set", os.setxattr, n, ACCESS, plain)
        run("default", os.setxattr, n, DEFAULT, plain)
        look(n)


@case
def hostile_acls_are_refused():
    f = make("f", 0o2755)
    good = acl("u::rw-,u:9:rw-,g::r--,g:9:r--,m::rwx,o::---")
    entry = [good[4 + 8 * i:12 + 8 * i] for i in range(6)]
    head = good[:4]
    bad = {
        "short": good[:3], "cut": good[:-1], "longer": good + b"\0",
        "version 1": struct.pack("<I", 1) + good[4:],
        "version 3": struct.pack("<I", 3) + good[4:],
        "one entry": head + entry[0],
        "no owner": head + b"".join(entry[1:]),
        "no group": head + b"".join(entry[:2] + entry[3:]),
        "no other": head + b"".join(entry[:5]),
        "no mask": head + b"".join(entry[:4] + entry[5:]),
        "two owners": head + entry[0] + good[4:],
        "two masks": head + b"".join(entry[:5] + entry[4:]),
        "two others": good + entry[5],
        "order": head + b"".join(entry[::-1]),
        "user behind group": head + b"".join(
            [entry[0], entry[2], entry[1]] + entry[3:]),
        "permission 8": head + struct.pack("<HHI", 1, 8, 0) + good[12:],
        "tag 0": head + struct.pack("<HHI", 0, 7, 0) + good[12:],
        "tag 3": head + struct.pack("<HHI", 3, 7, 0) + good[12:],
        "no id": head + entry[0] + struct.pack("<HHI", 2, 6, 0xffffffff) +
                 good[20:],
        "zeros": bytes(44),
    }
    for name, value in bad.items():
        run(name, os.setxattr, f, ACCESS, value)
    look(f)
    # an id that does not count may be anything
    odd = head + b"".join([struct.pack("<HHI", 1, 6, 77)] + entry[1:])
    run("odd id", os.setxattr, f, ACCESS, odd)
    look(f)
    say("stored", os.getxattr(f, ACCESS) == good)


# ---- default ACLs ----------------------------------------------------------

def births(where):
    """Everything that can be made in a directory, with several modes."""
    for mode in (0o666, 0o600, 0o777, 0o000, 0o2775, 0o4644):
        n = "%s/f%o" % (where, mode)
        os.close(os.open(n, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
        look(n)
    for mode in (0o777, 0o700, 0o1750):
        n = "%s/d%o" % (where, mode)
        os.mkdir(n, mode)
        look(n)
    os.mknod(where + "/p", stat.S_IFIFO | 0o664)
    os.mknod(where + "/s", stat.S_IFSOCK | 0o777)
    os.mknod(where + "/r", stat.S_IFREG | 0o755)
    os.symlink("to", where + "/l")
    for n in ("p", "s", "r", "l"):
        look(where + "/" + n)


@case
def new_things_take_the_default_acl_or_the_umask():
    defaults = {
        "none": None,
        "plain": "u::rwx,g::r-x,o::r--",
        "tight": "u::r--,g::---,o::---",
        "named": "u::rwx,u:1001:rw-,g::r-x,g:2001:rwx,m::rwx,o::r-x",
        "mask": "u::rwx,g::rwx,m::r--,o::---",
        "masked": "u::rw-,u:1001:rwx,g::rwx,m::--x,o::rwx",
    }
    for name, text in defaults.items():
        for umask in (0, 0o022, 0o077, 0o777):
            d = make("%s-%o" % (name, umask), 0o777, kind=stat.S_IFDIR)
            if text:
                os.setxattr(d, DEFAULT, acl(text))
            child(1001, 1001, [], lambda: births(d), umask)


@case
def defaults_go_on_and_only_to_what_is_new():
    d = make("d", 0o2777, 0, 2001, stat.S_IFDIR)
    os.setxattr(d, DEFAULT, acl("u::rwx,u:1001:rwx,g::r-x,m::rwx,o::---"))
    os.makedirs("d/a/b/c")
    for n in ("d/a", "d/a/b", "d/a/b/c"):
        look(n)
    f = make("f")
    os.rename("f", "d/f")
    look("d/f")
    make("g")
    os.link("g", "d/g")
    look("d/g")
    os.removexattr(d, DEFAULT)
    os.mkdir("d/a/b/x")
    os.mkdir("d/y")
    look("d/a/b/x")
    look("d/y")


# ---- who may what ----------------------------------------------------------

@case
def the_kernel_heeds_what_is_stored():
    make("named", 0o600)
    os.setxattr("named", ACCESS,
                acl("u::rw-,u:1001:r--,g::---,g:2001:rw-,m::rw-,o::---"))
    make("masked", 0o600)
    os.setxattr("masked", ACCESS,
                acl("u::rw-,u:1001:rw-,g::rw-,m::r--,o::---"))
    make("denied", 0o666)
    os.setxattr("denied", ACCESS,
                acl("u::rw-,u:1001:---,g::rw-,m::rw-,o::rw-"))
    make("dir", 0o700, kind=stat.S_IFDIR)
    os.setxattr("dir", ACCESS, acl("u::rwx,u:1001:rwx,g::---,m::rwx,o::---"))

    def tries():
        for n in ("named", "masked", "denied"):
            for how in (os.O_RDONLY, os.O_WRONLY):
                run("%s %d" % (n, how), lambda: os.close(os.open(n, how)))
        run("make", os.mkdir, "dir/x")
        run("unmake", os.rmdir, "dir/x")
    for who in ((1001, 1001, []), (1002, 1002, []), (1002, 1002, [2001]),
                (1002, 2001, []), (1001, 2001, [2001]), (0, 0, [])):
        say("as", *who)
        child(*who, tries)
    # what is cached must not outlive a change
    os.setxattr("named", ACCESS, acl("u::rw-,u:1002:rw-,g::---,m::rw-,o::---"))
    os.chmod("masked", 0o660)
    os.removexattr("denied", ACCESS)
    child(1001, 1001, [], tries)
    child(1002, 1002, [], tries)


@case
def only_the_owner_sets_acls():
    make("f", 0o666, 1001, 1001)
    more = acl("u::rw-,u:5:r--,g::r--,m::r--,o::---")

    def tries():
        run("set", os.setxattr, "f", ACCESS, more)
        run("get", lambda: len(os.getxattr("f", ACCESS)))
        run("remove", os.removexattr, "f", ACCESS)
    for uid in (1002, 1001, 0):
        child(uid, uid, [], tries)


@case
def set_gid_stays_with_who_could_set_it():
    more = acl("u::rwx,u:5:r--,g::r-x,m::r-x,o::---")
    plain = acl("u::rwx,g::r-x,o::--x")
    for kind in (stat.S_IFREG, stat.S_IFDIR):
        for who in ((1001, 1001, []), (1001, 1001, [2001]),
                    (1001, 2001, []), (1001, 1001, [3, 4, 2001, 5]),
                    (0, 0, [])):
            for value in (more, plain):
                n = make("n", 0o6775, 1001, 2001, kind)
                child(*who, lambda: run("set as %s" % (who,), os.setxattr,
                                        n, ACCESS, value))
                look(n)
                child(*who, lambda: run("remove", os.removexattr, n, ACCESS))
                look(n)
                if kind == stat.S_IFDIR:
                    child(*who, lambda: run("default", os.setxattr, n,
                                            DEFAULT, value))
                    look(n)
                    os.rmdir(n)
                else:
                    os.unlink(n)


@case
def acls_survive_chown_and_links():
    f = make("f", 0o6755)
    run("set", os.setxattr, f, ACCESS,
        acl("u::rwx,u:1001:rwx,g::r-x,m::rwx,o::---"))
    run("chown", os.chown, f, 1001, 1001)
    look(f)
    os.link("f", "g")
    run("set", os.setxattr, "g", ACCESS, acl("u::rw-,g::r--,g:5:r--,m::r--,o::---"))
    look("f")
    os.rename("g", "h")
    look("h")


# ---- programs --------------------------------------------------------------

@case
def setfacl_does_the_same():
    make("f")
    make("d", 0o750, kind=stat.S_IFDIR)
    for words in ("-m u:1001:rwx f", "-m g:2001:r,o::- f", "-n -m u:7:rwx f",
                  "-m m::r f", "-x u:1001 f", "-x m: f", "-b f",
                  "-d -m u:1001:rwx d", "-m d:g:5:x,d:o:- d", "-x d:u:1001 d",
                  "--set u::rw,g::r,o::-,u:9:w d", "-k d", "-b d",
                  "-R -m u:1001:rX .", "-d -m u:5:r f", "-m u:x:y f"):
        tool("setfacl", *words.split())
        tool("getfacl", "-n", "f", "d")


@case
def copies_keep_acls():
    d = make("d", 0o2770, 1001, 2001, stat.S_IFDIR)
    os.setxattr(d, DEFAULT, acl("u::rwx,u:1001:rwx,g::r-x,m::rwx,o::---"))
    f = make("d/f", 0o4750, 1001, 1001)
    os.setxattr(f, ACCESS, acl("u::rwx,u:7:rw-,g::r-x,m::rw-,o::---"))
    os.setxattr(f, "user.k", b"v")
    os.setxattr(f, CAPS, CAPS_VALUE)
    tool("cp", "-a", "d", "e")
    look("e")
    look("e/f")
    tool("tar", "--acls", "--xattrs", "--xattrs-include=*", "-cf", "t", "d")
    os.mkdir("x")
    tool("tar", "--acls", "--xattrs", "--xattrs-include=*", "-C", "x", "-xpf",
         "t")
    look("x/d")
    look("x/d/f")
    tool("rsync", "-aAX", "d/", "y/")
    look("y")
    look("y/f")
    tool("mv", "y", "z")
    look("z/f")
    tool("rm", "-r", "d", "e", "x", "z")


# ---- extended attributes ---------------------------------------------------

@case
def name_spaces_are_kept_apart():
    names = ["user.k", "trusted.k", "security.k", "system.k", "system.data",
             "user.", "user", "trusted.", "security.", "foo.k", "k", ".k",
             "USER.k", "user.\u00e9", "user.a b", "user.dyn", CAPS]
    make("f", 0o666)
    make("d", 0o777, kind=stat.S_IFDIR)
    make("sticky", 0o1777, kind=stat.S_IFDIR)
    make("p", 0o666, kind=stat.S_IFIFO)
    make("c", 0o666, kind=stat.S_IFCHR)
    os.symlink("f", "l")

    def tries():
        for path in ("f", "d", "sticky", "p", "c", "l"):
            for name in names:
                run("%s %s set" % (path, name), os.setxattr, path, name,
                    CAPS_VALUE, follow_symlinks=False)
                run("%s %s get" % (path, name), lambda: len(
                    os.getxattr(path, name, follow_symlinks=False)))
            say(sorted(os.listxattr(path, follow_symlinks=False)))
    child(1001, 1001, [], tries)
    child(0, 0, [], tries)
    child(1001, 1001, [], lambda: [
        say(p, sorted(os.listxattr(p, follow_symlinks=False)))
        for p in ("f", "d", "p", "l")])

    def removals():
        for path in ("f", "d", "sticky", "p", "c", "l"):
            for name in names:
                run("%s %s remove" % (path, name), os.removexattr, path, name,
                    follow_symlinks=False)
    child(1001, 1001, [], removals)
    child(0, 0, [], removals)


@case
def flags_and_values():
    f = make("f")
    for value in (b"", b"x", b"\0", bytes(range(256)), b"y" * 3000, b""):
        run("set %d" % len(value), os.setxattr, f, "user.v", value)
        say(os.getxattr(f, "user.v") == value)
    run("create", os.setxattr, f, "user.v", b"1", os.XATTR_CREATE)
    run("replace", os.setxattr, f, "user.v", b"2", os.XATTR_REPLACE)
    run("replace none", os.setxattr, f, "user.w", b"3", os.XATTR_REPLACE)
    run("create new", os.setxattr, f, "user.w", b"4", os.XATTR_CREATE)
    run("both", os.setxattr, f, "user.w", b"5", 3)
    run("both none", os.setxattr, f, "user.x", b"5", 3)
    run("odd flag", os.setxattr, f, "user.w", b"6", 4)
    look(f)
    run("remove", os.removexattr, f, "user.w")
    run("remove again", os.removexattr, f, "user.w")
    look(f)


@case
def lengths():
    f = make("f")
    run("name 255", os.setxattr, f, "user." + "n" * 250, b"1")
    run("name 256", os.setxattr, f, "user." + "n" * 251, b"1")
    run("get 256", os.getxattr, f, "user." + "n" * 251)
    run("remove 256", os.removexattr, f, "user." + "n" * 251)
    run("64 KiB", os.setxattr, f, "user.v", b"v" * 65536)
    run("64 KiB and 1", os.setxattr, f, "user.v", b"v" * 65537)
    say(len(os.getxattr(f, "user.v")))
    look(f)


@case
def ctime_moves_when_attributes_do():
    f = make("f")
    d = make("d", 0o755, kind=stat.S_IFDIR)
    more = acl("u::rw-,u:5:r--,g::r--,m::r--,o::---")
    changes_ctime(f, os.setxattr, f, "user.k", b"v")
    changes_ctime(f, os.setxattr, f, "user.k", b"w")
    changes_ctime(f, os.getxattr, f, "user.k")
    changes_ctime(f, os.listxattr, f)
    changes_ctime(f, os.setxattr, f, "user.k", b"w", os.XATTR_CREATE)
    changes_ctime(f, os.removexattr, f, "user.k")
    changes_ctime(f, os.removexattr, f, "user.k")
    changes_ctime(f, os.setxattr, f, ACCESS, more)
    changes_ctime(f, os.getxattr, f, ACCESS)
    changes_ctime(f, os.removexattr, f, ACCESS)
    changes_ctime(d, os.setxattr, d, DEFAULT, more)
    changes_ctime(d, os.removexattr, d, DEFAULT)
    mtime = os.stat(f).st_mtime_ns
    os.setxattr(f, "user.k", b"v")
    say("mtime", os.stat(f).st_mtime_ns == mtime)


# ---- what writing takes away -----------------------------------------------

def grow(n):
    fd = os.open(n, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"more")
    os.close(fd)


def allocate(n):
    fd = os.open(n, os.O_RDWR)
    os.posix_fallocate(fd, 0, 100)
    os.close(fd)


def copy(n):
    fd = os.open(n, os.O_RDWR)
    os.copy_file_range(fd, fd, 2, 0, 5)
    os.close(fd)


def cut_open(n):
    fd = os.open(n, os.O_RDWR)
    os.ftruncate(fd, 2)
    os.close(fd)


@case
def rights_of_a_program_do_not_outlive_its_content():
    acts = {
        "write": grow,
        "allocate": allocate,
        "copy": copy,
        "truncate": lambda n: os.truncate(n, 3),
        "longer": lambda n: os.truncate(n, 300),
        "ftruncate": cut_open,
        "open and cut": lambda n: os.close(
            os.open(n, os.O_WRONLY | os.O_TRUNC)),
        "chown": lambda n: os.chown(n, 1001, 2001),
        "chown to nobody": lambda n: os.chown(n, -1, -1),
        "chgrp": lambda n: os.chown(n, -1, 1001),
        "chmod": lambda n: os.chmod(n, 0o6777),
        "touch": os.utime,
        "read": lambda n: os.close(os.open(n, os.O_RDONLY)),
    }
    for mode in (0o6755, 0o6777, 0o2767, 0o4711, 0o6666, 0o777):
        for what, act in acts.items():
            for who in ((0, 0, []), (1001, 1001, []), (1001, 1001, [2001])):
                # set-gid that gives no rights, for want of group execution,
                # is dropped for who is not in the group; not so by Linux
                # before 6.2
                if (who[0] and not who[2] and mode & 0o2010 == 0o2000
                        and KERNEL < (6, 2)):
                    continue
                n = make("n", 0o600, 1001, 2001)
                with open(n, "wb") as f:
                    f.write(b"program")
                os.chmod(n, mode)
                # root, who may keep set-user-ID, loses it beside
                # capabilities: how the kernel takes those says too little
                if (who[0] or not mode & 0o6000
                        or what not in ("write", "allocate", "copy")):
                    os.setxattr(n, CAPS, CAPS_VALUE)
                os.setxattr(n, "user.k", b"v")
                child(*who, lambda: run("%o %s as %s" % (mode, what, who),
                                        act, n))
                look(n)
                os.unlink(n)


# ---- random ----------------------------------------------------------------

def any_acl(r):
    def bits():
        return "".join(c if r.random() < .6 else "-" for c in "rwx")
    named = ["u:%d:%s" % (i, bits()) for i in sorted(r.sample(range(9), 2))
             if r.random() < .5]
    groups = ["g:%d:%s" % (i, bits()) for i in sorted(r.sample(range(9), 2))
              if r.random() < .5]
    mask = ["m::" + bits()] if named or groups or r.random() < .3 else []
    return acl(",".join(["u::" + bits()] + named + ["g::" + bits()] + groups +
                        mask + ["o::" + bits()]))


def any_step(r, dirs, files, n):
    path = r.choice(dirs + files)
    what = r.randrange(10)
    if what < 2:
        new = "%s/%d" % (r.choice(dirs), n)
        mode = r.randrange(0o1000)
        os.umask(r.choice((0, 0o22, 0o77)))
        if r.random() < .4:
            run("mkdir %s %o" % (new, mode), os.mkdir, new, mode)
            dirs.append(new)
        else:
            run("create %s %o" % (new, mode), lambda: os.close(
                os.open(new, os.O_CREAT | os.O_WRONLY, mode)))
            files.append(new)
        os.umask(0o22)
        look(new)
        return
    if what < 4:
        mode = r.randrange(0o10000)
        run("chmod %o" % mode, os.chmod, path, mode)
    elif what < 6:
        run("set", os.setxattr, path, ACCESS, any_acl(r))
    elif what < 8:
        run("default", os.setxattr, r.choice(dirs), DEFAULT, any_acl(r))
    elif what < 9:
        run("remove", os.removexattr, path, r.choice((ACCESS, DEFAULT)))
    else:
        run("user", os.setxattr, path, "user.%d" % r.randrange(3), b"v")
    look(path)


@case
def a_thousand_random_steps():
    r = random.Random(int(sys.argv[2]))
    dirs, files = ["."], []
    for n in range(1000):
        any_step(r, dirs, files, n)
    for path in dirs + files:
        look(path)


def main():
    os.umask(0o22)
    os.chdir(sys.argv[1])
    for f in CASES:
        print(f.__name__.replace("_", " "))
        os.mkdir(f.__name__)
        os.chdir(f.__name__)
        os.chmod(".", 0o777)
        make("tick")
        f()
        os.chdir("..")
    # and all of it goes away again
    for f in CASES:
        shutil.rmtree(f.__name__)
    say(os.listdir("."))


main()
