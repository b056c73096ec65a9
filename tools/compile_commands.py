#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write compile_commands.json: how clang's tools are to read each C file that gcc and mingw-w64's gcc build.

The makefiles hand over, in the environment, what they compile with: for each unit below, DIRQL_<UNIT>_CFLAGS (quoted as
for a shell) and DIRQL_<UNIT>_SOURCES. The standard library only, for it runs before the virtual environment exists.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

# Options of gcc that clang does not know, and what says the same to clang. The Microsoft calling convention matters to
# code, not to its reading. Of Microsoft's extensions the DDK's headers need unnamed members; clang's full set would
# declare intrinsic functions that the guest defines. Of __declspec clang is told, for it must know what never returns.
IN_CLANG = {
    "-mabi=ms": (),
    "-fms-extensions": ("-fms-anonymous-structs", "-Wno-microsoft-anon-tag"),
    "-D__declspec(x)=": ("-D__declspec(x)=__attribute__((x))",),
    "-fno-aggressive-loop-optimizations": (),
    "-fno-tree-loop-distribute-patterns": (),
    "--param=min-pagesize=0": (),
}


@dataclass(frozen=True)
class Unit:
    """Sources that are compiled alike.

    Attributes:
        name: as in the names of the environment variables.
        arguments: what clang is told besides the flags.
    """

    name: str
    arguments: tuple[str, ...]


ELF = "--target=x86_64-unknown-none-elf"
UNITS = (
    Unit("FIRMWARE", (ELF,)),
    # Functions that the guest defines under names which clang keeps to itself.
    Unit("GUEST", (ELF, "-D_mm_pause=guest_mm_pause", "-D__rdtsc=guest_rdtsc")),
    Unit("DRIVER", ("--target=x86_64-w64-mingw32",)),
)


def for_clang(flags: list[str]) -> list[str]:
    """Say in clang's words what `flags` say in gcc's.

    Args:
        flags: arguments of gcc.

    Returns:
        Arguments of clang.
    """
    return [word for flag in flags for word in IN_CLANG.get(flag, (flag,))]


def entries(unit: Unit, environment: dict[str, str], folder: Path) -> list[dict[str, object]]:
    """List one unit's part of the database.

    Args:
        unit: the unit.
        environment: where its flags and sources are.
        folder: the checkout; sources and the paths in flags are relative to it.

    Returns:
        One entry for each C source; assembly is left out.
    """
    flags = for_clang(shlex.split(environment.get(f"DIRQL_{unit.name}_CFLAGS", "")))
    sources = environment.get(f"DIRQL_{unit.name}_SOURCES", "").split()
    return [
        {"directory": str(folder), "file": source, "arguments": ["clang", *unit.arguments, *flags, "-c", source]}
        for source in sources
        if source.endswith(".c")
    ]


def main() -> None:
    """Write the file that the only argument names."""
    folder = Path.cwd()
    database = [entry for unit in UNITS for entry in entries(unit, dict(os.environ), folder)]
    Path(sys.argv[1]).write_text(json.dumps(database, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
