# SPDX-License-Identifier: Apache-2.0
"""The images that run on the guest: the kernel (ELF) and drivers (PE), with their symbols, layouts and lines."""

from __future__ import annotations

import bisect
import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from dirql.errors import BuildError, DirqlError, UsageError
from dirql.guest.cache import cached
from dirql.guest.dwarf import Line, read_debug_info, read_lines
from dirql.guest.layout import DebugInfo
from dirql.guest.pe import Exports, missing_imports, plain_symbols, read_exports, require_driver, stem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ELF_MAGIC = b"\x7fELF"
PE_MAGIC = b"MZ"
_EXECUTABLE = 1  # PF_X
_LONG_NAME = b"/"
_COFF_SYMBOL_BYTES = 18


@dataclass(frozen=True)
class Segment:
    """A part of the kernel's file that is loaded.

    Attributes:
        physical: address in the guest.
        offset: bytes into the file.
        size: bytes.
        executable: it holds code.
    """

    physical: int
    offset: int
    size: int
    executable: bool


class Image:
    """An image file and what its debug information says.

    Args:
        path: the file.

    Attributes:
        path: the file.
        data: its bytes.
        identity: build-id, or the SHA-1 of the bytes, in hexadecimal.

    Raises:
        UsageError: there is no such file, or it is not an image of this kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read the image {path}: {error.strerror}") from error
        self.identity = hashlib.sha1(self.data, usedforsecurity=False).hexdigest()

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @cached_property
    def debug(self) -> DebugInfo:
        """Layouts and functions."""
        with self._damage_reported():
            return DebugInfo.from_json(cached(self.identity, "debug", lambda: read_debug_info(self._dwarf()).to_json()))

    @cached_property
    def lines(self) -> list[Line]:
        """Line numbers, by address as linked."""
        with self._damage_reported():
            lines = cached(self.identity, "lines", lambda: read_lines(self._dwarf()))
        return [(address, file, line) for address, file, line in lines]

    @property
    def symbol_rows(self) -> list[tuple[int, int, str]]:
        """(address as linked, size in bytes, name) of functions and variables, for `trace.namefiles`."""
        return sorted({*self.debug.functions, *(row for row in self.debug.data if row[1])})

    def line(self, address: int) -> tuple[str, int] | None:
        """Return (file, line number) of an address as linked; None where there is no line."""
        at = bisect.bisect_right(self.lines, (address, "\U0010ffff", 0)) - 1
        if at < 0 or self.lines[at][2] == 0:
            return None
        return self.lines[at][1], self.lines[at][2]

    def _dwarf(self) -> Any:  # noqa: ANN401 (pyelftools has no types)
        raise NotImplementedError

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        """Turn what the parsing libraries raise over damaged bytes, which is any exception at all, into ours."""
        try:
            yield
        except DirqlError:
            raise
        except Exception as error:
            raise BuildError(f"{self.path} is damaged or not whole: {type(error).__name__} {error}".strip()) from error


def kernel_image(path: Path) -> KernelImage:
    """Return the kernel of a file, read once for as long as the file is the same: machine after machine has it.

    Raises:
        UsageError, BuildError: as `KernelImage`.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read the image {path}: {error.strerror}") from error
    return _kernel_image(path, (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=2)
def _kernel_image(path: Path, version: tuple[int, ...]) -> KernelImage:
    del version
    return KernelImage(path)


class KernelImage(Image):
    """The executive's ELF.

    Attributes:
        symbols: name -> (address, size in bytes) of every symbol.
        exports: the names that drivers may import.
        partial: name -> what a routine does not do of what is documented.

    Raises:
        BuildError: it is no dirql kernel: an ELF for x86-64 with a build-id, debug information and an export table.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if not self.data.startswith(ELF_MAGIC):
            raise BuildError(f"{path} is not an ELF file; the guest's kernel is, and `make build` makes it")
        with self._damage_reported():
            stored = cached(self.identity, "elf", self._read_elf)
        self.symbols: dict[str, tuple[int, int]] = {name: (a, size) for name, (a, size) in stored["symbols"].items()}
        self.exports: frozenset[str] = frozenset(stored["exports"])
        self.partial: dict[str, str] = stored["partial"]
        self.segments: tuple[Segment, ...] = tuple(Segment(*values) for values in stored["segments"])
        if not self.exports or "HostMailbox" not in self.symbols:
            raise BuildError(f"{path} is an ELF file but no dirql kernel: it has no export table or no HostMailbox")

    @cached_property
    def addresses(self) -> list[tuple[int, int, str]]:
        """(address, size in bytes, name) of every symbol of the image itself, by address."""
        first = self.address("KiImageStart")
        return sorted((address, size, name) for name, (address, size) in self.symbols.items() if address >= first)

    def address(self, symbol: str) -> int:
        """Return a symbol's address.

        Raises:
            BuildError: the kernel has none of that name.
        """
        try:
            return self.symbols[symbol][0]
        except KeyError:
            raise BuildError(f"{self.name} has no symbol {symbol}; rebuild it, or use its own harness") from None

    @property
    def symbol_rows(self) -> list[tuple[int, int, str]]:
        """As `Image`: every symbol of the ELF table that has a size and a place in the guest."""
        first = self.address("KiImageStart")
        return sorted((a, size, name) for name, (a, size) in self.symbols.items() if size and a >= first)

    def _elf(self) -> Any:  # noqa: ANN401
        import io

        from elftools.elf.elffile import ELFFile

        return ELFFile(io.BytesIO(self.data))

    def _dwarf(self) -> Any:  # noqa: ANN401
        elf = self._elf()
        if not elf.has_dwarf_info():
            raise BuildError(f"{self.path} has no debug information; build it with -g")
        return elf.get_dwarf_info()

    def _read_elf(self) -> dict[str, Any]:
        elf = self._elf()
        table = elf.get_section_by_name(".symtab")
        symbols: dict[str, tuple[int, int]] = {}
        for symbol in table.iter_symbols() if table is not None else ():
            if symbol.name and symbol["st_shndx"] != "SHN_UNDEF":
                symbols.setdefault(symbol.name, (symbol["st_value"], symbol["st_size"]))
        segments = [
            (part["p_paddr"], part["p_offset"], part["p_filesz"], bool(part["p_flags"] & _EXECUTABLE))
            for part in elf.iter_segments("PT_LOAD")
            if part["p_filesz"]
        ]
        return {
            "symbols": symbols,
            "exports": sorted(self._read_exports(elf, symbols)),
            "partial": self._read_partial(elf),
            "segments": segments,
        }

    @staticmethod
    def _read_partial(elf: Any) -> dict[str, str]:  # noqa: ANN401
        """Read the pairs of strings that NT_PARTIAL leaves in a section of their own; they are not loaded."""
        section = elf.get_section_by_name(".partial")
        texts = [text.decode("utf-8") for text in section.data().split(b"\0")[:-1]] if section is not None else []
        partial: dict[str, str] = {}
        for name, note in zip(texts[::2], texts[1::2], strict=True):
            partial[name] = f"{partial[name]}; {note}" if name in partial else note
        return partial

    def _read_exports(self, elf: Any, symbols: dict[str, tuple[int, int]]) -> set[str]:  # noqa: ANN401
        """Follow the linker's array of {name, address} pairs."""
        section = elf.get_section_by_name(".rodata")
        if section is None or "KiExportsStart" not in symbols or "KiExportsEnd" not in symbols:
            return set()
        data, base = section.data(), section["sh_addr"]
        names: set[str] = set()
        for entry in range(symbols["KiExportsStart"][0], symbols["KiExportsEnd"][0], 16):
            at = int.from_bytes(data[entry - base : entry - base + 8], "little") - base
            names.add(data[at : data.index(b"\0", at)].decode("ascii"))
        return names


class DriverImage(Image):
    """A driver's PE image.

    Attributes:
        link_base: the address that it was linked for.

    Raises:
        UsageError: the file is not a native PE32+ image for x64.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        import pefile

        try:
            self._pe = pefile.PE(data=self.data, fast_load=True)
        except pefile.PEFormatError as error:
            raise UsageError(f"{path} is not a PE image: {error}; a driver is a .sys file for x64") from error
        require_driver(path, self._pe)
        self.link_base = int(self._pe.OPTIONAL_HEADER.ImageBase)

    @cached_property
    def imports(self) -> tuple[tuple[str, str], ...]:
        """(module, name) of each import; an import by ordinal is `#number`."""
        import pefile

        with self._damage_reported():
            self._pe.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_IMPORT"]])
        found: list[tuple[str, str]] = []
        for module in getattr(self._pe, "DIRECTORY_ENTRY_IMPORT", []):
            for item in module.imports:
                name = item.name.decode("ascii", "replace") if item.name else f"#{item.ordinal}"
                found.append((module.dll.decode("ascii", "replace"), name))
        return tuple(found)

    @cached_property
    def exports(self) -> Exports:
        """What other drivers may import from it."""
        import pefile

        with self._damage_reported():
            self._pe.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_EXPORT"]])
            return read_exports(self._pe)

    @property
    def has_unwind_tables(self) -> bool:
        """Whether its routines can be left by its own tables (.pdata)."""
        return any(part.name == "IMAGE_DIRECTORY_ENTRY_EXCEPTION" and part.Size for part in self._directories)

    @property
    def _directories(self) -> Any:  # noqa: ANN401
        return self._pe.OPTIONAL_HEADER.DATA_DIRECTORY

    @cached_property
    def debug(self) -> DebugInfo:
        """Layouts and functions; without debug information the exports and sections stand for functions."""
        with self._damage_reported():
            if ".debug_info" in self._sections():
                return super().debug
            return DebugInfo({}, {}, tuple(plain_symbols(self._pe, self.exports)), {})

    @cached_property
    def lines(self) -> list[Line]:
        """Line numbers, by address as linked."""
        with self._damage_reported():
            return super().lines if ".debug_line" in self._sections() else []

    def require_imports(self, kernel: KernelImage, loaded: Mapping[str, DriverImage | None] | None = None) -> None:
        """Check that what the driver imports is there.

        Args:
            kernel: the guest's kernel.
            loaded: drivers that are loaded, by their names there; None: no file of it is known.

        Raises:
            UsageError: names everything that is missing.
        """
        others = {stem(name): image.exports if image is not None else None for name, image in (loaded or {}).items()}
        missing, unloaded = missing_imports(self.imports, kernel.exports, others)
        told = []
        if missing:
            told.append(
                f"imports {len(missing)} {'name' if len(missing) == 1 else 'names'} that this guest does "
                f"not export: {', '.join(missing)}"
            )
        if unloaded:
            told.append(f"imports from what is not loaded (load it first): {', '.join(unloaded)}")
        if told:
            raise UsageError(f"{self.path} {', and '.join(told)}")

    def _dwarf(self) -> Any:  # noqa: ANN401
        import io

        from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

        sections = self._sections()

        def section(name: str) -> Any:  # noqa: ANN401
            data = sections.get(name)
            return data and DebugSectionDescriptor(io.BytesIO(data), name, 0, len(data), 0)

        names = ("info", "aranges", "abbrev", "frame", "str", "loc", "ranges", "line", "pubtypes", "pubnames")
        later = ("addr", "str_offsets", "line_str", "loclists", "rnglists")
        arguments = {f"debug_{name}_sec": section(f".debug_{name}") for name in (*names, *later)}
        config = DwarfConfig(little_endian=True, machine_arch="x64", default_address_size=8)
        return DWARFInfo(
            config,
            eh_frame_sec=None,
            debug_sup_sec=None,
            gnu_debugaltlink_sec=None,
            debug_types_sec=None,
            **arguments,
        )

    def _sections(self) -> dict[str, bytes]:
        """Contents by name; a name longer than 8 bytes is an offset into the string table after the symbols."""
        header = self._pe.FILE_HEADER
        strings = header.PointerToSymbolTable + header.NumberOfSymbols * _COFF_SYMBOL_BYTES
        found: dict[str, bytes] = {}
        for section in self._pe.sections:
            raw = section.Name.rstrip(b"\0")
            if raw.startswith(_LONG_NAME) and header.PointerToSymbolTable:
                at = strings + int(raw[1:])
                raw = self.data[at : self.data.index(b"\0", at)]
            start = section.PointerToRawData
            size = min(section.SizeOfRawData, section.Misc_VirtualSize)
            found[raw.decode("ascii", "replace")] = self.data[start : start + size]
        return found
