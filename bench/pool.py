# SPDX-License-Identifier: Apache-2.0
"""What pool gives when 1 to 8 CPUs use it at once, and what a page that was put out costs to bring back."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, Row
from bench.plan import MODE_ICOUNT, MODE_MT
from dirql.errors import BuildError, ProtocolError
from dirql.guest.artifacts import build_folder
from dirql.machine import Machine
from dirql.recording import clock_pairs
from dirql.trace.clock import Clock

if TYPE_CHECKING:
    from bench.plan import Plan
    from dirql.machine import Driver

CPUS = (1, 2, 4, 8)

_DRIVER = "bench_pool.sys"
_TICKS_PER_INSTRUCTION = 8
_RUN_TIMEOUT = 120.0
_HOST_PAIRS = 1_000_000
_HOST_FAULTS = 2_000


def pool_rows(plan: Plan) -> list[Row]:
    """Measure pairs of allocation and free, and touches of a page that is out."""
    program = _host_program()
    rows = [_pairs_row(cpus, plan, program) for cpus in CPUS]
    exact, copies = _page_in(MODE_ICOUNT)
    timed, _ = _page_in(MODE_MT)
    host = [float(_run([str(program), "fault", str(_HOST_FAULTS)])) for _ in range(plan.effort.round_trips)]
    plan.step()
    touch = "a touch of a page that was put out: brought back, and touched again"
    return [
        *rows,
        Row(
            "page-in",
            touch,
            "instructions",
            Figure.of(exact),
            Figure.of(copies),
            "copying a page, nothing else",
            None,
            MODE_ICOUNT,
            1,
        ),
        Row(
            "page-in-us",
            touch,
            "us",
            Figure.of(value / 1000 for value in timed),
            Figure.of(value / 1000 for value in host),
            "a minor fault of a process on this host, after madvise(MADV_DONTNEED)",
            None,
            MODE_MT,
            1,
        ),
    ]


def _pairs_row(cpus: int, plan: Plan, program: Path) -> Row:
    rates: list[float] = []
    with Machine(cpus=cpus, mode=MODE_MT, trace_mask=0, verifier=False) as machine:
        driver = machine.load(_DRIVER)
        pool = driver.variable("Pool")
        ticks = Clock.fit(clock_pairs(machine)).ticks_per_ns
        for _ in range(plan.effort.storms):
            _measure(driver, "MeasurePool", cpus)
            rates.append(pool.get("Pairs") * cpus / (pool.get("Ticks") / ticks * 1e-9))
    host = [float(_run([str(program), "malloc", str(cpus), str(_HOST_PAIRS)])) for _ in range(plan.effort.storms)]
    plan.step()
    return Row(
        f"pool-{cpus}",
        f"ExAllocatePoolWithTag and ExFreePoolWithTag of 64 bytes, on {cpus} CPU{'s at once' if cpus > 1 else ''}",
        "pairs/s",
        Figure.of(rates),
        Figure.of(host),
        f"malloc and free on {cpus} thread{'s' if cpus > 1 else ''} of this host",
        None,
        MODE_MT,
        cpus,
    )


def _page_in(mode: str) -> tuple[list[float], list[float]]:
    """Return what each touch took, and each copy of a page: instructions or ns."""
    with Machine(cpus=1, mode=mode, trace_mask=0, verifier=False) as machine:
        driver = machine.load(_DRIVER)
        pool = driver.variable("Pool")
        _measure(driver, "MeasurePageIn", 0)
        ticks = _TICKS_PER_INSTRUCTION if mode == MODE_ICOUNT else Clock.fit(clock_pairs(machine)).ticks_per_ns
        touches, copies = (
            [pool.get(name, at) / ticks for at in range(pool.get("Rounds"))] for name in ("PageIn", "Copy")
        )
    return touches, copies


def _measure(driver: Driver, routine: str, argument: int) -> None:
    left = driver.run(routine, argument, timeout=_RUN_TIMEOUT)
    if left:
        raise ProtocolError(f"{_DRIVER}: {routine} left behind: {left}")


def _host_program() -> Path:
    folder = build_folder() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "memory"
    source = Path(__file__).parent / "host" / "memory.c"
    _run(["gcc", "-std=gnu11", "-O2", "-o", str(program), str(source), "-pthread"])
    return program


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
