# SPDX-License-Identifier: Apache-2.0
"""What a trace record is: the numbers of the events, the layout of a record and that of a ring.

None of it is written down here. All comes from the guest's debug information as plain dictionaries, and goes into the
run's folder, so that a trace can be read long after its guest was rebuilt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dirql.errors import ProtocolError
from dirql.trace.eventtable import EventTable as EventTable

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Records = npt.NDArray[np.void]

FieldMap = Mapping[str, tuple[int, int]]
"""Field name -> (offset, size), both in bytes: one C structure as its debug information tells it."""

RECORD_FIELDS = ("Time", "Sequence", "Event", "Cpu", "Irql", "Argument0", "Argument1")
RING_FIELDS = ("Head", "Lost", "RecordsPhysical", "Mask", "Tail")


def record_dtype(fields: FieldMap, size: int) -> np.dtype[np.void]:
    """Build the numpy type of a trace record.

    Args:
        fields: the fields of `TRACE_RECORD`.
        size: bytes of a record.

    Returns:
        A little-endian structured type with the C names.

    Raises:
        ProtocolError: if a field is missing or has a size that no integer has.
    """
    missing = [name for name in RECORD_FIELDS if name not in fields]
    if missing:
        raise ProtocolError(f"the guest's TRACE_RECORD has no {', '.join(missing)}")
    formats: list[str] = []
    for name in RECORD_FIELDS:
        if fields[name][1] not in (1, 2, 4, 8):
            raise ProtocolError(f"TRACE_RECORD.{name} has {fields[name][1]} bytes; expected 1, 2, 4 or 8")
        formats.append(f"<u{fields[name][1]}")
    layout: Any = {
        "names": list(RECORD_FIELDS),
        "formats": formats,
        "offsets": [fields[name][0] for name in RECORD_FIELDS],
        "itemsize": size,
    }
    dtype: np.dtype[np.void] = np.dtype(layout)
    return dtype


@dataclass(frozen=True)
class RingLayout:
    """Where the words of a `TRACE_RING` are.

    Attributes:
        head: byte offset of Head, and so on for the others.
        size: bytes from one ring to the next.
    """

    head: int
    lost: int
    records_physical: int
    mask: int
    tail: int
    size: int

    @classmethod
    def from_fields(cls, fields: FieldMap, size: int) -> RingLayout:
        """Take the layout from the structure's fields.

        Args:
            fields: the fields of `TRACE_RING`.
            size: bytes of the structure.

        Raises:
            ProtocolError: if a field is missing, is no 8-byte word, or is not aligned, so that it could tear.
        """
        for name in RING_FIELDS:
            if name not in fields:
                raise ProtocolError(f"the guest's TRACE_RING has no {name}")
            offset, width = fields[name]
            if width != 8 or offset % 8:
                raise ProtocolError(f"TRACE_RING.{name} is not an aligned 8-byte word (offset {offset}, {width} bytes)")
        return cls(
            head=fields["Head"][0],
            lost=fields["Lost"][0],
            records_physical=fields["RecordsPhysical"][0],
            mask=fields["Mask"][0],
            tail=fields["Tail"][0],
            size=size,
        )
