# SPDX-License-Identifier: Apache-2.0
"""The kernel's unwind table holds what its own walker (guest/seh/cfi.c) knows, and has every exported routine."""

from __future__ import annotations

import io

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from dirql.guest import artifacts
from dirql.guest.image import KernelImage

UNDERSTOOD = {0x00, 0x02, 0x03, 0x04, 0x07, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x11}
"""Beside the three whose operand lies in the instruction: advance_loc, offset, restore."""
REMEMBER, RESTORE = 0x0A, 0x0B
REGISTERS = 17
DEPTH = 4
WITHOUT_FRAMES = {"KeBugCheckEx"}
"""Never left by an exception."""


@pytest.fixture(scope="module")
def entries() -> list[FDE]:
    elf = ELFFile(io.BytesIO(artifacts.kernel().read_bytes()))
    return [entry for entry in elf.get_dwarf_info().EH_CFI_entries() if isinstance(entry, FDE)]


def test_every_instruction_is_one_that_the_walker_knows(entries: list[FDE]) -> None:
    assert len(entries) > 500
    for entry in entries:
        assert entry.cie is not None
        assert entry.cie.augmentation_dict["FDE_encoding"] == 0x1B
        assert entry.cie["return_address_register"] == REGISTERS - 1
        depth = 0
        for instruction in (*entry.cie.instructions, *entry.instructions):
            opcode = instruction.opcode
            assert opcode >= 0x40 or opcode in UNDERSTOOD, f"{entry['initial_location']:#x}: {opcode:#x}"
            depth += (opcode == REMEMBER) - (opcode == RESTORE)
            assert depth <= DEPTH


def test_every_exported_routine_has_an_entry(entries: list[FDE]) -> None:
    kernel = KernelImage(artifacts.kernel())
    covered = {entry["initial_location"] for entry in entries}
    text = range(kernel.address("KiTextStart"), kernel.address("KiTextEnd"))
    routines = {name: kernel.symbols[name][0] for name in kernel.exports if name in kernel.symbols}
    missing = {name for name, at in routines.items() if at in text and at not in covered}
    assert missing <= WITHOUT_FRAMES
