# SPDX-License-Identifier: Apache-2.0
"""A run that `dirql top` starts itself: another `dirql` process, in a session of its own, ended with the screen."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_OUT = "--out"
_GRACE_S = 20.0
"""Seconds that a run has to end its machine after it was interrupted."""


class ChildRun:
    """A run in another process. Use as a context manager.

    Args:
        command: of `dirql`, with its arguments: `run`, `interrupt-storm`, ...; without `--out` it gets a folder.

    Attributes:
        folder: the run's folder.
        output: what the process printed, once it has ended.
        status: its exit status; 0 if it was ended from here.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        given = _given(self._command)
        if given is None:
            from dirql.experiments.runfolder import RUNS

            RUNS.mkdir(exist_ok=True)
            given = tempfile.mkdtemp(prefix=f"{self._command[0]}-", dir=RUNS)
            self._command += [_OUT, given]
        self.folder = Path(given)
        self.output = ""
        self.status = 0

    def __enter__(self) -> Self:
        """Start it."""
        self._printed = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dirql", *self._command],
            stdin=subprocess.DEVNULL,
            stdout=self._printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we pass it on
        )
        return self

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def __exit__(self, *_: object) -> None:
        """Interrupt it if it still runs, and wait until it has ended its machine."""
        interrupted = not self.ended
        if interrupted:
            self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self.status = 0 if interrupted else status
        with self._printed as printed:
            printed.seek(0)
            self.output = printed.read()


def _given(command: Sequence[str]) -> str | None:
    """Return the folder that a command names, if it does."""
    for at, word in enumerate(command):
        if word == _OUT and at + 1 < len(command):
            return command[at + 1]
        if word.startswith(f"{_OUT}="):
            return word.partition("=")[2]
    return None
