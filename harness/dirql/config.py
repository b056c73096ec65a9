# SPDX-License-Identifier: Apache-2.0
"""What machine to boot: the guest's options and QEMU's, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from dirql.devices.rendezvous import Rendezvous
from dirql.errors import UsageError
from dirql.guest import artifacts
from dirql.guest.systemtime import to_system_time
from dirql.qemu.command import Mode, OnBugCheck, QemuConfig
from dirql.qemu.memory import MIB
from dirql.qemu.session import dry_run
from dirql.recordingoptions import RecordingOptions
from dirql.trace.events import events_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from dirql.qemu.attach import PciDevice

Boot = Literal["rom", "bios"]
DpcPlacement = Literal["routine", "first-available", "current"]
InterruptRouting = Literal["symmetric", "asymmetric"]

LOCK_HOLD_US = 25.0
"""Microseconds for which a spin lock may be held (preventing-errors-and-deadlocks-while-using-spin-locks)."""
ALL_EVENTS = (1 << 128) - 1
GUEST_OPTIONS = (
    "trace_mask",
    "trace_classes",
    "trace_records",
    "overwrite",
    "dpc_placement",
    "interrupt_routing",
    "dpc_watchdog_ticks",
    "threaded_dpcs",
    "verifier",
    "feature_fault_cpu",
    "clock_100ns",
    "system_time",
    "force_irql",
    "lock_hold_us",
    "lock_hold_fatal",
)
"""Those fields of a configuration that the guest is told at its start: a reset can change them."""


@dataclass(frozen=True)
class MachineConfig:
    """What machine to boot.

    Attributes:
        cpus: 1 to 64.
        mode: `mt` one host thread per CPU; `icount` one thread, virtual time, the same in every run; `kvm` the host's
            CPUs, after a probing boot.
        ram_bytes: a multiple of 1 MiB, at least 32 MiB.
        boot: `rom` our own firmware; `bios` QEMU's stock BIOS, by the kernel's PVH note.
        kernel: the guest's kernel; None takes the built one.
        gdb: there is a gdbstub on the machine's channel "gdb".
        stopped: it waits for `session.cont()` or gdb before its first instruction, and the constructor does not wait
            for the guest.
        on_bugcheck: `exit` ends QEMU; `pause` holds the machine as it was, for QMP and gdb.
        trace_mask: bit n: event n is recorded from the start.
        trace_classes: classes of events (or events), of those that the mask lets through, that are recorded from the
            start; None: all.
        trace_records: records per ring, a power of two; 0 takes the guest's default.
        overwrite: a full ring overwrites old records instead of dropping new ones.
        dpc_placement: `routine`: IoRequestDpc goes to the first available CPU, KeInsertQueueDpc to the current one;
            the others force one of the two for both.
        interrupt_routing: `symmetric`: a device's interrupts are spread over the CPUs that may take them; `asymmetric`:
            CPU 0 takes all of them, for the others too (SYS-3).
        dpc_watchdog_ticks: clock ticks that one DPC may run; a CPU may be at DISPATCH_LEVEL or above for six times as
            many; more is bugcheck 0x133. 0: no watchdog, because on a loaded host a DPC's ticks are the host's fault.
        threaded_dpcs: threaded DPCs run in a thread; otherwise as ordinary ones, as where Windows has them disabled.
        verifier: the guest watches what drivers do; a broken rule is a bugcheck with the NT code (D2).
        feature_fault_cpu: this CPU reports another feature word than it has, and the guest refuses to start (SYS-1); 0:
            none.
        clock_100ns: the clock tick in units of 100 ns; 0 takes the guest's default, 156250.
        system_time: the guest's system time at its start, with a time zone; None: the host's, in icount 2020-01-01 UTC.
        force_irql: the verifier puts all pageable memory out whenever a driver raises to DISPATCH_LEVEL or takes a spin
            lock, so that a touch of it there is found although it had been resident (SYS-13).
        lock_hold_us: microseconds of virtual time for which a driver may hold a spin lock before it is a finding
            (`Machine.lock_holds`, SPIN-10). Measured in icount only; 0: not at all.
        lock_hold_fatal: a longer hold is a violation, and so a bugcheck.
        qemu: QEMU's path, or a name in PATH.
        extra: more QEMU arguments.
        recording: what a `Recording` of this machine keeps and stops on, unless it is told otherwise.
    """

    cpus: int = 4
    mode: Mode = "mt"
    ram_bytes: int = 64 * MIB
    boot: Boot = "rom"
    kernel: Path | None = None
    gdb: bool = False
    stopped: bool = False
    on_bugcheck: OnBugCheck = "exit"
    trace_mask: int = ALL_EVENTS
    trace_classes: tuple[str, ...] | None = None
    trace_records: int = 0
    overwrite: bool = False
    dpc_placement: DpcPlacement = "routine"
    interrupt_routing: InterruptRouting = "symmetric"
    dpc_watchdog_ticks: int = 0
    threaded_dpcs: bool = True
    verifier: bool = True
    feature_fault_cpu: int = 0
    clock_100ns: int = 0
    system_time: datetime | None = None
    force_irql: bool = False
    lock_hold_us: float = LOCK_HOLD_US
    lock_hold_fatal: bool = False
    qemu: str = "qemu-system-x86_64"
    extra: tuple[str, ...] = ()
    recording: RecordingOptions = field(default_factory=RecordingOptions)

    def __post_init__(self) -> None:
        """Check what QEMU's own configuration does not.

        Raises:
            UsageError: a value is out of range.
        """
        if self.ram_bytes < 32 * MIB:
            raise UsageError(f"the guest needs at least 32 MiB of RAM; {self.ram_bytes / MIB:g} MiB were asked for")
        if self.trace_records and (self.trace_records < 64 or self.trace_records & (self.trace_records - 1)):
            raise UsageError(f"a trace ring has a power of two of records, at least 64; not {self.trace_records}")
        events_of(self.trace_classes or ())
        if self.system_time is not None:
            to_system_time(self.system_time)

    def check(self) -> None:
        """Check every value, QEMU's included.

        Raises:
            UsageError: a value is out of range.
        """
        QemuConfig(mode=self.mode, cpus=self.cpus, ram_bytes=self.ram_bytes)

    def qemu_config(self) -> QemuConfig:
        """Return QEMU's part of it.

        Raises:
            UsageError: a value is out of range.
            BuildError: an image has not been built.
        """
        common = QemuConfig(
            qemu=self.qemu,
            mode=self.mode,
            cpus=self.cpus,
            ram_bytes=self.ram_bytes,
            gdb=self.gdb,
            stopped=self.stopped,
            on_bugcheck=self.on_bugcheck,
            extra=self.extra,
        )
        if self.boot == "bios":
            return replace(common, kernel=self.kernel or artifacts.kernel())
        return replace(common, rom=artifacts.rom())


def dry_run_command(config: MachineConfig, devices: Sequence[PciDevice] = ()) -> list[str]:
    """Return the QEMU command line that a machine would be started with; start nothing.

    Args:
        config: the machine.
        devices: its served devices.

    Raises:
        UsageError, BuildError: as `Machine`.
    """
    if config.mode == "icount" and not any(isinstance(device, Rendezvous) for device in devices):
        devices = (*devices, Rendezvous())
    return dry_run(config.qemu_config(), devices)
