# SPDX-License-Identifier: Apache-2.0
"""The oracle raises no false alarm, and does not claim to know what the trace does not tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dirql.trace.accounting import Accounting
from dirql.trace.decode import Trace
from dirql.trace.history.history import History
from dirql.trace.oracle import Status, judge, route_by_vector
from dirql.trace.oracle.account import balances
from tests.unit.trace.effort import examples
from tests.unit.trace.header import events_of_header
from tests.unit.trace.synth import Row, build, make_meta, simulate, tile, to_arrays

RUN = simulate(1, cpus=3, records=9000)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    cpus=st.integers(1, 6),
    windows=st.booleans(),
    ties=st.booleans(),
    threads=st.sampled_from([True, True, False]),
)
def test_correct_runs_break_nothing(seed: int, cpus: int, windows: bool, ties: bool, threads: bool) -> None:
    run = simulate(seed, cpus, 500, windows=windows, ties=ties, threads=threads)
    assert [clause for clause in judge(run.trace()).clauses if clause.status is Status.VIOLATED] == []


@settings(max_examples=examples(40, 10), deadline=None)
@given(seed=st.integers(0, 1 << 32), skew=st.integers(0, 40), at=st.floats(0.1, 1.0))
def test_skewed_clocks_within_the_allowance_break_nothing(seed: int, skew: int, at: float) -> None:
    """CPU n's clock is n * skew ticks ahead, and the trace ends anywhere."""
    run = simulate(seed, 3, 500)
    rows = [row.but(time=row.time + row.cpu * skew) for row in run.rows if row.time <= run.rows[-1].time * at]
    trace = build(sorted(rows, key=lambda row: row.time), 3, mode="mt", skew_ns=2.0 * skew)
    assert [clause for clause in judge(trace).clauses if clause.status is Status.VIOLATED] == []


def test_complete_run_is_ok() -> None:
    verdict = judge(RUN.trace())
    assert verdict.status is Status.OK
    assert {clause.clause.id: clause.status for clause in verdict.clauses if clause.status is not Status.OK} == {}
    assert all(clause.judged > 0 for clause in verdict.clauses)


def test_empty_trace_is_unknown() -> None:
    verdict = judge(build([], 2))
    assert {clause.status for clause in verdict.clauses} == {Status.UNKNOWN}
    assert "no evidence" in verdict["SPIN-1"].reason
    assert verdict.status is Status.UNKNOWN


def test_clause_without_evidence_is_unknown() -> None:
    verdict = judge(build([Row(10, 0, "CpuStart", 0), Row(20, 0, "Mark", 0)], 1))
    assert verdict["SYN-1"].status is Status.UNKNOWN
    assert verdict["SYN-1"].reason == "no evidence in this trace"


@pytest.mark.parametrize("meta", [{"lost": (0, 3, 0)}, {"cut": True}])
def test_incomplete_trace_is_never_ok(meta: dict[str, object]) -> None:
    verdict = judge(RUN.trace(**meta))
    assert {clause.status for clause in verdict.clauses} == {Status.UNKNOWN}
    assert all(clause.reason for clause in verdict.clauses)


@settings(max_examples=examples(30, 10), deadline=None)
@given(seed=st.integers(0, 1 << 32), data=st.data())
def test_lost_records_raise_no_alarm(seed: int, data: st.DataObject) -> None:
    run = simulate(seed, 3, 400)
    drop = data.draw(st.sets(st.integers(0, len(run.rows) - 1), min_size=1, max_size=40))
    rows = [row for at, row in enumerate(run.rows) if at not in drop]
    verdict = judge(build(rows, 3, accounting=run.accounting, lost=(len(drop), 0, 0)))
    assert {clause.status for clause in verdict.clauses} == {Status.UNKNOWN}


@settings(max_examples=examples(30, 10), deadline=None)
@given(seed=st.integers(0, 1 << 32), share=st.floats(0.05, 0.95))
def test_cut_runs_raise_no_alarm(seed: int, share: float) -> None:
    run = simulate(seed, 3, 400)
    rows = run.rows[: int(len(run.rows) * share)]
    verdict = judge(build(rows, 3, accounting=run.accounting, cut=True))
    assert {clause.status for clause in verdict.clauses} == {Status.UNKNOWN}


def test_gap_in_the_sequence_numbers_counts_as_loss() -> None:
    arrays = to_arrays(RUN.rows, 3)
    arrays[1] = np.delete(arrays[1], slice(20, 25))
    trace = Trace(arrays, make_meta(3))
    assert trace.lost == (0, 5, 0)
    assert judge(trace)["SPIN-1"].reason == "CPU 1 lost 5 records"


def test_violation_in_one_record_stands_in_a_lossy_trace() -> None:
    rows = [Row(10, 0, "InterruptEnter", 5, 0x51 | 7 << 8, 99), Row(20, 0, "InterruptExit", 7, 0x51 | 7 << 8, 99)]
    verdict = judge(build(rows, 1, lost=(9,)))
    assert verdict["IRQL-2"].status is Status.VIOLATED
    assert verdict["IRQL-6"].status is Status.UNKNOWN


def test_violation_stands_in_a_cut_trace() -> None:
    lock = [
        Row(10, 0, "LockAcquired", 2, 64, 1),
        Row(20, 1, "LockAcquired", 2, 64, 2),
        Row(30, 0, "LockReleased", 2, 64),
    ]
    verdict = judge(build(lock, 2, cut=True))
    assert verdict["SPIN-1"].status is Status.VIOLATED
    violation = verdict["SPIN-1"].violations[0]
    assert (violation.cpus, violation.sites) == ((0, 1), (1, 2))


def test_event_that_was_not_recorded_makes_its_clause_unknown() -> None:
    mask = ~(1 << events_of_header()["LockReleased"])
    verdict = judge(RUN.trace(mask=mask))
    assert verdict["SPIN-1"].status is Status.UNKNOWN
    assert "LockReleased not recorded" in verdict["SPIN-1"].reason
    assert verdict["IRQL-6"].status is Status.OK


def test_overlap_within_the_skew_is_none() -> None:
    rows = [
        Row(1000, 0, "LockAcquired", 2, 64),
        Row(1900, 1, "LockAcquired", 2, 64),
        Row(2000, 0, "LockReleased", 2, 64),
        Row(3000, 1, "LockReleased", 2, 64),
    ]
    assert judge(build(rows, 2, mode="mt"))["SPIN-1"].status is Status.OK
    assert judge(build(rows, 2, mode="mt", skew_ns=50.0))["SPIN-1"].status is Status.VIOLATED
    assert judge(build(rows, 2, mode="icount"))["SPIN-1"].status is Status.VIOLATED


def test_without_an_account_nothing_is_claimed_about_it() -> None:
    verdict = judge(build(RUN.rows, 3))
    assert verdict["INT-ACCOUNT"].status is Status.UNKNOWN
    assert "no account" in verdict["INT-ACCOUNT"].reason


def test_totals_are_compared_where_connections_are_unknown() -> None:
    accounting = replace(RUN.accounting, connects={})
    assert judge(RUN.trace(), accounting)["INT-ACCOUNT"].status is Status.OK
    books = balances(History(RUN.trace()), accounting)
    assert len(books) == 1
    assert books[0].lost == 0


def test_message_without_connection_is_reported() -> None:
    accounting = replace(RUN.accounting, sent={**RUN.accounting.sent, 17: 2})
    verdict = judge(RUN.trace(), accounting)["INT-ACCOUNT"]
    assert verdict.status is Status.VIOLATED
    assert "message 17" in verdict.violations[0].text


def test_messages_find_their_interrupt_by_vector_and_cpu() -> None:
    messages = {number: (each.cpu, each.vector) for number, each in enumerate(RUN.interrupts)}
    assert route_by_vector(RUN.trace(), {**messages, 9: (0, 0x33)}) == dict(RUN.accounting.connects)


def test_threaded_dpcs_are_not_judged() -> None:
    rows = [
        Row(10, 0, "DpcInsert", 15, 64, 1 | 0xFF << 8),
        Row(20, 0, "DpcStart", 0, 64, 7),
        Row(30, 0, "DpcEnd", 0, 64, 7),
    ]
    assert judge(build(rows, 1))["DPC-4"].status is Status.VIOLATED
    assert judge(build(rows, 1), Accounting(threaded_dpcs=frozenset({64})))["DPC-4"].status is Status.UNKNOWN


def test_only_the_first_violations_are_described_and_all_are_counted() -> None:
    rows = [Row(10 * at, 0, "InterruptEnter", 5, 0x51 | 7 << 8) for at in range(1, 200)]
    verdict = judge(build(rows, 1))["IRQL-2"]
    assert verdict.count == 199
    assert len(verdict.violations) == 50


def test_verdict_is_plain_data() -> None:
    data = judge(RUN.trace()).to_json()
    assert data["status"] == "ok"
    assert {clause["clause"] for clause in data["clauses"]} >= {"SPIN-1", "SYN-1"}


def test_long_run_is_judged_like_a_short_one() -> None:
    run = simulate(3, 3, 9000)
    trace = Trace(tile(run, 15), make_meta(3))
    verdict = judge(trace)
    short = judge(run.trace())
    for clause in verdict.clauses:
        if clause.clause.id not in ("INT-ACCOUNT", "IRQL-6", "DPC-3"):
            assert clause.status is Status.OK
            assert clause.judged == 15 * short[clause.clause.id].judged
