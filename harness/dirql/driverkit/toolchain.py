# SPDX-License-Identifier: Apache-2.0
"""The compiler that builds drivers, its headers, and its flags: those of `mk/driver.flags`, word for word."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from dirql.errors import BuildError
from dirql.guest import artifacts

COMPILER = "x86_64-w64-mingw32-gcc"
_PACKAGES = "gcc-mingw-w64-x86-64-win32 mingw-w64-common"
_DDK_FOLDERS = tuple(
    Path(folder)
    for folder in (
        "/usr/share/mingw-w64/include/ddk",
        "/usr/x86_64-w64-mingw32/include/ddk",
        "/usr/x86_64-w64-mingw32/sys-root/mingw/include/ddk",
    )
)


def compiler() -> str:
    """Return the compiler's path.

    Raises:
        BuildError: it is not installed; the text says how to get it.
    """
    found = shutil.which(COMPILER)
    if found is None:
        raise BuildError(
            f"{COMPILER} is not on PATH; drivers are built with mingw-w64, on Debian: apt-get install {_PACKAGES}"
        )
    return found


def ddk() -> Path:
    """Return the folder of the DDK's headers.

    Raises:
        BuildError: they are not installed; the text says how to get them.
    """
    for folder in _DDK_FOLDERS:
        if (folder / "ntddk.h").is_file():
            return folder
    raise BuildError(
        f"the DDK headers of mingw-w64 are not here ({_DDK_FOLDERS[0]}/ntddk.h); on Debian: apt-get install {_PACKAGES}"
    )


def headers() -> list[str]:
    """Return the options that name the folders of headers: dirql's for drivers, then the DDK's.

    Raises:
        BuildError: one of them is not there.
    """
    return ["-isystem", str(artifacts.driver_headers()), "-isystem", str(ddk())]


@cache
def flags(purpose: str) -> tuple[str, ...]:
    """Return the flags for a purpose.

    Args:
        purpose: a first word of `driver.flags`: `compile`, `warn`, `link` or `libraries`.

    Raises:
        BuildError: dirql has not been built.
    """
    lines = artifacts.driver_flags().read_text(encoding="utf-8").splitlines()
    return tuple(
        flag for line in lines for word, *options in [line.split() or [""]] if word == purpose for flag in options
    )
