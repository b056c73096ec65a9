# SPDX-License-Identifier: Apache-2.0
"""The classes and arguments of the events say what guest/include/trace_events.h says."""

from __future__ import annotations

import re
from functools import cache

import pytest

from dirql.errors import UsageError
from dirql.trace.events import ARGUMENTS, EVENT_CLASSES, Kind, events_of, mask_of
from tests.unit.trace.header import events_of_header, header_text

_EVENTS = sorted(set(events_of_header().numbers) - {"None"})


@cache
def _comments() -> dict[str, str]:
    """Event -> what the header says of it, in one line."""
    entry = r"Trace(\w+)\s*=\s*\d+,\s*/\*(.*?)\*/"
    return {name: " ".join(text.split()) for name, text in re.findall(entry, header_text(), re.DOTALL)}


def test_every_event_is_in_exactly_one_class() -> None:
    assert sorted(event for events in EVENT_CLASSES.values() for event in events) == _EVENTS


def test_every_event_has_arguments() -> None:
    assert sorted(ARGUMENTS) == _EVENTS


@pytest.mark.parametrize("event", _EVENTS)
def test_arguments_are_what_the_header_says(event: str) -> None:
    first, _, second = _comments()[event].partition(";")
    arguments = ARGUMENTS[event]
    if not second:  # one text for both
        assert arguments[0].name == arguments[1].name
        second = first
    for argument, text in zip(arguments, (first, second), strict=True):
        assert text.strip().startswith(argument.name), (event, argument.name, text)


@pytest.mark.parametrize("event", _EVENTS)
def test_parts_do_not_overlap_and_stand_where_the_header_puts_them(event: str) -> None:
    for argument in ARGUMENTS[event]:
        assert (argument.kind is Kind.PACKED) == bool(argument.parts)
        taken = 0
        for part in argument.parts:
            mask = (1 << part.bits) - 1 << part.shift
            assert not taken & mask
            assert mask < 1 << 64
            assert part.of(mask) == (1 << part.bits) - 1
            taken |= mask
        shifts = {int(shift) for shift in re.findall(r"<< (\d+)", argument.name)}
        assert shifts <= {part.shift for part in argument.parts}


def test_masks_of_classes_and_events() -> None:
    events = events_of_header()
    assert events_of(["marks", "IrqlRaise", "marks"]) == ("Mark", "IrqlRaise")
    assert mask_of(events, ["marks", "IrqlRaise"]) == 1 << events["Mark"] | 1 << events["IrqlRaise"]
    assert mask_of(events, ["all"]) == sum(1 << events[name] for name in _EVENTS)
    with pytest.raises(UsageError, match="locks"):
        events_of(["lock"])
