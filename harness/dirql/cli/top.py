# SPDX-License-Identifier: Apache-2.0
"""`dirql top`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dirql.errors import UsageError

_COMMANDS = ("run", "run-driver")


class _Top(click.Command):
    """Options may follow a folder; but all that follows `run` or `run-driver` is that command's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        starts = any(name in args[:-1] for name in _COMMANDS)
        ctx.allow_interspersed_args, ctx.ignore_unknown_options = not starts, starts
        return super().parse_args(ctx, args)


@click.command("top", cls=_Top)
@click.option("--once", is_flag=True, help="Print one look and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one look as a JSON object and end.")
@click.option(
    "--every",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    show_default=True,
    metavar="S",
    help="Seconds between looks.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="S",
    help="Seconds to wait for a recording to begin in RUN.",
)
@click.argument("what", nargs=-1, type=click.UNPROCESSED, metavar="[RUN | run EXPERIMENT ... | run-driver DRIVER ...]")
def top(once: bool, as_json: bool, every: float, wait: float, what: tuple[str, ...]) -> int:
    """Show a machine at work on the full screen: IRQL and routine of each CPU, rates, hot locks, violations.

    RUN is the folder of a run that is going on, in another terminal or in a test; without it, the newest below runs/.
    With `run ...` or `run-driver ...`, which are the commands of these names, dirql starts that run itself and ends it
    when you leave.

    Keys: q quits, p pauses, s sorts the CPUs by another column. What the oracle says is about what has been recorded
    so far, and never a false alarm.
    """
    from dirql.report.tables import report_console
    from dirql.report.top import print_json, print_once, show_top, wait_for_trace
    from dirql.trace.live.follow import newest_run

    screen = not once and not as_json
    if screen and not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise UsageError("dirql top needs a terminal; --once or --json print one look without")
    if len(what) > 1 and what[0] in _COMMANDS:  # a folder may be called `run`
        if not screen:
            raise UsageError(f"--once and --json look at the folder of a run; start dirql {what[0]} beside them")
        from dirql.report.topchild import ChildRun

        try:
            with ChildRun(what) as child:
                follower = wait_for_trace(child.folder, wait, lambda: child.ended)
                show_top(follower, period=every, console=report_console(), keys=sys.stdin)
        finally:
            click.echo(child.output, nl=False)
        return child.status
    if len(what) > 1:
        raise UsageError(f"dirql top takes one folder, or run ..., or run-driver ...; not {' '.join(what)}")
    folder = Path(what[0]) if what else newest_run(Path("runs"))
    if screen:
        show_top(wait_for_trace(folder, wait), period=every, console=report_console(), keys=sys.stdin)
    elif as_json:
        print_json(folder)
    else:
        print_once(folder, report_console())
    return 0
