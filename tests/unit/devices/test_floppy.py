# SPDX-License-Identifier: Apache-2.0
"""The floppy as the command line has it, and its medium on the host's side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.devices.floppy import FLOPPY_BYTES, Floppy
from dirql.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_medium_is_a_copy_of_the_image_and_stays_when_the_device_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"\x5a" * FLOPPY_BYTES)
    floppy = Floppy(path)
    path.write_bytes(b"")
    floppy.close()
    floppy.close()
    assert floppy.data == b"\x5a" * FLOPPY_BYTES


def test_the_drive_has_its_medium_on_the_command_line_or_none() -> None:
    full, empty = Floppy(bytes(FLOPPY_BYTES), name="a", read_only=True), Floppy(None, name="b")
    assert "floppy,id=a,bus=a-controller.0,unit=0,drive-type=144,drive=a-medium" in full.arguments([7])
    assert sum("read-only=on" in word for word in full.arguments([7])) == 2
    assert any("/proc/self/fd/7" in word for word in full.arguments([7]))
    assert "floppy,id=b,bus=b-controller.0,unit=0,drive-type=144" in empty.arguments([7])
    for floppy in (full, empty):
        floppy.close()


def test_other_sizes_missing_files_and_changes_without_a_machine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1474560 bytes; this image has 512"):
        Floppy(bytes(512))
    with pytest.raises(UsageError, match="No such file"):
        Floppy(tmp_path / "none")
    floppy = Floppy(None)
    with pytest.raises(UsageError, match="does not run"):
        floppy.insert(bytes(FLOPPY_BYTES))
    with pytest.raises(UsageError, match="does not run"):
        floppy.eject()
    floppy.close()
