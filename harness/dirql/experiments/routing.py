# SPDX-License-Identifier: Apache-2.0
"""symmetric-vs-asymmetric: the same interrupt storm, once spread over all CPUs, once all taken by CPU 0 (SYS-3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from dirql.experiments.interrupt_storm import StormResult, run_storm
from dirql.experiments.runfolder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig
    from dirql.experiments.storm import StormParameters

NAME = "symmetric-vs-asymmetric"
ROUTINGS = ("symmetric", "asymmetric")


@dataclass(frozen=True)
class RoutingResult:
    """What came of it.

    Attributes:
        parameters: what was sent, both times.
        config: the machine, but for its routing.
        storms: by routing.
        folder: the run's folder; each storm has one of its own in it.
    """

    parameters: StormParameters
    config: MachineConfig
    storms: dict[str, StormResult]
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether both storms passed, and under asymmetric routing CPU 0 took everything."""
        others = self.storms["asymmetric"].stats.cpus[1:]
        return all(storm.passed for storm in self.storms.values()) and not any(cpu.isr.count for cpu in others)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            "mode": self.config.mode,
            "cpus": self.config.cpus,
            "parameters": asdict(self.parameters),
            "passed": self.passed,
            "storms": {routing: storm.to_json() for routing, storm in self.storms.items()},
            "run_folder": str(self.folder.path),
        }


def run_routing(
    config: MachineConfig,
    parameters: StormParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> RoutingResult:
    """Run the storm on both machines.

    Args:
        config: the machine; its routing is set.
        parameters: what to send.
        folder: the run's folder.
        progress: called now and then with (acknowledged, count), over both storms.

    Raises:
        DirqlError: a machine failed; what was recorded by then is in the folder.
    """
    storms: dict[str, StormResult] = {}
    for number, routing in enumerate(ROUTINGS):
        mine = replace(config, interrupt_routing=routing)  # type: ignore[arg-type]
        moved = None if progress is None else _shifted(progress, number * parameters.count)
        storms[routing] = run_storm(mine, parameters, RunFolder(NAME, folder.path / routing), moved)
    result = RoutingResult(parameters, config, storms, folder)
    folder.write("result.json", result.to_json())
    return result


def _shifted(progress: Callable[[int, int], None], done: int) -> Callable[[int, int], None]:
    return lambda now, count: progress(done + now, len(ROUTINGS) * count)
