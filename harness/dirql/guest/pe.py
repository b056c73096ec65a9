# SPDX-License-Identifier: Apache-2.0
"""What a driver's PE file says of itself beside its debug information: its machine, its exports, its sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dirql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MACHINES = {0x14C: "i386", 0x1C4: "ARM", 0xAA64: "ARM64", 0x200: "Itanium"}
_X64 = 0x8664
_PE32_PLUS = 0x20B
_SUBSYSTEMS = {2: "a window program", 3: "a console program", 10: "an EFI program"}
_NATIVE = 1

_KERNEL = frozenset(("ntoskrnl", "ntkrnlmp", "hal"))


def is_kernel_module(module: str) -> bool:
    """Whether drivers know the kernel by this name: `ntoskrnl.exe`, `HAL.dll`, whatever the case."""
    return stem(module) in _KERNEL


def stem(module: str) -> str:
    """Return a module's name as it is compared: without its extension, in lower case."""
    return module.rpartition(".")[0].lower() if "." in module else module.lower()


def require_driver(path: Path, pe: Any) -> None:  # noqa: ANN401 (pefile has no types)
    """Check that an image is one that this guest can load.

    Args:
        path: its file, for the text.
        pe: pefile's PE.

    Raises:
        UsageError: it is for another machine or another subsystem.
    """
    machine, magic, subsystem = pe.FILE_HEADER.Machine, pe.OPTIONAL_HEADER.Magic, pe.OPTIONAL_HEADER.Subsystem
    if machine != _X64:
        known = f" ({_MACHINES[machine]})" if machine in _MACHINES else ""
        raise UsageError(f"{path} is a PE image for machine {machine:#06x}{known}; this guest runs x64 (0x8664)")
    if magic != _PE32_PLUS:
        raise UsageError(f"{path} is a PE image whose Magic is {magic:#x}; a driver for x64 is PE32+ (0x20b)")
    if subsystem != _NATIVE:
        known = f" ({_SUBSYSTEMS[subsystem]})" if subsystem in _SUBSYSTEMS else ""
        raise UsageError(f"{path} is a PE image for subsystem {subsystem}{known}; a driver's is 1 (native)")


@dataclass(frozen=True)
class Exports:
    """What an image exports.

    Attributes:
        names: name -> address as linked; a forwarder is at 0.
        ordinals: the numbers that something is exported by.
    """

    names: Mapping[str, int]
    ordinals: frozenset[int]

    def has(self, name: str) -> bool:
        """Whether there is such an export: a name, or `#number`."""
        return int(name[1:]) in self.ordinals if name.startswith("#") else name in self.names


def read_exports(pe: Any) -> Exports:  # noqa: ANN401
    """Read the export table.

    Args:
        pe: pefile's PE, whose export directory has been parsed.
    """
    base = int(pe.OPTIONAL_HEADER.ImageBase)
    symbols = getattr(getattr(pe, "DIRECTORY_ENTRY_EXPORT", None), "symbols", [])
    names = {
        each.name.decode("ascii", "replace"): 0 if each.forwarder else base + int(each.address)
        for each in symbols
        if each.name
    }
    return Exports(names, frozenset(int(each.ordinal) for each in symbols))


def plain_symbols(pe: Any, exports: Exports) -> Iterator[tuple[int, int, str]]:  # noqa: ANN401
    """Yield (address as linked, size in bytes, name) for an image without debug information.

    An address is named by the export before it in the same section, else by its section: `.text` and how far inside.
    """
    base = int(pe.OPTIONAL_HEADER.ImageBase)
    entry = base + int(pe.OPTIONAL_HEADER.AddressOfEntryPoint)
    for section in pe.sections:
        start = base + int(section.VirtualAddress)
        limit = start + int(section.Misc_VirtualSize)
        name = section.Name.rstrip(b"\0").decode("ascii", "replace")
        marks = {address: known for known, address in exports.names.items() if start <= address < limit}
        if start <= entry < limit:
            marks.setdefault(entry, "DriverEntry")
        marks.setdefault(start, name)
        order = sorted(marks)
        for at, following in zip(order, [*order[1:], limit], strict=True):
            yield at, following - at, marks[at]


def missing_imports(
    imports: tuple[tuple[str, str], ...], kernel: frozenset[str], loaded: Mapping[str, Exports | None]
) -> tuple[list[str], list[str]]:
    """Return what of an image's imports is not there.

    Args:
        imports: (module, name or `#ordinal`).
        kernel: what the kernel exports.
        loaded: what loaded drivers export, by their modules' stems; None: that is not known, and so nothing is missing.

    Returns:
        `module!name` of each that the guest does not export, and of each whose module is not loaded.
    """
    absent, unloaded = [], []
    for module, name in imports:
        if is_kernel_module(module):
            if name not in kernel:
                absent.append(f"{module}!{name}")
        elif stem(module) not in loaded:
            unloaded.append(f"{module}!{name}")
        else:
            exports = loaded[stem(module)]
            if exports is not None and not exports.has(name):
                absent.append(f"{module}!{name}")
    return absent, unloaded
