# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.soak_irps`: a million IRPs with random cancels and interrupts, each completed exactly once.

In storms of one machine, each with the next seed; the machine's folder stays if one fails.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Literal, cast

import click

from bench.irps import DRIVER, Figures, Storm, run_storm
from bench.progress import steps

OUT = Path("build") / "soak-irps"
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_STORM = 20_000


@click.command("soak-irps")
@click.option(
    "--irps", type=click.IntRange(1), default=1_000_000, show_default=True, help="How many, all storms together."
)
@click.option("--cpus", type=click.IntRange(1, 8), default=4, show_default=True, help="CPUs that send and cancel.")
@click.option("--mode", type=click.Choice(["mt", "icount"]), default="mt", show_default=True, help="Of the machine.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first storm; each next adds 1.")
@click.option("--verifier/--no-verifier", default=True, show_default=True, help="Check each call of the driver.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Where folders go.")
def soak(irps: int, cpus: int, mode: str, seed: int, verifier: bool, out: Path) -> int:
    """Send IRPS IRPs to a device with StartIo and one with a cancel-safe queue, and cancel some.

    Exit status 0 if each was completed exactly once, else 1.
    """
    from dirql.config import MachineConfig
    from dirql.errors import DirqlError
    from dirql.machine import Machine

    storms = -(-irps // _STORM)
    own = (out / time.strftime("%Y%m%d-%H%M%S")).absolute()
    config = MachineConfig(cpus=cpus, mode=cast("Literal['mt', 'icount']", mode), verifier=verifier, trace_mask=0)
    figures = Figures()
    own.mkdir(parents=True)
    started = time.monotonic()
    try:
        with Machine(config, folder=own) as machine, steps("storms", storms) as step:
            driver = machine.load(DRIVER)
            for number in range(storms):
                storm = Storm(min(_STORM, irps - number * _STORM), seed + number, deferred=number % 2 == 0)
                figures += run_storm(driver, storm)
                step()
            driver.unload()
    except DirqlError as error:
        click.echo(f"soak-irps: {error}\nuntil then {figures.text()}\nfolder: {own}", err=True)
        return EXIT_FAILED
    except KeyboardInterrupt:
        click.echo(f"soak-irps: interrupted; until then {figures.text()}", err=True)
        return EXIT_INTERRUPTED
    finally:
        seconds = time.monotonic() - started
    shutil.rmtree(own, ignore_errors=True)
    click.echo(f"{figures.text()}; {cpus} CPUs, {mode}, {seconds:.0f} s, {figures.once / seconds:,.0f} IRPs a second")
    return 0


def main() -> None:
    """Run the program."""
    try:
        status = soak.main(prog_name="python -m bench.soak_irps", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
