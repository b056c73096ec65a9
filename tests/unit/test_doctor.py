# SPDX-License-Identifier: Apache-2.0
"""The doctor, on hosts that lack something: PATH holds only what a test puts there."""

from __future__ import annotations

import errno
import importlib.metadata
import io
import json
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from dirql import doctor
from dirql.doctor import Finding, Verdict

DEVICES = ("edu", "isa-debug-exit", "ivshmem-doorbell", "loader", "x-pci-proxy-dev")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that wants one tool and one Python package that is there."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "packages.txt").write_text("# comment\n\nqemu-system-x86  qemu-system-x86_64\n")
    (folder / "constraints.txt").write_text(f"pytest=={importlib.metadata.version('pytest')}\n")
    return folder


def tool(commands: Path, name: str, script: str) -> None:
    """Put a command on PATH."""
    (commands / name).write_text(f"#!/bin/sh\n{script}\n")
    (commands / name).chmod(0o755)


def qemu(commands: Path, version: str = "7.2.22", devices: tuple[str, ...] = DEVICES) -> None:
    """Put a QEMU on PATH that says which version it is and which devices it has."""
    listed = "".join(f'name "{device}", bus PCI\\n' for device in devices)
    tool(
        commands,
        doctor.QEMU,
        f"case $1 in --version) echo 'QEMU emulator version {version} (fake)';; -device) printf '{listed}';; esac",
    )


def named(findings: list[Finding], name: str) -> Finding:
    """The one finding of that name."""
    (found,) = (finding for finding in findings if finding.name == name)
    return found


@pytest.mark.usefixtures("commands")
def test_missing_tool_is_named_with_the_line_that_installs_it(checkout: Path) -> None:
    findings = doctor.examine(checkout)
    found = named(findings, "qemu-system-x86_64")
    assert found.verdict is Verdict.MISSING
    assert found.remedy.endswith("apt-get install --no-install-recommends qemu-system-x86")
    assert not [finding for finding in findings if finding.group == "QEMU"]
    assert doctor.exit_status(findings) == 1


def test_good_host_lacks_nothing(commands: Path, checkout: Path) -> None:
    qemu(commands)
    findings = doctor.examine(checkout)
    assert named(findings, "qemu-system-x86_64").detail == "QEMU emulator version 7.2.22 (fake)"
    assert named(findings, "pytest").verdict is Verdict.OK
    assert {finding.name for finding in findings if finding.group == "QEMU"} == {"version", *DEVICES}
    assert doctor.exit_status(findings) == 0


@pytest.mark.parametrize(
    ("version", "verdict"), [("6.2.0", Verdict.MISSING), ("7.2.0", Verdict.OK), ("9.1.3", Verdict.OK)]
)
def test_version_of_qemu(commands: Path, checkout: Path, version: str, verdict: Verdict) -> None:
    qemu(commands, version)
    assert named(doctor.examine(checkout), "version").verdict is verdict


def test_device_that_the_main_job_needs_is_missing(commands: Path, checkout: Path) -> None:
    qemu(commands, devices=tuple(device for device in DEVICES if device != "ivshmem-doorbell"))
    findings = doctor.examine(checkout)
    assert named(findings, "ivshmem-doorbell").verdict is Verdict.MISSING
    assert doctor.exit_status(findings) == 1


@pytest.mark.parametrize(("version", "devices"), [("7.2.0", ("edu",)), ("10.0.2", ("edu", "x-pci-proxy-dev"))])
def test_without_a_working_proxy_device_only_a_part_is_lost(
    commands: Path, checkout: Path, version: str, devices: tuple[str, ...]
) -> None:
    qemu(commands, version, devices)
    assert named(doctor.examine(checkout), "x-pci-proxy-dev").verdict is Verdict.NOTE


def test_tool_that_does_not_run(commands: Path, checkout: Path) -> None:
    tool(commands, doctor.QEMU, "exit 3")
    assert named(doctor.examine(checkout), doctor.QEMU).verdict is Verdict.MISSING


@pytest.mark.usefixtures("commands")
def test_file_and_module_of_the_list(checkout: Path, tmp_path: Path) -> None:
    listing = f"here {tmp_path}\ngone {tmp_path}/gone\nstdlib python3:json\nvenv python3:no_such_module\n"
    (checkout / "packages.txt").write_text(listing)
    findings = {finding.package: finding for finding in doctor.examine(checkout) if finding.group == "tools"}
    assert {package: finding.verdict for package, finding in findings.items()} == {
        "here": Verdict.OK,
        "gone": Verdict.MISSING,
        "stdlib": Verdict.OK,
        "venv": Verdict.NOTE,
    }


@pytest.mark.usefixtures("commands")
def test_python_packages_against_their_pins(checkout: Path) -> None:
    (checkout / "constraints.txt").write_text("pytest==0.0.1\nno-such-package==1.0\n")
    findings = doctor.examine(checkout)
    assert named(findings, "pytest").verdict is Verdict.NOTE
    assert named(findings, "no-such-package").verdict is Verdict.MISSING


@pytest.mark.usefixtures("commands")
def test_outside_a_checkout(tmp_path: Path) -> None:
    findings = doctor.examine(tmp_path)
    assert named(findings, "packages.txt").verdict is Verdict.MISSING
    assert named(findings, "constraints.txt").verdict is Verdict.MISSING


@pytest.mark.usefixtures("commands")
def test_kernel_feature_that_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "memfd_create", refuse)
    found = named(doctor.examine(checkout), "memfd")
    assert found.verdict is Verdict.MISSING
    assert "Function not implemented" in found.detail


@pytest.mark.usefixtures("commands")
def test_one_cpu_is_noted(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert named(doctor.examine(checkout), "CPUs").verdict is Verdict.NOTE


def test_remedies_join_all_packages_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    findings = [
        Finding("tools", "gdb", Verdict.MISSING, "", package="gdb", remedy="x"),
        Finding("tools", "gcc", Verdict.MISSING, "", package="gcc", remedy="y"),
        Finding("tools", "git", Verdict.OK, "", package="git"),
        Finding("Python", "a", Verdict.NOTE, "", remedy="pip"),
        Finding("Python", "b", Verdict.NOTE, "", remedy="pip"),
    ]
    assert doctor.remedies(findings) == ["sudo apt-get install --no-install-recommends gcc gdb", "pip"]


def test_show_lists_each_finding_and_never_breaks_a_line_to_copy() -> None:
    console = Console(width=60, record=True, file=io.StringIO())
    packages = [f"a-package-with-a-long-name-{number}" for number in range(5)]
    findings = [Finding("tools", package, Verdict.MISSING, "not on PATH", package) for package in packages]
    doctor.show(findings, console)
    text = console.export_text()
    assert doctor.apt_line(packages) in text
    assert text.count("missing") == len(packages)


def test_show_says_when_nothing_is_missing() -> None:
    console = Console(width=60, record=True, file=io.StringIO())
    doctor.show([Finding("host", "memfd", Verdict.OK, "RAM")], console)
    assert "Nothing is missing." in console.export_text()


def test_json_holds_every_field() -> None:
    finding = Finding("tools", "gdb", Verdict.MISSING, "not on PATH", "gdb", "apt-get install gdb")
    assert json.loads(doctor.to_json([finding])) == [
        {
            "group": "tools",
            "name": "gdb",
            "verdict": "missing",
            "detail": "not on PATH",
            "package": "gdb",
            "remedy": "apt-get install gdb",
        }
    ]


def test_this_host_is_examined_against_this_checkout() -> None:
    findings = doctor.examine()
    pins = doctor.CHECKOUT.joinpath("constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    assert {pin.partition("==")[0] for pin in pins} < {finding.name for finding in findings}
