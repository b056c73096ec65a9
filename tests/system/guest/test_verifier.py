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
