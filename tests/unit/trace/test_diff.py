# SPDX-License-Identifier: Apache-2.0
"""`dirql trace diff`: what differs between two runs, and that nothing else does."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dirql.cli.main import cli
from dirql.trace.decode import Trace
from dirql.trace.folder import write_meta, write_records
from dirql.trace.history.history import History
from dirql.trace.oracle import Status, judge
from dirql.trace.stats.diff import Change, Comparison, compare
from dirql.trace.stats.summary import statistics
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.synth import Row, Run, build, make_meta, simulate, to_arrays

RUN = simulate(5, 3, 2500)
FAULTY = MUTANTS["isr_on_two_cpus"].apply(RUN, random.Random(1))


def compared(one: Trace, other: Trace, *, arguments: bool = True) -> Comparison:
    histories = (History(one), History(other))
    verdicts = (judge(one, history=histories[0]), judge(other, history=histories[1]))
    stats = (statistics(histories[0]), statistics(histories[1]))
    return compare((one, other), stats, verdicts, arguments=arguments)


def test_a_run_and_itself() -> None:
    found = compared(RUN.trace(), RUN.trace())
    assert found.replayed
    assert (found.partings, found.retimed, found.worse) == ((), None, False)
    assert all(each.before == each.after for each in found.counts)
    assert {each.change for each in found.clauses} == {Change.SAME}
    assert all(each.ratio("median") == 1.0 for each in found.latencies if each.before.median)


def test_the_first_record_that_differs() -> None:
    place = next(at for at, row in enumerate(RUN.rows) if at > 1000 and row.event == "LockReleased")
    changed = list(RUN.rows)
    changed[place] = changed[place].but(a1=changed[place].a1 + 8)
    one, other = RUN.trace(), RUN.with_rows(changed).trace()
    found = compared(one, other)
    cpu = RUN.rows[place].cpu
    assert [parting.where for parting in found.partings] == ["all", f"CPU {cpu}"]
    for parting in found.partings:
        assert parting.differs == ("second argument",)
        record = parting.records[0]
        assert parting.records == (record, record)
        assert int(one.arg1[record]) == RUN.rows[place].a1
        assert [line[0] for line in parting.before] == [" ", " ", " ", ">", " ", " ", " "]
        assert parting.before[3] != parting.after[3]
        assert parting.before[:3] == parting.after[:3]
    assert compared(one, other, arguments=False).partings == ()


def test_one_run_is_the_beginning_of_the_other() -> None:
    found = compared(RUN.trace(), build(RUN.rows[:2000], 3))
    assert found.partings[0].records == (2000, 2000)
    assert found.partings[0].differs == ("end",)
    assert found.partings[0].after[-1] == "> the records end here"


def test_times_part_before_events_do() -> None:
    later = [row if row.time < 50_000 else row.but(time=row.time + 7) for row in RUN.rows]
    found = compared(RUN.trace(), RUN.with_rows(later).trace())
    first = sum(row.time < 50_000 for row in RUN.rows)
    assert found.partings == ()
    assert found.retimed is not None
    assert found.retimed.records == (first, first)
    assert found.retimed.differs == ("time",)


def test_events_of_another_number_are_the_same_events() -> None:
    trace = RUN.trace()
    numbers = dict(trace.meta.events.numbers)
    names = list(numbers)
    turned = {name: numbers[names[-1 - at]] for at, name in enumerate(names)}
    table = {numbers[name]: turned[name] for name in names}
    arrays = to_arrays(RUN.rows, 3)
    for records in arrays:
        records["Event"] = [table[int(number)] for number in records["Event"]]
    other = Trace(arrays, make_meta(3, accounting=RUN.accounting, events=replace(trace.meta.events, numbers=turned)))
    assert compared(trace, other).partings == ()


@pytest.mark.parametrize(("worse", "change"), [(True, Change.NEW), (False, Change.GONE)])
def test_verdicts(worse: bool, change: Change) -> None:
    pair = (RUN.trace(), FAULTY.trace())
    found = compared(*(pair if worse else pair[::-1]))
    clause = next(each for each in found.clauses if each.clause == "INT-1")
    assert (found.worse, clause.change) == (worse, change)
    assert {clause.before, clause.after} == {Status.OK, Status.VIOLATED}
    assert max(clause.counts) > min(clause.counts) == 0


def test_what_is_not_known_any_more_is_worse() -> None:
    lossy = RUN.trace(lost=(0, 3, 0))
    assert compared(RUN.trace(), lossy).worse
    assert not compared(lossy, RUN.trace()).worse


def test_counts_by_event_cpu_and_lock() -> None:
    lock = 0xFFFF_8000_0000_9000
    more = [Row(0, 1, "LockAcquired", 2, lock, 5), Row(9, 1, "LockReleased", 2, lock, 5)]
    rows = [Row(0, 0, "Mark", 0), Row(10, 0, "Mark", 0)]
    found = compared(
        build(rows, 2, symbols=((lock, 8, "lab!Lock"),)), build([*rows, *more], 2, symbols=((lock, 8, "lab!Lock"),))
    )
    counts = {each.name: each for each in found.counts}
    assert (counts["LockAcquired"].before, counts["LockAcquired"].after) == (0, 1)
    assert counts["LockAcquired"].cpus == ((0, 0), (0, 1))
    assert (counts["Mark"].before, counts["Mark"].after) == (2, 2)
    (change,) = found.locks
    assert (change.name, change.acquisitions, change.hold.after.maximum) == ("lab!Lock", (0, 1), 9.0)
    assert change.hold.ratio("median") is None


def test_runs_in_real_time_have_no_common_order() -> None:
    found = compared(RUN.trace(mode="mt"), FAULTY.trace(mode="mt"))
    assert (found.replayed, found.partings) == (False, ())


def keep(folder: Path, run: Run) -> str:
    write_records(folder, to_arrays(run.rows, run.cpus))
    write_meta(folder, make_meta(run.cpus, accounting=run.accounting))
    return str(folder)


def test_command(tmp_path: Path) -> None:
    good, bad = keep(tmp_path / "good", RUN), keep(tmp_path / "bad", FAULTY)
    status, output = {}, {}
    for name, pair in {"same": (good, good), "worse": (good, bad), "better": (bad, good)}.items():
        done = CliRunner().invoke(cli, ["trace", "diff", *pair], standalone_mode=False)
        assert done.exception is None
        status[name], output[name] = done.return_value, done.output
    assert status == {"same": 0, "worse": 1, "better": 0}
    assert "the two runs are the same in all that is compared" in output["same"]
    assert "the two runs part at record" in output["worse"]
    assert "INT-1" in output["worse"]
    data = json.loads(CliRunner().invoke(cli, ["trace", "diff", good, bad, "--json"], standalone_mode=False).output)
    assert data["worse"] is True
    assert {each["clause"] for each in data["clauses"] if each["change"] == "new"} >= {"INT-1"}
