# SPDX-License-Identifier: Apache-2.0
"""What the harness tells of threads: who waits for what, where each stands, in a hang and on request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from dirql.debug.gdb import run_gdb
from dirql.errors import GuestHang
from dirql.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.errors import ThreadState


@pytest.fixture(scope="module", params=["mt", "icount"])
def hang(request: pytest.FixtureRequest) -> Iterator[GuestHang]:
    with Machine(cpus=2, mode=request.param, verifier=False) as machine:
        driver = machine.load("threads.sys")
        with pytest.raises(GuestHang) as caught:
            driver.run("ThreadsDeadlock", timeout=3)
        yield caught.value


def began_at(hang: GuestHang, routine: str) -> ThreadState:
    (thread,) = [thread for thread in hang.threads if thread.routine.startswith(f"threads.sys!{routine}+0x0 ")]
    return thread


def test_a_deadlock_of_mutexes_is_told_with_its_owners(hang: GuestHang) -> None:
    forward, backward = began_at(hang, "ThreadsForward"), began_at(hang, "ThreadsBackward")
    (wants_second,), (wants_first,) = forward.waits_for, backward.waits_for
    assert (wants_second.kind, wants_second.name) == ("mutex", "threads.sys!ThreadsSecond")
    assert (wants_first.kind, wants_first.name) == ("mutex", "threads.sys!ThreadsFirst")
    assert (wants_second.owner, wants_first.owner) == (backward.number, forward.number)
    assert f"waits for mutex threads.sys!ThreadsSecond, which thread {backward.number} owns" in str(hang)


def test_a_thread_that_waits_has_a_stack_with_lines(hang: GuestHang) -> None:
    stack = began_at(hang, "ThreadsForward").stack
    assert stack[0].startswith("dirql-guest.elf!KiSwapThread+")
    assert any(frame.startswith("threads.sys!HoldAndWant+") and "tests/drivers/threads.c:" in frame for frame in stack)
    assert stack[-1].startswith("dirql-guest.elf!KiThreadEntry+")


def test_a_timeout_is_one_of_the_things_that_are_waited_for(hang: GuestHang) -> None:
    patient = began_at(hang, "ThreadsPatient")
    assert [awaited.kind for awaited in patient.waits_for] == ["synchronization event", "timeout"]
    assert patient.doing == "waits for synchronization event threads.sys!ThreadsNever or a timeout"


def test_who_waits_for_a_thread_is_told_so(hang: GuestHang) -> None:
    (case,) = [t for t in hang.threads if t.routine.startswith("dirql-guest.elf!RunThread+")]
    (awaited,) = case.waits_for
    forward = began_at(hang, "ThreadsForward")
    assert (awaited.kind, awaited.address, awaited.name) == ("thread", forward.address, str(forward.number))


def test_the_kernels_own_idle_threads_are_listed_but_not_told(hang: GuestHang) -> None:
    assert any(thread.routine.startswith("dirql-guest.elf!KiDpcThread+") for thread in hang.threads)
    assert "KiDpcThread" not in str(hang)


@pytest.mark.parametrize("cpus", [1, 4])
def test_a_machine_at_rest_has_the_kernels_threads(cpus: int) -> None:
    with Machine(cpus=cpus) as machine:
        machine.link.request("Ping", what="an answer")
        threads = machine.threads()
    for routine in ("KiDpcThread", "KiWorkThread"):
        pinned = [thread for thread in threads if thread.routine.startswith(f"dirql-guest.elf!{routine}+0x0 ")]
        assert [thread.cpu for thread in pinned] == list(range(cpus))
        assert all(thread.state == "waiting" and not thread.waits_for for thread in pinned)
    assert len({thread.number for thread in threads}) == len(threads)


def test_gdb_lists_threads_with_what_they_wait_for() -> None:
    with Machine(cpus=2, verifier=False, gdb=True) as machine:
        driver = machine.load("threads.sys")
        with pytest.raises(GuestHang):
            driver.run("ThreadsDeadlock", timeout=3)
        said = run_gdb(machine, ["dirql threads"])
    assert re.search(r"waiting for the mutex ThreadsSecond\S*, which thread \d+ owns, began at ThreadsForward ", said)
    assert re.search(r"\n +HoldAndWant\S* \(.*tests/drivers/threads\.c:\d+\)", said)
    assert re.search(r"waiting for ThreadsNever\S* or a timeout, began at \S+ \(tests/drivers/threads", said)
    assert "ExpWork" in said
    assert "KeRemoveQueue" not in said  # a worker that has nothing to do
