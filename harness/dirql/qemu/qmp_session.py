# SPDX-License-Identifier: Apache-2.0
"""The asyncio half of QMP. Imported in the loop's thread only, because qemu.qmp takes its time to import."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from qemu.qmp import Message, QMPClient, QMPError, Runstate

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

Direction = Literal["in", "out"]


class Session(QMPClient):
    """A QMP connection over a given socket, which tells of every message on it, in order.

    Args:
        on_message: called with each message before anything else is done with it.
    """

    def __init__(self, on_message: Callable[[Direction, Message], None]) -> None:
        super().__init__("dirql")
        self._on_each = on_message
        # Events are taken from `on_message`: the library's own listener, which stays, would collect them for ever.
        self.events.event_filter = lambda _: False

    async def serve(self, sock: socket.socket, on_ready: Callable[[Session], None]) -> None:
        """Negotiate, then stay until either side ends the session.

        Args:
            sock: the channel.
            on_ready: called once QEMU takes commands.
        """
        with suppress(QMPError, OSError, EOFError):
            await self.connect(sock)
            on_ready(self)
            while self.runstate is Runstate.RUNNING:
                await self.runstate_changed()
            await self.disconnect()

    async def hang_up(self) -> None:
        """End the session from this side."""
        with suppress(QMPError, OSError, EOFError):
            await self.disconnect()

    def _cb_outbound(self, msg: Message) -> Message:
        self._on_each("out", msg)
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        self._on_each("in", msg)
        return msg
