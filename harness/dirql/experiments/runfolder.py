# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: all that is needed to look at it again.

`run.json` (command lines, parameters, versions, host), `result.json` or, where the run failed, `failure.json`,
`console.log`, `qmp.log`, `qemu.log`, `trace/`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dirql import __version__
from dirql.errors import DirqlError, GuestBugCheck, UsageError

if TYPE_CHECKING:
    from dirql.machine import Machine

RUNS = Path("runs")
"""Where runs go by default, below the current folder."""


class RunFolder:
    """A new, empty folder for a run.

    Args:
        name: of the experiment.
        out: the folder to use; None makes one of its own below `runs/`.

    Attributes:
        path: the folder.

    Raises:
        UsageError: it cannot be written, or holds something already.
    """

    def __init__(self, name: str, out: Path | None = None) -> None:
        try:
            self.path = self._given(out) if out is not None else self._own(name)
            probe = self.path / "run.json"
            probe.write_text("{}\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"the run's folder {out or RUNS} cannot be written: {error.strerror}; give another with --out"
            ) from error

    def write(self, name: str, data: Any) -> Path:  # noqa: ANN401 (JSON data)
        """Write JSON data into a file of the folder, and return its path."""
        path = self.path / name
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        return path

    def describe(self, experiment: str, parameters: dict[str, Any], machine: Machine) -> None:
        """Write `run.json`.

        Args:
            experiment: its name.
            parameters: its parameters, as JSON data.
            machine: the machine that runs it, or the first of them.
        """
        session = machine.session
        self.write(
            "run.json",
            {
                "experiment": experiment,
                "parameters": parameters,
                "command_line": sys.argv,
                "qemu_command_line": list(session.process.argv),
                "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "dirql": __version__,
                "qemu": ".".join(map(str, session.qmp.version)),
                "python": platform.python_version(),
                "host": {"system": platform.platform(), "cpus": os.cpu_count()},
            },
        )

    def fail(self, error: DirqlError) -> None:
        """Write `failure.json`: why the run has no result.

        Args:
            error: what it ended with.
        """
        data: dict[str, Any] = {"error": type(error).__name__, "text": str(error)}
        if isinstance(error, GuestBugCheck):
            data |= {"code": error.code, "parameters": list(error.parameters), "processor": error.processor}
        self.write("failure.json", data)

    @staticmethod
    def _given(out: Path) -> Path:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} exists and is not an empty folder; nothing in it was touched: give another --out")
        out.mkdir(parents=True, exist_ok=True)
        return out

    @staticmethod
    def _own(name: str) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in range(1000):
            path = RUNS / f"{name}-{stamp}{f'-{number}' if number else ''}"
            with suppress(FileExistsError):  # another run of this second has it: the next name
                path.mkdir(parents=True)
                return path
        raise UsageError(f"{RUNS} holds a thousand runs of this second; give a folder with --out")
