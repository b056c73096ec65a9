# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: fixtures `machine` and `machine_factory`, marker `dirql`, options `--dirql-*`, cases in drivers.

    def test_it_starts(machine):
        machine.load("my.sys")

A `.sys` file that pytest comes across is looked at for cases that run on the guest (`target.py`).

Every pytest run on the host loads this file, so it imports nothing but pytest until a test asks for a machine.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from dirql.config import MachineConfig
    from dirql.machine import Machine
    from dirql.pytest_plugin.pool import MachineFactory, MachinePool

MODES = ("mt", "icount", "kvm")
_CPUS = (4,)
_MODE = ("mt",)
_TARGET = "dirql.pytest_plugin.target"
_MARKER = (
    "dirql(cpus=N, mode=M, devices=FUNCTION, **options): the machine of this test. cpus and mode may be lists; devices "
    "is called for the PCI devices that Python serves, and such a machine is booted for this test alone; options are "
    "those of MachineConfig."
)
_MACHINES = pytest.StashKey["list[Machine]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("dirql", "dirql: the machines of tests")
    group.addoption(
        "--dirql-cpus",
        type=_counts,
        metavar="N[,N...]",
        help="CPUs of the machine; a test that uses `machine` runs once for each (default: 4), as does a case "
        "on the guest (default: 1,2,4,8)",
    )
    group.addoption(
        "--dirql-mode",
        type=_modes,
        metavar="MODE[,MODE...]",
        help="mt, icount, kvm: how QEMU runs it; a test that uses `machine` runs once for each (default: mt), as "
        "does a case on the guest (default: mt,icount)",
    )
    group.addoption(
        "--dirql-verifier",
        choices=("on", "off", "both", "alternate"),
        default="both",
        help="the guest's verifier while a case on the guest runs; alternate: on for each machine, off for every other "
        "(default: both)",
    )
    group.addoption("--dirql-boot", choices=("rom", "bios"), default="rom", help="firmware (default: rom)")
    group.addoption(
        "--dirql-folder",
        metavar="DIR",
        help="where each machine's folder goes (default: in the session's temporary folder)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the cases of a driver."""
    if file_path.suffix.lower() != ".sys":
        return None
    from dirql.pytest_plugin.target import collect

    return collect(file_path, parent)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the cases in the order of their machines."""
    if _TARGET in sys.modules:
        sys.modules[_TARGET].arrange(items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the machines of the cases."""
    if _TARGET in sys.modules:
        sys.modules[_TARGET].finish(session.config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `machine` once for each configuration asked for."""
    if "dirql_config" not in metafunc.fixturenames:
        return
    configs = _configs(metafunc.config, metafunc.definition.get_closest_marker("dirql"))
    metafunc.parametrize("dirql_config", configs, ids=[_id(config) for config in configs], indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the state of a failed test's machines into its report, while they are still there."""
    report = yield
    if report.failed and report.when == "call":
        for machine in item.stash.get(_MACHINES, []):
            from dirql.pytest_plugin.pool import describe

            report.sections.append(("dirql", describe(machine)))
    return report


@pytest.fixture
def dirql_config(request: pytest.FixtureRequest) -> MachineConfig:
    """The configuration of this test's `machine`."""
    config: MachineConfig = request.param
    return config


@pytest.fixture
def machine(
    request: pytest.FixtureRequest, dirql_config: MachineConfig, dirql_machines: MachinePool
) -> Iterator[Machine]:
    """A machine that was reset for this test: no driver, no request, no bugcheck.

    It is kept from test to test where nothing speaks against it; see `MachinePool`.
    """
    marker = request.node.get_closest_marker("dirql")
    devices = marker.kwargs.get("devices") if marker is not None else None
    with dirql_machines.lend(dirql_config, devices) as lent:
        request.node.stash.setdefault(_MACHINES, []).append(lent)
        yield lent


@pytest.fixture
def machine_factory(request: pytest.FixtureRequest, dirql_machines: MachinePool) -> Iterator[MachineFactory]:
    """A function that boots a machine; all that it booted are closed at the end of the test.

    It takes `devices` and fields of `MachineConfig`, and for the rest the first of each command-line option.
    """
    machines = request.node.stash.setdefault(_MACHINES, [])
    with dirql_machines.factory(_configs(request.config, None)[0], machines.append) as boot:
        yield boot


@pytest.fixture(scope="session")
def dirql_machines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachinePool]:
    """The machines of this session."""
    from pathlib import Path

    from dirql.pytest_plugin.pool import MachinePool

    given = request.config.getoption("--dirql-folder")
    folder = Path(given).absolute() if given else tmp_path_factory.mktemp("dirql", numbered=False)
    with MachinePool(folder) as pool:
        yield pool


def _configs(config: pytest.Config, marker: pytest.Mark | None) -> list[MachineConfig]:
    from dirql.config import MachineConfig
    from dirql.errors import UsageError

    given: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
    given.pop("devices", None)
    cpus = _sequence(given.pop("cpus", config.getoption("--dirql-cpus") or _CPUS))
    modes = _sequence(given.pop("mode", config.getoption("--dirql-mode") or _MODE))
    options = {"boot": config.getoption("--dirql-boot"), **given}
    try:
        configs = [MachineConfig(cpus=count, mode=mode, **options) for count in cpus for mode in modes]
        for each in configs:
            each.check()
    except (UsageError, TypeError) as error:
        raise pytest.UsageError(f"dirql: {error}") from error
    return configs


def _sequence(value: Any) -> Sequence[Any]:  # noqa: ANN401 (a marker's argument)
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _id(config: MachineConfig) -> str:
    return f"cpus{config.cpus}-{config.mode}{'' if config.boot == 'rom' else '-' + config.boot}"


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(count) for count in text.split(","))


def _modes(text: str) -> tuple[str, ...]:
    import argparse

    modes = tuple(text.split(","))
    for mode in modes:
        if mode not in MODES:
            raise argparse.ArgumentTypeError(f"there is no mode {mode!r}; the modes are {', '.join(MODES)}")
    return modes
