# SPDX-License-Identifier: Apache-2.0
"""A part of a trace: a stretch of time, some CPUs, some events, some IRQLs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.errors import UsageError
from dirql.trace.events import events_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from dirql.trace.decode import Trace
    from dirql.trace.schema import Bytes, EventTable, Flags, Indices

_TIME = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s|)")
_NS = {"": 1, "ns": 1, "us": 1000, "µs": 1000, "ms": 1_000_000, "s": 1_000_000_000}
_IRQL = re.compile(r"(\d+)(?:(\+)|-(\d+))?")
HIGH_LEVEL = 15


def parse_time(text: str) -> int:
    """Read a time such as `1.5ms`, `20us`, `3s` or `1200` (ns).

    Returns:
        ns, rounded.

    Raises:
        UsageError: it is none.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no time; write 1.5ms, 20us, 3s, or ns without a unit")
    return round(Decimal(found[1]) * _NS[found[2]])


def parse_irqls(text: str) -> range:
    """Read IRQLs such as `2`, `2-5` or `3+` (3 and above).

    Raises:
        UsageError: it is none, or there is no such IRQL.
    """
    found = _IRQL.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no IRQL; write 2, 2-5 or 3+")
    low = int(found[1])
    high = HIGH_LEVEL if found[2] else int(found[3] or low)
    if not low <= high <= HIGH_LEVEL:
        raise UsageError(f"{text!r}: IRQLs go from 0 to {HIGH_LEVEL}")
    return range(low, high + 1)


@dataclass(frozen=True)
class Window:
    """A part of a trace. Records belong to it that every one of its filters lets through.

    Attributes:
        since: ns since the first record of the trace.
        until: the same; records of this time and later are outside. None: to the end.
        cpus: these CPUs only; None: all.
        events: these events only, by name; None: all.
        irqls: records made at one of these IRQLs only; None: at any.
    """

    since: int = 0
    until: int | None = None
    cpus: frozenset[int] | None = None
    events: frozenset[str] | None = None
    irqls: range | None = None

    def __post_init__(self) -> None:
        """Check the times.

        Raises:
            UsageError: the window ends before it begins.
        """
        if self.until is not None and self.until < self.since:
            raise UsageError(f"a window from {self.since} to {self.until} ns ends before it begins")

    @classmethod
    def of(
        cls,
        *,
        since: str | None = None,
        until: str | None = None,
        cpus: Iterable[int] = (),
        events: Iterable[str] = (),
        classes: Iterable[str] = (),
        irql: str | None = None,
    ) -> Window:
        """Make a window of what a user wrote.

        Args:
            since: see `parse_time`; None: from the beginning.
            until: the same; None: to the end.
            cpus: none: all.
            events: events' names; none of these and no classes: all.
            classes: events' classes, see `events.EVENT_CLASSES`.
            irql: see `parse_irqls`; None: any.

        Raises:
            UsageError: a value is none.
        """
        chosen = events_of([*classes, *events])
        numbers = frozenset(cpus)
        return cls(
            since=0 if since is None else parse_time(since),
            until=None if until is None else parse_time(until),
            cpus=numbers or None,
            events=frozenset(chosen) if chosen else None,
            irqls=None if irql is None else parse_irqls(irql),
        )

    @property
    def whole(self) -> bool:
        """Whether it is all of the trace."""
        return self == Window()

    @property
    def filters(self) -> bool:
        """Whether it takes only some of the records of its CPUs in its time."""
        return self.events is not None or self.irqls is not None

    @property
    def unfiltered(self) -> Window:
        """The same time, with all that happened in it."""
        return replace(self, cpus=None, events=None, irqls=None)

    @property
    def all_events(self) -> Window:
        """The same time and CPUs, with all that happened there."""
        return replace(self, events=None, irqls=None)

    def ticks(self, ticks_per_ns: float) -> tuple[int, int | None]:
        """Return the first tick inside, and the first one after it; None: it has no end."""
        since = math.ceil(self.since * ticks_per_ns)
        return since, None if self.until is None else math.ceil(self.until * ticks_per_ns)

    def check(self, cpus: int) -> None:
        """Check that a trace has the CPUs.

        Raises:
            UsageError: it has not.
        """
        strange = sorted(cpu for cpu in self.cpus or () if not 0 <= cpu < cpus)
        if strange:
            raise UsageError(f"the trace has CPUs 0 to {cpus - 1}, no CPU {strange[0]}")

    def mask(self, events: EventTable) -> int:
        """Return a bit for each event that it lets through."""
        if self.events is None:
            return (1 << 128) - 1
        return sum(1 << events[name] for name in self.events if name in events)

    def passes(self, event: npt.NDArray[Any], irql: Bytes, events: EventTable) -> Flags:
        """Return which records the filters for events and IRQLs let through.

        Args:
            event: their events' numbers.
            irql: their IRQLs.
            events: the guest's.
        """
        kept = np.ones(len(event), dtype=np.bool_)
        if self.events is not None:
            known = np.zeros(1 << 16 if event.dtype.itemsize > 1 else 1 << 8, dtype=np.bool_)
            known[[events[name] for name in self.events if name in events]] = True
            kept &= known[event]
        if self.irqls is not None:
            kept &= (irql >= self.irqls.start) & (irql < self.irqls.stop)
        return kept

    def select(self, trace: Trace) -> Indices:
        """Return the records of a trace that belong to the window, in order.

        Raises:
            UsageError: the trace has no such CPU.
        """
        self.check(trace.cpus)
        since, until = self.ticks(trace.meta.clock.ticks_per_ns)
        first = int(np.searchsorted(trace.time, since))
        last = len(trace) if until is None else int(np.searchsorted(trace.time, until))
        part = slice(first, max(first, last))
        kept = self.passes(trace.event[part], trace.irql[part], trace.meta.events)
        if self.cpus is not None:
            kept &= np.isin(trace.cpu[part], sorted(self.cpus))
        return np.flatnonzero(kept) + first
