# SPDX-License-Identifier: Apache-2.0
"""What the checks of tests/lint share: which files are the tree, what of a C
file is code, and where an #include leads.

A check is a program: it takes --root, prints one "file:line: why" per finding
and exits 1 when there is one.  Exit code 77 means "could not look" and is
shown by ctest as skipped.  Only the standard library is used, so that a check
runs wherever the tests do.

The C text is not parsed.  Comments and literals are blanked, the rest is
matched by regular expressions: that is wrong for code that hides behind
macros, and right for code that people write and review.
"""
import argparse
import os
import re
import subprocess
import sys

SKIP = 77
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_COMMENT = r"//[^\n]*|/\*.*?\*/"
_LITERAL = r'"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'"
_TOKEN = re.compile(f"(?P<comment>{_COMMENT})|(?P<literal>{_LITERAL})", re.S)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)


def arguments(doc, *extra):
    """Parse --root and whatever else one check takes (name, options)."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--root", default=TREE, help="top of the tree")
    for name, options in extra:
        parser.add_argument(name, **options)
    args = parser.parse_args()
    args.root = os.path.abspath(args.root)
    return args


def _git_files(root):
    if not os.path.exists(os.path.join(root, ".git")):
        return None
    try:
        out = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "-co", "--exclude-standard"],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [f for f in out.stdout.decode(errors="replace").split("\0") if f]


def _walk_files(root):
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders[:] = [d for d in folders if d not in (".git", "build")]
        folders[:] = [d for d in folders if d != "__pycache__"]
        for name in files:
            yield os.path.relpath(os.path.join(folder, name), root)


def tree_files(root):
    """Every file of the tree, sorted, relative to root; no build output."""
    found = _git_files(root)
    if found is None:
        found = _walk_files(root)
    return sorted(f for f in set(found)
                  if os.path.isfile(os.path.join(root, f)))


def is_c(path):
    return path.endswith((".c", ".h", ".h.in"))


def read(root, path):
    """The text of a file, or None when it is not text."""
    with open(os.path.join(root, path), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    return data.decode("utf-8", errors="replace")


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    return _TOKEN.sub(
        lambda m: _blank(m[0]) if m["comment"] else m[0], text)


def code_only(text):
    """text with comments and literals blanked; lines stay where they are."""
    return _TOKEN.sub(lambda m: _blank(m[0]), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def includes(text):
    """Yield (line, quoted, name) for each #include of a C text."""
    clean = without_comments(text)
    for m in _INCLUDE.finditer(clean):
        yield line_of(clean, m.start(1)), m[1] == '"', m[2]


def resolve(root, path, quoted, name):
    """The file of the tree that an include names, or None: a system header."""
    bases = [os.path.dirname(path)] if quoted else []
    for base in bases + ["core", "api/include", "tests/support"]:
        guess = os.path.normpath(os.path.join(base, name))
        if os.path.isfile(os.path.join(root, guess)):
            return guess
    return None


class Findings:
    """Collects what a check found and turns it into its exit code."""

    def __init__(self):
        self.rows = []

    def add(self, path, line, why):
        self.rows.append((path, line, why))

    def finish(self, what):
        for path, line, why in sorted(self.rows):
            print(f"{path}:{line}: {why}")
        if self.rows:
            print(f"{len(self.rows)} findings")
            sys.exit(1)
        print(f"{what}: nothing found")
        sys.exit(0)
