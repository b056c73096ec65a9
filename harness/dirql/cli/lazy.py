# SPDX-License-Identifier: Apache-2.0
"""A group of commands that imports each when it is used: start-up time is part of every answer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """A group whose commands are named by module and attribute.

    Args:
        lazy: command -> `module:attribute`, in the order of the help text.
        options: those of `click.Group`.
    """

    def __init__(self, *, lazy: Mapping[str, str], **options: Any) -> None:  # noqa: ANN401 (click's own)
        super().__init__(**options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of that name."""
        del ctx
        if cmd_name not in self._lazy:
            return None
        module, _, name = self._lazy[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command
