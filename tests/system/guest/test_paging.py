# SPDX-License-Identifier: Apache-2.0
"""The host puts pages out: between requests, and while a routine runs."""

from __future__ import annotations

import pytest

from dirql.errors import UsageError
from dirql.machine import Machine

PAGES = 4
ROUNDS = 20
SEED = 0x1234_5678


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_pages_go_out_between_requests_and_come_back_by_a_touch(mode: str) -> None:
    with Machine(cpus=2, mode=mode) as machine:
        driver = machine.load("pageable.sys")
        driver.run("PageableFill", SEED)
        seen = driver.variable("PageableSeen")
        address = seen.get("Address")
        assert machine.memory.translate(address) is not None
        assert machine.page_out(address, PAGES * 4096) == PAGES
        machine.page_out()  # what else is pageable, a driver's service key for one
        assert machine.page_out() == 0
        assert machine.memory.translate(address) is None
        driver.run("PageableCheck", SEED)
        assert seen.get("Wrong") == 0
        assert machine.memory.translate(address) is not None
        machine.page_out()
        driver.unload()  # with pages out


def test_pages_go_out_while_a_routine_runs() -> None:
    with Machine(cpus=2) as machine:
        driver = machine.load("pageable.sys")
        driver.run("PageableFill", SEED)
        driver.variable("PageableSeen").set("Rounds", ROUNDS)
        asked = []

        def serve(_code: int, arguments: tuple[int, int]) -> tuple[int, int]:
            asked.append(arguments[0])
            machine.page_out_now()
            return 0, 0

        machine.link.on_call = serve
        driver.run("PageableWatch", SEED)
        assert asked == list(range(1, ROUNDS + 1))
        assert driver.variable("PageableSeen").get("Wrong") == 0


def test_in_virtual_time_only_the_guest_says_when() -> None:
    with Machine(cpus=1, mode="icount") as machine, pytest.raises(UsageError, match="icount"):
        machine.page_out_now()


def test_the_console_lists_pool_by_tag() -> None:
    with Machine(cpus=1) as machine:
        machine.load("run.sys").run("RunLeavePool")
        machine.session.console.sendline("pool")
        line = machine.session.console.expect(r"Leak +nonpaged +(\d+) +(\d+) +(\d+) +(\d+)", 10)
        assert [int(line.group(at)) for at in range(1, 5)] == [2, 0, 2, 10100]
