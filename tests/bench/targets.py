# SPDX-License-Identifier: Apache-2.0
"""What is wanted of dynfs, and whether the figures of report.py show it."""
import dataclasses

MOVED = 0.2  # of the control, beyond which a round does not count
REDUNDANCY = 1.5  # bytes on disk for a byte of content, 4+2
OVER_GLUSTER = 5.0
OF_DEVICE = 0.85
RAM_CEILING = {  # part of the pass-through's rate
    "seq-write": 0.5,
    "seq-read": 0.7,
    "reread": 0.9,
    "create": 0.7,
    "stat": 0.7,
}
OVER_MERGERFS = ["stat", "create", "unlink", "untar", "read"]
DEGRADED = 0.6  # of the healthy rate
RANDOM_TIMES = 2.0  # the pass-through's time
SYNC_TIMES = 2.0  # the yardstick's time
MOUNT_SECONDS = 2.0
RESIDENT_MIB = 300
BYTES_PER_FILE = 500
GROWTH = 0.2
MANY = 1000000  # files, of which the last four speak
PLACE = {"ssd": "SSD", "ram": "RAM"}
KIB = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}


@dataclasses.dataclass
class Target:
    where: str
    row: str
    wanted: str
    found: str
    met: bool
    full: bool = True  # at the size that the target speaks of

    @property
    def verdict(self):
        word = "met" if self.met else "**missed**"
        return word if self.full else word + ", at this size"


@dataclasses.dataclass
class Figures:
    places: dict  # {place: {row: {system: median}}}
    names: dict  # {row: title}
    copies: int  # of the log

    def rate(self, place, row, system):
        return self.places.get(place, {}).get(row, {}).get(system)


def at_least(where, row, wanted, own, other, part):
    """None where one of them was not measured."""
    if not own or not other:
        return None
    return Target(where, row, wanted, f"{own / other:.2f}", own >= part * other)


def at_most_time(where, row, wanted, own, other, times):
    """Rates in, times compared."""
    if not own or not other:
        return None
    found = f"{other / own:.2f}"
    return Target(where, row, wanted, found, other / own <= times)


def against_gluster(f, row):
    own, rival, plain = (
        f.rate("ssd", row, s) for s in ("dynfs", "gluster", "plain")
    )
    if not rival or not plain:
        return None
    limit = plain / REDUNDANCY
    if OVER_GLUSTER * rival <= limit:
        return at_least(
            "SSD", f.names[row], "5 x GlusterFS", own, rival, OVER_GLUSTER
        )
    wanted = "bound by the device: 0.85 of plain/1.5"
    return at_least("SSD", f.names[row], wanted, own, limit, OF_DEVICE)


def on_ssd(f):
    for row in f.names:
        if row not in ("reread", "degraded"):
            yield against_gluster(f, row)
    for row in OVER_MERGERFS:
        own, other = (f.rate("ssd", row, s) for s in ("dynfs", "mergerfs"))
        yield at_least("SSD", f.names[row], "1 x mergerfs", own, other, 1.0)
    yield at_most_time(
        "SSD",
        f.names["fsync-write"],
        f"at most 2 x the time of {f.copies} fdatasyncs at once",
        f.rate("ssd", "fsync-write", "dynfs"),
        f.rate("ssd", "fsync-write", "yard"),
        SYNC_TIMES,
    )


def on_ram(f):
    for row, part in RAM_CEILING.items():
        own, other = (f.rate("ram", row, s) for s in ("dynfs", "pass"))
        wanted = f"{part:.1f} of the pass-through"
        yield at_least("RAM", f.names[row], wanted, own, other, part)
    yield at_least(
        "RAM",
        f.names["degraded"],
        "0.6 of healthy",
        f.rate("ram", "degraded", "dynfs"),
        f.rate("ram", "seq-read", "dynfs"),
        DEGRADED,
    )


def on_both(f):
    row = "rand-read"
    for place in f.places:
        yield at_most_time(
            PLACE[place],
            f.names[row],
            "at most 2 x the time of the pass-through",
            f.rate(place, row, "dynfs"),
            f.rate(place, row, "pass"),
            RANDOM_TIMES,
        )


def targets(f):
    found = [*on_ssd(f), *on_ram(f), *on_both(f)]
    return [t for t in found if t]


def grown(rates):
    """How much more a create costs at the last mark than at the first."""
    marks = rates.split()
    return float(marks[0]) / float(marks[-1]) - 1


def scale_targets(scale):
    """scale may end early, where dynfs failed."""
    many = int(scale.get("files", 0))
    slower = "at most 20 % more from the first mark to the last"
    wanted = (
        # key, row, wanted, value of what was found, limit, as text
        ("grow", "cost of a create", slower, grown, GROWTH, "{:+.0%}"),
        ("one_folder", "the same in one folder", slower, grown, GROWTH, "{:+.0%}"),
        ("mount", "mount", "2 s", float, MOUNT_SECONDS, "{:.2f} s"),
        (
            "rss_mounted",
            "resident once mounted",
            "300 MiB",
            lambda kib: int(kib) / 1024,
            RESIDENT_MIB,
            "{:.0f} MiB",
        ),
        (
            "both",
            "index and checkpoint on one disk",
            "500 bytes a file",
            int,
            BYTES_PER_FILE,
            "{}",
        ),
    )
    found = []
    for key, row, text, value, limit, form in wanted:
        if key in scale:
            is_now = value(scale[key])
            where = f"{many:,} files"
            met = is_now <= limit
            said = form.format(is_now)
            found.append(Target(where, row, text, said, met, many >= MANY))
    return found


def memory_targets(most, bound):
    """most: {place: KiB}; bound as the config has it."""
    limit = int(bound[:-1]) * KIB[bound[-1]] / 1024
    where = {**PLACE, "scale": "many files"}
    return [
        Target(
            where[place],
            "memory of the daemon at most, all rows",
            f"within the bound of {limit:.0f} MiB",
            f"{kib / 1024:.0f} MiB",
            kib / 1024 <= limit,
        )
        for place, kib in most.items()
    ]
