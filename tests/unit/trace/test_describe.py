# SPDX-License-Identifier: Apache-2.0
"""Records in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dirql.trace.events import ARGUMENTS
from dirql.trace.history.describe import describe, object_words, site_words
from dirql.trace.schema import EventTable
from tests.unit.trace.synth import Row, build

_LOCK, _ISR, _DPC, _HEAP = 0xFFFF_8000_0010_0000, 0xFFFF_8000_0020_0000, 0xFFFF_8000_0030_0000, 0xFFFF_A000_0000_0010
_SYMBOLS = ((_LOCK, 8, "doorbell!DeviceLock"), (_ISR, 64, "doorbell!DoorbellIsr"), (_DPC, 64, "doorbell!DoorbellDpc"))
_LINES = ((_ISR, "isr.c", 110), (_ISR + 0x18, "isr.c", 120), (_ISR + 0x20, "isr.c", 0), (_DPC, "dpc.c", 7))


@pytest.mark.parametrize(
    ("event", "arg0", "arg1", "line"),
    [
        (
            *("LockAcquired", _LOCK, _ISR + 0x1C),
            "LockAcquired doorbell!DeviceLock by doorbell!DoorbellIsr+0x1c (isr.c:120)",
        ),
        ("LockReleased", _HEAP, 0x1234, f"LockReleased lock {_HEAP:#x} by 0x1234"),
        ("DpcStart", _HEAP, _DPC, f"DpcStart KDPC {_HEAP:#x}, doorbell!DoorbellDpc (dpc.c:7)"),
        (
            "DpcInsert",
            _HEAP,
            1 | 0xFF << 8 | 2 << 16,
            f"DpcInsert KDPC {_HEAP:#x}, inserted, any target CPU, importance high",
        ),
        ("DpcInsert", _HEAP, 3 << 8, f"DpcInsert KDPC {_HEAP:#x}, not inserted, target CPU 3, importance low"),
        (
            "IrqlRaise",
            0 | 2 << 8,
            _ISR + 4,
            "IrqlRaise PASSIVE_LEVEL to DISPATCH_LEVEL by doorbell!DoorbellIsr+0x4 (isr.c:110)",
        ),
        (
            "InterruptEnter",
            0x71 | 2 << 8,
            _DPC + 4,
            "InterruptEnter vector 0x71, interrupted IRQL 2 at doorbell!DoorbellDpc+0x4 (dpc.c:7)",
        ),
        ("WaitEnd", _HEAP, 0x102, f"WaitEnd object {_HEAP:#x}, STATUS_TIMEOUT"),
        ("LockQueued", _LOCK, 1 << 32 | 2, "LockQueued doorbell!DeviceLock, behind CPU 2"),
        ("LockQueued", _LOCK, 2 << 32 | 9, "LockQueued doorbell!DeviceLock, ticket 9"),
        (
            *("IrpCall", _HEAP, 3 << 48 | _LOCK & (1 << 48) - 1),
            f"IrpCall IRP {_HEAP:#x}, doorbell!DeviceLock, IRP_MJ_READ, minor function 0",
        ),
        ("Signal", _HEAP, 1 | 5 << 32, f"Signal object {_HEAP:#x}, SignalState 1, type semaphore"),
        ("IpiSend", 0xE1, 0xFF, "IpiSend vector 0xe1, to all the others"),
        ("IdleEnter", 0, 0, "IdleEnter"),
    ],
)
def test_one_line(event: str, arg0: int, arg1: int, line: str) -> None:
    trace = build([Row(5, 0, event, 2, arg0, arg1)], 1, symbols=_SYMBOLS, lines=_LINES)
    assert describe(trace, 0) == line


def test_every_event_has_a_line(events: EventTable) -> None:
    for event in events.numbers:
        if event == "None":
            continue
        for value in (0, 3, 0xFFFF_FFFF_FFFF_FFFF):
            line = describe(build([Row(5, 0, event, 2, value, value)], 1), 0)
            assert line.split()[0] == event
            assert "\n" not in line


def test_an_event_that_this_host_does_not_know() -> None:
    events = EventTable({"None": 0, "FromTheFuture": 90})
    trace = build([Row(5, 0, "Mark", 0, 0x10, 2)], 1)
    trace.meta = replace(trace.meta, events=events)
    assert describe(trace, 0) == f"event {int(trace.event[0])} 0x10 0x2"


def test_objects_and_sites_of_many_records(events: EventTable) -> None:
    rows = [
        ("LockAcquired", 1, 2),
        ("IpiSend", 3, 4),
        ("IpiCallEnter", 5, 6),
        ("IrqlLower", 7, 8),
        ("IrpComplete", 9, 10),
    ]
    event = np.array([events[name] for name, _, _ in rows], dtype=np.uint16)
    arg0, arg1 = (np.array([row[at] for row in rows], dtype=np.uint64) for at in (1, 2))
    assert object_words(events, event, arg0, arg1).tolist() == [1, 0, 0, 0, 9]
    assert site_words(events, event, arg0, arg1).tolist() == [2, 0, 5, 8, 10]


def test_the_list_of_arguments_is_that_of_the_events(events: EventTable) -> None:
    assert set(events.numbers) - {"None"} <= set(ARGUMENTS)
