# SPDX-License-Identifier: Apache-2.0
"""What it takes to break a correct run: the list of faults, and how to change a run's records."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.unit.trace.synth import Row, Run

NEW_DPC = 0xFFFF_8000_0000_9000
DEVICE_VECTORS = (0x51, 0x61, 0x72, 0x92)


class CannotBreak(Exception):
    """The run has no place for this fault."""


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        clause: what it breaks.
        apply: makes the faulty run.
    """

    clause: str
    apply: Callable[[Run, random.Random], Run]


MUTANTS: dict[str, Mutant] = {}


def mutant(clause: str) -> Callable[[Callable[[Run, random.Random], Run]], Callable[[Run, random.Random], Run]]:
    def register(apply: Callable[[Run, random.Random], Run]) -> Callable[[Run, random.Random], Run]:
        MUTANTS[apply.__name__] = Mutant(clause, apply)
        return apply

    return register


def places(run: Run, event: str) -> list[int]:
    return [at for at, row in enumerate(run.rows) if row.event == event]


def choose(options: list[int], chance: random.Random) -> int:
    if not options:
        raise CannotBreak
    return chance.choice(options)


def vector(row: Row) -> int:
    return row.a0 & 0xFF


def mine_after(run: Run, at: int) -> Iterator[int]:
    return (other for other in range(at + 1, len(run.rows)) if run.rows[other].cpu == run.rows[at].cpu)


def partner(run: Run, at: int, event: str, mask: int = (1 << 64) - 1) -> int:
    """The record that ends what `at` began."""
    for other in mine_after(run, at):
        if run.rows[other].event == event and run.rows[other].a0 & mask == run.rows[at].a0 & mask:
            return other
    raise CannotBreak


def change_at(run: Run, changes: dict[int, Row]) -> Run:
    return run.with_rows([changes.get(at, row) for at, row in enumerate(run.rows)])


def without(run: Run, *dropped: int) -> Run:
    return run.with_rows([row for at, row in enumerate(run.rows) if at not in dropped])


def adding(run: Run, *rows: Row) -> Run:
    return run.with_rows([*run.rows, *rows])


def another_cpu(run: Run, *busy: int) -> int:
    return next(cpu for cpu in range(run.cpus) if cpu not in busy)


def device_frames(run: Run) -> list[int]:
    return [at for at in places(run, "InterruptEnter") if vector(run.rows[at]) in DEVICE_VECTORS]
