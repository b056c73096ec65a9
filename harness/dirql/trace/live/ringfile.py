# SPDX-License-Identifier: Apache-2.0
"""The file of a CPU's records while it is being written: all of them, or the last so many.

The last N are kept in two files, of which one begins where the other ends: `cpuNN.bin`, and `cpuNN.new.bin`, which
takes its place once it holds N. So there are never more than twice as many on the disk, whatever is there when the
writer is killed can be read, and nothing is copied but once at the end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.folder import newer_ring_file, ring_file

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.trace.schema import Records


class RecordFile:
    """Keeps all records of a CPU.

    Args:
        run: the run's folder; that of the trace is there already.
        cpu: the CPU.
    """

    def __init__(self, run: Path, cpu: int) -> None:
        self._run = run
        self._cpu = cpu
        for old in (ring_file(run, cpu), newer_ring_file(run, cpu)):
            old.unlink(missing_ok=True)  # a trace that has it mapped keeps it
        self._fd = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self.kept = 0
        """Records in the file."""
        self.let_go = 0
        """Records that were in the file and are not any more."""

    def write(self, records: Records) -> None:
        """Append records.

        Raises:
            OSError: they could not be written; part of them may be.
        """
        self._append(records)
        self.kept += len(records)

    def close(self) -> None:
        """Write no more. Safe to call again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _path(self) -> Path:
        return ring_file(self._run, self._cpu)

    def _append(self, records: Records) -> None:
        left = memoryview(records.view(np.uint8).data)  # as it lies there: no copy on the way to the file
        while left:
            left = left[os.write(self._fd, left) :]


class LastRecordsFile(RecordFile):
    """Keeps the last records of a CPU, however many there are.

    Args:
        run: the run's folder.
        cpu: the CPU.
        limit: how many records are kept.
    """

    def __init__(self, run: Path, cpu: int, limit: int) -> None:
        super().__init__(run, cpu)
        self._limit = limit
        self._older = 0
        self._newer = 0

    def write(self, records: Records) -> None:
        """Append records; what that makes superfluous goes."""
        if self._newer >= self._limit:
            self.let_go += self._older
            self._path().replace(ring_file(self._run, self._cpu))
            self._older, self._newer = self._newer, 0
            os.close(self._fd)
            self._fd = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._append(records)
        self._newer += len(records)
        self.kept = self._older + self._newer

    def close(self) -> None:
        """Bring the last records into one file."""
        if self._fd < 0:
            return
        super().close()
        size = newer_ring_file(self._run, self._cpu).stat().st_size
        record = size // self._newer if self._newer else 1
        surplus = max(0, self.kept - self._limit)
        whole = ring_file(self._run, self._cpu)
        if surplus >= self._older:
            skipped, source = surplus - self._older, newer_ring_file(self._run, self._cpu)
            parts = [(source, skipped * record)]
        else:
            parts = [(whole, surplus * record), (newer_ring_file(self._run, self._cpu), 0)]
        temporary = whole.with_suffix(".tmp")
        with temporary.open("wb") as out:
            for path, start in parts:
                with path.open("rb") as source_file:
                    source_file.seek(start)
                    while chunk := source_file.read(1 << 20):
                        out.write(chunk)
        temporary.replace(whole)
        newer_ring_file(self._run, self._cpu).unlink()
        self.let_go += surplus
        self.kept -= surplus

    def _path(self) -> Path:
        return newer_ring_file(self._run, self._cpu)
