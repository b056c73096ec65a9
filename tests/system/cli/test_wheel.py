# SPDX-License-Identifier: Apache-2.0
"""The wheel: what it holds is enough to make, build and run a driver, far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]


def test_a_wheel_needs_no_checkout(tmp_path: Path) -> None:
    subprocess.run([CHECKOUT / "tools" / "wheel", tmp_path], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("dirql-*.whl")
    place = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(place),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    environment = {name: value for name, value in os.environ.items() if name != "DIRQL_BUILD"}
    environment["PYTHONPATH"] = str(place)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = run("-c", "import dirql; from dirql.guest import artifacts; print(dirql.__file__, artifacts.kernel())")
    assert all(path.startswith(str(place)) for path in where.split())
    run("-m", "dirql", "new", "driver", "mydrv")
    run("-m", "dirql", "build", "mydrv")
    load = ("--interrupts", "20", "--requests", "20", "--cpus", "2", "--json", "--no-export")
    assert json.loads(run("-m", "dirql", "run-driver", "mydrv.sys", *load))["passed"]
