# SPDX-License-Identifier: Apache-2.0
"""Numbers of the IRPs of a trace: for each device and major function how many, how they ended, how long they took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.history.irps import STATUS_CANCELLED, device_of
from dirql.trace.stats.part import Part
from dirql.trace.stats.percentiles import Percentiles

if TYPE_CHECKING:
    from dirql.trace.history.history import History


@dataclass(frozen=True)
class IrpStats:
    """The IRPs with which one driver was called for one device, of one major function.

    Attributes:
        device: the device object.
        name: what it is called, or its address.
        major: the major function.
        calls: how often.
        completed: how many of those calls came to their end.
        cancelled: how many of these ended as STATUS_CANCELLED or after their cancel routine was called.
        latency: from the call until all completion routines were through or one of them held the IRP back, in ns.
    """

    device: int
    name: str
    major: int
    calls: int
    completed: int
    cancelled: int
    latency: Percentiles

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def irp_statistics(history: History, part: Part | None = None) -> tuple[IrpStats, ...]:
    """Return the numbers of all devices and major functions, the most called first."""
    trace, irps = history.trace, history.irps
    part = part or Part.of(trace)
    calls = np.flatnonzero(irps.of("IrpCall"))
    calls = calls[part.holds(irps.index[calls])]
    if not len(calls):
        return ()
    done, complete = irps.of("IrpDone"), irps.of("IrpComplete")
    through = irps.after(done)[calls]
    end = np.where(through >= 0, through, irps.after(complete)[calls])
    status = trace.arg1[irps.index[np.maximum(through, 0)]] & np.uint64(0xFFFF_FFFF)
    taken = irps.after(irps.taken)[calls]
    cancelled = ((through >= 0) & (status == STATUS_CANCELLED)) | ((taken >= 0) & (taken < end))
    word = trace.arg1[irps.index[calls]]
    kind, which = np.unique(
        np.stack([device_of(word), (word >> np.uint64(48)) & np.uint64(0xFF)], axis=1), axis=0, return_inverse=True
    )
    which = which.reshape(-1)
    found = []
    for number, (device, major) in enumerate(kind.tolist()):
        mine = which == number
        ended = mine & (end >= 0)
        took = trace.time[irps.index[end[ended]]] - trace.time[irps.index[calls[ended]]]
        found.append(
            IrpStats(
                device=device,
                name=trace.symbols.name(device).removesuffix(" device object"),
                major=major,
                calls=int(mine.sum()),
                completed=int(ended.sum()),
                cancelled=int((cancelled & ended).sum()),
                latency=Percentiles.of(trace.ns(np.maximum(took, 0))),
            )
        )
    return tuple(sorted(found, key=lambda each: -each.calls))
