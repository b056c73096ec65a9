# SPDX-License-Identifier: Apache-2.0
"""What can be told of any record, and is found for those only that are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from dirql.trace.schema import Indices


class Lookup:
    """Looks as an array with an element for each record.

    Args:
        find: finds the elements of some records, given by their indices.
    """

    def __init__(self, find: Callable[[Any], Any]) -> None:
        self._find = find

    @overload
    def __getitem__(self, index: Indices) -> Indices: ...

    @overload
    def __getitem__(self, index: int | np.int64) -> np.int64: ...

    def __getitem__(self, index: Indices | int | np.int64) -> Indices | np.int64:
        """Look it up for the records of these indices."""
        found: Indices | np.int64 = self._find(index)
        return found
