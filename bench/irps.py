# SPDX-License-Identifier: Apache-2.0
"""The host half of `irpstorm.sys`: IRPs from all CPUs, cancelled at random, each completed once, by its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.errors import GuestError

if TYPE_CHECKING:
    from dirql.machine import Driver

DRIVER = "irpstorm.sys"
_ALL_RIGHT = 0xFFFF_FFFF


@dataclass(frozen=True)
class Storm:
    """What one storm is made of.

    Attributes:
        irps: of all CPUs together; each sends as many.
        seed: of all that is drawn.
        cancel: percentage of sent IRPs after which the sender cancels one of anybody's.
        queued: percentage that goes to the device with the cancel-safe queue, the others to the one with StartIo.
        stray: percentage of sent IRPs after which an interrupt comes that no device asked for.
        deferred: DeferredStartIo.
    """

    irps: int
    seed: int = 1
    cancel: int = 30
    queued: int = 50
    stray: int = 10
    deferred: bool = True


@dataclass(frozen=True)
class Figures:
    """What came of storms, added up.

    Attributes:
        once: IRPs that were completed exactly once.
        succeeded, cancelled: how they ended.
        cancels: calls of IoCancelIrp; cancel_calls: those that called a Cancel routine.
        interrupts: that a device had asked for; strays: others.
        dpcs, started: runs of the devices' DPCs, calls of StartIo.
        ticks: of the guest's TSC.
    """

    once: int = 0
    succeeded: int = 0
    cancelled: int = 0
    cancels: int = 0
    cancel_calls: int = 0
    interrupts: int = 0
    strays: int = 0
    dpcs: int = 0
    started: int = 0
    ticks: int = 0

    def __add__(self, other: Figures) -> Figures:
        """Add up, figure by figure."""
        return Figures(*(mine + theirs for mine, theirs in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """Return the figures in the order of their names."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def text(self) -> str:
        """Return them as text of one line."""
        return (
            f"{self.once:,} IRPs completed once each ({self.succeeded:,} done, {self.cancelled:,} cancelled); "
            f"{self.cancels:,} cancels, {self.cancel_calls:,} of them called a Cancel routine; {self.interrupts:,} "
            f"interrupts and {self.strays:,} stray ones; {self.dpcs:,} DPCs, {self.started:,} calls of StartIo"
        )


def run_storm(driver: Driver, storm: Storm, timeout: float = 300.0) -> Figures:
    """Run one storm and judge it.

    Args:
        driver: `irpstorm.sys`, loaded.
        storm: what it is made of. The machine's CPUs all take part.
        timeout: seconds that it may take.

    Raises:
        GuestError: an IRP was not completed, or twice; a routine ran where it should not; something was left behind.
    """
    cpus = driver.machine.cpus
    view = driver.variable("IrpStorm")
    per_cpu = max(storm.irps // cpus, 1)
    for name, value in (
        ("Cpus", cpus),
        ("PerCpu", per_cpu),
        ("CancelPercent", storm.cancel),
        ("QueuePercent", storm.queued),
        ("StrayPercent", storm.stray),
        ("Deferred", int(storm.deferred)),
        ("Seed", storm.seed),
    ):
        view.set(name, value)
    leftover = driver.run("RunIrpStorm", timeout=timeout)
    each = [view.inner("Cpu", cpu) for cpu in range(cpus)]
    figures = Figures(
        once=view.get("Once"),
        succeeded=view.get("Succeeded"),
        cancelled=view.get("Cancelled"),
        cancels=sum(cpu.get("Cancels") for cpu in each),
        cancel_calls=sum(cpu.get("CancelCalls") for cpu in each),
        interrupts=view.get("Interrupts"),
        strays=view.get("Strays"),
        dpcs=view.get("Dpcs"),
        started=view.get("Started"),
        ticks=view.get("End") - view.get("Begin"),
    )
    wrong = f"never {view.get('Never')}, more than once {view.get('More')}, the first is {view.get('FirstWrong'):#x}"
    if view.get("FirstWrong") != _ALL_RIGHT or figures.once != per_cpu * cpus:
        raise GuestError(f"storm of seed {storm.seed}: {figures.once} of {per_cpu * cpus} IRPs once; {wrong}")
    if figures.succeeded + figures.cancelled != figures.once or view.get("Misplaced"):
        raise GuestError(f"storm of seed {storm.seed}: {view.get('Misplaced')} calls out of place; {figures.text()}")
    if leftover:
        raise GuestError(f"storm of seed {storm.seed} left something behind: {leftover}")
    return figures
