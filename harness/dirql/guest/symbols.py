# SPDX-License-Identifier: Apache-2.0
"""From an address in the guest to module, function, file and line."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from dirql.guest.image import DriverImage, Image, KernelImage


@dataclass(frozen=True)
class Module:
    """An image at its place in the guest.

    Attributes:
        name: its file's name.
        base: first address.
        size: bytes.
        offset: what to take from an address in the guest to get the address as linked.
        image: the file, None where the harness has none for it.
    """

    name: str
    base: int
    size: int
    offset: int
    image: Image | None


class Symbolizer:
    """Names addresses by the modules that are loaded.

    Args:
        kernel: the kernel.
    """

    def __init__(self, kernel: KernelImage) -> None:
        first = kernel.address("KiImageStart")
        self._kernel = Module(kernel.name, first, kernel.address("KiImageEnd") - first, 0, kernel)
        self._functions: dict[int, list[tuple[int, int, str]]] = {}
        self.modules: list[Module] = [self._kernel]
        self._unloaded: list[Module] = []
        self._told: dict[tuple[int, bool], str] = {}  # what `where` said: the same stacks are told again and again

    def add(self, name: str, base: int, size: int, image: DriverImage | None) -> None:
        """Name a loaded driver's addresses from now on."""
        self.remove(base)
        self._unloaded = [old for old in self._unloaded if old.base + old.size <= base or base + size <= old.base]
        self.modules.append(Module(name, base, size, base - image.link_base if image else base, image))

    def remove(self, base: int) -> None:
        """Forget the driver at `base`; a trace's tables still have it, as long as no other takes its place."""
        self._unloaded += [module for module in self.modules if module.base == base]
        self.modules = [module for module in self.modules if module.base != base]
        self._functions.pop(base, None)
        self._told.clear()

    def clear(self) -> None:
        """Forget all drivers."""
        self.modules = [self._kernel]
        self._unloaded.clear()
        self._functions.clear()
        self._told.clear()

    @property
    def drivers(self) -> dict[str, DriverImage | None]:
        """The files of the loaded drivers, by name; None where the harness has none."""
        return {module.name: cast("DriverImage | None", module.image) for module in self.modules[1:]}

    def module(self, address: int) -> Module | None:
        """Return the module that holds an address."""
        for module in self.modules:
            if module.base <= address < module.base + module.size:
                return module
        return None

    def function(self, address: int) -> tuple[str, int] | None:
        """Return (name, offset in bytes) of the function or variable at an address."""
        module = self.module(address)
        if module is None:
            return None
        names = self._names(module)
        at = bisect.bisect_right(names, (address - module.offset, 1 << 64, "")) - 1
        if at < 0:
            return None
        start, size, name = names[at]
        inside = address - module.offset - start
        return (name, inside) if inside < max(size, 16) else None

    def line(self, address: int) -> tuple[str, int] | None:
        """Return (file, line number) of an address."""
        module = self.module(address)
        if module is None or module.image is None:
            return None
        return module.image.line(address - module.offset)

    def where(self, address: int, *, returned: bool = False) -> str:
        """Return `module!function+0x12 (file:line)`, or as much of it as is known.

        Args:
            address: in the guest.
            returned: it is a return address: function and line are those of the call before it.
        """
        key = (address, returned)
        if key not in self._told:
            self._told[key] = self._where(address, returned)
        return self._told[key]

    def _where(self, address: int, returned: bool) -> str:
        module = self.module(address)
        if module is None:
            return f"{address:#x}"
        back = 1 if returned else 0  # a call may be the last instruction of its function
        found = self.function(address - back)
        name = (
            f"{module.name}!{found[0]}+{found[1] + back:#x}" if found else f"{module.name}+{address - module.base:#x}"
        )
        line = self.line(address - back)
        return f"{name} ({line[0]}:{line[1]})" if line else name

    def variable(self, address: int) -> str:
        """Name what lies in a module's data: `driver.sys!Name+0x8`; by its address where nothing is known there."""
        module = self.module(address)
        if module is None or module.image is None:
            return f"{address:#x}"
        linked = address - module.offset
        known = module.image.debug.by_address
        at = bisect.bisect_right(known, (linked, "\U0010ffff")) - 1
        if at < 0:
            return f"{address:#x}"
        start, name = known[at]
        return f"{module.name}!{name}" + (f"+{linked - start:#x}" if linked != start else "")

    def table(self) -> tuple[tuple[int, int, str], ...]:
        """Return (address, size in bytes, `module!name`) of everything that has a name."""
        rows: list[tuple[int, int, str]] = []
        for module in (*self.modules, *self._unloaded):
            stem = module.name.rsplit(".", 1)[0]
            rows += [
                (start + module.offset, size, f"{stem}!{name}") for start, size, name in self._names(module) if size
            ]
        return tuple(rows)

    def places(self, name: str) -> list[tuple[int, int]]:
        """Return (address, size in bytes) of each symbol of a name that is loaded.

        Args:
            name: `name`, or `module!name` with or without the file's suffix.
        """
        stem, bang, symbol = name.rpartition("!")
        return [
            (start + module.offset, size)
            for module in self.modules
            if module.image is not None and (not bang or stem in (module.name, module.name.rsplit(".", 1)[0]))
            for start, size, other in module.image.symbol_rows
            if other == symbol
        ]

    @property
    def known_modules(self) -> tuple[Module, ...]:
        """All modules, and those unloaded ones whose place no other has taken."""
        return (*self.modules, *self._unloaded)

    def _names(self, module: Module) -> list[tuple[int, int, str]]:
        if module is self._kernel:
            return cast("KernelImage", module.image).addresses
        if module.base not in self._functions:
            self._functions[module.base] = list(module.image.debug.functions) if module.image else []
        return self._functions[module.base]
