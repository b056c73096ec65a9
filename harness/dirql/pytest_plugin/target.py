# SPDX-License-Identifier: Apache-2.0
"""Cases that run on the guest, as pytest items: a `.sys` file with a section `.target` is collected like a test module.

Each case on each machine of its table is an item of its own, `spin.sys::test_target[SPIN-1-counter-cpus4-mt]`. Items
are put in the order of machines, so that each machine is booted once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from dirql.errors import BuildError, DirqlError
from dirql.target.cases import has_cases, read_cases
from dirql.target.table import CPUS, MODES, expand

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dirql.target.cases import Case
    from dirql.target.outcome import CaseResult
    from dirql.target.runner import RunnerPool
    from dirql.target.table import TargetConfig

_POOL = pytest.StashKey["RunnerPool"]()
_VERIFIER = {"on": (True,), "off": (False,), "both": (True, False), "alternate": (True, False)}


def collect(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Return the collector of a .sys file; None where it holds no cases."""
    return TargetFile.from_parent(parent, path=path) if has_cases(path) else None


class TargetFailed(Exception):
    """A case did not end as it had to.

    Attributes:
        result: how it ended.
    """

    def __init__(self, result: CaseResult) -> None:
        super().__init__(result.text)
        self.result = result


class TargetFile(pytest.File):
    """A driver with cases."""

    def collect(self) -> Iterable[TargetItem]:
        """Return an item for each case on each machine."""
        option = self.config.getoption
        table: dict[str, Any] = {
            "cpus": option("--dirql-cpus") or CPUS,
            "modes": option("--dirql-mode") or MODES,
            "verifier": _VERIFIER[option("--dirql-verifier")],
            "alternate": option("--dirql-verifier") == "alternate",
        }
        try:
            cases = read_cases(self.path)
        except BuildError as error:
            raise self.CollectError(str(error)) from error
        for case in cases:
            for machine in expand(case, **table):
                yield TargetItem.make(self, case, machine)


class TargetItem(pytest.Item):
    """A case on a machine.

    Attributes:
        case: the case.
        machine: the machine.
    """

    case: Case
    machine: TargetConfig

    @classmethod
    def make(cls, parent: TargetFile, case: Case, machine: TargetConfig) -> Self:
        """Make one."""
        item: Self = cls.from_parent(parent, name=f"test_target[{case.id}-{machine.id}]")
        item.case, item.machine = case, machine
        item.user_properties.append(("clauses", " ".join(case.clauses)))
        return item

    def runtest(self) -> None:
        """Run it.

        Raises:
            TargetFailed: it did not end as it had to.
            DirqlError: the machine did not boot, or the driver does not load.
        """
        result = _pool(self.config).run(self.case, self.machine)
        if not result.passed:
            raise TargetFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401
        """Return what happened on the guest; no Python of ours would tell anything."""
        if isinstance(excinfo.value, TargetFailed):
            result = excinfo.value.result
            place = f"{self.case.file}:{self.case.line}"
            return f"{result.id} ({place}, {' '.join(self.case.clauses)}): {result.kind}\n{result.text}"
        if isinstance(excinfo.value, DirqlError):
            return f"{type(excinfo.value).__name__}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return file, line and name for the report's headline."""
        return self.path, None, self.name


def arrange(items: list[pytest.Item]) -> None:
    """Put the cases among the items in the order of their machines; all others keep their places."""
    places = [at for at, item in enumerate(items) if isinstance(item, TargetItem)]
    cases = [item for item in items if isinstance(item, TargetItem)]
    for at, item in zip(places, sorted(cases, key=lambda item: item.machine.order), strict=True):
        items[at] = item


def finish(config: pytest.Config) -> None:
    """End the machines."""
    pool = config.stash.get(_POOL, None)
    if pool is not None:
        pool.close()


def _pool(config: pytest.Config) -> RunnerPool:
    pool = config.stash.get(_POOL, None)
    if pool is None:
        from dirql.target.runner import RunnerPool

        # pytest's own temporary folder: its fixture is for functions only, so an item of another kind asks here.
        factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
        given = config.getoption("--dirql-folder")
        folder = Path(given).absolute() if given else factory.mktemp("target", numbered=False)
        pool = config.stash[_POOL] = RunnerPool(folder)
    return pool
