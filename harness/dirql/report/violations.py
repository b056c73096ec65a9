# SPDX-License-Identifier: Apache-2.0
"""Violations in words for a terminal: what happened, the rule, the records, the lines of source to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.report.sources import Sources
from dirql.trace.oracle.verdict import Status, Verdict, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from dirql.trace.decode import Trace

SITES = 6
"""Places of one violation that are shown with their lines, the first: most have two."""


def numbered(verdict: Verdict) -> list[Violation]:
    """Return violations and then warnings as they are numbered, from 1 on, for `dirql trace show --around`."""
    return [*verdict.violations, *verdict.warnings]


def print_violations(console: Console, chosen: Sequence[tuple[int, Violation]], verdict: Verdict, trace: Trace) -> None:
    """Print violations with their numbers, records and lines of source; and how many were not described.

    Args:
        console: from `report_console`.
        chosen: (number, violation) of those to print.
        verdict: whose they are.
        trace: their trace.
    """
    from rich.text import Text

    from dirql.trace.history.describe import describe

    sources = Sources()
    for number, violation in chosen:
        style = "bold yellow" if violation.warning else "bold red"
        kind = "warning" if violation.warning else "violation"
        console.print(Text.assemble((f"{kind} {number}: {violation.clause}", style), f": {violation.text}"))
        console.print(f"    rule: {violation.title} ({violation.page})", markup=False)
        for record in violation.records:
            at = float(trace.ns(trace.time[record : record + 1])[0])
            console.print(
                Text(f"    record {record} at {at / 1000:,.3f} µs, CPU {trace.cpu[record]}: {describe(trace, record)}")
            )
        for site in violation.sites[:SITES]:
            console.print(Text(f"    at {trace.symbols.where(site)}"))
            for line in sources.site(trace.symbols, site).lines:
                if line.meant:
                    console.print(Text(f"        {line.text.strip()}", style="italic"))
    hidden = verdict.counted(Status.VIOLATED) - len(verdict.violations)
    if hidden:
        console.print(f"and {hidden:,} more violations, which were counted only", markup=False)
