# SPDX-License-Identifier: Apache-2.0
"""Write guest/rtl/casetable.h: Unicode's simple case mappings of the Basic Multilingual Plane, in runs.

A run is characters at one distance from their mapping, each or every other one. What maps into or out of ASCII is left
out, as is what becomes several characters. Usage: tools/case_table.py FILE
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADER = """/* SPDX-License-Identifier: Apache-2.0 */
/* Case mappings of Unicode {version}, ASCII excepted. Made by tools/case_table.py: change that, not this. */
#pragma once

#include "../include/ddk.h"

typedef struct _CASE_RUN {{
    WCHAR First, Last;
    USHORT Step;  /* 1: each character from First to Last; 2: every other one */
    USHORT Delta; /* to the mapping, modulo 2^16 */
}} CASE_RUN;

/* clang-format off */
"""


def runs(mapped: Callable[[str], str]) -> list[list[int]]:
    """Return [first, last, step, delta] of each run of characters that a function maps, in order."""
    found: list[list[int]] = []
    for code in range(0x80, 0x10000):
        other = mapped(chr(code))
        if len(other) != 1 or not 0x80 <= ord(other) < 0x10000 or ord(other) == code:
            continue
        delta = (ord(other) - code) % 0x10000
        if found and found[-1][3] == delta:
            first, last, step, _ = found[-1]
            gap = code - last
            if gap == step or (first == last and gap in {1, 2}):
                found[-1][1:3] = [code, gap]
                continue
        found.append([code, code, 1, delta])
    return found


def table(name: str, mapped: Callable[[str], str]) -> str:
    """Return a table as C."""
    entries = [f"{{0x{f:04x}, 0x{last:04x}, {step}, 0x{delta:04x}}}," for f, last, step, delta in runs(mapped)]
    lines = ["    " + " ".join(entries[at : at + 4]) for at in range(0, len(entries), 4)]
    return "\n".join([f"static const CASE_RUN {name}[] = {{", *lines, "};\n"])


def main() -> None:
    """Write the file."""
    text = _HEADER.format(version=unicodedata.unidata_version)
    text += table("CaseUpper", str.upper) + "\n" + table("CaseLower", str.lower) + "/* clang-format on */\n"
    Path(sys.argv[1]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
