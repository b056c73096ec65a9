# SPDX-License-Identifier: Apache-2.0
"""A small world without a machine: RAM with page tables, a kernel with a few functions, modules to name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from dirql.guest.layout import DebugInfo, Field, Structure
from dirql.guest.memory import KERNEL_BASE, GuestMemory
from dirql.guest.symbols import Symbolizer
from dirql.qemu.memory import MIB, GuestRam

if TYPE_CHECKING:
    from dirql.guest.image import DriverImage, KernelImage

TABLES = 0x20_0000
STACK = 0x30_0000
DRIVER_BASE = 0xFFFF_FFFF_C010_0000
LINK_BASE = 0x1_4000_0000
TOP = KERNEL_BASE + 0x1000


@dataclass
class FakeImage:
    """An image with symbols, functions and lines made up."""

    name: str
    symbols: dict[str, tuple[int, int]] = field(default_factory=dict)
    debug: DebugInfo = field(default_factory=lambda: DebugInfo({}, {}, (), {}))
    link_base: int = LINK_BASE
    lines: dict[int, tuple[str, int]] = field(default_factory=dict)

    def address(self, name: str) -> int:
        """As KernelImage's."""
        return self.symbols[name][0]

    @property
    def addresses(self) -> list[tuple[int, int, str]]:
        """As KernelImage's."""
        return sorted((address, size, name) for name, (address, size) in self.symbols.items())

    def line(self, address: int) -> tuple[str, int] | None:
        """As Image's: the line of the greatest address below."""
        below = [at for at in self.lines if at <= address]
        return self.lines[max(below)] if below else None


KERNEL = FakeImage(
    "kernel.elf",
    symbols={
        "MiTopPhysical": (TOP, 8),
        "KiImageStart": (KERNEL_BASE + 0x10_0000, 0),
        "KiImageEnd": (KERNEL_BASE + 0x12_0000, 0),
        "KiOuter": (KERNEL_BASE + 0x10_0000, 0x40),
        "KiInner": (KERNEL_BASE + 0x10_0040, 0x40),
        "Pair": (KERNEL_BASE + 0x11_0000, 32),
    },
    debug=DebugInfo(
        {
            "PAIR": Structure(
                "PAIR",
                16,
                {
                    "First": Field(0, 8),
                    "Second": Field(8, 4),
                    "Odd": Field(12, 2),
                    "Byte": Field(14, 1),
                    "Text": Field(8, 8, 8),
                    "Inner": Field(0, 16, 2, "HALF"),
                },
            ),
            "HALF": Structure("HALF", 8, {"Low": Field(0, 4), "High": Field(4, 4)}),
        },
        {},
        (),
        {},
    ),
    lines={KERNEL_BASE + 0x10_0000: ("ke/outer.c", 10), KERNEL_BASE + 0x10_0040: ("ke/inner.c", 20)},
)
DRIVER = FakeImage(
    "some.sys",
    debug=DebugInfo({}, {}, ((LINK_BASE + 0x1000, 0x20, "DriverEntry"), (LINK_BASE + 0x1020, 0x30, "DriverIsr")), {}),
    lines={LINK_BASE + 0x1000: ("some.c", 5), LINK_BASE + 0x1020: ("some.c", 50)},
)


class World:
    """RAM of 8 MiB, the kernel mapped as always, pages mapped on demand."""

    def __init__(self) -> None:
        self.ram = GuestRam(8 * MIB)
        self.kernel = cast("KernelImage", KERNEL)
        self.driver = cast("DriverImage", DRIVER)
        self.memory = GuestMemory(self.ram, self.kernel)
        self.symbols = Symbolizer(self.kernel)
        self._next = TABLES + 0x1000
        self.ram.store64(TOP - KERNEL_BASE, TABLES)

    def map(self, address: int, physical: int, *, shift: int = 12) -> None:
        """Map a page of 1 << shift bytes, with whatever tables it needs."""
        table = TABLES
        for level in (39, 30, 21, 12):
            at = table + (address >> level & 511) * 8
            if level == shift:
                self.ram.store64(at, physical | 3 | (0x80 if shift > 12 else 0) | 1 << 63)
                return
            if not self.ram.load64(at):
                self.ram.store64(at, self._next | 3)
                self._next += 0x1000
            table = self.ram.load64(at) & ~0xFFF
