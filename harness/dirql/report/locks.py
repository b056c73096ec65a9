# SPDX-License-Identifier: Apache-2.0
"""Tables of spin locks: how often taken, waited for and held, who overtook whom, whose CPU gave it to whose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.report.counts import ROWS, WIDEST
from dirql.report.tables import duration, experiment_table
from dirql.trace.stats.flows import matrix

if TYPE_CHECKING:
    from rich.table import Table

    from dirql.trace.stats.summary import LockStats, Percentiles, TraceStats
    from dirql.trace.symbols import SymbolTable

DETAILED = 2
"""Locks that have their hand-offs and call sites shown, the hottest."""


def locks_table(stats: TraceStats) -> Table:
    """Return a table with a row per lock, the most contended first; at most `ROWS` of them."""
    columns = ("lock", "kind", "taken", "contended", "waited", "p99", "max", "held", "p99", "max", "total")
    table = experiment_table("Spin locks", *columns, "bypasses", "of one")
    for at in (0, 1):
        table.columns[at].justify = "left"
    for each in stats.locks[:ROWS]:
        taken, contended = each.acquisitions + each.shared, each.contended + each.shared_contended
        wait = each.wait if each.wait.count else each.shared_wait
        hold = each.hold if each.hold.count else each.shared_hold
        readers = f" ({each.shared:,} as a reader)" if each.shared else ""
        still = f" ({each.waiting} still wait)" if each.waiting else ""
        table.add_row(
            each.name,
            each.kind + readers,
            f"{taken:,}",
            f"{contended:,} {contended / taken:.0%}{still}" if contended and taken else f"-{still}",
            *_times(wait),
            *_times(hold),
            duration(each.hold.total + each.shared_hold.total),
            f"{each.bypasses:,}" if each.bypasses else "-",
            f"{each.most_bypassed:,}" if each.most_bypassed else "-",
        )
    hidden = len(stats.locks) - ROWS
    more = f"; {hidden} more locks were less contended" if hidden > 0 else ""
    table.caption = f"a bypass enters before one who waits longer; of one: most that one waiter had to bear{more}"
    return table


def lock_details(stats: TraceStats, symbols: SymbolTable) -> list[Table]:
    """Return for the hottest locks a table of hand-offs and one of call sites."""
    hot = [each for each in stats.locks if each.contended][:DETAILED]
    tables = []
    for each in hot:
        tables.append(owners_table(each))
        tables.append(callers_table(each, symbols))
    return tables


def owners_table(lock: LockStats) -> Table:
    """Return a table of hand-offs: rows are the CPUs that had the lock, columns those that had it next."""
    cpus = len(lock.owners)
    shown = range(min(cpus, WIDEST))
    table = experiment_table(f"{lock.name}: from CPU to CPU", "from", *(f"to {cpu}" for cpu in shown), "all", "taken")
    rows = matrix(lock.handoffs, cpus)
    for source in shown:
        cells = [f"{rows[source][target]:,}" if rows[source][target] else "-" for target in shown]
        table.add_row(f"CPU {source}", *cells, f"{sum(rows[source]):,}", f"{lock.owners[source]:,}")
    if cpus > WIDEST:
        table.caption = f"the first {WIDEST} of {cpus} CPUs"
    return table


def callers_table(lock: LockStats, symbols: SymbolTable) -> Table:
    """Return a table of the places that take a lock."""
    columns = ("place", "taken", "contended", "held", "p99", "max", "total")
    table = experiment_table(f"{lock.name}: who takes it", *columns)
    table.columns[0].justify = "left"
    for each in lock.callers:
        table.add_row(
            symbols.where(each.caller),
            f"{each.acquisitions:,}",
            f"{each.contended:,}" if each.contended else "-",
            *_times(each.hold),
            duration(each.hold.total),
        )
    return table


def _times(times: Percentiles) -> list[str]:
    values = (times.median, times.p99, times.maximum)
    return [duration(value) if times.count else "-" for value in values]
