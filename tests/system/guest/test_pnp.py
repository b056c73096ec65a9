# SPDX-License-Identifier: Apache-2.0
"""What a device's bottom answers, devices on ISA, and refusing, taking back, and going by surprise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql import Machine
from dirql.errors import GuestRequestError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.guest.memory import View

EDU = (0x1234, 0x11E8)
ISA, PCI_BUS = 1, 5
D3 = 4


@pytest.fixture(params=["mt", "icount"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with Machine(cpus=2, mode=request.param, extra=("-device", "edu"), trace_mask=0) as made:
        yield made


def text(asked: View, name: str, length: int) -> str:
    return "".join(chr(asked.get(name, at)) for at in range(length))


def test_a_pci_function_answers(machine: Machine) -> None:
    driver = machine.load("pnpasks.sys")
    location = machine.find_pci(*EDU)
    driver.start(location)
    asked = driver.variable("PnpAsked")
    assert asked.get("Failed") == 0
    assert asked.get("Identity") == EDU[1] << 16 | EDU[0]
    assert asked.get("Written") == 0x5A
    assert asked.get("BusType") == PCI_BUS
    assert asked.get("Address") == (location >> 3) << 16
    assert (asked.get("PowerDone"), asked.get("PowerBefore")) == (D3, 1)
    identity = text(asked, "Id", asked.get("IdBytes"))
    assert identity == "PCI\\VEN_1234&DEV_11E8&SUBSYS_11001AF4&REV_10"
    hardware = text(asked, "Hardware", asked.get("HardwareBytes") // 2)
    assert hardware.endswith("\0\0")
    assert hardware.split("\0")[:2] == [identity, identity.removesuffix("&REV_10")]
    where = text(asked, "Location", asked.get("LocationBytes") // 2)
    assert where == f"PCI bus 0, device {location >> 3}, function 0\0"


def test_a_device_on_isa_is_what_the_host_says(machine: Machine) -> None:
    driver = machine.load("pnpasks.sys")
    location = driver.start_isa(irq=6, ports=[(0x3F0, 6), (0x3F7, 1), (0x280, 8)], dma=2)
    asked = driver.variable("PnpAsked")
    assert asked.get("Failed") == 1  # it has no bus interface
    assert (asked.get("Ports"), asked.get("PortStart"), asked.get("Channel")) == (3, 0x3F0, 2)
    assert (asked.get("Irq"), asked.get("IrqLatched")) == (6, 1)
    assert asked.get("Level") == asked.get("Vector") >> 4 != 0
    assert asked.get("BusType") == ISA
    with pytest.raises(GuestRequestError, match="STATUS_DEVICE_BUSY"):
        driver.start_isa(irq=6, ports=[(0x3F0, 6), (0x3F7, 1), (0x280, 8)], dma=2)
    other = driver.start_isa()
    assert other != location
    driver.remove(other)
    driver.remove(location)
    assert driver.start_isa(irq=6, ports=[(0x3F0, 6), (0x3F7, 1), (0x280, 8)], dma=2) == location
    driver.unload()


@pytest.mark.parametrize(
    ("irq", "ports", "dma"), [(16, [], None), (None, [(0xFFFF, 2)], None), (None, [(1, 0)], None), (None, [], 8)]
)
def test_what_isa_does_not_have_is_refused(irq: int | None, ports: list[tuple[int, int]], dma: int | None) -> None:
    with Machine(cpus=1, trace_mask=0) as machine, pytest.raises(UsageError):
        machine.load("pnpasks.sys").start_isa(irq=irq, ports=ports, dma=dma)


def test_a_driver_may_refuse_and_hears_that_it_was_taken_back(machine: Machine) -> None:
    driver = machine.load("pnpasks.sys")
    location = machine.find_pci(*EDU)
    driver.start(location)
    asked = driver.variable("PnpAsked")
    asked.set("Refuse", 1)
    with pytest.raises(UsageError, match="QUERY_STOP_DEVICE returned STATUS_DEVICE_BUSY"):
        driver.stop(location)
    with pytest.raises(UsageError, match="QUERY_REMOVE_DEVICE returned STATUS_DEVICE_BUSY"):
        driver.remove(location)
    assert asked.get("Cancelled") == 2
    asked.set("Refuse", 0)
    driver.stop(location)
    with pytest.raises(GuestRequestError, match="STATUS_INVALID_DEVICE_STATE"):
        driver.stop(location)
    driver.start(location)
    asked.set("Refuse", 1)
    driver.surprise_remove(location)  # nobody asks
    with pytest.raises(GuestRequestError, match="STATUS_INVALID_DEVICE_STATE"):
        driver.surprise_remove(location)
    driver.remove(location)
    assert (asked.get("Cancelled"), asked.get("Gone")) == (2, 1)
    with pytest.raises(GuestRequestError, match="STATUS_NO_SUCH_DEVICE"):
        driver.remove(location)


def test_a_device_that_says_it_failed_is_removed(machine: Machine) -> None:
    driver = machine.load("pnpasks.sys")
    location = machine.find_pci(*EDU)
    driver.start(location)
    driver.run("SayItFailed")
    asked = driver.variable("PnpAsked")
    while not asked.get("Gone"):
        machine.link.request("Idle", 1000)
    with pytest.raises(GuestRequestError, match="STATUS_NO_SUCH_DEVICE"):
        driver.remove(location)
    driver.start(location)
    driver.unload()
