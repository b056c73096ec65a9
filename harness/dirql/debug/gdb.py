# SPDX-License-Identifier: Apache-2.0
"""gdb on a machine: every CPU a thread, the symbols of the kernel and of each driver at their place.

gdb speaks to QEMU's stub through an inherited socket (`relay.py`): no port, no path. What gdb knows of the guest is in
`ingdb/`, which runs inside gdb. One gdb can attach to a machine, once.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dirql.errors import DirqlError, UnsupportedError, UsageError, WaitTimeout
from dirql.guest import artifacts, ntstatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dirql.config import MachineConfig
    from dirql.machine import Machine

DEFAULT_TIMEOUT = 60.0
"""Seconds that a batch of gdb commands may take."""

_ATTENDED_SECONDS = 7 * 24 * 3600.0
_HERE = Path(__file__).resolve().parent


def find_gdb(binary: str = "gdb") -> str:
    """Return gdb's absolute path.

    Raises:
        UnsupportedError: there is none.
    """
    found = shutil.which(binary)
    if found is None:
        raise UnsupportedError(f"gdb was not found: there is no program {binary}; install it (apt-get install gdb)")
    return str(Path(found).absolute())


def attach(machine: Machine) -> int:
    """Hold the machine for gdb.

    Under icount the boot CPU is let out of the rendezvous and stays out while gdb is there: QEMU cannot stop for gdb
    while a CPU is held in it. The guest then takes no requests.

    Returns:
        The descriptor that leads to the stub; gdb is to inherit it.

    Raises:
        UsageError: the machine has no stub.
    """
    if not machine.config.gdb:
        raise UsageError("this machine has no gdbstub; boot it with Machine(gdb=True)")
    machine.session.stop()
    stub = machine.session.channels["gdb"]
    # The stub told of each stop so far, though nobody had asked. gdb would take that for answers to its questions.
    with suppress(BlockingIOError):
        while stub.recv(4096, socket.MSG_DONTWAIT):
            pass
    stub.sendall(b"+")
    return stub.fileno()


def gdb_command(
    machine: Machine, fd: int, *, binary: str = "gdb", batch: bool = False
) -> tuple[list[str], dict[str, str]]:
    """Return gdb's arguments, which end where commands may follow, and its environment.

    Args:
        machine: what to debug.
        fd: what `attach` returned.
        binary: gdb's path, or a name in PATH.
        batch: it is to leave the user's own settings alone, ask nothing, and end after its commands.

    Raises:
        UnsupportedError: there is no gdb.
    """
    relay = [sys.executable, "-I", "-S", str(_HERE / "relay.py"), str(fd)]
    build = artifacts.build_folder()
    settings = {
        "sources": [str(build.parent), str(_HERE.parents[2])],
        "drivers": {driver.image.name: str(driver.image.path.resolve()) for driver in machine.drivers},
        "folders": [str(build / "drivers"), str(build / "tests")],
        "names": str(Path(ntstatus.__file__).resolve()),
        "relay": "exec " + shlex.join(relay),
    }
    argv = [find_gdb(binary), "-q", *(("-nx", "-batch") if batch else ())]
    for setting in ("debuginfod enabled off", "confirm off", "breakpoint pending on", "python print-stack full"):
        argv += ["-iex", f"set {setting}"]
    argv += ["-x", str(_HERE / "ingdb" / "commands.py"), str(machine.kernel.path)]
    return argv, {**os.environ, "DIRQL_GDB": json.dumps(settings)}


def run_gdb(
    machine: Machine, commands: Sequence[str] = (), *, batch: bool = True, timeout: float = DEFAULT_TIMEOUT
) -> str:
    """Run gdb on a machine that was booted with `gdb=True`. When gdb ends, the machine goes on without it.

    Args:
        machine: what to debug; it is held from here on until gdb lets it run.
        commands: gdb commands, in order; in a batch, one that fails ends it.
        batch: end after the commands and return what gdb printed; otherwise gdb goes on with the terminal.
        timeout: seconds for a batch.

    Returns:
        What gdb printed in a batch, errors included; nothing otherwise.

    Raises:
        UsageError: the machine has no stub.
        UnsupportedError: there is no gdb.
        WaitTimeout: the batch did not end.
    """
    find_gdb()
    fd = attach(machine)
    argv, environment = gdb_command(machine, fd, batch=batch)
    for command in commands:
        argv += ["-ex", command]
    try:
        if batch:
            return _batch(argv, environment, fd, timeout)
        with _keyboard_interrupts_are_gdbs():
            subprocess.run(argv, env=environment, pass_fds=[fd], check=False)
        return ""
    finally:
        for device in machine.session.devices:
            device.restore()


def debug(
    config: MachineConfig,
    drivers: Sequence[str] = (),
    *,
    stopped: bool = False,
    folder: Path,
    commands: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> int:
    """Boot a machine and give the terminal to gdb. When gdb ends, so does the machine.

    Args:
        config: the machine; its stub is added, and a bugcheck holds it.
        drivers: loaded before gdb starts; with `stopped`, as soon as the guest is up.
        stopped: gdb gets the machine before its first instruction.
        folder: where the logs go; made here.
        commands: what gdb does first.
        say: prints a line for the user.

    Returns:
        The exit status: 0.

    Raises:
        DirqlError: the machine did not boot, or a driver could not be loaded.
        UnsupportedError: there is no gdb.
    """
    from dirql.machine import Machine

    find_gdb()
    paths = [artifacts.driver(driver) for driver in drivers]
    folder.mkdir(parents=True, exist_ok=True)
    loader: threading.Thread | None = None
    with Machine(replace(config, gdb=True, on_bugcheck="pause", stopped=stopped), folder=folder) as machine:
        if stopped and paths:
            loader = threading.Thread(target=_load_later, args=(machine, paths, say), name="dirql-driver-loader")
            loader.start()
        else:
            for path in paths:
                machine.load(path)
        say(_summary(machine, folder))
        run_gdb(machine, commands, batch=False)
    if loader is not None:
        loader.join()
    return 0


def _load_later(machine: Machine, paths: Sequence[Path], say: Callable[[str], None]) -> None:
    """Load drivers while gdb is in charge: as long as it takes."""
    try:
        machine.link.wait_ready(_ATTENDED_SECONDS)
        if machine.rendezvous is not None:
            machine.rendezvous.restore()
        for path in paths:
            machine.load(path, _ATTENDED_SECONDS)
    except DirqlError as error:
        if not machine.session.watch.lost:
            say(f"dirql: {error}")
    finally:
        if machine.rendezvous is not None:
            machine.rendezvous.release()


def _summary(machine: Machine, folder: Path) -> str:
    cpus = machine.cpus
    return "\n".join(
        (
            f"dirql: {cpus} {'CPU is thread 1' if cpus == 1 else f'CPUs are threads 1 to {cpus}'}; $cr8 is the IRQL.",
            "  dirql irql       each CPU's IRQL, routine, and what that interrupted",
            "  dirql modules    loaded drivers and their symbols",
            "  dirql bugcheck   the guest's bugcheck",
            "  break KeBugCheckEx; continue; Ctrl-C stops the guest; quit ends the machine.",
            f"  The guest's console: {folder / 'console.log'}",
        )
    )


def _batch(argv: Sequence[str], environment: dict[str, str], fd: int, timeout: float) -> str:
    try:
        done = subprocess.run(
            argv,
            env=environment,
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode("utf-8", "replace")
        raise WaitTimeout(f"waited {timeout:g} s for gdb to end, which did not; it printed:\n{said}") from None
    return done.stdout.decode("utf-8", "replace")


@contextmanager
def _keyboard_interrupts_are_gdbs() -> Iterator[None]:
    """Ctrl-C reaches every program of the terminal's foreground; here it means only gdb."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN: gdb would inherit that
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
