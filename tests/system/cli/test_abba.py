# SPDX-License-Identifier: Apache-2.0
"""Two locks in opposite orders, in a run that does not hang: either judge tells, with the lines of the acquisitions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.system.cli.test_driver import dirql

SOURCE = Path(__file__).resolve().parents[3] / "guest" / "drivers" / "abba.c"
ACQUISITIONS = [
    f"guest/drivers/abba.c:{number}"
    for number, line in enumerate(SOURCE.read_text(encoding="utf-8").splitlines(), 1)
    if "KeAcquireSpinLock" in line
]


@pytest.mark.parametrize(("verifier", "told"), [("--verifier", "failure.json"), ("--no-verifier", "result.json")])
def test_the_order_of_locks_is_told(tmp_path: Path, verifier: str, told: str) -> None:
    arguments = ("--device", "none", "--mode", "icount", "--seed", "1", verifier, "--json", "--no-export")
    done = dirql("run-driver", "abba.sys", *arguments, "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    files = {path.name for path in (tmp_path / "run").glob("*.json")}
    assert files == {"run.json", told}
    kept = json.loads((tmp_path / "run" / told).read_text(encoding="utf-8"))
    run = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert "-icount" in run["qemu_command_line"]
    if verifier == "--verifier":
        assert (kept["error"], kept["code"], kept["parameters"][0]) == ("VerifierViolation", 0xC4, 0x1001)
        text = kept["text"]
    else:
        (violation,) = kept["violations"]
        assert violation["clause"] == "SPIN-9"
        assert "abba!QueueLock while it held abba!CountLock" in violation["text"]
        text = " ".join(violation["sites"])
    assert len(ACQUISITIONS) == 4
    assert set(re.findall(r"guest/drivers/abba\.c:\d+", text)) >= set(ACQUISITIONS)
