# SPDX-License-Identifier: Apache-2.0
"""Which period an expiry of a periodic timer belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from dirql.experiments.timer_accuracy import TimerAccuracyParameters, leave_out_missed


@pytest.mark.parametrize(
    ("errors", "expected", "missed"),
    [
        ([-3, 0, 9], [-3, 0, 9], 0),
        ([0, 12, 13], [0, 2, 3], 1),  # the second expiry is the third period's
        ([0, 35, 30, 41], [0, 5, 0, 1], 4),
        ([0, 12, 8], [0, 2, -2], 1),  # early for its own period, not late for the one before
    ],
)
def test_a_late_expiry_is_that_of_a_later_period(errors: list[int], expected: list[int], missed: int) -> None:
    found, count = leave_out_missed(np.array(errors), 10)
    assert found.tolist() == expected
    assert count == missed


def test_periods_are_whole_milliseconds() -> None:
    parameters = TimerAccuracyParameters(longest=5)
    assert [parameters.period_ms(tick) for tick in (15625, 1000, 500, 100)] == [39, 2, 1, 1]
