# SPDX-License-Identifier: Apache-2.0
"""The console at a terminal: editing, history, completion, the guest's text above the prompt.

Imported when there is a terminal: prompt_toolkit is slow to import.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.patch_stdout import StdoutProxy, patch_stdout

from dirql.debug.consolelink import PROMPT, QUIT
from dirql.errors import DirqlError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyPressEvent

    from dirql.debug.consolelink import ConsoleLink

_ATTENDED_SECONDS = 7 * 24 * 3600.0


class CommandCompleter(Completer):
    """Completes the guest's commands, their explanations beside them.

    Args:
        words: command -> explanation.
    """

    def __init__(self, words: dict[str, str]) -> None:
        self._words = words

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Return the commands that begin with what is before the cursor."""
        del complete_event
        typed = document.text_before_cursor.lstrip()
        for word, explanation in self._words.items():
            if word.startswith(typed) and word.count(" ") == typed.count(" "):
                yield Completion(word, start_position=-len(typed), display_meta=explanation)


def interact(link: ConsoleLink) -> None:
    """Attach the terminal to a console until Ctrl-D or `quit`; the machine is closed then.

    Ctrl-C clears the line. While a command runs it ends the machine, as in any program.

    Raises:
        GuestError, MachineLost: it did not last until then.
    """
    asyncio.run(_Terminal(link).run())


class _Terminal:
    """The two that share a terminal: the prompt, and the guest's text."""

    def __init__(self, link: ConsoleLink) -> None:
        self._link = link
        self._prompted = asyncio.Event()

    async def run(self) -> None:
        keys = KeyBindings()

        @keys.add("c-c")
        def clear(event: KeyPressEvent) -> None:
            event.current_buffer.reset()

        session: PromptSession[str] = PromptSession(
            completer=CommandCompleter(self._link.words()), complete_while_typing=False, key_bindings=keys
        )
        reading = asyncio.create_task(self._read())
        try:
            while await self._command(session, reading):
                pass
        finally:
            self._link.machine.close()  # ends the read
            with suppress(DirqlError):
                await reading

    async def _command(self, session: PromptSession[str], reading: asyncio.Task[None]) -> bool:
        """Take a line and wait until the guest has dealt with it. Returns False at the end."""
        with patch_stdout(raw=True):  # what comes while the line is edited goes above it
            asking = asyncio.create_task(session.prompt_async(PROMPT))
            await asyncio.wait({asking, reading}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                asking.cancel()
                with suppress(asyncio.CancelledError, EOFError):
                    await asking
                reading.result()
            try:
                line = (await asking).strip()
            except EOFError:
                return False
        if line == QUIT:
            return False
        if not line:
            return True
        with ExitStack() as stack:
            stack.enter_context(self._link.running())
            self._prompted.clear()
            self._link.send(line)
            waiting = asyncio.create_task(self._prompted.wait())
            await asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        if reading.done():
            reading.result()
        return True

    async def _read(self) -> None:
        """Show what the guest prints, until the machine ends."""
        prompts = self._link.filter.prompts
        while True:
            text = await asyncio.to_thread(self._link.read, _ATTENDED_SECONDS)
            sys.stdout.write(text)
            if not isinstance(sys.stdout, StdoutProxy):  # while a line is edited, only whole lines are shown
                sys.stdout.flush()
            if self._link.filter.prompts != prompts:
                prompts = self._link.filter.prompts
                self._prompted.set()
