# SPDX-License-Identifier: Apache-2.0
"""Records in words: one line of text for a record; for many, the addresses of what they are about and where it was."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.events import ARGUMENTS, Kind
from dirql.trace.history.irps import major_name
from dirql.trace.history.lives import Kind as ObjectKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dirql.trace.decode import Trace
    from dirql.trace.events import Argument, Part
    from dirql.trace.schema import EventTable, Words
    from dirql.trace.symbols import SymbolTable

OBJECTS = frozenset(
    (
        *(Kind.LOCK, Kind.INTERRUPT, Kind.DPC, Kind.THREAD, Kind.OBJECT, Kind.TIMER, Kind.APC, Kind.WORK, Kind.IRP),
        *(Kind.DEVICE, Kind.ADDRESS),
    )
)
"""Kinds that are addresses of data."""
CODE = frozenset((Kind.CALLER, Kind.INSTRUCTION, Kind.ROUTINE))
"""Kinds that are addresses of code."""
EVERY_CPU = 0xFF
_KERNEL_HALF = 0xFFFF << 48


_LEVELS = {
    0: "PASSIVE_LEVEL",
    1: "APC_LEVEL",
    2: "DISPATCH_LEVEL",
    13: "CLOCK_LEVEL",
    14: "IPI_LEVEL",
    15: "HIGH_LEVEL",
}
THREAD_STATES = ("initialised", "ready", "standby", "running", "waiting", "terminated")
"""KI_THREAD_STATE by number, as ThreadSwitch says what becomes of the thread that is left."""


def irql_name(level: int) -> str:
    """Return `DISPATCH_LEVEL`, or `IRQL 5` for a device's."""
    return _LEVELS.get(level) or f"IRQL {level}"


def describe(trace: Trace, index: int) -> str:
    """Return a record as one line: `LockAcquired doorbell!DeviceLock by DoorbellIsr+0x1c (driver.c:120)`.

    Args:
        trace: the trace.
        index: the record.
    """
    event = trace.meta.events.name(int(trace.event[index]))
    return describe_arguments(event, int(trace.arg0[index]), int(trace.arg1[index]), trace.symbols)


def describe_arguments(event: str, argument0: int, argument1: int, symbols: SymbolTable) -> str:
    """Return an event and its arguments as one line; see `describe`."""
    meaning = ARGUMENTS.get(event)
    if meaning is None:
        return f"{event} {argument0:#x} {argument1:#x}"
    texts = [
        text
        for argument, value in zip(meaning, (argument0, argument1), strict=True)
        if (text := _argument(argument, value, symbols))
    ]
    line = event
    for text in texts:
        line += f" {text}" if line == event or text.startswith(("by ", "at ")) else f", {text}"
    return line


def _argument(argument: Argument, value: int, symbols: SymbolTable) -> str:
    if argument.kind is not Kind.PACKED:
        return _number(argument.kind, argument.name, value, symbols)
    if argument.parts[0].name == "CPU or ticket":
        return _queued(value)
    if [part.name for part in argument.parts] == ["old", "new"]:
        return " to ".join(irql_name(part.of(value)) for part in argument.parts)
    texts = (_part(part, part.of(value), symbols) for part in argument.parts)
    return ", ".join(text for text in texts if text)


def _queued(value: int) -> str:
    """Return how a lock is waited for, by the second argument of LockQueued."""
    place, how = value & 0xFFFF_FFFF, value >> 32
    return {1: f"behind CPU {place}", 2: f"ticket {place}", 3: "a try, which did not wait"}.get(how, f"{value:#x}")


def _part(part: Part, value: int, symbols: SymbolTable) -> str:
    words = _WORDS.get(part.name, {})
    if value in words:
        return f"{part.name} {words[value]}"
    match part.kind:
        case Kind.FLAG:
            return part.name if value else _UNSET.get(part.name, "")
        case Kind.DEVICE:
            return _object(part.kind, value | _KERNEL_HALF, symbols)
        case Kind.CPU:
            return f"any {part.name}" if value == EVERY_CPU else f"{part.name} {value}"
        case Kind.THREAD_STATE:
            return f"{part.name} {_number(part.kind, '', value, symbols)}"
        case Kind.VECTOR:
            return f"vector {value:#x}"
        case Kind.CPUS:
            return f"CPUs {_cpus(value)}"
        case Kind.MAJOR:
            return major_name(value)
        case _:
            return f"{part.name} {_plain(value)}"


def _number(kind: Kind, name: str, value: int, symbols: SymbolTable) -> str:
    if kind in OBJECTS:
        return _object(kind, value, symbols)
    match kind:
        case Kind.NONE:
            return ""
        case Kind.CALLER:
            return f"by {symbols.where(value)}"
        case Kind.INSTRUCTION:
            return f"at {symbols.where(value, returned=False)}"
        case Kind.ROUTINE:
            return symbols.where(value) if value else "no routine"
        case Kind.VECTOR:
            return f"vector {value:#x}"
        case Kind.IRQL:
            return irql_name(value)
        case Kind.CPU:
            return "to all the others" if value == EVERY_CPU else f"to CPU {value}"
        case Kind.THREAD_STATE:
            return THREAD_STATES[value] if value < len(THREAD_STATES) else f"{value}"
        case Kind.STATUS:
            from dirql.guest.ntstatus import ntstatus_symbol

            return ntstatus_symbol(value)
        case Kind.BYTES:
            return f"{value:,} bytes"
        case Kind.TIME:
            return f"due at {value / 10_000:,.4f} ms"
        case Kind.FLAG:
            return "yes" if value else "no"
        case _:
            return f"{_NAMED[name]} {_plain(value)}" if name in _NAMED else _plain(value)


_NAMED = {
    "sequence": "sequence",
    "APIC id": "APIC id",
    "context": "context",
    "value returned": "returned",
    "value answered": "answered",
    "value the host answered with": "answered",
    "its stack locations": "stack locations",
    "HOST_REQUEST_CODE": "request",
    "HOST_CALL_CODE": "call",
}
"""Plain values that mean nothing without a word."""
_WORDS = {
    "WAIT_TYPE": dict(enumerate(("all", "any"))),
    "importance": dict(enumerate(("low", "medium", "high", "medium high"))),
    "type": {kind.value: kind.name.lower().replace("_", " ") for kind in ObjectKind},
}
"""Parts whose values have names."""
_UNSET = {"inserted": "not inserted"}
"""Flags that say something while they are not set."""
_CALLED = {
    Kind.LOCK: "lock",
    Kind.INTERRUPT: "KINTERRUPT",
    Kind.DPC: "KDPC",
    Kind.THREAD: "KTHREAD",
    Kind.OBJECT: "object",
    Kind.TIMER: "KTIMER",
    Kind.APC: "KAPC",
    Kind.WORK: "work item",
    Kind.IRP: "IRP",
    Kind.DEVICE: "device",
}
"""What an object without a name is called before its address."""


def _object(kind: Kind, address: int, symbols: SymbolTable) -> str:
    if symbols.find(address) is not None:
        return symbols.name(address)
    called = _CALLED.get(kind)
    return f"{called} {address:#x}" if called else f"{address:#x}"


def _plain(value: int) -> str:
    return f"{value}" if value < 1 << 16 else f"{value:#x}"


def _cpus(mask: int) -> str:
    return " ".join(str(cpu) for cpu in range(mask.bit_length()) if mask >> cpu & 1) or "none"


def object_words(events: EventTable, event: npt.NDArray[Any], argument0: Words, argument1: Words) -> Words:
    """Return for each record the address of the object that it is about: lock, DPC, IRP, thread; 0 where none.

    Args:
        events: the guest's.
        event: numbers of the records' events.
        argument0: their first arguments.
        argument1: their second arguments.
    """
    return _chosen(events, event, (argument0, argument1), _is_object)


def site_words(events: EventTable, event: npt.NDArray[Any], argument0: Words, argument1: Words) -> Words:
    """Return for each record the address of the code that it names: the caller, the routine; 0 where none.

    See `object_words`.
    """
    return _chosen(events, event, (argument0, argument1), _is_site)


def _is_object(argument: Argument) -> bool:
    return argument.kind in OBJECTS


def _is_site(argument: Argument) -> bool:
    return argument.kind in CODE


def _chosen(
    events: EventTable,
    event: npt.NDArray[Any],
    arguments: tuple[Words, Words],
    wanted: Callable[[Argument], bool],
) -> Words:
    which = _places(tuple(events.numbers.items()), wanted)
    place = which[np.minimum(event, len(which) - 1)]
    found: Words = np.where(place == 0, arguments[0], np.where(place == 1, arguments[1], np.uint64(0)))
    return found


@lru_cache(maxsize=8)
def _places(numbers: tuple[tuple[str, int], ...], wanted: Callable[[Argument], bool]) -> npt.NDArray[np.int8]:
    """Return for each event's number which of its arguments is wanted, the first that is; -1: none."""
    which = np.full(max((number for _, number in numbers), default=0) + 2, -1, dtype=np.int8)
    for name, number in numbers:
        meaning = ARGUMENTS.get(name, ())
        which[number] = next((at for at, argument in enumerate(meaning) if wanted(argument)), -1)
    return which


def site_text(symbols: SymbolTable, address: int) -> str:
    """Return where an address of code is: `function+0x12 (file:line)`; empty for 0."""
    return symbols.where(address) if address else ""


def object_text(symbols: SymbolTable, address: int) -> str:
    """Return the name of an address of data, or the address; empty for 0."""
    return symbols.name(address) if address else ""
