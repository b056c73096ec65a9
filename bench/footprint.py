# SPDX-License-Identifier: Apache-2.0
"""How much host memory a machine takes: Python and QEMU together, each page that they share counted once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.bare_qemu import bare_command, exit_rom
from bench.figures import Goal, GoalKind, Row, interleaved
from bench.plan import CPUS, MODE_MT
from dirql.errors import ProtocolError

if TYPE_CHECKING:
    from bench.plan import Plan

_CHILD = Path(__file__).with_name("footprint_child.py")
_MB = 1e6
_TIMEOUT = 120.0


def memory_rows(plan: Plan) -> list[Row]:
    """Count the memory of a machine beside that of QEMU alone."""
    with TemporaryDirectory(prefix="dirql-bench-") as folder:
        rom = Path(folder) / "exit.rom"
        rom.write_bytes(exit_rom())
        bare, ours = interleaved(
            (lambda: [_held("bare", *bare_command(rom, CPUS))], lambda: [_held("machine", str(CPUS))]),
            plan.effort.footprints,
            plan.step,
        )
    return [
        Row(
            name="memory",
            title="host memory: Python, QEMU, 64 MiB of RAM, doorbell.sys loaded",
            unit="MB",
            ours=ours,
            comparator=bare,
            beside="QEMU alone before its first instruction, and the Python that started it",
            goal=Goal(GoalKind.VALUE_AT_MOST, 150.0),
            mode=MODE_MT,
            cpus=CPUS,
            note="sum of the proportional set sizes, fresh processes",
        )
    ]


def _held(*arguments: str) -> float:
    """Return the MB that a child of this kind and its QEMU hold."""
    command = [sys.executable, str(_CHILD), *arguments]
    answer = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    if answer.returncode:
        raise ProtocolError(f"{_CHILD.name} {arguments[0]} ended with status {answer.returncode}: {answer.stderr}")
    held: dict[str, int] = json.loads(answer.stdout)
    return sum(held.values()) / _MB
