# SPDX-License-Identifier: Apache-2.0
"""The order of the suite's soak."""

from __future__ import annotations

from pathlib import Path

from bench.soak_target import shuffled

from dirql.target.cases import Case
from dirql.target.needs import Needs
from dirql.target.suite import plan


def test_each_seed_has_its_own_order_and_machines_stay_together() -> None:
    cases = [Case(Path("a.sys"), ("SPIN-1",), f"case_{at}", Needs(), 0x1000, "a.c", at) for at in range(20)]
    rows = plan(cases, cpus=(2, 4), modes=("mt",))
    first, second = shuffled(rows, 1), shuffled(rows, 2)
    assert first == shuffled(rows, 1)
    assert first != second
    assert sorted(first, key=lambda row: (row[1].id, row[0].id)) == sorted(rows, key=lambda row: (row[1].id, row[0].id))
    assert [row[1] for row in first] == [row[1] for row in second] == [row[1] for row in rows]
