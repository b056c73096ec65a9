# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: measures, prints a table, writes `bench.json` and `bench.txt`."""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.plan import QUICK, Effort, Plan, host, load_average
from bench.progress import steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.figures import Row

OUT = Path("build") / "bench"
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

BENCHMARKS: dict[str, tuple[str, Callable[[Effort], int]]] = {
    "boot": ("bench.launches:boot_rows", lambda effort: effort.launches),
    "reset": ("bench.launches:reset_rows", lambda effort: effort.resets),
    "round-trip": ("bench.interrupts:round_trip_rows", lambda effort: 4 * effort.round_trips),
    "rate": ("bench.interrupts:rate_rows", lambda effort: effort.storms),
    "trace": ("bench.trace_cost:trace_rows", lambda _: 1),
    "trace-store": ("bench.trace_store:store_rows", lambda _: 21),
    "oracle": ("bench.oracle:oracle_rows", lambda _: 10),
    "report": ("bench.report:report_rows", lambda _: 4),
    "trace-rate": ("bench.trace_rate:rate_rows", lambda effort: min(5, effort.storms)),
    "trace-slowdown": ("bench.trace_rate:slowdown_rows", lambda effort: 2 * min(5, effort.storms)),
    "primitives": ("bench.primitives:primitive_rows", lambda _: 3),
    "timers": ("bench.timers:timer_rows", lambda _: 3),
    "threads": ("bench.threads:thread_rows", lambda _: 3),
    "pool": ("bench.pool:pool_rows", lambda _: 5),
    "requests": ("bench.requests:request_rows", lambda effort: effort.round_trips + effort.storms),
    "handoff": ("bench.handoff:handoff_rows", lambda _: 7),
    "suite": ("bench.suite:suite_rows", lambda effort: effort.suites),
    "memory": ("bench.footprint:memory_rows", lambda effort: effort.footprints),
}
"""Where each benchmark's rows come from, and how many rounds it has."""


@click.command("bench")
@click.option("--quick", is_flag=True, help="Few repetitions: to see that it works, not for figures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Where the files go.")
@click.option("--only", multiple=True, type=click.Choice(list(BENCHMARKS)), help="Only this benchmark; repeatable.")
def bench(quick: bool, as_json: bool, out: Path, only: Sequence[str]) -> int:
    """Measure the numbers of the README, each beside its comparator, in turns.

    Exit status 0 if everything could be measured, whether the goals were met or not; 1 if something failed.
    """
    names = [name for name in BENCHMARKS if not only or name in only]
    effort = QUICK if quick else Effort()
    result, rows = _measure(names, effort)
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    with (out / "bench.txt").open("w", encoding="utf-8") as file:
        _print(file, rows, result)
    if as_json:
        click.echo(json.dumps(result))
    else:
        _print(sys.stdout, rows, result)
        click.echo(f"written to {out}/bench.json and {out}/bench.txt")
    return EXIT_FAILED if result["failures"] else 0


def _measure(names: list[str], effort: Effort) -> tuple[dict[str, Any], list[Row]]:
    """Run benchmarks; return what the JSON file holds, and the rows."""
    from dirql.errors import DirqlError
    from dirql.qemu.process import qemu_version

    rows: list[Row] = []
    failures: dict[str, str] = {}
    facts: dict[str, Any] = {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "host": host()}
    before = load_average()
    for name in names:
        where, rounds = BENCHMARKS[name]
        with steps(name, rounds(effort)) as step:
            try:
                facts.setdefault("qemu", ".".join(map(str, qemu_version())))
                module, _, function = where.partition(":")
                rows += getattr(import_module(module), function)(Plan(effort, step))
            except (DirqlError, OSError) as error:
                failures[name] = f"{type(error).__name__}: {error}"
    facts.setdefault("qemu", "unknown")
    load = {"before": before, "after": load_average()}
    return {**facts, "load_average": load, "rows": [row.to_json() for row in rows], "failures": failures}, rows


def _print(file: Any, rows: list[Row], result: dict[str, Any]) -> None:  # noqa: ANN401 (any text stream)
    from bench.table import print_result
    from dirql.report.tables import report_console

    print_result(report_console(file), rows, result, result["failures"])


def main() -> None:
    """Run the program; Ctrl-C ends it with status 130, and nothing of it is left running."""
    try:
        status = bench.main(prog_name="python -m bench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("bench: interrupted; nothing is left running", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
