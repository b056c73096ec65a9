# SPDX-License-Identifier: Apache-2.0
"""What gdb is told of the guest: its drivers' symbols, the way through their frames, where each CPU is.

Runs inside gdb; nothing but gdb's module and the standard library is there.
"""

# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

import gdb
from peframes import REGISTERS, unwind

FLAG = int.from_bytes(b"BUGCHECK", "little")
_UNKNOWN = re.compile(r"No symbol matches")


class Image(NamedTuple):
    """A loaded driver."""

    base: int
    size: int
    name: str


def where(pc: int) -> str:
    """Return `function (file:line)`, or as much of it as is known."""
    said = gdb.execute(f"info symbol {pc:#x}", to_string=True).strip()
    function = f"{pc:#x}" if _UNKNOWN.match(said) else said.split(" in section ")[0].replace(" + ", "+")
    line = gdb.find_pc_line(pc)
    return f"{function} ({line.symtab.filename}:{line.line})" if line.symtab and line.line else function


class Modules:
    """The loaded drivers and their symbols.

    Args:
        files: file name -> path of images that the harness knows.
        folders: where others may be.
    """

    def __init__(self, files: dict[str, str], folders: list[str]) -> None:
        self._files = files
        self._folders = folders
        self._loaded: dict[Image, str | None] = {}

    @property
    def loaded(self) -> dict[Image, str | None]:
        """Each driver that is loaded, with the file that its symbols came from."""
        return self._loaded

    def find(self, pc: int) -> Image | None:
        """Return the driver that holds an address."""
        return next((image for image in self._loaded if image.base <= pc < image.base + image.size), None)

    def refresh(self) -> None:
        """Load the symbols of drivers that have come, drop those of drivers that have gone."""
        present = self._present()
        for image in [image for image in self._loaded if image not in present]:
            if self._loaded.pop(image) is not None:
                gdb.execute(f"remove-symbol-file -a {image.base + 0x1000:#x}", to_string=True)
        for image in present:
            if image not in self._loaded:
                self._loaded[image] = self._load(image)

    def _present(self) -> list[Image]:
        try:
            table = gdb.parse_and_eval("LdrImages")
            entries = [table[at] for at in range(table.type.range()[1] + 1)]
            return [Image(int(e["Base"]), int(e["Size"]), e["Name"].string()) for e in entries if int(e["Base"])]
        except gdb.MemoryError:  # before the guest has set up its memory
            return []

    def _load(self, image: Image) -> str | None:
        candidates = [self._files.get(image.name, ""), *(f"{folder}/{image.name}" for folder in self._folders)]
        path = next((path for path in candidates if path and os.path.isfile(path)), None)  # noqa: PTH113 (start-up time)
        if path is not None:
            offset = (image.base - _link_base(path)) & ((1 << 64) - 1)
            gdb.execute(f'add-symbol-file "{path}" -o {offset:#x}', to_string=True)
        return path


def _link_base(path: str) -> int:
    """Return the address that a PE32+ image was linked for (PE format: optional header, ImageBase)."""
    with open(path, "rb") as file:  # noqa: PTH123 (as above)
        head = file.read(4096)
    at = int.from_bytes(head[0x3C:0x40], "little") + 24 + 24
    return int.from_bytes(head[at : at + 8], "little")


class DriverUnwinder(gdb.unwinder.Unwinder):
    """Frames of drivers, by their unwind tables."""

    def __init__(self, modules: Modules) -> None:
        super().__init__("dirql-driver")
        self._modules = modules

    def __call__(self, pending: Any) -> Any:  # noqa: ANN401 (gdb's types)
        """Return gdb's description of the caller's registers; None where the frame is no driver's."""
        mask = (1 << 64) - 1
        pc = int(pending.read_register("rip")) & mask
        image = self._modules.find(pc)
        if image is None:
            return None
        memory = gdb.selected_inferior()
        word = gdb.lookup_type("unsigned long long")
        try:
            caller = unwind(
                image.base,
                pc,
                lambda name: int(pending.read_register(name)) & mask,
                lambda address, count: bytes(memory.read_memory(address, count)),
            )
        except gdb.MemoryError:
            return None
        if caller is None:
            return None
        found = pending.create_unwind_info(_FrameId(gdb.Value(caller.rsp).cast(word), gdb.Value(caller.function)))
        for name in REGISTERS:
            if name in caller.saved:
                at = gdb.Value(caller.saved[name]).cast(word.pointer())
                found.add_saved_register(name, at.dereference())
            elif name != "rsp" and name in _NONVOLATILE:
                found.add_saved_register(name, pending.read_register(name))
        found.add_saved_register("rip", gdb.Value(caller.rip).cast(word))
        found.add_saved_register("rsp", gdb.Value(caller.rsp).cast(word))
        return found


_NONVOLATILE = frozenset(("rbx", "rbp", "rsi", "rdi", "r12", "r13", "r14", "r15"))


class _FrameId:
    """What tells one frame from another: the stack above it, and its routine."""

    def __init__(self, sp: Any, pc: Any) -> None:  # noqa: ANN401 (gdb's types)
        self.sp = sp
        self.pc = pc


class LoadBreakpoint(gdb.Breakpoint):
    """Stops unseen where a driver is about to be started, so that its symbols are there before DriverEntry runs."""

    def __init__(self, modules: Modules) -> None:
        super().__init__("IopStartDriver", internal=True)
        self.silent = True
        self._modules = modules

    def stop(self) -> bool:
        """Learn the new driver; go on."""
        self._modules.refresh()
        return False


def describe_cpus() -> list[str]:
    """Return the lines of `dirql irql`. The selected thread and frame stay."""
    selected, frame = gdb.selected_thread(), gdb.selected_frame()
    lines = ["cpu irql at"]
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda one: one.num):
            thread.switch()
            lines += _describe_cpu(thread.num - 1)
    finally:
        selected.switch()
        frame.select()
    return lines


def _describe_cpu(cpu: int) -> list[str]:
    irql = int(gdb.parse_and_eval("$cr8"))
    lines = [f"{cpu:3} {irql:4} {where(gdb.newest_frame().pc())}"]
    try:
        prcb = gdb.parse_and_eval(f"&KiPcr[{cpu}].Prcb").dereference()
        if int(prcb["DpcRoutineActive"]) and int(prcb["CurrentDpc"]):
            routine = int(prcb["CurrentDpc"].dereference()["DeferredRoutine"])
            lines.append(f"         in the DPC routine {where(routine)}")
        frame = prcb["InterruptFrame"]
        while int(frame):
            held = frame.dereference()
            vector, previous, rip = (int(held[name]) for name in ("Vector", "PreviousIrql", "Rip"))
            lines.append(f"         vector {vector:#04x} interrupted IRQL {previous} in {where(rip)}")
            frame = held["Previous"]
    except gdb.MemoryError:  # before the guest has set up its memory
        lines.append("         the guest has not started yet")
    return lines


def describe_bugcheck(names: dict[str, Any]) -> list[str]:
    """Return the lines of `dirql bugcheck`.

    Args:
        names: the globals of the harness's module of code names.
    """
    data = gdb.parse_and_eval("KiBugCheckData")
    if int(data["Flag"]) != FLAG:
        return []
    code = int(data["Code"])
    parameters = ", ".join(f"{int(data['Parameter'][at]):#x}" for at in range(4))
    lines = [f"bugcheck {code:#x} {names['bugcheck_name'](code)} ({parameters}) on CPU {int(data['Processor'])}"]
    for cpu in range(int(data["ProcessorCount"])):
        saved = data["Cpu"][cpu]
        if int(saved["Valid"]):
            lines.append(f"  cpu {cpu}: IRQL {int(saved['Cr8']):2}, {where(int(saved['Rip']))}")
    return lines
