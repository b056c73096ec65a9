# SPDX-License-Identifier: Apache-2.0
"""A user's path outside of the checkout: new driver, build, run-driver, its own tests; the same with a bug in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dirql.driverkit.build import build
from dirql.driverkit.new import new_driver

SYNCHRONIZED = (
    "    return KeSynchronizeExecution(extension->Messages->MessageInfo[0].InterruptObject, routine, context);\n"
)
LOCKED = """\
    KeAcquireSpinLockAtDpcLevel(&extension->InterruptLock); /* wrong */
    BOOLEAN result = routine(context);
    KeReleaseSpinLockFromDpcLevel(&extension->InterruptLock);
    return result;
"""
ACQUIRE = "    KeAcquireSpinLock(&extension->StatisticsLock, &irql);\n    if (NT_SUCCESS(status)) {\n"
ACQUIRE_MARKED = """\
    KIRQL old;
    KeAcquireSpinLock(&extension->StatisticsLock, &old); /* taken */
    if (NT_SUCCESS(status)) {
"""
RELEASE = "    KeReleaseSpinLock(&extension->StatisticsLock, irql);\n    if (NT_SUCCESS(status)) {\n"
KEEP = "    if (NT_SUCCESS(status)) {\n"
COMPLETE = "    MydrvComplete(device, irp, status, NT_SUCCESS(status) ? sizeof(ULONG64) : 0);\n"
RELEASE_LATE = "    KeReleaseSpinLock(&extension->StatisticsLock, old);\n"


def dirql(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dirql", *arguments], cwd=cwd, capture_output=True, text=True, timeout=200, check=False
    )


def changed(folder: Path, *changes: tuple[str, str]) -> Path:
    """Build mydrv with changes of its source."""
    new_driver("mydrv", folder)
    source = folder / "mydrv" / "mydrv.c"
    text = source.read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    source.write_text(text)
    build(source)
    return source


def line(source: Path, text: str) -> str:
    """Name the line that holds a text."""
    (number,) = [at for at, line in enumerate(source.read_text().splitlines(), 1) if text in line]
    return f"{source.name}:{number}"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new driver's folder, with the built driver."""
    folder = tmp_path_factory.mktemp("new")
    assert dirql("new", "driver", "mydrv", cwd=folder).returncode == 0
    assert dirql("build", "mydrv.c", cwd=folder / "mydrv").returncode == 0
    return folder / "mydrv"


@pytest.mark.parametrize("cpus", [1, 4])
def test_a_new_driver_runs_and_passes(driver: Path, tmp_path: Path, cpus: int) -> None:
    arguments = ("--cpus", str(cpus), "--interrupts", "300", "--requests", "100", "--cancel", "10", "--json")
    done = dirql("run-driver", str(driver / "mydrv.sys"), *arguments, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["passed"], result["verdict"], result["violations"]) == (True, "ok", [])
    requests, interrupts = result["requests"], result["interrupts"]
    assert set(requests["ended"]) <= {"STATUS_SUCCESS", "STATUS_CANCELLED"}
    assert sum(requests["ended"].values()) == requests["sent"] == 100
    assert 0 < interrupts["dpc"] <= interrupts["isr"] <= interrupts["sent"]  # rings may merge on their way
    shown = dirql("trace", "summary", "run", cwd=tmp_path)
    assert shown.returncode == 0
    assert "requests: sent 100; ended: STATUS_SUCCESS" in shown.stdout


def test_the_same_seed_gives_the_same_run(driver: Path, tmp_path: Path) -> None:
    arguments = ("--mode", "icount", "--interrupts", "100", "--requests", "40", "--cancel", "20", "--seed", "7")
    results = [
        json.loads(
            dirql("run-driver", str(driver / "mydrv.sys"), *arguments, "--json", "--no-export", cwd=tmp_path).stdout
        )
        for _ in range(2)
    ]
    same = ("requests", "interrupts", "trace_records", "per_cpu", "verdict")
    assert [results[0][key] for key in same] == [results[1][key] for key in same]


def test_its_own_tests_pass(driver: Path) -> None:
    arguments = ("-q", "-p", "no:cacheprovider", "test_mydrv.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=driver,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "12 passed" in done.stdout


def test_an_executive_lock_where_synchronisation_belongs_is_told_by_the_trace(tmp_path: Path) -> None:
    source = changed(tmp_path, (SYNCHRONIZED, LOCKED))
    arguments = ("--cpus", "1", "--interrupts", "100", "--requests", "50", "--no-verifier", "--no-export")
    done = dirql("run-driver", str(source.with_suffix(".sys")), *arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "SPIN-19: CPU 0 took the lock" in done.stdout
    assert f"({line(source, '/* wrong */')})" in done.stdout
    assert f"mydrv!MydrvIsr ({line(source, 'BOOLEAN NTAPI MydrvIsr(')})" in done.stdout


def test_an_executive_lock_where_synchronisation_belongs_stops_the_verifier(tmp_path: Path) -> None:
    source = changed(tmp_path, (SYNCHRONIZED, LOCKED))
    done = dirql("run-driver", str(source.with_suffix(".sys")), "--cpus", "2", "--no-export", cwd=tmp_path)
    assert done.returncode == 1
    assert "(0xC4/0x1008)" in done.stderr
    assert "an interrupt spin lock is taken by an executive routine" in done.stderr
    assert f"({line(source, '/* wrong */')})" in done.stderr
    assert f"({line(source, 'IoConnectInterruptEx(&parameters)')})" in done.stderr


@pytest.mark.parametrize("verifier", ["--verifier", "--no-verifier"])
def test_a_request_completed_under_a_lock_is_told_by_both_judges(tmp_path: Path, verifier: str) -> None:
    source = changed(tmp_path, (ACQUIRE, ACQUIRE_MARKED), (RELEASE, KEEP), (COMPLETE, COMPLETE + RELEASE_LATE))
    arguments = ("--cpus", "1", "--interrupts", "20", "--requests", "20", verifier, "--no-export")
    done = dirql("run-driver", str(source.with_suffix(".sys")), *arguments, cwd=tmp_path)
    assert done.returncode == 1
    told = done.stderr if verifier == "--verifier" else done.stdout
    assert ("DDI rule SpinLock" if verifier == "--verifier" else "SPIN-17") in told
    assert f"({line(source, '/* taken */')})" in told
    assert "mydrv" in told


def test_what_cannot_be_run_is_said(driver: Path, tmp_path: Path) -> None:
    image = str(driver / "mydrv.sys")
    for arguments, text in (
        (["none.sys"], "there is no driver none.sys"),
        ([image, "--device", "printer"], "a device is doorbell, edu, none, or VENDOR:DEVICE in hexadecimal"),
        ([image, "--device", "1234:5678"], "the machine has no PCI device 1234:5678"),
        ([image, "--open", "mydrv"], "a device is opened as"),
        ([image, "--open", r"\Device\other"], "STATUS_OBJECT_NAME_NOT_FOUND"),
        ([image, "--ioctl", "x"], "is no number such as 0x222000"),
        ([image, "--parameter", "x"], "is no NAME=VALUE"),
        ([image, "--cancel", "200"], "--cancel is a percentage"),
    ):
        done = dirql("run-driver", *arguments, "--no-export", cwd=tmp_path)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert text in done.stderr
        assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing_running(driver: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dirql", "run-driver", str(driver / "mydrv.sys"), "--requests", "10000000"]
    process = subprocess.Popen(
        [*command, "--out", "run"], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    console = tmp_path / "run" / "console.log"
    while not (console.is_file() and "messages at IRQL" in console.read_text(errors="replace")):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "dirql: interrupted; nothing is left running" in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
