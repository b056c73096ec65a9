# SPDX-License-Identifier: Apache-2.0
"""From TSC ticks to nanoseconds, and to the host's clock where there is a common one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dirql.errors import ProtocolError


@dataclass(frozen=True)
class Clock:
    """The rate of the guest's TSC and one instant that both clocks know.

    Attributes:
        tsc_hz: ticks per second.
        host_ns: CLOCK_MONOTONIC of the common instant, in ns; None where guest time is virtual (icount).
        tsc: TSC of the common instant.
    """

    tsc_hz: float
    host_ns: int | None = None
    tsc: int = 0

    @classmethod
    def fit(cls, pairs: Iterable[tuple[int, int]]) -> Clock:
        """Find rate and offset from pairs that the guest collected (HostRequestTimeSync).

        The guest sees a host time only after the host stored it, so each pair errs to one side: its TSC is late. The
        rate is that of a straight line through all; where they come from both ends of a recording, through the least
        late pair of each end, because on a loaded host most of one end may be late. The offset is that of the pair
        which was least late.

        Args:
            pairs: (CLOCK_MONOTONIC in ns, TSC) of the same instant, at least two of them apart in time.

        Raises:
            ProtocolError: if the pairs do not span any time or their rate is not positive.
        """
        points = np.array(sorted(pairs), dtype=np.int64)
        if len(points) < 2 or points[0, 0] == points[-1, 0]:
            raise ProtocolError(f"{len(points)} pairs of host and guest time give no rate; collect more, apart in time")
        host = (points[:, 0] - points[0, 0]).astype(np.float64)
        ticks = (points[:, 1] - points[0, 1]).astype(np.float64)
        rate = float(np.polyfit(host, ticks, 1)[0])
        if rate <= 0:
            raise ProtocolError(f"the guest's TSC runs at {rate:g} ticks/ns against the host's clock")
        late = ticks - rate * host
        halves = host < host[-1] / 2
        first, last = (int(each[np.argmin(late[each])]) for each in (np.flatnonzero(halves), np.flatnonzero(~halves)))
        if host[last] - host[first] > host[-1] / 2:
            rate = float((ticks[last] - ticks[first]) / (host[last] - host[first]))
        best = int(np.argmin(ticks - rate * host))
        return cls(tsc_hz=rate * 1e9, host_ns=int(points[best, 0]), tsc=int(points[best, 1]))

    @property
    def ticks_per_ns(self) -> float:
        """TSC ticks in a nanosecond."""
        return self.tsc_hz / 1e9

    def to_host_ns(self, tsc: int) -> int | None:
        """Return the host's CLOCK_MONOTONIC (ns) at `tsc`, or None where time is virtual."""
        if self.host_ns is None:
            return None
        return self.host_ns + round((tsc - self.tsc) / self.ticks_per_ns)
