# SPDX-License-Identifier: Apache-2.0
"""`dirql trace`: looks at the trace of a run."""

from __future__ import annotations

import click

from dirql.cli.lazy import LazyGroup

_COMMANDS = {
    "show": "dirql.cli.trace_show:show",
    "summary": "dirql.cli.trace_summary:summary",
    "diff": "dirql.cli.trace_diff:diff",
    "export": "dirql.cli.trace_export:export",
}


@click.group("trace", cls=LazyGroup, lazy=_COMMANDS)
def trace() -> None:
    """Look at the trace of a run: tables, timeline, comparison, other formats."""
