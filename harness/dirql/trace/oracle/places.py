# SPDX-License-Identifier: Apache-2.0
"""Where in the code a violation is: what its records say, and where they are silent, the routine that was running."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.oracle.verdict import site_of

if TYPE_CHECKING:
    from dirql.trace.history.history import History
    from dirql.trace.oracle.verdict import Violation

_ROUTINES = ("IsrEnter", "SyncEnter", "DpcStart")


def with_places(history: History, violation: Violation) -> Violation:
    """Return the violation with a site for each of its records, as far as the trace tells, and names for addresses."""
    trace = history.trace
    silent = [record for record in violation.records if not site_of(trace, record)]
    around = [running(history, record) for record in silent]
    sites = tuple(dict.fromkeys([*violation.sites, *(site for site in around if site)]))
    return replace(violation, sites=sites, text=trace.symbols.in_words(violation.text))


def running(history: History, record: int) -> int:
    """Return the service routine, synchronised routine or DPC routine that a record was made in.

    Else the routine that the thread began in; 0 where the trace does not tell.
    """
    trace, routines = history.trace, history.in_routines
    opener = int(routines.opener[record])
    while opener >= 0:
        if trace.meta.events.name(int(trace.event[opener])) in _ROUTINES:
            return int(trace.arg1[opener])
        opener = int(routines.parent(np.array([opener]))[0])
    return int(history.threads.start_routines[history.threads.number[record]]) if history.threads.switched else 0
