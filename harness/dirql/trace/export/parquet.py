# SPDX-License-Identifier: Apache-2.0
"""A trace as a Parquet file beside its raw ring files, written piece by piece, so that any length fits into memory.

The row groups follow each other in time and carry statistics: a scan for a stretch of time reads those alone.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

from dirql.trace.export.frame import SCHEMA, Frames
from dirql.trace.folder import ring_file, trace_folder
from dirql.trace.store import open_trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dirql.trace.decode import Trace
    from dirql.trace.folder import TraceMeta
    from dirql.trace.symbols import SymbolTable
    from dirql.trace.window import Window

ROW_GROUP = 1 << 18
"""Rows of a row group."""
CHUNK = 1 << 20
"""Records that are turned into a frame together."""
_LEVEL = 3


def parquet_file(run: Path) -> Path:
    """Return where a run's Parquet file is."""
    return trace_folder(run) / "trace.parquet"


def frames(
    parts: Iterable[Trace], meta: TraceMeta, symbols: SymbolTable, window: Window | None = None
) -> Iterator[pl.DataFrame]:
    """Return the frames of the parts of a trace, in order.

    Args:
        parts: of the trace, each with all events in it.
        meta: the trace's.
        symbols: its names.
        window: which records are wanted; None: all.
    """
    maker = Frames(meta, symbols)
    for part in parts:
        yield maker.frame(part, window)


class _Counted:
    """Frames as they come, with the number of their rows so far."""

    def __init__(self, made: Iterable[pl.DataFrame]) -> None:
        self._made = made
        self.rows = 0

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for frame in self._made:
            self.rows += len(frame)
            yield frame


def lazy(made: Iterable[pl.DataFrame]) -> pl.LazyFrame:
    """Return frames as one that is worked off piece by piece."""

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        del size
        for frame in made:
            chosen = frame if predicate is None else frame.filter(predicate)
            chosen = chosen if rows is None else chosen[:rows]
            yield chosen if columns is None else chosen.select(columns)

    return register_io_source(source, schema=SCHEMA)


def write_parquet(
    parts: Iterable[Trace], meta: TraceMeta, symbols: SymbolTable, path: Path, window: Window | None = None
) -> int:
    """Write the parts of a trace as one Parquet file, which is there when it is complete; see `frames`.

    Returns:
        The number of records written.

    Raises:
        OSError: the file cannot be written.
    """
    counted = _Counted(frames(parts, meta, symbols, window))
    if path.exists() and not path.is_file():  # a device, a pipe: it stays what it is
        _sink(counted, path)
        return counted.rows
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        _sink(counted, new)
        new.replace(path)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()
    return counted.rows


def _sink(made: Iterable[pl.DataFrame], path: Path) -> None:
    try:
        lazy(made).sink_parquet(path, compression="zstd", compression_level=_LEVEL, row_group_size=ROW_GROUP)
    except pl.exceptions.PolarsError as error:
        raise OSError(f"{path}: {error}") from error


def export_parquet(run: Path, path: Path, window: Window | None = None) -> int:
    """Write the Parquet file of a stored trace, or of a part of it.

    Args:
        run: the run's folder.
        path: the file to write.
        window: what to write; None: all.

    Returns:
        The number of records written.

    Raises:
        UsageError: the folder holds no trace, or the trace has no such CPU.
    """
    stored = open_trace(run)
    return write_parquet(
        stored.chunks(CHUNK, window.all_events if window else None), stored.meta, stored.symbols, path, window
    )


def export_csv(run: Path, path: Path | None, window: Window | None = None) -> int:
    """Write a stored trace, or a part of it, as CSV with a line of names; see `export_parquet`.

    Args:
        run: the run's folder.
        path: the file to write; None: standard output.
        window: what to write; None: all.

    Returns:
        The number of records written.
    """
    stored = open_trace(run)
    parts = stored.chunks(CHUNK, window.all_events if window else None)
    rows = 0
    with ExitStack() as stack:
        file = sys.stdout.buffer if path is None else stack.enter_context(path.open("wb"))
        pl.DataFrame(schema=SCHEMA).write_csv(file)
        for frame in frames(parts, stored.meta, stored.symbols, window):
            frame.write_csv(file, include_header=False)
            rows += len(frame)
        file.flush()
    return rows


def scan(run: Path) -> pl.LazyFrame:
    """Return the trace of a run as a lazy frame over its Parquet file, which is written first where it is missing.

    Args:
        run: the run's folder.

    Raises:
        UsageError: the folder holds no trace.
    """
    path = parquet_file(run)
    stored = open_trace(run)
    files = [ring_file(run, cpu) for cpu in range(stored.meta.cpus)]
    newest = max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)
    if not path.exists() or path.stat().st_mtime_ns < newest:
        export_parquet(run, path)
    return pl.scan_parquet(path)
