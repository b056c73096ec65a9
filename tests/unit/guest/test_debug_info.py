# SPDX-License-Identifier: Apache-2.0
"""Layouts, enumerations, functions, variables and lines, read from what compilers wrote."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from dirql.errors import BuildError
from dirql.guest.dwarf import read_debug_info, read_lines
from dirql.guest.image import DriverImage
from dirql.guest.layout import DebugInfo, Field, Variable
from tests.unit.guest.conftest import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.guest.dwarf import Line


def of_elf(path: Path) -> tuple[DebugInfo, list[Line]]:
    dwarf = ELFFile(io.BytesIO(path.read_bytes())).get_dwarf_info()
    return read_debug_info(dwarf), read_lines(dwarf)


@pytest.fixture(params=["elf", "sys"])
def image(request: pytest.FixtureRequest) -> tuple[DebugInfo, list[Line]]:
    path: Path = request.getfixturevalue(request.param)
    if request.param == "elf":
        return of_elf(path)
    driver = DriverImage(path)
    return driver.debug, driver.lines


Image = tuple[DebugInfo, "list[Line]"]


def test_layouts(image: Image) -> None:
    shape = image[0].structure("SHAPE")
    assert shape.size == 112
    assert shape.fields == {
        "Name": Field(0, 10, 10),
        "Area": Field(16, 8),
        "Corner": Field(24, 12, 3, "POINT"),
        "Flags": Field(36, 4),
        "Low": Field(36, 1),
        "High": Field(37, 1),
        "Next": Field(40, 8),
        "Draw": Field(48, 8),
        "Colour": Field(56, 4),
        "Matrix": Field(64, 48, 6),
    }
    assert shape.field("Corner").stride == 4
    assert shape.field("Matrix").stride == 8
    assert shape.field("Area").stride == 8
    assert shape.places["Corner"] == (24, 12)


def test_enumerations(image: Image) -> None:
    assert image[0].enumeration("COLOUR") == {"Red": 1, "Green": 2, "Blue": 40}


def test_variables(image: Image) -> None:
    debug, _ = image
    assert {name: debug.variable(name).structure for name in ("Shape", "Shapes", "Word", "Declared", "Origin")} == {
        "Shape": "SHAPE",
        "Shapes": "SHAPE",
        "Word": "",
        "Declared": "POINT",
        "Origin": "POINT",
    }
    addresses = [debug.variable(name).address for name in ("Shape", "Shapes", "Word", "Declared", "Origin")]
    assert len(set(addresses)) == 5
    assert min(addresses) > 0x1000
    assert "local" not in debug.variables  # it moves
    assert "x" not in debug.variables


def test_variables_are_where_the_symbol_table_says(elf: Path) -> None:
    debug, _ = of_elf(elf)
    table = ELFFile(io.BytesIO(elf.read_bytes())).get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    for name in ("Shape", "Shapes", "Word", "Declared"):
        symbols = table.get_symbol_by_name(name)
        assert symbols
        assert debug.variable(name).address == symbols[0]["st_value"]


def test_functions_and_lines(image: Image) -> None:
    debug, lines = image
    ((start, size, name),) = [function for function in debug.functions if function[2] == "Area"]
    assert name == "Area"
    assert size > 0
    inside = [line for line in lines if start <= line[0] < start + size]
    assert all(file.endswith("shape.c") and "/./" not in file for _, file, _ in inside)
    assert any("line 29" in SOURCE.splitlines()[number - 1] for _, _, number in inside if number)
    assert lines == sorted(lines, key=lambda line: (line[0], line[2] != 0))
    assert any(number == 0 for _, _, number in lines)  # the run of addresses ends somewhere


def test_what_is_not_there_is_named(image: Image) -> None:
    debug, _ = image
    with pytest.raises(BuildError, match="has no structure NOTHING; build it with -g"):
        debug.structure("NOTHING")
    with pytest.raises(BuildError, match="has no enumeration NOTHING; build it with -g"):
        debug.enumeration("NOTHING")
    with pytest.raises(BuildError, match="has no variable Nothing; build it with -g"):
        debug.variable("Nothing")
    with pytest.raises(BuildError, match="POINT has no field Z in this image"):
        debug.structure("POINT").field("Z")


def test_json_and_back(image: Image) -> None:
    debug, _ = image
    again = DebugInfo.from_json(json.loads(json.dumps(debug.to_json())))
    assert again == debug
    assert again.variable("Word") == Variable(debug.variable("Word").address)
