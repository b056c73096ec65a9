# SPDX-License-Identifier: Apache-2.0
"""Anybody's driver at work: loaded, started, interrupted and asked from all CPUs, unloaded, its trace judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dirql.devices.ivshmem import DEVICE_ID, PEER_ID, VENDOR_ID, Doorbell
from dirql.errors import GuestRequestError, RequestError, UsageError
from dirql.experiments.driver_load import DriverLoad, LoadParameters
from dirql.experiments.series import config_json
from dirql.guest import artifacts
from dirql.guest.image import DriverImage
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.history.history import History
from dirql.trace.oracle import Status, Verdict, judge
from dirql.trace.stats.summary import TraceStats, statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dirql.config import MachineConfig
    from dirql.driver import Driver
    from dirql.experiments.runfolder import RunFolder
    from dirql.handles import Handle

NAME = "run-driver"
EDU = (0x1234, 0x11E8)
"""QEMU's stock device for teaching (QEMU's documentation, "EDU device")."""
_MAGIC = b"doorbell"
_NOT_FOUND = (0xC000_0034, 0xC000_003A)
"""STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_NOT_FOUND."""


@dataclass(frozen=True)
class DriverRunParameters:
    r"""What to do with which driver.

    Attributes:
        driver: a `.sys` file, or the name of one that was built here.
        device: `doorbell`, `edu`, `none`, or VENDOR:DEVICE of a PCI function in hexadecimal.
        vectors: of the doorbell.
        values: of the registry key `Parameters` of the driver.
        name: that its device is opened by; None: `\\.\` and the file's name without `.sys`.
        load: interrupts and requests.
    """

    driver: str
    device: str = "doorbell"
    vectors: int = 4
    values: Mapping[str, int | str] = field(default_factory=dict)
    name: str | None = None
    load: LoadParameters = field(default_factory=LoadParameters)

    def __post_init__(self) -> None:
        """Check the device.

        Raises:
            UsageError: this is none.
        """
        self.ids()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = asdict(self)
        data["load"]["data"] = self.load.data.hex()
        return data

    def ids(self) -> tuple[int, int] | None:
        """Return vendor and device id of the PCI function that the driver is started on; None for no device."""
        known = {"doorbell": (VENDOR_ID, DEVICE_ID), "edu": EDU, "none": None}
        if self.device in known:
            return known[self.device]
        vendor, colon, device = self.device.partition(":")
        try:
            ids = int(vendor, 16), int(device, 16)
        except ValueError:
            ids = (-1, -1)
        if not colon or not all(0 <= number <= 0xFFFF for number in ids):
            raise UsageError(f"a device is doorbell, edu, none, or VENDOR:DEVICE in hexadecimal; not {self.device!r}")
        return ids


@dataclass(frozen=True)
class DriverRunResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine.
        load: how interrupts and requests went.
        notes: what else was noticed.
        stats: numbers of the trace.
        verdict: the oracle's.
        history: the trace's intervals.
        folder: the run's folder.
    """

    parameters: DriverRunParameters
    config: MachineConfig
    load: DriverLoad | None
    notes: tuple[str, ...]
    stats: TraceStats
    verdict: Verdict
    history: History
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether no rule was broken and every request ended by itself."""
        return self.verdict.status is not Status.VIOLATED and not (self.load is not None and self.load.unfinished)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        load, where = self.load, self.history.trace.symbols.where
        data = {
            "experiment": NAME,
            "driver": self.parameters.driver,
            "device": self.parameters.device,
            "requests": {
                "sent": load.sent if load else 0,
                "ended": dict(load.ended.most_common()) if load else {},
                "unfinished": load.unfinished if load else 0,
            },
            "interrupts": {
                "sent": load.rung if load else 0,
                "isr": sum(cpu.isr.count for cpu in self.stats.cpus),
                "dpc": sum(cpu.dpc.count for cpu in self.stats.cpus),
            },
            "cpus": self.config.cpus,
            "mode": self.config.mode,
            "seed": self.parameters.load.seed,
            "seconds": round(load.seconds, 6) if load else 0.0,
            "passed": self.passed,
            "verdict": self.verdict.status.value,
            "violations": [
                {"clause": each.clause, "text": each.text, "sites": [where(site) for site in each.sites]}
                for each in self.verdict.violations
            ],
            "clauses": self.verdict.to_json(self.history.trace.symbols)["clauses"],
            "notes": [*self.notes, *self.history.trace.meta.remarks],
            "trace_records": self.stats.records,
            "trace_lost": sum(cpu.lost for cpu in self.stats.cpus),
            "per_cpu": self.stats.to_json()["cpus"],
            "run_folder": str(self.folder.path),
        }
        return data | {"summary": self._summary(data)}

    def _summary(self, data: Mapping[str, Any]) -> list[str]:
        requests, interrupts = data["requests"], data["interrupts"]
        ended = ", ".join(f"{name} {count:,}" for name, count in requests["ended"].items()) or "none"
        lines = [
            f"requests: sent {requests['sent']:,}; ended: {ended}",
            f"interrupts: sent {interrupts['sent']:,}; ISR runs {interrupts['isr']:,}, DPC runs {interrupts['dpc']:,}",
            (
                f"mode {data['mode']}, {data['cpus']} CPUs, seed {data['seed']}: {data['seconds']:.3g} s; "
                f"trace records {data['trace_records']:,}, lost {data['trace_lost']:,}"
            ),
            *(f"note: {note}" for note in data["notes"]),
        ]
        if requests["unfinished"]:
            lines.append(f"{requests['unfinished']:,} requests did not end by themselves, and were cancelled")
        return [*lines, f"verdict: {data['verdict']}", f"run folder: {data['run_folder']}"]


def machine_for(config: MachineConfig, parameters: DriverRunParameters) -> tuple[MachineConfig, list[Doorbell]]:
    """Return the machine that has the device: its configuration, and the devices that Python serves."""
    from dataclasses import replace

    if parameters.device == "edu":
        return replace(config, extra=(*config.extra, "-device", "edu")), []
    if parameters.device != "doorbell":
        return config, []
    doorbell = Doorbell(vectors=parameters.vectors)
    doorbell.memory[: len(_MAGIC)] = _MAGIC  # as guest/drivers/doorbell wants its memory to begin; others do not care
    doorbell.memory[8:16] = PEER_ID.to_bytes(8, "little")
    return config, [doorbell]


def run_driver(
    config: MachineConfig,
    parameters: DriverRunParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> DriverRunResult:
    """Boot, load, start, interrupt and ask, unload, judge.

    Args:
        config: the machine.
        parameters: what to do.
        folder: the run's folder; the trace and `result.json` go there.
        progress: called now and then with (done, of how many).

    Raises:
        UsageError: there is no such driver or device, it does not load or start.
        DirqlError: the machine failed; what was recorded by then is in the folder, marked cut.
    """
    image = DriverImage(artifacts.driver(parameters.driver))
    config, doorbells = machine_for(config, parameters)
    notes: list[str] = []
    load: DriverLoad | None = None
    with Machine(config, devices=doorbells, folder=folder.path) as machine:
        folder.describe(NAME, parameters.to_json() | config_json(config), machine)
        with Recording(machine, folder.path) as recording:
            ids = parameters.ids()
            location = None if ids is None else machine.find_pci(*ids)
            driver = machine.load(image, parameters=dict(parameters.values) or None, device=location)
            handle = _opened(driver, parameters, notes)
            doorbell = doorbells[0] if doorbells else None
            load = DriverLoad(machine, handle, doorbell, parameters.load, progress, lambda: recording.stopped)
            load.run()
            _gone(driver, handle, notes)
    trace = recording.load()
    history = History(trace)
    result = DriverRunResult(
        parameters, config, load, tuple(notes), statistics(history), judge(trace, history=history), history, folder
    )
    folder.write("result.json", result.to_json())
    return result


def _opened(driver: Driver, parameters: DriverRunParameters, notes: list[str]) -> Handle | None:
    """Open the driver's device; None where there is none to open, which is well unless a name was given."""
    if not parameters.load.requests:
        return None
    name = parameters.name or "\\\\.\\" + driver.image.path.stem
    try:
        return driver.open(name)
    except RequestError as error:
        if parameters.name is None and error.status in _NOT_FOUND:
            notes.append(f"it has no device {name}, so no requests were sent; say --open NAME if it has another")
            return None
        raise


def _gone(driver: Driver, handle: Handle | None, notes: list[str]) -> None:
    if handle is not None:
        handle.close()
    try:
        driver.unload()
    except GuestRequestError as error:
        notes.append(f"it was not unloaded: {error.message}")
