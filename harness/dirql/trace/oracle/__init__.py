# SPDX-License-Identifier: Apache-2.0
"""The oracle: judges a run by its trace alone, clause by clause of the NT driver documentation."""

from dirql.trace.oracle.account import Balance, balances, route_by_vector
from dirql.trace.oracle.judge import judge
from dirql.trace.oracle.verdict import Budgets, Clause, ClauseVerdict, Status, Verdict, Violation

__all__ = [
    "Balance",
    "Budgets",
    "Clause",
    "ClauseVerdict",
    "Status",
    "Verdict",
    "Violation",
    "balances",
    "judge",
    "route_by_vector",
]
