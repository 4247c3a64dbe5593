#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""report.py WORK OUT COMMAND: the figures of run.sh as tables.

WORK/figures has a line for each measurement (place, round, row, system, rate
or "-", load before it), WORK/memory one for each life of dynfs (place, KiB at
most), WORK/scale what run.sh found with many files, WORK/facts what the
machine is; account.md beside this file is written by hand.  Prints the tables
and writes them to OUT.

A round of a row counts only if the control was as fast as usual in it: within
20 % of the row's median.  The control is the plain folder; on RAM disks, where
that is done in an instant, the pass-through.  Ratios are of medians over the rounds that
count.
"""
import datetime
import os
import re
import statistics
import sys

from targets import MOVED, Figures, memory_targets, scale_targets, targets

ROWS = {
    "seq-write": ("sequential write, 1 MiB, fsync at the end", "MiB/s"),
    "seq-read": ("sequential read, cold", "MiB/s"),
    "degraded": ("sequential read, two disks gone", "MiB/s"),
    "reread": ("sequential read, cached", "MiB/s"),
    "rand-read": ("random 4 KiB read, cold", "ops/s"),
    "rand-write": ("random 4 KiB overwrite, fsync at the end", "ops/s"),
    "par-write": ("4 writers, a file each, fsync at the end", "MiB/s"),
    "par-read": ("4 readers, a file each, cold", "MiB/s"),
    "fsync-write": ("4 KiB append and fsync, each", "ops/s"),
    "create": ("create 4 KiB files", "files/s"),
    "stat": ("stat, cold, random order", "files/s"),
    "read": ("read 4 KiB files, cold, random order", "files/s"),
    "unlink": ("unlink", "files/s"),
    "untar": ("untar of a source tree", "files/s"),
    "git-clone": ("git clone of the tree", "files/s"),
    "git-status": ("git status in the clone, cold", "files/s"),
    "sqlite": ("sqlite inserts, WAL, a transaction each", "ops/s"),
}
SYSTEMS = {
    "dynfs": "dynfs 4+2",
    "gluster": "GlusterFS 4+2",
    "mergerfs": "mergerfs",
    "pass": "pass-through",
    "plain": "plain",
}
PLACES = {"ssd": "On the SSD", "ram": "On RAM disks"}


def read_pairs(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("=", 1) for line in f)


def read_figures(work):
    """{place: {row: {round: {system: rate or None}}}}, and all loads."""
    places, loads = {}, []
    with open(work + "/figures", encoding="utf-8") as f:
        for line in f:
            place, turn, row, system, rate, load = line.split()
            rows = places.setdefault(place, {})
            rows.setdefault(row, {}).setdefault(int(turn), {})[system] = (
                None if rate == "-" else float(rate)
            )
            loads.append(float(load))
    return places, loads


def read_memory(work):
    """KiB at most over all lives of the daemon: {place: KiB}."""
    most = {}
    with open(work + "/memory", encoding="utf-8") as f:
        for line in f:
            place, kib = line.split()
            most[place] = max(most.get(place, 0), int(kib))
    return most


def control_of(place, rounds):
    with_pass = any(r.get("pass") for r in rounds.values())
    return "pass" if place == "ram" and with_pass else "plain"


def judge_control(place, rounds):
    """(rounds that count, spread of the control, rounds that do not)"""
    name = control_of(place, rounds)
    control = {n: r[name] for n, r in rounds.items() if r.get(name)}
    if not control:
        return {}, None, sorted(rounds)
    middle = statistics.median(control.values())
    good = {
        n: rounds[n]
        for n, rate in control.items()
        if abs(rate - middle) <= MOVED * middle
    }
    spread = (max(control.values()) - min(control.values())) / middle
    return good, spread, sorted(set(rounds) - set(good))


def medians(rounds):
    """A system that failed in one round that counts has no figure."""
    found = {}
    for system in {s for r in rounds.values() for s in r}:
        rates = [r.get(system) for r in rounds.values()]
        if rates and all(rates):
            found[system] = statistics.median(rates)
    return found


def number(rate):
    if rate is None:
        return "-"
    if rate >= 100:
        return f"{rate:,.0f}"
    return f"{rate:.1f}" if rate >= 10 else f"{rate:.2f}"


def ratio(a, b):
    return f"{a / b:.2f}" if a and b else "-"


def table(head, lines, numbers_from=1):
    out = ["| " + " | ".join(head) + " |"]
    rules = ["---"] * numbers_from + ["---:"] * (len(head) - numbers_from)
    out.append("|" + "|".join(rules) + "|")
    out += ["| " + " | ".join(line) + " |" for line in lines]
    return out


def place_tables(place, rows):
    """What was found in one place, and {row: medians} of it."""
    rates, ratios, dropped, found = [], [], [], {}
    for row, (title, unit) in ROWS.items():
        if row not in rows:
            continue
        good, spread, bad = judge_control(place, rows[row])
        m = found[row] = medians(good)
        own, plain = m.get("dynfs"), m.get("plain")
        moved = "-" if spread is None or len(rows[row]) < 2 else f"{spread:.0%}"
        rates.append([title, unit] + [number(m.get(s)) for s in SYSTEMS])
        ratios.append(
            [
                title,
                *(ratio(own, m.get(s)) for s in ("gluster", "mergerfs", "pass")),
                ratio(own, plain / 1.5 if plain else None),
                moved,
            ]
        )
        if bad:
            dropped.append(f"{row}: " + ", ".join(map(str, bad)))
    lines = table(["row", "unit", *SYSTEMS.values()], rates, 2) + [""]
    lines += table(
        [
            "dynfs to",
            "GlusterFS",
            "mergerfs",
            "pass-through",
            "plain/1.5",
            "control moved",
        ],
        ratios,
    )
    lines += ["", "Rounds that do not count: " + ("; ".join(dropped) or "none") + "."]
    return lines, found


def target_table(judged):
    if not judged:
        return ["Nothing that has a target was measured."]
    return table(
        ["where", "row", "wanted", "is", ""],
        [[t.where, t.row, t.wanted, t.found, t.verdict] for t in judged],
        5,
    )


def how_sure(facts, places, loads):
    """What a reader has to know before believing any of it."""
    rounds = int(facts["rounds"])
    before = float(facts["load_before"].split()[0])
    lines = [f"Load average: {before:.1f} before all; {facts['cpus']} CPUs."]
    if loads:
        lines[0] += (
            f" {min(loads):.1f} to {max(loads):.1f} before the single "
            "measurements, which is the load of those before them, too."
        )
    if before > float(facts["cpus"]) * 0.75:
        lines.append(
            "**The machine was busy with other things. No rate holds, and "
            "ratios only roughly: a system of many processes, as GlusterFS "
            "is, suffers more from the company than a folder does.**"
        )
    if places and rounds < 3:
        lines.append(
            f"**{rounds} round{'s' * (rounds > 1)}: what moved by chance "
            "cannot be told from what did not.**"
        )
    return lines


def scale_table(scale):
    if "files" not in scale:
        return []
    many = int(scale["files"])
    marks = [f"at {many // n:,}" for n in (100, 10, 1)]
    rates = [
        [name] + [number(float(r)) for r in scale[key].split()]
        for key, name in (
            ("grow", "files of 16 KiB, 1000 a folder"),
            ("one_folder", "files of 4 KiB, one folder"),
        )
        if key in scale
    ]
    mib = [
        [text, f"{int(scale[key]) / 1024:,.0f} MiB"]
        for key, text in (
            ("rss_made", "resident, when all were made"),
            ("rss_mounted", "resident, mounted afresh"),
            ("rss_known", "resident, when each was looked at"),
            ("rss_forgotten", "resident, the kernel's caches dropped"),
        )
        if key in scale
    ]
    rest = [
        [text, f"{number(float(scale[key]))} {unit}"]
        for key, text, unit in (
            ("mount", "mount, until a folder answers, cold", "s"),
            ("stat", "stat of each, random order", "files/s"),
            ("index", "index, on one disk", "bytes a file"),
            ("checkpoint", "checkpoint, on one disk", "bytes a file"),
            ("both", "both, what is linked once", "bytes a file"),
        )
        if key in scale
    ]
    return [
        f"## {many:,} files",
        "",
        "dynfs on the SSD, names of 20 bytes. Creates per second in the last "
        "tenth before each mark, for the first in the last half.",
        "",
        *table(["files/s", *marks], rates),
        "",
        *table([f"with {many:,} files of 16 KiB", ""], rest + mib),
        "",
    ]


def encode(work):
    """What bench_encode printed, as a table."""
    with open(work + "/encode", encoding="utf-8") as f:
        found = re.findall(
            r"4\+2, (\w+) +store (\w+) +([\d.]+) GB/s per core", f.read()
        )
    return table(["checksum", "store", "GB/s per core"], [list(r) for r in found], 2)


def head(facts, command):
    today = datetime.date.today().isoformat()
    versions = "; ".join(facts.get(s, "") for s in SYSTEMS if facts.get(s))
    return [
        "# Performance",
        "",
        f"Made by `{command.strip()}`; do not edit. The account of the time is "
        "`tests/bench/account.md`.",
        "",
        f"- {today}, {facts['cpu']} ({facts['cpus']} CPUs, "
        f"{facts['memory']}), Linux {facts['kernel']}",
        f"- SSD: {facts['device']}; RAM disks: tmpfs, touched before; all "
        "systems lie on it, six folders each for six disks",
        f"- {versions}",
        f"- {facts['sizes']}; for GlusterFS {facts['small']}, since they "
        "would take it hours",
        f"- rounds: {facts['rounds']}, of which medians; within each row the "
        "systems take turns; one thread where nothing else is said",
        "",
    ]


EXPLAINED = [
    "## Without disks",
    "",
    "Encode 4+2, sum and place extents of 1 MiB and hand them to a store: "
    "`mem` copies 1.5 bytes into memory for each of content, `sink` takes "
    "and keeps nothing. Content per second of processor time.",
    "",
]
MEASURED = [
    "## What is measured",
    "",
    "*Plain* is a folder on the same device, without FUSE. It keeps content "
    "once and dynfs and GlusterFS 1.5 times, so plain/1.5 is what the device "
    "leaves to them.",
    "",
    "The *pass-through* (`tests/bench/passthrough.c`) hands each request to a "
    "plain folder, mounted with the options, capabilities, time-outs and "
    "threads of the frontend: the ceiling that FUSE sets.",
    "",
    "A round of a row in which the control was more than 20 % off its median "
    "of that row does not count. The control is plain; on RAM disks, where "
    "plain is done in an instant, the pass-through.",
    "",
    "The device bounds a row when five times GlusterFS would be more than "
    "plain/1.5. The yardstick of synced writes is 4 KiB written to as many "
    "files on the device as the log has copies, by a thread each, and "
    "fdatasync of all at once: files that were written before, so that no "
    "journal is in the way.",
    "",
    "Cold means: the file system mounted afresh (dynfs, mergerfs and the "
    "pass-through: daemon and all; GlusterFS: its client, while its bricks go "
    "on running with what they keep in memory) and the kernel's caches "
    "dropped; what the device, or a host below it, keeps stays. Nothing but "
    "what a row's name says is synced. mergerfs keeps each file once, on one "
    "of the folders by chance. Two disks gone: dynfs is mounted without two of "
    "its folders, of GlusterFS two brick processes are killed.",
]


def main():
    work, out, command = sys.argv[1:4]
    here = os.path.dirname(os.path.abspath(__file__))
    facts = read_pairs(work + "/facts")
    scale = read_pairs(work + "/scale")
    places, loads = read_figures(work)
    sections, found = [], {}
    for place, title in PLACES.items():
        if place in places:
            lines, found[place] = place_tables(place, places[place])
            sections += [f"## {title}", "", *lines, ""]
    names = {row: title for row, (title, _) in ROWS.items()}
    judged = targets(Figures(found, names, int(facts["copies"])))
    judged += scale_targets(scale)
    judged += memory_targets(read_memory(work), facts["bound"])
    body = [
        *how_sure(facts, places, loads),
        "",
        "## Targets",
        "",
        *target_table(judged),
        "",
        *sections,
        *scale_table(scale),
    ]
    print("\n".join(body))
    with open(here + "/account.md", encoding="utf-8") as f:
        account = f.read().rstrip("\n").split("\n")
    lines = head(facts, command) + body + account + [""]
    lines += EXPLAINED + encode(work) + [""] + MEASURED
    with open(out, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
