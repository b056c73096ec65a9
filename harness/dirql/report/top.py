# SPDX-License-Identifier: Apache-2.0
"""`dirql top`: follows a recording on the full screen until a key ends it."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from dirql.errors import DirqlError, UsageError
from dirql.report.sample import Said, Sample, look, sample_once
from dirql.report.topview import ORDERS, View, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from dirql.trace.live.follow import Follower, Judged

_RESTS = 4
"""Times what the oracle took before it is asked again: it may have a fifth of a CPU."""
_LOOKS_FOR = 0.1
"""Seconds between two looks for a recording that has not begun."""


class Oracle:
    """Judges a recording again and again, beside the screen.

    Args:
        follower: follows the recording.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._worker = ThreadPoolExecutor(1, "dirql-oracle")
        self._under_way: Future[Judged] | None = None
        self._begun = 0.0
        self._not_before = 0.0
        self._records = -1
        self.said = Said()
        self.failure = ""

    def ask(self, records: int) -> Said:
        """Return what it has said so far, and have it judge again where that is due.

        Args:
            records: how many there are by now.
        """
        now = time.monotonic()
        if self._under_way is not None and self._under_way.done():
            try:
                self.said, self.failure = self.said.and_then(self._under_way.result()), ""
            except DirqlError as error:
                self.failure = f"the oracle could not read the trace: {error}"
            self._not_before = now + _RESTS * (now - self._begun)
            self._under_way = None
        if self._under_way is None and records != self._records and now >= self._not_before:
            self._begun, self._records = now, records
            self._under_way = self._worker.submit(self._follower.judge)
        return self.said

    def close(self) -> None:
        """End; a judgement that is under way is waited for."""
        self._worker.shutdown(wait=True, cancel_futures=True)


def wait_for_trace(run: Path, seconds: float, gone: Callable[[], bool] = lambda: False) -> Follower:
    """Wait until a recording has begun in a folder.

    Args:
        run: the folder; it may not exist yet.
        seconds: how long to wait at most.
        gone: tells that nobody will begin one any more.

    Raises:
        UsageError: none has.
    """
    from dirql.trace.live.follow import Follower

    deadline = time.monotonic() + seconds
    while True:
        try:
            return Follower(run)
        except UsageError:
            if time.monotonic() >= deadline or gone():
                raise
        select.select([], [], [], _LOOKS_FOR)


def show_top(follower: Follower, *, period: float, console: Console, keys: IO[str] | None = None) -> None:
    """Follow a recording on the full screen until `q`, Ctrl-C, or the end of the keys.

    Args:
        follower: follows it.
        period: seconds between two looks.
        console: a terminal.
        keys: where keys come from; None for none.
    """
    from rich.live import Live

    oracle = Oracle(follower)
    view = View(height=console.height)
    seen: Sample | None = None
    try:
        with _single_keys(keys), Live(console=console, screen=True, auto_refresh=False) as live:
            due = 0.0
            while True:
                now = time.monotonic()
                if now >= due and not view.paused:
                    seen, note = _look(follower, oracle, seen)
                    view = replace(view, note=note)
                    due = now + period
                if seen is not None:
                    live.update(picture(seen, replace(view, height=console.height)), refresh=True)
                key = _key(keys, max(due - time.monotonic(), 0.0) if not view.paused else period)
                if key in ("q", "Q", "\x03", ""):
                    return
                if key in ("p", "P"):
                    view = replace(view, paused=not view.paused)
                elif key in ("s", "S"):
                    view = replace(view, order=(view.order + 1) % len(ORDERS))
    except KeyboardInterrupt:
        return  # as good a way to leave as `q`
    finally:
        oracle.close()


def _look(follower: Follower, oracle: Oracle, before: Sample | None) -> tuple[Sample | None, str]:
    try:
        records = sum(follower.lengths(follower.meta()))
        return look(follower, oracle.ask(records)), oracle.failure
    except (DirqlError, OSError) as error:
        return before, f"the trace cannot be read now: {error}"


def _key(keys: IO[str] | None, seconds: float) -> str | None:
    """Wait for a key; None: none came in time; empty: there are no more."""
    ready, _, _ = select.select([] if keys is None else [keys], [], [], seconds)
    return os.read(ready[0].fileno(), 1).decode("ascii", "replace") if ready else None


@contextmanager
def _single_keys(keys: IO[str] | None) -> Iterator[None]:
    """Let a terminal give each key at once, unseen; as before at the end."""
    if keys is None or not keys.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(keys.fileno())
    try:
        tty.setcbreak(keys.fileno(), termios.TCSADRAIN)  # keys that were typed ahead count
        yield
    finally:
        termios.tcsetattr(keys.fileno(), termios.TCSADRAIN, before)


def print_once(run: Path, console: Console) -> None:
    """Print one look, without a screen.

    Args:
        run: the run's folder.
        console: where to.

    Raises:
        UsageError: the folder holds no trace.
    """
    console.print(picture(sample_once(run), View(keys=False)))


def print_json(run: Path) -> None:
    """Print one look as a JSON object.

    Raises:
        UsageError: the folder holds no trace.
    """
    sys.stdout.write(json.dumps(sample_once(run).to_json()) + "\n")
