# SPDX-License-Identifier: Apache-2.0
"""The options that choose a part of a trace: the same for every command that looks at one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dirql.trace.window import Window

F = TypeVar("F", bound="Callable[..., Any]")


def window_options(function: F) -> F:
    """Add the filters. `window_from` takes the values."""
    return _add(function, "--to", "--until")


def window_options_until(function: F) -> F:
    """Add the filters to a command that has another use for `--to`: the end is `--until` alone."""
    return _add(function, "--until")


def _add(function: F, *end: str) -> F:
    for option in reversed(
        (
            click.option("--cpu", "cpus", type=int, multiple=True, metavar="N", help="Only this CPU; repeatable."),
            click.option("--event", "events", multiple=True, metavar="NAME", help="Only this event; repeatable."),
            click.option(
                *("--class", "classes"),
                multiple=True,
                metavar="NAME",
                help="Only the events of this class (irql, interrupts, locks, dpcs, threads, ...); repeatable.",
            ),
            click.option("--from", "since", metavar="T", help="From this time on, since the trace began: 1.5ms, 20us."),
            click.option(*end, "until", metavar="T", help="Up to this time."),
            click.option("--irql", metavar="N", help="Only what was recorded at this IRQL: 2, 2-5, 3+."),
        )
    ):
        function = option(function)
    return function


def window_from(
    *,
    cpus: Iterable[int],
    events: Iterable[str],
    classes: Iterable[str],
    since: str | None,
    until: str | None,
    irql: str | None,
) -> Window:
    """Return the part that the options describe.

    Args:
        cpus: as the options gave them; see `Window.of` for all.
        events: the same.
        classes: the same.
        since: the same.
        until: the same.
        irql: the same.

    Raises:
        UsageError: a value makes no sense.
    """
    from dirql.trace.window import Window

    return Window.of(since=since, until=until, cpus=cpus, events=events, classes=classes, irql=irql)
