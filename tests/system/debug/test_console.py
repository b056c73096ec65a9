# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from dirql.debug.console import attach_console
from dirql.debug.consolelink import PROMPT, ConsoleLink, EchoFilter
from dirql.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

MODES = pytest.mark.parametrize("mode", ["mt", "icount"])


PROGRAM = (sys.executable, "-m", "dirql")


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_echo_and_prompt_are_taken_out_however_the_text_is_cut(step: int) -> None:
    filter_ = EchoFilter()
    filter_.sent("irql")
    data = b"irql\r\ncpu irql\r\n  0    2\r\ndirql is not the prompt\r\ndirql> doorbell: rung\r\n"
    shown = "".join(filter_.feed(data[at : at + step]) for at in range(0, len(data), step))
    assert shown == "cpu irql\n  0    2\ndirql is not the prompt\ndoorbell: rung\n"
    assert filter_.prompts == 1


def test_text_of_another_cpu_within_an_echo_is_shown() -> None:
    filter_ = EchoFilter()
    filter_.sent("cpus")
    assert filter_.feed(b"cpdoorbell: hello\r\nus\r\n") == "doorbell: hello\n"


def test_text_without_a_command_is_shown_as_it_is() -> None:
    filter_ = EchoFilter()
    assert filter_.feed(b"dirql> hello \xc3") + filter_.feed(b"\xa9\r\n") == "dirql> hello é\n"
    assert filter_.prompts == 0


@MODES
def test_lines_from_a_pipe_are_answered_plain(mode: str) -> None:
    with Machine(cpus=2, mode=mode) as machine:
        out = io.StringIO()
        assert attach_console(machine, source=io.StringIO("bogus\n\nrun ipi 5\nquit\nbogus\n"), out=out) == 0
        machine.link.request("Ping")  # the guest takes requests as before
    bogus, ipi = out.getvalue().splitlines()
    assert bogus == "no command 'bogus'; 'help' lists them"
    assert ipi.startswith("ipi: 5 calls to 1 other CPUs, 5 answers of 5")


@MODES
def test_a_pipe_through_the_program(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run(
        [*PROGRAM, "console", "--cpus", "2", "--mode", mode, "--folder", str(folder)],
        input="trace off\nimages",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("trace off, full ring:")
    assert done.stdout.endswith("image\n")
    assert PROMPT not in done.stdout
    assert b"dirql> images" in (folder / "console.log").read_bytes()


def test_a_bugcheck_is_told_and_is_a_failure() -> None:
    with Machine(cpus=2) as machine:
        machine.inject.vector(1, 0x12)  # the machine check exception's vector
        out = io.StringIO()
        assert attach_console(machine, source=io.StringIO("run lock 100000000\n"), out=out) == 1
    assert "bugcheck 0x7f UNEXPECTED_KERNEL_MODE_TRAP" in out.getvalue()


def test_the_commands_are_read_from_the_guest() -> None:
    with Machine(cpus=1) as machine:
        words = ConsoleLink(machine).words()
    assert words["help"] == "this list"
    assert "run ipi" in words


def terminal(folder: Path, *options: str) -> pexpect.spawn[str]:
    environment = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    arguments = [*PROGRAM[1:], "console", "--folder", str(folder / "run"), *options]
    return pexpect.spawn(PROGRAM[0], arguments, encoding="utf-8", timeout=60, env=environment)


@MODES
def test_at_a_terminal_there_is_completion_and_a_line_can_be_dropped(mode: str, tmp_path: Path) -> None:
    console = terminal(tmp_path, "--cpus", "2", "--mode", mode)
    console.expect_exact("dirql>")
    console.send("junk\x03he")  # Ctrl-C drops the line
    console.expect_exact("he")
    console.send("\t")
    console.expect_exact("lp")
    console.send("\r")
    console.expect_exact("this list")
    console.expect_exact("dirql>")
    console.send("run ipi 7\r")
    console.expect_exact("ipi: 7 calls to 1 other CPUs, 7 answers of 7")
    console.expect_exact("dirql>")
    console.send("\x1b[A\r")  # the line before
    console.expect_exact("ipi: 7 calls")
    console.expect_exact("dirql>")
    console.send("\x04")
    console.expect(pexpect.EOF)
    console.close()
    assert console.exitstatus == 0
