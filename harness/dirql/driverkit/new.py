# SPDX-License-Identifier: Apache-2.0
"""A new driver from the template: a small, complete WDM driver for the doorbell device, with its tests."""

from __future__ import annotations

import re
from pathlib import Path

from dirql.errors import UsageError

TEMPLATE = Path(__file__).with_name("template")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,23}")
_WORD = "sample"
"""What the driver of the template is called: in files, names of files, routines (Sample...) and macros (SAMPLE_...)."""


def new_driver(name: str, into: Path) -> list[Path]:
    """Make a folder `NAME` with a driver, its test and a page.

    Args:
        name: of the driver: its image is `NAME.sys`, its device is opened by that name.
        into: the folder that the new one is made in.

    Returns:
        The new files.

    Raises:
        UsageError: this is no name for a driver, the folder exists already, or cannot be written.
    """
    if not _NAME.fullmatch(name) or _WORD in name:
        raise UsageError(
            f"{name!r} is no name for a driver: a small letter, then small letters, digits and _, at most 24 in all, "
            f"and no {_WORD!r} in it"
        )
    folder = into / name
    if folder.exists():
        raise UsageError(f"{folder} exists already; nothing in it was touched: give another name, or another --into")
    made: list[Path] = []
    try:
        folder.mkdir(parents=True)
        for source in sorted(TEMPLATE.iterdir()):
            if source.is_file():
                path = folder / source.name.replace(_WORD, name)
                path.write_text(_renamed(source.read_text(encoding="utf-8"), name), encoding="utf-8")
                made.append(path)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error
    return made


def _renamed(text: str, name: str) -> str:
    for form in (str.lower, str.capitalize, str.upper):
        text = text.replace(form(_WORD), form(name))
    return text
