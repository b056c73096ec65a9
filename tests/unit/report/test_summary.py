# SPDX-License-Identifier: Apache-2.0
"""`dirql trace summary`: tables of all or a part, violations with their lines of source, JSON."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dirql.cli.main import cli
from dirql.report.run import result_lines
from dirql.report.sources import Sources
from dirql.trace.folder import load, write_meta, write_records
from dirql.trace.history.history import History
from dirql.trace.stats.summary import statistics
from dirql.trace.symbols import SymbolTable
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.synth import Run, make_meta, simulate, to_arrays

GOOD = simulate(5, 3, 3000)
SOURCE = ["int before;", "\tBOOLEAN LabIsr(PKINTERRUPT Interrupt, PVOID Context)", "{"]


def keep(folder: Path, run: Run) -> Path:
    source = folder / "lab.c"
    source.write_text("\n".join(SOURCE), encoding="utf-8")
    routines = sorted({each.routine for each in run.interrupts})
    symbols = tuple((routine, 64, f"lab!LabIsr{at}") for at, routine in enumerate(routines))
    lines = tuple((routine, str(source), 2) for routine in routines)
    write_records(folder, to_arrays(run.rows, run.cpus))
    write_meta(folder, make_meta(run.cpus, accounting=run.accounting, symbols=symbols, lines=lines))
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keep(tmp_path_factory.mktemp("good"), GOOD)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    broken = MUTANTS["isr_on_two_cpus"].apply(GOOD, random.Random(1))
    return keep(tmp_path_factory.mktemp("faulty"), broken)


def summary(*arguments: object) -> tuple[Result, int]:
    done = CliRunner().invoke(cli, ["trace", "summary", *map(str, arguments)], standalone_mode=False)
    assert done.exception is None, done.exception
    return done, done.return_value


def test_all_tables_of_a_good_run(good: Path) -> None:
    done, status = summary(good)
    assert status == 0
    assert "\x1b" not in done.output
    titles = ["Records by class", "What each CPU did", "At which IRQL each CPU was", "Interrupts by vector", "DPCs"]
    titles += ["Spin locks", "What each thread did", "How long it took", "Verdict"]
    places = [done.output.index(f"{title}\n") for title in titles]
    assert places == sorted(places)
    assert "from CPU to CPU" in done.output
    assert done.output.endswith("verdict: ok\n")


def test_violations_have_their_lines_of_source(faulty: Path) -> None:
    done, status = summary(faulty)
    assert status == 1
    assert "violation 1: INT-1: " in done.output
    lines = [line.strip() for line in done.output[done.output.index("violation 1") :].splitlines()]
    sites = [at for at, line in enumerate(lines) if line.startswith("at lab!") and line.endswith("lab.c:2)")]
    assert sites
    assert all(lines[at + 1] == SOURCE[1].strip() for at in sites)
    assert any(line.startswith("record ") and "IsrEnter" in line for line in lines)


def test_budgets_fail_a_run_only_if_they_are_strict(tmp_path: Path) -> None:
    run = keep(tmp_path, MUTANTS["lock_held_too_long"].apply(GOOD, random.Random(1)))
    told, status = summary(run)
    assert status == 0
    assert "the guideline is 25 us" in told.output
    assert summary(run, "--strict-budgets")[1] == 1


def test_only_what_is_asked_for(good: Path) -> None:
    done, _ = summary(good, "--class", "locks")
    assert "Spin locks" in done.output
    assert "LockAcquired" in done.output
    assert not {"DPCs", "Verdict", "What each CPU did", "Records by class"} & set(done.output.splitlines())
    events, _ = summary(good, "--event", "LockWait")
    assert [line.split()[0] for line in events.output.splitlines() if line.strip()][:2] == ["Records", "event"]
    assert "Spin locks" not in events.output


def test_json_is_the_statistics_and_the_verdict(good: Path) -> None:
    whole = json.loads(summary(good, "--json")[0].output)
    stats = statistics(History(load(good)))
    assert whole["locks"] == json.loads(json.dumps([lock.to_json() for lock in stats.locks]))
    assert (whole["records"], whole["verdict"]["status"], whole["violations"]) == (stats.records, "ok", [])
    middle = stats.duration / 2
    part = json.loads(summary(good, "--json", "--from", f"{middle:.0f}", "--cpu", "0", "--class", "locks")[0].output)
    assert 0 < part["records"] < whole["cpus"][0]["records"]
    assert "dpcs" not in part
    assert sum(sum(lock["owners"]) for lock in part["locks"]) == sum(lock["owners"][0] for lock in part["locks"]) > 0
    low = json.loads(summary(good, "--json", "--irql", "2")[0].output)
    assert 0 < low["lock_hold"]["count"] < whole["lock_hold"]["count"]


def test_a_part_shows_its_violations_only(faulty: Path) -> None:
    whole = json.loads(summary(faulty, "--json")[0].output)
    first = whole["violations"][0]
    trace = load(faulty)
    moment = float(trace.ns(trace.time[[first["records"][-1]]])[0])
    after, status = summary(faulty, "--json", "--from", f"{moment + 1:.0f}")
    assert status == 1, "the verdict is that of the whole trace"
    assert first["number"] not in [each["number"] for each in json.loads(after.output)["violations"]]
    around, _ = summary(faulty, "--json", "--from", f"{moment - 1:.0f}", "--to", f"{moment + 1:.0f}")
    assert first["number"] in [each["number"] for each in json.loads(around.output)["violations"]]


def test_a_line_of_source_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "short.c").write_text("one line\n", encoding="utf-8")
    lines = [(16, str(tmp_path / "short.c"), 1), (32, str(tmp_path / "short.c"), 9), (48, "gone.c", 1)]
    table = SymbolTable([(at, 8, f"f{at}") for at in (16, 32, 48, 64)], lines)
    sources = Sources()
    assert [[line.text for line in sources.site(table, at).lines if line.meant] for at in (16, 32, 48, 64)] == [
        ["one line"],
        [],
        [],
        [],
    ]


def test_results_of_any_experiment_end_a_summary() -> None:
    assert result_lines({"summary": ["a", "b"]}) == ["a", "b"]
    assert result_lines({"experiment": "x", "run_folder": "f"}) == ["experiment: x", "run folder: f"]
