# SPDX-License-Identifier: Apache-2.0
"""All cases of some drivers on all machines of the table: what there is to run, and running it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dirql.errors import DirqlError, GuestError, MachineLost, UsageError
from dirql.guest import artifacts
from dirql.target.cases import read_cases
from dirql.target.outcome import CaseResult
from dirql.target.table import CPUS, MODES, expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from dirql.target.cases import Case
    from dirql.target.runner import RunnerPool
    from dirql.target.table import TargetConfig

    Plan = Sequence[tuple[Case, TargetConfig]]


def built_images() -> tuple[Path, ...]:
    """Return the drivers with cases that were built here.

    Raises:
        UsageError: there are none.
    """
    folder = artifacts.build_folder() / "target"
    images = tuple(sorted(folder.glob("*.sys")))
    if not images:
        raise UsageError(f"there are no cases in {folder}; run `make build`, or name a .sys file with cases")
    return images


def cases_of(images: Iterable[Path]) -> tuple[Case, ...]:
    """Return the cases of some drivers.

    Raises:
        BuildError: as `read_cases`.
    """
    return tuple(case for image in images for case in read_cases(image))


def plan(
    cases: Iterable[Case],
    cpus: Iterable[int] = CPUS,
    modes: Iterable[str] = MODES,
    verifier: Iterable[bool] = (True, False),
) -> Plan:
    """Return each case with each of its machines, machine after machine. Arguments as of `expand`."""
    cpus, modes, verifier = tuple(cpus), tuple(modes), tuple(verifier)
    rows = [(case, config) for case in cases for config in expand(case, cpus, modes, verifier)]
    return sorted(rows, key=lambda row: row[1].order)


def run_plan(rows: Plan, pool: RunnerPool, progress: Callable[[int, int], None] | None = None) -> Iterator[CaseResult]:
    """Run cases one after the other.

    Args:
        rows: from `plan`.
        pool: the machines.
        progress: called with (done, all) after each.

    Yields:
        Each result. Its kind is `boot` where the guest did not come up or did not take the driver, and `error` where
        that is not the guest's fault.
    """
    for done, (case, config) in enumerate(rows, 1):
        started = time.monotonic()
        try:
            result = pool.run(case, config)
        except DirqlError as error:
            kind = "boot" if isinstance(error, GuestError | MachineLost) else "error"
            text = f"{type(error).__name__}: {error}"
            result = CaseResult(case, config, kind, text, time.monotonic() - started, None)
        if progress is not None:
            progress(done, len(rows))
        yield result
