# SPDX-License-Identifier: Apache-2.0
"""The guest's serial console, for a person at a terminal and for lines from a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from dirql.debug.consolelink import COMMAND_TIMEOUT, QUIT, ConsoleLink
from dirql.errors import GuestError

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.config import MachineConfig
    from dirql.machine import Machine


def run_console(
    config: MachineConfig,
    *,
    folder: Path | None = None,
    timeout: float = COMMAND_TIMEOUT,
    source: TextIO | None = None,
    out: TextIO | None = None,
) -> int:
    """Boot a machine and attach to its console; the machine ends with it. Arguments and result as `attach_console`.

    Args:
        config: the machine.
        folder: where the logs go; None keeps none.
        timeout: as there.
        source: as there.
        out: as there.

    Raises:
        DirqlError: the machine did not boot.
    """
    from dirql.machine import Machine

    with Machine(config, folder=folder) as machine:
        return attach_console(machine, timeout=timeout, source=source, out=out)


def attach_console(
    machine: Machine,
    *,
    timeout: float = COMMAND_TIMEOUT,
    source: TextIO | None = None,
    out: TextIO | None = None,
) -> int:
    """Attach to a machine's console until the end of the input, or the command `quit`.

    Args:
        machine: whose console.
        timeout: seconds that the guest may be silent within a command that came from a pipe.
        source: where commands come from; by default standard input. If that is a terminal, so is `out` meant to be,
            and there is a prompt with editing, history and completion; otherwise each line is a command.
        out: where the guest's text and a failure go; by default standard output.

    Returns:
        The exit status: 0; 1 if the guest failed.

    Raises:
        MachineLost: QEMU ended.
    """
    source = source or sys.stdin
    out = out or sys.stdout
    link = ConsoleLink(machine)
    try:
        if source.isatty():
            from dirql.debug.terminal import interact

            interact(link)
        else:
            for line in source:
                if line.strip() == QUIT:
                    break
                for piece in link.execute(line.rstrip("\r\n"), timeout):
                    out.write(piece)
                    out.flush()
    except GuestError as error:
        out.write(f"{error}\n")
        return 1
    return 0
