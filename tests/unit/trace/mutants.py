# SPDX-License-Identifier: Apache-2.0
"""Ways to break a correct run, each with the clause that the oracle must name."""

from __future__ import annotations

from tests.unit.trace import (
    mutants_causes,
    mutants_dpc,
    mutants_interrupt,
    mutants_irps,
    mutants_irql,
    mutants_locks,
    mutants_queues,
    mutants_threads,
    mutants_times,
)
from tests.unit.trace.faults import MUTANTS, CannotBreak, Mutant

__all__ = ["MODULES", "MUTANTS", "CannotBreak", "Mutant"]

MODULES = (
    *(mutants_irql, mutants_dpc, mutants_interrupt, mutants_locks, mutants_queues, mutants_threads, mutants_irps),
    mutants_times,
    mutants_causes,
)
"""Where the faults are; each registers its own when it is imported."""
