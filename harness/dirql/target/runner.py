# SPDX-License-Identifier: Apache-2.0
"""Runs cases: many on one boot, as long as they leave the machine as they found it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from dirql.errors import DirqlError, GuestBugCheck, GuestError, GuestHang
from dirql.guest.image import DriverImage
from dirql.machine import Machine
from dirql.naming import Names
from dirql.target.outcome import ASSERTION_CODE, Assertion, CaseResult, weigh
from dirql.target.slices import CaseTrace
from dirql.trace.folder import write_meta, write_records
from dirql.trace.oracle import judge

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from dirql.driver import Driver
    from dirql.target.cases import Case
    from dirql.target.table import TargetConfig
    from dirql.trace.decode import Trace
    from dirql.trace.oracle import Verdict

_CONSOLE_LINES = 12


@lru_cache(maxsize=64)
def _image(path: Path, changed: int) -> DriverImage:
    """Read a driver once, however many machines it is loaded into. `changed` is when its file was."""
    del changed
    return DriverImage(path)


@dataclass
class _End:
    """How the guest's part of a case ended: kind and text as in `CaseResult`; what the machine is good for now."""

    kind: str = ""
    text: str = ""
    held: bool = False
    dirty: bool = False
    gone: bool = False


class CaseRunner:
    """A machine that cases run on, booted when the first one comes, and again when one has cost it its life.

    It is reset, not booted, for a case that left it in disorder, and to tell the guest other options.

    Args:
        folder: where its logs go, and the traces of cases that fail; None keeps no files.
        kernel: another kernel than the one that was built.

    Attributes:
        boots: how many machines have been booted.
        resets: how often one was reset.
    """

    def __init__(self, folder: Path | None = None, kernel: Path | None = None) -> None:
        self.boots = 0
        self.resets = 0
        self._folder = folder
        self._kernel = kernel
        self._config: TargetConfig | None = None
        self._machine: Machine | None = None
        self._trace: CaseTrace | None = None
        self._drivers: dict[Path, Driver] = {}
        self._dirty = False

    def run(self, case: Case, config: TargetConfig) -> CaseResult:
        """Run a case and judge it.

        Args:
            case: the case.
            config: on which machine.

        Raises:
            DirqlError: the machine did not boot, or the driver does not load: nothing is known of the case.
        """
        started = time.monotonic()
        machine, trace, driver = self._ready(case, config)
        trace.begin()
        end = self._call(machine, driver, case)
        verdict: Verdict | None = None
        if not end.gone:
            recorded = trace.end(held=end.held)
            verdict = judge(recorded)
            wrong = weigh(case.needs, verdict, machine.symbols.where, complete=not end.kind)
            if wrong:
                end.text = f"{end.text}\n{wrong}" if end.kind else wrong
                end.kind = end.kind or "oracle"
            if end.kind:
                end.text += self._keep(case, recorded)
        self._dirty = end.dirty
        if end.gone:
            self.close()
        return CaseResult(case, config, end.kind, end.text, time.monotonic() - started, verdict)

    def close(self) -> None:
        """End the machine. Safe to call again; `run` boots another."""
        if self._trace is not None:
            self._trace.close()
        if self._machine is not None:
            self._machine.close()
        self._machine, self._trace, self._config, self._dirty = None, None, None, False
        self._drivers.clear()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _ready(self, case: Case, config: TargetConfig) -> tuple[Machine, CaseTrace, Driver]:
        """Return a machine at rest with the case's driver on it."""
        if self._config is not None and self._config.hardware != config.hardware:
            self.close()
        if self._machine is not None and (self._dirty or self._config != config):
            self._reset(self._machine, config)
        if self._machine is None:
            self._boot(config)
        assert self._machine is not None
        assert self._trace is not None
        driver = self._drivers.get(case.image)
        if driver is None:
            try:
                driver = self._drivers[case.image] = self._machine.load(
                    _image(case.image, case.image.stat().st_mtime_ns)
                )
            except GuestError:
                self._dirty = True
                raise
        return self._machine, self._trace, driver

    def _boot(self, config: TargetConfig) -> None:
        self.boots += 1
        folder = None
        if self._folder is not None:
            folder = self._folder / f"{os.getpid()}-{config.id}-{self.boots}"
            folder.mkdir(parents=True, exist_ok=True)
        self._machine = Machine(config.machine_config(self._kernel), devices=config.served_devices(), folder=folder)
        self._trace, self._config = CaseTrace(self._machine), config

    def _reset(self, machine: Machine, config: TargetConfig) -> None:
        """Bring the machine back; one that does not come back is closed."""
        self._drivers.clear()
        try:
            machine.reset(config=config.machine_config(self._kernel))
            if self._trace is not None:
                self._trace.close()
            self._trace, self._config = CaseTrace(machine), config
        except DirqlError:
            self.close()
        else:
            self.resets += 1
            self._dirty = False

    def _call(self, machine: Machine, driver: Driver, case: Case) -> _End:
        needs = case.needs
        what = f"the case {case.id} to return ({case.file}:{case.line})"
        try:
            leftover = machine.run(driver.base + case.routine, what=what, timeout=needs.limit)
        except GuestBugCheck as error:
            kind, text = self._judge_bugcheck(machine, case, error)
            return _End(kind, text, held=True, dirty=True)
        except GuestHang as error:
            return _End("hang", str(error), dirty=True)
        except GuestError as error:
            return _End("crash", str(error), held=True, dirty=True)
        except DirqlError as error:
            return _End("lost", str(error), gone=True)
        if needs.bugcheck is not None:
            text = f"bugcheck {needs.bugcheck} was to come; the case returned instead"
            return _End("no bugcheck", self._with_state(machine, text), dirty=True)
        if leftover:
            return _End("leftover", self._with_state(machine, f"it left something behind: {leftover}"), dirty=True)
        return _End()

    def _judge_bugcheck(self, machine: Machine, case: Case, error: GuestBugCheck) -> tuple[str, str]:
        wanted = case.needs.bugcheck
        if wanted is not None and wanted.matches(error.code, error.parameters):
            missing = [name for name in case.needs.named if name not in error.message]
            if not missing:
                return "", ""
            error.message += f"\n  its report was to name {', '.join(missing)}"
            return "bugcheck", str(error)
        if error.code == ASSERTION_CODE:
            assertion = Assertion.read(machine.memory, error.parameters[0])
            if assertion is not None:
                error.message = f"{assertion}\n  on CPU {error.processor}"
                return "assertion", str(error)
        if wanted is not None:
            error.message += f"; bugcheck {wanted} was to come"
        return "bugcheck", str(error)

    def _with_state(self, machine: Machine, text: str) -> str:
        """Add where each CPU is and what the console said last."""
        error = GuestError(text, console=machine.session.console.tail(_CONSOLE_LINES), run_folder=machine.folder)
        with suppress(DirqlError):
            error.cpus = machine.cpu_states()
            error.threads = machine.threads()
        return str(error)

    def _keep(self, case: Case, trace: Trace) -> str:
        """Write a failed case's trace into a folder of its own, and return a line that says where."""
        if self._machine is None or self._machine.folder is None:
            return ""
        folder = self._machine.folder / case.id
        per_cpu = [trace.records[trace.on_cpu(cpu)] for cpu in range(trace.cpus)]
        write_records(folder, per_cpu)
        write_meta(folder, trace.meta)
        names = Names(self._machine)
        names.look()
        names.write(folder)
        return f"\n  trace: dirql trace summary {folder}"


class RunnerPool:
    """Runners by what their QEMU is, at most a few of them: the one that was used longest ago goes first.

    Args:
        folder: as of `CaseRunner`.
        kernel: as of `CaseRunner`.
        limit: how many machines may be alive.
    """

    def __init__(self, folder: Path | None = None, kernel: Path | None = None, limit: int = 2) -> None:
        self._folder = folder
        self._kernel = kernel
        self._limit = limit
        self._runners: dict[tuple[object, ...], CaseRunner] = {}
        self._past: list[CaseRunner] = []

    @property
    def boots(self) -> int:
        """How many machines have been booted."""
        return sum(runner.boots for runner in (*self._past, *self._runners.values()))

    @property
    def resets(self) -> int:
        """How often one was reset."""
        return sum(runner.resets for runner in (*self._past, *self._runners.values()))

    def run(self, case: Case, config: TargetConfig) -> CaseResult:
        """Run a case. Arguments and errors as of `CaseRunner.run`."""
        runner = self._runners.pop(config.hardware, None) or CaseRunner(self._folder, self._kernel)
        self._runners[config.hardware] = runner
        while len(self._runners) > self._limit:
            self._drop(next(iter(self._runners)))
        return runner.run(case, config)

    def close(self) -> None:
        """End all machines."""
        while self._runners:
            self._drop(next(iter(self._runners)))

    def _drop(self, hardware: tuple[object, ...]) -> None:
        runner = self._runners.pop(hardware)
        self._past.append(runner)
        runner.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
