# SPDX-License-Identifier: Apache-2.0
"""The timeline in the terminal, and the records as lines."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dirql.cli.main import cli
from dirql.errors import UsageError
from dirql.report.activity import activity
from dirql.report.cells import cells_of
from dirql.report.lanes import draw, exact, lanes_of, shade
from dirql.trace.export.slices import cpu_slices
from dirql.trace.folder import load, write_meta, write_records
from dirql.trace.history.history import History
from dirql.trace.window import Window, parse_time
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.synth import Row, Run, build, make_meta, simulate, to_arrays

ISR, DPC, LOCK = 0xFFFF_8000_0010_0000, 0xFFFF_8000_0020_0000, 0xFFFF_8000_0030_0000
SYMBOLS = ((ISR, 16, "lab!LabIsr"), (DPC, 16, "lab!LabDpc"), (LOCK, 8, "lab!LabLock"))
ROWS = [
    Row(0, 0, "IdleEnter", 0),
    Row(0, 1, "Mark", 0),
    Row(100, 0, "InterruptEnter", 5, 0x51),
    Row(120, 0, "IsrEnter", 5, 0x40, ISR),
    Row(200, 1, "LockWait", 2, LOCK, 1),
    Row(280, 0, "IsrExit", 5, 0x40, 1),
    Row(300, 0, "InterruptExit", 0, 0x51),
    Row(310, 0, "InterruptEnter", 2, 0x2F),
    Row(320, 0, "DpcStart", 2, 0x80, DPC),
    Row(500, 0, "DpcEnd", 2, 0x80, DPC),
    Row(510, 0, "InterruptExit", 0, 0x2F),
    Row(600, 1, "LockAcquired", 2, LOCK, 1),
    Row(700, 1, "LockReleased", 2, LOCK, 1),
    Row(720, 1, "IrqlLower", 2, 2 | 0 << 8),
    Row(800, 1, "Mark", 0),
]


@pytest.fixture(scope="module")
def busy() -> History:
    return History(simulate(11, 3, 3000).trace())


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    keep(folder, MUTANTS["isr_on_two_cpus"].apply(simulate(5, 3, 3000), random.Random(1)))
    return folder


def keep(folder: Path, run: Run) -> None:
    write_records(folder, to_arrays(run.rows, run.cpus))
    write_meta(folder, make_meta(run.cpus, accounting=run.accounting))


def show(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["trace", "show", *map(str, arguments)])


def text(width: int, window: tuple[int, int] = (0, 800), **chosen: object) -> list[str]:
    history = History(build(ROWS, 2, symbols=SYMBOLS))
    lanes = lanes_of(history, window, width + 6, Window.of(**chosen))  # type: ignore[arg-type]
    return [line.plain.rstrip() for line in draw(lanes, colours=False)]


def test_lanes() -> None:
    lines = text(40)
    assert lines[:9] == [
        "0ns to 800ns of 800 ns of virtual time, mode icount; a cell is 20 ns",
        "      0                        +500 ns",
        "      |                        |",
        "CPU 0 0000055555555552222222222200000000000000",
        "share ███████████████▒█████████▒██████████████",
        "      .....iLabIsr- idLabDpc-- d..............",
        "CPU 1 0000000000222222222222222222222222220000",
        "      thread--- spins-------------- thread---",
        ". idle  t thread  d DPC interrupt  D DPC routine  i interrupt dispatch  I ISR  w spins for a lock",
    ]


def test_lanes_of_some_irqls_and_events() -> None:
    lines = text(40, irql="2-5", events=["Mark", "IsrExit"])
    assert lines[3:9] == [
        "CPU 0      555555555522222222222",
        "share      ██████████▒█████████▒",
        "           iLabIsr- idLabDpc-- d",
        "asked               1",
        "CPU 1           22222222222222222222222222",
        "                spins-------------- threa",
    ]
    assert len([line for line in text(40, cpus=[1]) if line.startswith("CPU")]) == 1


def test_a_wait_that_began_before_the_stretch_is_spinning(busy: History) -> None:
    """What a CPU did does not depend on where one begins to look."""
    slices = cpu_slices(busy)
    end = int(busy.trace.time[-1])
    spun = 0
    for cpu in range(busy.trace.cpus):
        whole = activity(busy, slices, cpu, (0, end))
        assert whole is not None
        for at in [*range(0, len(whole.begin), 97), *np.flatnonzero(whole.spinning)[:20].tolist()]:
            part = activity(busy, slices, cpu, (int(whole.begin[at]), end))
            assert part is not None
            assert part.spinning.tolist() == whole.spinning[len(whole.begin) - len(part.begin) :].tolist()
            spun += bool(part.spinning[0])
    assert spun > 3


def test_what_ran_at_each_record(busy: History) -> None:
    """Against a walk through the slices, outer before inner."""
    trace, slices = busy.trace, cpu_slices(busy)
    window = (int(trace.time[len(trace) // 3]), int(trace.time[2 * len(trace) // 3]))
    for cpu in range(trace.cpus):
        mine = trace.on_cpu(cpu)
        expected = np.full(len(mine), -1)
        for at in np.flatnonzero(slices.cpu == cpu).tolist():
            first = int(np.flatnonzero(mine == slices.record[at])[0])
            last = int(np.flatnonzero(mine == slices.last[at])[0])
            expected[first : last + bool(slices.open[at])] = at
        did = activity(busy, slices, cpu, window)
        assert did is not None
        before = int((trace.time[mine] <= window[0]).sum()) - 1
        assert did.slice.tolist() == expected[before : before + len(did.slice)].tolist()
        assert len(did.slice) == int((trace.time[mine] <= window[1]).sum()) - before
        assert (did.irql == busy.irql_after[mine[before : before + len(did.irql)]]).all()
        assert len(set(did.slice.tolist())) > 10


def test_cells_show_the_highest_irql(busy: History) -> None:
    """Against the levels, tick by tick."""
    trace = busy.trace
    window = (int(trace.time[500]), int(trace.time[500]) + 40_000)
    did = activity(busy, cpu_slices(busy), 1, window)
    assert did is not None
    level = np.repeat(did.irql, did.end - did.begin).reshape(40, 1000)
    cells = cells_of(did, window, 40)
    assert cells.irql.tolist() == level.max(axis=1).tolist()
    assert cells.share == pytest.approx((level == level.max(axis=1, keepdims=True)).mean(axis=1))
    low = cells_of(did, window, 40, range(1))
    assert low.irql.tolist() == [0 if (row == 0).any() else -1 for row in level]
    assert low.share == pytest.approx((level == 0).mean(axis=1))
    assert len(set(cells.irql.tolist())) > 2


def test_colours_tell_what_plain_text_tells() -> None:
    history = History(build(ROWS, 2, symbols=SYMBOLS))
    lanes = lanes_of(history, (0, 800), 46, Window())
    coloured = draw(lanes, colours=True)
    assert all(line.spans for line in coloured if line.plain.startswith("CPU"))
    assert not any(line.spans for line in draw(lanes, colours=False) if line.plain.startswith("CPU"))
    assert shade("#009e73", 1.0) == "#009e73"
    assert shade("#009e73", 0.01) != shade("#009e73", 0.5)


@pytest.mark.parametrize("ns", [0.0, 7.0, 1500.0, 1234567.0, 98765432123.0])
def test_a_moment_is_read_back(ns: float) -> None:
    assert parse_time(exact(ns)) == ns


def test_violations_are_marked_and_found_again(faulty: Path) -> None:
    shown = show(faulty)
    assert shown.exit_code == 0
    assert "\x1b" not in shown.output
    marks = [line for line in shown.output.splitlines() if line.startswith("wrong")]
    assert any(line.split()[1].startswith("^1") for line in marks)
    assert "^1 INT-1: " in shown.output
    around = show(faulty, "--around", "v1", "--span", "20us").output
    assert "^1 INT-1: " in around
    assert show(faulty, "--from", "0").output.startswith("0ns to ")


def test_records_as_lines(faulty: Path) -> None:
    shown = show(faulty, "--list").output.splitlines()
    assert len(shown) > 3000
    assert shown[0].split() == ["record", "time", "in", "µs", "CPU", "IRQL", "event"]
    wrong = [line for line in shown if "<- v1 " in line]
    record, moment = wrong[0].split()[:2]
    part = show(faulty, "--list", "--around", record, "--span", "3us", "--class", "interrupts").output
    assert wrong[0] in part.splitlines()
    assert 2 < len(part.splitlines()) < 60
    assert float(moment.replace(",", "")) > 0
    locks = [
        line.split()[4] for line in show(faulty, "--list", "--event", "LockWait", "--cpu", "1").output.splitlines()[1:]
    ]
    assert set(locks) == {"LockWait"}
    high = [line.split()[3] for line in show(faulty, "--list", "--irql", "3+").output.splitlines()[1:]]
    assert min(map(int, high)) >= 3


def test_an_object_is_followed(faulty: Path) -> None:
    first = show(faulty, "--list", "--event", "DpcInsert").output.splitlines()[1]
    followed = show(faulty, "--follow", first.split()[0]).output.splitlines()[1:]
    kdpc = first.split()[5:7]
    assert first in followed
    assert all(line.split()[5:7] == kdpc for line in followed)
    assert {line.split()[4] for line in followed} >= {"DpcInsert", "DpcStart", "DpcEnd"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--around", "v999"), "there is no violation 999"),
        (("--around", "99999999"), "there is no record 99999999"),
        (("--around", "soon"), "give the number of a record"),
        (("--span", "5us"), "--span says how much"),
        (("--around", "v1", "--from", "5us"), "both choose the stretch"),
        (("--cpu", "9"), "no CPU 9"),
    ],
)
def test_what_cannot_be_shown_is_refused(faulty: Path, arguments: tuple[str, ...], reason: str) -> None:
    shown = show(faulty, *arguments)
    assert isinstance(shown.exception, UsageError)
    assert reason in str(shown.exception)


def test_of_a_long_trace_a_part_is_read(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = ("--from", "900us", "--to", "1000us")
    whole = [line.partition("  <- ")[0] for line in show(faulty, "--list", *times).output.splitlines()]
    lanes = [line for line in show(faulty, *times).output.splitlines() if line.startswith(("CPU", "share"))]
    assert len(whole) > 50
    monkeypatch.setattr("dirql.report.show.MOST", 1000)
    monkeypatch.setattr("dirql.report.show.BEFORE", 200_000)
    part = [line.partition("  <- ")[0] for line in show(faulty, "--list", *times).output.splitlines()]
    assert "records" in part[0]
    assert "were read, from number" in part[0]
    assert part[1:] == whole
    again = [line for line in show(faulty, *times).output.splitlines() if line.startswith(("CPU", "share"))]
    assert again == lanes
    last = show(faulty, "--list").output.splitlines()
    assert 900 < len(last) < 1500
    assert last[-1].split()[0] == str(len(load(faulty)) - 1)


def test_an_empty_trace(tmp_path: Path) -> None:
    keep(tmp_path, Run((), 2, simulate(1, 1, 10).accounting, ()))
    assert show(tmp_path).output == "the trace holds no records\n"
    assert len(show(tmp_path, "--list").output.splitlines()) == 1
