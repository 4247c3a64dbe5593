#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What report.py makes of figures, and what it must not make of them."""
import unittest

import report
import targets


def figures(ssd=None, ram=None, copies=3):
    places = {"ssd": ssd or {}, "ram": ram or {}}
    names = {row: title for row, (title, _) in report.ROWS.items()}
    return targets.Figures(places, names, copies)


def verdicts(found, row):
    title = report.ROWS[row][0]
    return {t.wanted: t.met for t in found if t.row == title}


class Rounds(unittest.TestCase):
    def test_a_round_in_which_the_control_moved_does_not_count(self):
        rounds = {
            1: {"plain": 100.0, "dynfs": 10.0},
            2: {"plain": 75.0, "dynfs": 99.0},
            3: {"plain": 101.0, "dynfs": 12.0},
        }
        good, spread, bad = report.judge_control("ssd", rounds)
        self.assertEqual(bad, [2])
        self.assertAlmostEqual(spread, 0.26)
        self.assertEqual(report.medians(good)["dynfs"], 11.0)

    def test_a_failure_in_a_round_that_counts_leaves_no_figure(self):
        rounds = {
            1: {"plain": 100.0, "dynfs": 10.0},
            2: {"plain": 100.0, "dynfs": None},
        }
        good, _, _ = report.judge_control("ssd", rounds)
        self.assertNotIn("dynfs", report.medians(good))

    def test_on_ram_disks_the_pass_through_is_the_control(self):
        rounds = {
            1: {"plain": 1.0, "pass": 100.0},
            2: {"plain": 9.0, "pass": 100.0},
            3: {"plain": 5.0, "pass": 50.0},
        }
        self.assertEqual(report.judge_control("ram", rounds)[2], [3])


class Wanted(unittest.TestCase):
    def test_five_times_gluster_where_the_device_leaves_room(self):
        row = {"plain": 1500.0, "gluster": 100.0, "dynfs": 499.0}
        found = verdicts(targets.targets(figures(ssd={"create": row})), "create")
        self.assertEqual(found, {"5 x GlusterFS": False})
        row["dynfs"] = 500.0
        found = verdicts(targets.targets(figures(ssd={"create": row})), "create")
        self.assertEqual(found, {"5 x GlusterFS": True})

    def test_a_part_of_the_device_where_it_leaves_none(self):
        row = {"plain": 600.0, "gluster": 100.0, "dynfs": 339.0}
        found = verdicts(targets.targets(figures(ssd={"create": row})), "create")
        self.assertEqual(list(found.values()), [False])
        row["dynfs"] = 341.0
        found = verdicts(targets.targets(figures(ssd={"create": row})), "create")
        self.assertEqual(list(found.values()), [True])

    def test_times_are_compared_the_other_way_round(self):
        row = {"dynfs": 49.0, "pass": 100.0, "plain": 100.0}
        found = verdicts(
            targets.targets(figures(ram={"rand-read": row})), "rand-read"
        )
        self.assertEqual(list(found.values()), [False])
        row["dynfs"] = 51.0
        found = verdicts(
            targets.targets(figures(ram={"rand-read": row})), "rand-read"
        )
        self.assertEqual(list(found.values()), [True])

    def test_what_was_not_measured_is_not_judged(self):
        row = {"plain": 100.0, "gluster": 1.0}
        self.assertEqual(targets.targets(figures(ssd={"create": row})), [])

    def test_growth_is_of_the_cost_and_fewer_files_are_said(self):
        found = targets.scale_targets({"files": "100000", "grow": "125 110 100"})
        self.assertEqual([t.verdict for t in found], ["**missed**, at this size"])
        found = targets.scale_targets({"files": "1000000", "grow": "119 90 100"})
        self.assertEqual([t.verdict for t in found], ["met"])

    def test_memory_is_held_against_the_bound(self):
        most = {"ssd": 256 * 1024, "ram": 256 * 1024 + 1}
        found = targets.memory_targets(most, "256M")
        self.assertEqual([t.met for t in found], [True, False])


if __name__ == "__main__":
    unittest.main()
