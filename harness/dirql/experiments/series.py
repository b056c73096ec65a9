# SPDX-License-Identifier: Apache-2.0
"""What the experiments share: their machine and their times as JSON data, trace masks, numbers of CPUs in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dirql.config import MachineConfig
    from dirql.machine import Machine
    from dirql.trace.decode import Trace
    from dirql.trace.stats.summary import Percentiles

    Ticks = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

ICOUNT_NS = 8
"""Under icount an instruction takes 2**3 ns of virtual time (`-icount shift=3`)."""


def config_json(config: MachineConfig) -> dict[str, Any]:
    """Return a machine's configuration as plain JSON data."""
    return {key: value if isinstance(value, int | str) else str(value) for key, value in asdict(config).items()}


def event_mask(machine: Machine, names: Iterable[str]) -> int:
    """Return the trace mask that records these events alone."""
    events = machine.kernel.debug.enumeration("TRACE_EVENT")
    return sum(1 << events[f"Trace{name}"] for name in names)


def times_json(times: Percentiles) -> dict[str, float]:
    """Return a distribution as JSON data, in µs."""
    values = {key: round(value / 1000, 3) for key, value in asdict(times).items() if key not in ("count", "total")}
    return values | {"count": times.count}


def parse_counts(text: str) -> tuple[int, ...]:
    """Read numbers of CPUs: `1..8`, `1,2,4`, or both, `1..4,8`.

    Raises:
        UsageError: it is none, or a number is out of range.
    """
    counts: set[int] = set()
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        if not first.isdecimal() or (dots and not last.isdecimal()):
            raise UsageError(f"numbers of CPUs are written as 1..8 or 1,2,4; {part!r} is neither")
        counts.update(range(int(first), int(last if dots else first) + 1))
    if not counts or min(counts) < 1 or max(counts) > 64:
        raise UsageError(f"a machine has 1 to 64 CPUs; {text} were asked for")
    return tuple(sorted(counts))


def send_ticks(trace: Trace, times: Sequence[int]) -> Ticks:
    """Return when something was sent, on the trace's clock.

    Args:
        trace: the trace.
        times: CLOCK_MONOTONIC in ns of each; under icount, the number of the host request that let the guest go on.
    """
    sent = np.array(times, dtype=np.int64)
    clock = trace.meta.clock
    if clock.host_ns is not None:
        return np.round((sent - clock.host_ns) * clock.ticks_per_ns).astype(np.int64) + np.int64(
            clock.tsc - trace.origin
        )
    # The guest stood still between the two records of a meeting: what was sent then was sent at the first.
    asked, answered = trace.where("RendezvousEnter"), trace.where("Rendezvous")
    number = trace.arg0[answered].astype(np.int64)
    order = np.argsort(number)
    found = order[np.searchsorted(number[order], sent)]
    return np.asarray(trace.time[asked[found]], dtype=np.int64)
