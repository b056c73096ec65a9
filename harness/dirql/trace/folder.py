# SPDX-License-Identifier: Apache-2.0
"""A trace on disk: `trace/cpuNN.bin`, the raw records of each CPU, and `trace/meta.json`, all it takes to read them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.errors import UsageError
from dirql.trace.accounting import Accounting
from dirql.trace.clock import Clock
from dirql.trace.namefiles import read_names
from dirql.trace.quiet import QuietStart
from dirql.trace.schema import EventTable, Records, record_dtype
from dirql.trace.symbols import SymbolTable
from dirql.trace.triggered import Triggered

if TYPE_CHECKING:
    from dirql.trace.decode import Trace
    from dirql.trace.window import Window

FORMAT_VERSION = 1
MODES = ("mt", "icount", "kvm")
DEFAULT_SKEW_NS = 250
"""By how much two CPUs' records may contradict each other where they really run at once; see `TraceMeta.skew`."""

_META = "meta.json"


@dataclass(frozen=True)
class TraceMeta:
    """All that is needed to read and to judge the records beside it.

    Attributes:
        events: the guest's events.
        record_fields: field -> (offset, size) of `TRACE_RECORD`.
        record_size: bytes of a record.
        mode: `mt`, `icount` or `kvm`.
        cpus: number of CPUs.
        clock: the TSC's rate, and its relation to the host's clock.
        mask: bit n: event n was recorded all the time. Where a clause needs an event that was not, it is not judged.
        lost: per CPU, records that the guest made or would have made and that are not in the files.
        cut: the machine ended under the trace: what happened last is missing.
        horizon: TSC up to which the files hold what every CPU did; later records are ignored, because the rings were
            read one after another. None where all CPUs stood still when they were read.
        skew_ns: see `skew`; None for the mode's default.
        symbols: (address, size in bytes, name) of what the records may point to.
        lines: (address, file, line number) of the drivers' code; line 0 where a run of code ends.
        accounting: the host's counts of interrupts, where it kept any.
        let_go: per CPU, the first records of the trace, which were recorded and given up, because only the last so many
            were asked for.
        triggered: what ended the recording before its time; None: nothing did.
        names: the folder where `trace.namefiles` keeps more names; not stored, `load` sets it.
        quiet: the trace is a part that begins with the machine at rest; None where it begins with the machine itself.
        notes: what the collector wants a reader to know.
    """

    events: EventTable
    record_fields: dict[str, tuple[int, int]]
    record_size: int
    mode: str
    cpus: int
    clock: Clock
    mask: int = (1 << 128) - 1
    lost: tuple[int, ...] = ()
    cut: bool = False
    horizon: int | None = None
    skew_ns: float | None = None
    symbols: tuple[tuple[int, int, str], ...] = ()
    lines: tuple[tuple[int, str, int], ...] = ()
    accounting: Accounting | None = None
    quiet: QuietStart | None = None
    notes: tuple[str, ...] = field(default=())
    let_go: tuple[int, ...] = ()
    triggered: Triggered | None = None
    names: Path | None = None

    def __post_init__(self) -> None:
        """Check the mode.

        Raises:
            UsageError: if the mode is unknown.
        """
        if self.mode not in MODES:
            raise UsageError(f"trace mode {self.mode!r} is none of {', '.join(MODES)}")

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The numpy type of a record."""
        return record_dtype(self.record_fields, self.record_size)

    @property
    def skew(self) -> float:
        """By how many ns two CPUs' records may be in the wrong order.

        In icount mode one thread runs all CPUs on one virtual clock: 0. Otherwise RDTSC is no serialising instruction:
        the one that stamps LockAcquired may execute before the locked instruction that won the lock has completed, so
        the stamp may be earlier than the acquisition, by about the time of a contended locked instruction. (The stamp
        of LockReleased cannot be late: stores become visible only after the instructions before them have retired.)
        To that comes what the sockets' TSCs differ by. 250 ns covers both with room, and is far below the microseconds
        for which a broken lock lets two holders in.
        """
        if self.skew_ns is not None:
            return self.skew_ns
        return 0.0 if self.mode == "icount" else float(DEFAULT_SKEW_NS)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know of how it was recorded, in lines."""
        found: list[str] = []
        if self.triggered is not None:
            kept = f"{self.triggered.kept:,} records after it were kept"
            found.append(f"the recording stopped on {self.triggered}; {kept}")
        if any(self.let_go):
            found.append(f"only the last records of each CPU were kept; {sum(self.let_go):,} were let go")
        return (*found, *self.notes)

    def symbol_table(self) -> SymbolTable:
        """Return names for the addresses in the records."""
        modules, objects = read_names(self.names) if self.names is not None else ((), ())
        return SymbolTable(self.symbols, self.lines, modules, objects)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "version": FORMAT_VERSION,
            "events": dict(self.events.numbers),
            "record_fields": {name: list(place) for name, place in self.record_fields.items()},
            "record_size": self.record_size,
            "mode": self.mode,
            "cpus": self.cpus,
            "clock": {"tsc_hz": self.clock.tsc_hz, "host_ns": self.clock.host_ns, "tsc": self.clock.tsc},
            "mask": self.mask,
            "lost": list(self.lost),
            "cut": self.cut,
            "horizon": self.horizon,
            "skew_ns": self.skew_ns,
            "symbols": [list(symbol) for symbol in self.symbols],
            "lines": [list(line) for line in self.lines],
            "accounting": None if self.accounting is None else self.accounting.to_json(),
            "quiet": None if self.quiet is None else self.quiet.to_json(),
            "notes": list(self.notes),
            "let_go": list(self.let_go),
            "triggered": None if self.triggered is None else self.triggered.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TraceMeta:
        """Read what `to_json` returned.

        Raises:
            UsageError: if the data is of another version.
        """
        if data.get("version") != FORMAT_VERSION:
            raise UsageError(f"trace format version {data.get('version')}; this dirql reads version {FORMAT_VERSION}")
        return cls(
            events=EventTable(data["events"]),
            record_fields={name: (place[0], place[1]) for name, place in data["record_fields"].items()},
            record_size=data["record_size"],
            mode=data["mode"],
            cpus=data["cpus"],
            clock=Clock(**data["clock"]),
            mask=data["mask"],
            lost=tuple(data["lost"]),
            cut=data["cut"],
            horizon=data["horizon"],
            skew_ns=data["skew_ns"],
            symbols=tuple((int(a), int(size), str(name)) for a, size, name in data["symbols"]),
            lines=tuple((int(a), str(file), int(line)) for a, file, line in data.get("lines", ())),
            accounting=None if data["accounting"] is None else Accounting.from_json(data["accounting"]),
            quiet=QuietStart.from_json(data["quiet"]) if data.get("quiet") else None,
            notes=tuple(data["notes"]),
            let_go=tuple(data.get("let_go", ())),
            triggered=Triggered.from_json(data["triggered"]) if data.get("triggered") else None,
        )


def trace_folder(run: Path) -> Path:
    """Return the folder of a run's trace."""
    return run / "trace"


def ring_file(run: Path, cpu: int) -> Path:
    """Return the file that holds the raw records of `cpu`."""
    return trace_folder(run) / f"cpu{cpu:02}.bin"


def newer_ring_file(run: Path, cpu: int) -> Path:
    """Return the file that follows `ring_file` while a recording keeps only the last records."""
    return trace_folder(run) / f"cpu{cpu:02}.new.bin"


def open_ring_file(run: Path, cpu: int) -> int | None:
    """Open the records of a CPU for reading.

    Where the harness was killed while it kept the last records, they are in two files: both are copied to memory.

    Returns:
        A descriptor, the caller's to close; None: there are none.
    """
    whole, newer = ring_file(run, cpu), newer_ring_file(run, cpu)
    if not newer.exists():
        return os.open(whole, os.O_RDONLY | os.O_CLOEXEC) if whole.exists() else None
    joined = os.memfd_create("records", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(joined), "wb") as out:
        for path in (whole, newer):
            if path.exists():
                out.write(path.read_bytes())
    return joined


def write_meta(run: Path, meta: TraceMeta) -> None:
    """Write `meta.json`; the folder is made if needed."""
    folder = trace_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _META).write_text(json.dumps(meta.to_json(), indent=1) + "\n", encoding="utf-8")


def read_meta(run: Path) -> TraceMeta:
    """Read `meta.json`.

    Raises:
        UsageError: if there is none.
    """
    path = trace_folder(run) / _META
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{run} holds no trace: {path} is missing") from None
    return TraceMeta.from_json(json.loads(text))


def write_records(run: Path, per_cpu: Sequence[Records]) -> None:
    """Write the raw records of all CPUs, replacing what is there. A trace that has the old files mapped keeps them."""
    trace_folder(run).mkdir(parents=True, exist_ok=True)
    for cpu, records in enumerate(per_cpu):
        path = ring_file(run, cpu)
        path.unlink(missing_ok=True)
        path.write_bytes(records.tobytes())


def load(run: Path, window: Window | None = None) -> Trace:
    """Read the trace of a run, or a part of it.

    A file whose last record is incomplete (the harness was killed while it wrote) makes the trace a cut one.

    Args:
        run: the run's folder.
        window: what to read; None: all. See `store.StoredTrace` for a trace that is too long for that.

    Raises:
        UsageError: if the folder holds no trace, or the trace has no such CPU.
        ProtocolError: if the records contradict what `meta.json` says.
    """
    from dirql.trace.store import open_trace

    return open_trace(run).trace(window)
