# SPDX-License-Identifier: Apache-2.0
"""What the page says of each violation: rule, text with names, sources, the records that show it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dirql.report.sources import AROUND
from dirql.trace.history.describe import describe
from dirql.trace.history.names import lock_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dirql.report.html.facts import Failure
    from dirql.report.html.timeline import Stretch
    from dirql.report.sources import Site, Sources
    from dirql.trace.decode import Trace
    from dirql.trace.oracle.verdict import Verdict

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{9,16}\b")


@dataclass(frozen=True)
class ShownRecord:
    """A record that shows a violation.

    Attributes:
        index: its number in the trace.
        place: its place in the timeline's columns; -1 where the timeline does not reach it.
        time: since the trace's first record, in words.
        cpu: its CPU.
        irql: its IRQL.
        text: what it is.
    """

    index: int
    place: int
    time: str
    cpu: int
    irql: int
    text: str


@dataclass(frozen=True)
class ShownViolation:
    """A violation, or a broken guideline, as the page shows it.

    Attributes:
        number: from 1.
        clause: the clause's id.
        title: the rule in a line.
        page: where it is stated.
        text: what happened, with names in the place of addresses.
        warning: it is a broken guideline.
        cpus: the CPUs that took part.
        sites: the code to look at.
        records: the records that show it, in the order of the trace.
    """

    number: int
    clause: str
    title: str
    page: str
    text: str
    warning: bool
    cpus: tuple[int, ...]
    sites: tuple[Site, ...]
    records: tuple[ShownRecord, ...]


def shown_violations(
    trace: Trace, verdict: Verdict, stretch: Stretch, sources: Sources, failure: Failure | None = None
) -> tuple[ShownViolation, ...]:
    """Return how the run failed, all violations that are described, then the broken guidelines.

    Args:
        trace: the trace.
        verdict: the oracle's.
        stretch: the records that the timeline has.
        sources: finds the sources.
        failure: how the run failed, if it did: where the guest's verifier stopped it, that is a violation too.
    """
    names = lock_names(trace)
    found = (*verdict.violations, *verdict.warnings)
    first = () if failure is None else (_failed(trace, failure, stretch, sources),)
    return first + tuple(
        ShownViolation(
            number=number,
            clause=each.clause,
            title=each.title,
            page=each.page,
            text=name_addresses(each.text, trace, names),
            warning=each.warning,
            cpus=each.cpus,
            sites=_merged([sources.site(trace.symbols, address) for address in each.sites]),
            records=_records(trace, each.records, stretch),
        )
        for number, each in enumerate(found, 1 + len(first))
    )


def name_addresses(text: str, trace: Trace, names: Mapping[int, str]) -> str:
    """Put names in the place of the addresses in a text, as far as they have any.

    Args:
        text: what a judge said.
        trace: its symbols are known.
        names: of locks, by address.
    """

    def name(found: re.Match[str]) -> str:
        address = int(found[0], 16)
        return names.get(address) or (trace.symbols.name(address) if trace.symbols.find(address) else found[0])

    return _ADDRESS.sub(name, text)


def _failed(trace: Trace, failure: Failure, stretch: Stretch, sources: Sources) -> ShownViolation:
    """Return a failure in the form of a violation; the last record of its CPU shows it."""
    cpu = failure.processor
    mine = trace.on_cpu(cpu) if cpu is not None and 0 <= cpu < trace.cpus else trace.by_cpu[:0]
    rest = failure.text.split("\n")[1:2]
    page = f"bugcheck {failure.code}" if failure.code else "failure.json"
    return ShownViolation(
        number=1,
        clause=failure.error,
        title=rest[0].strip() if rest and not rest[0].startswith("  cpu ") else "the run comes to its end",
        page=page,
        text=failure.line,
        warning=False,
        cpus=() if cpu is None else (cpu,),
        sites=_merged([sources.at(*place) for place in failure.places]),
        records=_records(trace, tuple(mine[-1:].tolist()), stretch),
    )


def _merged(sites: list[Site]) -> tuple[Site, ...]:
    """Return the sites, those with a source first; neighbours share an excerpt if two at least remain."""
    sites.sort(key=lambda site: not site.lines)
    merged: list[Site] = []
    for site in sites:
        near = next((at for at, other in enumerate(merged) if _near(other, site)), None)
        if near is None:
            merged.append(site)
        else:
            merged[near] = _join(merged[near], site)
    return tuple(merged if sum(bool(site.lines) for site in merged) > 1 else sites)


def _near(one: Site, other: Site) -> bool:
    return bool(one.lines and other.lines) and one.file == other.file and abs(one.number - other.number) <= AROUND


def _join(one: Site, other: Site) -> Site:
    lines = {line.number: line for line in (*one.lines, *other.lines)}
    meant = {line.number for line in (*one.lines, *other.lines) if line.meant}
    joined = tuple(replace(line, meant=number in meant) for number, line in sorted(lines.items()))
    return replace(one, lines=joined, others=(*one.others, other.number))


def _records(trace: Trace, records: tuple[int, ...], stretch: Stretch) -> tuple[ShownRecord, ...]:
    index = np.unique(np.array(records, dtype=np.int64))
    position = trace.position[index]
    place = np.minimum(np.searchsorted(stretch.places, position), max(len(stretch.places) - 1, 0))
    known = stretch.places[place] == position if len(stretch.places) else np.zeros(len(index), dtype=np.bool_)
    time = trace.ns(trace.time[index])
    return tuple(
        ShownRecord(
            index=at,
            place=int(place[k]) if known[k] else -1,
            time=instant(float(time[k])),
            cpu=int(trace.cpu[at]),
            irql=int(trace.irql[at]),
            text=describe(trace, at),
        )
        for k, at in enumerate(index.tolist())
    )


def instant(ns: float) -> str:
    """Write a time since the trace began, exact to the ns that it is known to."""
    if ns < 1e6:
        return f"{ns / 1e3:,.3f} µs"
    return f"{ns / 1e6:,.6f} ms" if ns < 1e10 else f"{ns / 1e9:,.9f} s"
