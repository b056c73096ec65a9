# SPDX-License-Identifier: Apache-2.0
"""A trace without the events that were recorded some of the time only.

What a judge cannot see it does not look for; what it sees half of would mislead it. So events that were switched on or
off on the way count as not recorded at all, and all that does not depend on them is judged.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dirql.trace.decode import Trace, sequence_before
from dirql.trace.oracle.verdict import ClauseVerdict, Verdict, Violation
from dirql.trace.schema import Indices


def halfway(trace: Trace) -> frozenset[str]:
    """Return the events of a trace that were not recorded all the time."""
    return frozenset(name for name in trace.present if not trace.recorded(name))


def without(trace: Trace, names: frozenset[str]) -> tuple[Trace, Indices]:
    """Return a trace without the records of some events, and the index in `trace` of each of its records.

    Records are numbered anew: what is left out is not lost. What is lost in `trace` has to be asked there.
    """
    numbers = [trace.meta.events[name] for name in names]
    per_cpu, kept = [], []
    for cpu in range(trace.cpus):
        records = trace.raw(cpu)
        stays = ~np.isin(records["Event"], numbers)
        chosen = records[stays]
        first = (sequence_before(trace.meta, cpu) or 0) + 1
        chosen["Sequence"] = (np.arange(len(chosen), dtype=np.uint64) + np.uint64(first)).astype(np.uint32)
        per_cpu.append(chosen)
        kept.append(trace.on_cpu(cpu)[stays])
    rest = Trace(per_cpu, replace(trace.meta, lost=(), let_go=()))
    where = np.empty(len(rest), dtype=np.int64)
    for cpu in range(trace.cpus):
        where[rest.on_cpu(cpu)] = kept[cpu]
    return rest, where


def placed(verdict: Verdict, where: Indices) -> Verdict:
    """Return a verdict on the rest of a trace with the records numbered as in the whole."""

    def moved(violation: Violation) -> Violation:
        return replace(violation, records=tuple(int(where[record]) for record in violation.records))

    def each(clause: ClauseVerdict) -> ClauseVerdict:
        return replace(clause, violations=tuple(moved(violation) for violation in clause.violations))

    return replace(verdict, clauses=tuple(each(clause) for clause in verdict.clauses))
