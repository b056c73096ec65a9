# SPDX-License-Identifier: Apache-2.0
"""A machine with doorbell.sys on a started doorbell device, whose first message goes to CPU 1."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dirql.devices.ivshmem import DEVICE_ID, VENDOR_ID, Doorbell
from dirql.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET = 1


@contextmanager
def doorbell_machine(driver: str = "doorbell.sys", **options: object) -> Iterator[tuple[Machine, Doorbell]]:
    doorbell = Doorbell()
    doorbell.memory[:8] = b"doorbell"
    doorbell.memory[8] = 1  # the peer to answer to
    with Machine(devices=[doorbell], **options) as machine:  # type: ignore[arg-type]
        location = machine.find_pci(VENDOR_ID, DEVICE_ID)
        machine.load(driver).start(location)
        machine.link.request("Retarget", location, TARGET)
        yield machine, doorbell
