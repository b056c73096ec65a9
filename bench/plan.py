# SPDX-License-Identifier: Apache-2.0
"""How much is measured, and what the host was doing meanwhile."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MODE_MT = "mt"
MODE_ICOUNT = "icount"
CPUS = 4


@dataclass(frozen=True)
class Effort:
    """How often each thing is measured.

    Attributes:
        launches: starts of each kind of machine.
        resets: resets, each beside a launch.
        round_trips: rounds of `trips_in_round` interrupts, and of as many exchanges of the comparator.
        trips_in_round: see there.
        storms: storms by each route.
        interrupts: in each storm.
        footprints: machines whose memory is counted.
        suites: runs of the target suite.
    """

    launches: int = 31
    resets: int = 31
    round_trips: int = 30
    trips_in_round: int = 100
    storms: int = 7
    interrupts: int = 10_000
    footprints: int = 5
    suites: int = 5


QUICK = Effort(launches=5, resets=5, round_trips=5, storms=3, interrupts=2000, footprints=1, suites=1)


@dataclass(frozen=True)
class Plan:
    """What a benchmark gets.

    Attributes:
        effort: how much to measure.
        step: to be called after each round; moves the progress line.
    """

    effort: Effort
    step: Callable[[], None]


def load_average() -> list[float]:
    """Return the host's load averages over 1, 5 and 15 minutes."""
    return [round(load, 2) for load in os.getloadavg()]


def host(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Return what this host is, as JSON data.

    Args:
        cpuinfo: the kernel's list of processors.
    """
    models = [
        line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
    ]
    return {
        "system": platform.platform(),
        "processor": models[0] if models else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
