# SPDX-License-Identifier: Apache-2.0
"""The verifier as the harness meets it: switched while a driver is loaded, and its violations in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.errors import GuestBugCheck, VerifierViolation

if TYPE_CHECKING:
    from dirql.machine import Driver, Machine

VIOLATION = 0xC4
pytestmark = pytest.mark.dirql(cpus=2)


def broken(driver: Driver, case: str) -> GuestBugCheck:
    """Run a case that ends in a bugcheck and return that."""
    with pytest.raises(GuestBugCheck) as caught:
        driver.run(f"target_run_{case}")
    return caught.value


def test_switched_while_a_driver_is_loaded(machine: Machine) -> None:
    driver = machine.load("verifier.sys")
    assert machine.set_verifier(on=False)
    assert driver.run("target_run_raised_to_a_lower_level").kind == "Irql"  # a free build lets it pass
    assert not machine.set_verifier(on=True)
    error = broken(driver, "raised_to_a_lower_level")
    assert (error.code, error.parameters) == (VIOLATION, (0x30, 5, 2, 0))


def test_switched_on_a_driver_whose_imports_are_read_only(machine: Machine) -> None:
    driver = machine.load("spin.sys")
    machine.set_verifier(on=False)
    machine.set_verifier(on=True)
    machine.set_verifier(on=False)
    assert driver.run("target_run_a_fixed_order_is_safe").kind == "Nothing"
    machine.set_verifier(on=True)
    assert broken(driver, "at_dpc_level_below_it").parameters[0] == 0x40


def test_what_was_known_of_locks_goes_with_the_switch(machine: Machine) -> None:
    driver = machine.load("queued.sys")
    driver.run("target_run_raises_and_restores")
    machine.set_verifier(on=False)
    machine.set_verifier(on=True)
    assert driver.run("target_run_raises_and_restores").kind == "Nothing"


def test_a_violation_in_words(machine: Machine) -> None:
    error = broken(machine.load("spin.sys"), "acquire_above_dispatch_level")
    assert isinstance(error, VerifierViolation)
    assert error.rule == "spin lock acquired at IRQL 5, above DISPATCH_LEVEL"
    first, *others = error.message.splitlines()
    assert first == (
        "DRIVER_VERIFIER_DETECTED_VIOLATION (0xC4/0x42): spin lock acquired at IRQL 5, above DISPATCH_LEVEL, on CPU 0"
    )
    assert "spin.sys!Lock: CPU 0, IRQL 5" in others[1]
    assert "tests/target/spin/rules.c" in others[2]


def test_a_circle_of_locks_names_each_and_where_it_was_taken(machine: Machine) -> None:
    message = broken(machine.load("spin.sys"), "a_circle_of_three").message
    assert "(0xC4/0x1001): lock hierarchy violation" in message
    for lock in ("Lock+0x38", "Lock+0x40", "Lock+0x48"):
        assert f"  spin.sys!{lock}: CPU 0, IRQL 2" in message
        assert f"while holding spin.sys!{lock}, taken" in message
    sites = [line for line in message.splitlines() if "target_run_a_circle_of_three" in line]
    assert len(sites) == 6  # wanted and held, three times


def test_an_image_that_goes_takes_its_locks_along(machine: Machine) -> None:
    for _ in range(2):  # at the same addresses, very likely; as executive locks and as queued ones
        for name, case in (("spin.sys", "a_fixed_order_is_safe"), ("queued.sys", "a_handle_for_each_acquisition")):
            driver = machine.load(name)
            assert driver.run(f"target_run_{case}").kind == "Nothing"
            driver.unload()


def test_an_exception_under_a_lock_is_named(machine: Machine) -> None:
    error = broken(machine.load("seed003.sys"), "an_exception")
    assert isinstance(error, VerifierViolation)
    assert (error.code, error.rule) == (0x1E, "an exception is raised while a spin lock is held")
    lines = error.message.splitlines()
    assert "STATUS_INTEGER_DIVIDE_BY_ZERO" in lines[1]
    holding = lines.index("    while holding seed003.sys!Guard, taken")
    assert "seed003.sys!DivideUnderGuard+" in lines[holding - 1] or "DivideUnderGuard" in lines[holding - 2]
    assert "seed003.sys!TakeGuard+" in lines[holding + 1]


def test_a_page_that_is_out_under_a_lock_is_named(machine: Machine) -> None:
    error = broken(machine.load("seed003.sys"), "pageable_data_that_is_out")
    assert isinstance(error, VerifierViolation)
    assert error.fault is not None
    assert (error.fault.access, error.fault.irql) == ("read", 2)
    assert error.fault.address == error.parameters[0]
    assert "seed003.sys!ReadPaged+" in error.fault.where


@pytest.mark.dirql(cpus=1, mode="icount")
def test_locks_that_are_held_too_long(machine: Machine) -> None:
    driver = machine.load("seed003.sys")
    assert machine.lock_holds() == ()
    for _ in range(3):
        assert driver.run("target_run_more_than_25_microseconds_goes_on").kind == "Nothing"
    (hold,) = machine.lock_holds()
    assert (hold.lock, hold.count, hold.cpu) == ("seed003.sys!Guard", 6, 0)
    assert 40 <= hold.microseconds < 80
    assert "TakeGuard" in hold.taken[0]
    assert "LeaveGuard" in hold.released[0]
    assert "HoldTooLong" in hold.taken[1]
    assert "seed003.sys!Guard was held for" in str(hold)
    machine.set_verifier(on=False)
    machine.set_verifier(on=True)
    assert machine.lock_holds() == ()


def test_in_mt_nobody_measures(machine: Machine) -> None:
    driver = machine.load("seed003.sys")
    assert driver.run("target_run_more_than_25_microseconds_goes_on").kind == "Nothing"
    assert machine.lock_holds() == ()
