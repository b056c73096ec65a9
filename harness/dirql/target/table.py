# SPDX-License-Identifier: Apache-2.0
"""The table of machines that a case runs on: CPUs x modes x verifier x DPC placement x interrupt routing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from dirql.devices.floppy import FLOPPY_BYTES, Floppy
from dirql.target.needs import PLACEMENTS, ROUTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dirql.config import MachineConfig
    from dirql.qemu.attach import PciDevice
    from dirql.target.cases import Case

CPUS = (1, 2, 4, 8)
MODES = ("mt", "icount")
FLOPPY = "floppy"
"""The device of a case's needs that is more than one of QEMU's."""
TRACE_RECORDS = 1 << 16
"""Records in a CPU's ring: more than a case makes before its rings are emptied for the first time."""


@dataclass(frozen=True, order=True)
class TargetConfig:
    """A machine for cases.

    Attributes:
        cpus: how many.
        mode: `mt`, `icount` or `kvm`.
        verifier: whether it is on.
        placement: of DPCs.
        routing: of interrupts.
        clock: the clock tick in units of 100 ns; 0 for the guest's default.
        watchdog: clock ticks that one DPC may run; 0 for no watchdog.
        threaded: whether threaded DPCs run in a thread.
        trim: whether the verifier puts pageable memory out at each raise to DISPATCH_LEVEL.
        hold: whether a spin lock that is held for too long is a bugcheck.
        devices: what else is plugged in.
    """

    cpus: int = 4
    mode: str = "mt"
    verifier: bool = True
    placement: str = PLACEMENTS[0]
    routing: str = ROUTINGS[0]
    clock: int = 0
    watchdog: int = 0
    threaded: bool = True
    trim: bool = False
    hold: bool = False
    devices: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Its name: CPUs and mode, then what is not as usual."""
        words = [f"cpus{self.cpus}", self.mode]
        words += [] if self.verifier else ["verifier-off"]
        words += [each for each, usual in ((self.placement, PLACEMENTS), (self.routing, ROUTINGS)) if each != usual[0]]
        words += [f"{name}{value}" for name, value in (("clock", self.clock), ("watchdog", self.watchdog)) if value]
        words += [] if self.threaded else ["threaded-off"]
        words += [name for name, on in (("trim", self.trim), ("hold-fatal", self.hold)) if on]
        return "-".join(words)

    @property
    def hardware(self) -> tuple[str, int, tuple[str, ...]]:
        """What it takes another QEMU to change; a reset changes the rest."""
        return (self.mode, self.cpus, self.devices)

    def served_devices(self) -> tuple[PciDevice, ...]:
        """Return those of its devices that Python serves, new."""
        return tuple(Floppy(bytes(FLOPPY_BYTES)) for device in self.devices if device == FLOPPY)

    @property
    def order(self) -> tuple[object, ...]:
        """What to sort by, so that each machine is booted once, the usual ones first."""
        places = (PLACEMENTS.index(self.placement), ROUTINGS.index(self.routing))
        told = (not self.verifier, *places, self.clock, self.watchdog, not self.threaded, self.trim, self.hold)
        return (self.mode != MODES[0], *self.hardware, *told)

    def machine_config(self, kernel: Path | None = None) -> MachineConfig:
        """Return the machine to boot. A bugcheck holds it, so that a reset brings it back.

        Args:
            kernel: another kernel than the one that was built.
        """
        from dirql.config import MachineConfig

        plain = [device for device in self.devices if device != FLOPPY]
        extra = tuple(argument for device in plain for argument in ("-device", device))
        return MachineConfig(
            cpus=self.cpus,
            mode=self.mode,  # type: ignore[arg-type]
            kernel=kernel,
            on_bugcheck="pause",
            trace_records=TRACE_RECORDS,
            verifier=self.verifier,
            clock_100ns=self.clock,
            dpc_watchdog_ticks=self.watchdog,
            threaded_dpcs=self.threaded,
            force_irql=self.trim,
            lock_hold_fatal=self.hold,
            dpc_placement=self.placement,  # type: ignore[arg-type]
            interrupt_routing=self.routing,  # type: ignore[arg-type]
            extra=extra,
        )


def expand(
    case: Case,
    cpus: Iterable[int] = CPUS,
    modes: Iterable[str] = MODES,
    verifier: Iterable[bool] = (True, False),
    *,
    alternate: bool = False,
) -> list[TargetConfig]:
    """Return the machines that a case runs on, in the order of the table.

    Args:
        case: the case.
        cpus: numbers of CPUs to choose from.
        modes: modes to choose from.
        verifier: states of the verifier to choose from.
        alternate: where a case needs neither state, the runs with the verifier off are every other one of CPUs x modes,
            like the black fields of a chess-board: each number of CPUs and each mode still has some.
    """
    needs = case.needs
    counts = [count for count in cpus if count >= needs.smp and (not needs.cpus or count in needs.cpus)]
    ways = [mode for mode in modes if needs.mode in (None, mode)]
    states = [state for state in verifier if needs.verifier in (None, state)]
    rows: Iterable[tuple[object, ...]] = product(counts, ways, states, needs.placement, needs.routing)
    if alternate and needs.verifier is None:
        black = {(count, mode) for i, count in enumerate(counts) for j, mode in enumerate(ways) if (i + j) % 2 == 0}
        rows = (row for row in rows if row[2] or (row[0], row[1]) in black)
    usual = TargetConfig(
        clock=needs.clock,
        watchdog=needs.watchdog,
        threaded=needs.threaded,
        trim=needs.trim,
        hold=needs.hold,
        devices=needs.devices,
    )
    names = ("cpus", "mode", "verifier", "placement", "routing")
    configs = (replace(usual, **dict(zip(names, row, strict=True))) for row in rows)  # type: ignore[arg-type]
    return sorted(configs, key=lambda config: config.order)
