# SPDX-License-Identifier: Apache-2.0
"""Drivers with cases in a pytest of their own: items, their names and order, options, reports."""

from __future__ import annotations

import shutil

import pytest

from dirql.guest import artifacts

SOME = ("--dirql-cpus=2", "--dirql-mode=mt", "--dirql-verifier=off")


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    shutil.copy(artifacts.driver("cases.sys"), pytester.path / "mine.sys")
    # Without Hypothesis, which would import all of itself at the end of each of these runs: longer than the run.
    alone = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    return pytester.runpytest_subprocess(*alone, "-W", "error", *options)


def items(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_every_case_on_every_machine_is_an_item(pytester: pytest.Pytester) -> None:
    found = items(run(pytester, "--collect-only", "-q", "mine.sys"))
    assert "mine.sys::test_target[DEMO-2-fails-on-another-cpu-cpus4-mt]" in found
    assert "mine.sys::test_target[DEMO-6-violates-unsaid-cpus8-icount-verifier-off]" in found
    assert not any("DEMO-2" in name and "cpus1" in name for name in found)
    assert len([name for name in found if "DEMO-1-passes" in name]) == 16
    machines = [name.split("-cpus")[1].rstrip("]") for name in found]
    changes = [name for at, name in enumerate(machines) if at == 0 or machines[at - 1] != name]
    assert len(changes) == len(set(changes)) == 16


def test_options_choose_from_the_table(pytester: pytest.Pytester) -> None:
    found = items(run(pytester, "--collect-only", "-q", "--dirql-cpus=2,4", "--dirql-mode=icount", "mine.sys"))
    assert {name.split("-cpus")[1].rstrip("]") for name in found} == {
        f"{cpus}-icount{verifier}" for cpus in (2, 4) for verifier in ("", "-verifier-off")
    }
    wrong = run(pytester, "--dirql-verifier=maybe", "mine.sys")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR


def test_a_folder_is_searched_for_them_and_other_drivers_are_passed_over(pytester: pytest.Pytester) -> None:
    shutil.copy(artifacts.driver("refuse.sys"), pytester.path / "plain.sys")
    pytester.makepyfile("def test_beside(): pass")
    result = run(pytester, "-k", "DEMO-1 or beside", "-v", *SOME)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["mine.sys::test_target[[]DEMO-1-passes-cpus2-mt-verifier-off[]] PASSED*"])


def test_a_failure_reports_the_guest_and_no_python(pytester: pytest.Pytester) -> None:
    result = run(pytester, "mine.sys", "--dirql-folder=kept", "-k", "DEMO-1 or DEMO-2 or DEMO-4", *SOME)
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(
        [
            "DEMO-2-fails-on-another-cpu-cpus2-mt-verifier-off (tests/drivers/cases.c:*, DEMO-2): assertion",
            "tests/drivers/cases.c:*: KeGetCurrentIrql() == (ULONG_PTR)Context",
            "  KeGetCurrentIrql() = 0x2 (2)",
            "  (ULONG_PTR)Context = 0x0 (0)",
            "  cpu 0: IRQL *",
            "  cpu 1: IRQL *",
            f"  files: {pytester.path}/kept/*",
            f"  trace: dirql trace summary {pytester.path}/kept/*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert "harness/dirql" not in result.stdout.str()


def test_cases_that_cannot_be_read_are_an_error_of_the_collection(pytester: pytest.Pytester) -> None:
    data = artifacts.driver("cases.sys").read_bytes()
    (pytester.path / "wrong.sys").write_bytes(data.replace(b"limit=0.5", b"limit=now", 1))
    result = run(pytester, "wrong.sys")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*tests/drivers/cases.c:*: the case hangs: 'limit=now': a limit is a number *"])


def test_a_driver_that_does_not_load_fails_its_cases(pytester: pytest.Pytester) -> None:
    data = artifacts.driver("cases.sys").read_bytes()
    (pytester.path / "lacking.sys").write_bytes(data.replace(b"ExAllocatePoolWithTag\0", b"ExAllocatePoolWithTax\0"))
    result = run(pytester, "lacking.sys", "-k", "DEMO-1", *SOME)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["UsageError: *ExAllocatePoolWithTax"])
