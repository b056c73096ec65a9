# SPDX-License-Identifier: Apache-2.0
"""A trace as a polars frame: the records in order, with names for what they are about and where that was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from dirql.trace.history.describe import object_text, object_words, site_text, site_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.trace.decode import Trace
    from dirql.trace.folder import TraceMeta
    from dirql.trace.schema import Indices, Words
    from dirql.trace.symbols import SymbolTable
    from dirql.trace.window import Window

SCHEMA = pl.Schema(
    {
        "time_ns": pl.Int64(),
        "cpu": pl.UInt8(),
        "sequence": pl.UInt32(),
        "event": pl.Categorical(),
        "irql": pl.UInt8(),
        "argument0": pl.UInt64(),
        "argument1": pl.UInt64(),
        "thread": pl.UInt64(),
        "object": pl.Categorical(),
        "site": pl.Categorical(),
    }
)
"""The columns: time since the first record of the trace; CPU; its sequence number; event; IRQL; the two arguments; the
KTHREAD that had the CPU (null: the trace does not tell); the name of the object, or its address; `routine (file:line)`
of the caller or of the routine that the record names. Object and site are null where a record has none."""


class Frames:
    """Makes frames of the parts of a trace, one after the other.

    Args:
        meta: the trace's.
        symbols: its names.
    """

    def __init__(self, meta: TraceMeta, symbols: SymbolTable) -> None:
        self._symbols = symbols
        self._names: dict[tuple[Callable[[SymbolTable, int], str], int], str] = {}
        self._events: dict[int, str] = {number: name for name, number in meta.events.numbers.items()}
        quiet = meta.quiet.threads if meta.quiet is not None else ()
        self._thread = [*quiet, *[0] * (meta.cpus - len(quiet))]

    def frame(self, trace: Trace, window: Window | None = None) -> pl.DataFrame:
        """Return the frame of a part; each follows the one before.

        Args:
            trace: the part, all events in it; or the whole trace.
            window: which of its records are wanted; None: all.
        """
        arguments = trace.meta.events, trace.event, trace.arg0, trace.arg1
        objects = object_words(*arguments)
        thread = self._threads(trace)
        columns = {
            "time_ns": np.rint(trace.ns(trace.time)).astype(np.int64),
            "cpu": trace.cpu,
            "sequence": trace.sequence.astype(np.uint32),
            "event": self._event_names(trace),
            "irql": trace.irql,
            "argument0": trace.arg0,
            "argument1": trace.arg1,
            "thread": thread,
            "object": self._named(objects, object_text),
            "site": self._named(site_words(*arguments), site_text),
        }
        made = pl.DataFrame(columns, schema=SCHEMA)
        made = made.with_columns(pl.when(pl.col("thread") != 0).then("thread"))
        return made if window is None or window.whole else made[window.select(trace)]

    def _event_names(self, trace: Trace) -> pl.Series:
        numbers = np.bincount(trace.event).nonzero()[0] if len(trace) else np.zeros(0, dtype=np.int64)
        names = pl.Series([self._events.get(number) or f"event {number}" for number in numbers.tolist()])
        place = np.zeros(int(numbers[-1]) + 1 if len(numbers) else 1, dtype=np.uint32)
        place[numbers] = np.arange(len(numbers))
        return names.cast(pl.Categorical()).gather(pl.Series(place[trace.event]))

    def _named(self, words: Words, text: Callable[[SymbolTable, int], str]) -> pl.Series:
        """Return the names of addresses; each is looked up once."""
        column = pl.Series(words)
        distinct = column.unique()
        names: list[str | None] = []
        for address in distinct.to_list():
            if (text, address) not in self._names:
                self._names[text, address] = text(self._symbols, address)
            names.append(self._names[text, address] or None)
        return column.replace_strict(distinct, pl.Series(names, dtype=pl.Categorical()), return_dtype=pl.Categorical())

    def _threads(self, trace: Trace) -> Words:
        """Return the KTHREAD that had the CPU at each record; 0 where it is not known."""
        threads = np.zeros(len(trace), dtype=np.uint64)
        switch = trace.meta.events.numbers.get("ThreadSwitch", -1)
        for cpu in range(trace.cpus):
            mine = trace.on_cpu(cpu)
            if not len(mine):
                continue
            switches = np.flatnonzero(trace.event[mine] == switch)
            spells: Indices = np.diff(np.append(switches, len(mine)), prepend=0)
            named = np.concatenate([np.array([self._thread[cpu]], dtype=np.uint64), trace.arg0[mine[switches]]])
            threads[mine] = np.repeat(named, spells)
            self._thread[cpu] = int(named[-1])
        return threads
