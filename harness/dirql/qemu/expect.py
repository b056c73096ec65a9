# SPDX-License-Identifier: Apache-2.0
"""pexpect's matching over a line that somebody else reads. Imported when first used: pexpect is slow to import."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from pexpect.spawnbase import SpawnBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.qemu.waits import Deadline

    TextSpawn = SpawnBase[str]
else:
    TextSpawn = SpawnBase


class ConsoleExpect(TextSpawn):
    """A pexpect spawn without a process: its input comes from a console's text.

    pexpect's own readers take bytes from a descriptor and know nothing of deadlines that race QEMU's end; this one asks
    for the next piece and lets the error of a wait that failed pass through.

    Args:
        next_piece: waits for the bytes after a position; called with (position, pattern, deadline, guest).
    """

    def __init__(self, next_piece: Callable[[int, str, Deadline, bool], bytes]) -> None:
        super().__init__(timeout=None, encoding="utf-8", codec_errors="replace")
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._next_piece = next_piece
        self._position = 0
        self._wanted: tuple[str, Deadline, bool] | None = None

    def await_match(self, pattern: str | re.Pattern[str], deadline: Deadline, guest: bool) -> re.Match[str]:
        """Wait until the text after the previous match matches.

        Args:
            pattern: a regular expression, with pexpect's flags (DOTALL) unless it is compiled.
            deadline: until when.
            guest: whether the guest's failure ends the wait.

        Returns:
            The match.
        """
        compiled = re.compile(pattern, re.DOTALL) if isinstance(pattern, str) else pattern
        self._wanted = (compiled.pattern, deadline, guest)
        self.expect([compiled], timeout=None)
        assert isinstance(self.match, re.Match)
        return self.match

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> str:  # noqa: ARG002 (pexpect's signature)
        """Return the next piece of text, waiting for it until this match's deadline."""
        assert self._wanted is not None
        data = self._next_piece(self._position, *self._wanted)
        self._position += len(data)
        return self._utf8.decode(data)
