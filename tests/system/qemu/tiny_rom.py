# SPDX-License-Identifier: Apache-2.0
"""An assembler of a dozen instructions, for boot ROMs small enough to read at a glance. Flat 32-bit code, one CPU."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

ROM_BYTES = 0x10000
ROM_BASE = 0xFFFF0000
CODE = 0x0100
HANDLER = 0xD000
IDT = 0xC000
GDT = 0xF000
REAL_MODE = 0xFF00
PROTECTED_MODE = 0xFF80
RESET_VECTOR = 0xFFF0

SLOT = 4  # where the tests put their PCI device
BAR0 = 0xE0000000
COM1 = 0x3F8
COM2 = 0x2F8
LAPIC = 0xFEE00000


class Rom:
    """Machine code, in the order of the calls."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.handler = bytearray()
        self.vectors: dict[int, int] = {}

    def raw(self, *pieces: str | int) -> Self:
        """Append bytes: text in hexadecimal, or a number as 32 bits."""
        for piece in pieces:
            self.code += bytes.fromhex(piece) if isinstance(piece, str) else struct.pack("<I", piece & 0xFFFFFFFF)
        return self

    def set(self, value: int) -> Self:
        return self.raw("b8", value)  # mov eax, value

    def load(self, address: int) -> Self:
        return self.raw("a1", address)  # mov eax, [address]

    def store(self, address: int) -> Self:
        return self.raw("a3", address)  # mov [address], eax

    def poke(self, address: int, value: int) -> Self:
        return self.set(value).store(address)

    def out8(self, port: int, value: int) -> Self:
        return self.raw("ba", port, f"b0{value:02x}", "ee")  # mov edx; mov al; out dx, al

    def out32(self, port: int, value: int) -> Self:
        return self.raw("ba", port).set(value).raw("ef")  # mov edx; mov eax; out dx, eax

    def tsc(self, address: int) -> Self:
        return self.raw("0f31").store(address).raw("8915", address + 4)  # rdtsc; mov [address+4], edx

    def spin(self, turns: int) -> Self:
        return self.raw("b9", turns, "e2fe")  # mov ecx, turns; loop $

    def jump_to(self, position: int) -> Self:
        return self.raw("e9", position - (len(self.code) + 5))  # jmp

    @property
    def here(self) -> int:
        return len(self.code)

    def wait_nonzero(self, address: int) -> Self:
        return self.raw("833d", address, "00", "74f7")  # cmp dword [address], 0; je back

    def print(self, text: str, port: int = COM1) -> Self:
        for byte in text.encode():
            self.out8(port, byte)
        return self

    def config(self, register: int, value: int) -> Self:
        return self.out32(0xCF8, 0x80000000 | SLOT << 11 | register).out32(0xCFC, value)

    def enable_device(self) -> Self:
        """Place BAR0 and switch memory space and bus mastering on."""
        return self.config(0x10, BAR0).config(0x04, 6)

    def enable_lapic(self) -> Self:
        return self.poke(LAPIC + 0xF0, 0x1FF)

    def enable_interrupts(self) -> Self:
        return self.raw("fb")

    def on_vector(self, *vectors: int, tsc: int, count: int) -> Self:
        """Give vectors a handler that stores the TSC, counts, and acknowledges."""
        self.vectors |= dict.fromkeys(vectors, HANDLER + len(self.handler))
        saved, self.code = self.code, self.handler
        self.raw("50 52").tsc(tsc).raw("ff05", count).set(0).store(LAPIC + 0xB0).raw("5a 58 cf")
        self.handler, self.code = self.code, saved
        return self.raw("2e0f011d", ROM_BASE + IDT - 8)  # lidt cs:[IDT - 8]

    def exit(self, value: int) -> Self:
        return self.out8(0x501, value)

    def halt(self) -> Self:
        return self.raw("f4 ebfd")  # hlt; jmp back

    def triple_fault(self) -> Self:
        return self.raw("0f011d", 0x6000, "cc")  # lidt of zeros in RAM; int3

    def build(self) -> bytes:
        rom = bytearray(b"\xf4" * ROM_BYTES)

        def put(at: int, data: bytes | bytearray) -> None:
            rom[at : at + len(data)] = data

        assert len(self.code) < IDT - 8 - CODE
        put(CODE, self.code)
        put(HANDLER, self.handler)
        put(IDT - 8, struct.pack("<HI", 256 * 8 - 1, ROM_BASE + IDT))
        put(IDT, bytes(256 * 8))
        for vector, handler in self.vectors.items():
            offset = ROM_BASE + handler
            put(IDT + 8 * vector, struct.pack("<HHHH", offset & 0xFFFF, 8, 0x8E00, offset >> 16))
        put(GDT, struct.pack("<QQQ", 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF))
        put(GDT + 0x20, struct.pack("<HI", 23, ROM_BASE + GDT))
        # cli; lgdt cs:[GDT + 0x20]; mov eax, cr0; or al, 1; mov cr0, eax; jmp far 8:PROTECTED_MODE
        put(REAL_MODE, bytes.fromhex("fa 2e660f0116 20f0 0f20c0 0c01 0f22c0 66ea"))
        put(REAL_MODE + 18, struct.pack("<IH", ROM_BASE + PROTECTED_MODE, 8))
        # mov ax, 0x10; mov ds/es/ss, ax; mov esp, 0x8000; jmp CODE
        put(PROTECTED_MODE, bytes.fromhex("66b81000 8ed8 8ec0 8ed0 bc00800000 e9"))
        put(PROTECTED_MODE + 16, struct.pack("<i", CODE - (PROTECTED_MODE + 20)))
        put(RESET_VECTOR, b"\xe9" + struct.pack("<h", REAL_MODE - (RESET_VECTOR + 3)))
        return bytes(rom)

    def write(self, folder: Path) -> Path:
        path = folder / "tiny.rom"
        path.write_bytes(self.build())
        return path
