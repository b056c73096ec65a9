# SPDX-License-Identifier: Apache-2.0
"""From a routine of a PE image to its caller, by the image's own unwind tables.

gdb reads these tables only for Windows targets; here the target is a bare x86-64 machine. Runs inside gdb too, where
nothing but the standard library is there.

Source: Microsoft's documentation "x64 exception handling": RUNTIME_FUNCTION, UNWIND_INFO, unwind procedure, and the
forms that an epilogue may have.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[int, int], bytes]
    Register = Callable[[str], int]

REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
"""In the order of their numbers in unwind codes and in instructions."""

_PE_POINTER = 0x3C
_EXCEPTION_DIRECTORY = 24 + 112 + 3 * 8  # signature and file header, fixed part of the optional header, fourth entry
_CHAINED = 4

_PUSH_NONVOL, _ALLOC_LARGE, _ALLOC_SMALL, _SET_FPREG, _SAVE_NONVOL, _SAVE_NONVOL_FAR, _EPILOG = range(7)
_SAVE_XMM128, _SAVE_XMM128_FAR, _PUSH_MACHFRAME = 8, 9, 10
_EXTRA_SLOTS = {_SAVE_NONVOL: 1, _SAVE_NONVOL_FAR: 2, _EPILOG: 1, _SAVE_XMM128: 1, _SAVE_XMM128_FAR: 2}

_EPILOGUE_BYTES = 40


class Caller(NamedTuple):
    """Where a routine returns to.

    Attributes:
        function: first address of the routine that was left.
        rip, rsp: of the caller.
        saved: register -> the address of the value that the caller finds in it.
    """

    function: int
    rip: int
    rsp: int
    saved: dict[str, int]


class _Function(NamedTuple):
    """A RUNTIME_FUNCTION; offsets from the image's base."""

    begin: int
    end: int
    info: int


def unwind(base: int, rip: int, register: Register, read: Read) -> Caller | None:
    """Return the caller of the routine that executes at `rip`; None where the image has no unwind tables.

    Args:
        base: where the image is.
        rip: an address inside it.
        register: gives a register's value at that point.
        read: gives bytes of memory, by address and count.
    """
    rsp = register("rsp")
    saved: dict[str, int] = {}
    table = _table(base, read)
    if not table:
        return None
    function = next((entry for entry in table if entry.begin <= rip - base < entry.end), None)
    if function is None:  # a leaf: it changes neither stack nor nonvolatile registers
        return Caller(rip, _word(read, rsp), rsp + 8, saved)
    start = base + function.begin
    pops = _rest_of_epilogue(read(rip, _EPILOGUE_BYTES))
    if pops is not None:
        for name in pops:
            saved[name] = rsp
            rsp += 8
        return Caller(start, _word(read, rsp), rsp + 8, saved)
    offset = rip - start
    while True:
        flags, codes, frame_register, frame_offset, chained = _read_info(base + function.info, read)
        established = frame_register != 0 and any(op == _SET_FPREG and at <= offset for at, op, _, _ in codes)
        fixed = register(REGISTERS[frame_register]) - frame_offset if established else rsp
        for at, op, info, value in codes:
            if at > offset:
                continue  # not executed yet
            if op == _PUSH_NONVOL:
                saved[REGISTERS[info]] = rsp
                rsp += 8
            elif op in (_ALLOC_LARGE, _ALLOC_SMALL):
                rsp += value
            elif op == _SET_FPREG:
                rsp = fixed
            elif op in (_SAVE_NONVOL, _SAVE_NONVOL_FAR):
                saved[REGISTERS[info]] = fixed + value
            elif op == _PUSH_MACHFRAME:
                rsp += 8 * info
                return Caller(start, _word(read, rsp), _word(read, rsp + 24), saved)
        if not flags & _CHAINED:
            return Caller(start, _word(read, rsp), rsp + 8, saved)
        function = chained
        offset = 1 << 32  # all of an outer part's prologue has been executed


def _word(read: Read, address: int) -> int:
    return int.from_bytes(read(address, 8), "little")


def _table(base: int, read: Read) -> list[_Function]:
    header = base + int.from_bytes(read(base + _PE_POINTER, 4), "little")
    at, size = struct.unpack("<II", read(header + _EXCEPTION_DIRECTORY, 8))
    return (
        [_Function(*entry) for entry in struct.iter_unpack("<III", read(base + at, size - size % 12))] if size else []
    )


def _read_info(at: int, read: Read) -> tuple[int, list[tuple[int, int, int, int]], int, int, _Function]:
    """Return (flags, codes as (prologue offset, operation, info, value), frame register, its offset, outer part)."""
    first, _, count, frame = read(at, 4)
    slots = read(at + 4, 2 * (count + count % 2) + 12)
    outer = _Function(*struct.unpack_from("<III", slots, 2 * (count + count % 2)))
    return first >> 3, list(_codes(slots, count)), frame & 15, (frame >> 4) * 16, outer


def _codes(slots: bytes, count: int) -> Iterator[tuple[int, int, int, int]]:
    index = 0
    while index < count:
        at, packed = slots[2 * index], slots[2 * index + 1]
        op, info = packed & 15, packed >> 4
        short = int.from_bytes(slots[2 * index + 2 : 2 * index + 4], "little")
        long = int.from_bytes(slots[2 * index + 2 : 2 * index + 6], "little")
        extra = 1 + (info != 0) if op == _ALLOC_LARGE else _EXTRA_SLOTS.get(op, 0)
        value = 0
        if op == _ALLOC_LARGE:
            value = long if info else short * 8
        elif op == _ALLOC_SMALL:
            value = info * 8 + 8
        elif op == _SAVE_NONVOL:
            value = short * 8
        elif op == _SAVE_NONVOL_FAR:
            value = long
        yield at, op, info, value
        index += 1 + extra


def _rest_of_epilogue(code: bytes) -> list[str] | None:
    """Return the registers that the instructions at hand pop before they return; None if that is not what they do.

    At the first instruction of an epilogue, which releases the frame, everything is still as in the body.
    """
    pops: list[str] = []
    at = 0
    while at + 2 < len(code):
        high = code[at] == 0x41
        pop = code[at + high] - 0x58
        if 0 <= pop < 8:
            pops.append(REGISTERS[pop + 8 * high])
            at += 1 + high
            continue
        returns = code[at] in (0xC3, 0xC2) or code[at : at + 2] in (b"\xf3\xc3", b"\xff\x25")
        # REX.W JMP: to another function.
        leaves = code[at] & 0xF8 == 0x48 and code[at + 1] == 0xFF and code[at + 2] & 0x38 == 0x20
        return pops if returns or leaves else None
    return None
