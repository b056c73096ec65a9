# SPDX-License-Identifier: Apache-2.0
"""What the locks of a trace are called: by their symbol, or else by the code that uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.intervals import factorize

if TYPE_CHECKING:
    from dirql.trace.decode import Trace

_ACQUISITIONS = ("LockAcquired", "LockSharedAcquired", "LockWait", "LockSharedWait")


def lock_names(trace: Trace) -> dict[int, str]:
    """Return a name for each lock.

    A lock in a variable has the variable's name. One in allocated memory (a device extension, an interrupt object) has
    none: it is called by the service routine that runs under it, or by the routine that takes it most often.

    Args:
        trace: the trace.
    """
    index = trace.where(*_ACQUISITIONS)
    if not len(index):
        return {}
    locks, lock_number = factorize(trace.arg0[index])
    callers, caller_number = factorize(trace.arg1[index])
    pairs, counts = np.unique(lock_number * len(callers) + caller_number, return_counts=True)
    services = set(trace.arg1[trace.where("IsrEnter")].tolist())
    symbols = trace.symbols
    found: dict[int, str] = {}
    rank: dict[int, tuple[bool, int]] = {}
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        lock, caller = int(locks[pair // len(callers)]), int(callers[pair % len(callers)])
        symbol = symbols.find(lock)
        if symbol is not None:
            found[lock] = symbols.name(lock)
            continue
        place = (caller in services, count)
        if place > rank.get(lock, (False, 0)):
            rank[lock] = place
            user = symbols.find(caller)
            short = f"{lock & 0xFFFF_FFFF:x}"
            if user is None:
                found[lock] = f"{lock:#x}"
            elif caller in services:
                found[lock] = f"interrupt lock of {user[0]} ({short})"
            else:
                found[lock] = f"lock of {user[0]} ({short})"
    return found
