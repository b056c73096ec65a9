# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.soak`: the main job over and over, each time as its user runs it, until one run fails.

Folders of good runs are deleted; that of a failed run stays, and its seed and reason are printed.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bench.progress import steps

OUT = Path("build") / "soak"
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_EXPERIMENT = "interrupt-storm"
_KEPT_LINES = 40


@dataclass(frozen=True)
class Job:
    """What every run does.

    Attributes:
        mode, cpus, count: of `dirql run interrupt-storm`.
        timeout: seconds that a run may take as a whole. Each wait inside has its own, shorter end; this one is for a
            harness that hangs.
    """

    mode: str
    cpus: int
    count: int
    timeout: float

    def command(self, seed: int, folder: Path) -> list[str]:
        """Return the command line of a run.

        Args:
            seed: its seed.
            folder: its folder.
        """
        return [
            *(sys.executable, "-c", "from dirql.cli.main import main; main()", "run", _EXPERIMENT, "--json"),
            *("--no-export", "--mode", self.mode, "--cpus", str(self.cpus), "--count", str(self.count)),
            *("--seed", str(seed), "--out", str(folder)),
        ]


@dataclass
class Tally:
    """What came of the runs so far.

    Attributes:
        seconds: that each good run took as a whole, start of Python to its end.
        interrupts: acknowledged in good runs.
        storm_seconds: of good runs, from the first interrupt to the last acknowledgement.
        merged: interrupts that arrived as one with another, in good runs.
    """

    seconds: list[float] = field(default_factory=list)
    interrupts: int = 0
    storm_seconds: float = 0.0
    merged: int = 0

    def add(self, seconds: float, result: dict[str, Any]) -> None:
        """Count a good run.

        Args:
            seconds: that it took as a whole.
            result: what it printed.
        """
        self.seconds.append(seconds)
        self.interrupts += result["acknowledged"]
        self.storm_seconds += result["seconds"]
        self.merged += result["merged"]

    def text(self, failures: int) -> str:
        """Return the figures as one line.

        Args:
            failures: how many runs failed.
        """
        if not self.seconds:
            return f"0 good runs, {failures} failures"
        rate = self.interrupts / self.storm_seconds if self.storm_seconds else 0.0
        return (
            f"{len(self.seconds) + failures} runs, {failures} failures; {self.interrupts:,} interrupts acknowledged, "
            f"{self.merged:,} merged; a run took {statistics.median(self.seconds):.2f} s (median), "
            f"{max(self.seconds):.2f} s (longest); {rate:,.0f} interrupts/s"
        )


def failure_of(status: int, output: str) -> str | None:
    """Return why a run failed, None if it did not.

    Args:
        status: its exit status.
        output: its standard output.
    """
    if status < 0:
        return f"it was killed by signal {-status}"
    try:
        result = json.loads(output)
    except ValueError:
        return f"it ended with status {status} and printed no result"
    if result["passed"] and status == 0:
        return None
    clauses = [(clause["clause"], clause["status"]) for clause in result["clauses"]]
    broken = [name for name, found in clauses if found == result["verdict"] != "ok"]
    return (
        f"verdict {result['verdict']}, status {status}: {result['sent']} sent, {result['acknowledged']} acknowledged, "
        f"{result['lost']} lost, {result['violations']} violations of {', '.join(broken) or 'no clause'}"
    )


def run_once(job: Job, seed: int, folder: Path, tally: Tally) -> str | None:
    """Run the main job once; return why it failed, or None after counting it and deleting its folder.

    Args:
        job: what to run.
        seed: its seed.
        folder: its folder; it must not exist.
        tally: what to count in.
    """
    started = time.monotonic()
    with subprocess.Popen(
        job.command(seed, folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            output, said = process.communicate(timeout=job.timeout)
        except subprocess.TimeoutExpired:
            process.kill()  # its QEMU ends with it
            output, said = process.communicate()
            return f"it had not ended after {job.timeout:g} s{_quoted(said)}"
        except KeyboardInterrupt:
            process.communicate()  # the terminal's Ctrl-C has reached it too, and it puts its things in order
            raise
    reason = failure_of(process.returncode, output)
    if reason is not None:
        return reason + _quoted(said)
    tally.add(time.monotonic() - started, json.loads(output))
    shutil.rmtree(folder)
    return None


@click.command("soak")
@click.option("--runs", type=click.IntRange(1), default=200, show_default=True, help="How many runs.")
@click.option("--mode", type=click.Choice(["mt", "icount", "kvm"]), default="mt", show_default=True)
@click.option("--cpus", type=int, default=4, show_default=True, help="CPUs of the machine.")
@click.option("--count", type=int, default=10_000, show_default=True, help="Interrupts in a run.")
@click.option("--seed-first", type=int, default=0, show_default=True, help="Seed of the first run; each next adds 1.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Where run folders go.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds that one run may take.")
def soak(runs: int, mode: str, cpus: int, count: int, seed_first: int, out: Path, timeout: float) -> int:
    """Run the main job RUNS times in a row; stop at the first failure and keep its folder.

    Exit status 0 if every run was good, else 1.
    """
    job, tally = Job(mode, cpus, count, timeout), Tally()
    own = out / time.strftime("%Y%m%d-%H%M%S")
    own.mkdir(parents=True)
    failed = ""
    try:
        with steps("runs", runs) as step:
            for seed in range(seed_first, seed_first + runs):
                folder = own / f"seed-{seed}"
                reason = run_once(job, seed, folder, tally)
                if reason is not None:
                    failed = f"seed {seed} failed: {reason}\nits files: {folder}"
                    break
                step()
    except KeyboardInterrupt:
        shutil.rmtree(own)
        click.echo(f"soak: interrupted; nothing is left running; until then {tally.text(0)}", err=True)
        return EXIT_INTERRUPTED
    click.echo(tally.text(1 if failed else 0))
    if failed:
        click.echo(failed, err=True)
        return EXIT_FAILED
    own.rmdir()
    return 0


def _quoted(text: str) -> str:
    """The last lines of what a run wrote to its standard error, each with a mark in front."""
    return "".join(f"\n    | {line}" for line in text.splitlines()[-_KEPT_LINES:])


def main() -> None:
    """Run the program."""
    try:
        status = soak.main(prog_name="python -m bench.soak", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
