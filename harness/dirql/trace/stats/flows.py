# SPDX-License-Identifier: Apache-2.0
"""How often something went from one CPU to another: a lock to its next owner, a DPC to where it ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dirql.trace.schema import Bytes


@dataclass(frozen=True)
class Flow:
    """How often it went from `source` to `target`, which are CPUs; they may be the same."""

    source: int
    target: int
    count: int


def count_flows(source: Bytes, target: Bytes) -> tuple[Flow, ...]:
    """Count pairs of CPUs; only those that occur, sorted by source and target."""
    pairs, counts = np.unique(source.astype(np.int64) << 8 | target, return_counts=True)
    return tuple(
        Flow(pair >> 8, pair & 0xFF, count) for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    )


def matrix(flows: Iterable[Flow], cpus: int) -> list[list[int]]:
    """Return counts by source, then by target."""
    table = [[0] * cpus for _ in range(cpus)]
    for flow in flows:
        table[flow.source][flow.target] += flow.count
    return table
