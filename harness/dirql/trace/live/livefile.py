# SPDX-License-Identifier: Apache-2.0
"""What a recording under way says of itself, in a small file beside its records: for whoever reads along.

The records alone do not tell how far they can be believed: which of them are missing, and up to when the files hold
what every CPU did. `trace/live.bin` does: words of 8 bytes, little-endian, mapped by the collector and stored anew
after each pass over the rings. A reader takes it before the records: what it vouches for is in the files by then.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.trace.folder import trace_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dirql.trace.live.ringreader import RingReader

_FILE = "live.bin"
_MAGIC = 0x31564C5F4C51_5244
_MAGIC_AT, _PID, _TURN, _HORIZON, _CPUS, _LOST = range(6)
_TRIES = 100


@dataclass(frozen=True)
class Live:
    """What a recording says of itself.

    Attributes:
        pid: its process.
        horizon: TSC up to which the files hold what every CPU did.
        lost: per CPU, records that the guest could not keep, so far.
    """

    pid: int
    horizon: int
    lost: tuple[int, ...]

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


class LiveFile:
    """The writer's side, for one recording.

    Args:
        run: the run's folder; that of the trace is there already.
        cpus: number of CPUs.
    """

    def __init__(self, run: Path, cpus: int) -> None:
        self._path = trace_folder(run) / _FILE
        size = 8 * (_LOST + cpus)
        self._path.unlink(missing_ok=True)  # whoever reads the old one keeps it
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(fd, size)
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self._words = memoryview(self._map).cast("Q")
        self._words[_PID], self._words[_CPUS] = os.getpid(), cpus
        self._words[_MAGIC_AT] = _MAGIC
        self._settled = 0
        self._unsettled: list[RingReader] = []

    def passed(self, rings: Sequence[RingReader]) -> None:
        """Note that every ring has been emptied once more and what was in it is in the files.

        What the pass before this one read had happened before this one began, so the files now hold whatever other CPUs
        did up to then. A CPU that still has not completed a record is only known up to its last one.
        """
        horizon = min([self._settled, *(ring.last_time for ring in self._unsettled if ring.pending)])
        words = self._words
        words[_TURN] += 1  # odd: being written
        words[_HORIZON] = max(horizon, words[_HORIZON])
        for cpu, ring in enumerate(rings):
            words[_LOST + cpu] = ring.lost
        words[_TURN] += 1
        self._settled = max((ring.last_time for ring in rings), default=0)
        self._unsettled = [ring for ring in rings if ring.pending]

    def close(self) -> None:
        """The recording is over: take the file away. Safe to call again."""
        if self._map.closed:
            return
        self._unsettled = []
        self._words.release()
        self._map.close()
        self._path.unlink(missing_ok=True)


def read_live(run: Path) -> Live | None:
    """Read what a recording says of itself; None where none is under way."""
    try:
        with (trace_folder(run) / _FILE).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size < 8 * _LOST:
                return None
            with (
                mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped).cast("Q") as words,
            ):
                return _read(words)
    except FileNotFoundError:
        return None


def _read(words: memoryview) -> Live | None:
    """Read the words while nobody writes them; of a writer that was killed in the middle, as they are."""
    found: list[int] = []
    for _ in range(_TRIES):
        turn = words[_TURN]
        found = list(words)
        if not turn & 1 and words[_TURN] == turn:
            break
    if found[_MAGIC_AT] != _MAGIC:
        return None
    cpus = min(found[_CPUS], len(found) - _LOST)
    return Live(found[_PID], found[_HORIZON], tuple(found[_LOST : _LOST + cpus]))
