# SPDX-License-Identifier: Apache-2.0
"""A CPU's time in a window as a row of cells, each of which may hold thousands of records: the highest IRQL counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dirql.report.activity import NOTHING

if TYPE_CHECKING:
    import numpy.typing as npt

    from dirql.report.activity import Activity
    from dirql.trace.schema import Flags, Indices

_LEVELS = 16
_KINDS = 32


@dataclass(frozen=True)
class Cells:
    """A row of cells of equal time.

    Attributes:
        irql: the highest IRQL in each; -1 where nothing is known, or nothing of what was asked for.
        share: part of the cell's time at that IRQL.
        kind: what ran there, by `slices.Kind`, for the longest time.
        slice: the slice that took most of the cell's time at any IRQL; `NOTHING` where there is none.
        spinning: whether the CPU spun for a lock for most of the cell.
    """

    irql: Indices
    share: npt.NDArray[np.float64]
    kind: Indices
    slice: Indices
    spinning: Flags


def cells_of(did: Activity | None, window: tuple[int, int], width: int, irqls: range | None = None) -> Cells:
    """Cut a CPU's time into cells.

    Args:
        did: what it did in the window; None for nothing.
        window: begin and end, in ticks.
        width: how many cells.
        irqls: count what was at these IRQLs only; None for all.
    """
    nothing = np.full(width, NOTHING, dtype=np.int64)
    if did is None:
        return Cells(nothing, np.zeros(width), nothing, nothing, nothing == 0)
    edges = np.linspace(window[0], window[1], width + 1)
    begin = np.union1d(did.begin.astype(np.float64), edges[:-1])
    begin = begin[(begin >= did.begin[0]) & (begin < did.end[-1])]
    length = np.diff(np.append(begin, float(did.end[-1])))
    at = np.maximum(np.searchsorted(did.begin, begin, side="right") - 1, 0)
    cell = np.clip(np.searchsorted(edges, begin, side="right") - 1, 0, width - 1)
    level = np.minimum(did.irql[at], _LEVELS - 1)
    if irqls is not None:
        kept = (level >= irqls.start) & (level < irqls.stop)
        length, at, cell, level = length[kept], at[kept], cell[kept], level[kept]
    spent = np.bincount(cell * _LEVELS + level, weights=length, minlength=width * _LEVELS).reshape(width, _LEVELS)
    known = spent > (window[1] - window[0]) / width * 1e-9
    irql = np.where(known.any(axis=1), _LEVELS - 1 - np.argmax(known[:, ::-1], axis=1), NOTHING)
    size = (window[1] - window[0]) / width
    share = np.where(irql >= 0, spent[np.arange(width), np.maximum(irql, 0)] / size, 0.0)
    top = level == irql[cell]
    kinds = np.bincount(cell[top] * _KINDS + did.kind[at[top]], weights=length[top], minlength=width * _KINDS)
    spun = np.bincount(cell, weights=np.where(did.spinning[at], length, 0.0), minlength=width)
    total = np.bincount(cell, weights=length, minlength=width)
    return Cells(
        irql=irql,
        share=np.clip(share, 0.0, 1.0),
        kind=np.argmax(kinds.reshape(width, _KINDS), axis=1),
        slice=_longest(cell, did.slice[at], length, width),
        spinning=(spun > total / 2) & (irql >= 0),
    )


def _longest(cell: Indices, which: Indices, length: npt.NDArray[np.float64], width: int) -> Indices:
    """Return for each cell the slice that took most of its time."""
    found = np.full(width, NOTHING, dtype=np.int64)
    if not len(cell):
        return found
    size = int(which.max()) + 2
    pairs, number = np.unique(cell * size + which + 1, return_inverse=True)
    spent = np.bincount(number.reshape(-1), weights=length)
    order = np.argsort(spent, kind="stable")  # the longest of a cell comes last and stays
    found[pairs[order] // size] = pairs[order] % size - 1
    return found
