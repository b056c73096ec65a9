# SPDX-License-Identifier: Apache-2.0
"""Drivers that a test makes itself: from source, with the compiler and flags of every driver."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from dirql.driverkit.toolchain import compiler, flags, headers
from dirql.guest import artifacts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def build_driver(
    folder: Path,
    name: str,
    source: str,
    *,
    exports: str = "",
    uses: Sequence[Path] = (),
    options: Sequence[str] = (),
    strip: bool = False,
) -> Path:
    """Build NAME.sys.

    Args:
        folder: where to.
        name: without `.sys`.
        source: in C.
        exports: what it exports: the lines of a module-definition file after EXPORTS.
        uses: import libraries of other drivers.
        options: more for the compiler.
        strip: without debug information and symbols, as other compilers' drivers come.

    Returns:
        The image.
    """
    code, image, definition = (folder / f"{name}.{kind}" for kind in ("c", "sys", "def"))
    code.write_text(source, encoding="utf-8")
    inputs = [str(code)]
    if exports:
        definition.write_text(f'LIBRARY "{name}.sys"\nEXPORTS\n{exports}\n', encoding="ascii")
        inputs.append(str(definition))
    libraries = [*(str(library) for library in uses), f"-L{artifacts.build_folder() / 'lib'}", *flags("libraries")]
    command = [compiler(), *flags("compile"), *headers(), *flags("link"), *options, *inputs, "-o", str(image)]
    subprocess.run([*command, *libraries], check=True)
    if strip:
        subprocess.run(["x86_64-w64-mingw32-strip", str(image)], check=True)
    return image


def import_library(folder: Path, name: str, exports: str) -> Path:
    """Make the library that drivers link with which import from NAME.sys."""
    definition, library = folder / f"{name}-imports.def", folder / f"lib{name}.a"
    definition.write_text(f'LIBRARY "{name}.sys"\nEXPORTS\n{exports}\n', encoding="ascii")
    subprocess.run(
        ["x86_64-w64-mingw32-dlltool", "--input-def", str(definition), "--output-lib", str(library)], check=True
    )
    return library
