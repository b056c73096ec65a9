# SPDX-License-Identifier: Apache-2.0
"""What the host knows about the interrupts that it sent: the other half of the books that the oracle closes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Accounting:
    """The host's counts of one run.

    Attributes:
        sent: message number -> interrupts that the host raised.
        merged: message number -> raises that the host knows to have merged with one still pending (an edge raised
            twice before it was taken interrupts once).
        acknowledged: how often the device saw a service routine acknowledge; None where the device does not count.
        connects: message number -> address of the KINTERRUPT that serves it. Several messages may share one. Where it
            is empty, only the totals are compared.
        threaded_dpcs: addresses of KDPCs initialised by KeInitializeThreadedDpc: DPC-1 to DPC-5 are about ordinary
            ones, and the trace does not tell them apart.
    """

    sent: Mapping[int, int] = field(default_factory=dict)
    merged: Mapping[int, int] = field(default_factory=dict)
    acknowledged: int | None = None
    connects: Mapping[int, int] = field(default_factory=dict)
    threaded_dpcs: frozenset[int] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "sent": {str(key): value for key, value in self.sent.items()},
            "merged": {str(key): value for key, value in self.merged.items()},
            "acknowledged": self.acknowledged,
            "connects": {str(key): value for key, value in self.connects.items()},
            "threaded_dpcs": sorted(self.threaded_dpcs),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Accounting:
        """Read what `to_json` returned."""
        return cls(
            sent={int(key): int(value) for key, value in data["sent"].items()},
            merged={int(key): int(value) for key, value in data["merged"].items()},
            acknowledged=data["acknowledged"],
            connects={int(key): int(value) for key, value in data["connects"].items()},
            threaded_dpcs=frozenset(data["threaded_dpcs"]),
        )
