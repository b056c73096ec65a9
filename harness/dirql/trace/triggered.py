# SPDX-License-Identifier: Apache-2.0
"""What ended a recording before its time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dirql.trace.decode import Trace


@dataclass(frozen=True)
class Triggered:
    """The record that a recording was told to stop on, and why.

    Attributes:
        condition: what had been asked for, such as `hold>25us`.
        text: what happened.
        cpu: whose record it was.
        sequence: its sequence number there.
        tsc: its time.
        kept: records that followed it, of all CPUs, before the recording ended.
        record: its event's number and its arguments; None: the text says it all.
    """

    condition: str
    text: str
    cpu: int
    sequence: int
    tsc: int
    kept: int = 0
    record: tuple[int, int, int] | None = None

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.condition}: {self.text}"

    def index(self, trace: Trace) -> int | None:
        """Return the record's index in a trace; None where it is not there."""
        mine = trace.on_cpu(self.cpu)
        found = np.flatnonzero(trace.raw(self.cpu)["Sequence"] == self.sequence)
        return int(mine[found[0]]) if len(found) else None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Triggered:
        """Read what `to_json` returned."""
        record = data.get("record")
        return cls(**{**data, "record": tuple(record) if record else None})
