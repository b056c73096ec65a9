# SPDX-License-Identifier: Apache-2.0
"""The guest's serial console as a channel for whole lines.

The guest echoes what it is sent, ends each command with its prompt, and other CPUs may print at any time. Here whole
lines are sent; echo and prompts are taken out of what comes back.

Under icount the guest stands still in the rendezvous. It is let out of it for a command, from its line to the next
prompt, so that its time passes only while it works.
"""

from __future__ import annotations

import codecs
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.machine import Machine

PROMPT = "dirql> "
COMMAND_TIMEOUT = 60.0
"""Seconds that a command from a pipe may take."""

QUIT = "quit"


class EchoFilter:
    """Takes the echo of the lines that were sent, and the prompts, out of the guest's text.

    Attributes:
        prompts: how often the guest has shown its prompt after a line that it was sent.
    """

    def __init__(self) -> None:
        self.prompts = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._echo = ""
        self._busy = False
        self._held = ""

    def sent(self, line: str) -> None:
        """Expect a line's echo."""
        self._echo = line + "\n"
        self._busy = True

    def feed(self, data: bytes) -> str:
        """Take what came from the guest; return what is to be shown of it.

        A part of a prompt is kept until it is whole. What other CPUs print may come between the characters of an echo,
        so these are taken out one by one.
        """
        text = self._held + self._utf8.decode(data).replace("\r", "")
        self._held = ""
        shown: list[str] = []
        at = 0
        while at < len(text):
            if self._echo:
                if text[at] == self._echo[0]:
                    self._echo = self._echo[1:]
                else:
                    shown.append(text[at])
                at += 1
                continue
            if self._busy:
                rest = text[at : at + len(PROMPT)]
                if rest == PROMPT:
                    self.prompts += 1
                    self._busy = False
                    at += len(PROMPT)
                    continue
                if PROMPT.startswith(rest):
                    self._held = rest
                    break
            shown.append(text[at])
            at += 1
        return "".join(shown)


class ConsoleLink:
    """A machine's console, a command at a time.

    Args:
        machine: whose.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.filter = EchoFilter()
        self._position = len(machine.session.console.data)

    def send(self, line: str) -> None:
        """Send a command.

        Raises:
            MachineLost, GuestError: it cannot take any more.
        """
        line = "".join(c for c in line if " " <= c <= "~")  # what the guest takes and echoes
        self.filter.sent(line)
        self.machine.session.console.sendline(line)

    def read(self, timeout: float) -> str:
        """Wait for the guest to print something; return what is to be shown of it, which may be nothing.

        Args:
            timeout: seconds.

        Raises:
            WaitTimeout, MachineLost, GuestError: as `Watch.wait`.
        """
        data = self.machine.session.console.wait_bytes(self._position, "text on the console", timeout)
        self._position += len(data)
        return self.filter.feed(data)

    def execute(self, line: str, timeout: float = COMMAND_TIMEOUT) -> Iterator[str]:
        """Send a command and yield what the guest prints, until its next prompt.

        Args:
            line: the command.
            timeout: seconds between two pieces of output.

        Raises:
            GuestHang: nothing came for that long.
            MachineLost, GuestError: as `Watch.wait`.
        """
        with self.running():
            target = self.filter.prompts + 1
            self.send(line)
            while self.filter.prompts < target:
                yield self.read(timeout)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the guest run: out of the rendezvous, where it has one."""
        rendezvous = self.machine.rendezvous
        if rendezvous is not None:
            rendezvous.release()
        try:
            yield
        finally:
            if rendezvous is not None:
                rendezvous.restore()

    def words(self) -> dict[str, str]:
        """Return what the guest's console understands: command, or `run` and an exercise -> its explanation."""
        found = self._table("ConsoleCommands", "CONSOLE_COMMAND")
        exercises = self._table("Exercises", "EXERCISE")
        return found | {f"run {name}": explanation for name, explanation in exercises.items()}

    def _table(self, symbol: str, structure: str) -> dict[str, str]:
        machine = self.machine
        size = machine.kernel.symbols.get(symbol, (0, 0))[1]
        found: dict[str, str] = {}
        for at in range(size // machine.kernel.debug.structure(structure).size if size else 0):
            entry = machine.memory.variable(symbol, structure, at)
            found[machine.memory.string(entry.get("Name"))] = machine.memory.string(entry.get("Help"))
        return found
