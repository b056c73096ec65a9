# SPDX-License-Identifier: Apache-2.0
"""How a case ended, and whether that is how it had to end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.errors import DirqlError
from dirql.trace.oracle.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.guest.memory import GuestMemory
    from dirql.target.cases import Case
    from dirql.target.needs import Needs
    from dirql.target.table import TargetConfig
    from dirql.trace.oracle.verdict import ClauseVerdict, Verdict

ASSERTION_CODE = 0xD1A0A55E
"""DIRQL_ASSERTION_FAILED of guest/include/hostif.h: its first parameter points at a DIRQL_ASSERTION."""
ASSERTION = struct.Struct("<7Q")
"""DIRQL_ASSERTION of driver/dirql.h: File, Line, Text, Left, Right (pointers to text), LeftValue, RightValue."""

_SHOWN = 3


@dataclass(frozen=True)
class Assertion:
    """A failed assertion of a case.

    Attributes:
        file: where it is written.
        line: and the line there.
        text: as it stands in the source.
        left: the left operand's text; empty where there is none.
        right: the right operand's text.
        left_value: the left operand's value, 64 bits, unsigned.
        right_value: the right operand's value.
    """

    file: str
    line: int
    text: str
    left: str
    right: str
    left_value: int
    right_value: int

    @classmethod
    def read(cls, memory: GuestMemory, address: int) -> Assertion | None:
        """Read it where it lies in the guest; None where nothing readable does."""

        def text(at: int) -> str:
            return memory.string(at) if at else ""

        try:
            file, line, said, left, right, *values = ASSERTION.unpack(memory.read(address, ASSERTION.size))
            return cls(text(file), line, text(said), text(left), text(right), values[0], values[1])
        except DirqlError:
            return None

    def __str__(self) -> str:
        """Return place and text, then each operand with its value."""
        lines = [f"{self.file}:{self.line}: {self.text}"]
        operands = [(self.left, self.left_value), (self.right, self.right_value)] if self.left else []
        width = max((len(name) for name, _ in operands), default=0)
        lines += [f"  {name:{width}} = {value:#x} ({value})" for name, value in operands]
        return "\n".join(lines)


@dataclass(frozen=True)
class CaseResult:
    """One run of a case.

    Attributes:
        case: the case.
        config: the machine that it ran on.
        kind: how it failed: `assertion`, `bugcheck` (another than expected), `no bugcheck` (one was), `crash` (a triple
            fault), `leftover`, `hang`, `lost` (the machine), `oracle`; empty where it passed.
        text: what to tell about a failure; empty where it passed.
        seconds: how long it took, judgement included.
        verdict: the oracle's; None where there was no trace.
    """

    case: Case
    config: TargetConfig
    kind: str
    text: str
    seconds: float
    verdict: Verdict | None

    @property
    def passed(self) -> bool:
        """Whether it ended as it had to."""
        return not self.kind

    @property
    def id(self) -> str:
        """The name of this run, such as `SPIN-3-raise-before-acquire-cpus4-mt`."""
        return f"{self.case.id}-{self.config.id}"


def weigh(needs: Needs, verdict: Verdict, where: Callable[[int], str], *, complete: bool) -> str:
    """Compare the oracle's verdict with what a case says of it.

    Args:
        needs: the case's words.
        verdict: the oracle's.
        where: names an address.
        complete: the case came to its end, so what it wants to be seen must have been.

    Returns:
        What is wrong; empty if nothing is.
    """
    found = {each.clause.id: each for each in verdict.clauses}
    wrong = [
        _violation(each, where)
        for each in verdict.clauses
        if each.status is Status.VIOLATED and each.clause.id not in needs.violates
    ]
    for clause in (*needs.oracle, *needs.violates) if complete else ():
        wanted = Status.OK if clause in needs.oracle else Status.VIOLATED
        each = found.get(clause)
        if each is None:
            wrong.append(f"{clause}: the oracle knows no such clause")
        elif each.status is not wanted and not (wanted is Status.OK and each.status is Status.VIOLATED):
            reason = f": {each.reason}" if each.reason else ""
            wrong.append(f"{clause}: the case wants it {wanted.value}, the oracle says {each.status.value}{reason}")
    return "\n".join(wrong)


def _violation(each: ClauseVerdict, where: Callable[[int], str]) -> str:
    lines = [f"{each.clause.id} violated: {each.clause.title} ({each.clause.page})"]
    for violation in each.violations[:_SHOWN]:
        lines.append(f"  {violation.text}")
        lines += [f"    at {where(site)}" for site in violation.sites]
    if each.count > _SHOWN:
        lines.append(f"  and {each.count - _SHOWN} more")
    return "\n".join(lines)
