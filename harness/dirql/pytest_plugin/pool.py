# SPDX-License-Identifier: Apache-2.0
"""The machines of a pytest session: booted once for each configuration, reset in milliseconds between tests."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self

from dirql.config import MachineConfig
from dirql.errors import CpuState, DirqlError, GuestError, ThreadState
from dirql.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from dirql.qemu.attach import PciDevice

KEPT = 4
"""Machines that a session keeps between tests."""
_CONSOLE_LINES = 12


class MachineFactory(Protocol):
    """What the fixture `machine_factory` is."""

    def __call__(self, *, devices: Sequence[PciDevice] = (), **options: object) -> Machine:
        """Boot a machine.

        Args:
            devices: PCI devices that Python serves.
            options: fields of `MachineConfig`.

        Raises:
            DirqlError: as `Machine`.
        """
        ...


class MachinePool:
    """Lends machines to tests.

    A machine is kept for the next test of its configuration, and reset for it. It is not kept, and the next test boots
    another, if the guest failed, QEMU ended, or the reset fails. A machine with devices that Python serves is never
    kept: what a test left in a device is none of a reset's business. At most a few are kept: the one that was used
    longest ago goes first.

    Args:
        folder: where the machines' folders go.
        limit: how many to keep.

    Attributes:
        boots: how many machines have been booted.
    """

    def __init__(self, folder: Path, limit: int = KEPT) -> None:
        self._folder = folder
        self._limit = limit
        self._kept: dict[MachineConfig, Machine] = {}
        self.boots = 0

    @contextmanager
    def lend(
        self, config: MachineConfig, devices: Callable[[], Sequence[PciDevice]] | None = None
    ) -> Iterator[Machine]:
        """Lend a machine for one test.

        Args:
            config: which.
            devices: called for its served devices; None: it has none.

        Raises:
            DirqlError: it did not boot.
        """
        if devices is not None:
            with self._boot(config, devices()) as machine:
                yield machine
            return
        machine = self._take(config)
        try:
            yield machine
        finally:
            if machine.session.watch.lost or machine.session.watch.failed or config in self._kept:
                machine.close()
            else:
                self._kept[config] = machine
                while len(self._kept) > self._limit:
                    self._kept.pop(next(iter(self._kept))).close()

    @contextmanager
    def factory(self, config: MachineConfig, booted: Callable[[Machine], None]) -> Iterator[MachineFactory]:
        """Lend a function that boots machines and closes them in the end.

        Args:
            config: what its options change.
            booted: told of each machine.
        """
        with ExitStack() as stack:

            def boot(*, devices: Sequence[PciDevice] = (), **options: object) -> Machine:
                wanted = replace(config, **options)  # type: ignore[arg-type]
                machine = stack.enter_context(self._boot(wanted, devices))
                booted(machine)
                return machine

            yield boot

    def close(self) -> None:
        """End all machines that are kept."""
        while self._kept:
            self._kept.popitem()[1].close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _take(self, config: MachineConfig) -> Machine:
        machine = self._kept.pop(config, None)
        if machine is not None:
            try:
                machine.reset()
            except DirqlError:
                machine.close()
            else:
                return machine
        return self._boot(config, ())

    def _boot(self, config: MachineConfig, devices: Sequence[PciDevice]) -> Machine:
        self.boots += 1
        folder = self._folder / f"{os.getpid()}-{self.boots:03}-cpus{config.cpus}-{config.mode}"
        folder.mkdir(parents=True)
        return Machine(config, devices=devices, folder=folder)


def describe(machine: Machine) -> str:
    """Return what is known of a machine, for the report of a failed test."""
    message = "the guest was running"
    cpus: tuple[CpuState, ...] = ()
    threads: tuple[ThreadState, ...] = ()
    try:
        machine.session.watch.check()
    except GuestError as error:
        return str(error)
    except DirqlError as error:
        message = str(error)
    else:
        with suppress(DirqlError):
            cpus = machine.cpu_states()
            threads = machine.threads()
    tail = machine.session.console.tail(_CONSOLE_LINES)
    return str(GuestError(message, cpus, tail, machine.folder, threads))
