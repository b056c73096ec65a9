# SPDX-License-Identifier: Apache-2.0
"""Control codes, names of devices, names of statuses, counts that differ, IRPs in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dirql import IrpState, ctl_code
from dirql.errors import UsageError
from dirql.guest.ntstatus import ntstatus_code, ntstatus_name, ntstatus_symbol
from dirql.handles import FILE_READ_ACCESS, METHOD_NEITHER, full_name
from dirql.inventory import Inventory
from dirql.irps import MAJORS

HEADERS = Path("/usr/share/mingw-w64/include")


def test_control_codes_are_those_of_the_headers() -> None:
    assert ctl_code(0x22, 0x800) == 0x222000
    assert ctl_code(0x8000, 0xFFF, METHOD_NEITHER, FILE_READ_ACCESS) == 0x80007FFF
    for wrong in ((0x1_0000, 0), (0, 0x1000), (0, 0, 4), (0, 0, 0, 4), (-1, 0)):
        with pytest.raises(UsageError, match="a control code's"):
            ctl_code(*wrong)


def test_names_of_devices() -> None:
    assert full_name(r"\\.\Echo") == r"\??\Echo"
    assert full_name(r"\\?\Echo") == r"\??\Echo"
    assert full_name(r"\Device\Echo") == r"\Device\Echo"
    with pytest.raises(UsageError, match="opened as"):
        full_name("Echo")


def test_names_of_statuses() -> None:
    assert ntstatus_symbol(0xC0000120) == "STATUS_CANCELLED"
    assert ntstatus_symbol(-1073741536) == "STATUS_CANCELLED"  # as a signed number
    assert ntstatus_name(0x103) == "STATUS_PENDING (0x00000103)"
    assert ntstatus_symbol(0xE0001234) == "NTSTATUS 0xe0001234"
    assert ntstatus_code("STATUS_BUFFER_OVERFLOW") == 0x80000005
    with pytest.raises(KeyError):
        ntstatus_code("STATUS_NO_SUCH_THING")


def test_names_of_statuses_are_those_of_the_headers() -> None:
    text = (HEADERS / "ntstatus.h").read_text(encoding="utf-8", errors="replace")
    defined = re.findall(r"#define\s+(STATUS_\w+)\s+\(\(NTSTATUS\)\s*(0x[0-9A-Fa-f]+)", text)
    assert len(defined) > 1000
    known = {name: number for name, value in defined if (number := int(value, 16)) >> 16 & 0xFFF == 0}
    assert sum(ntstatus_symbol(number) == name for name, number in known.items()) >= len(set(known.values()))


def test_names_of_major_functions_are_those_of_the_headers() -> None:
    text = (HEADERS / "ddk" / "wdm.h").read_text(encoding="utf-8", errors="replace")
    defined = dict(re.findall(r"#define IRP_MJ_(\w+)\s+(0x[0-9a-fA-F]{2})\s", text))
    assert {name: int(defined[name], 16) for name in MAJORS} == {name: at for at, name in enumerate(MAJORS)}


def test_inventories_that_differ() -> None:
    before = Inventory({"Threads": 3, "Timers": 0}, {("Irp ", "nonpaged"): 2, ("Gone", "paged"): 1}, 100)
    same = Inventory({"Threads": 3, "Timers": 0}, {("Irp ", "nonpaged"): 2, ("Gone", "paged"): 1}, 90)
    other = Inventory({"Threads": 4, "Timers": 0}, {("Irp ", "nonpaged"): 2, ("New ", "paged"): 5}, 100)
    assert before == same
    assert hash(before) == hash(same)
    assert same.difference(before) == {}
    assert other != before
    assert other.difference(before) == {"Threads": (3, 4), "paged pool 'Gone'": (1, 0), "paged pool 'New '": (0, 5)}
    assert before != 5


def test_irps_in_words() -> None:
    assert str(IrpState("read of X", "Posted", 2)) == "read of X: no thread of CPU 2 has taken it yet"
    assert str(IrpState("open of X", "Started", 2)) == "open of X: the driver's routine has not returned on CPU 2"
    kept = IrpState("read of X", "Returned", 0, 0x1000, "IRP_MJ_READ", 1, 2, r"\Driver\x", 0x2000, pending=True)
    assert str(kept) == (
        r"read of X: \Driver\x keeps it (device 0x2000): IRP 0x1000, IRP_MJ_READ at stack location 1 of 2, "
        "marked pending, not cancelled, no cancel routine"
    )
