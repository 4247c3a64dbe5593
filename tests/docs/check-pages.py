#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OPTIONS of a manual page are what the program's own tables say.

A page has the generated lines between two comments,

    .\\" from the table: check-pages.py --write
    .\\" end of the table

and whatever a person wants to add after them.  --write puts the lines there;
without it, a difference fails.  Examples, those of the page and example.conf
beside it, must load as they stand, plugins included.
"""
import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile

BEGIN = '.\\" from the table: check-pages.py --write\n'
END = '.\\" end of the table\n'

# What an example of one part leaves out.
POOL = """pool = {{
	name = "example";
	dir = "{dir}";
	mountpoint = "mnt";
	disks = ( {disks} );
}};
"""


def ask(tables, *words):
    run = subprocess.run([tables, *words], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, errors="replace")
    return run.returncode, run.stdout, run.stderr.strip()


def generated(tables, subject):
    words = ["conf"] if subject == "conf" else ["plugin", subject]
    code, out, err = ask(tables, *words)
    if code:
        sys.exit(f"{subject}: {err}")
    return out


def split(text, page):
    """The text before, between and after the marks."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{page}: OPTIONS lacks the two marks of check-pages.py")
    head, rest = text.split(BEGIN)
    middle, tail = rest.split(END)
    if not re.search(r"^\.Sh OPTIONS\n\Z", head, re.M):
        sys.exit(f"{page}: the first mark is not right below .Sh OPTIONS")
    return head, middle, tail


def examples(text):
    """The literal displays of .Sh EXAMPLES."""
    section = re.search(r"^\.Sh EXAMPLES\n(.*?)(?=^\.Sh )", text,
                        re.M | re.S)
    if not section:
        return []
    return [m.replace("\\e", "\\").replace('\\(dq', '"').replace("\\-", "-")
            for m in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$",
                                section[1], re.M | re.S)]


def whole(example, folder):
    """An example of some keys as a configuration that can be loaded."""
    if re.search(r"^pool\b", example, re.M):
        return example
    disks = ", ".join(f'{{ path = "d{i}"; }}' for i in range(8))
    text = POOL.format(dir=folder, disks=disks) + example
    if "policies" in example and not re.search(r"\bdefault\s*=", example):
        name = re.search(r"policies\s*=\s*{\s*([a-z][a-z0-9-]*)\s*=", example)
        if name:
            text = re.sub(r"policies\s*=\s*{",
                          f'policies = {{ default = "{name[1]}";', text, 1)
    if re.search(r'memory = "\d+[MG]"', example) and "limits" not in example:
        text += 'limits = { memory = "8G"; };\n'
    return text


def load(tables, example, what):
    """What is wrong with an example, as one line, or None."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "example.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(whole(example, folder))
        code, _, err = ask(tables, "load", path)
    return f"{what}: {err.replace(path, 'line')}" if code else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, help="the program")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("subject", help="conf, or KIND/NAME of a plugin")
    parser.add_argument("page")
    args = parser.parse_args()

    with open(args.page, encoding="utf-8") as f:
        text = f.read()
    head, have, tail = split(text, args.page)
    want = generated(args.tables, args.subject)
    if args.write and have != want:
        with open(args.page, "w", encoding="utf-8") as f:
            f.write(head + BEGIN + want + END + tail)
        have = want
    wrong = list(difflib.unified_diff(have.splitlines(), want.splitlines(),
                                      "the page", "the table", lineterm=""))
    if wrong:
        wrong.insert(0, f"{args.page} is stale; --write mends it")

    found = examples(text)
    if not found:
        wrong.append(f"{args.page}: no example")
    for i, example in enumerate(found):
        wrong.append(load(args.tables, example, f"example {i + 1}"))
    beside = os.path.join(os.path.dirname(args.page), "example.conf")
    if args.subject != "conf":
        if os.path.exists(beside):
            with open(beside, encoding="utf-8") as f:
                wrong.append(load(args.tables, f.read(), "example.conf"))
        else:
            wrong.append(f"{beside} is missing")
    wrong = [w for w in wrong if w]
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()
