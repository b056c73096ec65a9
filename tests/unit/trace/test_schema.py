# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from dirql.errors import ProtocolError
from dirql.trace.clock import Clock
from dirql.trace.schema import EventTable, RingLayout, record_dtype
from dirql.trace.symbols import SymbolTable
from tests.unit.trace.header import RECORD_LAYOUT, RECORD_SIZE, events_of_header

RING = {"Head": (0, 8), "Lost": (8, 8), "RecordsPhysical": (16, 8), "Mask": (32, 8), "Tail": (64, 8)}


def test_names_lose_their_prefix_and_the_count() -> None:
    events = EventTable.from_enum({"TraceNone": 0, "TraceMark": 27, "TraceEventCount": 28})
    assert events.numbers == {"None": 0, "Mark": 27}
    assert (events["Mark"], events.name(27), events.name(99)) == (27, "Mark", "event 99")
    assert "Mark" in events
    assert "EventCount" not in events


def test_unknown_event_says_whose_fault_it_is() -> None:
    with pytest.raises(ProtocolError, match="no SyncEnter"):
        EventTable({"Mark": 1})["SyncEnter"]


def test_header_and_contract_agree() -> None:
    events = events_of_header()
    assert (events["InterruptEnter"], events["DpcStart"], events["UnexpectedInterrupt"]) == (4, 16, 29)


def test_record_type_follows_the_layout() -> None:
    dtype = record_dtype(RECORD_LAYOUT, RECORD_SIZE)
    assert dtype.itemsize == 32
    assert dtype.fields is not None
    assert (dtype.fields["Irql"][1], dtype["Argument1"]) == (15, np.dtype("<u8"))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({k: v for k, v in RECORD_LAYOUT.items() if k != "Cpu"}, "no Cpu"),
        ({**RECORD_LAYOUT, "Time": (0, 3)}, "3 bytes"),
    ],
)
def test_unusable_record_is_refused(layout: dict[str, tuple[int, int]], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        record_dtype(layout, RECORD_SIZE)


def test_ring_words_must_not_tear() -> None:
    assert RingLayout.from_fields(RING, 128).tail == 64
    for wrong in ({**RING, "Tail": (68, 8)}, {**RING, "Head": (0, 4)}):
        with pytest.raises(ProtocolError, match="aligned"):
            RingLayout.from_fields(wrong, 128)
    with pytest.raises(ProtocolError, match="no Tail"):
        RingLayout.from_fields({k: v for k, v in RING.items() if k != "Tail"}, 128)


def test_clock_is_fitted_to_the_least_late_pair() -> None:
    late = [0, 900, 40, 3000, 0, 700]
    pairs = [(1_000_000 * at, 500 + 2_000_000 * at + late[at]) for at in range(6)]
    clock = Clock.fit(pairs)
    assert clock.tsc_hz == pytest.approx(2e9, rel=1e-3)
    assert clock.ticks_per_ns == pytest.approx(2.0, rel=1e-3)
    middle = clock.to_host_ns(500 + 2_000_000)
    assert middle is not None
    assert abs(middle - 1_000_000) < 2000


def test_clock_is_not_misled_by_an_end_that_is_mostly_late() -> None:
    early = [(1000 * at, 2000 * at + (at % 7) * 300) for at in range(50)]
    late = [(10_000_000 + 1000 * at, 2 * (10_000_000 + 1000 * at) + (0 if at == 30 else 900_000)) for at in range(50)]
    clock = Clock.fit([*early, *late])
    assert clock.tsc_hz == pytest.approx(2e9, rel=1e-6)


def test_clock_needs_pairs_that_are_apart() -> None:
    for pairs in ([], [(1, 1)], [(5, 1), (5, 2)], [(1, 9), (2, 1)]):
        with pytest.raises(ProtocolError):
            Clock.fit(pairs)


def test_virtual_time_has_no_host_time() -> None:
    assert Clock(1e9).to_host_ns(5) is None


def test_symbols() -> None:
    table = SymbolTable([(0x2000, 0x10, "b"), (0x1000, 0x20, "a!f")])
    assert len(table) == 2
    assert [table.name(at) for at in (0x1000, 0x101F, 0x1020, 0x2001, 5)] == [
        "a!f",
        "a!f+0x1f",
        "0x1020",
        "b+0x1",
        "0x5",
    ]
