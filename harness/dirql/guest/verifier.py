# SPDX-License-Identifier: Apache-2.0
"""What the guest's verifier says of a violation: its bugcheck in words, and where the locks in question were taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from dirql.errors import DirqlError, Fault, GuestBugCheck, VerifierViolation
from dirql.guest.ntstatus import bugcheck_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.guest.memory import GuestMemory, View
    from dirql.guest.state import BugCheckRecord
    from dirql.guest.symbols import Symbolizer

VIOLATION = 0xC4
"""DRIVER_VERIFIER_DETECTED_VIOLATION"""

_FRAMES = 6
_SITES = 8

_MEANINGS = {
    0x01: "paged pool is allocated at IRQL {p2}, above APC_LEVEL",
    0x02: "nonpaged pool is allocated at IRQL {p2}, above DISPATCH_LEVEL",
    0x11: "paged pool is freed at IRQL {p2}, above APC_LEVEL",
    0x12: "nonpaged pool is freed at IRQL {p2}, above DISPATCH_LEVEL",
    0x30: "IRQL is raised from {p2} to {p3}",
    0x31: "IRQL is lowered from {p2} to {p3}",
    0x32: "spin lock released at IRQL {p2}, other than DISPATCH_LEVEL",
    0x33: "fast mutex acquired at IRQL {p2}, above APC_LEVEL",
    0x34: "fast mutex released at IRQL {p2}, other than APC_LEVEL",
    0x35: "spin lock released at IRQL {p2}, other than it is held at",
    0x36: "queued spin lock released at IRQL {p2}, other than it is held at",
    0x37: "resource acquired at IRQL {p2} with normal kernel APCs not held back",
    0x38: "resource released at IRQL {p2} with normal kernel APCs not held back",
    0x39: "mutex acquired by an unsafe routine at IRQL {p2}, APCs not held back",
    0x3A: "mutex released by an unsafe routine at IRQL {p2}, APCs not held back",
    0x3B: "a wait at IRQL {p2}",
    0x3E: "a region is left that was not entered",
    0x40: "spin lock acquired at IRQL {p2}, below DISPATCH_LEVEL, by a routine for DISPATCH_LEVEL",
    0x41: "spin lock released at IRQL {p2}, below DISPATCH_LEVEL, by a routine for DISPATCH_LEVEL",
    0x42: "spin lock acquired at IRQL {p2}, above DISPATCH_LEVEL",
    0x70: "MmProbeAndLockPages at IRQL {p2}, above DISPATCH_LEVEL",
    0x73: "MmMapIoSpace at IRQL {p2}, above DISPATCH_LEVEL",
    0x74: "MmMapLockedPages at IRQL {p2}, above DISPATCH_LEVEL",
    0x76: "MmMapLockedPagesSpecifyCache at IRQL {p2}, above DISPATCH_LEVEL",
    0x78: "MmUnlockPages at IRQL {p2}, above DISPATCH_LEVEL",
    0x79: "MmUnmapLockedPages at IRQL {p2}, above DISPATCH_LEVEL",
    0x7B: "MmUnmapIoSpace at IRQL {p2}, above APC_LEVEL",
    0x7E: "pages for an MDL are allocated or freed at IRQL {p2}, above DISPATCH_LEVEL",
    0x80: "KeSetEvent at IRQL {p2}, above DISPATCH_LEVEL",
    0xE1: "an object that must be resident is in pageable memory, at {p2:#x}",
    0xE5: "a routine called at IRQL {p2}, which it is not for",
    0x11A: "KeEnterCriticalRegion at IRQL {p2}, above APC_LEVEL",
    0x11B: "KeLeaveCriticalRegion at IRQL {p2}, above APC_LEVEL",
    0x1000: "self-deadlock",
    0x1001: "lock hierarchy violation",
    0x1002: "spin lock used without having been initialised: it holds {p3:#x}",
    0x1003: "locks released in the wrong order",
    0x1004: "lock released by a thread that does not own it",
    0x1005: "spin lock initialised more than once",
    0x1007: "spin lock released that was not acquired",
    0x1008: "spin lock acquired by a routine that does not fit it",
    0x1009: "spin lock released by a routine that does not fit it",
    0x100A: "a thread ended and still owned a lock",
    0x100B: "storage freed with a lock in it that is held",
    0x20003: "DDI rule IrqlDispatch, at IRQL {p3}",
    0x20007: "DDI rule IrqlExApcLte, at IRQL {p3}",
    0x20008: "DDI rule IrqlExPassive, at IRQL {p3}",
    0x2000A: "DDI rule IrqlIoPassive, at IRQL {p3}",
    0x2000F: "DDI rule IrqlKeApcLte, at IRQL {p3}",
    0x20011: "DDI rule IrqlKeDispatchLte, at IRQL {p3}",
    0x20016: "DDI rule IrqlKeSetEvent, at IRQL {p3}",
    0x20019: "DDI rule IrqlMmApcLte, at IRQL {p3}",
    0x2001B: "DDI rule IrqlObPassive, at IRQL {p3}",
    0x2001C: "DDI rule IrqlPsPassive, at IRQL {p3}",
    0x2001E: "DDI rule IrqlRtlPassive, at IRQL {p3}",
    0x2001F: "DDI rule IrqlZwPassive, at IRQL {p3}",
    0x40003: "DDI rule CriticalRegions",
    0x4000E: "DDI rule GuardedRegions",
    0x40006: "DDI rule QueuedSpinLock",
    0x40009: "DDI rule SpinLock",
}


TICKS_PER_US = 1000
"""Of the TSC under icount, the only mode in which holds are measured: it counts virtual nanoseconds."""


@dataclass(frozen=True)
class LockHold:
    """A spin lock that was held for longer than it may be.

    Attributes:
        lock: its name.
        microseconds: the longest hold, in virtual time.
        count: how many holds were too long.
        cpu: where the longest was.
        taken: the driver's stack where it had been taken, innermost first.
        released: and where it was released.
    """

    lock: str
    microseconds: float
    count: int
    cpu: int
    taken: tuple[str, ...]
    released: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in a line, and a line for each place."""
        lines = [f"{self.lock} was held for {self.microseconds:g} us on CPU {self.cpu} ({self.count} times too long)"]
        lines += ["  taken", *(f"      from {frame}" for frame in self.taken)]
        lines += ["  released", *(f"      from {frame}" for frame in self.released)]
        return "\n".join(lines)


def lock_holds(memory: GuestMemory, symbols: Symbolizer) -> tuple[LockHold, ...]:
    """Return the guest's findings of locks that were held too long, the longest first.

    Args:
        memory: the guest's memory.
        symbols: names addresses.
    """
    found: list[LockHold] = []
    limit = memory.kernel.symbols["VfHolds"][1] // memory.kernel.debug.structure("VF_HOLD").size
    for at in range(limit):
        hold = memory.variable("VfHolds", "VF_HOLD", at)
        if not hold.get("Lock"):
            break
        taken, released = (
            tuple(line.strip().removeprefix("from ") for line in _stack(hold, name, symbols))
            for name in ("HeldStack", "Stack")
        )
        name, us = symbols.variable(hold.get("Lock")), hold.get("Ticks") / TICKS_PER_US
        found.append(LockHold(name, us, hold.get("Count"), hold.get("Cpu"), taken, released))
    return tuple(sorted(found, key=lambda hold: -hold.microseconds))


class _Facts(TypedDict):
    """What every bugcheck's error has."""

    code: int
    parameters: tuple[int, int, int, int]
    processor: int
    fault: Fault | None


def meaning(parameters: tuple[int, int, int, int]) -> str:
    """Say what the parameters of a 0xC4 mean.

    Args:
        parameters: all four; the first says what kind of violation it is (Microsoft's bug-check-0xc4).

    Returns:
        A clause without a full stop; the number alone where it is not known.
    """
    first, *others = parameters
    text = _MEANINGS.get(first, f"violation {first:#x}")
    return text.format(**{f"p{number}": value for number, value in enumerate(others, 2)})


def bugcheck_error(record: BugCheckRecord, memory: GuestMemory, symbols: Symbolizer) -> GuestBugCheck:
    """Return the error of a bugcheck: a `VerifierViolation` with the findings where it was the verifier's.

    Args:
        record: the bugcheck.
        memory: the guest's memory, as the bugcheck left it.
        symbols: names addresses; it knows the images that are loaded.
    """
    facts: _Facts = {
        "code": record.code,
        "parameters": record.parameters,
        "processor": record.processor,
        "fault": record.fault(symbols),
    }
    violation = memory.variable("VfViolation", "VF_VIOLATION")
    found = tuple(violation.get("Parameter", at) for at in range(4))
    if violation.get("Code") != record.code or found != record.parameters:
        return GuestBugCheck("\n".join([record.message, *_details(record, symbols)]), **facts)
    rule = meaning(record.parameters) if record.code == VIOLATION else _text(violation, memory)
    return VerifierViolation(_message(record, violation, memory, symbols), rule=rule, **facts)


def _details(record: BugCheckRecord, symbols: Symbolizer) -> Iterator[str]:
    for line in record.details(symbols):
        yield f"  {line}"


def _text(violation: View, memory: GuestMemory) -> str:
    try:
        return memory.string(violation.get("Text"))
    except DirqlError:
        return "the verifier's record of it cannot be read"


def _message(record: BugCheckRecord, violation: View, memory: GuestMemory, symbols: Symbolizer) -> str:
    """A first line that says what is wrong, and a paragraph for each place that it is about."""
    head = record.message
    if record.code == VIOLATION:
        first = record.parameters[0]
        head = (
            f"{bugcheck_name(record.code)} (0xC4/{first:#x}): {meaning(record.parameters)}, on CPU {record.processor}"
        )
    lines = [head, *_details(record, symbols), f"  {_text(violation, memory)}"]
    for at in range(min(violation.get("SiteCount"), _SITES)):
        lines.extend(_site(violation.inner("Site", at), symbols))
    return "\n".join(lines)


def _site(site: View, symbols: Symbolizer) -> Iterator[str]:
    lock, held = site.get("Lock"), site.get("Held")
    name = symbols.variable(lock) if lock else "this call"
    yield f"  {name}: CPU {site.get('Cpu')}, IRQL {site.get('Irql')}"
    yield from _stack(site, "Stack", symbols)
    if held:
        yield f"    while holding {symbols.variable(held)}, taken"
        yield from _stack(site, "HeldStack", symbols)


def _stack(site: View, field: str, symbols: Symbolizer) -> Iterator[str]:
    """The driver's part of it: what of the kernel called the driver is in the stacks of the CPUs."""
    in_driver = False
    for at in range(_FRAMES):
        address = site.get(field, at)
        of_kernel = symbols.module(address) is symbols.modules[0]
        if not address or (in_driver and of_kernel):
            break
        in_driver = in_driver or not of_kernel
        yield f"      from {symbols.where(address, returned=True)}"
