# SPDX-License-Identifier: Apache-2.0
"""fat12.sys over floppy.sys (SYS-11): images of mtools read back equal under load; damaged ones cost a status."""

from __future__ import annotations

import random
import struct
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from dirql.devices.floppy import SECTOR_BYTES, Floppy
from dirql.errors import RequestError
from dirql.guest.ntstatus import ntstatus_symbol
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.oracle import Status, judge
from tests.system.guest.floppies import full_image
from tests.system.guest.support import pool_in_use

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dirql.driver import Driver
    from dirql.handles import Handle, RequestFields
    from dirql.qemu.command import Mode
    from tests.system.guest.floppies import DosImage

QUICK = {"MotorOffMs": 5, "SpinUpMs": 1}
DIRECTORY_INFORMATION, STANDARD_INFORMATION, NAMES_INFORMATION = 1, 5, 12
QUERY_DIRECTORY = 1
ROOT_SECTOR, DATA_SECTOR = 19, 33
"""Of a 1.44 MB image."""

DAMAGED = {
    "STATUS_SUCCESS",
    "STATUS_FILE_CORRUPT_ERROR",
    "STATUS_UNRECOGNIZED_VOLUME",
    "STATUS_OBJECT_NAME_NOT_FOUND",
    "STATUS_OBJECT_PATH_NOT_FOUND",
    "STATUS_FILE_IS_A_DIRECTORY",
    "STATUS_END_OF_FILE",
    "STATUS_INVALID_PARAMETER",
    "STATUS_NO_MORE_FILES",
}
"""What may come of a damaged image, beside wrong data."""


@contextmanager
def file_system(machine: Machine) -> Iterator[Driver]:
    """Load both drivers, and unload them."""
    floppy = machine.load("floppy.sys", parameters=QUICK)
    driver = machine.load("fat12.sys")
    yield driver
    driver.unload()
    floppy.unload()


def size_of(handle: Handle) -> int:
    """Ask for a file's size."""
    answer = handle.request("QUERY_INFORMATION", fields={"code": STANDARD_INFORMATION, "out": 24})
    _, size, links, deleted, directory = struct.unpack("<qqIBB2x", answer)
    assert (links, deleted, directory) == (1, 0, 0)
    return int(size)


def read_back(driver: Driver, cpus: int, image: DosImage, names: list[str], step: int) -> None:
    """Read files in pieces, all of them in flight, from all CPUs and at PASSIVE to DISPATCH_LEVEL in turn."""
    handles = [driver.open(f"\\Device\\Fat12\\{name}", cpu=at % cpus) for at, name in enumerate(names)]
    futures = []
    for number, (name, handle) in enumerate(zip(names, handles, strict=True)):
        size = len(image.files[name])
        assert size_of(handle) == size
        for at in range(0, size, step):
            futures.append(
                (name, at, handle.read_async(step, at, cpu=(number + at // step) % cpus, irql=at // step % 3))
            )
    found = dict.fromkeys(names, b"")
    for name, at, future in futures:
        assert len(found[name]) == at
        found[name] += future.result()
    for name in names:
        assert found[name] == image.files[name], name
    for handle in handles:
        handle.close()


def test_an_image_of_mtools_is_read_back_equal_under_load_from_four_cpus(tmp_path: Path) -> None:
    image = full_image(tmp_path)
    with Machine(cpus=4, devices=[Floppy(image.path)]) as machine, file_system(machine) as driver:
        read_back(driver, 4, image, sorted(image.files), 7000)  # pieces begin and end anywhere


@pytest.mark.parametrize(
    ("cpus", "mode"), [(1, "mt"), (2, "mt"), (8, "mt"), (1, "icount"), (2, "icount"), (4, "icount"), (8, "icount")]
)
def test_files_are_read_back_equal_on_every_machine(cpus: int, mode: Mode, tmp_path: Path) -> None:
    image = full_image(tmp_path)
    names = ["DIR\\S0.BIN", "DIR\\S513.BIN", "DIR\\S5000.BIN", "DIR\\SUB\\N3.TXT", "GAP1.DAT", "NOEXT"]
    with Machine(cpus=cpus, mode=mode, devices=[Floppy(image.path)]) as machine:
        with Recording(machine, tmp_path / "run") as recording, file_system(machine) as driver:
            read_back(driver, cpus, image, names, 900)
        verdict = judge(recording.load())
    assert [clause for clause in verdict.clauses if clause.status is Status.VIOLATED] == []
    assert verdict["SPIN-1"].status is Status.OK


def test_reads_end_with_the_file_and_names_are_those_of_dos(tmp_path: Path) -> None:
    image = full_image(tmp_path)
    with Machine(cpus=2, devices=[Floppy(image.path)]) as machine, file_system(machine) as driver:
        with driver.open(r"\\.\F:\dir\s5000.bin") as handle:  # another name of the volume, and any case
            data = image.files["DIR\\S5000.BIN"]
            assert handle.read(10_000, 0) == data
            assert handle.read(10_000, 4990) == data[4990:]
            assert handle.read(1, 4999) == data[4999:]
            assert handle.read(0, 0) == b""
            with pytest.raises(RequestError, match="STATUS_END_OF_FILE"):
                handle.read(1, 5000)
            with pytest.raises(RequestError, match="STATUS_MEDIA_WRITE_PROTECTED"):
                handle.write(b"x", 0)
        with driver.open("\\Device\\Fat12\\DIR\\SUB\\..\\.\\S1.BIN") as handle:
            assert handle.read(10, 0) == image.files["DIR\\S1.BIN"]
        for path, name in (
            ("NONE.TXT", "STATUS_OBJECT_NAME_NOT_FOUND"),
            ("NONE\\S1.BIN", "STATUS_OBJECT_PATH_NOT_FOUND"),
            ("NOEXT\\S1.BIN", "STATUS_OBJECT_PATH_NOT_FOUND"),
            ("NAMETOOLONG.TXT", "STATUS_OBJECT_NAME_INVALID"),
            ("A.LONG", "STATUS_OBJECT_NAME_INVALID"),
            ("A*.TXT", "STATUS_OBJECT_NAME_INVALID"),
            ("A..B", "STATUS_OBJECT_NAME_INVALID"),
        ):
            with pytest.raises(RequestError, match=name):
                driver.open(f"\\Device\\Fat12\\{path}")


def listing(handle: Handle, kind: int, size: int) -> list[tuple[str, int]]:
    """List a directory by queries of `size` bytes; return names and, of directory information, files' sizes."""
    found: list[tuple[str, int]] = []
    while True:
        try:
            answer = handle.request(
                "DIRECTORY_CONTROL", fields={"minor": QUERY_DIRECTORY, "code": kind, "out": size, "data": b"*\0"}
            )
        except RequestError as error:
            if error.name != "STATUS_NO_MORE_FILES":
                raise
            return found
        at, step = 0, -1
        while step:
            step = struct.unpack_from("<I", answer, at)[0]
            length_at, name_at = (8, 12) if kind == NAMES_INFORMATION else (60, 64)
            length = struct.unpack_from("<I", answer, at + length_at)[0]
            size_of_file = 0 if kind == NAMES_INFORMATION else struct.unpack_from("<q", answer, at + 40)[0]
            found.append((answer[at + name_at : at + name_at + length].decode("utf-16-le"), size_of_file))
            at += step


def test_directories_are_listed(tmp_path: Path) -> None:
    image = full_image(tmp_path)
    root = {name: len(data) for name, data in image.files.items() if "\\" not in name}
    sub = {name.rpartition("\\")[2]: len(data) for name, data in image.files.items() if "SUB\\" in name}
    with Machine(cpus=2, devices=[Floppy(image.path)]) as machine, file_system(machine) as driver:
        for size in (100, 4000):  # an entry at a time, and many
            with driver.open("\\Device\\Fat12\\") as handle:
                assert dict(listing(handle, DIRECTORY_INFORMATION, size)) == root | {"DIR": 0, "EMPTY": 0}
            with driver.open("\\Device\\Fat12\\DIR\\SUB") as handle:
                assert [name for name, _ in listing(handle, NAMES_INFORMATION, size)] == [".", "..", *sub]
            with driver.open("\\Device\\Fat12\\EMPTY") as handle:
                assert listing(handle, DIRECTORY_INFORMATION, size) == [(".", 0), ("..", 0)]
        with driver.open("\\Device\\Fat12\\DIR") as handle:
            with pytest.raises(RequestError, match="STATUS_INVALID_PARAMETER"):
                handle.read(10, 0)
            for code, data, name in (
                (3, b"", "STATUS_INVALID_INFO_CLASS"),
                (DIRECTORY_INFORMATION, b"A\0*\0", "STATUS_NOT_SUPPORTED"),
            ):
                fields: RequestFields = {"minor": QUERY_DIRECTORY, "code": code, "out": 100, "data": data}
                with pytest.raises(RequestError, match=name):
                    handle.request("DIRECTORY_CONTROL", fields=fields)


def test_another_medium_is_another_volume(tmp_path: Path) -> None:
    image = full_image(tmp_path)
    (tmp_path / "2").mkdir()
    other = full_image(tmp_path / "2", seed=2)
    floppy = Floppy(image.path)
    with Machine(cpus=2, devices=[floppy]) as machine, file_system(machine) as driver:
        with driver.open("\\Device\\Fat12\\PIECES.BIN") as handle:
            assert handle.read(100, 50_000) == image.files["PIECES.BIN"][50_000:50_100]
            floppy.eject()
            with pytest.raises(RequestError, match="STATUS_NO_MEDIA_IN_DEVICE"):
                handle.read(100, 0)
            with pytest.raises(RequestError, match="STATUS_NO_MEDIA_IN_DEVICE"):
                driver.open("\\Device\\Fat12\\PIECES.BIN")
            floppy.insert(other.path)
            with pytest.raises(RequestError, match="STATUS_WRONG_VOLUME"):
                handle.read(100, 0)
        with driver.open("\\Device\\Fat12\\PIECES.BIN") as handle:
            assert handle.read(100, 50_000) == other.files["PIECES.BIN"][50_000:50_100]


def set_fat(image: bytearray, cluster: int, value: int) -> None:
    """Change an entry of the first FAT."""
    at = SECTOR_BYTES + cluster * 3 // 2
    pair = image[at] | image[at + 1] << 8
    pair = (pair & 0xF) | value << 4 if cluster & 1 else (pair & 0xF000) | value
    image[at], image[at + 1] = pair & 0xFF, pair >> 8


def entry_of(image: bytearray, name: bytes) -> int:
    """Return where a name stands in the root directory."""
    return image.index(name, ROOT_SECTOR * SECTOR_BYTES, DATA_SECTOR * SECTOR_BYTES)


def test_damaged_images_cost_a_status_and_no_more(tmp_path: Path) -> None:
    sound = full_image(tmp_path).path.read_bytes()
    pieces = entry_of(bytearray(sound), b"PIECES  BIN")
    first = struct.unpack_from("<H", sound, pieces + 26)[0]

    def opened(damage: bytearray) -> str:
        floppy.insert(damage)
        try:
            driver.open("\\Device\\Fat12\\PIECES.BIN").close()
        except RequestError as error:
            return error.name
        return ""

    def damaged(*changes: tuple[int, bytes]) -> bytearray:
        image = bytearray(sound)
        for at, data in changes:
            image[at : at + len(data)] = data
        return image

    floppy = Floppy(sound)
    with Machine(cpus=2, devices=[floppy]) as machine, file_system(machine) as driver:
        assert opened(bytearray(sound)) == ""
        for value in (first, 1, 0, 0xFF0, 0xFF7):  # a circle, clusters that are none
            image = bytearray(sound)
            set_fat(image, first, value)
            assert opened(image) == "STATUS_FILE_CORRUPT_ERROR", value
        for cluster in (1, 0xFFFF, 3000, 0):
            assert opened(damaged((pieces + 26, struct.pack("<H", cluster)))) == "STATUS_FILE_CORRUPT_ERROR"
        assert opened(damaged((pieces + 28, b"\xff" * 4))) == "STATUS_FILE_CORRUPT_ERROR"
        for at, data in (
            (11, b"\0\0"),
            (11, b"\0\4"),
            (13, b"\0"),
            (13, b"\3"),
            (14, b"\0\0"),
            (16, b"\0"),
            (17, b"\1\0"),
            (17, b"\xf0\xff"),
            (19, b"\0\0"),
            (19, b"\xff\xff"),
            (22, b"\1\0"),
            (22, b"\xff\xff"),
        ):
            assert opened(damaged((at, data))) == "STATUS_UNRECOGNIZED_VOLUME", (at, data)
        assert opened(bytearray(len(sound))) == "STATUS_UNRECOGNIZED_VOLUME"
        assert opened(bytearray(sound)) == ""


def read_damaged(driver: Driver, name: str) -> list[str]:
    """Open a file and read it, all of it in flight; return the names of the statuses that came."""
    try:
        with driver.open(f"\\Device\\Fat12\\{name}") as handle:
            futures = [handle.read_async(5000, at, cpu=at % 4) for at in range(0, 20_000, 4999)]
            return [ntstatus_symbol(future.outcome().status) for future in futures]
    except RequestError as error:
        return [error.name]


def test_images_damaged_at_random_never_harm_the_machine(tmp_path: Path) -> None:
    chance = random.Random(20)
    source = full_image(tmp_path)
    sound = source.path.read_bytes()
    names = sorted(source.files)
    floppy = Floppy(sound)
    with Machine(cpus=4, trace_mask=0, devices=[floppy]) as machine, file_system(machine) as driver:
        seen: Counter[str] = Counter()
        before: dict[str, int] = {}
        for turn in range(30):
            image = bytearray(sound)
            for _ in range(chance.choice((1, 20, 2000))):  # boot sector, tables, directories
                image[chance.randrange(DATA_SECTOR * SECTOR_BYTES)] = chance.randrange(256)
            floppy.insert(image)
            for name in chance.sample(names, 6):
                seen.update(read_damaged(driver, name))
            if turn == 10:
                floppy.insert(sound)
                driver.open("\\Device\\Fat12\\NOEXT").close()
                before = pool_in_use(machine)
        assert set(seen) <= DAMAGED
        assert len(seen) > 3
        floppy.insert(sound)
        with driver.open("\\Device\\Fat12\\NOEXT") as handle:
            assert handle.read(100, 0) == b"no extension"
        assert pool_in_use(machine) == before
