# SPDX-License-Identifier: Apache-2.0
"""How long until the guest is ready: after a launch, under the stock BIOS, after a reset."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.bare_qemu import bare_launch, exit_rom
from bench.figures import Figure, Goal, GoalKind, Row, interleaved
from bench.plan import CPUS, MODE_MT
from dirql.config import Boot
from dirql.machine import Machine

if TYPE_CHECKING:
    from bench.plan import Plan

_MS = 1000.0


def boot_rows(plan: Plan) -> list[Row]:
    """Measure a launch beside QEMU alone, and beside the same guest under QEMU's stock BIOS."""
    with TemporaryDirectory(prefix="dirql-bench-") as folder:
        rom = Path(folder) / "exit.rom"
        rom.write_bytes(exit_rom())
        _launch("rom")  # images and their debug information are in the caches from here on
        alone, ours, bios = interleaved(
            (lambda: [bare_launch(rom, CPUS) * _MS], lambda: [_launch("rom")], lambda: [_launch("bios")]),
            plan.effort.launches,
            plan.step,
        )
    title = "launch: Machine() to guest ready"
    return [
        Row(
            name="boot",
            title=title,
            unit="ms",
            ours=ours,
            comparator=alone,
            beside="QEMU alone, its ROM exits at the first instruction: start to exit",
            goal=Goal(GoalKind.RATIO_AT_MOST, 2.0),
            mode=MODE_MT,
            cpus=CPUS,
        ),
        Row(
            name="boot-bios",
            title=title,
            unit="ms",
            ours=ours,
            comparator=bios,
            beside="the same guest under QEMU's stock BIOS",
            goal=Goal(GoalKind.RATIO_BELOW, 1.0),
            mode=MODE_MT,
            cpus=CPUS,
        ),
    ]


def reset_rows(plan: Plan) -> list[Row]:
    """Measure a reset beside the launch of the same machine."""
    launches: list[float] = []
    resets: list[float] = []
    _launch("rom")
    for _ in range(plan.effort.resets):
        started = time.monotonic()
        with Machine(cpus=CPUS, mode=MODE_MT) as machine:
            ready = time.monotonic()
            machine.reset()
            resets.append((time.monotonic() - ready) * _MS)
        launches.append((ready - started) * _MS)
        plan.step()
    return [
        Row(
            name="reset",
            title="reset: machine.reset() to guest ready",
            unit="ms",
            ours=Figure.of(resets),
            comparator=Figure.of(launches),
            beside="launch: Machine() to guest ready",
            goal=Goal(GoalKind.RATIO_AT_MOST, 0.2),
            mode=MODE_MT,
            cpus=CPUS,
        )
    ]


def _launch(boot: Boot) -> float:
    """Launch a machine and end it; return the milliseconds that its constructor took."""
    started = time.monotonic()
    machine = Machine(cpus=CPUS, mode=MODE_MT, boot=boot)
    seconds = time.monotonic() - started
    machine.close()
    return seconds * _MS
