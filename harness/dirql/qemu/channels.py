# SPDX-License-Identifier: Apache-2.0
"""The socketpairs between Python and one QEMU. Inherited: no port and no path to clash over or to clean up."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType


class Channels:
    """Named socketpairs.

    Args:
        names: one for each pair.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._ours: dict[str, socket.socket] = {}
        self._theirs: dict[str, socket.socket] = {}
        for name in names:
            self._ours[name], self._theirs[name] = socket.socketpair()

    def __getitem__(self, name: str) -> socket.socket:
        """Return our end of a pair."""
        return self._ours[name]

    @property
    def fds(self) -> Mapping[str, int]:
        """The descriptors of QEMU's ends, by name. They keep these numbers in QEMU."""
        return {name: end.fileno() for name, end in self._theirs.items()}

    def started(self) -> None:
        """Close QEMU's ends here, now that QEMU has inherited them, so that its end is seen as end of file."""
        for end in self._theirs.values():
            end.close()

    def close(self) -> None:
        """Close everything. Safe to call again."""
        self.started()
        for end in self._ours.values():
            end.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
