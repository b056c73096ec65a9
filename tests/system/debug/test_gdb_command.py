# SPDX-License-Identifier: Apache-2.0
"""`dirql gdb`, at a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = r"\(gdb\) "


def dirql_gdb(folder: Path, *options: str) -> pexpect.spawn[str]:
    arguments = ["-m", "dirql", "gdb", "--folder", str(folder / "run"), *options]
    return pexpect.spawn(sys.executable, arguments, cwd=str(folder), encoding="utf-8", timeout=60)


def ended(terminal: pexpect.spawn[str]) -> int | None:
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus


def test_it_begins_with_a_summary_and_ends_with_gdb(tmp_path: Path) -> None:
    terminal = dirql_gdb(tmp_path, "--cpus", "2", "--driver", "doorbell.sys")
    terminal.expect("2 CPUs are threads 1 to 2")
    terminal.expect_exact(str(tmp_path / "run" / "console.log"))
    terminal.expect(PROMPT)
    terminal.sendline("dirql modules")
    terminal.expect("doorbell.sys: /")
    terminal.expect(PROMPT)
    terminal.sendline("quit")
    assert ended(terminal) == 0
    assert (tmp_path / "run" / "console.log").is_file()


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_a_stopped_machine_can_be_caught_in_its_drivers_entry(mode: str, tmp_path: Path) -> None:
    terminal = dirql_gdb(
        tmp_path, "--stopped", "--cpus", "2", "--mode", mode, "--driver", "doorbell.sys", "--ex", "break DriverEntry"
    )
    terminal.expect(PROMPT)
    terminal.sendline("dirql irql")
    terminal.expect("the guest has not started yet")
    terminal.expect(PROMPT)
    terminal.sendline("continue")
    terminal.expect("hit Breakpoint 1")
    terminal.expect(PROMPT)
    terminal.sendline("bt 2")
    terminal.expect("IopStartDriver")
    terminal.expect(PROMPT)
    terminal.sendline("quit")
    assert ended(terminal) == 0


def test_a_driver_that_does_not_exist_is_named_before_anything_starts(tmp_path: Path) -> None:
    terminal = dirql_gdb(tmp_path, "--driver", "no-such.sys")
    terminal.expect("there is no driver no-such.sys")
    assert ended(terminal) == 2
