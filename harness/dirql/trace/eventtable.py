# SPDX-License-Identifier: Apache-2.0
"""The trace events of a guest: names and numbers, as its debug information tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dirql.errors import ProtocolError

_PREFIX = "Trace"
_COUNT = "EventCount"


@dataclass(frozen=True)
class EventTable:
    """Names and numbers of the trace events.

    Attributes:
        numbers: name without the C enumeration's `Trace` prefix -> number.
    """

    numbers: Mapping[str, int]

    @classmethod
    def from_enum(cls, enumerators: Mapping[str, int]) -> EventTable:
        """Take the enumerators of the guest's `TRACE_EVENT` as they are in C.

        Args:
            enumerators: C name -> number; the closing count is left out.

        Returns:
            The table under the short names.
        """
        short = {name.removeprefix(_PREFIX): number for name, number in enumerators.items()}
        short.pop(_COUNT, None)
        return cls(short)

    def __getitem__(self, name: str) -> int:
        """Return the number of the event `name`.

        Raises:
            ProtocolError: if the guest that made the trace has no such event.
        """
        try:
            return self.numbers[name]
        except KeyError:
            raise ProtocolError(
                f"the guest's trace events have no {name}: it was built from another list than this host expects"
            ) from None

    def __contains__(self, name: object) -> bool:
        """Tell whether the guest has an event of that name."""
        return name in self.numbers

    def name(self, number: int) -> str:
        """Return the name of event `number`, or `event <number>` if it has none."""
        for name, known in self.numbers.items():
            if known == number:
                return name
        return f"event {number}"
