# SPDX-License-Identifier: Apache-2.0
"""Parts of a trace, as users name them."""

from __future__ import annotations

import pytest

from dirql.errors import UsageError
from dirql.trace.window import Window, parse_irqls, parse_time
from tests.unit.trace.synth import simulate

TRACE = simulate(2, 3, 600).trace()


@pytest.mark.parametrize(
    ("text", "ns"),
    [("0", 0), ("1200", 1200), ("1.5ms", 1_500_000), ("20us", 20_000), ("20 µs", 20_000), (".5s", 500_000_000)],
)
def test_times(text: str, ns: int) -> None:
    assert parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "ms", "-3us", "1.5 minutes", "1e3", "1,5ms"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="no time"):
        parse_time(text)


def test_irqls() -> None:
    assert (parse_irqls("2"), parse_irqls("2-5"), parse_irqls("13+")) == (range(2, 3), range(2, 6), range(13, 16))
    for text in ("5-2", "16", "two", "2-16"):
        with pytest.raises(UsageError):
            parse_irqls(text)


def test_a_window_takes_what_every_filter_lets_through() -> None:
    half = int(TRACE.ns(TRACE.time[[-1]])[0]) // 2
    window = Window.of(since="10", until=str(half), cpus=[1, 2], events=["Mark"], classes=["locks"], irql="2+")
    chosen = set(window.select(TRACE).tolist())
    names = {"Mark", "LockWait", "LockAcquired", "LockReleased", "LockQueued"}
    names |= {"LockSharedWait", "LockSharedAcquired", "LockSharedReleased"}
    expected = {
        at
        for at in range(len(TRACE))
        if 10 <= TRACE.time[at] < half
        and TRACE.cpu[at] in (1, 2)
        and TRACE.meta.events.name(int(TRACE.event[at])) in names
        and TRACE.irql[at] >= 2
    }
    assert chosen == expected
    assert len(expected) > 10


def test_the_whole() -> None:
    assert Window().whole
    assert Window.of().whole
    assert Window().select(TRACE).tolist() == list(range(len(TRACE)))
    assert not Window.of(cpus=[0]).whole


def test_the_end_is_outside_and_the_beginning_inside() -> None:
    assert Window(5, 7).ticks(2.5) == (13, 18)
    first, last = (int(TRACE.time[at]) for at in (40, 80))
    chosen = Window(first, last).select(TRACE)
    assert TRACE.time[chosen[0]] == first
    assert TRACE.time[chosen[-1]] < last == TRACE.time[chosen[-1] + 1]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="no CPU 7"):
        Window.of(cpus=[7]).select(TRACE)
    with pytest.raises(UsageError, match="Lock"):
        Window.of(events=["LockAquired"])
    with pytest.raises(UsageError, match="before it begins"):
        Window.of(since="2ms", until="1ms")
