# SPDX-License-Identifier: Apache-2.0
"""What a recording may be told to stop on, read from a text.

violation            the oracle finds a broken rule; violation:SPIN-1: that one
hold>25us            a spin lock is held for longer
address:NAME         a record points into a symbol; also 0x1234, 0x1234+0x40, module!name
event:NAME           an event of that name; event:NAME:VALUE: with that argument, a number or a symbol
"""

from __future__ import annotations

from dataclasses import dataclass

from dirql.errors import UsageError
from dirql.trace.events import CLASS_OF

_FORMS = "violation, violation:CLAUSE, hold>25us, address:SYMBOL, event:NAME or event:NAME:VALUE"


@dataclass(frozen=True)
class Condition:
    """One condition, as it was asked for.

    Attributes:
        text: as the user wrote it.
        kind: `violation`, `hold`, `address` or `event`.
        name: clause, symbol or address, event; empty: any clause.
        value: of the event, as text; empty: any.
        ns: of the hold.
    """

    text: str
    kind: str
    name: str = ""
    value: str = ""
    ns: float = 0.0


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: it is none; the text lists the forms.
    """
    kind, colon, rest = text.strip().partition(":")
    hold, more, budget = kind.partition(">")
    if more and not colon and hold.strip() == "hold":
        return Condition(text, "hold", ns=_ns(budget))
    if kind == "violation" and (rest or not colon):
        return Condition(text, kind, rest)
    if kind == "address" and rest:
        return Condition(text, kind, rest)
    if kind == "event" and rest:
        name, _, value = rest.partition(":")
        if name not in CLASS_OF:
            raise UsageError(f"there is no trace event called {name!r}")
        return Condition(text, kind, name, value)
    raise UsageError(f"a recording does not stop on {text!r}; it stops on {_FORMS}")


def parse_after(text: str) -> tuple[int, float]:
    """Read what is kept after a trigger: `1000` records, or a time such as `2ms`.

    Returns:
        Records, and ns; one of them is 0.

    Raises:
        UsageError: it is neither.
    """
    return (int(text), 0.0) if text.isdecimal() else (0, _ns(text))


def _ns(text: str) -> float:
    from dirql.trace.window import parse_time  # it needs numpy, which most commands that describe a machine do not

    return float(parse_time(text))
