# SPDX-License-Identifier: Apache-2.0
"""Reads DWARF by pyelftools into `DebugInfo` and line tables. Slow (a large fraction of a second): see `cache`."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from dirql.guest.layout import DebugInfo, Field, Structure, Variable

if TYPE_CHECKING:
    from collections.abc import Iterator

Line = tuple[int, str, int]
"""(address as linked, file, line number); line 0 ends a run of addresses."""

_WRAPPERS = ("DW_TAG_typedef", "DW_TAG_volatile_type", "DW_TAG_const_type")
_RECORDS = ("DW_TAG_structure_type", "DW_TAG_union_type")
_ADDRESS = 0x03  # DW_OP_addr (DWARF 5, 7.7.1): an address of 8 bytes follows


def read_debug_info(dwarf: Any) -> DebugInfo:  # noqa: ANN401 (pyelftools has no types)
    """Read the layouts, functions and variables of all compilation units.

    Args:
        dwarf: pyelftools' DWARFInfo.
    """
    structures: dict[str, Structure] = {}
    enumerations: dict[str, dict[str, int]] = {}
    functions: list[tuple[int, int, str]] = []
    variables: dict[str, Variable] = {}
    data: set[tuple[int, int, str]] = set()
    for unit in dwarf.iter_CUs():
        for die in unit.iter_DIEs():
            if die.tag in _RECORDS and "DW_AT_byte_size" in die.attributes:
                name = _name(die)
                if name and name not in structures:
                    structures[name] = Structure(name, _number(die, "DW_AT_byte_size"), dict(_fields(die)))
            elif die.tag == "DW_TAG_enumeration_type":
                name = _name(die)
                if name and name not in enumerations:
                    enumerations[name] = {
                        _name(item): _number(item, "DW_AT_const_value") for item in die.iter_children()
                    }
            elif die.tag == "DW_TAG_subprogram" and "DW_AT_high_pc" in die.attributes and _described(die):
                functions.append((_number(die, "DW_AT_low_pc"), _high(die), _described(die)))
            elif die.tag == "DW_TAG_variable":
                address = _fixed_address(die)
                if address is not None:
                    field = _field(0, _stripped(die))
                    variables.setdefault(_described(die), Variable(address, field.structure))
                    data.add((address, field.size, _described(die)))
    return DebugInfo(structures, enumerations, tuple(sorted(functions)), variables, tuple(sorted(data)))


def read_lines(dwarf: Any) -> list[Line]:  # noqa: ANN401 (pyelftools has no types)
    """Read the line tables of all compilation units, in order of address.

    Args:
        dwarf: pyelftools' DWARFInfo.
    """
    lines: list[Line] = []
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        names = _file_names(program)
        for entry in program.get_entries():
            state = entry.state
            if state is not None:
                lines.append((state.address, names.get(state.file, "?"), 0 if state.end_sequence else state.line))
    lines.sort(key=lambda line: (line[0], line[2] != 0))  # the end of one run before the start of the next
    return lines


def _file_names(program: Any) -> dict[int, str]:  # noqa: ANN401
    header = program.header
    first = 0 if header.version >= 5 else 1
    directories = [_text(directory) for directory in header.include_directory]
    names: dict[int, str] = {}
    for at, entry in enumerate(header.file_entry, first):
        name = _text(entry.name)
        folder_index = entry.dir_index - (0 if header.version >= 5 else 1)
        folder = directories[folder_index] if 0 <= folder_index < len(directories) else ""
        names[at] = posixpath.normpath(posixpath.join(folder, name))
    return names


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _fields(die: Any) -> Iterator[tuple[str, Field]]:  # noqa: ANN401
    for member in die.iter_children():
        if member.tag != "DW_TAG_member":
            continue
        offset = _number(member, "DW_AT_data_member_location")
        kind = _stripped(member)
        name = _name(member)
        if kind is not None and not name and kind.tag in _RECORDS:  # anonymous: its fields stand beside ours
            for inner, field in _fields(kind):
                yield inner, Field(offset + field.offset, field.size, field.count, field.structure)
        elif name:
            yield name, _field(offset, kind)


def _field(offset: int, kind: Any) -> Field:  # noqa: ANN401
    if kind is None:
        return Field(offset, 0)
    if kind.tag == "DW_TAG_array_type":
        element = _stripped(kind)
        count = 1
        for subrange in kind.iter_children():
            if subrange.tag == "DW_TAG_subrange_type":
                count *= _number(subrange, "DW_AT_upper_bound", -1) + 1
        return Field(offset, _size(element) * count, count, _record_name(element))
    return Field(offset, _size(kind), 0, _record_name(kind))


def _size(kind: Any) -> int:  # noqa: ANN401
    if kind is None:
        return 0
    if kind.tag == "DW_TAG_pointer_type":
        return _number(kind, "DW_AT_byte_size", 8)
    return _number(kind, "DW_AT_byte_size")


def _record_name(kind: Any) -> str:  # noqa: ANN401
    return _name(kind) if kind is not None and kind.tag in _RECORDS else ""


def _fixed_address(die: Any) -> int | None:  # noqa: ANN401
    """The address of a variable; None where it has none or moves."""
    location = die.attributes.get("DW_AT_location")
    if location is None or not isinstance(location.value, list) or not _described(die):
        return None
    operation, *address = location.value
    return int.from_bytes(bytes(address), "little") if operation == _ADDRESS and len(address) == 8 else None


def _described(die: Any) -> str:  # noqa: ANN401
    """The name of a variable or function. It may stand with its declaration, or with the body that was inlined too."""
    for attribute in ("DW_AT_abstract_origin", "DW_AT_specification"):
        if attribute in die.attributes:
            die = die.get_DIE_from_attribute(attribute)
    return _name(die)


def _stripped(die: Any) -> Any:  # noqa: ANN401
    """The type of `die` without typedefs and qualifiers; None for void."""
    if "DW_AT_type" not in die.attributes and "DW_AT_specification" in die.attributes:
        die = die.get_DIE_from_attribute("DW_AT_specification")
    while "DW_AT_type" in die.attributes:
        die = die.get_DIE_from_attribute("DW_AT_type")
        if die.tag not in _WRAPPERS:
            return die
    return None


def _name(die: Any) -> str:  # noqa: ANN401
    """The name of a type or function; a structure's tag without its leading underscore, as its typedef has it."""
    if "DW_AT_name" not in die.attributes:
        return ""
    name: str = die.attributes["DW_AT_name"].value.decode("utf-8", "replace")
    is_tag = die.tag in (*_RECORDS, "DW_TAG_enumeration_type")
    return name.removeprefix("_") if is_tag else name


def _number(die: Any, attribute: str, default: int = 0) -> int:  # noqa: ANN401
    if attribute not in die.attributes:
        return default
    value = die.attributes[attribute].value
    return value if isinstance(value, int) else default


def _high(die: Any) -> int:  # noqa: ANN401
    """The size of a function: DW_AT_high_pc is one already where its form is a constant."""
    attribute = die.attributes["DW_AT_high_pc"]
    size: int = attribute.value
    return size - _number(die, "DW_AT_low_pc") if attribute.form == "DW_FORM_addr" else size
