# SPDX-License-Identifier: Apache-2.0
"""What the executive's primitives cost: instructions under icount, nanoseconds in mt, each beside its comparator."""

from __future__ import annotations

import re
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
    from collections.abc import Sequence

    from bench.plan import Plan
    from dirql.guest.memory import View

_DRIVER = "bench_primitives.sys"
_TICKS_PER_INSTRUCTION = 8  # -icount shift=3: an instruction is 2**3 ns, and the TSC counts ns
_HOST_PAIRS = 2_000_000
_STEPS = r"""
set pagination off
set debuginfod enabled off
break pair
run
continue
python
top, steps = int(gdb.parse_and_eval("$rsp")), 0
while int(gdb.parse_and_eval("$rsp")) <= top:
    gdb.execute("stepi", to_string=True)
    steps += 1
print(f"steps {steps}")
end
kill
"""


def primitive_rows(plan: Plan) -> list[Row]:
    """Measure locks, interrupts and DPCs."""
    program = host_program("spin")
    exact = _measure(MODE_ICOUNT)
    plan.step()
    timed = _measure(MODE_MT)
    plan.step()
    host_pair = [float(run_host([str(program), str(_HOST_PAIRS)])) for _ in range(plan.effort.round_trips)]
    steps = _host_instructions(program)
    plan.step()
    pthread = "pthread_spin_lock and _unlock of a process on this host"
    rows = [
        _row(
            "lock-instructions", "KeAcquireSpinLock and KeReleaseSpinLock, nobody else", exact["Pair"], [steps], pthread
        ),
        _row("lock-ns", "the same, in time", timed["Pair"], host_pair, pthread, mode=MODE_MT, unit="ns"),
        _row(
            "synchronize",
            "KeSynchronizeExecution of an empty routine",
            exact["Synchronize"],
            exact["Pair"],
            "an executive spin lock's pair",
        ),
        _row(
            "isr",
            "an interrupt: into the ISR and back to the interrupted code",
            [entry + leave for entry, leave in zip(exact["IsrEntry"], exact["IsrExit"], strict=True)],
            exact["Unexpected"],
            "a vector without an interrupt object",
            note=f"to the ISR's first instruction {exact['IsrEntry'][0]:g}, from its last {exact['IsrExit'][0]:g}",
        ),
        _row(
            "dpc-same",
            "KeInsertQueueDpc to the routine, same CPU",
            exact["DpcSame"],
            exact["IsrEntry"],
            "an interrupt, to its ISR's first instruction",
        ),
    ]
    flag = "a word stored by one CPU, seen and answered by the other, which spins"
    title = "KeInsertQueueDpc to the routine, on another CPU"
    rows.append(_row("dpc-other", title, exact["DpcOther"], exact["FlagOther"], flag, cpus=2))
    rows.append(
        _row("dpc-other-ns", title, timed["DpcOther"], timed["FlagOther"], flag, mode=MODE_MT, unit="ns", cpus=2)
    )
    return rows


def _row(
    name: str,
    title: str,
    ours: Sequence[float],
    comparator: Sequence[float],
    beside: str,
    *,
    mode: str = MODE_ICOUNT,
    unit: str = "instructions",
    cpus: int = 1,
    note: str = "",
) -> Row:
    return Row(name, title, unit, Figure.of(ours), Figure.of(comparator), beside, None, mode, cpus, note)


def _measure(mode: str) -> dict[str, list[float]]:
    """Run the driver's measures; return values per round, instructions or ns."""
    with Machine(cpus=2, mode=mode, trace_mask=0, verifier=False) as machine:
        driver = machine.load(_DRIVER)
        primitives = driver.variable("Primitives")
        for routine in ("MeasurePair", "MeasureInterrupt", "MeasureDpc", "MeasureDpcOther"):
            left = driver.run(routine)
            if left:
                raise ProtocolError(f"{_DRIVER}: {routine} could not measure; it left behind: {left}")
        return _values(primitives, mode, ticks_per_unit(machine, mode))


def ticks_per_unit(machine: Machine, mode: str) -> float:
    """TSC ticks of an instruction under icount, of a nanosecond elsewhere."""
    if mode == MODE_ICOUNT:
        return _TICKS_PER_INSTRUCTION
    return Clock.fit(clock_pairs(machine)).ticks_per_ns


def _values(primitives: View, mode: str, ticks: float) -> dict[str, list[float]]:
    rounds = primitives.get("Rounds")
    empty = primitives.get("Empty") if mode == MODE_ICOUNT else 0  # elsewhere the loop is lost in the noise
    means = {name: primitives.get(name) for name in ("Synchronize", "IsrEntry", "IsrExit", "Unexpected", "DpcSame")}
    means["Pair"] = primitives.get("Pair") - empty
    values = {name: [value / rounds / ticks] for name, value in means.items()}
    for name in ("DpcOther", "FlagOther"):
        values[name] = [primitives.get(name, at) / ticks for at in range(rounds)]
    return values


def host_program(name: str) -> Path:
    """Compile a comparator of `bench/host`.

    Args:
        name: of its source, without `.c`.
    """
    folder = build_folder() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    source = Path(__file__).parent / "host" / f"{name}.c"
    run_host(["gcc", "-std=gnu11", "-O2", "-g", "-o", str(program), str(source), "-pthread"])
    return program


def _host_instructions(program: Path) -> float:
    """Count the instructions of one pair, by stepping through it."""
    script = program.with_suffix(".gdb")
    script.write_text(_STEPS, encoding="ascii")
    text = run_host(["gdb", "-nx", "-batch", "-x", str(script), str(program)])
    found = re.search(r"^steps (\d+)$", text, re.MULTILINE)
    if found is None:
        raise ProtocolError(f"gdb did not step through {program}: {text[-300:]}")
    return float(found.group(1))


def run_host(command: list[str]) -> str:
    """Run a program of the host's and return what it prints.

    Raises:
        BuildError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
