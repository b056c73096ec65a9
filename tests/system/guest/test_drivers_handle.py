# SPDX-License-Identifier: Apache-2.0
"""Drivers with unwind tables, as users build them: mingw's own `__try1`, frames without frame pointers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dirql.driverkit.build import build
from dirql.errors import GuestBugCheck
from dirql.machine import Machine
from tests.system.guest.building import build_driver

SEH = Path(__file__).resolve().parents[2] / "target" / "seh.c"

TRY1 = """
#include <ntddk.h>
#include <excpt.h>
static volatile ULONG Value;
static volatile NTSTATUS Code;
static __attribute__((used)) LONG Filter(PEXCEPTION_POINTERS Pointers) {
    Code = Pointers->ExceptionRecord->ExceptionCode;
    return EXCEPTION_EXECUTE_HANDLER;
}
static DECLSPEC_NOINLINE BOOLEAN Faults(volatile ULONG *Address) {
    volatile BOOLEAN fault = TRUE;
    __try1(Filter);
    Value = *Address;
    fault = FALSE;
    __except1;
    return fault;
}
static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }
DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    ULONG here = 5;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    if (Faults(&here) || Value != 5 || Code != 0) return STATUS_UNSUCCESSFUL;
    return Faults((ULONG *)8) && Code == STATUS_ACCESS_VIOLATION ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
"""

CASES = (
    *("each_exception_finds_its_handler", "termination_handlers_run_after_the_filters"),
    *("what_the_kernel_raises_leaves_the_registers_whole", "a_filter_has_the_instruction_tried_again"),
    *("a_filter_may_fault_itself", "a_termination_handler_raises_another", "a_dpc_handles_its_exception"),
)


def test_the_form_of_mingws_own_header(tmp_path: Path) -> None:
    (tmp_path / "tries.c").write_text(TRY1, encoding="utf-8")
    with Machine(cpus=1) as machine:
        machine.load(build(tmp_path / "tries.c")).unload()


@pytest.mark.parametrize("options", [["-fomit-frame-pointer"], ["-O0", "-fno-inline"]], ids=" ".join)
def test_frames_as_other_compilers_make_them(tmp_path: Path, options: list[str]) -> None:
    flags = ["-fasynchronous-unwind-tables", f"-I{SEH.parent}", *options]
    image = build_driver(tmp_path, "frames", f'#include "{SEH}"\n', options=flags)
    with Machine(cpus=2) as machine:
        driver = machine.load(image)
        for case in CASES:
            driver.run(f"target_run_{case}")
        driver.unload()


DEEP = """
#include <ntddk.h>
static volatile ULONG Value;
#define LEVEL(name, next)                                                  \\
    DECLSPEC_NOINLINE ULONG name(ULONG depth) {                            \\
        volatile ULONG local[40];                                          \\
        local[depth % 40] = depth;                                         \\
        return next(depth) + local[depth % 40];                            \\
    }
DECLSPEC_NOINLINE ULONG Innermost(ULONG depth) { return *(volatile ULONG *)(ULONG_PTR)depth; }
LEVEL(Third, Innermost)
LEVEL(Second, Third)
LEVEL(First, Second)
VOID NTAPI Begin(PVOID Context) { Value = First((ULONG)(ULONG_PTR)Context) + 1; }
static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }
DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
"""


@pytest.mark.parametrize("strip", [False, True], ids=["debug information", "stripped"])
def test_a_stack_of_frames_without_frame_pointers(tmp_path: Path, *, strip: bool) -> None:
    flags = ["-fasynchronous-unwind-tables", "-fomit-frame-pointer"]
    names = "First\nSecond\nThird\nInnermost\nBegin"
    image = build_driver(tmp_path, "deep", DEEP, exports=names, options=flags, strip=strip)
    with Machine(cpus=1) as machine:
        driver = machine.load(image)
        with pytest.raises(GuestBugCheck) as caught:
            driver.run("Begin", 8)
        stack = " ".join((caught.value.cpus[0].where, *caught.value.cpus[0].stack))
        places = [stack.index(f"deep.sys!{name}+") for name in ("Innermost", "Third", "Second", "First", "Begin")]
        assert places == sorted(places)
        assert stack.index("!RunThread") > places[-1]
