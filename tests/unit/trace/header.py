# SPDX-License-Identifier: Apache-2.0
"""The guest's event numbers and record layout, for tests that have no guest image to ask."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from dirql.trace.schema import EventTable, RingLayout

_HEADER = Path(__file__).parents[3] / "guest" / "include" / "trace_events.h"

RECORD_SIZE = 32
RECORD_LAYOUT = {
    "Time": (0, 8),
    "Sequence": (8, 4),
    "Event": (12, 2),
    "Cpu": (14, 1),
    "Irql": (15, 1),
    "Argument0": (16, 8),
    "Argument1": (24, 8),
}
RING_LAYOUT = RingLayout.from_fields(
    {"Head": (0, 8), "Lost": (8, 8), "RecordsPhysical": (16, 8), "Records": (24, 8), "Mask": (32, 8), "Tail": (64, 8)},
    128,
)


@cache
def header_text() -> str:
    return _HEADER.read_text(encoding="utf-8")


@cache
def events_of_header() -> EventTable:
    text = header_text()
    enumerators = {name: int(number) for name, number in re.findall(r"^\s+(Trace\w+) =\s+(\d+),", text, re.MULTILINE)}
    assert len(enumerators) >= 30
    return EventTable.from_enum({**enumerators, "TraceEventCount": len(enumerators)})
