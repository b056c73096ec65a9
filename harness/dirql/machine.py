# SPDX-License-Identifier: Apache-2.0
"""The machine: QEMU with the guest on it, drivers, injection, trace. The object that a user meets first.

    with Machine(cpus=4) as machine:
        driver = machine.load("doorbell.sys")

Every wait has a deadline and is raced with the guest's bugcheck and QEMU's end; what is raised says where each CPU was.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self, Unpack

from dirql.bootoptions import write_boot_options
from dirql.config import GUEST_OPTIONS, MachineConfig
from dirql.controls import Controls
from dirql.devices.rendezvous import Rendezvous
from dirql.driver import DEFAULT_TIMEOUT, Driver, Leftover
from dirql.errors import (
    CpuState,
    DirqlError,
    GuestTripleFault,
    UsageError,
)
from dirql.failures import Failures
from dirql.guest import artifacts
from dirql.guest.image import DriverImage, kernel_image
from dirql.guest.link import HostLink
from dirql.guest.loading import reasons_told
from dirql.guest.memory import GuestMemory
from dirql.guest.ntstatus import ntstatus_name
from dirql.guest.placement import place, restore
from dirql.guest.registry import service_values
from dirql.guest.state import BugCheckRecord, parse_irql, parse_registers
from dirql.guest.symbols import Symbolizer
from dirql.guest.threads import ThreadReader
from dirql.guest.verifier import LockHold, lock_holds
from dirql.handles import Handle, OpenOptions, open_handle
from dirql.hostcalls import HostCalls
from dirql.inject.injector import Injector
from dirql.inventory import Inventory, take_inventory
from dirql.irps import IrpState, read_irps
from dirql.qemu.session import QemuSession
from dirql.qemu.waits import Deadline
from dirql.requests import Requests
from dirql.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from dirql.errors import ThreadState
    from dirql.guest.registry import RegistryValues
    from dirql.qemu.attach import PciDevice
    from dirql.qemu.memory import GuestRam
    from dirql.qemu.qmp import QmpEvent

_STATE_TIMEOUT = 5.0
_NAME_BYTES = 39
"""LDR_IMAGE.Name without its NUL."""


__all__ = ["DEFAULT_TIMEOUT", "Driver", "Leftover", "Machine"]


class Machine(Controls, Tracing):
    """A booted guest.

    Args:
        config: what to boot; `options` are fields of it, for short.
        devices: PCI devices that Python serves; from now on the machine's.
        folder: where the logs go; None keeps no files.
        timeout: seconds for the guest to be ready.
        options: fields of `MachineConfig`.

    Attributes:
        config: as given.
        session: QEMU and its channels.
        kernel: the guest's kernel image.
        trace_mask: which events it records (bit n: event n).
        memory: the guest's memory.
        symbols: names of the guest's addresses.
        link: requests to the guest.
        inject: interrupts from outside.
        requests: I/O requests in flight.
        ready_seconds: from the start of this constructor to the guest's word that it is ready.

    Raises:
        UsageError, UnsupportedError, BuildError, LaunchError: it could not be started.
        GuestError, MachineLost: it did not come up.
    """

    def __init__(
        self,
        config: MachineConfig | None = None,
        *,
        devices: Sequence[PciDevice] = (),
        folder: Path | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        **options: object,
    ) -> None:
        started = time.monotonic()
        self.config = replace(config or MachineConfig(), **options)  # type: ignore[arg-type]
        self.folder = folder
        self.drivers: list[Driver] = []
        self.on_removal: list[Callable[[], None]] = []
        """Called before a driver or one of its devices goes: whoever keeps names looks at the guest's memory then."""
        self.on_load: list[Callable[[], None]] = []
        """Called when a driver has been loaded, before it is started on a device."""
        self._sent: dict[str, DriverImage] = {}  # by the name that LdrImages has, which may be cut short
        qemu = self.config.qemu_config()
        if self.config.mode == "kvm":
            from dirql.kvm import require_kvm

            require_kvm(self.config, Machine)
        rendezvous = next((device for device in devices if isinstance(device, Rendezvous)), None)
        if self.config.mode == "icount" and rendezvous is None:
            rendezvous = Rendezvous()
            devices = (*devices, rendezvous)
        self.rendezvous = rendezvous
        self.kernel = kernel_image(self.config.kernel or artifacts.kernel())
        self.symbols = Symbolizer(self.kernel)
        self._failures = Failures(self)
        self.requests = Requests(self)
        self.session = QemuSession(
            qemu,
            devices=devices,
            prepare=self._prepare,
            on_frame_bytes=self._frame_bytes,
            on_event=self._event,
            folder=folder,
        )
        try:
            self.link.attach(self.session)
            self.session.watch.explain = self._failures.explain
            self.inject = Injector(self.session)
            self.link.on_io = self.requests.on_frame
            self.link.on_call = HostCalls(self.kernel, self.inject).serve
            if not self.config.stopped:
                self.link.wait_ready(timeout)
                self.session.process.answered()  # whatever ends it from now on, it had started
        except BaseException:
            self.close()
            raise
        self.ready_seconds = time.monotonic() - started

    @property
    def cpus(self) -> int:
        """How many CPUs it has."""
        return self.config.cpus

    def load(
        self,
        path: str | Path | DriverImage,
        timeout: float | Deadline = DEFAULT_TIMEOUT,
        *,
        device: int | tuple[int, int] | None = None,
        parameters: RegistryValues | None = None,
        service: RegistryValues | None = None,
    ) -> Driver:
        """Load a driver and call its DriverEntry.

        Args:
            path: a .sys file, or the name of a driver that was built here; or its image, if it has been read already.
            timeout: seconds, or a deadline.
            device: a PCI function that it is started on at once: its location, or its vendor and device ids.
            parameters: values of the registry key `Parameters` in the driver's service key, while it is loaded. A text
                is REG_SZ, a number REG_DWORD or, beyond 32 bits, REG_QWORD, a list of texts REG_MULTI_SZ, bytes
                REG_BINARY, a `RegistryValue` what it says, and a mapping a subkey.
            service: values of the service key itself, the one whose path DriverEntry is given.

        Raises:
            BuildError: there is no such file.
            UsageError: it is no x64 driver, imports what the guest lacks (all names are listed), a value cannot be in a
                registry, or DriverEntry failed.
            GuestRequestError: the guest refused the image; the text says why.
        """
        image = path if isinstance(path, DriverImage) else DriverImage(artifacts.driver(str(path)))
        image.require_imports(self.kernel, self.symbols.drivers)
        name = image.name.encode("utf-8")[:_NAME_BYTES] + b"\0"
        self._sent[name[:-1].decode("utf-8", "replace")] = image
        values = service_values(parameters or {}, service or {})
        offset = (len(image.data) + 15) // 16 * 16
        after = (offset + len(name) + 15) // 16 * 16
        self.link.write_buffer(0, image.data)
        self.link.write_buffer(offset, name)
        self.link.write_buffer(after, values)
        what = f"{image.name} to load"
        with reasons_told(self.memory):
            reply = self.link.request(
                "LoadDriver", len(image.data), offset, after, len(values), what=what, timeout=timeout
            )
        base, size, _, status, *_ = reply
        if status & 0x8000_0000:
            raise UsageError(f"{image.name}: DriverEntry returned {ntstatus_name(status)}")
        self.symbols.add(image.name, base, size, image)
        driver = Driver(self, image, base, size)
        self.drivers.append(driver)
        for listener in tuple(self.on_load):
            listener()
        if device is not None:
            driver.start(device if isinstance(device, int) else self.find_pci(*device), timeout)
        return driver

    def open(self, name: str, timeout: float | Deadline = DEFAULT_TIMEOUT, **options: Unpack[OpenOptions]) -> Handle:
        r"""Open a device by name, as a user's program does.

        Args:
            name: `\\.\Name`, or a full name: `\Device\Name`.
            timeout: seconds (icount: of virtual time), or a deadline.
            options: access, sharing, create options, CPU.

        Raises:
            UsageError: this is no such name.
            RequestError: there is none of that name, or its driver says no.
        """
        return open_handle(self.requests, name, timeout, **options)

    def irps(self) -> tuple[IrpState, ...]:
        """Return where the host's I/O requests are that have not ended, the oldest first."""
        return read_irps(self)

    def inventory(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> Inventory:
        """Have the guest count what it holds once its DPCs have run: pool by tag, threads, timers, handles and more."""
        return take_inventory(self, timeout)

    def explain(self, error: DirqlError) -> DirqlError:
        """Put what is known of the guest into an error that is about to be raised, and return it or a better one."""
        return self._failures.explain(error)

    def lock_holds(self) -> tuple[LockHold, ...]:
        """Return which spin locks drivers held for longer than `MachineConfig.lock_hold_us`, the longest first.

        Empty in other modes than icount, where no time is a verdict, and while the verifier is off.
        """
        with suppress(DirqlError):
            self.learn_modules()
        return lock_holds(self.memory, self.symbols)

    def reset(self, timeout: float = DEFAULT_TIMEOUT, *, config: MachineConfig | None = None) -> None:
        """Reset the machine and wait until the guest is ready again, without any driver.

        Args:
            timeout: seconds for it.
            config: what to be from now on; it may differ in what the guest is told at its start, not in QEMU's machine.

        Raises:
            UsageError: it would have to be another machine.
            GuestError, MachineLost: it did not come up.
        """
        deadline = Deadline(timeout)
        if config is not None:
            same = replace(config, **{name: getattr(self.config, name) for name in GUEST_OPTIONS})
            if same != self.config:
                raise UsageError("a reset changes only what the guest is told at its start; boot another machine")
            self.config = config
        self.symbols.clear()
        self.drivers.clear()
        self.requests.forget()
        self._failures.forget()

        def prepare(ram: GuestRam) -> None:
            self.link.forget()
            self._clear_rings()
            if self.config.boot == "rom":
                restore(self.kernel, ram, self.session.qtest.write)
            write_boot_options(self.memory, self.config, rendezvous=self.rendezvous is not None)
            self._tracing_begins()

        bios = self.config.boot == "bios"
        self.session.reset(prepare, deadline, resets_itself=bios)
        self.link.wait_ready(deadline)
        if bios:
            self.session.hold_resets(deadline)

    def about_to_remove(self) -> None:
        """Tell those who want to know that a driver, or a device of one, is about to go."""
        for listener in tuple(self.on_removal):
            listener()

    def cpu_states(self) -> tuple[CpuState, ...]:
        """Return where each CPU is right now, as QEMU sees it.

        Raises:
            MachineLost, WaitTimeout: QEMU does not answer.
        """
        deadline = Deadline(_STATE_TIMEOUT)
        text = self.session.qmp.hmp("info registers -a", deadline)
        irqls = [parse_irql(self.session.qmp.hmp(f"info lapic {cpu}", deadline)) for cpu in range(self.cpus)]
        self.learn_modules()
        return parse_registers(text, irqls, self.memory, self.symbols)

    def threads(self) -> tuple[ThreadState, ...]:
        """Return what each thread does: its state, what it waits for, its stack. Exact where the machine is at rest.

        Raises:
            MachineLost: QEMU has ended.
        """
        self.learn_modules()
        return ThreadReader(self.memory, self.symbols).threads()

    def close(self) -> None:
        """End the machine. Nothing of it is left but its folder. Safe to call again."""
        self.session.watch.explain = None  # the memory that an explanation is read from goes with it
        self.session.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _prepare(self, ram: GuestRam) -> None:
        self.memory = GuestMemory(ram, self.kernel)
        self.link = HostLink(self.memory, self.rendezvous)
        self.link.on_bugcheck = self._bugchecked
        self.bugcheck = BugCheckRecord(self.memory)
        if self.config.boot == "rom":
            place(self.kernel, ram)
        write_boot_options(self.memory, self.config, rendezvous=self.rendezvous is not None)
        self._tracing_begins()

    def _clear_rings(self) -> None:
        """Clear what was written to the trace rings: a new boot must not seem to have completed an old record."""
        record = self.kernel.debug.structure("TRACE_RECORD")
        ram = self.session.ram.view()
        for cpu in range(self.cpus):
            view = self.memory.variable("TraceRing", "TRACE_RING", cpu)
            size = min(view.get("Head"), view.get("Mask") + 1) * record.size
            at = view.get("RecordsPhysical")
            ram[at : at + size] = bytes(size)

    def _frame_bytes(self, data: bytes) -> None:
        self.link.feed(data)

    def _bugchecked(self) -> None:
        """The guest says that its bugcheck record is complete (in the pump's thread)."""
        self.session.watch.fail(self._failures.bugcheck)

    def _event(self, event: QmpEvent) -> None:
        if event.name == "GUEST_PANICKED" and self.bugcheck.complete:
            self._bugchecked()  # its frame may not have come: a bugcheck that met a fault itself sends none
        if event.name == "SHUTDOWN" and event.data.get("reason") == "guest-reset":
            self.session.watch.fail(
                lambda: GuestTripleFault("the guest reset itself, as a CPU does on a triple fault; the machine is held")
            )

    def learn_modules(self) -> None:
        """Take the addresses of loaded images from the guest: a driver may fail before its load has been answered."""
        known = {module.base for module in self.symbols.modules}
        limit = self.kernel.symbols["LdrImages"][1] // self.kernel.debug.structure("LDR_IMAGE").size
        for at in range(limit):
            entry = self.memory.variable("LdrImages", "LDR_IMAGE", at)
            base, name = entry.get("Base"), entry.text("Name")
            if base and base not in known:
                self.symbols.add(name, base, entry.get("Size"), self._sent.get(name))
