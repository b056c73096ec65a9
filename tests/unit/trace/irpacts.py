# SPDX-License-Identifier: Apache-2.0
"""IRPs of the simulated machine: a device with a queue in front of its StartIo, requests that a DPC completes, cancels.

What a driver does to a request it does in one instant, as under a lock; what is recorded about it may come later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.trace.lockacts import CALLER, LockActs
from tests.unit.trace.parts import DISPATCH, Cpu, Steps

DEVICES = 0xFFFF_8000_0003_0000
IRPS = 0xFFFF_8000_0004_0000
DRIVER = 0xFFFF_8000_0070_0000
IRP_MJ_READ, IRP_MJ_DEVICE_CONTROL = 3, 14
PENDING, CANCELLED = 0x103, 0xC000_0120
_LOW48 = (1 << 48) - 1


@dataclass(eq=False)
class Irp:
    """A request."""

    address: int
    major: int = IRP_MJ_READ
    cancellable: bool = True
    status: int = 0
    held: bool = False


@dataclass(eq=False)
class Device:
    """A device with a StartIo routine."""

    address: int
    busy: bool = False
    current: Irp | None = None
    queue: list[Irp] = field(default_factory=list)

    @property
    def start_io(self) -> int:
        return DRIVER + 0x100


class IrpActs(LockActs):
    """Mixed into the machine."""

    stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self.devices = [Device(DEVICES), Device(DEVICES + 0x1000)]
        self.free_irps = [IRPS + 0x200 * number for number in range(24)]

    def send_requests(self, cpu: Cpu) -> Steps:
        """A few in a row, so that they queue up; perhaps one is cancelled at once."""
        device = self.random.choice(self.devices)
        for _ in range(self.random.randint(1, 4)):
            yield from self.request(cpu, device)
        if self.random.random() < 0.4:
            yield from self.cancel(cpu, device)

    def request(self, cpu: Cpu, device: Device) -> Steps:
        """Allocate an IRP and call a driver with it, which completes it, or starts or queues it."""
        if not self.free_irps:
            return
        irp = Irp(self.free_irps.pop(0), held=self.random.random() < 0.3)
        at_once = self.random.random() < 0.3
        irp.major = IRP_MJ_DEVICE_CONTROL if at_once else IRP_MJ_READ
        self.record(cpu, "IrpAllocate", irp.address, 2)
        yield from self.pause(0.3)
        self.record(cpu, "IrpCall", irp.address, device.address & _LOW48 | irp.major << 48)
        yield from self.pause(0.3)
        if self.random.random() < 0.3:  # a filter driver passes it on
            self.record(cpu, "IrpCall", irp.address, device.address + 0x800 & _LOW48 | irp.major << 48)
            yield from self.handle(cpu, device, irp, at_once=at_once)
            self.record(cpu, "IrpReturn", irp.address, 0 if at_once else PENDING)
        else:
            yield from self.handle(cpu, device, irp, at_once=at_once)
        yield from self.pause(0.3)
        self.record(cpu, "IrpReturn", irp.address, 0 if at_once else PENDING)

    def handle(self, cpu: Cpu, device: Device, irp: Irp, *, at_once: bool) -> Steps:
        if at_once:
            yield from self.complete(cpu, irp)
            return
        self.raise_irql(cpu, DISPATCH, CALLER + 0xD0)
        if device.busy:
            device.queue.append(irp)
        else:
            device.busy = True
            yield from self.start_io(cpu, device, irp)
        yield from self.lower_irql(cpu, 0, CALLER + 0xD0)

    def start_io(self, cpu: Cpu, device: Device, irp: Irp) -> Steps:
        yield from self.pause(0.2)
        self.record(cpu, "StartIoEnter", device.address, irp.address)
        irp.cancellable = False
        yield from self.pause(0.5)
        device.current = irp
        yield from self.pause(0.5)
        self.record(cpu, "StartIoExit", device.address, device.start_io)

    def finish(self, cpu: Cpu) -> Steps:
        """In a DPC: complete what the device has done, and start the next."""
        for device in self.devices:
            irp, device.current = device.current, None
            if irp is None:
                continue
            following = device.queue.pop(0) if device.queue else None
            device.busy = following is not None
            yield from self.pause(0.2)
            self.record(cpu, "StartIoNext", device.address, following.address if following else 0)
            if following is not None:
                yield from self.start_io(cpu, device, following)
            yield from self.complete(cpu, irp)

    def complete(self, cpu: Cpu, irp: Irp) -> Steps:
        self.record(cpu, "IrpComplete", irp.address, DRIVER + 0x200)
        yield from self.pause(0.3)
        if not irp.held:  # otherwise a completion routine takes it back
            self.record(cpu, "IrpDone", irp.address, irp.status)
            yield from self.pause(0.2)
        self.record(cpu, "IrpFree", irp.address)
        self.free_irps.append(irp.address)

    def cancel(self, cpu: Cpu, device: Device) -> Steps:
        """Cancel a request: one that is queued, or one that has no cancel routine any more."""
        self.raise_irql(cpu, DISPATCH, CALLER + 0xE0)
        if device.queue and self.random.random() < 0.7:
            irp = device.queue.pop(self.random.randrange(len(device.queue)))
            irp.status = CANCELLED
            self.record(cpu, "IrpCancel", irp.address, DRIVER + 0x300)
            yield from self.pause(0.3)
            yield from self.complete(cpu, irp)
        elif device.current is not None:
            self.record(cpu, "IrpCancel", device.current.address, 0)
        yield from self.lower_irql(cpu, 0, CALLER + 0xE0)
