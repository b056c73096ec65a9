# SPDX-License-Identifier: Apache-2.0
"""doorbell.sys as its users see it: reads that an interrupt completes, cancelled ones, and either choice of locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from dirql.config import MachineConfig
from dirql.devices.ivshmem import Doorbell
from dirql.errors import RequestError
from dirql.experiments.doorbell import DoorbellLine
from dirql.experiments.interrupt_storm import run_storm
from dirql.experiments.runfolder import RunFolder
from dirql.experiments.storm import StormParameters
from dirql.futures import RequestFuture, wait_any
from dirql.machine import Machine
from dirql.qemu.command import Mode
from dirql.recording import Recording
from dirql.trace.history.history import History
from dirql.trace.oracle import Status, judge

NAME = r"\\.\Doorbell0"
VECTORS = 3
MODES: tuple[Mode, ...] = ("mt", "icount")


@contextmanager
def doorbell_line(mode: Mode, cpus: int, *, lock_per_vector: bool = False) -> Iterator[DoorbellLine]:
    doorbell = Doorbell(vectors=VECTORS, memory_bytes=1 << 16)
    with Machine(MachineConfig(cpus=cpus, mode=mode), devices=[doorbell]) as machine:
        line = DoorbellLine(machine, doorbell, lock_per_vector=lock_per_vector)
        try:
            yield line
        finally:
            line.release()


def counts(data: bytes) -> list[int]:
    return [int(count) for count in np.frombuffer(data, dtype=np.uint64)]


def one_each(line: DoorbellLine, reads: list[RequestFuture[bytes]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Send an interrupt for each read, one at a time; whichever it ends: reads of several CPUs have no order."""
    total, waiting = np.zeros(VECTORS, dtype=np.int64), list(reads)
    for number in range(len(reads)):
        line.send(number % VECTORS)
        (done,) = wait_any(waiting)
        total += counts(done.result())
        waiting.remove(done)
    return total


@pytest.mark.parametrize("lock_per_vector", [False, True])
@pytest.mark.parametrize(("mode", "cpus"), [("mt", 1), ("mt", 4), ("icount", 2)])
def test_each_interrupt_is_read_once(mode: Mode, cpus: int, lock_per_vector: bool) -> None:
    with doorbell_line(mode, cpus, lock_per_vector=lock_per_vector) as line, line.driver.open(NAME) as handle:
        waiting = handle.read_async(8 * VECTORS)
        line.send(1)
        assert counts(waiting.result()) == [0, 1, 0]
        reads = [handle.read_async(8 * VECTORS, cpu=number % cpus) for number in range(6)]
        assert one_each(line, reads).tolist() == [2, 2, 2]


@pytest.mark.parametrize("mode", MODES)
def test_what_nobody_waited_for_is_read_later(mode: Mode) -> None:
    with doorbell_line(mode, 2) as line, line.driver.open(NAME) as handle:
        first = handle.read_async(8)
        line.send(0)
        assert counts(first.result()) == [1]
        small = handle.read_async(8)  # has no room for vector 2
        large = handle.read_async(8 * VECTORS)
        line.send(2)
        line.send(0)
        assert counts(small.result()) == [1]
        assert counts(large.result())[2] == 1
        with pytest.raises(RequestError, match="STATUS_BUFFER_TOO_SMALL"):
            handle.read(7)


@pytest.mark.parametrize("mode", MODES)
def test_cancelled_reads_lose_no_interrupt(mode: Mode) -> None:
    with doorbell_line(mode, 4) as line, line.driver.open(NAME) as handle:
        reads = [handle.read_async(8 * VECTORS, cpu=number % 4) for number in range(8)]
        for number in (5, 0, 3):  # one that waits behind others, the one that StartIo has, another
            reads[number].cancel()
            with pytest.raises(RequestError, match="STATUS_CANCELLED"):
                reads[number].result()
        assert one_each(line, [read for read in reads if not read.done()]).tolist() == [2, 2, 1]


@pytest.mark.parametrize("mode", MODES)
def test_closing_ends_the_reads_and_the_device_goes_away(mode: Mode) -> None:
    with doorbell_line(mode, 2) as line:
        handle = line.driver.open(NAME)
        reads = [handle.read_async(8) for _ in range(4)]
        handle.close()
        for read in reads:
            with pytest.raises(RequestError, match="STATUS_CANCELLED"):
                read.result()
        with line.driver.open(NAME) as again:
            read = again.read_async(8)
            line.send(0)
            assert counts(read.result()) == [1]
        line.driver.unload()


@pytest.mark.parametrize("mode", MODES)
def test_the_oracle_finds_nothing_wrong_with_reads_and_cancels(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("trace")
    with (
        doorbell_line(mode, 3) as line,
        Recording(line.machine, folder) as recording,
        line.driver.open(NAME) as handle,
    ):
        for turn in range(20):
            reads = [handle.read_async(8 * VECTORS, cpu=cpu) for cpu in range(3)]
            line.send(turn % VECTORS)
            for read in reads[1:]:
                read.cancel()
            assert all(read.wait() for read in reads[1:])
            reads[0].cancel()
            assert reads[0].wait()
    verdict = judge((trace := recording.load()), history=History(trace))
    assert [clause for clause in verdict.clauses if clause.status is Status.VIOLATED] == []
    assert all(verdict[clause].status is Status.OK for clause in ("IRP-3", "IRP-8", "IRP-CALL", "SPIN-17"))


@pytest.mark.parametrize("mode", MODES)
def test_storm_with_a_lock_for_each_vector(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = RunFolder("storm", tmp_path_factory.mktemp("storm") / "run")
    parameters = StormParameters(count=300, vectors=4, lock_per_vector=True)
    assert run_storm(MachineConfig(cpus=4, mode=mode), parameters, folder).passed
