# SPDX-License-Identifier: Apache-2.0
"""What the trace events are about: their classes, and what the two arguments of each mean.

The numbers come from the guest (`schema.EventTable`); what is here follows the comments of
guest/include/trace_events.h, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dirql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dirql.trace.schema import EventTable


class Kind(StrEnum):
    """What a number in a record is."""

    NONE = "none"
    LOCK = "lock"
    INTERRUPT = "interrupt"
    """Address of a KINTERRUPT."""
    DPC = "dpc"
    THREAD = "thread"
    OBJECT = "object"
    """Address of a dispatcher object of any type."""
    TIMER = "timer"
    APC = "apc"
    WORK = "work"
    """Address of a work item, or of the KINTERRUPT of a passive-level interrupt."""
    IRP = "irp"
    DEVICE = "device"
    """Address of a DEVICE_OBJECT; within `parts` its low 48 bits."""
    ROUTINE = "routine"
    """First instruction of a routine."""
    CALLER = "caller"
    """Return address of the call that the event is about."""
    INSTRUCTION = "instruction"
    """Address of the instruction that was interrupted, or that faulted."""
    ADDRESS = "address"
    """An address of which no more is known."""
    VECTOR = "vector"
    IRQL = "irql"
    CPU = "cpu"
    """A CPU's number; 0xFF: any, or all others."""
    CPUS = "cpus"
    """A bit for each CPU."""
    MAJOR = "major"
    """IRP_MJ_..."""
    STATUS = "status"
    """NTSTATUS."""
    TIME = "time"
    """Interrupt time in units of 100 ns."""
    PRIORITY = "priority"
    THREAD_STATE = "thread state"
    """KI_THREAD_STATE."""
    FLAG = "flag"
    BYTES = "bytes"
    EVENTS = "events"
    """A bit for each event."""
    PACKED = "packed"
    """Several numbers: see `Argument.parts`."""
    VALUE = "value"


@dataclass(frozen=True)
class Part:
    """One number of a packed argument.

    Attributes:
        name: what it is.
        kind: what kind of number.
        shift: its lowest bit.
        bits: how many it has.
    """

    name: str
    kind: Kind
    shift: int
    bits: int

    def of(self, argument: int) -> int:
        """Cut it out of the argument."""
        return argument >> self.shift & ((1 << self.bits) - 1)


@dataclass(frozen=True)
class Argument:
    """One of the two arguments of an event.

    Attributes:
        name: what it is, in the header's words.
        kind: what kind of number.
        parts: the numbers in it, where it is packed.
    """

    name: str
    kind: Kind
    parts: tuple[Part, ...] = ()


EVENT_CLASSES: Mapping[str, tuple[str, ...]] = {
    "irql": ("IrqlRaise", "IrqlLower"),
    "interrupts": (
        *("InterruptEnter", "InterruptExit", "IsrEnter", "IsrExit", "SyncRequest", "SyncEnter", "SyncExit"),
        *("SyncReturn", "InterruptConnect", "InterruptActive", "UnexpectedInterrupt"),
    ),
    "locks": (
        *("LockWait", "LockAcquired", "LockReleased", "LockQueued"),
        *("LockSharedWait", "LockSharedAcquired", "LockSharedReleased"),
    ),
    "dpcs": ("DpcInsert", "DpcStart", "DpcEnd", "DpcRemove", "ThreadedDpcStart", "ThreadedDpcEnd"),
    "ipis": ("IpiSend", "IpiCallEnter", "IpiCallExit"),
    "threads": ("ThreadSwitch", "ThreadReady", "ThreadCreate", "ThreadExit"),
    "waits": ("WaitBegin", "WaitEnd", "Signal"),
    "timers": ("TimerSet", "TimerCancel", "TimerExpire"),
    "work": ("ApcStart", "ApcEnd", "WorkStart", "WorkEnd"),
    "irps": (
        *("IrpAllocate", "IrpFree", "IrpCall", "IrpReturn", "IrpComplete", "IrpDone", "IrpCancel"),
        *("StartIoEnter", "StartIoExit", "StartIoNext"),
    ),
    "memory": ("PageOut", "PageIn", "ImageLoad", "ImageUnload"),
    "cpus": ("CpuStart", "IdleEnter", "IdleExit"),
    "host": (
        *("HostRequest", "HostReply", "Rendezvous", "RendezvousEnter", "HostCall", "HostCallDone"),
        *("CaseBegin", "CaseEnd"),
    ),
    "marks": ("Mark",),
    "trace": ("MaskSet",),
}
"""Class -> its events. Every event is in exactly one; "trace" tells of the trace itself and is recorded always."""

ALWAYS = "trace"
"""The class that no mask turns off."""


def _plain(name: str, kind: Kind = Kind.VALUE) -> Argument:
    return Argument(name, kind)


def _packed(name: str, *parts: tuple[str, Kind, int, int]) -> Argument:
    return Argument(name, Kind.PACKED, tuple(Part(*part) for part in parts))


_NOTHING = Argument("0", Kind.NONE)
_LOCK = _plain("lock", Kind.LOCK)
_CALLER = _plain("caller", Kind.CALLER)
_INTERRUPT = _plain("KINTERRUPT", Kind.INTERRUPT)
_DPC = _plain("KDPC", Kind.DPC)
_DEFERRED = _plain("DeferredRoutine", Kind.ROUTINE)
_SYNCHRONIZE = _plain("SynchronizeRoutine", Kind.ROUTINE)
_RETURNED = _plain("value returned")
_ROUTINE = _plain("routine", Kind.ROUTINE)
_SEQUENCE = _plain("sequence")
_FIRST = _plain("first object", Kind.OBJECT)
_TIMER = _plain("KTIMER", Kind.TIMER)
_THREAD = _plain("KTHREAD", Kind.THREAD)
_APC = _plain("KAPC", Kind.APC)
_IRP = _plain("IRP", Kind.IRP)
_DEVICE = _plain("device", Kind.DEVICE)
_INTERRUPTED = _packed(
    "vector | interrupted IRQL << 8", ("vector", Kind.VECTOR, 0, 8), ("interrupted IRQL", Kind.IRQL, 8, 8)
)
_LEVELS = _packed("old | new << 8", ("old", Kind.IRQL, 0, 8), ("new", Kind.IRQL, 8, 8))
_HELD = (_LOCK, _CALLER)
_SYNC = (_INTERRUPT, _SYNCHRONIZE)
_RAN = (_DPC, _DEFERRED)

ARGUMENTS: Mapping[str, tuple[Argument, Argument]] = {
    "CpuStart": (_plain("APIC id"), _NOTHING),
    "IdleEnter": (_NOTHING, _NOTHING),
    "IdleExit": (_NOTHING, _NOTHING),
    "InterruptEnter": (_INTERRUPTED, _plain("interrupted RIP", Kind.INSTRUCTION)),
    "InterruptExit": (_INTERRUPTED, _plain("RIP returned to", Kind.INSTRUCTION)),
    "IsrEnter": (_INTERRUPT, _plain("ServiceRoutine", Kind.ROUTINE)),
    "IsrExit": (_INTERRUPT, _RETURNED),
    "SyncRequest": _SYNC,
    "SyncEnter": _SYNC,
    "SyncExit": (_INTERRUPT, _RETURNED),
    "SyncReturn": (_INTERRUPT, _RETURNED),
    "LockWait": _HELD,
    "LockAcquired": _HELD,
    "LockReleased": _HELD,
    "DpcInsert": (
        _DPC,
        _packed(
            "inserted (0 or 1) | target CPU << 8 (0xFF: any) | importance << 16 | threaded << 24",
            ("inserted", Kind.FLAG, 0, 8),
            ("target CPU", Kind.CPU, 8, 8),
            ("importance", Kind.VALUE, 16, 8),
            ("threaded", Kind.FLAG, 24, 8),
        ),
    ),
    "DpcStart": _RAN,
    "DpcEnd": _RAN,
    "DpcRemove": (_DPC, _plain("removed (0 or 1)", Kind.FLAG)),
    "IrqlRaise": (_LEVELS, _CALLER),
    "IrqlLower": (_LEVELS, _CALLER),
    "IpiSend": (_plain("vector", Kind.VECTOR), _plain("target CPU, or 0xFF for all the others", Kind.CPU)),
    "ImageLoad": (_plain("base", Kind.ADDRESS), _plain("size in bytes", Kind.BYTES)),
    "ImageUnload": (_plain("base", Kind.ADDRESS), _plain("size in bytes", Kind.BYTES)),
    "HostRequest": (_SEQUENCE, _plain("HOST_REQUEST_CODE")),
    "HostReply": (_SEQUENCE, _plain("NTSTATUS", Kind.STATUS)),
    "Rendezvous": (_plain("value the host answered with"), _NOTHING),
    "Mark": (_plain("two values of the driver's own choice"), _plain("two values of the driver's own choice")),
    "InterruptConnect": (
        _INTERRUPT,
        _packed(
            "vector | Irql << 8 | SynchronizeIrql << 16 | target CPU << 24 | the CPUs that it may interrupt << 32",
            ("vector", Kind.VECTOR, 0, 8),
            ("Irql", Kind.IRQL, 8, 8),
            ("SynchronizeIrql", Kind.IRQL, 16, 8),
            ("target CPU", Kind.CPU, 24, 8),
            ("CPUs", Kind.CPUS, 32, 32),
        ),
    ),
    "UnexpectedInterrupt": (_plain("vector", Kind.VECTOR), _plain("interrupted RIP", Kind.INSTRUCTION)),
    "RendezvousEnter": (_NOTHING, _NOTHING),
    "LockQueued": (
        _LOCK,
        _packed(
            "1 << 32 | CPU that is waited behind, or 2 << 32 | ticket",
            ("CPU or ticket", Kind.VALUE, 0, 32),
            ("how", Kind.VALUE, 32, 8),
        ),
    ),
    "LockSharedWait": _HELD,
    "LockSharedAcquired": _HELD,
    "LockSharedReleased": _HELD,
    "IpiCallEnter": (_ROUTINE, _plain("context")),
    "IpiCallExit": (_ROUTINE, _RETURNED),
    "ThreadedDpcStart": _RAN,
    "ThreadedDpcEnd": _RAN,
    "CaseBegin": (_ROUTINE, _NOTHING),
    "CaseEnd": (_ROUTINE, _NOTHING),
    "HostCall": (_SEQUENCE, _plain("HOST_CALL_CODE")),
    "HostCallDone": (_SEQUENCE, _plain("value answered")),
    "InterruptActive": (_INTERRUPT, _plain("1: active, 0: inactive from now on", Kind.FLAG)),
    "ThreadSwitch": (
        _plain("KTHREAD that runs from here on", Kind.THREAD),
        _packed(
            "state of the one before (KI_THREAD_STATE) | its priority << 8 | the new one's priority << 16",
            ("old state", Kind.THREAD_STATE, 0, 8),
            ("old priority", Kind.PRIORITY, 8, 8),
            ("new priority", Kind.PRIORITY, 16, 8),
        ),
    ),
    "ThreadReady": (
        _THREAD,
        _packed(
            "CPU that it is to run on | priority << 8 | 1 << 16 if it is to run there at once",
            ("CPU", Kind.CPU, 0, 8),
            ("priority", Kind.PRIORITY, 8, 8),
            ("at once", Kind.FLAG, 16, 1),
        ),
    ),
    "ThreadCreate": (_THREAD, _plain("start routine", Kind.ROUTINE)),
    "ThreadExit": (_THREAD, _plain("exit status", Kind.STATUS)),
    "WaitBegin": (
        _FIRST,
        _packed(
            "number of objects | WAIT_TYPE << 8 | alertable << 16 | with a timeout << 24",
            ("objects", Kind.VALUE, 0, 8),
            ("WAIT_TYPE", Kind.VALUE, 8, 8),
            ("alertable", Kind.FLAG, 16, 8),
            ("with a timeout", Kind.FLAG, 24, 8),
        ),
    ),
    "WaitEnd": (_FIRST, _plain("NTSTATUS", Kind.STATUS)),
    "Signal": (
        _plain("object", Kind.OBJECT),
        _packed(
            "SignalState after, the low 32 bits | its type << 32",
            ("SignalState", Kind.VALUE, 0, 32),
            ("type", Kind.VALUE, 32, 8),
        ),
    ),
    "TimerSet": (_TIMER, _plain("interrupt time that it is due at, 100 ns", Kind.TIME)),
    "TimerCancel": (_TIMER, _plain("1: it was set", Kind.FLAG)),
    "TimerExpire": (_TIMER, _plain("interrupt time that it was due at, 100 ns", Kind.TIME)),
    "ApcStart": (_APC, _plain("routine that is about to run", Kind.ROUTINE)),
    "ApcEnd": (_APC, _ROUTINE),
    "PageOut": (_plain("address", Kind.ADDRESS), _plain("bytes", Kind.BYTES)),
    "PageIn": (_plain("address that was touched", Kind.ADDRESS), _plain("RIP that touched it", Kind.INSTRUCTION)),
    "WorkStart": (
        _plain("work item, or passive-level interrupt", Kind.WORK),
        _plain("routine that a thread is about to call for it", Kind.ROUTINE),
    ),
    "WorkEnd": (_plain("the same", Kind.WORK), _ROUTINE),
    "IrpAllocate": (_IRP, _plain("its stack locations")),
    "IrpFree": (_IRP, _NOTHING),
    "IrpCall": (
        _IRP,
        _packed(
            "device, its low 48 bits | major function << 48 | minor function << 56",
            ("device", Kind.DEVICE, 0, 48),
            ("major function", Kind.MAJOR, 48, 8),
            ("minor function", Kind.VALUE, 56, 8),
        ),
    ),
    "IrpReturn": (
        _plain("IRP, which may be gone", Kind.IRP),
        _plain("NTSTATUS that the dispatch routine returned", Kind.STATUS),
    ),
    "IrpComplete": (_IRP, _CALLER),
    "IrpDone": (_IRP, _plain("NTSTATUS", Kind.STATUS)),
    "StartIoEnter": (_DEVICE, _IRP),
    "StartIoExit": (_DEVICE, _plain("StartIo routine", Kind.ROUTINE)),
    "IrpCancel": (_IRP, _plain("its Cancel routine, which is about to run, or 0: it had none", Kind.ROUTINE)),
    "StartIoNext": (_DEVICE, _plain("the IRP that its device queue gave, or 0", Kind.IRP)),
    "MaskSet": (_plain("events 0 to 63", Kind.EVENTS), _plain("events 64 to 127", Kind.EVENTS)),
}
"""Event -> what its two arguments are."""

CLASS_OF: Mapping[str, str] = {event: name for name, events in EVENT_CLASSES.items() for event in events}
"""Event -> its class."""


def events_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the events that classes and events name together.

    Args:
        names: classes, events, or `all`.

    Raises:
        UsageError: there is no class and no event of a name; the text lists the classes.
    """
    found: dict[str, None] = {}
    for name in names:
        if name == "all":
            found.update(dict.fromkeys(CLASS_OF))
        elif name in EVENT_CLASSES:
            found.update(dict.fromkeys(EVENT_CLASSES[name]))
        elif name in CLASS_OF:
            found[name] = None
        else:
            raise UsageError(
                f"there is no class of trace events and no event called {name!r}; the classes are "
                f"{', '.join(EVENT_CLASSES)}, and all"
            )
    return tuple(found)


def mask_of(events: EventTable, names: Iterable[str]) -> int:
    """Return the mask that has the events of classes and events; those that this guest does not have are left out.

    Args:
        events: the guest's.
        names: as for `events_of`.

    Raises:
        UsageError: as `events_of`.
    """
    return sum(1 << events[name] for name in events_of(names) if name in events)
