# SPDX-License-Identifier: Apache-2.0
"""How many examples the tests of the oracle generate: few as a rule, many in `make soak-oracle`."""

from __future__ import annotations

import os


def examples(usual: int, part: int = 1) -> int:
    """Return how many: `usual`, or of what DIRQL_SOAK_ORACLE asks for, one in `part`."""
    wanted = os.environ.get("DIRQL_SOAK_ORACLE")
    return usual if wanted is None else max(int(wanted) // part, usual)
