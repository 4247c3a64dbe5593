#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a regular expression can see.

docs/style.md says why each of them is there.  Words that the rules look for
are written here in pieces where they would find themselves.
"""
import re

import lintlib

MAX_LINES = 700
MAX_FUNCTION = 80
LICENCE = "SPDX-License-Identifier: Apache-2.0"

# Not a member of a struct: table->system(...) is somebody's own function.
CALL = r"(?<![\w.>])(?:%s)\s*\("
BANNED = re.compile(CALL % "|".join(
    "sprintf vsprintf strcat strcpy stpcpy strtok gets atoi atol atoll "
    "system popen tmpnam mktemp alloca".split()))
LOUD = re.compile(CALL % "|".join(
    "exit quick_exit abort printf vprintf puts putchar perror "
    "err errx warn warnx".split()) +
    r"|\b(?:std(?:out|err))\b")
OURS = re.compile(r"\b(?:dynfs|DYNFS)_\w+")
LABEL = re.compile(r"\b(?:%s)\b" % "|".join(["TO" "DO", "FIX" "ME", "X" "XX",
                                             "HA" "CK"]))
LATER = re.compile(r"\b(?:for n" r"ow|not (?:yet )?impl" r"emented)\b", re.I)
PRIVATE = re.compile("|".join([
    r"(?<![\w.])/wo" r"rk/", r"/tmp/" r"wt\b", r"(?<![\w.])/ro" r"ot/\w",
    r"(?<![\w.])/ho" r"me/\w", r"\bissue\s+#?\d+", r"\bpull\s+#?\d+\b"]))
FENCE = re.compile(r"^\s*\*?\s*[-=*#]{30,}", re.M)

TEXT = (".c", ".h", ".h.in", ".S", ".sh", ".py", ".md", ".txt", ".cmake",
        ".conf", ".json", ".in", ".yml", ".1", ".3", ".5", ".7", ".8")
SCRIPT = (".sh", ".py")


def is_text(path):
    name = path.rsplit("/", 1)[-1]
    return path != "LICENSE" and (path.endswith(TEXT) or "." not in name)


def each(found, path, text, pattern, why):
    for m in pattern.finditer(text):
        found.add(path, lintlib.line_of(text, m.start()),
                  why.format(m[0].rstrip("( \t")))


def check_any(found, path, text):
    """Rules for everything that people read."""
    each(found, path, text, PRIVATE, "'{}' names somebody's own place")
    each(found, path, text, LABEL, "{}: do it, or leave it out")
    lines = text.count("\n")
    code = lintlib.is_c(path) or path.endswith(SCRIPT)
    if code and lines > MAX_LINES:
        found.add(path, lines, f"{lines} lines, {MAX_LINES} at most: split")
    script = path.endswith(SCRIPT) or text.startswith("#!")
    if (lintlib.is_c(path) or script) and \
            LICENCE not in "\n".join(text.split("\n", 2)[:2]):
        found.add(path, 1, f"the first line is not {LICENCE}")


def check_functions(found, path, code):
    start = 0
    for number, line in enumerate(code.split("\n"), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start > MAX_FUNCTION:
                found.add(path, start, f"function of {number - start} lines, "
                          f"{MAX_FUNCTION} at most")
            start = 0


def below_cmd(path):
    """Code that runs inside somebody else's process, so that keeps quiet."""
    name = path.rsplit("/", 1)[-1]
    return path.startswith(("core/", "plugins/")) and \
        not name.startswith("test")


def check_c(found, path, text, api_names):
    code = lintlib.code_only(text)
    each(found, path, code, BANNED, "{} is banned")
    each(found, path, text, LATER, "'{}': finish it, or leave it out")
    each(found, path, text, FENCE, "a banner; one blank line does it")
    check_functions(found, path, code)
    if below_cmd(path):
        each(found, path, code, LOUD, "{}: nothing below cmd/ prints or exits")
    if path.startswith("api/"):
        return
    code = re.sub(r"^[ \t]*#[ \t]*include[^\n]*", "", code, flags=re.M)
    for m in OURS.finditer(code):
        if m[0] not in api_names:
            found.add(path, lintlib.line_of(code, m.start()),
                      f"{m[0]} is not of the API, so must not be called so")


def main():
    args = lintlib.arguments(__doc__)
    files = lintlib.tree_files(args.root)
    api_names = set()
    for path in files:
        if path.startswith("api/include/"):
            api_names.update(OURS.findall(
                lintlib.code_only(lintlib.read(args.root, path) or "")))
    found = lintlib.Findings()
    for path in files:
        text = lintlib.read(args.root, path) if is_text(path) else None
        if text is None:
            continue
        check_any(found, path, text)
        if lintlib.is_c(path):
            check_c(found, path, text, api_names)
    found.finish("source")


main()
