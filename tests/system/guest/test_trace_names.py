# SPDX-License-Identifier: Apache-2.0
"""What the records of a real machine point to has a name, with file and line where it is code, also in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql import Machine
from dirql.devices.ivshmem import DEVICE_ID, PEER_ID, VENDOR_ID, Doorbell
from dirql.recording import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.trace.decode import Trace


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    folder: Path = tmp_path_factory.mktemp("names")
    doorbell = Doorbell(vectors=2)
    doorbell.memory[:16] = b"doorbell" + PEER_ID.to_bytes(8, "little")
    with Machine(cpus=2, devices=[doorbell], mode="icount") as machine, Recording(machine, folder) as recording:
        driver = machine.load("doorbell.sys", device=(VENDOR_ID, DEVICE_ID))
        doorbell.ring(1)
        machine.link.request("FlushDpcs")
        driver.unload()  # what it had is gone, its names are kept
    return recording.load()


def _names(trace: Trace, event: str) -> set[str]:
    return {trace.symbols.name(int(address)) for address in trace.arg0[trace.where(event)]}


def test_objects_of_an_unloaded_driver_are_named(trace: Trace) -> None:
    assert {name.partition(",")[0] for name in _names(trace, "IsrEnter")} == {"KINTERRUPT of doorbell!DoorbellIsr"}
    assert "\\Device\\Doorbell0.Dpc" in _names(trace, "DpcStart")
    assert any(name.startswith("\\Device\\Doorbell0 extension+") for name in _names(trace, "LockAcquired"))
    assert any(name.startswith("thread ") for name in _names(trace, "ThreadSwitch"))


def test_locks_of_the_kernel_are_named_by_its_variables(trace: Trace) -> None:
    assert {"dirql-guest!ObpNameLock", "dirql-guest!MiPagingLock"} <= _names(trace, "LockAcquired")


def test_call_sites_have_lines_in_the_driver_and_in_the_kernel(trace: Trace) -> None:
    sites = {trace.symbols.line(int(address)) for address in trace.arg1[trace.where("LockAcquired")]}
    files = {site[0].rsplit("/", 1)[-1] for site in sites if site is not None}
    assert {"interrupt.c", "names.c", "pageable.c"} <= files
    assert None not in sites
