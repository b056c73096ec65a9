# SPDX-License-Identifier: Apache-2.0
"""Exports stored traces, whole or in part, to the formats that other tools read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dirql.errors import UsageError
from dirql.trace.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.trace.history.history import History
    from dirql.trace.oracle.verdict import Verdict


STDOUT = Path("-")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        count: how many.
        what: of what: `packets`, `events`, `changes`, `records`.
    """

    path: Path
    count: int
    what: str


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        suffix: of its files, without the dot.
        what: what its files are counted by.
        write: writes a part of a run to a file; the flag says whether the trace is to be judged, so that violations
            are shown.
    """

    suffix: str
    what: str
    write: Callable[[Path, Path, Window, bool], int]


def export_trace(
    run: Path, to: str, path: Path | None = None, window: Window | None = None, *, judged: bool = True
) -> Exported:
    """Export the trace of a run.

    Args:
        run: the run's folder.
        to: one of `FORMATS`.
        path: the file to write; `STDOUT`, for CSV; None: `trace.SUFFIX` in the run's folder, `part.SUFFIX` for a part.
        window: what to export; None: all. Perfetto, Chrome and VCD show what the records inside it tell.
        judged: the oracle's violations are shown, where the format can; it costs the time of judging.

    Raises:
        UsageError: there is no such format, the folder holds no trace, the file cannot be written.
    """
    if to not in FORMATS:
        raise UsageError(f"there is no format {to!r}; there are {', '.join(FORMATS)}")
    if path == STDOUT and to != "csv":
        raise UsageError("only csv goes to standard output; name a file for the others")
    form, chosen = FORMATS[to], window or Window()
    target = path or default_path(run, to, chosen)
    try:
        count = form.write(run, target, chosen, judged)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from error
    return Exported(target, count, form.what)


def default_path(run: Path, to: str, window: Window) -> Path:
    """Return where an export goes if nothing else is said."""
    if to == "parquet" and window.whole:
        from dirql.trace.export.parquet import parquet_file

        return parquet_file(run)
    return run / f"{'trace' if window.whole else 'part'}.{FORMATS[to].suffix}"


def _perfetto(run: Path, path: Path, window: Window, judged: bool) -> int:
    from dirql.trace.export.perfetto import write_perfetto

    history = _history(run, window)
    return write_perfetto(history, path, _verdict(history) if judged else None)


def _chrome(run: Path, path: Path, window: Window, judged: bool) -> int:
    from dirql.trace.export.chrome import write_chrome

    history = _history(run, window)
    return write_chrome(history, path, _verdict(history) if judged else None)


def _vcd(run: Path, path: Path, window: Window, judged: bool) -> int:
    from dirql.trace.export.vcd import write_vcd

    del judged
    return write_vcd(_history(run, window), path)


def _parquet(run: Path, path: Path, window: Window, judged: bool) -> int:
    from dirql.trace.export.parquet import export_parquet

    del judged
    return export_parquet(run, path, window)


def _csv(run: Path, path: Path, window: Window, judged: bool) -> int:
    from dirql.trace.export.parquet import export_csv

    del judged
    return export_csv(run, None if path == STDOUT else path, window)


def _history(run: Path, window: Window) -> History:
    from dirql.trace.folder import load
    from dirql.trace.history.history import History

    return History(load(run, window))


def _verdict(history: History) -> Verdict:
    from dirql.trace.oracle import judge

    return judge(history.trace, history=history)


FORMATS: dict[str, Format] = {
    "perfetto": Format("perfetto-trace", "events", _perfetto),
    "chrome": Format("json", "events", _chrome),
    "vcd": Format("vcd", "changes", _vcd),
    "parquet": Format("parquet", "records", _parquet),
    "csv": Format("csv", "records", _csv),
}
"""The formats by name."""
