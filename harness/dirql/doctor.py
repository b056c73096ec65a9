# SPDX-License-Identifier: Apache-2.0
"""What dirql needs of its host: what is here, what is missing, how to get it.

`examine` looks and `show` tells. What must be there is written down once, in the checkout: in packages.txt (commands
and files, each beside the Debian package that brings it) and in constraints.txt (Python packages and their versions).
"""

from __future__ import annotations

import ctypes
import enum
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

CHECKOUT = Path(__file__).resolve().parents[2]
QEMU = "qemu-system-x86_64"
QEMU_MINIMUM = (7, 2)
QEMU_WITHOUT_PROXY = (10, 0)
PYTHON_MINIMUM = (3, 11)
MEMORY_WANTED = 512 << 20
CPUS_WANTED = 2
COMMAND_SECONDS = 20.0
PR_GET_PDEATHSIG = 2


class Verdict(enum.StrEnum):
    """How a finding counts."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        group: what kind of thing: tools, QEMU, Python or host.
        name: the thing.
        verdict: OK; NOTE, where dirql works but not all of it, or not as tested; MISSING, where it does not work.
        detail: what was found: a version, a path, what is wrong.
        package: the Debian package that brings it; empty where none does.
        remedy: what to do about it: a line for a shell, or words; empty where nothing is to be done.
    """

    group: str
    name: str
    verdict: Verdict
    detail: str
    package: str = ""
    remedy: str = ""


def examine(checkout: Path = CHECKOUT) -> list[Finding]:
    """Look at everything that dirql needs.

    Args:
        checkout: the folder with packages.txt and constraints.txt.

    Returns:
        The findings, grouped, in the order to show them in.
    """
    return [*_tools(checkout), *_qemu(), *_python(checkout), *_host()]


def exit_status(findings: Iterable[Finding]) -> int:
    """Say whether dirql can work.

    Args:
        findings: of `examine`.

    Returns:
        1 if something that dirql cannot do without is missing, else 0.
    """
    return int(any(finding.verdict is Verdict.MISSING for finding in findings))


def apt_line(packages: Iterable[str]) -> str:
    """Write the command that installs Debian packages.

    Args:
        packages: their names.

    Returns:
        A line for a shell, beginning with sudo for anybody but root.
    """
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends {' '.join(sorted(set(packages)))}"


def remedies(findings: Sequence[Finding]) -> list[str]:
    """List what to do about everything that is not as it should be.

    Args:
        findings: of `examine`.

    Returns:
        One line for all Debian packages together, then the other remedies, each once.
    """
    wrong = [finding for finding in findings if finding.verdict is not Verdict.OK]
    packages = [finding.package for finding in wrong if finding.package]
    lines = [apt_line(packages)] if packages else []
    return lines + list(dict.fromkeys(finding.remedy for finding in wrong if finding.remedy and not finding.package))


def to_json(findings: Iterable[Finding]) -> str:
    """Write findings for a program.

    Args:
        findings: of `examine`.

    Returns:
        A JSON array of one object for each finding, its keys those of `Finding`.
    """
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def render(findings: Iterable[Finding]) -> Table:
    """Lay findings out for a person.

    Args:
        findings: of `examine`.

    Returns:
        A table, one row for each finding, one section for each group.
    """
    from rich.table import Table
    from rich.text import Text

    styles = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.MISSING: "bold red"}
    table = Table("what", "is", "found")
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            table.add_section()
            table.add_row(Text(group, style="bold"))
        table.add_row(
            Text(f"  {finding.name}", overflow="fold"),
            Text(finding.verdict, style=styles[finding.verdict]),
            Text(finding.detail, overflow="fold"),
        )
    return table


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print findings, then what to do, in lines that are never broken: they are there to be copied.

    Args:
        findings: of `examine`.
        console: where to.
    """
    from rich.text import Text

    console.print(render(findings))
    todo = remedies(findings)
    for line in ["To do:", *(f"  {line}" for line in todo)] if todo else ["Nothing is missing."]:
        console.print(Text(line), soft_wrap=True)


def _tools(checkout: Path) -> list[Finding]:
    """Look for what packages.txt lists: commands, files, modules of python3."""
    listing = checkout / "packages.txt"
    if not listing.is_file():
        return [_no_checkout("tools", listing)]
    return [_tool(package, use) for package, use in _lines(listing)]


def _tool(package: str, use: str) -> Finding:
    """Look for one thing that a Debian package brings, as packages.txt names it."""
    finding = Finding("tools", use, Verdict.OK, "", package)
    remedy = apt_line([package])
    if use.startswith("/"):
        if Path(use).exists():
            return replace(finding, detail="there")
        return replace(finding, verdict=Verdict.MISSING, detail="no such file", remedy=remedy)
    if use.startswith("python3:"):
        if importlib.util.find_spec(use.partition(":")[2]) is not None:
            return replace(finding, detail="there")
        return replace(finding, verdict=Verdict.NOTE, detail="absent; only making .venv anew needs it", remedy=remedy)

    path = shutil.which(use)
    if path is None:
        return replace(finding, verdict=Verdict.MISSING, detail="not on PATH", remedy=remedy)
    output = _output([path, "--version"])
    if output is None:
        return replace(finding, verdict=Verdict.MISSING, detail=f"{path} does not run", remedy=remedy)
    return replace(finding, detail=output.partition("\n")[0].strip())


def _qemu() -> list[Finding]:
    """Look at the version of QEMU and at the devices it has. Its absence is for `_tools` to say."""
    path = shutil.which(QEMU)
    version = _qemu_version(path) if path else None
    if path is None or version is None:
        return []
    text = ".".join(map(str, version))
    minimum = ".".join(map(str, QEMU_MINIMUM))
    enough = version >= QEMU_MINIMUM
    findings = [
        Finding(
            "QEMU",
            "version",
            Verdict.OK if enough else Verdict.MISSING,
            text if enough else f"{text}, older than {minimum}",
            remedy="" if enough else f"install QEMU {minimum} or later (Debian 12 has it)",
        )
    ]
    listed = _output([path, "-device", "help"]) or ""
    devices = set(re.findall(r'^name "([^"]+)"', listed, re.MULTILINE))
    for name, use, verdict in (
        ("ivshmem-doorbell", "interrupts raised by an eventfd", Verdict.MISSING),
        ("isa-debug-exit", "the guest's way to end the machine", Verdict.MISSING),
        ("loader", "the guest's image", Verdict.MISSING),
        ("edu", "line interrupts and DMA", Verdict.NOTE),
    ):
        if name in devices:
            findings.append(Finding("QEMU", name, Verdict.OK, use))
        else:
            findings.append(Finding("QEMU", name, verdict, f"absent; it serves {use}", remedy=_OTHER_QEMU))
    return [*findings, _proxy(devices, version)]


_OTHER_QEMU = "install a QEMU with all its PCI devices (Debian's has them)"


def _proxy(devices: set[str], version: tuple[int, ...]) -> Finding:
    """Judge the device by which Python serves registers, which QEMU 10.0 still lists but cannot start on TCG."""
    name = "x-pci-proxy-dev"
    lost = "no PCI devices in Python, so no rendezvous: icount cannot inject deterministically"
    if name not in devices:
        return Finding("QEMU", name, Verdict.NOTE, f"absent; {lost}", remedy=_OTHER_QEMU)
    if version >= QEMU_WITHOUT_PROXY:
        remedy = "use a QEMU older than 10.0 for icount and PCI devices in Python"
        return Finding("QEMU", name, Verdict.NOTE, f"there, but crashes on TCG from QEMU 10.0; {lost}", remedy=remedy)
    return Finding("QEMU", name, Verdict.OK, "PCI devices in Python")


def _qemu_version(path: str) -> tuple[int, ...] | None:
    """Ask QEMU for its version; None where it does not say."""
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", _output([path, "--version"]) or "")
    return tuple(map(int, match.groups())) if match else None


def _python(checkout: Path) -> list[Finding]:
    """Look at Python and at each package that constraints.txt pins."""
    enough = sys.version_info >= PYTHON_MINIMUM
    minimum = ".".join(map(str, PYTHON_MINIMUM))
    findings = [
        Finding(
            "Python",
            "python",
            Verdict.OK if enough else Verdict.MISSING,
            f"{platform.python_version()}, {sys.executable}",
            remedy="" if enough else f"make PYTHON3=... with Python {minimum} or later",
        )
    ]
    listing = checkout / "constraints.txt"
    if not listing.is_file():
        return [*findings, _no_checkout("Python", listing)]
    remedy = f"{sys.executable} -m pip install -c constraints.txt -e '.[dev]'"
    for name, version in (line[0].split("==") for line in _lines(listing)):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding("Python", name, Verdict.MISSING, f"absent; {version} is wanted", remedy=remedy))
            continue
        if found == version:
            findings.append(Finding("Python", name, Verdict.OK, version))
        else:
            findings.append(Finding("Python", name, Verdict.NOTE, f"{found}; tested with {version}", remedy=remedy))
    return findings


def _host() -> list[Finding]:
    """Look at what the kernel and the machine give."""
    memory = _available_memory()
    cpus = len(os.sched_getaffinity(0))
    return [
        _feature("memfd", "RAM shared with the guest", lambda: os.close(os.memfd_create("dirql-doctor"))),
        _feature("eventfd", "doorbells", lambda: os.close(os.eventfd(0))),
        _feature("pidfd", "waiting for QEMU's end", lambda: os.close(os.pidfd_open(os.getpid()))),
        _feature("PDEATHSIG", "QEMU ends with dirql, however dirql ends", _get_parent_death_signal),
        _kvm(),
        Finding(
            "host",
            "free memory",
            Verdict.OK if memory >= MEMORY_WANTED else Verdict.NOTE,
            f"{memory >> 20} MiB" + ("" if memory >= MEMORY_WANTED else f"; {MEMORY_WANTED >> 20} MiB are wanted"),
        ),
        Finding(
            "host",
            "CPUs",
            Verdict.OK if cpus >= CPUS_WANTED else Verdict.NOTE,
            f"{cpus}" + ("" if cpus >= CPUS_WANTED else "; the guest's CPUs never run at the same time"),
        ),
    ]


def _feature(name: str, use: str, attempt: Callable[[], None]) -> Finding:
    """Try a feature of the kernel."""
    try:
        attempt()
    except OSError as error:
        remedy = "Linux 5.4 or later, and a container that lets the call through"
        return Finding("host", name, Verdict.MISSING, f"refused: {error.strerror}; it serves {use}", remedy=remedy)
    return Finding("host", name, Verdict.OK, use)


def _get_parent_death_signal() -> None:
    """Read this process's parent-death signal, which changes nothing and tells that the kernel has the feature."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_GET_PDEATHSIG, ctypes.byref(ctypes.c_int()), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _kvm(device: Path = Path("/dev/kvm")) -> Finding:
    """Try to open KVM's device, which only one mode wants."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding("host", str(device), Verdict.NOTE, f"{error.strerror}; only --mode kvm wants it")
    return Finding("host", str(device), Verdict.OK, "opens; --mode kvm uses it if a probing boot shows that it works")


def _available_memory() -> int:
    """Return how many bytes of memory the kernel says new programs may have; 0 where it does not say."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    return int(match[1]) << 10 if match else 0


def _no_checkout(group: str, listing: Path) -> Finding:
    """Say that a list is not where a checkout has it."""
    remedy = "run dirql from its checkout (make run there sets it up): it builds its guest from there"
    return Finding(group, listing.name, Verdict.MISSING, f"no {listing}", remedy=remedy)


def _lines(listing: Path) -> list[list[str]]:
    """Split each line of a list into its words; comments and empty lines are left out."""
    lines = (line.split() for line in listing.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return [words for words in lines if words]


def _output(command: Sequence[str]) -> str | None:
    """Run a command and return what it prints; None where it does not start, fails or does not end in time."""
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout
