# SPDX-License-Identifier: Apache-2.0
"""`dirql clauses`."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

    from dirql.target.clauses import ClauseRow
    from dirql.target.outcome import CaseResult

EXIT_FAILED = 1
_MOST_TOLD = 10
_REASON = 100


def _counts(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    from dirql.target.table import CPUS

    del context, parameter
    if value is None:
        return CPUS
    words = value.split(",")
    if not all(word.isdecimal() and 1 <= int(word) <= 64 for word in words):
        raise click.BadParameter("numbers of CPUs, 1 to 64, with commas between them")
    return tuple(int(word) for word in words)


def _modes(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    from dirql.target.table import MODES

    del context, parameter
    if value is None:
        return MODES
    modes = tuple(value.split(","))
    if not set(modes) <= {"mt", "icount", "kvm"}:
        raise click.BadParameter("mt, icount, kvm, with commas between them")
    return modes


@click.command("clauses")
@click.argument("images", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cpus", callback=_counts, metavar="N[,N...]", help="CPUs of the machines. [default: 1,2,4,8]")
@click.option("--mode", "modes", callback=_modes, metavar="M[,M...]", help="Modes. [default: mt,icount]")
@click.option("--verifier", type=click.Choice(["on", "off", "both"]), default="both", show_default=True)
@click.option("--section", "wanted", multiple=True, metavar="ID", help="Only this section, whole; repeatable.")
@click.option("--list", "only_list", is_flag=True, help="Run nothing: list the clauses and their cases.")
@click.option("--out", type=click.Path(path_type=Path), help="Where logs, and traces of failed cases, go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def clauses(
    images: Sequence[Path],
    cpus: tuple[int, ...],
    modes: tuple[str, ...],
    verifier: str,
    wanted: Sequence[str],
    only_list: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Prove the rules: run the cases of IMAGES on the guest, and print clause by clause how they ended.

    IMAGES are drivers with cases, by default those of build/target. A clause is proven by the assertions of its cases
    and, where it shows in a trace, by the oracle. Exit status 1 if a case failed.
    """
    from dirql.target.clauses import OTHER, clause_rows, sections
    from dirql.target.suite import built_images, cases_of, plan

    unknown = [name for name in wanted if name not in (*sections(), OTHER)]
    if unknown:
        raise click.UsageError(f"there is no section {unknown[0]}; the sections are {', '.join(sections())}, {OTHER}")
    cases = cases_of(images or built_images())
    rows = clause_rows(cases, wanted)
    if wanted:
        shown = {case.id for row in rows for case in row.cases}
        cases = tuple(case for case in cases if case.id in shown)
    states = {"on": (True,), "off": (False,), "both": (True, False)}[verifier]
    started = time.monotonic()
    work = [] if only_list else plan(cases, cpus, modes, states)
    results = _run(work, out, quiet=as_json)
    for result in results:
        for row in rows:
            if result.case in row.cases:
                row.add(result)
    failed = [result for result in results if not result.passed]
    if as_json:
        _print_json(rows, results, time.monotonic() - started)
    else:
        _print(rows, results, () if only_list else modes, time.monotonic() - started)
    return EXIT_FAILED if failed else 0


def _run(work: Any, out: Path | None, *, quiet: bool) -> list[CaseResult]:  # noqa: ANN401
    if not work:
        return []
    from dirql.target.runner import RunnerPool
    from dirql.target.suite import run_plan

    with RunnerPool(out and out.absolute()) as pool, _progress(len(work), quiet=quiet) as progress:
        return list(run_plan(work, pool, progress))


def _progress(total: int, *, quiet: bool) -> AbstractContextManager[Callable[[int, int], None] | None]:
    """Return a context manager that gives a progress function: a line on a terminal, nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from dirql.cli.progress import ProgressLine

    return ProgressLine("cases", total)


def _print_json(rows: list[ClauseRow], results: list[CaseResult], seconds: float) -> None:
    import json

    failures = [
        {"id": each.id, "clauses": each.case.clauses, "kind": each.kind, "text": each.text}
        for each in results
        if not each.passed
    ]
    data = {
        "clauses": [row.to_json() for row in rows],
        "runs": len(results),
        "passed": len(results) - len(failures),
        "failures": failures,
        "seconds": seconds,
    }
    click.echo(json.dumps(data))


def _print(rows: list[ClauseRow], results: list[CaseResult], modes: Sequence[str], seconds: float) -> None:
    from dirql.report.tables import report_console

    console = report_console()
    console.print(_table(rows, modes))
    failed = [result for result in results if not result.passed]
    for result in failed[:_MOST_TOLD]:
        console.print(f"{result.id}: {result.kind}", markup=False, style="bold red")
        console.print(result.text, markup=False)
        console.print()
    if len(failed) > _MOST_TOLD:
        console.print(f"and {len(failed) - _MOST_TOLD} more failed; --json has them all")
    empty = [row.entry.id for row in rows if not row.cases and not row.reason]
    if empty:
        console.print(f"no case, and no reason in CAVEATS.md: {', '.join(empty)}", style="yellow", markup=False)
    if results:
        rate = len(results) / seconds
        passed = len(results) - len(failed)
        console.print(
            f"{passed:,} of {len(results):,} runs passed in {seconds:.1f} s, {rate:.0f} a second", markup=False
        )


def _table(rows: list[ClauseRow], modes: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Clauses", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("clause", no_wrap=True)
    table.add_column("what it promises")
    table.add_column("cases", justify="right", no_wrap=True)
    for mode in modes:
        table.add_column(mode, justify="right", no_wrap=True)
    if modes:
        table.add_column("oracle", no_wrap=True)
    section = None
    for row in rows:
        if section not in (None, row.entry.section):
            table.add_section()
        section = row.entry.section
        said = Text(row.entry.title)
        if row.reason:
            said.append(f"\nno case: {_short(row.reason)}", style="yellow")
        cells = [_mode_cell(row, mode) for mode in modes]
        oracle = [", ".join(f"{kind} {count}" for kind, count in row.oracle.items()) or "-"] if modes else []
        style = "bold red" if row.oracle["violated"] else ""
        table.add_row(row.entry.id, said, str(len(row.cases) or "-"), *cells, *(Text(each, style) for each in oracle))
    return table


def _mode_cell(row: ClauseRow, mode: str) -> Any:  # noqa: ANN401 (rich text)
    from rich.text import Text

    passed, failed = row.passed[mode], row.failed[mode]
    if failed:
        return Text(f"FAILED {failed} of {passed + failed}", style="bold red")
    return Text(f"ok {passed}", style="green") if passed else Text("-")


def _short(text: str) -> str:
    return text if len(text) <= _REASON else text[: _REASON - 3].rsplit(" ", 1)[0] + "..."
