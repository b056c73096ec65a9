# SPDX-License-Identifier: Apache-2.0
"""Violations in words for a terminal: what happened, the rule, the records, the lines of source to look at."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dirql.trace.oracle.verdict import Status, Verdict, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from dirql.trace.decode import Trace
    from dirql.trace.symbols import SymbolTable

SITES = 6
"""Places of one violation that are shown with their lines, the first: most have two."""
_CHECKOUT = Path(__file__).resolve().parents[3]


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

    from dirql.trace.describe import describe

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
            text = source_line(trace.symbols, site)
            if text:
                console.print(Text(f"        {text}", style="italic"))
    hidden = verdict.counted(Status.VIOLATED) - len(verdict.violations)
    if hidden:
        console.print(f"and {hidden:,} more violations, which were counted only", markup=False)


def source_line(symbols: SymbolTable, address: int) -> str:
    """Return the line of source that an address belongs to, without its indent; empty where it is not found.

    Looked for where the compiler found it, below the current folder, and in this checkout.
    """
    place = symbols.line(address)
    return _line(*place) if place is not None else ""


@lru_cache(maxsize=256)
def _line(file: str, number: int) -> str:
    for path in (Path(file), _CHECKOUT / file):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return ""
