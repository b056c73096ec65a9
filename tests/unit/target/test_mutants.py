# SPDX-License-Identifier: Apache-2.0
"""The mutants in the sources: found, and no part of the normal build."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dirql.errors import BuildError
from dirql.guest import artifacts
from tests.mutants.find import CHECKOUT, find_mutants

SNIPPET = """
#include "mutant.h"
int rule(int value) {
    %s
    return value;
}
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / "guest" / "ke" / f"{name}.c"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "guest"


def test_a_mutant_is_found_wherever_it_is_named(tmp_path: Path) -> None:
    guest = write(
        tmp_path,
        a='if (!MUTANT(Some, "SPIN-1 SYS-9", "it is\\n"\n    " wrong")) {}\n/* MUTANT(in a comment) */',
        b='x = MUTANT(Other, "DPC-2", "so") ? 1 : 2; MUTANT(Some, "SPIN-1 SYS-9", "it is\\n" " wrong")',
    )
    other, some = find_mutants(guest)
    assert (other.name, other.clauses, other.text, other.sources) == ("Other", ("DPC-2",), "so", ("guest/ke/b.c",))
    assert (some.clauses, some.sources) == (("SPIN-1", "SYS-9"), ("guest/ke/a.c", "guest/ke/b.c"))


@pytest.mark.parametrize("text", ["MUTANT(Some)", 'MUTANT(Some, "SPIN-1", text)'])
def test_a_mutant_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(BuildError, match="is not written MUTANT"):
        find_mutants(write(tmp_path, a=text))


def test_one_name_has_one_meaning(tmp_path: Path) -> None:
    guest = write(tmp_path, a='MUTANT(Some, "SPIN-1", "this")', b='MUTANT(Some, "SPIN-1", "that")')
    with pytest.raises(BuildError, match="the mutant Some is described otherwise"):
        find_mutants(guest)


def test_the_executive_has_mutants_and_the_normal_kernel_has_nothing_of_them() -> None:
    found = find_mutants()
    assert len(found) >= 30
    kernel = artifacts.kernel().read_bytes()
    for mutant in found:
        assert f"MUTANT_{mutant.name}".encode() not in kernel
        assert mutant.text.encode() not in kernel
    database = json.loads((CHECKOUT / "compile_commands.json").read_text(encoding="utf-8"))
    assert database
    assert not any("MUTANT" in json.dumps(each) for each in database)


def compiled(tmp_path: Path, body: str, *flags: str) -> bytes:
    source, output = tmp_path / "snippet.c", tmp_path / "snippet.bin"
    source.write_text(SNIPPET % body)
    command = [
        "gcc",
        "-O2",
        f"-I{CHECKOUT}/guest/include",
        *flags,
        "-c",
        "-o",
        str(tmp_path / "snippet.o"),
        str(source),
    ]
    subprocess.run(command, check=True)
    extract = ["objcopy", "-O", "binary", "-j", ".text", str(tmp_path / "snippet.o"), str(output)]
    subprocess.run(extract, check=True)
    return output.read_bytes()


def test_a_switch_that_is_off_is_no_code(tmp_path: Path) -> None:
    without = compiled(tmp_path, "")
    body = 'if (MUTANT(Some, "SPIN-1", "it adds one")) { value++; }'
    assert compiled(tmp_path, body) == without
    assert compiled(tmp_path, body, "-DMUTANT_Other=1") == without
    assert compiled(tmp_path, body, "-DMUTANT_Some=1") != without
