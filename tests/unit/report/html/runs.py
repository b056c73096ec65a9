# SPDX-License-Identifier: Apache-2.0
"""Folders of runs that were never run: synthetic traces, with sources that fit them, and names that mean harm."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from dirql.trace.folder import write_meta, write_records
from tests.unit.trace.lockacts import CALLER
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.rows import Row, Run, make_meta, to_arrays
from tests.unit.trace.synth import simulate

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>document.title='taken'</script>"
"""What a driver may be called: if it becomes markup, the page's title tells."""
FILE = f"src/{HOSTILE.replace('/', '-')}.c"
LINES = (12, 31)
"""The two lines that the violation is about."""
TEXTS = ("KeAcquireSpinLockAtDpcLevel(&First);", "KeAcquireSpinLockAtDpcLevel(&Second); /* </pre></script> & <b> */")
SYMBOL = f"storm!Take{HOSTILE}"


def good_run() -> Run:
    return simulate(8, 3, 2500)


def faulty_run() -> Run:
    return MUTANTS["opposite_order"].apply(good_run(), random.Random(1))


def write_source(folder: Path) -> None:
    """Write the source that FILE names, its two lines among others."""
    lines = [f"    int line_{number};" for number in range(1, 61)]
    for number, text in zip(LINES, TEXTS, strict=True):
        lines[number - 1] = f"    {text}"
    path = folder / FILE
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_run(folder: Path, run: Run, **meta: object) -> Path:
    """Write a run's folder: its trace, with symbols and lines for the call sites of locks."""
    symbols = ((CALLER - 0x10, 0x200, SYMBOL),)
    lines = ((CALLER - 0x10, FILE, LINES[0]), (CALLER + 0x10, FILE, LINES[1]), (CALLER + 0x100, "", 0))
    told = make_meta(run.cpus, symbols=symbols, lines=lines, accounting=run.accounting, **meta)
    write_meta(folder, told)
    write_records(folder, to_arrays(run.rows, run.cpus))
    facts = {
        "experiment": "run-driver",
        "parameters": {"driver": f"{HOSTILE}.sys", "cpus": run.cpus, "mode": "icount", "seed": 7, "verifier": True},
        "command_line": ["dirql", "run-driver", f"{HOSTILE}.sys"],
        "qemu_command_line": ["qemu-system-x86_64", "-smp", "3"],
        "started": "2026-01-02T03:04:05+0000",
        "dirql": "0.1.0",
        "qemu": "7.2.22",
        "python": "3.11.7",
        "host": {"system": "a host", "cpus": 2},
    }
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    (folder / "console.log").write_text(f"hello {HOSTILE}\n", encoding="utf-8")
    return folder


def empty_run() -> Run:
    """A run of which the trace tells nothing."""
    run = good_run()
    return Run((Row(5, 0, "Mark", 0), Row(900, 1, "Mark", 0)), 2, run.accounting, ())
