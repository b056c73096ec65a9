# SPDX-License-Identifier: Apache-2.0
"""What `Machine.load` gives a driver in the registry is there for it, and for nobody afterwards (REG-4)."""

from __future__ import annotations

import re

import pytest

from dirql.errors import UsageError
from dirql.guest.registry import RegistryValue
from dirql.machine import Machine
from tests.system.guest.support import TIMEOUT, command, press, released

_LINE = re.compile(r"parameters: ([^|\n]*)\|([^|\n]*)\|(\d+)\|([0-9a-f]*)")


def found(machine: Machine) -> dict[tuple[str, str], tuple[int, bytes]]:
    """Return what the driver last said it found: type and data by key and name."""
    machine.session.console.expect("parameters: end", TIMEOUT)
    text = machine.session.console.text.rpartition("parameters: end")[0].rpartition("parameters: end")[2]
    assert "does not open" not in text
    return {(key, name): (int(kind), bytes.fromhex(data)) for key, name, kind, data in _LINE.findall(text)}


def registry_pool(machine: Machine) -> dict[str, list[str]]:
    """Return what is in use of the registry's pool, by tag and kind."""
    text = command(machine, "pool", r"(tag   pool.*?)dirql> ").group(1)
    rows = [line.split() for line in text.splitlines()]
    return {" ".join(row[:2]): row[4:] for row in rows if row and row[0] in {"CKey", "CmVa", "CmBu", "RStr"}}


def in_use(pool: dict[str, list[str]]) -> dict[str, list[str]]:
    """Leave out what is not in use."""
    return {name: numbers for name, numbers in pool.items() if numbers != ["0", "0"]}


def test_parameters_are_there_while_the_driver_is() -> None:
    with Machine(cpus=1, trace_mask=0) as machine:
        before = registry_pool(machine)
        driver = machine.load(
            "parameters.sys",
            parameters={
                "Depth": 4,
                "Big": 1 << 40,
                "Name": "ä€",
                "List": ["a", "b"],
                "Raw": b"\x01\xfe",
                "Sub": {"In": ""},
            },
            service={"Group": RegistryValue.expand("%G%"), "Start": 2},
        )
        lines = found(machine)
        assert lines[("", "Start")] == (4, b"\x02\0\0\0")
        assert lines[("", "Group")] == (2, "%G%\0".encode("utf-16-le"))
        assert {name: value for (key, name), value in lines.items() if key == "\\Parameters"} == {
            "Depth": (4, b"\x04\0\0\0"),
            "Big": (11, (1 << 40).to_bytes(8, "little")),
            "Name": (1, "ä€\0".encode("utf-16-le")),
            "List": (7, "a\0b\0\0".encode("utf-16-le")),
            "Raw": (3, b"\x01\xfe"),
        }
        assert lines[("\\Parameters\\Sub", "In")] == (1, b"\0\0")
        driver.unload()
        assert in_use(registry_pool(machine)) == in_use(before)
        machine.load("parameters.sys")  # nothing of the first time, nor what it made
        assert not [key for key in found(machine) if key[0] != ""]


def test_a_driver_that_fails_leaves_nothing_in_the_registry() -> None:
    with Machine(cpus=1, trace_mask=0) as machine:
        before = registry_pool(machine)
        with pytest.raises(UsageError, match="STATUS_UNSUCCESSFUL"):
            machine.load("parameters.sys", parameters={"Depth": 1}, service={"Fail": 1})
        assert in_use(registry_pool(machine)) == in_use(before)
        machine.load("parameters.sys").unload()


def test_a_device_has_keys_of_its_own_as_long_as_its_driver() -> None:
    with Machine(cpus=1, trace_mask=0) as machine:
        before = registry_pool(machine)
        for _ in range(2):  # the second driver finds nothing of the first one's
            driver = machine.load("devicekey.sys")
            for time in (1, 2):
                released(driver, press(driver))
                for line in (f"1 00000000 {time}", f"2 00000000 {2 * time}", "4 c000000d 0"):
                    machine.session.console.expect(f"devicekey: {line}", TIMEOUT)
            driver.unload()
            assert in_use(registry_pool(machine)) == in_use(before)
