# SPDX-License-Identifier: Apache-2.0
"""Finds the mutants in the guest's sources, MUTANT(Name, "CLAUSE ...", "what is wrong"), and builds their kernels."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dirql.errors import BuildError
from dirql.guest.cache import cached
from dirql.guest.image import KernelImage

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = CHECKOUT / "guest"

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_MUTANT = re.compile(rf"\bMUTANT\(\s*(\w+)\s*,\s*{_TEXT}\s*,\s*((?:{_TEXT}\s*)+)\)")
_USE = re.compile(r"\bMUTANT\(")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_DEFINES = "include/mutant.h"
_OUTER_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")


@dataclass(frozen=True)
class Mutant:
    """A rule broken on purpose.

    Attributes:
        name: its switch.
        clauses: what it breaks.
        text: what is wrong with it.
        sources: the files that know it, from the checkout.
    """

    name: str
    clauses: tuple[str, ...]
    text: str
    sources: tuple[str, ...]


def find_mutants(folder: Path = SOURCES) -> tuple[Mutant, ...]:
    """Return the mutants of some sources, by name.

    Raises:
        BuildError: one is not written as it must be, or two differ under one name.
    """
    found: dict[str, Mutant] = {}
    for path in sorted(folder.rglob("*.[ch]")):
        if path.as_posix().endswith(_DEFINES):
            continue
        text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
        uses = _MUTANT.findall(text)
        if len(uses) != len(_USE.findall(text)):
            raise BuildError(f'{path}: a mutant is not written MUTANT(Name, "CLAUSE", "what is wrong")')
        source = path.relative_to(folder.parent).as_posix()
        for name, clauses, said, _ in uses:
            what = "".join(re.findall(_TEXT, said))
            known = found.get(name)
            if known is None:
                found[name] = Mutant(name, tuple(clauses.split()), what, (source,))
            elif (known.clauses, known.text) != (tuple(clauses.split()), what):
                raise BuildError(f"{path}: the mutant {name} is described otherwise in {', '.join(known.sources)}")
            elif source not in known.sources:
                found[name] = Mutant(name, known.clauses, known.text, (*known.sources, source))
    return tuple(found[name] for name in sorted(found))


def build(mutant: Mutant, checkout: Path = CHECKOUT) -> Path:
    """Build a mutant's kernel; the normal one must have been built.

    Returns:
        The kernel's file.

    Raises:
        BuildError: it cannot be compiled; the text has what the compiler said.
    """
    sources = mutant.sources
    if any(source.endswith(".h") for source in sources):
        sources = tuple(path.relative_to(checkout).as_posix() for path in sorted((checkout / "guest").rglob("*.c")))
    kernel = Path("build/mutants") / mutant.name / "dirql-guest.elf"
    environment = {name: value for name, value in os.environ.items() if name not in _OUTER_MAKE}
    command = ["make", "-s", "-j2", str(kernel), f"MUTANT={mutant.name}", f"MUTANT_SOURCES={' '.join(sources)}"]
    done = subprocess.run(
        command, cwd=checkout, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"the mutant {mutant.name} cannot be built:\n{done.stdout}{done.stderr}".rstrip())
    return checkout / kernel


def borrow_debug(kernel: Path, normal: KernelImage) -> None:
    """Let a mutant's kernel have the structures of the normal one, and no line numbers: that saves seconds for each.

    A switch changes code, not data; names of functions come from the symbol table, which is the mutant's own.
    """
    identity = KernelImage(kernel).identity
    cached(identity, "debug", normal.debug.to_json)
    cached(identity, "lines", list)
