# SPDX-License-Identifier: Apache-2.0
"""What is recorded, and what a run stops on, said on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dirql.trace.folder import load
from tests.system.cli.test_driver import dirql

if TYPE_CHECKING:
    from pathlib import Path

_RUN = ("run-driver", "abba.sys", "--device", "none", "--mode", "icount", "--no-verifier", "--no-export", "--json")


def test_a_run_ends_with_the_first_violation(tmp_path: Path) -> None:
    chosen = ("--no-trace-class", "memory", "--stop-on", "violation:SPIN-9", "--after", "500")
    done = dirql(*_RUN, "--requests", "100000", *chosen, "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["verdict"] == "violated"
    assert 0 < result["requests"]["sent"] < 100_000  # it did not have to send them all
    assert any("stopped on violation:SPIN-9: SPIN-9: CPU 0 asked for abba!" in note for note in result["notes"])
    trace = load(tmp_path / "run")
    assert trace.meta.triggered is not None
    assert trace.meta.triggered.kept >= 500
    assert not trace.recorded("ImageLoad")
    assert not len(trace.where("ImageLoad"))


def test_what_is_no_condition_is_a_usage_error(tmp_path: Path) -> None:
    done = dirql(*_RUN, "--stop-on", "sometimes", "--out", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "it stops on violation" in done.stderr
