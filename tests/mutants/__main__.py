# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.mutants`: builds every mutant, runs the cases against it, prints the score."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from tests.mutants.find import CHECKOUT, borrow_debug, build, find_mutants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutants.hunt import Hunt

EXIT_SURVIVED = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
_SHOWN = 100


@click.command("mutants")
@click.option("--only", multiple=True, metavar="NAME", help="Only this mutant; repeatable.")
@click.option("--list", "only_list", is_flag=True, help="List the mutants; build and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def mutants(only: Sequence[str], only_list: bool, as_json: bool) -> int:
    """Break each rule of the executive on purpose and see that a case notices.

    Exit status 1 if a mutant survives, or if a case fails on the kernel as it should be.
    """
    found = find_mutants()
    unknown = set(only) - {mutant.name for mutant in found}
    if unknown:
        raise click.UsageError(f"there is no mutant {', '.join(sorted(unknown))}; --list has them")
    chosen = [mutant for mutant in found if not only or mutant.name in only]
    if only_list:
        for mutant in chosen:
            click.echo(f"{mutant.name}: {' '.join(mutant.clauses)}: {mutant.text} ({', '.join(mutant.sources)})")
        return 0
    # What is read out of their debug information goes with them, when build/ goes.
    os.environ["XDG_CACHE_HOME"] = str(CHECKOUT / "build" / "mutants" / "cache")
    from dirql.guest import artifacts
    from dirql.guest.image import KernelImage
    from dirql.target.suite import built_images, cases_of
    from tests.mutants.hunt import hunt, sound_rows

    cases = cases_of(built_images())
    normal = KernelImage(artifacts.kernel())
    with _progress("cases on the kernel as it should be", 1) as moved:
        rows, unsound = sound_rows(cases, moved)
    hunts: list[Hunt] = []
    with _progress("mutants", len(chosen)) as moved:
        for mutant in chosen:
            kernel = build(mutant)
            borrow_debug(kernel, normal)
            hunts.append(hunt(mutant, kernel, rows))
            if moved is not None:
                moved(len(hunts), len(chosen))
            elif not as_json:
                _tell(hunts[-1], len(hunts), len(chosen))
    killed = sum(each.killer is not None for each in hunts)
    if as_json:
        data = {
            "mutants": [each.to_json() for each in hunts],
            "killed": killed,
            "unsound": [{"id": each.id, "kind": each.kind, "text": each.text} for each in unsound],
        }
        click.echo(json.dumps(data))
    else:
        _print(hunts, killed)
        for result in unsound:
            click.echo(f"fails on the kernel as it should be: {result.id}: {result.kind}: {result.text}")
    return EXIT_SURVIVED if killed < len(hunts) or unsound else 0


def _tell(last: Hunt, done: int, total: int) -> None:
    """Say on standard error, which is no terminal, how the last one fared."""
    how = f"killed by {last.killer.id} ({last.how})" if last.killer is not None else "SURVIVED"
    click.echo(f"{done}/{total} {last.mutant.name}: {how}, {last.runs} runs, {last.seconds:.1f} s", err=True)


def _print(hunts: list[Hunt], killed: int) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from dirql.report.tables import report_console

    table = Table(title="Mutants", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in ("mutant", "clause", "what is wrong", "killed by", "how"):
        table.add_column(name, no_wrap=name in ("mutant", "killed by"))
    for each in hunts:
        killer = Text(each.killer.id) if each.killer is not None else Text("SURVIVED", style="bold red")
        how = each.how if len(each.how) <= _SHOWN else each.how[: _SHOWN - 3] + "..."
        table.add_row(each.mutant.name, " ".join(each.mutant.clauses), each.mutant.text, killer, Text(how))
    console = report_console()
    console.print(table)
    seconds = sum(each.seconds for each in hunts)
    runs = sum(each.runs for each in hunts)
    console.print(f"{killed} of {len(hunts)} killed, {runs:,} runs of cases in {seconds:.0f} s", markup=False)


def _progress(what: str, total: int) -> Any:  # noqa: ANN401 (a context manager that gives a function or None)
    if not sys.stderr.isatty():
        return nullcontext()
    from dirql.cli.progress import ProgressLine

    return ProgressLine(what, total)


def main() -> None:
    """Run the program; Ctrl-C ends it with status 130, and nothing of it is left running."""
    from dirql.errors import DirqlError

    try:
        status = mutants.main(prog_name="python -m tests.mutants", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("mutants: interrupted; nothing is left running", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except DirqlError as error:
        click.echo(f"mutants: {error}", err=True)
        sys.exit(EXIT_ERROR)
    sys.exit(status)


if __name__ == "__main__":
    main()
