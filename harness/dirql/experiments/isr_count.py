# SPDX-License-Identifier: Apache-2.0
"""isr-count: what an ISR leaves for its DPC, and how it is lost (SYS-10): naive.sys without a cure and with either one.

The doorbell device plays a device with several channels. A read waits for each; then the channels are done, one at a
time or several at once, and interrupt, each by its own message. A driver whose ISR leaves what it was told in the
device extension knows of the last interrupt only when its DpcForIsr runs. The reads that it has forgotten are
cancelled, and counted as lost.
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from dirql.devices.ivshmem import DEVICE_ID, VENDOR_ID, Doorbell
from dirql.errors import GuestError, UsageError
from dirql.experiments.series import config_json
from dirql.machine import Machine
from dirql.qemu.waits import Deadline
from dirql.recording import Recording
from dirql.trace.history.history import History
from dirql.trace.oracle import Status, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dirql.config import MachineConfig
    from dirql.experiments.runfolder import RunFolder
    from dirql.handles import Handle
    from dirql.qemu.command import Mode

NAME = "isr-count"
DRIVER = "naive.sys"
DEVICE = r"\\.\Naive0"
MODES: tuple[Mode, ...] = ("icount", "mt")
CURES = ("data in the device extension (naive)", "data in the IRP", "an ISR-augmented count")
"""By the driver's registry parameter Cure."""
MAXIMUM_CHANNELS = 16
SHARED_BYTES = 1 << 16
TIMEOUT = 30.0
_MAGIC = 0x6576696E
_WORD = 8


@dataclass(frozen=True)
class IsrCountParameters:
    """What to run.

    Attributes:
        cpus: numbers of CPUs, a machine for each.
        modes: of `MODES`, likewise.
        rounds: times that each channel does an operation.
        channels: of the device, each with a message of its own; 1 to 16.
        at_once: how many of them are done at once; all this for each number here.
        seed: of the order in which the channels interrupt.

    Raises:
        UsageError: a value is out of range.
    """

    cpus: tuple[int, ...] = (1, 2, 4)
    modes: tuple[Mode, ...] = MODES
    rounds: int = 100
    channels: int = 8
    at_once: tuple[int, ...] = (1, 8)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        wrong = [mode for mode in self.modes if mode not in MODES]
        if wrong or not self.modes:
            raise UsageError(f"the modes are {', '.join(MODES)}; {', '.join(wrong) or 'none'} was asked for")
        if not 1 <= self.rounds <= 100_000:
            raise UsageError(f"there are 1 to 100000 rounds, not {self.rounds}")
        if not 1 <= self.channels <= MAXIMUM_CHANNELS:
            raise UsageError(f"the device has 1 to {MAXIMUM_CHANNELS} channels, not {self.channels}")
        if not self.at_once or min(self.at_once) < 1 or max(self.at_once) > self.channels:
            raise UsageError(f"1 to {self.channels} channels are done at once, not {', '.join(map(str, self.at_once))}")


@dataclass(frozen=True)
class IsrCountRow:
    """One driver on one machine.

    Attributes:
        mode: `icount` or `mt`.
        cpus: how many CPUs.
        cure: index of `CURES`.
        at_once: how many channels were done at once.
        operations: that the device has done.
        lost: of these, reads that were never completed.
        wrong: reads that were completed with another operation's result.
        interrupts: that the ISR took.
        dpcs: runs of DpcForIsr.
        seconds: of host time.
    """

    mode: Mode
    cpus: int
    cure: int
    at_once: int
    operations: int
    lost: int
    wrong: int
    interrupts: int
    dpcs: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self) | {"cure": CURES[self.cure], "seconds": round(self.seconds, 6)}


@dataclass(frozen=True)
class IsrCountResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        rows: by mode, then by number of CPUs, then by cure, then by how many were done at once.
        verdicts: the oracle's status of each machine's trace, by folder.
        folder: the run's folder.
    """

    parameters: IsrCountParameters
    rows: tuple[IsrCountRow, ...]
    verdicts: dict[str, str]
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether the cures lost nothing, nothing was wrong, every interrupt came, and no rule was broken."""
        exact = all(row.interrupts == row.operations and not row.wrong for row in self.rows)
        cured = not any(row.lost for row in self.rows if row.cure)
        return exact and cured and Status.VIOLATED.value not in self.verdicts.values()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            "parameters": asdict(self.parameters),
            "rows": [row.to_json() for row in self.rows],
            "verdicts": self.verdicts,
            "passed": self.passed,
            "run_folder": str(self.folder.path),
        }


class NaiveLine:
    """Loads naive.sys with a cure and starts it on the doorbell device of a machine.

    Args:
        machine: the machine.
        doorbell: its doorbell device.
        cure: index of `CURES`.

    Attributes:
        driver: the loaded driver.
    """

    def __init__(self, machine: Machine, doorbell: Doorbell, cure: int) -> None:
        self.machine = machine
        self.doorbell = doorbell
        self.driver = machine.load(DRIVER, parameters={"Cure": cure})
        debug = self.driver.image.debug
        shared, channel = debug.structure("NAIVE_SHARED"), debug.structure("NAIVE_CHANNEL")
        self._words = doorbell.memory.cast("Q")
        self._dpc_runs = shared.field("DpcRuns").offset // _WORD
        self._first, self._step = shared.field("Channel").offset // _WORD, channel.size // _WORD
        self._at = {name: channel.field(name).offset // _WORD for name in channel.fields}
        doorbell.memory[: shared.size] = bytes(shared.size)
        self._words[shared.field("Magic").offset // _WORD] = _MAGIC
        self.driver.start(machine.find_pci(VENDOR_ID, DEVICE_ID))

    def word(self, channel: int, name: str) -> int:
        """Return a word of a channel."""
        return self._words[self._first + channel * self._step + self._at[name]]

    @property
    def dpc_runs(self) -> int:
        """How often the driver's DPC ran."""
        return self._words[self._dpc_runs]

    def wait_accepted(self, channels: Iterable[int], count: int) -> None:
        """Wait until so many reads in all were put to wait for each of these channels."""
        self._wait("Accepted", channels, count, "the reads in the driver")

    def finish(self, results: dict[int, int]) -> None:
        """Let channels be done at once: write their results, then interrupt, in this order."""
        rendezvous = self.machine.rendezvous
        if rendezvous is not None:
            rendezvous.wait_for_guest(Deadline(TIMEOUT))  # icount: it stands still until all have been sent
        for channel, result in results.items():
            self._words[self._first + channel * self._step + self._at["Result"]] = result
            self.doorbell.ring(channel)
        for channel in results if rendezvous is not None else ():
            self.doorbell.wait_consumed(channel)
        self.machine.session.qtest.readl(0)  # answered by QEMU's main loop: the messages have been sent

    def wait_delivered(self, channels: Iterable[int], count: int) -> None:
        """Wait until the ISR has run so often for each of these channels, and every DPC has returned."""
        self._wait("Delivered", channels, count, "the interrupts")
        self._settle()

    def release(self) -> None:
        """Unload the driver and let go of the shared memory."""
        self.driver.unload()
        self._words.release()

    def _wait(self, name: str, channels: Iterable[int], count: int, what: str) -> None:
        deadline, waited = Deadline(TIMEOUT), tuple(channels)
        while any(self.word(channel, name) < count for channel in waited):
            self._settle()  # the guest runs meanwhile, in icount too
            if deadline.expired:
                raise GuestError(f"{NAME}: {what} did not come in {TIMEOUT:g} s")

    def _settle(self) -> None:
        self.machine.link.request("FlushDpcs", what="the guest's DPCs to return")


def run_isr_count(
    config: MachineConfig,
    parameters: IsrCountParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> IsrCountResult:
    """Boot a machine for each mode and number of CPUs, and give each driver the same rounds.

    Args:
        config: the machine; its mode and its number of CPUs are taken from the parameters.
        parameters: what to run.
        folder: the run's folder; each machine has a folder in it with its trace.
        progress: called now and then with (drivers done, drivers).

    Raises:
        DirqlError: a machine failed; what was recorded by then is in the folder.
    """
    plan = [(mode, cpus) for mode in parameters.modes for cpus in parameters.cpus]
    rows: list[IsrCountRow] = []
    verdicts: dict[str, str] = {}
    for number, (mode, cpus) in enumerate(plan):
        name = f"{mode}-{cpus}"
        path = folder.path / name
        path.mkdir()
        doorbell = Doorbell(vectors=parameters.channels, memory_bytes=SHARED_BYTES)
        with Machine(replace(config, mode=mode, cpus=cpus), devices=[doorbell], folder=path) as machine:
            if not number:
                folder.describe(NAME, asdict(parameters) | config_json(config), machine)
            with Recording(machine, path) as recording:
                for cure in range(len(CURES)):
                    for at_once in parameters.at_once:
                        rows.append(_run(machine, doorbell, parameters, cure, at_once))
                        if progress is not None:
                            progress(len(rows), len(plan) * len(CURES) * len(parameters.at_once))
        trace = recording.load()
        verdicts[name] = judge(trace, history=History(trace)).status.value
    result = IsrCountResult(parameters, tuple(rows), verdicts, folder)
    folder.write("result.json", result.to_json())
    return result


def _run(machine: Machine, doorbell: Doorbell, parameters: IsrCountParameters, cure: int, at_once: int) -> IsrCountRow:
    order = random.Random(parameters.seed)
    line = NaiveLine(machine, doorbell, cure)
    lost = wrong = 0
    started = time.monotonic()
    with line.driver.open(DEVICE) as handle:
        for number in range(1, parameters.rounds + 1):
            forgotten, strange = _round(line, handle, number, at_once, order)
            lost, wrong = lost + forgotten, wrong + strange
    row = IsrCountRow(
        mode=machine.config.mode,
        cpus=machine.cpus,
        cure=cure,
        at_once=at_once,
        operations=parameters.rounds * parameters.channels,
        lost=lost,
        wrong=wrong,
        interrupts=sum(line.word(channel, "Delivered") for channel in range(parameters.channels)),
        dpcs=line.dpc_runs,
        seconds=time.monotonic() - started,
    )
    line.release()
    return row


def _round(line: NaiveLine, handle: Handle, number: int, at_once: int, order: random.Random) -> tuple[int, int]:
    """Read from every channel, let them be done; return how many reads are lost, and wrong."""
    channels = list(range(line.doorbell.vectors))
    reads = [handle.read_async(_WORD, offset=channel, cpu=channel % line.machine.cpus) for channel in channels]
    line.wait_accepted(channels, number)
    order.shuffle(channels)
    results = {channel: number * MAXIMUM_CHANNELS + channel for channel in channels}
    for first in range(0, len(channels), at_once):
        group = channels[first : first + at_once]
        line.finish({channel: results[channel] for channel in group})
        line.wait_delivered(group, number)
    handle.cancel()  # what is completed by now stays so
    lost = wrong = 0
    for channel, read in enumerate(reads):
        read.wait()
        if read.cancelled():
            lost += 1
        else:
            wrong += int.from_bytes(read.result(), "little") != results[channel]
    return lost, wrong
