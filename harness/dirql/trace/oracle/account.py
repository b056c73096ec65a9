# SPDX-License-Identifier: Apache-2.0
"""INT-ACCOUNT: every interrupt that the host raised was claimed by a service routine, or merged with one that was.

For each KINTERRUPT: raised by the host = runs of its service routine that returned TRUE + merged + lost, and lost is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dirql.trace.accounting import Accounting
from dirql.trace.decode import Trace
from dirql.trace.history.history import History
from dirql.trace.history.intervals import factorize
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.quiet import connections

_NEEDS = ("IsrEnter", "IsrExit", "UnexpectedInterrupt")

INT_ACCOUNT = Clause("INT-ACCOUNT", "every interrupt raised is accounted for", "writing-an-isr", _NEEDS, alone=True)


@dataclass(frozen=True)
class Balance:
    """The books of one interrupt object, or of all of them.

    Attributes:
        interrupt: address of the KINTERRUPT; 0 for all together.
        sent: raised by the host.
        claimed: runs of the service routine that returned TRUE.
        refused: runs that returned FALSE.
        merged: raises that merged with a pending one.
    """

    interrupt: int
    sent: int
    claimed: int
    refused: int
    merged: int

    @property
    def lost(self) -> int:
        """Raised and never claimed; negative: claimed more often than raised."""
        return self.sent - self.claimed - self.merged


def route_by_vector(trace: Trace, messages: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """Find the KINTERRUPT of each message of a device from where the message goes.

    Args:
        trace: the trace, which holds the connections.
        messages: message number -> (target CPU, vector), as the device's MSI-X table has them.

    Returns:
        Message number -> address of the KINTERRUPT; messages that nothing was connected for are left out.
    """
    table = connections(trace)
    rows = zip(table.cpu.tolist(), table.vector.tolist(), table.object.tolist(), strict=True)
    places = {(cpu, vector): interrupt for cpu, vector, interrupt in rows}
    return {message: places[place] for message, place in messages.items() if place in places}


def balances(history: History, accounting: Accounting) -> list[Balance]:
    """Close the books of each interrupt object of `accounting`, or one book for all where it names none."""
    trace = history.trace
    exits = trace.where("IsrExit")
    objects, number = factorize(trace.arg0[exits])
    true = (trace.arg1[exits] & np.uint64(0xFF)) != 0
    claimed = dict(zip(objects.tolist(), np.bincount(number[true], minlength=len(objects)).tolist(), strict=True))
    refused = dict(zip(objects.tolist(), np.bincount(number[~true], minlength=len(objects)).tolist(), strict=True))
    if not accounting.connects:
        return [
            Balance(
                0,
                sum(accounting.sent.values()),
                sum(claimed.values()),
                sum(refused.values()),
                sum(accounting.merged.values()),
            )
        ]
    found = []
    for interrupt in sorted(set(accounting.connects.values())):
        messages = [message for message, target in accounting.connects.items() if target == interrupt]
        found.append(
            Balance(
                interrupt,
                sum(accounting.sent.get(message, 0) for message in messages),
                claimed.get(interrupt, 0),
                refused.get(interrupt, 0),
                sum(accounting.merged.get(message, 0) for message in messages),
            )
        )
    return found


def judge(history: History, accounting: Accounting | None) -> list[Finding]:
    """Judge the books of a run."""
    finding = Finding(INT_ACCOUNT, history.trace)
    trace = history.trace
    unexpected = trace.where("UnexpectedInterrupt")
    finding.judged = len(unexpected)
    for index in unexpected:
        finding.add(
            f"CPU {trace.cpu[index]} took vector {trace.arg0[index]:#x}, which nothing is connected to",
            [index],
            [trace.arg1[index]],
            certain=True,
        )
    if accounting is None:
        finding.unknown = "the host kept no account of what it sent"
        return [finding]
    books = balances(history, accounting)
    finding.judged += sum(book.sent for book in books)
    for book in books:
        whose = f"KINTERRUPT {book.interrupt:#x}" if book.interrupt else "all interrupt objects"
        if book.lost:
            what = f"{book.lost} lost" if book.lost > 0 else f"{-book.lost} claimed more than were raised"
            finding.add(f"{whose}: {book.sent} raised, {book.claimed} claimed, {book.merged} merged: {what}")
    strays = sorted(
        message for message in accounting.sent if accounting.connects and message not in accounting.connects
    )
    for message in strays:
        if accounting.sent[message]:
            finding.add(f"message {message}: {accounting.sent[message]} raised, but nothing is connected to it")
    total = sum(book.claimed for book in books)
    if accounting.acknowledged is not None and accounting.acknowledged != total:
        finding.add(
            f"the device was acknowledged {accounting.acknowledged} times; {total} service routine runs claimed it"
        )
    return [finding]
