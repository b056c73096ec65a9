# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import os
import select
import threading
from typing import TYPE_CHECKING

import pytest

from dirql.errors import GuestBugCheck, MachineLost, UsageError, WaitTimeout
from dirql.qemu.waits import Deadline, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.errors import DirqlError


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.close()


def never() -> None:
    return None


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
def test_a_deadline_is_finite(seconds: float) -> None:
    with pytest.raises(UsageError, match="finite number of seconds"):
        Deadline(seconds)


def test_a_deadline_stays_one_deadline() -> None:
    deadline = Deadline(100)
    assert Deadline.of(deadline) is deadline
    assert 99 < deadline.remaining <= 100
    assert deadline.milliseconds <= 100_000
    assert not deadline.expired
    assert Deadline(0).expired


def test_a_wait_says_what_it_waited_for(watch: Watch) -> None:
    with pytest.raises(WaitTimeout, match=r"waited 0\.01 s for the moon"):
        watch.wait(never, "the moon", 0.01)


def test_a_wait_is_woken_by_a_change(watch: Watch) -> None:
    values: list[int] = []

    def arrive() -> None:
        with watch.changed():
            values.append(7)

    thread = threading.Timer(0.01, arrive)
    thread.start()
    assert watch.wait(lambda: values[0] if values else None, "a value", 10) == 7
    thread.join()


def test_the_end_of_qemu_ends_all_waits_and_the_first_cause_stays(watch: Watch) -> None:
    watch.lose(lambda: MachineLost("first"))
    watch.lose(lambda: MachineLost("second"))
    for guest in (True, False):
        with pytest.raises(MachineLost, match="first"):
            watch.wait(never, "anything", 10, guest=guest)
    assert watch.lost


def test_the_failure_of_the_guest_ends_only_the_waits_for_the_guest_until_it_is_forgiven(watch: Watch) -> None:
    watch.fail(lambda: GuestBugCheck("it broke"))
    with pytest.raises(GuestBugCheck, match="it broke"):
        watch.wait(never, "the guest", 10)
    with pytest.raises(WaitTimeout):
        watch.wait(never, "QMP", 0.01, guest=False)
    watch.forgive()
    with pytest.raises(WaitTimeout):
        watch.wait(never, "the guest", 0.01)


def test_what_arrived_before_the_end_is_still_delivered(watch: Watch) -> None:
    watch.lose(lambda: MachineLost("gone"))
    assert watch.wait(lambda: "news", "news", 10) == "news"


def test_each_wait_raises_an_error_of_its_own(watch: Watch) -> None:
    watch.lose(lambda: MachineLost("gone"))
    errors = []
    for _ in range(2):
        with pytest.raises(MachineLost) as caught:
            watch.check()
        errors.append(caught.value)
    assert errors[0] is not errors[1]


def test_the_layers_above_can_explain_an_error(watch: Watch) -> None:
    def explain(error: DirqlError) -> DirqlError:
        return WaitTimeout(f"{error}, and cpu 0 was at 0x1234")

    watch.explain = explain
    with pytest.raises(WaitTimeout, match=r"the moon.*and cpu 0 was at"):
        watch.wait(never, "the moon", 0)


def test_polling_descriptors_races_the_same_reasons(watch: Watch) -> None:
    fd = os.eventfd(0)
    wanted = {fd: select.POLLIN}
    with pytest.raises(WaitTimeout, match="the bell"):
        watch.poll(wanted, "the bell", 0.01)
    os.eventfd_write(fd, 1)
    assert watch.poll(wanted, "the bell", 10) == (fd,)
    os.eventfd_read(fd)
    watch.fail(lambda: GuestBugCheck("it broke"))
    with pytest.raises(GuestBugCheck):
        watch.poll(wanted, "the bell", 10)
    with pytest.raises(WaitTimeout):
        watch.poll(wanted, "the bell", 0.01, guest=False)
    watch.forgive()
    timer = threading.Timer(0.01, lambda: watch.lose(lambda: MachineLost("gone")))
    timer.start()
    with pytest.raises(MachineLost):
        watch.poll(wanted, "the bell", 10)
    timer.join()
    os.close(fd)


def test_closing_ends_the_waits_that_still_run() -> None:
    watch = Watch()
    timer = threading.Timer(0.01, watch.close)
    timer.start()
    with pytest.raises(MachineLost, match="closed"):
        watch.wait(never, "anything", 10)
    timer.join()
    watch.close()
    with pytest.raises(MachineLost, match="closed"):
        watch.poll({}, "anything", 10)
    watch.fail(lambda: GuestBugCheck("late"))
    watch.forgive()
