# SPDX-License-Identifier: Apache-2.0
"""What other compilers' images ask of their loader, in images made by hand: load configurations, late imports, INIT."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pefile
import pytest

from dirql.errors import UsageError
from dirql.guest.image import DriverImage
from dirql.machine import Machine
from tests.system.guest.building import build_driver
from tests.system.guest.test_bad_images import (
    INVALID_IMAGE_FORMAT,
    REFUSED_BY_DRIVER,
    good,
    header,
    refusal,
    replaced,
    section,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOAD_CONFIG, DELAY_IMPORT = 10, 13
LINKERS_COOKIE = 0x2B992DDFA232

CONFIGURED = """
#include <ntddk.h>
typedef struct { UCHAR Before[0x58]; ULONG64 *Cookie; UCHAR Between[0x10]; PVOID *Check; PVOID *Dispatch;
                 ULONG64 Table[2]; ULONG Flags; ULONG Rest; } CONFIG;
volatile ULONG64 Cookie = 0x2B992DDFA232;
PVOID volatile Check, Dispatch;
__attribute__((used)) CONFIG Config = {.Before = {sizeof(CONFIG)}, .Cookie = (ULONG64 *)&Cookie,
                                       .Check = (PVOID *)&Check,
                                       .Dispatch = (PVOID *)&Dispatch, .Flags = FLAGS};
static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }
static ULONG Target(ULONG Value) { return Value + 1; }
/* As such a compiler calls: check RCX, then call; or have RAX dispatched. */
static BOOLEAN Guarded(VOID) {
    ULONG64 result, target = (ULONG64)Target;
    ULONG64 kept = 41;
    __asm__ volatile("call *%%rax" : "+a"(Check), "+c"(target), "+d"(kept) : : "memory");
    if (target != (ULONG64)Target || kept != 41) return FALSE;
    __asm__ volatile("subq $32, %%rsp\\n\\tcall *%%rdx\\n\\taddq $32, %%rsp"
                     : "=a"(result) : "a"(target), "d"(Dispatch), "c"(6ull) : "r8", "r9", "r10", "r11", "memory");
    return (ULONG)result == 7;
}
DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    if (Cookie == 0x2B992DDFA232 || Cookie == 0 || Cookie >> 48 != 0) return STATUS_STACK_BUFFER_OVERRUN;
    return Config.Flags == 0 ? (Check == NULL ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL)
                             : (Guarded() ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL);
}
"""

DELAYED = """
#include <ntddk.h>
__asm__(".section .rdata\\n"
        ".globl Delay\\nDelay: .long 1\\n.rva Name\\n.rva Handle\\n.rva Slots\\n.rva Lookup\\n"
        ".long 0, 0, 0\\n.zero 32\\n"
        "Name: .asciz \\"NTOSKRNL.EXE\\"\\n.balign 8\\n"
        "Lookup: .rva Hint\\n.long 0\\n.quad 0\\n"
        "Hint: .short 0\\n.asciz \\"RtlCompareMemory\\"\\n"
        ".data\\n.balign 8\\n.globl Slots\\nSlots: .quad 0, 0\\nHandle: .quad 0\\n.text\\n");
extern ULONG Delay[];
extern SIZE_T (NTAPI *volatile Slots[])(const VOID *, const VOID *, SIZE_T);
ULONG *volatile Keep = Delay;
static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }
DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return Slots[0] != NULL && Slots[0]("abc", "abd", 3) == 2 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
"""

LARGE_FRAME = """
#include <ntddk.h>
DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    ULONG64 bytes = 12000, rax, r10 = 5, r11 = 6;
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    __asm__ volatile("movq %[five], %%r10\\n\\tmovq %[six], %%r11\\n\\tcall __chkstk\\n\\tmovq %%r10, %[five]\\n\\t"
                     "movq %%r11, %[six]" : "=a"(rax), [five] "+r"(r10), [six] "+r"(r11) : "a"(bytes)
                     : "r10", "r11", "memory");
    return rax == 12000 && r10 == 5 && r11 == 6 ? STATUS_DEVICE_CONFIGURATION_ERROR : STATUS_UNSUCCESSFUL;
}
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(cpus=1, trace_mask=0) as machine:
        yield machine


def with_directory(path: Path, index: int, at: int, size: int) -> Path:
    """Point an entry of the data directory somewhere, and return the image."""
    pe = pefile.PE(path, fast_load=True)
    directory = pe.OPTIONAL_HEADER.DATA_DIRECTORY[index]
    data = bytearray(path.read_bytes())
    struct.pack_into("<LL", data, directory.get_file_offset(), at, size)
    path.write_bytes(bytes(data))
    return path


def address(path: Path, name: str) -> int:
    """Return a global's image address, from the symbols of the file."""
    pe = pefile.PE(path, fast_load=True)
    table, count = pe.FILE_HEADER.PointerToSymbolTable, pe.FILE_HEADER.NumberOfSymbols
    data = path.read_bytes()
    at = 0
    while at < count:
        entry = data[table + 18 * at : table + 18 * at + 18]
        label, value, number, _, _, extra = struct.unpack("<8sLhHBB", entry)
        if label.rstrip(b"\0") == name.encode():
            return int(pe.sections[number - 1].VirtualAddress + value)
        at += 1 + extra
    raise AssertionError(name)


@pytest.mark.parametrize("flags", ["0x100", "0"], ids=["guarded", "cookie only"])
def test_a_load_configuration(machine: Machine, tmp_path: Path, flags: str) -> None:
    image = build_driver(tmp_path, "configured", CONFIGURED.replace("FLAGS", flags))
    with pytest.raises(UsageError, match="STATUS_STACK_BUFFER_OVERRUN"):  # nobody has asked the loader
        machine.load(image)
    driver = machine.load(with_directory(image, LOAD_CONFIG, address(image, "Config"), 0x94))
    cookie = driver.image.debug.variable("Cookie").address - driver.image.link_base + driver.base
    assert machine.memory.load64(cookie) != LINKERS_COOKIE
    driver.unload()


def test_a_load_configuration_outside_of_the_image(machine: Machine, tmp_path: Path) -> None:
    image = build_driver(tmp_path, "configured", CONFIGURED.replace("FLAGS", "0"))
    data = with_directory(image, LOAD_CONFIG, 0x7FFF_0000, 0x94).read_bytes()
    assert refusal(machine, data) == INVALID_IMAGE_FORMAT
    machine.session.console.expect("the load configuration at image address 0x7fff0000 is not inside of the", 30.0)


def test_delayed_imports_are_there_at_once(machine: Machine, tmp_path: Path) -> None:
    image = build_driver(tmp_path, "delayed", DELAYED)
    with pytest.raises(UsageError, match="STATUS_UNSUCCESSFUL"):
        machine.load(image)
    machine.load(with_directory(image, DELAY_IMPORT, address(image, "Delay"), 64)).unload()


def test_a_section_to_be_discarded_may_be_all_three(machine: Machine) -> None:
    assert send(machine, replaced(section(".text", "Characteristics"), struct.pack("<L", 0xE200_0020))) == (
        REFUSED_BY_DRIVER
    )


def test_stack_probes_of_large_frames(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="DriverEntry returned STATUS_DEVICE_CONFIGURATION_ERROR"):
        machine.load(build_driver(tmp_path, "large", LARGE_FRAME))


@pytest.mark.parametrize(
    ("offset", "value", "text"),
    [
        ("e_magic", b"ZM", r"e_magic at offset 0x0 is 0x4d5a; 0x5a4d \(MZ\) is expected"),
        ("e_lfanew", b"\0\0\0\x7f", r"e_lfanew at offset 0x3c is 0x7f000000; headers inside of the file's"),
        ("Signature", b"LE\0\0", r"Signature at offset 0x80 is 0x0000454c; 0x00004550 \(PE\) is expected"),
        ("Machine", b"\x4c\x01", r"Machine at offset 0x84 is 0x014c \(i386\); 0x8664 \(x64\) is expected"),
        ("Machine", b"\x64\xaa", r"Machine at offset 0x84 is 0xaa64 \(ARM64\); 0x8664 \(x64\) is expected"),
        ("NumberOfSections", b"\xff\xff", r"NumberOfSections at offset 0x86 is 65535; at most 96 are expected"),
        ("Magic", b"\x0b\x01", r"Magic at offset 0x98 is 0x10b \(PE32, 32 bits\); 0x20b \(PE32\+\) is expected"),
        ("Subsystem", b"\x03\0", r"Subsystem at offset 0xdc is 3 \(a console program\); 1 \(native, a driver\)"),
        ("SectionAlignment", b"\x80\0\0\0", r"SectionAlignment at offset 0xb8 is 0x80; 0x1000, a page, is expected"),
        ("SizeOfHeaders", b"\0\0\0\x10", r"SizeOfHeaders at offset 0xd4 is 0x10000000; the file has"),
        ("AddressOfEntryPoint", b"\0\0\0\0", r"AddressOfEntryPoint at offset 0xa8 is 0x0; an address inside"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where(machine: Machine, offset: str, value: bytes, text: str) -> None:
    pe = pefile.PE(data=good(), fast_load=True)
    parts = (pe.DOS_HEADER, pe.NT_HEADERS, pe.FILE_HEADER)
    found = [part.get_field_absolute_offset(offset) for part in parts if hasattr(part, offset)]
    data = replaced(found[0] if found else header(offset), value)
    assert refusal(machine, data) == INVALID_IMAGE_FORMAT
    machine.session.console.expect(f"ldr: {text}", 30.0)
    assert machine.link.request("Ping")[0] > 0


def test_the_reason_is_in_the_error(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "cut.sys"
    pe = pefile.PE(data=good(), fast_load=True)
    last = max(each.PointerToRawData + each.SizeOfRawData for each in pe.sections if each.SizeOfRawData)
    path.write_bytes(good()[: last - 1])
    with pytest.raises(Exception, match=r"cut\.sys to load: .*\n  section .* the file is cut short or damaged"):
        machine.load(path)


def test_other_programs_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "program.sys"
    path.write_bytes(replaced(header("Subsystem"), b"\x02\0"))
    with pytest.raises(UsageError, match=r"for subsystem 2 \(a window program\); a driver's is 1 \(native\)"):
        DriverImage(path)
    path.write_bytes(replaced(header("Magic"), b"\x0b\x01"))
    with pytest.raises(UsageError, match=r"whose Magic is 0x10b; a driver for x64 is PE32\+|is not a PE image"):
        DriverImage(path)
