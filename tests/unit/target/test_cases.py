# SPDX-License-Identifier: Apache-2.0
"""Cases out of images: those of tests/drivers/cases.c, as they were built and with bytes changed."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pefile
import pytest

from dirql.errors import BuildError
from dirql.guest import artifacts
from dirql.guest.image import DriverImage
from dirql.target.cases import ENTRY, has_cases, read_cases
from dirql.target.outcome import ASSERTION

SOURCE = Path(__file__).resolve().parents[2] / "drivers" / "cases.c"


@pytest.fixture(scope="module")
def image() -> Path:
    return artifacts.driver("cases.sys")


def changed(image: Path, to: Path, old: bytes, new: bytes) -> Path:
    """Write a copy of an image with the first `old` replaced."""
    assert len(old) == len(new)
    data = image.read_bytes()
    assert old in data
    path = to / "changed.sys"
    path.write_bytes(data.replace(old, new, 1))
    return path


def start(image: Path) -> int:
    """Return where the section `.target` is in the file."""
    pe = pefile.PE(str(image), fast_load=True)
    (found,) = [section for section in pe.sections if section.Name.rstrip(b"\0") == b".target"]
    pe.close()
    return int(found.PointerToRawData)


def entry(image: Path, number: int) -> bytes:
    """Return an entry as it lies in the file."""
    at = start(image) + number * ENTRY.size
    return image.read_bytes()[at : at + ENTRY.size]


def test_all_cases_are_read_in_the_order_of_the_source(image: Path) -> None:
    cases = read_cases(image)
    assert [case.id for case in cases[:3]] == [
        "DEMO-1-passes",
        "DEMO-2-fails-on-another-cpu",
        "DEMO-3-leaves-pool",
    ]
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    for case in cases:
        assert case.file == "tests/drivers/cases.c"
        assert f"{case.name}," in lines[case.line - 1]
    assert sum(line.startswith("TARGET_CASE(") for line in lines) == len(cases)


def test_a_routine_is_where_the_debug_information_has_it(image: Path) -> None:
    driver = DriverImage(image)
    known = {name: address - driver.link_base for address, _, name in driver.debug.functions}
    routines = {f"target_run_{case.name}": case.routine for case in read_cases(image)}
    told = {name: routine for name, routine in routines.items() if name in known}
    assert len(told) >= len(routines) - 2  # the compiler may make one of two that are alike
    assert told == {name: known[name] for name in told}


@pytest.mark.parametrize(("structure", "entry"), [("TARGET_CASE", ENTRY), ("DIRQL_ASSERTION", ASSERTION)])
def test_what_is_written_down_twice_agrees(image: Path, structure: str, entry: struct.Struct) -> None:
    layout = DriverImage(image).debug.structure(structure)
    sizes = [struct.calcsize(piece) for piece in re.findall(r"\d*[a-zA-Z]", entry.format.replace("7Q", "Q" * 7))]
    assert layout.size == entry.size
    assert [offset for offset, _ in sorted(layout.places.values())] == [sum(sizes[:at]) for at in range(len(sizes))]


def test_a_file_without_cases_is_told_apart_at_a_glance(image: Path, tmp_path: Path) -> None:
    assert has_cases(image)
    plain = artifacts.driver("refuse.sys")
    assert not has_cases(plain)
    with pytest.raises(BuildError, match=r"has no section \.target: it holds no cases"):
        read_cases(plain)
    empty = tmp_path / "empty.sys"
    empty.write_bytes(b"")
    assert not has_cases(empty)
    with pytest.raises(BuildError, match="is not a PE image"):
        read_cases(empty)
    with pytest.raises(BuildError, match="cannot be read: No such file"):
        read_cases(tmp_path / "none.sys")


def test_a_wrong_word_is_told_with_file_and_line(image: Path, tmp_path: Path) -> None:
    wrong = changed(image, tmp_path, b"limit=0.5", b"limix=0.5")
    with pytest.raises(BuildError, match=r"tests/drivers/cases\.c:\d+: the case hangs: 'limix=0\.5': there is no need"):
        read_cases(wrong)
    wrong = changed(image, tmp_path, b"DEMO-5\0", b"DEMO_5\0")
    with pytest.raises(BuildError, match=r"cases\.c:\d+: the case hangs: 'DEMO_5' is no clause"):
        read_cases(wrong)


def test_two_cases_of_one_name_are_refused(image: Path, tmp_path: Path) -> None:
    wrong = changed(image, tmp_path, b"violates_unsaid\0\0", b"violates_as_said\0")
    with pytest.raises(BuildError, match="the case DEMO-6-violates-as-said is there already, at"):
        read_cases(wrong)


def test_a_routine_outside_of_the_code_is_refused(image: Path, tmp_path: Path) -> None:
    first = entry(image, 0)
    fields = list(ENTRY.unpack(first))
    for bad in (0, fields[3] + 0x10_0000, 0x1_4000_0001):
        wrong = changed(image, tmp_path, first, ENTRY.pack(*fields[:3], bad, *fields[4:]))
        with pytest.raises(BuildError, match=f"has no routine: {bad:#x} is no code"):
            read_cases(wrong)


def test_words_of_zeros_between_entries_are_passed_over(image: Path, tmp_path: Path) -> None:
    gone = ENTRY.unpack(entry(image, 1))[1].rstrip(b"\0").decode()
    wrong = changed(image, tmp_path, entry(image, 1), bytes(ENTRY.size))
    assert [case.id for case in read_cases(wrong)] == [case.id for case in read_cases(image) if case.name != gone]


def test_a_section_that_is_not_whole_is_refused(image: Path, tmp_path: Path) -> None:
    data = image.read_bytes()
    short = tmp_path / "short.sys"
    short.write_bytes(data[: start(image) + 2 * ENTRY.size + 100])
    with pytest.raises(BuildError, match=r"is not whole: its section \.target has \d+ of \d+ bytes"):
        read_cases(short)
    last = start(image) + (len(read_cases(image)) - 1) * ENTRY.size
    moved = bytearray(data)
    moved[last : last + ENTRY.size] = bytes(64) + data[last : last + ENTRY.size - 64]
    inside = tmp_path / "inside.sys"
    inside.write_bytes(moved)
    with pytest.raises(BuildError, match=r"its section \.target ends inside its case"):
        read_cases(inside)


def test_a_section_of_a_longer_name_is_no_section_of_cases(image: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"has a section '\.targetx', which is not '\.target'"):
        read_cases(changed(image, tmp_path, b".target\0", b".targetx"))
