# SPDX-License-Identifier: Apache-2.0
"""The tree of errors, by whose fault it is.

DirqlError
    UsageError          what the caller asked for makes no sense (a bad option, a missing file)
    UnsupportedError    the host lacks something (no QEMU, too old, no working KVM)
    BuildError          an image could not be built or is not what it should be
    LaunchError         QEMU did not start
    GuestError          the guest itself failed
        GuestBugCheck   it called KeBugCheckEx
            VerifierViolation  its verifier did: a driver broke a rule
        GuestTripleFault
        GuestHang       it stopped answering before the deadline
        GuestRequestError  it refused a request (an NTSTATUS)
    MachineLost         QEMU ended, or was killed, under us
    ProtocolError       bytes on a channel were not what the protocol says
    WaitTimeout         a deadline passed
    RecordingStopped    a recording has stopped on what it was told to, and holds the machine
    RequestError        a driver ended an I/O request with an NTSTATUS that is no success
        RequestCancelled  with STATUS_CANCELLED
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class DirqlError(Exception):
    """Root of all errors that dirql raises on purpose. The text says what happened, what was expected, what to do."""


class UsageError(DirqlError):
    """What the caller asked for makes no sense."""


class UnsupportedError(DirqlError):
    """The host lacks something that the request needs."""


class BuildError(DirqlError):
    """An image could not be built, or is not what it should be."""


class LaunchError(DirqlError):
    """QEMU did not start."""


class MachineLost(DirqlError):
    """QEMU ended, or was killed, while it was needed."""


class ProtocolError(DirqlError):
    """Bytes on a channel were not what the protocol says."""


class WaitTimeout(DirqlError):
    """A deadline passed."""


class RecordingStopped(DirqlError):
    """A recording has stopped on what it was told to, and holds the machine: nothing that is awaited comes any more."""


@dataclass
class RequestError(DirqlError):
    """A driver, or the I/O manager before it, ended an I/O request with an NTSTATUS that is no success.

    Attributes:
        message: what was asked for, and what came.
        status: the NTSTATUS, unsigned.
        name: its symbolic name.
        information: IoStatus.Information.
        data: the output that came all the same, as with STATUS_BUFFER_OVERFLOW.
    """

    message: str
    status: int = 0
    name: str = ""
    information: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        """Return the message."""
        return self.message


class RequestCancelled(RequestError):
    """It was cancelled: STATUS_CANCELLED."""


@dataclass(frozen=True)
class CpuState:
    """Where one CPU stood when the machine was looked at.

    Attributes:
        number: CPU number, from 0.
        rip: instruction pointer.
        irql: CR8 of that moment.
        where: `rip` as `module!function+0x12 (file:line)`, or hexadecimal where no symbol fits.
        stack: symbolised return addresses, innermost first; may be empty.
    """

    number: int
    rip: int
    irql: int
    where: str
    stack: tuple[str, ...] = ()


@dataclass(frozen=True)
class AwaitedObject:
    """An object that a thread waits for.

    Attributes:
        kind: what it is, in words: `mutex`, `synchronization event`, `timeout`.
        address: in the guest.
        name: `module!variable+0x8`, or hexadecimal where no symbol fits; of a thread, its number.
        owner: of a mutex, the number of the thread that owns it.
    """

    kind: str
    address: int
    name: str
    owner: int | None = None

    def __str__(self) -> str:
        """Return it in a clause."""
        if self.kind == "timeout":
            return "a timeout"
        return f"{self.kind} {self.name}" + (f", which thread {self.owner} owns" if self.owner is not None else "")


@dataclass(frozen=True)
class ThreadState:
    """What one thread of the guest did when the machine was looked at.

    Attributes:
        number: as PsGetCurrentThreadId gives it.
        address: of its KTHREAD.
        routine: where it began, as `CpuState.where`.
        state: `ready`, `standby`, `running`, `waiting`, `initialized`.
        priority: 0 to 31, boosts included.
        cpu: where it runs, is queued, or ran last.
        waits_for: the objects that it waits for; empty where it waits for none.
        stack: symbolised, innermost first; empty while it runs.
        kernels: it is one of the kernel's own, and nothing of a driver is on its stack.
    """

    number: int
    address: int
    routine: str
    state: str
    priority: int
    cpu: int
    waits_for: tuple[AwaitedObject, ...] = ()
    stack: tuple[str, ...] = ()
    kernels: bool = False

    @property
    def told(self) -> bool:
        """Whether a failed machine's text shows it: it neither runs (its CPU says where) nor idles in the kernel."""
        return self.state in ("ready", "standby") or (self.state != "running" and not self.kernels)

    @property
    def doing(self) -> str:
        """Its state and what it waits for, in words."""
        if self.waits_for:
            return "waits for " + " or ".join(str(awaited) for awaited in self.waits_for)
        return {"ready": f"is ready on CPU {self.cpu}", "standby": f"is the next on CPU {self.cpu}"}.get(
            self.state, f"is {self.state}"
        )


@dataclass(frozen=True)
class Fault:
    """The access to memory that a bugcheck is about.

    Attributes:
        access: `read`, `write` or `execute`.
        address: of the memory.
        irql: of the CPU at that moment.
        instruction: address of the instruction that tried it; the memory's own where it was to be executed.
        where: the instruction's function, file and line as in `CpuState.where`; its caller's where it is in none.
    """

    access: str
    address: int
    irql: int
    instruction: int
    where: str

    def __str__(self) -> str:
        """Return it in a clause."""
        return f"{self.access} of {self.address:#x} at IRQL {self.irql} by {self.where}"


@dataclass
class GuestError(DirqlError):
    """The guest itself failed.

    Attributes:
        message: what happened, what was expected, what to do.
        cpus: where each CPU stood, in order; empty where unknown.
        console: the last lines of the serial console.
        run_folder: where the run's files are, if it has a folder.
        threads: what each thread did; empty where unknown. The text shows those that are `told`.
    """

    message: str
    cpus: tuple[CpuState, ...] = ()
    console: tuple[str, ...] = ()
    run_folder: Path | None = None
    threads: tuple[ThreadState, ...] = ()

    def __str__(self) -> str:
        """Return the message, then each CPU, then the console's tail."""
        lines = [self.message]
        for cpu in self.cpus:
            lines.append(f"  cpu {cpu.number}: IRQL {cpu.irql:2}, {cpu.where}")
            lines.extend(f"      from {frame}" for frame in cpu.stack)
        for thread in self.threads:
            if thread.told:
                lines.append(f"  thread {thread.number} ({thread.routine}), priority {thread.priority}, {thread.doing}")
                lines.extend(f"      from {frame}" for frame in thread.stack)
        if self.console:
            lines.append("  last console lines:")
            lines.extend(f"    | {line}" for line in self.console)
        if self.run_folder is not None:
            lines.append(f"  files: {self.run_folder}")
        return "\n".join(lines)


@dataclass
class GuestBugCheck(GuestError):
    """The guest called KeBugCheckEx.

    Attributes:
        code: the bugcheck code.
        parameters: its four parameters.
        processor: the CPU that called it.
        fault: the access to memory that it is about; None where it is about none.
    """

    code: int = 0
    parameters: tuple[int, int, int, int] = field(default=(0, 0, 0, 0))
    processor: int = 0
    fault: Fault | None = None


@dataclass
class VerifierViolation(GuestBugCheck):
    """The guest's verifier found that a driver broke a rule, and stopped the machine.

    The text says what was done, then names each lock and each place that it is about, with the driver's own lines.

    Attributes:
        rule: what is wrong, in a clause.
    """

    rule: str = ""


@dataclass
class GuestTripleFault(GuestError):
    """A CPU met a fault that it could not deliver; the machine was held for inspection."""


@dataclass
class GuestHang(GuestError):
    """The guest did not answer before its deadline."""


@dataclass
class GuestRequestError(GuestError):
    """The guest refused a request.

    Attributes:
        status: the NTSTATUS, unsigned.
    """

    status: int = 0
