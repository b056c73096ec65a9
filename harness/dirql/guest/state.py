# SPDX-License-Identifier: Apache-2.0
"""Where the CPUs are: from the bugcheck record that the guest left, or from QEMU where the guest left none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dirql.errors import CpuState, DirqlError, Fault
from dirql.guest.image import DriverImage
from dirql.guest.ntstatus import bugcheck_name, ntstatus_name
from dirql.unwind.peframes import unwind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dirql.guest.memory import GuestMemory
    from dirql.guest.symbols import Symbolizer

FLAG = int.from_bytes(b"BUGCHECK", "little")
KMODE_EXCEPTION_NOT_HANDLED = 0x1E
_FRAMES = 16
_PUSH_RBP = b"\x55"  # how a function with a frame begins
_RET = b"\xc3"
_CPU = re.compile(r"^CPU#(\d+)", re.MULTILINE)
_REGISTER = re.compile(r"\b(RIP|RSP|RBP)\s*=\s*([0-9a-fA-F]+)")


class BugCheckRecord:
    """KiBugCheckData as the guest left it.

    Args:
        memory: the guest's memory; it may be that of a machine that has ended.
    """

    def __init__(self, memory: GuestMemory) -> None:
        self._view = memory.variable("KiBugCheckData", "KI_BUGCHECK_DATA")
        self._memory = memory

    @property
    def complete(self) -> bool:
        """Whether the guest has raised the flag there."""
        return self._view.get("Flag") == FLAG

    @property
    def code(self) -> int:
        """The bugcheck code."""
        return self._view.get("Code")

    @property
    def parameters(self) -> tuple[int, int, int, int]:
        """The four parameters."""
        first, second, third, fourth = (self._view.get("Parameter", at) for at in range(4))
        return first, second, third, fourth

    @property
    def processor(self) -> int:
        """The CPU that called KeBugCheckEx."""
        return self._view.get("Processor")

    @property
    def message(self) -> str:
        """One line that says what happened."""
        parameters = ", ".join(f"{value:#x}" for value in self.parameters)
        return f"bugcheck {self.code:#x} {bugcheck_name(self.code)} ({parameters}) on CPU {self.processor}"

    def fault(self, symbols: Symbolizer) -> Fault | None:
        """Return the access to memory that it is about; None where it is about none."""
        names = self._memory.kernel.debug.enumeration("KI_ACCESS")
        access = {value: name.removeprefix("KiAccess").lower() for name, value in names.items()}[
            self._view.get("Access")
        ]
        if access == "none":
            return None
        cpu = self._view.inner("Cpu", self.processor)
        rip = cpu.get("Rip")
        where = symbols.where(rip)
        if symbols.function(rip) is None:
            stack = walk_stack(self._memory, symbols, rip, cpu.get("Rsp"), cpu.get("Rbp"))
            where = stack[0] if stack else where
        return Fault(access, self._view.get("Address"), cpu.get("Cr8"), rip, where)

    def details(self, symbols: Symbolizer) -> tuple[str, ...]:
        """Return what there is to say beyond code and parameters, a clause each."""
        text, again = self._view.get("Text"), self._view.get("Again")
        lines: list[str] = []
        fault = self.fault(symbols)
        if fault is not None:
            lines.append(str(fault))
        elif self.code == KMODE_EXCEPTION_NOT_HANDLED:
            status, address, *_ = self.parameters
            lines.append(f"{ntstatus_name(status)} at {symbols.where(address)}")
        if text:
            lines.append(self._memory.string(text))
        if again:
            name, where = bugcheck_name(again), symbols.where(self._view.get("AgainInstruction"))
            lines.append(f"and while it was told of, {again:#x} {name} at {where}")
        return tuple(lines)

    def clear(self) -> None:
        """Take the flag down: the machine is about to start anew."""
        self._view.set("Flag", 0)

    def cpus(self, symbols: Symbolizer) -> tuple[CpuState, ...]:
        """Return where each CPU stood that could be stopped."""
        found: list[CpuState] = []
        for number in range(self._view.get("ProcessorCount")):
            cpu = self._view.inner("Cpu", number)
            if cpu.get("Valid"):
                rip = cpu.get("Rip")
                stack = walk_stack(self._memory, symbols, rip, cpu.get("Rsp"), cpu.get("Rbp"))
                found.append(CpuState(number, rip, cpu.get("Cr8"), symbols.where(rip), stack))
        return tuple(found)


def walk_stack(memory: GuestMemory, symbols: Symbolizer, rip: int, rsp: int, frame: int) -> tuple[str, ...]:
    """Walk up the stack: drivers that have unwind tables by those, all else by the chain of frame pointers.

    Args:
        memory: the guest's memory.
        symbols: names the return addresses; the walk ends where none fits.
        rip: instruction pointer: a function that has made no frame yet, or makes none, returns to what RSP points at.
        rsp: stack pointer.
        frame: RBP.
    """
    found: list[str] = []
    at = _Place(rip, rsp, frame)
    while len(found) < _FRAMES:
        try:
            following = _by_table(memory, symbols, at) or _by_chain(memory, symbols, at, first=not found)
        except DirqlError:
            break
        if following is None or symbols.module(following.rip) is None:
            break
        found.append(symbols.where(following.rip, returned=True))
        at = following
    return tuple(found)


class _Place(NamedTuple):
    """The registers of a routine that has called another."""

    rip: int
    rsp: int
    frame: int


def _by_table(memory: GuestMemory, symbols: Symbolizer, at: _Place) -> _Place | None:
    """From a routine of a driver with unwind tables to its caller; None if it is none, or needs another register."""
    module = symbols.module(at.rip)
    if module is None or not isinstance(module.image, DriverImage) or not module.image.has_unwind_tables:
        return None
    known = {"rsp": at.rsp, "rbp": at.frame}
    try:
        caller = unwind(module.base, at.rip, known.__getitem__, memory.read)
    except KeyError:
        return None
    if caller is None:
        return None
    return _Place(caller.rip, caller.rsp, memory.load64(caller.saved["rbp"]) if "rbp" in caller.saved else at.frame)


def _by_chain(memory: GuestMemory, symbols: Symbolizer, at: _Place, *, first: bool) -> _Place | None:
    """From a routine with a frame pointer to its caller; a trap frame is a link of the chain too."""
    if first:
        returned = _frameless_return(memory, symbols, at.rip, at.rsp)
        if returned is not None:
            return _Place(returned, at.rsp + 8, at.frame)
    if not at.frame or at.frame % 8 or at.frame < at.rsp:  # up the stack only
        return None
    function = symbols.function(at.rip)
    rsp = at.frame + 16
    if function is not None and function[0] == "KiTrapCommon":
        trap = memory.kernel.debug.structure("KI_TRAP_FRAME")
        rsp = memory.load64(at.frame - trap.field("Link").offset + trap.field("Rsp").offset)
    return _Place(memory.load64(at.frame + 8), rsp, memory.load64(at.frame))


def _frameless_return(memory: GuestMemory, symbols: Symbolizer, rip: int, rsp: int) -> int | None:
    """Where a function without a frame of its own returns to; None where RBP is its frame, or nothing is known."""
    module, function = symbols.module(rip), symbols.function(rip)
    if module is not None and module.image is None:
        return None
    try:
        if function is None:  # no code: it was called there just now, through a bad pointer
            returned = memory.load64(rsp)
        else:
            start = rip - function[1]
            pushed = rip != start and memory.read(start, 1) == _PUSH_RBP
            if pushed and rip != start + 1 and memory.read(rip, 1) != _RET:
                return None
            returned = memory.load64(rsp + 8 if pushed and rip == start + 1 else rsp)
    except DirqlError:
        return None
    return returned if symbols.function(returned - 1) is not None else None


def parse_registers(text: str, irqls: Sequence[int], memory: GuestMemory, symbols: Symbolizer) -> tuple[CpuState, ...]:
    """Read QEMU's `info registers -a`.

    Args:
        text: what QEMU printed.
        irqls: each CPU's IRQL, which that text does not hold.
        memory: for the stacks.
        symbols: for the names.

    Returns:
        Each CPU's state; a halted CPU's `where` says so.
    """
    found: list[CpuState] = []
    parts = _CPU.split(text)
    for number, registers in zip(parts[1::2], parts[2::2], strict=True):
        values = {name: int(value, 16) for name, value in _REGISTER.findall(registers)}
        halted = " HLT=1" in registers
        rip = values.get("RIP", 0)
        where = symbols.where(rip) + (", halted" if halted else "")
        stack = walk_stack(memory, symbols, rip, values.get("RSP", 0), values.get("RBP", 0))
        found.append(CpuState(int(number), rip, irqls[int(number)], where, stack))
    return tuple(found)


def parse_irql(text: str) -> int:
    """Read the IRQL out of QEMU's `info lapic`: it is the high half of the task priority register."""
    found = re.search(r"\bTPR 0x([0-9a-fA-F]+)", text)
    return int(found.group(1), 16) >> 4 if found else -1
