# SPDX-License-Identifier: Apache-2.0
"""Where the built things are.

`$DIRQL_BUILD`, else `build/` of the checkout that this package was installed from, else those that the package brought
along (`make wheel`).
"""

from __future__ import annotations

import os
from pathlib import Path

from dirql.errors import BuildError


def build_folder() -> Path:
    """Return the folder of built images."""
    given = os.environ.get("DIRQL_BUILD")
    if given:
        return Path(given)
    brought = Path(__file__).resolve().parents[1] / "built"
    return brought if brought.is_dir() else Path(__file__).resolve().parents[3] / "build"


def _built(*parts: str) -> Path:
    path = build_folder().joinpath(*parts)
    if not path.is_file():
        raise BuildError(
            f"{path} has not been built; run `make build` in the checkout, or set DIRQL_BUILD to its build/"
        )
    return path


def rom() -> Path:
    """Return the boot ROM. Raises BuildError if it has not been built."""
    return _built("firmware", "dirql-rom.bin")


def kernel() -> Path:
    """Return the guest's kernel. Raises BuildError if it has not been built."""
    return _built("guest", "dirql-guest.elf")


def driver_headers() -> Path:
    """Return the folder of dirql's headers for drivers. Raises BuildError if it has not been built."""
    return _built("driverkit", "include", "dirql.h").parent


def driver_flags() -> Path:
    """Return the file of compiler and linker flags for drivers. Raises BuildError if it has not been built."""
    return _built("driverkit", "driver.flags")


def driver_library() -> Path:
    """Return the folder of the import library. Raises BuildError if it has not been built."""
    return _built("lib", "libdirql.a").parent


def driver(name: str) -> Path:
    """Return a driver: a path to a .sys file as it is, or the name of one that was built here, such as `doorbell.sys`.

    Raises:
        BuildError: there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    for folder in ("drivers", "target", "tests"):
        built = build_folder() / folder / path.name
        if built.is_file():
            return built
    raise BuildError(f"there is no driver {name}: neither a file of that path nor one in {build_folder()}/drivers")
