# SPDX-License-Identifier: Apache-2.0
"""Every record in words: each different record once, and which of these texts each record has."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING

import numpy as np

from dirql.report.html.columns import LEVEL
from dirql.trace.history.describe import describe_arguments

if TYPE_CHECKING:
    from dirql.trace.decode import Trace
    from dirql.trace.schema import Indices

MOST = 200_000
"""Different texts in a page; records beyond (their numbers are unlike all others') get their event's name alone."""


def record_texts(trace: Trace, index: Indices) -> tuple[Indices, list[str]]:
    """Describe records.

    Args:
        trace: the trace.
        index: the records.

    Returns:
        For each record the number of its text, and the texts.
    """
    if not len(index):
        return np.zeros(0, dtype=np.int64), []
    event, one, other = trace.event[index], trace.arg0[index], trace.arg1[index]
    order = np.lexsort((other, one, event))
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (
        (event[order[1:]] != event[order[:-1]])
        | (one[order[1:]] != one[order[:-1]])
        | (other[order[1:]] != other[order[:-1]])
    )
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    first = order[new]
    if len(first) > MOST:
        return _frequent(trace, index, number, first)
    return number, _describe(trace, index[first])


def _frequent(trace: Trace, index: Indices, number: Indices, first: Indices) -> tuple[Indices, list[str]]:
    """Keep the texts that most records have; the others' is the name of their event."""
    names = trace.meta.events.numbers
    count = np.bincount(number, minlength=len(first))
    kept = np.sort(np.argsort(-count, kind="stable")[:MOST])
    moved = trace.event[index[first]].astype(np.int64) + MOST
    moved[kept] = np.arange(MOST)
    by_event = {event: name for name, event in names.items()}
    others = [f"{by_event.get(event, event)} (arguments are in the trace)" for event in range(max(by_event) + 1)]
    return moved[number], [*_describe(trace, index[first[kept]]), *others]


def _describe(trace: Trace, index: Indices) -> list[str]:
    names = {number: name for name, number in trace.meta.events.numbers.items()}
    columns = (trace.event[index].tolist(), trace.arg0[index].tolist(), trace.arg1[index].tolist())
    return [
        describe_arguments(names.get(event, f"event {event}"), one, other, trace.symbols)
        for event, one, other in zip(*columns, strict=True)
    ]


def pack_texts(texts: list[str]) -> str:
    """Return texts, which are of one line each, as base64 of gzip."""
    joined = "\n".join(text.replace("\n", " ") for text in texts)
    return base64.b64encode(gzip.compress(joined.encode("utf-8"), LEVEL, mtime=0)).decode("ascii")
