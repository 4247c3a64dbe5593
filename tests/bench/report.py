#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""report.py WORK OUT COMMAND: the figures of run.sh as a table.

WORK/figures has a line for each measurement (round, row, system, rate or "-",
load before it), WORK/facts what the machine is.  Prints the tables and writes
them to OUT.

A round of a row counts only if the plain folder was as fast as usual in it:
within 20 % of the row's median.  Ratios are of medians over the rounds that
count.
"""
import datetime
import re
import statistics
import sys

ROWS = {
    "seq-write": ("sequential write, 1 MiB, fsync at the end", "MiB/s"),
    "seq-read": ("sequential read, cold", "MiB/s"),
    "rand-read": ("random 4 KiB read, cold", "ops/s"),
    "fsync-write": ("4 KiB append and fsync, each", "ops/s"),
    "create": ("create 4 KiB files", "files/s"),
    "stat": ("stat, cold, random order", "files/s"),
    "read": ("read 4 KiB files, cold, random order", "files/s"),
    "unlink": ("unlink", "files/s"),
}
SYSTEMS = {
    "dynfs": "dynfs 4+2",
    "gluster": "GlusterFS 4+2",
    "mergerfs": "mergerfs",
    "ext4": "ext4",
}
MOVED = 0.2  # of the control, beyond which a round does not count
REDUNDANCY = 1.5  # bytes on disk for a byte of content, 4+2
OVER_GLUSTER = 2.0
OF_DEVICE = 0.6


def read_facts(work):
    with open(work + "/facts", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("=", 1) for line in f)


def read_figures(work):
    """{row: {round: {system: rate or None}}}, and all loads."""
    rows, loads = {}, []
    with open(work + "/figures", encoding="utf-8") as f:
        for line in f:
            turn, row, system, rate, load = line.split()
            rows.setdefault(row, {}).setdefault(int(turn), {})[system] = (
                None if rate == "-" else float(rate)
            )
            loads.append(float(load))
    return rows, loads


def judge_control(rounds):
    """(rounds that count, spread of the control, rounds that do not)"""
    control = {n: r["ext4"] for n, r in rounds.items() if r.get("ext4")}
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
    for system in SYSTEMS:
        rates = [r.get(system) for r in rounds.values()]
        if rates and all(rates):
            found[system] = statistics.median(rates)
    return found


def number(rate):
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def ratio(a, b):
    return f"{a / b:.2f}" if a and b else "-"


def target(m):
    """(what is wanted, whether it is so): see the text of the page."""
    own, rival, plain = (m.get(s) for s in ("dynfs", "gluster", "ext4"))
    if not own or not rival or not plain:
        return "-", "not measured"
    limit = plain / REDUNDANCY
    if OVER_GLUSTER * rival <= limit:
        met = own >= OVER_GLUSTER * rival
        return "2 x GlusterFS", "met" if met else "missed"
    met = own > rival and own >= OF_DEVICE * limit
    return "> GlusterFS, 0.6 of ext4/1.5", "met" if met else "missed"


def table(head, lines):
    out = ["| " + " | ".join(head) + " |"]
    out.append("|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|")
    out += ["| " + " | ".join(line) + " |" for line in lines]
    return out


def tables(rows):
    rates, ratios, dropped = [], [], []
    for row, (title, unit) in ROWS.items():
        if row not in rows:
            continue
        good, spread, bad = judge_control(rows[row])
        m = medians(good)
        own, plain = m.get("dynfs"), m.get("ext4")
        rates.append([title, unit] + [number(m.get(s)) for s in SYSTEMS])
        moved = "-" if spread is None or len(rows[row]) < 2 else f"{spread:.0%}"
        ratios.append(
            [
                title,
                ratio(own, m.get("gluster")),
                ratio(own, m.get("mergerfs")),
                ratio(own, plain / REDUNDANCY if plain else None),
                *target(m),
                moved,
            ]
        )
        if bad:
            dropped.append(f"{row}: " + ", ".join(map(str, bad)))
    lines = table(["row", "unit", *SYSTEMS.values()], rates) + [""]
    lines += table(
        [
            "dynfs to",
            "GlusterFS",
            "mergerfs",
            "ext4/1.5",
            "target",
            "is",
            "ext4 moved",
        ],
        ratios,
    )
    lines += ["", "Rounds that do not count: " + ("; ".join(dropped) or "none") + "."]
    return lines


def how_sure(facts, rows, loads):
    """What a reader has to know before believing any of it."""
    rounds = max(len(r) for r in rows.values())
    before = float(facts["load_before"].split()[0])
    lines = [
        f"Load average: {before:.1f} before all, {min(loads):.1f} to "
        f"{max(loads):.1f} before the single measurements, which is the load "
        f"of those before them, too; {facts['cpus']} CPUs."
    ]
    if before > float(facts["cpus"]) * 0.75:
        lines.append(
            "**The machine was busy with other things. No rate holds, and "
            "ratios only roughly: a system of many processes, as GlusterFS "
            "is, suffers more from the company than a folder does.**"
        )
    if rounds < 3:
        lines.append(
            f"**{rounds} round{'s' * (rounds > 1)}: what moved by chance "
            "cannot be told from what did not.**"
        )
    return lines


def encode(work):
    """What bench_encode printed, as a table."""
    with open(work + "/encode", encoding="utf-8") as f:
        found = re.findall(
            r"4\+2, (\w+) +store (\w+) +([\d.]+) GB/s per core", f.read()
        )
    return table(
        ["checksum", "store", "GB/s per core"], [list(row) for row in found]
    )


def page(facts, rows, loads, coded, command):
    today = datetime.date.today().isoformat()
    versions = "; ".join(facts.get(s, "") for s in SYSTEMS if facts.get(s))
    return [
        "# Performance",
        "",
        f"Made by `{command.strip()}`; do not edit.",
        "",
        f"- {today}, {facts['cpu']} ({facts['cpus']} CPUs, "
        f"{facts['memory']}), Linux {facts['kernel']}",
        f"- device: {facts['device']}; all systems lie on it, six folders "
        "each for six disks",
        f"- {versions}",
        f"- {facts['sizes']}; one thread; rounds: {facts['rounds']}, of "
        "which medians; within each row the systems take turns",
        "",
        *how_sure(facts, rows, loads),
        "",
        *tables(rows),
        "",
        "## Without disks",
        "",
        "Encode 4+2, sum and place extents of 1 MiB and hand them to a store: "
        "`mem` copies 1.5 bytes into memory for each of content, `sink` takes "
        "and keeps nothing. Content per second of processor time.",
        "",
        *coded,
        "",
        "## What is measured",
        "",
        "ext4 is a plain folder on the same device: the control. It keeps "
        "content once and dynfs and GlusterFS 1.5 times, so ext4/1.5 is what "
        "the device leaves to them. A round of a row in which ext4 was more "
        "than 20 % off its median of that row does not count.",
        "",
        "Target: at least twice GlusterFS on each row that the device does "
        "not bound. The device bounds a row when twice GlusterFS would be "
        "more than ext4/1.5; there: faster than GlusterFS, and at least 60 % "
        "of ext4/1.5.",
        "",
        "Cold means: the file system mounted afresh (dynfs: daemon and all; "
        "GlusterFS: its client, while its bricks go on running with what "
        "they keep in memory; mergerfs: daemon and all) and the kernel's "
        "caches dropped; what the device, or a host below it, keeps stays. "
        "create and unlink end without a sync on any of the systems. "
        "mergerfs keeps each file once, on one of the folders by chance.",
    ]


def main():
    work, out, command = sys.argv[1:4]
    facts = read_facts(work)
    rows, loads = read_figures(work)
    coded = encode(work)
    lines = page(facts, rows, loads, coded, command)
    print(
        "\n".join(
            how_sure(facts, rows, loads) + [""] + tables(rows) + [""] + coded
        )
    )
    with open(out, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
