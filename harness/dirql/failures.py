# SPDX-License-Identifier: Apache-2.0
"""What is known of a machine that failed, put into the error that says so: console, CPUs, threads, bugcheck record."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from dirql.errors import (
    DirqlError,
    GuestBugCheck,
    GuestError,
    GuestHang,
    LaunchError,
    MachineLost,
    WaitTimeout,
)
from dirql.guest.verifier import bugcheck_error

if TYPE_CHECKING:
    from dirql.machine import Machine

_EXITS = {
    "HostExitRequested": "the guest ended the machine, as its console's `quit` does",
    "HostExitNoLongMode": "the firmware refused this CPU: it has no long mode; use a 64-bit CPU model",
    "HostExitNoGuest": "the firmware found no guest at 1 MiB: this is no dirql kernel, or not of this firmware",
    "HostExitTooManyCpus": "the firmware refused more than 64 CPUs",
    "HostExitNoPciSpace": "the firmware could not place all PCI devices: their BARs are too large together",
}
_CONSOLE_LINES = 12


class Failures:
    """Explains the failures of one machine.

    Args:
        machine: whose.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._explaining = threading.local()
        self._kept: GuestError | None = None

    def forget(self) -> None:
        """Start anew: the machine is being reset."""
        self._kept = None

    def bugcheck(self) -> GuestBugCheck:
        """Return the error that the guest's bugcheck record tells of."""
        machine = self._machine
        with suppress(DirqlError):
            machine.learn_modules()
        return bugcheck_error(machine.bugcheck, machine.memory, machine.symbols)

    def explain(self, error: DirqlError) -> DirqlError:
        """Put what is known of the guest into an error that a wait is about to raise."""
        if getattr(self._explaining, "now", False):
            return error  # the explanation itself waits for QEMU, and that may fail too
        self._explaining.now = True
        try:
            return self._explained(error)
        finally:
            self._explaining.now = False

    def _explained(self, error: DirqlError) -> DirqlError:
        machine = self._machine
        if isinstance(error, MachineLost | LaunchError) and machine.bugcheck.complete:
            error = self.bugcheck()
        elif isinstance(error, MachineLost | LaunchError):
            return self._exit() or error
        elif isinstance(error, WaitTimeout):
            error = GuestHang(str(error))
        if not isinstance(error, GuestError):
            return error
        if self._kept is None:
            error.console = machine.session.console.tail(_CONSOLE_LINES)
            error.run_folder = machine.folder
            with suppress(DirqlError):
                if isinstance(error, GuestBugCheck):
                    machine.learn_modules()
                    error.cpus = machine.bugcheck.cpus(machine.symbols)
                elif not error.cpus:
                    error.cpus = machine.cpu_states()
                error.threads = machine.threads()
            if not isinstance(error, GuestHang):
                self._kept = error  # the machine is as it is until it is reset: looked at once
            return error
        error.console, error.run_folder, error.cpus = self._kept.console, self._kept.run_folder, self._kept.cpus
        error.threads = self._kept.threads
        return error

    def _exit(self) -> DirqlError | None:
        """What the ROM or the guest said by ending QEMU; None where it was not one of them."""
        machine = self._machine
        exits = machine.kernel.debug.enumeration("HOST_EXIT")
        names = {value << 1 | 1: name for name, value in exits.items()}
        name = names.get(machine.session.process.returncode or 0, "")
        if name == "HostExitRequested":
            return MachineLost(_EXITS[name])
        return LaunchError(_EXITS[name]) if name in _EXITS else None
