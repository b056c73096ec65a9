# SPDX-License-Identifier: Apache-2.0
"""`dirql clauses` as a user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from dirql.guest import artifacts
from dirql.target.cases import read_cases

CASES = artifacts.driver("cases.sys")
PROGRAM = [sys.executable, "-m", "dirql", "clauses"]


def clauses(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_the_list_runs_nothing_and_shows_every_clause() -> None:
    done = clauses("--list", str(CASES))
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  ") and line.strip()}
    assert {"SPIN-1", "DPC-19", "IPI-1", "0xC4/0x30", "DEMO-1"} <= set(rows)
    assert rows["DEMO-4"].split()[-1] == "3"
    assert "runs passed" not in done.stdout


def test_a_failed_case_fails_its_clause(tmp_path: Path) -> None:
    done = clauses(str(CASES), "--cpus=2", "--mode=mt", "--verifier=off", "--json", f"--out={tmp_path}")
    assert done.returncode == 1, done.stderr
    data = json.loads(done.stdout)
    rows = {row["clause"]: row for row in data["clauses"]}
    assert rows["DEMO-1"]["modes"] == {"mt": {"passed": 1, "failed": 0}}
    assert rows["DEMO-6"]["modes"] == {"mt": {"passed": 1, "failed": 2}}
    assert rows["SPIN-1"]["modes"] == {}
    assert rows["SPIN-15"]["cases"] == ["SPIN-15-tests-a-lock-and-takes-it"]
    assert {failure["kind"] for failure in data["failures"]} == {
        "assertion", "leftover", "bugcheck", "no bugcheck", "hang", "oracle"
    }  # fmt: skip
    assert data["runs"] == len(read_cases(CASES))
    assert list(tmp_path.iterdir())


def test_the_table_names_what_failed_and_what_is_missing() -> None:
    done = clauses(str(CASES), "--cpus=2", "--mode=mt", "--verifier=off", "--section=other", "--section=IPI")
    assert done.returncode == 1
    assert "FAILED 2 of 3" in done.stdout
    assert "DEMO-2-fails-on-another-cpu-cpus2-mt-verifier-off: assertion" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_what_makes_no_sense_is_refused() -> None:
    for arguments, said in {
        ("--section=99",): "there is no section 99; the sections are 0b, 1, ",
        ("--cpus=0",): "numbers of CPUs, 1 to 64",
        ("--mode=warp",): "mt, icount, kvm",
        ("none.sys",): "none.sys",
        (str(artifacts.driver("refuse.sys")),): "holds no cases",
    }.items():
        done = clauses(*arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    command = [*PROGRAM, str(CASES), "--cpus=2", "--mode=mt", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        machine = _first_folder(process, tmp_path)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "dirql: interrupted; nothing is left running" in said
    assert "Traceback" not in said
    assert (machine / "qmp.log").is_file()


def _first_folder(process: subprocess.Popen[str], folder: Path) -> Path:
    """Wait until the program has made the folder of its first machine."""
    while process.poll() is None:
        for found in folder.iterdir():
            if (found / "qmp.log").is_file():
                return found
    raise AssertionError(process.communicate()[1])
