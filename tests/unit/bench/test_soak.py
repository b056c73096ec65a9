# SPDX-License-Identifier: Apache-2.0
"""The soak's bookkeeping, with programs that stand in for the main job."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from bench import soak as program
from bench.soak import Job, Tally, failure_of
from click.testing import CliRunner

GOOD: dict[str, Any] = {
    "passed": True,
    "verdict": "ok",
    "sent": 100,
    "acknowledged": 100,
    "lost": 0,
    "merged": 1,
    "violations": 0,
    "seconds": 0.5,
    "clauses": [{"clause": "DPC-1", "status": "ok"}],
}
BAD = GOOD | {
    "passed": False,
    "verdict": "violated",
    "violations": 3,
    "clauses": [{"clause": "DPC-1", "status": "violated"}],
}


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the main job be a program that knows `seed` and `folder`."""

    def command(job: Job, seed: int, folder: Path) -> list[str]:
        del job
        text = f"import json, os, sys, time; seed = {seed}; folder = {str(folder)!r}; os.mkdir(folder)\n{code}"
        return [sys.executable, "-c", text]

    monkeypatch.setattr(Job, "command", command)


def run(*arguments: str) -> tuple[object, str]:
    result = CliRunner().invoke(program.soak, arguments, standalone_mode=False, catch_exceptions=False)
    return result.return_value, result.output


def test_good_output_is_no_failure() -> None:
    assert failure_of(0, json.dumps(GOOD)) is None


@pytest.mark.parametrize(
    ("status", "output", "said"),
    [
        (1, json.dumps(BAD), "3 violations of DPC-1"),
        (1, json.dumps(GOOD), "status 1"),
        (2, "", "status 2 and printed no result"),
        (-9, json.dumps(GOOD), "signal 9"),
    ],
)
def test_reasons(status: int, output: str, said: str) -> None:
    reason = failure_of(status, output)
    assert reason is not None
    assert said in reason


def test_tally() -> None:
    tally = Tally()
    assert tally.text(1) == "0 good runs, 1 failures"
    tally.add(2.0, GOOD)
    tally.add(4.0, GOOD)
    text = tally.text(0)
    assert text.startswith("2 runs, 0 failures; 200 interrupts acknowledged, 2 merged")
    assert "3.00 s (median), 4.00 s (longest); 200 interrupts/s" in text


def test_good_runs_leave_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, f"print({json.dumps(GOOD)!r})")
    status, output = run("--runs", "3", "--out", str(tmp_path))
    assert status == 0
    assert output.startswith("3 runs, 0 failures; 300 interrupts")
    assert list(tmp_path.iterdir()) == []


def test_first_failure_ends_it_and_keeps_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = f"print({json.dumps(GOOD)!r} if seed != 8 else {json.dumps(BAD)!r}); print('dirql: why', file=sys.stderr)"
    stand_in(monkeypatch, f"{code}\nsys.exit(seed == 8)")
    status, output = run("--runs", "9", "--seed-first", "7", "--out", str(tmp_path))
    assert status == program.EXIT_FAILED
    assert "2 runs, 1 failures" in output
    assert "seed 8 failed: verdict violated" in output
    assert "| dirql: why" in output
    assert [path.name for path in tmp_path.glob("*/*")] == ["seed-8"]


def test_a_run_that_does_not_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, "time.sleep(600)")
    status, output = run("--runs", "1", "--timeout", "0.5", "--out", str(tmp_path))
    assert status == program.EXIT_FAILED
    assert "it had not ended after 0.5 s" in output


def test_command_is_the_main_job() -> None:
    command = Job("icount", 2, 50, 1.0).command(9, Path("x"))
    assert command[command.index("run") :] == [
        *("run", "interrupt-storm", "--json", "--no-export", "--mode", "icount", "--cpus", "2", "--count", "50"),
        *("--seed", "9", "--out", "x"),
    ]
