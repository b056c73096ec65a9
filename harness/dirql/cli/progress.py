# SPDX-License-Identifier: Apache-2.0
"""A progress line on the terminal (standard error, so that standard output stays the result)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

REFRESH_NS = 100_000_000


class ProgressLine:
    """Shows how far something is. The function it gives may be called as often as one likes.

    Args:
        what: what is counted.
        total: how much of it there is.
    """

    def __init__(self, what: str, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        self._task = self._bar.add_task(what, total=total)
        self._next = 0

    def __enter__(self) -> Callable[[int, int], None]:
        """Show the line; return the function that moves it: (done, total)."""
        self._bar.start()
        return self._moved

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        self._bar.stop()

    def _moved(self, done: int, total: int) -> None:
        now = time.monotonic_ns()
        if now >= self._next:
            self._next = now + REFRESH_NS
            self._bar.update(self._task, completed=done, total=total, refresh=True)
