# SPDX-License-Identifier: Apache-2.0
"""What the DDK's headers declare and what of it the kernel has; the committed table; `dirql exports`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dirql.cli.exports import exports
from dirql.driverkit.headers import Routine, documented_routines, mingw_version, standings
from dirql.guest import artifacts
from dirql.guest.image import KernelImage
from dirql.report.exports import exports_page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "exports.md"


@pytest.fixture(scope="module")
def kernel() -> KernelImage:
    return KernelImage(artifacts.kernel())


@pytest.fixture(scope="module")
def routines() -> dict[str, Routine]:
    return {routine.name: routine for routine in documented_routines()}


def test_the_compiler_finds_functions_inlines_and_macros(routines: dict[str, Routine]) -> None:
    assert routines["KeSetEvent"] == Routine("KeSetEvent", "wdm.h", "function")
    assert routines["IoGetCurrentIrpStackLocation"].form == "inline"
    assert routines["RtlStringCbCopyA"] == Routine("RtlStringCbCopyA", "ntstrsafe.h", "inline")
    assert routines["KeAcquireSpinLock"].uses == ("KeAcquireSpinLockRaiseToDpc",)
    assert routines["ExReleaseSpinLock"].uses == ("KeReleaseSpinLock",)
    assert routines["ExAllocatePool2"].header == "pool2.h"
    assert not {"memcpy", "printf", "STATUS_SUCCESS"} & set(routines)


def test_a_state_is_what_the_kernel_has(routines: dict[str, Routine], kernel: KernelImage) -> None:
    wanted = {name: routines[name] for name in ("KeSetEvent", "MmMapLockedPages", "CcCopyRead", "KeAcquireSpinLock")}
    found = {each.routine.name: each for each in standings(wanted.values(), kernel)}
    assert {name: each.state for name, each in found.items()} == {
        "KeSetEvent": "in",
        "MmMapLockedPages": "partial",
        "CcCopyRead": "out",
        "KeAcquireSpinLock": "in",
    }
    assert "user mode" in found["MmMapLockedPages"].note
    (lacking,) = standings([Routine("Some", "wdm.h", "macro", ("CcCopyRead", "KeSetEvent"))], kernel)
    assert (lacking.state, lacking.note) == ("out", "macro: CcCopyRead")


def test_the_committed_table_is_what_the_tool_says_now(routines: dict[str, Routine], kernel: KernelImage) -> None:
    version, committed = mingw_version(), PAGE.read_text(encoding="utf-8")
    if f"of mingw-w64 {version} " not in committed:
        pytest.skip(f"the table was made with other headers than those of mingw-w64 {version}")
    page = exports_page(standings(routines.values(), kernel), kernel, version)
    assert page.splitlines() == committed.splitlines(), "`make docs` writes docs/exports.md anew"


def test_the_list_names_and_filters() -> None:
    run = CliRunner().invoke
    everything = run(exports, []).output.splitlines()
    assert "KeSetEvent" in everything
    assert everything == sorted(everything)
    assert set(run(exports, ["mm*mdl", "KeSetEvent"]).output.splitlines()) >= {"MmSizeOfMdl", "KeSetEvent"}
    partial = run(exports, ["--partial", "MmMapLockedPages"]).output
    assert partial == "MmMapLockedPages  (partial: a mapping for user mode is refused)\n"
    assert json.loads(run(exports, ["--json", "KeSetEvent"]).output) == [{"name": "KeSetEvent", "partial": None}]


def test_missing_tells_what_a_binary_lacks() -> None:
    run = CliRunner().invoke
    bad, good = str(artifacts.driver("badimport.sys")), str(artifacts.driver("doorbell.sys"))
    lacking = run(exports, ["--missing", bad], standalone_mode=False)
    assert "missing: ntoskrnl.exe!FsRtlDoesNameContainWildCards" in lacking.output
    assert lacking.return_value == 1
    whole = run(exports, ["--missing", good, "--json"], standalone_mode=False)
    assert json.loads(whole.output)["missing"] == []
    assert whole.return_value == 0
