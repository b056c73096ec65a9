# SPDX-License-Identifier: Apache-2.0
"""A progress line that is moved one step at a time."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from dirql.cli.progress import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Steps:
    """Shows how many of some steps are done.

    Args:
        what: what is counted.
        total: how many steps there are.
    """

    def __init__(self, what: str, total: int) -> None:
        self._line = ProgressLine(what, total)
        self._total = total
        self._done = 0
        self._moved: Callable[[int, int], None] | None = None

    def __enter__(self) -> Callable[[], None]:
        """Show the line; return the function that moves it by one."""
        self._moved = self._line.__enter__()
        return self._step

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        self._line.__exit__(kind, error, trace)

    def _step(self) -> None:
        self._done += 1
        if self._moved is not None:
            self._moved(self._done, self._total)


def steps(what: str, total: int) -> AbstractContextManager[Callable[[], None]]:
    """Return a context manager that gives the function to call after each step. It shows a line, on a terminal only.

    Args:
        what: what is counted.
        total: how many steps there are.
    """
    return Steps(what, total) if sys.stderr.isatty() else nullcontext(lambda: None)
