# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.soak_target`: the target suite over and over, in another order each time, until a case fails.

The machine's folder and the trace of the case that failed stay; its run's seed is printed, and brings the order back.
"""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.progress import steps

if TYPE_CHECKING:
    from dirql.target.outcome import CaseResult
    from dirql.target.suite import Plan

OUT = Path("build") / "soak-target"
EXIT_FAILED = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def shuffled(rows: Plan, seed: int) -> Plan:
    """Return the rows of a plan with the cases of each machine in an order of the seed's."""
    mixed = list(rows)
    random.Random(seed).shuffle(mixed)
    return sorted(mixed, key=lambda row: row[1].order)


def run_once(rows: Plan, folder: Path) -> CaseResult | None:
    """Run a plan; return the first case that fails. The folder is deleted if none does."""
    from dirql.target.runner import RunnerPool
    from dirql.target.suite import run_plan

    with RunnerPool(folder) as pool:
        for result in run_plan(rows, pool):
            if not result.passed:
                return result
    shutil.rmtree(folder, ignore_errors=True)
    return None


@click.command("soak-target")
@click.option("--runs", type=click.IntRange(1), default=100, show_default=True, help="How many runs of the suite.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the first run's order; each next adds 1.")
@click.option("--cpus", default="1,2,4,8", show_default=True, metavar="N[,N...]", help="CPUs of the machines.")
@click.option("--mode", default="mt,icount", show_default=True, metavar="M[,M...]", help="Modes.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Where folders go.")
def soak(runs: int, seed: int, cpus: str, mode: str, out: Path) -> int:
    """Run the whole target suite RUNS times in a row; stop at the first failure.

    Exit status 0 if every case passed in every run, else 1.
    """
    from dirql.target.suite import built_images, cases_of, plan

    counts, modes = tuple(int(count) for count in cpus.split(",")), tuple(mode.split(","))
    rows = plan(cases_of(built_images()), counts, modes)
    own = (out / time.strftime("%Y%m%d-%H%M%S")).absolute()
    seconds: list[float] = []
    failed: CaseResult | None = None
    try:
        with steps("runs", runs) as step:
            for number in range(seed, seed + runs):
                started = time.monotonic()
                failed = run_once(shuffled(rows, number), own / f"seed-{number}")
                if failed is not None:
                    break
                seconds.append(time.monotonic() - started)
                step()
    except KeyboardInterrupt:
        shutil.rmtree(own, ignore_errors=True)
        click.echo(f"soak-target: interrupted; nothing is left running; until then {_tally(seconds, rows)}", err=True)
        return EXIT_INTERRUPTED
    click.echo(f"{_tally(seconds, rows)}, {1 if failed else 0} failures")
    if failed is not None:
        click.echo(f"seed {seed + len(seconds)}: {failed.id}: {failed.kind}\n{failed.text}", err=True)
        return EXIT_FAILED
    shutil.rmtree(own, ignore_errors=True)
    return 0


def _tally(seconds: list[float], rows: Plan) -> str:
    if not seconds:
        return "0 good runs"
    median = statistics.median(seconds)
    rate = len(rows) / median
    return f"{len(seconds)} good runs of {len(rows):,} cases each, {median:.1f} s a run, {rate:.0f} cases a second"


def main() -> None:
    """Run the program."""
    from dirql.errors import DirqlError

    try:
        status = soak.main(prog_name="python -m bench.soak_target", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DirqlError as error:
        click.echo(f"soak-target: {error}", err=True)
        sys.exit(EXIT_ERROR)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
