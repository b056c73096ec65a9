# SPDX-License-Identifier: Apache-2.0
"""The distribution of some times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Percentiles:
    """The distribution of some times, in ns. All are 0 where there are none.

    Attributes:
        count: how many times there are.
        total: their sum.
        p999: of a thousand, 999 are at most this; the others likewise.
    """

    count: int
    total: float
    minimum: float
    median: float
    p90: float
    p99: float
    p999: float
    maximum: float

    @classmethod
    def of(cls, times: npt.ArrayLike) -> Percentiles:
        """Summarise times.

        Args:
            times: one-dimensional, in ns.

        Returns:
            Percentiles that are values of the data, not interpolations between two.
        """
        data = np.asarray(times, dtype=np.float64)
        if not len(data):
            return cls(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        cut = np.percentile(data, [0, 50, 90, 99, 99.9, 100], method="inverted_cdf")
        return cls(len(data), float(data.sum()), *(float(value) for value in cut))
