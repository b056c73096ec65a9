# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.soak_trace`: a trace of 100 million events, opened, looked into and summarised.

A recorded storm, repeated until it is long enough; its files go to a temporary folder and are removed. Whatever is
counted must be as many times what the storm has, and opening the trace and reading a part of it must not take memory
by its length.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_INTERRUPTS = 20_000
_BYTES = 50
"""Of disk for each event: 32 of the record, up to 18 of the Parquet file."""
_SHARE = 50
"""Opening a trace and reading a part of it may take one part in so many of its size."""
_MIB = 1 << 20


@click.command("soak-trace")
@click.option("--events", type=click.IntRange(1), default=100_000_000, show_default=True, help="How many, at least.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where the temporary folder is made.")
def soak(events: int, folder: Path | None) -> int:
    """Make a trace of EVENTS events, open it, read a part of it, and summarise it by polars from Parquet.

    Exit status 0 if all counts are right and the memory stays small, else 1.
    """
    from dirql.errors import DirqlError

    try:
        with tempfile.TemporaryDirectory(prefix="dirql-soak-trace-", dir=folder) as name:
            needed, free = events * _BYTES, shutil.disk_usage(name).free
            if free < 2 * needed:
                click.echo(f"soak-trace: {free / 1e9:.1f} GB free in {name}, {2 * needed / 1e9:.1f} wanted", err=True)
                return EXIT_FAILED
            return _soak(Path(name), events)
    except DirqlError as error:
        click.echo(f"soak-trace: {error}", err=True)
        return EXIT_FAILED


def _soak(folder: Path, events: int) -> int:
    from bench.trace_store import record
    from dirql.trace.folder import load

    with _step("record a storm"):
        record(folder / "storm", _INTERRUPTS)
    storm = load(folder / "storm").frame().group_by("event", "cpu").len()
    copies = -(-events // int(storm["len"].sum()))
    with _step(f"repeat it {copies} times"):
        size = _repeat(folder / "storm", folder / "run", copies)
    wrong = _look(folder / "run", size)
    wrong += _summarise(folder / "run", {row[:2]: row[2] * copies for row in storm.iter_rows()})
    for line in wrong:
        click.echo(f"soak-trace: {line}", err=True)
    return EXIT_FAILED if wrong else 0


def _repeat(source: Path, target: Path, copies: int) -> int:
    """Write a trace that is another one so many times over, and return the size of its files in bytes."""
    from dataclasses import replace

    from dirql.trace.folder import read_meta, ring_file, trace_folder, write_meta
    from dirql.trace.store import open_trace

    stored = open_trace(source)
    whole = stored.trace()
    period = int(whole.time[-1]) + 1000
    shutil.copytree(trace_folder(source), trace_folder(target), ignore=shutil.ignore_patterns("*.bin", "*.parquet"))
    last = whole.origin + copies * period
    write_meta(target, replace(read_meta(target), horizon=last, accounting=None, cut=True))
    size = 0
    for cpu in range(whole.cpus):
        records = whole.raw(cpu).copy()
        with ring_file(target, cpu).open("wb") as file:
            for _ in range(copies):
                size += file.write(records.data)
                records["Time"] += np.uint64(period)
                records["Sequence"] += np.uint32(len(records))
    return size


def _look(run: Path, size: int) -> list[str]:
    """Open the trace and read a part of it; return what is wrong."""
    from dirql.trace.store import open_trace
    from dirql.trace.window import Window

    before = _resident()
    with _step("open it"):
        stored = open_trace(run)
        length, duration = len(stored), int(stored.duration_ns)
    click.echo(f"    {length:,} events, {duration / 1e9:,.1f} s, {size / 1e9:.2f} GB")
    with _step("read a millisecond in the middle"):
        part = stored.trace(Window(duration // 2, duration // 2 + 1_000_000))
        kinds = len(np.unique(part.event))
    click.echo(f"    {len(part):,} events of {kinds} kinds")
    grown = _resident() - before
    click.echo(f"    memory grew by {grown / _MIB:,.1f} MiB")
    if grown > size // _SHARE:
        return [f"opening and reading a part took {grown:,} bytes; the files have {size:,}"]
    return []


def _summarise(run: Path, expected: dict[tuple[str, int], int]) -> list[str]:
    """Write the Parquet file and count by event and CPU; return what is wrong."""
    import polars as pl

    from dirql.trace.export.parquet import export_parquet, parquet_file, scan
    from dirql.trace.store import open_trace

    with _step("write its Parquet file"):
        export_parquet(run, parquet_file(run))
    click.echo(f"    {parquet_file(run).stat().st_size / 1e9:.2f} GB")
    with _step("count by event and CPU"):
        counts = scan(run).group_by("event", "cpu").len().collect(engine="streaming")
    with _step("count a millisecond in the middle, DISPATCH_LEVEL and above, by call site"):
        middle = int(open_trace(run).duration_ns) // 2
        inside = pl.col("time_ns").is_between(middle, middle + 1_000_000)
        busy = scan(run).filter(inside, pl.col("irql") >= 2).group_by("site").len().collect(engine="streaming")
    click.echo(f"    {len(busy)} call sites")
    found = {row[:2]: row[2] for row in counts.iter_rows()}
    return [] if found == expected else [f"counted {found}\nexpected {expected}"]


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Print how long a step took and how much memory the process had at most meanwhile."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    click.echo(f"{what}: {seconds:,.3f} s; resident at most {_status('VmHWM') / _MIB:,.0f} MiB")


def _resident() -> int:
    return _status("VmRSS")


def _status(field: str) -> int:
    """Return a size of the process in bytes."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def main() -> None:
    """Run the program; Ctrl-C ends it with status 130, and the temporary folder is gone."""
    try:
        status = soak.main(prog_name="python -m bench.soak_trace", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("soak-trace: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
