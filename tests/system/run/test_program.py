# SPDX-License-Identifier: Apache-2.0
"""The `dirql` program as a user meets it: output, exit status, bad input, Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def dirql(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dirql", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_run_prints_tables_and_leaves_a_folder(tmp_path: Path) -> None:
    done = dirql("run", "interrupt-storm", "--count", "300", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "INT-ACCOUNT" in done.stdout
    assert "verdict: ok" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json", "result.json", "console.log", "qmp.log", "trace", "timeline.png"} <= files
    assert (tmp_path / "run" / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "run" / "trace.perfetto-trace").stat().st_size > 10_000
    again = dirql("trace", "summary", "run", cwd=tmp_path)
    assert again.returncode == 0
    assert "verdict: ok" in again.stdout


def test_json_is_one_object_with_what_is_promised(tmp_path: Path) -> None:
    done = dirql("run", "interrupt-storm", "--count", "200", "--cpus", "2", "--json", "--no-export", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    promised = "sent isr dpc acknowledged lost cpus mode verdict violations latency_us trace_lost run_folder"
    assert set(promised.split()) <= set(result)
    assert (result["sent"], result["lost"], result["cpus"], result["mode"]) == (200, 0, 2, "mt")
    assert (tmp_path / result["run_folder"] / "result.json").is_file()


def test_dry_run_prints_a_command_line_and_starts_nothing(tmp_path: Path) -> None:
    done = dirql("run", "interrupt-storm", "--dry-run", "--cpus", "3", cwd=tmp_path)
    words = shlex.split(done.stdout)
    assert done.returncode == 0
    assert words[0] == "qemu-system-x86_64"
    assert words[words.index("-smp") + 1] == "3"
    assert any("ivshmem-doorbell" in word for word in words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--cpus", "0"], "1 to 64 CPUs; 0 were asked for"),
        (["--cpus", "65"], "1 to 64 CPUs; 65 were asked for"),
        (["--cpus", "1000"], "1 to 64 CPUs; 1000 were asked for"),
        (["--count", "0"], "at least one interrupt"),
        (["--vectors", "65"], "1 to 64 vectors"),
        (["--window", "0"], "--window is 0"),
        (["--ram", "8"], "at least 32 MiB"),
        (["--ram", "99999999"], "no memory for a guest with 99999999 MiB"),
        (["--qemu", "no-such-qemu"], "no-such-qemu"),
    ],
)
def test_bad_input_is_refused_with_status_2(arguments: list[str], text: str, tmp_path: Path) -> None:
    done = dirql("run", "interrupt-storm", *arguments, "--out", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_qemu_is_named_with_the_way_to_a_new_one(tmp_path: Path) -> None:
    old = tmp_path / "qemu-old"
    old.write_text('#!/bin/sh\ncase "$*" in *version*) echo "QEMU emulator version 5.2.0";; *) exit 1;; esac\n')
    old.chmod(0o755)
    done = dirql("run", "interrupt-storm", "--qemu", str(old), "--out", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "5.2" in done.stderr
    assert "7.2" in done.stderr


def test_a_build_folder_without_images_says_how_to_build(tmp_path: Path) -> None:
    done = dirql("run", "interrupt-storm", "--out", "run", cwd=tmp_path, DIRQL_BUILD=str(tmp_path))
    assert done.returncode == 2
    assert "make build" in done.stderr


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dirql", "run", "interrupt-storm", "--count", "100000000", "--out", "run"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        pids = qemu_children(process, tmp_path / "run" / "trace" / "cpu00.bin")
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    assert pids
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists() and not zombie(pid)] == []
    assert (tmp_path / "run" / "trace" / "meta.json").is_file()


def qemu_children(process: subprocess.Popen[str], trace: Path) -> list[int]:
    """The QEMUs of the run, once its trace has begun: the file appears while the machine runs."""
    poller = os.pidfd_open(process.pid)
    try:
        import select

        waiting = select.poll()
        waiting.register(poller, select.POLLIN)
        while not (trace.exists() and trace.stat().st_size > 0):
            assert not waiting.poll(20), "the run ended before it began"
    finally:
        os.close(poller)
    return [
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and is_qemu_of(entry, process.pid)
    ]


def is_qemu_of(entry: Path, parent: int) -> bool:
    try:
        name, _, rest = (entry / "stat").read_text().partition(")")
        return "qemu" in name and int(rest.split()[1]) == parent
    except FileNotFoundError:
        return False


def zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().partition(")")[2].split()[0] == "Z"
