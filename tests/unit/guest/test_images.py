# SPDX-License-Identifier: Apache-2.0
"""Image files: what is read from good ones, and what is said of damaged ones. No damage is ever a bare exception."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dirql.errors import BuildError, DirqlError, UsageError
from dirql.guest import artifacts
from dirql.guest.cache import cache_folder, cached
from dirql.guest.image import DriverImage, KernelImage

if TYPE_CHECKING:
    from pathlib import Path

DAMAGE = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="session")
def kernel() -> KernelImage:
    return KernelImage(artifacts.kernel())


@pytest.fixture(scope="session")
def badimport() -> DriverImage:
    return DriverImage(artifacts.driver("badimport.sys"))


def test_the_kernel(kernel: KernelImage) -> None:
    assert {"DbgPrint", "KeInsertQueueDpc", "KeNumberProcessors"} <= kernel.exports
    assert "KiDispatchTrap" not in kernel.exports
    address, size = kernel.symbols["KiTrapCommon"]
    assert address == kernel.address("KiTrapCommon") > 0xFFFF_FFFF_8000_0000
    assert size > 0
    with pytest.raises(BuildError, match=r"dirql-guest\.elf has no symbol Nothing; rebuild it, or use its own harness"):
        kernel.address("Nothing")
    line = kernel.line(kernel.address("KiDispatchTrap"))
    assert line is not None
    assert line[0] == "guest/ke/trap.c"
    assert kernel.line(0x1000) is None
    assert kernel.line(1 << 63) is None


def test_partial_notes_are_of_exports_and_not_loaded(kernel: KernelImage) -> None:
    assert "user mode" in kernel.partial["MmMapLockedPages"]
    assert not set(kernel.partial) - kernel.exports, "NT_PARTIAL of what is not exported"
    note = kernel.partial["MmMapLockedPages"].encode()
    assert note not in b"".join(kernel.data[part.offset : part.offset + part.size] for part in kernel.segments)


def test_a_driver(badimport: DriverImage, kernel: KernelImage) -> None:
    assert badimport.link_base == 0x1_4000_0000
    assert badimport.name == "badimport.sys"
    assert ("ntoskrnl.exe", "DbgPrint") in badimport.imports
    (entry,) = [function for function in badimport.debug.functions if function[2] == "DriverEntry"]
    line = badimport.line(entry[0])
    assert line is not None
    assert line[0] == "tests/drivers/badimport.c"
    with pytest.raises(UsageError) as caught:
        badimport.require_imports(kernel)
    assert "imports 2 names that this guest does not export" in str(caught.value)
    assert "DbgPrint" not in str(caught.value)
    DriverImage(artifacts.driver("doorbell.sys")).require_imports(kernel)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for kind in (KernelImage, DriverImage):
        with pytest.raises(UsageError, match=r"cannot read the image .*none: No such file or directory"):
            kind(tmp_path / "none")
        with pytest.raises(UsageError, match=r"cannot read the image .*: Is a directory"):
            kind(tmp_path)


def test_an_elf_that_is_no_kernel(elf: Path) -> None:
    with pytest.raises(
        BuildError, match="is an ELF file but no dirql kernel: it has no export table or no HostMailbox"
    ):
        KernelImage(elf)


@DAMAGE
@given(length=st.integers(0, 1 << 20))
def test_a_truncated_kernel(tmp_path: Path, length: int) -> None:
    data = artifacts.kernel().read_bytes()
    path = tmp_path / "kernel.elf"
    path.write_bytes(data[: length % len(data)])
    with suppress(DirqlError):  # what lies behind the end of the file may not be missed
        KernelImage(path)


@DAMAGE
@given(
    length=st.integers(0, 1 << 20), changes=st.lists(st.tuples(st.integers(0, 0x600), st.integers(0, 255)), max_size=4)
)
def test_a_damaged_driver(tmp_path: Path, length: int, changes: list[tuple[int, int]]) -> None:
    data = bytearray(artifacts.driver("refuse.sys").read_bytes())
    for offset, value in changes:
        data[offset] = value
    path = tmp_path / "damaged.sys"
    path.write_bytes(bytes(data) if length % 2 else bytes(data[: length % len(data)]))
    with suppress(DirqlError):
        image = DriverImage(path)
        assert image.imports is not None
        assert image.debug is not None
        image.line(image.link_base + 0x1000)


def test_artifacts_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DIRQL_BUILD", str(tmp_path))
    with pytest.raises(BuildError, match=r"guest/dirql-guest\.elf has not been built; run `make build`"):
        artifacts.kernel()
    with pytest.raises(BuildError, match=r"firmware/dirql-rom\.bin has not been built"):
        artifacts.rom()
    with pytest.raises(
        BuildError, match=rf"no driver x\.sys: neither a file of that path nor one in {tmp_path}/drivers"
    ):
        artifacts.driver("x.sys")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "x.sys").write_bytes(b"")
    assert artifacts.driver("x.sys") == tmp_path / "tests" / "x.sys"
    own = tmp_path / "own.sys"
    own.write_bytes(b"")
    assert artifacts.driver(str(own)) == own


def test_the_cache_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reads: list[int] = []

    def read() -> dict[str, int]:
        reads.append(1)
        return {"value": 5}

    assert [cached("abc", "part", read) for _ in range(3)] == [{"value": 5}] * 3
    assert len(reads) == 1
    assert cached("abd", "part", read) == {"value": 5}
    assert cached("abc", "other", read) == {"value": 5}
    assert len(reads) == 3
    for file in cache_folder().iterdir():
        file.write_bytes(b"{ not JSON")  # as after a full disk
    assert cached("abc", "part", read) == {"value": 5}
    assert len(reads) == 4


def test_a_cache_that_cannot_be_written_costs_time_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert cached("abc", "part", lambda: [1]) == [1]
    assert list(tmp_path.iterdir()) == [blocked]
