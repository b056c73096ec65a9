# SPDX-License-Identifier: Apache-2.0
"""Images that are not what they should be are refused by name and reason, and the machine is as it was before."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

import pefile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dirql.devices.ivshmem import Doorbell
from dirql.errors import BuildError, GuestBugCheck, GuestError, GuestHang, GuestRequestError, UsageError
from dirql.guest import artifacts
from dirql.machine import Machine
from tests.system.guest.support import TIMEOUT, pages_accounted, pool_in_use

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INVALID_IMAGE_FORMAT = 0xC000007B
PROCEDURE_NOT_FOUND = 0xC000007A
ORDINAL_NOT_FOUND = 0xC0000138
INSUFFICIENT_RESOURCES = 0xC000009A
DLL_NOT_FOUND = 0xC0000135
REFUSALS = (INVALID_IMAGE_FORMAT, PROCEDURE_NOT_FOUND, ORDINAL_NOT_FOUND, INSUFFICIENT_RESOURCES, DLL_NOT_FOUND)
REFUSED_BY_DRIVER = 0xC0000182  # what the DriverEntry of refuse.sys returns

PROPERTY = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Machine]:
    with Machine(cpus=2, on_bugcheck="pause", devices=[Doorbell(vectors=4)], trace_mask=0) as machine:
        warm(machine)
        yield machine


@pytest.fixture
def machine(shared: Machine) -> Machine:
    if shared.session.watch.failed:  # a test before this one has found something
        shared.reset()
        warm(shared)
    return shared


def warm(machine: Machine) -> None:
    """Load both drivers once, so that pool of all sizes that loading needs is there: it is never given back."""
    machine.load("doorbell.sys").unload()
    with pytest.raises(UsageError):
        machine.load("refuse.sys")


@cache
def good() -> bytes:
    """Return refuse.sys, the image that is damaged here."""
    return artifacts.driver("refuse.sys").read_bytes()


def send(machine: Machine, data: bytes, timeout: float = TIMEOUT) -> int:
    """Give bytes to the guest's own loader, past the harness's checks. Returns the NTSTATUS of DriverEntry."""
    offset = (len(data) + 15) // 16 * 16
    machine.link.write_buffer(0, data)
    machine.link.write_buffer(offset, b"sent.sys\0")
    return machine.link.request("LoadDriver", len(data), offset, what="sent.sys to load", timeout=timeout)[3]


def refusal(machine: Machine, data: bytes) -> int:
    """Return the NTSTATUS with which the guest refuses an image."""
    with pytest.raises(GuestRequestError, match=r"sent\.sys to load: the guest answered ") as caught:
        send(machine, data)
    return caught.value.status


def outcome(machine: Machine, data: bytes) -> int | GuestError:
    """Return the NTSTATUS of DriverEntry, or what came instead."""
    try:
        return send(machine, data, timeout=5.0)
    except GuestError as error:
        return error


def unharmed(machine: Machine, pages: int) -> None:
    """Check that nothing of a refused image is left and that good ones still work."""
    assert pages_accounted(machine) == pages
    assert machine.link.request("Ping")[0] > 0
    machine.load("doorbell.sys").unload()
    assert pages_accounted(machine) == pages


def replaced(offset: int, data: bytes) -> bytes:
    """Return refuse.sys with other bytes at an offset."""
    return good()[:offset] + data + good()[offset + len(data) :]


def header(field: str) -> int:
    """Return where a field of the optional header is in the file."""
    pe = pefile.PE(data=good(), fast_load=True)
    return int(pe.OPTIONAL_HEADER.get_file_offset() + pe.OPTIONAL_HEADER.get_field_relative_offset(field))


def section(name: str, field: str) -> int:
    """Return where a field of a section's header is in the file."""
    pe = pefile.PE(data=good(), fast_load=True)
    (found,) = [each for each in pe.sections if each.Name.rstrip(b"\0") == name.encode()]
    return int(found.get_file_offset() + found.get_field_relative_offset(field))


def test_a_kernel_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "kernel.elf"
    path.write_bytes(b"MZ not an ELF")
    with pytest.raises(BuildError, match=r"kernel\.elf is not an ELF file"):
        Machine(kernel=path)
    path.write_bytes(artifacts.kernel().read_bytes()[:100])
    with pytest.raises(BuildError, match=r"kernel\.elf is damaged or not whole: ELFParseError"):
        Machine(kernel=path)
    with pytest.raises(UsageError, match=r"no file .*none\.elf|cannot read the image .*none\.elf"):
        Machine(kernel=tmp_path / "none.elf")


@pytest.mark.parametrize(
    "data", [b"", b"MZ", b"MZ" + bytes(100), bytes(range(256)) * 8], ids=["", "MZ", "dos", "noise"]
)
def test_garbage(machine: Machine, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "garbage.sys"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"garbage\.sys is not a PE image: .*; a driver is a \.sys file for x64"):
        machine.load(path)
    pages = pages_accounted(machine)
    assert refusal(machine, data) == INVALID_IMAGE_FORMAT
    unharmed(machine, pages)


def test_no_such_driver(machine: Machine) -> None:
    with pytest.raises(BuildError, match=r"there is no driver none\.sys: neither a file of that path nor one in "):
        machine.load("none.sys")


def test_another_processor(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "old.sys"
    pe = pefile.PE(data=good(), fast_load=True)
    path.write_bytes(replaced(pe.FILE_HEADER.get_file_offset(), struct.pack("<H", 0x14C)))
    with pytest.raises(UsageError, match=r"old\.sys is a PE image for machine 0x014c \(i386\); this guest runs x64"):
        machine.load(path)
    assert refusal(machine, path.read_bytes()) == INVALID_IMAGE_FORMAT


def test_imports_that_do_not_exist_are_all_named(machine: Machine) -> None:
    sequence = machine.link.request("Ping")
    with pytest.raises(UsageError) as caught:
        machine.load("badimport.sys")
    assert "imports 2 names that this guest does not export: " in str(caught.value)
    assert "ntoskrnl.exe!CcPurgeCacheSection" in str(caught.value)
    assert "ntoskrnl.exe!FsRtlDoesNameContainWildCards" in str(caught.value)
    assert machine.link.request("Ping") > sequence
    data = artifacts.driver("badimport.sys").read_bytes()
    pages = pages_accounted(machine)
    assert refusal(machine, data) == PROCEDURE_NOT_FOUND
    for name in ("CcPurgeCacheSection", "FsRtlDoesNameContainWildCards"):
        line = f"ldr: sent.sys imports ntoskrnl.exe!{name}, which this kernel does not export"
        machine.session.console.expect(line, TIMEOUT)
    assert "badimport: was loaded" not in machine.session.console.text
    unharmed(machine, pages)


def test_an_import_by_ordinal(machine: Machine, tmp_path: Path) -> None:
    pe = pefile.PE(data=good())
    thunk = pe.DIRECTORY_ENTRY_IMPORT[0].struct.OriginalFirstThunk
    path = tmp_path / "ordinal.sys"
    path.write_bytes(replaced(pe.get_offset_from_rva(thunk), struct.pack("<Q", 1 << 63 | 77)))
    with pytest.raises(UsageError, match=r"imports 1 name that this guest does not export: ntoskrnl\.exe!#77"):
        machine.load(path)
    pages = pages_accounted(machine)
    assert refusal(machine, path.read_bytes()) == ORDINAL_NOT_FOUND
    machine.session.console.expect("ldr: sent.sys imports ordinal 77 of ntoskrnl.exe", TIMEOUT)
    unharmed(machine, pages)


def test_a_name_outside_the_image(machine: Machine) -> None:
    pe = pefile.PE(data=good())
    thunk = pe.DIRECTORY_ENTRY_IMPORT[0].struct.OriginalFirstThunk
    pages = pages_accounted(machine)
    assert (
        refusal(machine, replaced(pe.get_offset_from_rva(thunk), struct.pack("<Q", 0x7000_0000)))
        == INVALID_IMAGE_FORMAT
    )
    unharmed(machine, pages)


@pytest.mark.parametrize("name", [".text", ".data"])
def test_a_section_both_writable_and_executable(machine: Machine, name: str) -> None:
    pages = pages_accounted(machine)
    assert refusal(machine, replaced(section(name, "Characteristics"), struct.pack("<L", 0xE000_0020))) == (
        INVALID_IMAGE_FORMAT
    )
    machine.session.console.expect(f"ldr: section {name} is both writable and executable", TIMEOUT)
    unharmed(machine, pages)


@pytest.mark.parametrize(("name", "at"), [(".data", ".text"), (".text", ".data"), (".data", "")])
def test_sections_that_overlap(machine: Machine, name: str, at: str) -> None:
    offset = section(at, "VirtualAddress") if at else 0
    address = good()[offset : offset + 4] if at else bytes(4)  # or the headers' own page
    pages = pages_accounted(machine)
    assert refusal(machine, replaced(section(name, "VirtualAddress"), address)) == INVALID_IMAGE_FORMAT
    unharmed(machine, pages)


def test_a_relocation_of_the_relocations_themselves(machine: Machine) -> None:
    pe = pefile.PE(data=good(), fast_load=True)
    directory = pe.OPTIONAL_HEADER.DATA_DIRECTORY[pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_BASERELOC"]]
    page = directory.VirtualAddress & ~0xFFF
    own_size = (directory.VirtualAddress & 0xFFF) + 4
    first = struct.pack("<LLHH", page, 12, 10 << 12 | own_size, 0)  # adds to its own SizeOfBlock
    second = struct.pack("<LL", page, 4)  # too small to be one
    data = bytearray(replaced(pe.get_offset_from_rva(directory.VirtualAddress), first + second))
    for size in (directory.get_file_offset() + 4, section(".reloc", "Misc_VirtualSize")):
        data[size : size + 4] = struct.pack("<L", len(first + second))
    pages = pages_accounted(machine)
    assert refusal(machine, bytes(data)) == INVALID_IMAGE_FORMAT
    unharmed(machine, pages)


def test_an_image_larger_than_memory(machine: Machine) -> None:
    pages = pages_accounted(machine)
    assert refusal(machine, replaced(header("SizeOfImage"), struct.pack("<L", 0xFFFF_F000))) == INSUFFICIENT_RESOURCES
    unharmed(machine, pages)


def test_driver_entry_that_fails_leaves_nothing(machine: Machine) -> None:
    with pytest.raises(UsageError, match=r"refuse\.sys: DriverEntry returned STATUS_DEVICE_CONFIGURATION_ERROR"):
        machine.load("refuse.sys")
    pages, pool = pages_accounted(machine), pool_in_use(machine)
    for _ in range(20):
        with pytest.raises(UsageError):
            machine.load("refuse.sys")
    assert (pages_accounted(machine), pool_in_use(machine)) == (pages, pool)
    machine.session.console.expect(r"refuse: \\Driver\\refuse\r\n", TIMEOUT)


def test_a_driver_without_unload_stays() -> None:
    with Machine(cpus=1) as machine:
        driver = machine.load("stay.sys")
        with pytest.raises(GuestRequestError, match=r"stay\.sys to unload: .*STATUS_INVALID_DEVICE_REQUEST"):
            driver.unload()
        assert machine.symbols.module(driver.base) is not None
        machine.load("doorbell.sys").unload()


def test_loading_and_unloading_leaks_nothing(machine: Machine) -> None:
    doorbell = machine.session.devices[0]
    assert isinstance(doorbell, Doorbell)
    doorbell.memory[0:8] = b"doorbell"
    location = machine.find_pci(0x1AF4, 0x1110)

    def cycle() -> None:
        driver = machine.load("doorbell.sys")
        driver.start(location)
        driver.unload()

    cycle()
    pages, pool = pages_accounted(machine), pool_in_use(machine)
    for _ in range(50):
        cycle()
    assert pages_accounted(machine) == pages
    assert pool_in_use(machine) == pool


@PROPERTY
@given(length=st.integers(0, 1 << 17))
def test_truncated_images(machine: Machine, length: int) -> None:
    length %= len(good())
    pe = pefile.PE(data=good(), fast_load=True)
    whole = max(each.PointerToRawData + each.SizeOfRawData for each in pe.sections)
    pages = pages_accounted(machine)
    if length < whole:
        assert refusal(machine, good()[:length]) == INVALID_IMAGE_FORMAT
    else:  # only symbols are missing, which no loader reads
        assert send(machine, good()[:length]) == REFUSED_BY_DRIVER
    unharmed(machine, pages)


def interesting() -> list[int]:
    """Return the offsets of all bytes that the loader reads to decide something: headers, imports, relocations."""
    pe = pefile.PE(data=good(), fast_load=True)
    offsets = list(range(pe.OPTIONAL_HEADER.SizeOfHeaders))
    for each in pe.sections:
        if each.Name.rstrip(b"\0") in (b".idata", b".reloc"):
            offsets += range(
                each.PointerToRawData, each.PointerToRawData + min(each.SizeOfRawData, each.Misc_VirtualSize)
            )
    return offsets


@settings(PROPERTY, max_examples=300)
@given(changes=st.lists(st.tuples(st.sampled_from(interesting()), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_images(machine: Machine, changes: list[tuple[int, int]]) -> None:
    data = bytearray(good())
    for offset, value in changes:
        data[offset] = value
    pages = pages_accounted(machine)
    found = outcome(machine, bytes(data))
    if isinstance(found, GuestRequestError):
        assert found.status in REFUSALS
    if isinstance(found, GuestBugCheck | GuestHang):
        # The damage went into the driver itself: it may crash in its own DriverEntry, but not in the loader.
        state = found.cpus[0]
        assert not any("!Ldr" in frame or "!Mi" in frame for frame in (state.where, *state.stack)), str(found)
        assert any("!HostExecute+" in frame for frame in state.stack), str(found)
    if isinstance(found, GuestRequestError) or found == REFUSED_BY_DRIVER:
        unharmed(machine, pages)
    else:  # it ran something else: who knows what that did
        machine.reset()
        warm(machine)
