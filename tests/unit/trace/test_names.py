# SPDX-License-Identifier: Apache-2.0
"""Names kept in files beside a trace, and what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.trace.namefiles import ImageNames, ModuleNames, Place, read_names, write_image_names, write_names
from dirql.trace.symbols import SymbolTable

if TYPE_CHECKING:
    from pathlib import Path

_LINKED = 0x1_4000_0000
_BASE = 0xFFFF_8000_0010_0000
_SYMBOLS = [(_LINKED + 0x1040, 0x20, "Isr"), (_LINKED + 0x1000, 0x40, "DriverEntry"), (_LINKED + 0x3000, 8, "Lock")]
_LINES = [
    (_LINKED + 0x1000, "a.c", 10),
    (_LINKED + 0x1004, "a.c", 10),  # says nothing new
    (_LINKED + 0x1008, "a.c", 11),
    (_LINKED + 0x1040, "b.c", 0),
    (_LINKED + 0x1040, "b.c", 20),
    (_LINKED + 0x1040, "b.c", 21),
    (_LINKED + 0x1050, "b.c", 22),
    (_LINKED + 0x1060, "b.c", 0),
]


def _table(folder: Path) -> SymbolTable:
    write_image_names(folder / "drv.npz", _SYMBOLS, _LINES)
    places = [
        Place("drv", _BASE, 0x4000, _BASE - _LINKED, "drv.npz"),
        Place("bare", _BASE + 0x10000, 0x1000, 0, ""),
    ]
    objects = [
        (0x5000, 0x200, "\\Device\\X device object"),
        (0x5010, 0x40, "\\Device\\X.Dpc"),
        (0x6000, 0x100, "\\Device\\X extension"),
    ]
    write_names(folder, places, objects)
    modules, rows = read_names(folder)
    return SymbolTable((), (), modules, rows)


def test_names_and_lines_of_a_module_at_its_place(tmp_path: Path) -> None:
    table = _table(tmp_path)
    assert len(table) == 3
    assert table.name(_BASE + 0x1045) == "drv!Isr+0x5"
    assert table.name(_BASE + 0x3000) == "drv!Lock"  # a variable
    assert table.name(_BASE + 0x3008) == f"{_BASE + 0x3008:#x}"
    assert table.name(_BASE + 0x10010) == f"{_BASE + 0x10010:#x}"  # a module without names


def test_the_line_of_a_routine_of_a_call_and_of_an_instruction(tmp_path: Path) -> None:
    table = _table(tmp_path)
    assert table.line(_BASE + 0x1040) == ("b.c", 20)  # the routine: the first line that begins there
    assert table.line(_BASE + 0x1008) == ("a.c", 10)  # a return address: the call before it
    assert table.line(_BASE + 0x1008, returned=False) == ("a.c", 11)
    assert table.line(_BASE + 0x1061) is None  # the run of code has ended
    assert table.line(_BASE + 0x500) is None
    assert table.line(0x5010) is None
    assert table.where(_BASE + 0x1050) == "drv!Isr+0x10 (b.c:21)"


def test_the_innermost_object_gives_the_name(tmp_path: Path) -> None:
    table = _table(tmp_path)
    assert table.name(0x5018) == "\\Device\\X.Dpc+0x8"
    assert table.name(0x5100) == "\\Device\\X device object+0x100"
    assert table.name(0x6018) == "\\Device\\X extension+0x18"
    assert table.name(0x6100) == "0x6100"


def test_the_files_are_read_when_a_name_is_asked_for(tmp_path: Path) -> None:
    _table(tmp_path)
    modules, rows = read_names(tmp_path)
    (tmp_path / "drv.npz").unlink()
    assert ModuleNames(modules[0].place, modules[0].path).image is None
    assert SymbolTable((), (), modules, rows).name(_BASE + 0x1000) == f"{_BASE + 0x1000:#x}"


def test_no_names_at_all(tmp_path: Path) -> None:
    assert read_names(tmp_path) == ((), ())
    write_image_names(tmp_path / "empty.npz", [], [])
    names = ImageNames(tmp_path / "empty.npz")
    assert (names.find(5), names.line_at(5, begins=False)) == (None, None)
