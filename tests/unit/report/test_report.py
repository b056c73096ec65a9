# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path

import pytest

from dirql.report.tables import duration, print_report, report_console, verdict_table
from dirql.report.timeline import draw_timeline
from dirql.report.window import INTERRUPTS, choose_window
from dirql.trace.history.history import History
from dirql.trace.oracle import judge
from dirql.trace.stats.summary import statistics
from dirql.trace.symbols import SymbolTable
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.synth import Row, build, simulate

RUN = simulate(5, 3, 4000)
FAULTY = MUTANTS["isr_on_two_cpus"].apply(RUN, random.Random(1))


def report(faulty: bool) -> str:
    trace = (FAULTY if faulty else RUN).trace()
    history = History(trace)
    out = io.StringIO()
    site = RUN.interrupts[0].routine & ~0xFFF
    symbols = SymbolTable([(site, 0x1000, "storm!Isr")])
    print_report(report_console(out), statistics(history), judge(trace, history=history), symbols)
    return out.getvalue()


def test_tables_in_a_pipe_are_plain_and_unbroken() -> None:
    text = report(faulty=False)
    assert "\x1b" not in text
    lines = text.splitlines()
    for clause in ("IRQL-2", "SPIN-1", "DPC-5", "INT-ACCOUNT"):
        assert len([line for line in lines if line.split()[:2] == [clause, "ok"]]) == 1
    assert len([line for line in lines if "under the interrupt spin lock" in line and "SYN-1" in line]) == 1
    assert "virtual time, mode icount" in text


def test_violations_name_rule_records_and_code() -> None:
    text = report(faulty=True)
    assert "INT-1" in text
    assert "while the ISR of KINTERRUPT" in text
    assert "rule: an ISR runs at SynchronizeIrql" in text
    assert "trace records" in text
    assert "storm!Isr+0x" in text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (999.9, "1 µs"),
        (1234, "1.23 µs"),
        (123456, "123 µs"),
        (5e7, "50 ms"),
        (2.5e9, "2.5 s"),
    ],
)
def test_durations_are_short(ns: float, text: str) -> None:
    assert duration(ns) == text


def test_timeline_is_a_picture(tmp_path: Path) -> None:
    trace = FAULTY.trace()
    history = History(trace)
    path = tmp_path / "timeline.png"
    begin, end = draw_timeline(history, path, verdict=judge(trace), title="a test")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 20_000
    drawn = path.with_suffix(".svg").read_text(encoding="utf-8")
    assert drawn.lstrip().startswith("<?xml")
    assert drawn.rstrip().endswith("</svg>")
    violation = next(each for each in judge(trace).violations if each.records)
    assert begin <= min(trace.time[list(violation.records)]) <= max(trace.time[list(violation.records)]) <= end


@pytest.mark.parametrize("rows", [[], [Row(5, 0, "Mark", 0)], [Row(5, 0, "IdleEnter", 0), Row(9, 0, "Mark", 0)]])
def test_timeline_of_next_to_nothing(tmp_path: Path, rows: list[Row]) -> None:
    draw_timeline(History(build(rows, 2)), tmp_path / "timeline.png")


def test_timeline_draws_the_window_it_is_given(tmp_path: Path) -> None:
    assert draw_timeline(History(RUN.trace()), tmp_path / "t.png", window=(1000, 9000)) == (1000, 9000)


def test_window_holds_a_readable_number_of_interrupts() -> None:
    trace = RUN.trace()
    begin, end = choose_window(History(trace))
    inside = trace.time[trace.where("IsrEnter")]
    assert INTERRUPTS <= ((inside >= begin) & (inside <= end)).sum() <= 2 * INTERRUPTS
    assert end - begin < trace.time[-1] / 2


def test_reports_are_imported_without_their_heavy_libraries() -> None:
    code = "import dirql.report.tables, dirql.report.timeline, dirql.trace.export.perfetto, sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "rich", "perfetto"} & set(modules)


def test_clauses_without_evidence_stand_below_the_table() -> None:
    table = verdict_table(judge(build([Row(10, 0, "IrqlRaise", 2, 2 << 8, 7)], 1)))
    assert len(table.rows) >= 1
    assert str(table.caption).startswith("no evidence in this trace: IRQL-2, ")
    shown = [str(cell) for cell in table.columns[0].cells]
    assert "IRQL-3" in shown
    assert "SPIN-1" not in shown
