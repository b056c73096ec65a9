# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dirql.errors import ProtocolError
from dirql.trace.folder import ring_file
from dirql.trace.live.collect import Collector, RingReader
from tests.unit.trace import ring as guest
from tests.unit.trace.header import RING_LAYOUT
from tests.unit.trace.ring import DTYPE, GuestRing, check, ram_bytes, ring_address


def reader(ram: memoryview, cpu: int = 0, *, overwrite: bool = False) -> RingReader:
    return RingReader(ram, ring_address(cpu), RING_LAYOUT, DTYPE, overwrite=overwrite)


def parse(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    return np.frombuffer(data, dtype=DTYPE)


def new_ram(cpus: int, size: int) -> memoryview:
    return memoryview(bytearray(ram_bytes(cpus, size)))


@settings(max_examples=150, deadline=None)
@given(
    size=st.sampled_from([2, 4, 8, 32]),
    overwrite=st.booleans(),
    steps=st.lists(st.tuples(st.sampled_from(["write", "reserve", "commit", "take"]), st.integers(1, 12)), max_size=60),
)
def test_every_record_is_taken_or_counted(size: int, overwrite: bool, steps: list[tuple[str, int]]) -> None:
    ram = new_ram(1, size)
    ring, mine = GuestRing(ram, 0, size, overwrite=overwrite), reader(ram, overwrite=overwrite)
    reserved: list[int] = []  # as by nested interrupts: the last reserved is committed first
    attempts, taken = 0, []
    for step, times in steps:
        for _ in range(times):
            if step == "write":
                ring.write(attempts)
                attempts += 1
            elif step == "reserve":
                index = ring.reserve()
                attempts += 1
                if index is not None:
                    reserved.append(index)
            elif step == "commit" and reserved:
                ring.commit(reserved.pop(), attempts)
            elif step == "take":
                taken.append(mine.take())
    if not overwrite:
        while reserved:
            ring.commit(reserved.pop(), attempts)
    taken.append(mine.take(last=True))
    records = parse(b"".join(taken))
    check(records)
    assert len(records) + mine.lost == attempts
    assert not mine.pending


def test_uncommitted_record_holds_back_those_after_it_until_the_guest_is_gone() -> None:
    ram = new_ram(1, 8)
    ring, mine = GuestRing(ram, 0, 8), reader(ram)
    ring.write(1)
    index = ring.reserve()
    ring.write(3)
    assert index is not None
    assert parse(mine.take())["Time"].tolist() == [1]
    assert mine.pending
    ring.commit(index, 2)
    ring.reserve()
    ring.write(5)
    assert parse(mine.take())["Time"].tolist() == [2, 3]
    assert parse(mine.take(last=True))["Time"].tolist() == [5]
    assert mine.lost == 1


def test_ring_that_is_not_there_yet_is_empty() -> None:
    ram = new_ram(1, 8)
    mine = reader(ram)
    assert (mine.take(), mine.fill, mine.lost, mine.pending) == (b"", 0.0, 0, False)
    GuestRing(ram, 0, 8).write(1)
    assert len(parse(mine.take())) == 1


def test_tail_tells_the_guest_what_is_free() -> None:
    ram = new_ram(1, 4)
    ring, mine = GuestRing(ram, 0, 4), reader(ram)
    assert [ring.write(at) for at in range(6)] == [0, 1, 2, 3, None, None]
    assert (mine.fill, mine.lost) == (1.0, 2)
    assert len(parse(mine.take())) == 4
    assert ring.write(9) == 4


def test_sequence_numbers_wrap_at_32_bits() -> None:
    ram = new_ram(1, 8)
    ring, mine = GuestRing(ram, 0, 8), reader(ram)
    start = (1 << 32) - 3
    ram.cast("Q")[ring_address(0) // 8] = start
    ram.cast("Q")[(ring_address(0) + RING_LAYOUT.tail) // 8] = start
    mine._next = start
    for at in range(6):
        ring.write(at)
    records = parse(mine.take())
    assert records["Sequence"].tolist() == [0xFFFF_FFFE, 0xFFFF_FFFF, 0, 1, 2, 3]


def test_reset_ends_the_trace() -> None:
    ram = new_ram(1, 8)
    ring, mine = GuestRing(ram, 0, 8), reader(ram)
    ring.write(1)
    mine.take()
    ram.cast("Q")[ring_address(0) // 8] = 0
    assert mine.take() == b""
    assert mine.restarted


def test_ring_outside_ram_is_refused() -> None:
    ram = new_ram(1, 8)
    GuestRing(ram, 0, 8)
    ram.cast("Q")[(ring_address(0) + RING_LAYOUT.records_physical) // 8] = len(ram)
    with pytest.raises(ProtocolError, match="does not fit"):
        reader(ram).take()


def test_head_beyond_the_ring_is_refused_where_it_cannot_be() -> None:
    ram = new_ram(1, 8)
    GuestRing(ram, 0, 8)
    ram.cast("Q")[ring_address(0) // 8] = 9
    with pytest.raises(ProtocolError, match="drop-new"):
        reader(ram).take()


def test_idle_poll_is_cheap() -> None:
    cpus = 64
    ram = new_ram(cpus, 16)
    readers = []
    for cpu in range(cpus):
        GuestRing(ram, cpu, 16).write(1)
        readers.append(reader(ram, cpu))
        readers[-1].take()
    before = time.thread_time()
    for _ in range(100):
        for each in readers:
            assert each.fill == 0.0
            each.take()
    assert (time.thread_time() - before) / 100 / cpus < 1e-4  # CPU time of one ring; far above what it takes


@contextmanager
def writer(size: int, count: int, *, overwrite: bool = False) -> Iterator[tuple[memoryview, subprocess.Popen[bytes]]]:
    """A process that writes to a ring in shared memory, as QEMU does."""
    fd = os.memfd_create("ram")
    length = -(-ram_bytes(1, size) // 4096) * 4096
    os.ftruncate(fd, length)
    command = [sys.executable, "-m", guest.__name__, str(fd), str(length), str(size), str(int(overwrite)), str(count)]
    root = Path(__file__).parents[3]
    with (
        mmap.mmap(fd, length) as mapping,
        memoryview(mapping) as ram,
        subprocess.Popen(command, pass_fds=[fd], stdout=subprocess.PIPE, cwd=root) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"!"
            yield ram, process
        finally:
            process.kill()
            process.wait()
            os.close(fd)


@pytest.mark.parametrize("overwrite", [False, True])
def test_live_collection_is_exact(tmp_path: Path, overwrite: bool) -> None:
    count = 150_000
    with writer(256, count, overwrite=overwrite) as (ram, process):
        collector = Collector(tmp_path, [reader(ram, overwrite=overwrite)])
        collector.start()
        while process.poll() is None:
            collector.drain()
        result = collector.stop()
    records = parse(ring_file(tmp_path, 0).read_bytes())
    check(records)
    assert result.records == (len(records),)
    assert len(records) + result.lost[0] == count
    assert len(records) > 256
    assert not result.cut
    assert result.horizon == int(records["Time"][-1])


def test_killed_writer_leaves_a_cut_trace(tmp_path: Path) -> None:
    with writer(4096, 0) as (ram, process):
        collector = Collector(tmp_path, [reader(ram)])
        collector.start()
        while collector.drain().records[0] < 5000:
            pass
        process.kill()
        process.wait()
        head = ram.cast("Q")[ring_address(0) // 8]
        result = collector.stop(cut=True)
        assert collector.stop() is result
    records = parse(ring_file(tmp_path, 0).read_bytes())
    check(records)
    assert result.cut
    assert result.horizon is None
    assert len(records) in (head, head - 1)


def test_memory_can_be_unmapped_after_stop(tmp_path: Path) -> None:
    mapping = mmap.mmap(-1, -(-ram_bytes(2, 16) // 4096) * 4096)
    ram = memoryview(mapping)
    rings = [GuestRing(ram, cpu, 16) for cpu in range(2)]
    with Collector(tmp_path, [reader(ram, cpu) for cpu in range(2)]) as collector:
        rings[1].write(5)
        assert collector.drain().records == (0, 1)
    for ring in rings:
        ring.release()
    ram.release()
    mapping.close()


def test_failure_of_the_thread_is_raised(tmp_path: Path) -> None:
    ram = new_ram(1, 8)
    collector = Collector(tmp_path, [reader(ram)])
    collector.start()
    GuestRing(ram, 0, 8)
    ram.cast("Q")[ring_address(0) // 8] = 100
    with pytest.raises(ProtocolError, match="drop-new"):
        collector.drain()
    with pytest.raises(ProtocolError):
        collector.stop()


def test_horizon_excludes_what_other_cpus_did_meanwhile(tmp_path: Path) -> None:
    """CPU 1 has a record in the making: what is later than its last complete one is not known to be all."""
    ram = new_ram(2, 16)
    rings = [GuestRing(ram, cpu, 16) for cpu in range(2)]
    collector = Collector(tmp_path, [reader(ram, cpu) for cpu in range(2)])
    collector.start()
    rings[1].write(10)
    rings[1].reserve()
    rings[0].write(20)
    rings[0].write(30)
    result = collector.stop()
    assert result.records == (2, 1)
    assert result.horizon == 10
