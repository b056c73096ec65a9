# SPDX-License-Identifier: Apache-2.0
"""Numbers on their way into the page: columns as typed arrays, compressed, in letters that HTML leaves alone.

Columns of all names stand one after another in one block, each on an 8-byte boundary, the bytes of the wider ones split
into planes (all lowest bytes first), which is what makes times and indices small.
"""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

LEVEL = 4
"""Of compression: beyond it the file hardly shrinks, and writing it takes longer."""
_TYPES = {"u1": "Uint8Array", "u2": "Uint16Array", "u4": "Uint32Array", "i4": "Int32Array"}


def pack(columns: Mapping[str, npt.NDArray[Any]]) -> tuple[dict[str, Any], str]:
    """Pack columns for the page's data.js.

    Args:
        columns: name -> array of u1, u2, u4 or i4.

    Returns:
        What is where (name -> JavaScript type, offset and length), and the block as base64 of gzip.

    Raises:
        KeyError: a column has another type.
    """
    places: dict[str, Any] = {}
    parts: list[bytes] = []
    size = 0
    for name, column in columns.items():
        data = np.ascontiguousarray(column)
        width = data.dtype.itemsize
        places[name] = {"type": _TYPES[data.dtype.str[1:]], "offset": size, "length": len(data), "width": width}
        planes = data.view(np.uint8).reshape(-1, width).T.tobytes()
        padding = -len(planes) % 8
        parts.append(planes + bytes(padding))
        size += len(planes) + padding
    return places, base64.b64encode(gzip.compress(b"".join(parts), LEVEL, mtime=0)).decode("ascii")
