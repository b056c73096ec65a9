# SPDX-License-Identifier: Apache-2.0
"""qtest, QEMU's channel for tests: memory and port access, interrupt pins, MSI messages; some 25 us a command.

Only the parts that leave time alone are here: the clock commands do nothing under the accelerators that dirql uses.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.errors import ProtocolError, WaitTimeout
from dirql.qemu.waits import Deadline, Watch

if TYPE_CHECKING:
    from dirql.qemu.pump import Pump

DEFAULT_TIMEOUT = 10.0
IOAPIC = "/machine/q35/ioapic"

# The message address of a local APIC: bits 31:20 are 0xfee, 19:12 the destination. Intel SDM volume 3, "Message Address
# Register Format" and "Message Data Register Format" (delivery mode in bits 10:8).
_MSI_BASE = 0xFEE00000
_DELIVERY_NMI = 0x400

_BLOCK_BYTES = 4096


@dataclass(frozen=True)
class IrqEvent:
    """A change of an intercepted interrupt pin.

    Attributes:
        pin: its number.
        raised: whether it went up.
    """

    pin: int
    raised: bool


class Qtest:
    """The test channel of one machine. Calls from several threads take turns.

    Args:
        sock: our end of the channel.
        watch: the machine's.
        pump: reads the channel once pins are intercepted.
        timeout: seconds that a call may take.
    """

    def __init__(self, sock: socket.socket, watch: Watch, pump: Pump, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._sock = sock
        self._watch = watch
        self._pump = pump
        self._timeout = timeout
        self._lock = threading.Lock()
        self._partial = b""
        self._replies: deque[str] = deque()
        self._irqs: deque[IrqEvent] = deque()
        self._pumped = False
        self._hung_up = False
        self._late = 0

    def command(self, line: str, timeout: float | Deadline | None = None) -> str:
        """Send a command and return what follows "OK" in its answer.

        Raises:
            ProtocolError: QEMU did not accept it.
            MachineLost: QEMU ended.
            WaitTimeout: no answer in time, for example because the machine's main loop is held up.
        """
        deadline = Deadline.of(self._timeout if timeout is None else timeout)
        with self._lock:
            with suppress(OSError):  # QEMU has gone: the wait says so
                self._sock.sendall(line.encode("ascii") + b"\n")
            reply = self._reply(f"qtest's answer to {line[:60]!r}", deadline)
        status, _, rest = reply.partition(" ")
        if status != "OK":
            raise ProtocolError(f"qtest answered {reply!r} to {line[:200]!r}")
        return rest

    def read(self, address: int, size: int) -> bytes:
        """Read `size` bytes of guest physical address space, devices included."""
        data = bytearray()
        while len(data) < size:
            part = min(_BLOCK_BYTES, size - len(data))
            data += bytes.fromhex(self.command(f"read {address + len(data):#x} {part:#x}").removeprefix("0x"))
        return bytes(data)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write bytes to guest physical address space. Unlike a write through `GuestRam` it may be code."""
        view = memoryview(data)
        for at in range(0, len(view), _BLOCK_BYTES):
            part = view[at : at + _BLOCK_BYTES]
            self.command(f"write {address + at:#x} {len(part):#x} 0x{part.hex()}")

    def readb(self, address: int) -> int:
        """Read a byte of physical address space."""
        return int(self.command(f"readb {address:#x}"), 16)

    def readw(self, address: int) -> int:
        """Read 16 bits of physical address space."""
        return int(self.command(f"readw {address:#x}"), 16)

    def readl(self, address: int) -> int:
        """Read 32 bits of physical address space."""
        return int(self.command(f"readl {address:#x}"), 16)

    def readq(self, address: int) -> int:
        """Read 64 bits of physical address space."""
        return int(self.command(f"readq {address:#x}"), 16)

    def writeb(self, address: int, value: int) -> None:
        """Write a byte of physical address space."""
        self.command(f"writeb {address:#x} {value:#x}")

    def writew(self, address: int, value: int) -> None:
        """Write 16 bits of physical address space."""
        self.command(f"writew {address:#x} {value:#x}")

    def writel(self, address: int, value: int) -> None:
        """Write 32 bits of physical address space."""
        self.command(f"writel {address:#x} {value:#x}")

    def writeq(self, address: int, value: int) -> None:
        """Write 64 bits of physical address space."""
        self.command(f"writeq {address:#x} {value:#x}")

    def inl(self, port: int) -> int:
        """Read 32 bits of I/O space."""
        return int(self.command(f"inl {port:#x}"), 16)

    def outl(self, port: int, value: int) -> None:
        """Write 32 bits of I/O space."""
        self.command(f"outl {port:#x} {value:#x}")

    def msi(self, apic_id: int, vector: int) -> None:
        """Raise an interrupt vector on a CPU. Repeats that come before the CPU took the first merge with it.

        Args:
            apic_id: the CPU's local APIC, 0 to 254.
            vector: 16 to 255.
        """
        self.writel(_MSI_BASE + (apic_id << 12), vector)

    def nmi(self, apic_id: int) -> None:
        """Send a non-maskable interrupt to a CPU."""
        self.writel(_MSI_BASE + (apic_id << 12), _DELIVERY_NMI)

    def set_irq_in(self, pin: int, level: int, path: str = IOAPIC, name: str = "unnamed-gpio-in") -> None:
        """Drive an input pin: of the I/O APIC, unless another device's path is given.

        Args:
            pin: its number.
            level: 0 or 1. A level-triggered pin that is held keeps interrupting.
            path: the device in QEMU's object tree.
            name: the group of pins.
        """
        self.command(f"set_irq_in {path} {name} {pin} {level}")

    def irq_intercept_in(self, path: str = "ioapic") -> None:
        """Report every change of a device's input pins from now on, without stopping it: see `wait_irq`."""
        self.command(f"irq_intercept_in {path}")
        with self._lock:
            if not self._pumped:
                # Reports come unasked from now on, and QEMU stands still if they fill the socket.
                self._pumped = True
                self._pump.add(self._sock.fileno(), self._take)

    def wait_irq(self, pin: int, raised: bool, timeout: float | Deadline) -> None:
        """Wait for an intercepted pin's next change to `raised`. Reports that came before it are consumed.

        Raises:
            WaitTimeout, MachineLost, GuestError: as `Watch.wait`.
        """

        def take() -> IrqEvent | None:
            while self._irqs:
                event = self._irqs.popleft()
                if event == IrqEvent(pin, raised):
                    return event
            return None

        self._watch.wait(take, f"pin {pin} to go {'up' if raised else 'down'}", timeout)

    def close(self) -> None:
        """Stop reading the channel. Safe to call again."""
        if self._pumped:
            self._pump.remove(self._sock.fileno())
            self._pumped = False

    def _reply(self, what: str, deadline: Deadline) -> str:
        try:
            if self._pumped:
                self._watch.wait(self._answered, what, deadline, guest=False)
            else:
                self._receive(what, deadline)
        except WaitTimeout:
            self._late += 1  # the answer may still come: it must not be taken for that of the next command
            raise
        if self._replies:
            return self._replies.popleft()
        return self._watch.wait(_never, f"{what}; QEMU has closed the channel", deadline, guest=False)

    def _receive(self, what: str, deadline: Deadline) -> None:
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        while not self._answered():
            if not poller.poll(deadline.milliseconds):
                raise Watch.timeout(what, deadline)
            self._take()

    def _answered(self) -> bool | None:
        return bool(self._replies) or self._hung_up or None

    def _take(self) -> bool:
        """Read what there is, without blocking. Returns False at the end of the channel."""
        try:
            data = self._sock.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        with self._watch.changed():
            self._hung_up = not data
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                self._line(line.decode("ascii", "replace").rstrip("\r"))
        return not self._hung_up

    def _line(self, line: str) -> None:
        if line.startswith("IRQ "):
            _, edge, pin = line.split()
            self._irqs.append(IrqEvent(int(pin), edge == "raise"))
        elif self._late:
            self._late -= 1
        else:
            self._replies.append(line)


def _never() -> None:
    return None
