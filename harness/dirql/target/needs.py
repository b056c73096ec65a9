# SPDX-License-Identifier: Apache-2.0
"""What a case needs and what it must end in: the words of TARGET_CASE, listed in guest/include/driver/dirqltest.h."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MODES = ("mt", "icount")
PLACEMENTS = ("routine", "first-available", "current")
ROUTINGS = ("symmetric", "asymmetric")
DEVICES = ("edu", "floppy")
DEFAULT_LIMIT = 60.0
"""Seconds of real time that a case may take."""

_MOST_CPUS = 64
_LONGEST = 600.0
_SLOWEST_CLOCK = 600_000_000
_LONGEST_WATCHDOG = 1_000_000
_CLAUSE = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*")


@dataclass(frozen=True)
class BugCheck:
    """The bugcheck that a case must end in.

    Attributes:
        code: its code.
        parameters: its first parameters; None for any.
    """

    code: int
    parameters: tuple[int | None, ...] = ()

    def matches(self, code: int, parameters: tuple[int, ...]) -> bool:
        """Tell whether this is the one."""
        pairs = zip(self.parameters, parameters, strict=False)
        return code == self.code and all(wanted in (None, found) for wanted, found in pairs)

    def __str__(self) -> str:
        """Write it as a case's needs do."""
        words = ["*" if value is None else f"{value:#x}" for value in self.parameters]
        return "/".join([f"{self.code:#x}", *words])


@dataclass(frozen=True)
class Needs:
    """The words of a case, read.

    Attributes:
        smp: least number of CPUs.
        cpus: the numbers of CPUs that it runs on; empty for any.
        mode: the only mode that it runs in; None for any.
        verifier: the only state of the verifier that it runs under; None for both.
        placement: DPC placements, one run for each.
        routing: interrupt routings, one run for each.
        bugcheck: the bugcheck that it must end in.
        named: words that the bugcheck's report must hold, such as the lock and the function that it is about.
        oracle: clauses that the oracle must find kept, with evidence.
        violates: clauses that the oracle must find violated.
        clock: the clock tick in units of 100 ns; 0 for the guest's default.
        watchdog: clock ticks that one DPC may run; 0 for no watchdog.
        threaded: whether threaded DPCs run in a thread.
        trim: whether the verifier puts pageable memory out at each raise to DISPATCH_LEVEL.
        hold: whether a spin lock that is held for too long (icount) is a bugcheck.
        devices: devices of QEMU's that must be there; a floppy's drive has a medium of zeros at each boot.
        limit: seconds of real time.
    """

    smp: int = 1
    cpus: tuple[int, ...] = ()
    mode: str | None = None
    verifier: bool | None = None
    placement: tuple[str, ...] = PLACEMENTS[:1]
    routing: tuple[str, ...] = ROUTINGS[:1]
    bugcheck: BugCheck | None = None
    named: tuple[str, ...] = ()
    oracle: tuple[str, ...] = ()
    violates: tuple[str, ...] = ()
    clock: int = 0
    watchdog: int = 0
    threaded: bool = True
    trim: bool = False
    hold: bool = False
    devices: tuple[str, ...] = ()
    limit: float = DEFAULT_LIMIT


def parse_needs(text: str) -> Needs:
    """Read the words of a case.

    Args:
        text: words with spaces between them.

    Raises:
        ValueError: a word is not one of the list, or its value is none; the text names the word.
    """
    found: dict[str, Any] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if name not in _WORDS:
            raise ValueError(f"{word!r}: there is no need {name!r}; the needs are {', '.join(f'{n}=' for n in _WORDS)}")
        if not equals or not value:
            raise ValueError(f"{word!r}: {name} wants a value, {name}=...")
        field, read = _WORDS[name]
        if field in found:
            raise ValueError(f"{word!r}: {name} is given twice")
        try:
            found[field] = read(value)
        except ValueError as error:
            raise ValueError(f"{word!r}: {error}") from None
    needs = Needs(**found)
    if needs.named and needs.bugcheck is None:
        raise ValueError(f"{text!r}: named= is about a bugcheck, and none is to come")
    both = set(needs.oracle) & set(needs.violates)
    if both:
        raise ValueError(f"{text!r}: {', '.join(sorted(both))} cannot be both kept and violated")
    return needs


def parse_clauses(text: str) -> tuple[str, ...]:
    """Read the clauses of a case, the one that names it first.

    Raises:
        ValueError: there is none, or a word is no clause.
    """
    clauses = text.split()
    if not clauses:
        raise ValueError("it names no clause")
    return tuple(_clause(clause) for clause in clauses)


def _count(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= _MOST_CPUS:
        raise ValueError(f"a number of CPUs is 1 to {_MOST_CPUS}")
    return int(value)


def _whole(value: str, most: int) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise ValueError(f"it is a whole number, 1 to {most}")
    return int(value)


def _clause(value: str) -> str:
    if _CLAUSE.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no clause; one is letters, digits and hyphens, such as SPIN-1")
    return value


def _number(value: str) -> int:
    found = _NUMBER.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no number as C writes them")
    digits = found.group(1)
    return int(digits, 8) if digits[0] == "0" and digits.isdecimal() else int(digits, 0)


def _bugcheck(value: str) -> BugCheck:
    code, *parameters = value.split("/")
    if len(parameters) > 4:
        raise ValueError("a bugcheck has four parameters")
    return BugCheck(_number(code), tuple(None if each == "*" else _number(each) for each in parameters))


def _limit(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"a limit is a number of seconds above 0, at most {_LONGEST:g}")
    return seconds


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is none of {', '.join(choices)}")
        return value

    return read


def _list_of(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def read_all(value: str) -> tuple[Any, ...]:
        items = tuple(read(item) for item in value.split(","))
        if len(set(items)) != len(items):
            raise ValueError("something is named twice")
        return items

    return read_all


_WORDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "smp": ("smp", _count),
    "cpus": ("cpus", _list_of(_count)),
    "mode": ("mode", _one_of(*MODES)),
    "verifier": ("verifier", lambda value: _one_of("on", "off")(value) == "on"),
    "placement": ("placement", _list_of(_one_of(*PLACEMENTS))),
    "routing": ("routing", _list_of(_one_of(*ROUTINGS))),
    "bugcheck": ("bugcheck", _bugcheck),
    "named": ("named", _list_of(str)),
    "oracle": ("oracle", _list_of(_clause)),
    "violates": ("violates", _list_of(_clause)),
    "clock": ("clock", lambda value: _whole(value, _SLOWEST_CLOCK)),
    "watchdog": ("watchdog", lambda value: _whole(value, _LONGEST_WATCHDOG)),
    "threaded": ("threaded", lambda value: _one_of("on", "off")(value) == "on"),
    "trim": ("trim", lambda value: _one_of("on", "off")(value) == "on"),
    "hold": ("hold", lambda value: _one_of("fatal", "finding")(value) == "fatal"),
    "device": ("devices", _list_of(_one_of(*DEVICES))),
    "limit": ("limit", _limit),
}
