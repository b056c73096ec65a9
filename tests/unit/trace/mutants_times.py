# SPDX-License-Identifier: Apache-2.0
"""Faults of duration: locks held, and DPC and service routines that run, for longer than the guidelines say."""

from __future__ import annotations

import random

from tests.unit.trace.faults import choose, mutant, places
from tests.unit.trace.synth import Run


def _prolonged(run: Run, event: str, by: int, chance: random.Random) -> Run:
    """Let a CPU take longer after a record, which the next one, of the same context, follows at once."""
    rows = run.rows
    at = choose(
        [
            at
            for at in places(run, event)
            if rows[at + 1].cpu == rows[at].cpu and rows[at + 1].event != "InterruptEnter"
        ],
        chance,
    )
    return run.with_rows([row.but(time=row.time + by * (which > at)) for which, row in enumerate(rows)])


@mutant("SPIN-10")
def lock_held_too_long(run: Run, chance: random.Random) -> Run:
    return _prolonged(run, "LockAcquired", 25_001, chance)


@mutant("SPIN-10")
def lock_held_too_long_as_a_reader(run: Run, chance: random.Random) -> Run:
    return _prolonged(run, "LockSharedAcquired", 25_001, chance)


@mutant("DPC-16")
def dpc_too_long(run: Run, chance: random.Random) -> Run:
    return _prolonged(run, "DpcStart", 100_001, chance)


@mutant("INT-TIME")
def service_routine_too_long(run: Run, chance: random.Random) -> Run:
    return _prolonged(run, "IsrEnter", 25_001, chance)
