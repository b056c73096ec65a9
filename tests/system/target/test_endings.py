# SPDX-License-Identifier: Apache-2.0
"""Each way in which a case can end, by the cases of tests/drivers/cases.c: what is told of it, what comes after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dirql.guest import artifacts
from dirql.target.cases import read_cases
from dirql.target.needs import parse_needs
from dirql.target.outcome import CaseResult
from dirql.target.runner import CaseRunner, RunnerPool
from dirql.target.table import TargetConfig
from dirql.trace.folder import load
from dirql.trace.oracle.verdict import Status
from tests.system.guest.support import source_line

MACHINES = [TargetConfig(2, "mt"), TargetConfig(2, "icount")]
CASES = {case.name: case for case in read_cases(artifacts.driver("cases.sys"))}


@pytest.fixture(scope="module", params=MACHINES, ids=[machine.id for machine in MACHINES])
def machine(request: pytest.FixtureRequest) -> TargetConfig:
    found: TargetConfig = request.param
    return found


@pytest.fixture(scope="module")
def runner(machine: TargetConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaseRunner]:
    del machine
    with CaseRunner(tmp_path_factory.mktemp("cases")) as runner:
        yield runner


def run(runner: CaseRunner, name: str, machine: TargetConfig, **changed: object) -> CaseResult:
    """Run a case, and the one that passes after it: whatever happened, the machine is as new for the next."""
    result = runner.run(replace(CASES[name], **changed), machine)  # type: ignore[arg-type]
    after = runner.run(CASES["passes"], machine)
    assert after.passed, after.text
    return result


def test_a_case_that_passes_leaves_the_machine_to_the_next(runner: CaseRunner, machine: TargetConfig) -> None:
    run(runner, "passes", machine)
    before = (runner.boots, runner.resets)
    result = run(runner, "passes", machine)
    assert result.passed
    assert result.text == ""
    assert (runner.boots, runner.resets) == before
    assert result.verdict is not None
    assert result.verdict["IRQL-2"].status is Status.OK


def test_a_failed_assertion_shows_operands_place_and_every_cpu(runner: CaseRunner, machine: TargetConfig) -> None:
    result = run(runner, "fails_on_another_cpu", machine)
    assert result.kind == "assertion"
    lines = result.text.splitlines()
    assert lines[0] == f"{source_line('cases.c', 'assertion')}: KeGetCurrentIrql() == (ULONG_PTR)Context"
    assert lines[1:4] == ["  KeGetCurrentIrql() = 0x2 (2)", "  (ULONG_PTR)Context = 0x0 (0)", "  on CPU 1"]
    assert lines[4].startswith("  cpu 0: IRQL ")  # where it is by then is its own business
    assert any(line.startswith("  cpu 1: IRQL  2, ") for line in lines)
    assert "cases.sys!FailAtDispatch+" in result.text
    assert "  files: " in result.text


def test_a_failed_case_keeps_its_trace(runner: CaseRunner, machine: TargetConfig) -> None:
    result = run(runner, "violates_unsaid", replace(machine, verifier=False))
    folder = Path(result.text.splitlines()[-1].removeprefix("  trace: dirql trace summary "))
    trace = load(folder)
    assert trace.cpus == 2
    assert len(trace.where("CaseBegin")) == len(trace.where("CaseEnd")) == 1
    assert any("violates" in trace.symbols.name(int(trace.arg0[at])) for at in trace.where("CaseBegin"))


def test_what_is_left_behind_fails_the_case(runner: CaseRunner, machine: TargetConfig) -> None:
    run(runner, "passes", machine)
    resets = runner.resets
    result = run(runner, "leaves_pool", machine)
    words = "it left something behind: +1 blocks of pool with the tag 'Demo'"
    assert (result.kind, result.text.splitlines()[0]) == ("leftover", words)
    assert runner.resets == resets + 1


def test_the_bugcheck_that_was_to_come_passes(runner: CaseRunner, machine: TargetConfig) -> None:
    boots = runner.boots
    result = run(runner, "bugchecks", machine)
    assert result.passed, result.text
    assert result.verdict is not None
    assert runner.boots == boots  # held, and reset


def test_another_bugcheck_or_none_fails(runner: CaseRunner, machine: TargetConfig) -> None:
    other = run(runner, "bugchecks_otherwise", machine)
    assert other.kind == "bugcheck"
    said = "bugcheck 0xe2 MANUALLY_INITIATED_CRASH (0x1, 0x2, 0x3, 0x5) on CPU 0; bugcheck 0xe2/0x1/0x3 was to come"
    assert other.text.splitlines()[0] == said
    none = run(runner, "returns_instead", machine)
    assert none.kind == "no bugcheck"
    assert none.text.startswith("bugcheck 0xe2 was to come; the case returned instead\n  cpu 0: ")
    unasked = run(runner, "bugchecks", machine, needs=parse_needs(""))
    assert (unasked.kind, "was to come" in unasked.text) == ("bugcheck", False)


def test_a_case_that_does_not_return_is_ended(runner: CaseRunner, machine: TargetConfig) -> None:
    boots = runner.boots
    result = run(runner, "hangs", machine)
    assert result.kind == "hang"
    assert "waited 0.5 s for the case DEMO-5-hangs to return (tests/drivers/cases.c:" in result.text
    assert "cases.sys!target_run_hangs+" in result.text
    assert runner.boots == boots


def test_the_oracle_is_heard(runner: CaseRunner, machine: TargetConfig) -> None:
    off = replace(machine, verifier=False)
    assert run(runner, "violates_as_said", off).passed
    unsaid = run(runner, "violates_unsaid", off)
    assert unsaid.kind == "oracle"
    assert unsaid.text.startswith("SPIN-8 violated: ")
    assert "CPU 0 released the lock 0x" in unsaid.text
    assert "cases.sys!" in unsaid.text
    unseen = run(runner, "keeps_what_it_should_violate", machine)
    assert unseen.kind == "oracle"
    assert unseen.text.splitlines()[:2] == [
        "SYN-1: the case wants it ok, the oracle says unknown: no evidence in this trace",
        "SPIN-8: the case wants it violated, the oracle says unknown: no evidence in this trace",
    ]


def test_a_reset_tells_the_guest_other_options(runner: CaseRunner, machine: TargetConfig) -> None:
    run(runner, "passes", machine)
    boots = runner.boots
    for other in (replace(machine, placement="current"), replace(machine, verifier=False, routing="asymmetric")):
        assert runner.run(CASES["passes"], other).passed
        assert runner.boots == boots


def test_a_machine_that_is_killed_is_told_and_replaced(tmp_path: Path) -> None:
    with CaseRunner(tmp_path) as runner:
        machine = MACHINES[0]
        assert runner.run(CASES["passes"], machine).passed
        assert runner._machine is not None
        runner._machine.session.process.kill()
        assert not runner.run(CASES["passes"], machine).passed
        assert runner.run(CASES["passes"], machine).passed
        assert runner.boots == 2


def test_a_pool_keeps_few_machines(tmp_path: Path) -> None:
    with RunnerPool(tmp_path, limit=1) as pool:
        one, other = TargetConfig(1, "mt"), TargetConfig(2, "mt")
        for machine in (one, one, replace(one, verifier=False), other, other, one):
            assert pool.run(CASES["passes"], machine).passed
        assert (pool.boots, pool.resets) == (3, 1)


def test_a_long_case_loses_no_records(runner: CaseRunner, machine: TargetConfig) -> None:
    result = run(runner, "fills_its_ring_over_and_over", machine)
    assert result.passed, result.text
    assert result.verdict is not None
    assert result.verdict["SPIN-1"].judged >= 100_000
