# SPDX-License-Identifier: Apache-2.0
"""One order over the records of all CPUs: by time, and at one time what lets others go on before what waited for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dirql.trace.schema import Bytes, EventTable, Indices

RELEASING = (
    *("LockReleased", "IsrExit", "SyncExit", "DpcInsert", "DpcEnd", "IpiSend", "InterruptExit", "IrqlLower"),
    "ThreadReady",
)
"""Events that let another CPU go on: they come first among records of one time."""
ACQUIRING = ("LockAcquired", "IsrEnter", "SyncEnter", "DpcStart", "InterruptEnter", "IdleExit", "ThreadSwitch")
"""Events that another CPU's releasing event may have let happen: they come last among records of one time."""


def merge(times: Sequence[Indices], origin: int) -> tuple[Indices, Bytes]:
    """Bring the records of all CPUs into the order of their times; of one time, into that of the CPUs.

    Which CPU each record of the whole is of says all: each CPU's own order stays.

    Args:
        times: per CPU, never decreasing.
        origin: what to count from; no time is earlier.

    Returns:
        Time of each record since `origin`, and its CPU.
    """
    counts = [len(column) for column in times]
    bits = max(len(times) - 1, 0).bit_length()
    latest = max((int(column[-1]) for column in times if len(column)), default=origin) - origin
    if latest >> (63 - bits):  # no room for the CPU in the same word
        ticks = np.concatenate(times) - origin
        order = np.argsort(ticks, kind="stable")
        return ticks[order], np.repeat(np.arange(len(times), dtype=np.uint8), counts)[order]
    keys = np.empty(sum(counts), dtype=np.int64)
    at = 0
    for cpu, column in enumerate(times):
        mine = keys[at : at + len(column)]
        np.subtract(column, origin, out=mine)
        if bits:
            mine <<= bits
            mine |= cpu
        at += len(column)
    if sum(count > 0 for count in counts) > 1:
        keys.sort(kind="stable")  # runs that are sorted already are merged
    if not bits:
        return keys, np.zeros(len(keys), dtype=np.uint8)
    cpus = np.bitwise_and(keys, (1 << bits) - 1, dtype=np.int64).astype(np.uint8)
    keys >>= bits
    return keys, cpus


def settle_ties(
    time: Indices, cpu: Bytes, events: EventTable, gather: Callable[[Indices], tuple[Indices, Indices]]
) -> Bytes:
    """Put releasing before acquiring events among records of one time, without touching any CPU's own order.

    Args:
        time: of each record, never decreasing.
        cpu: of each record; those of one time sorted.
        events: the guest's.
        gather: returns for records their positions, CPU after CPU, and their events' numbers.

    Returns:
        The CPU of each record as it is then.
    """
    same = time[1:] == time[:-1]
    if not same.any() or not (same & (cpu[1:] != cpu[:-1])).any():
        return cpu
    tied = np.zeros(len(time), dtype=np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    slots = np.flatnonzero(tied)
    position, event = gather(slots)
    ticks, owner = time[slots], cpu[slots]
    rank = np.ones(len(slots), dtype=np.int64)
    rank[np.isin(event, [events[name] for name in RELEASING if name in events])] = 0
    rank[np.isin(event, [events[name] for name in ACQUIRING if name in events])] = 2
    # Sorted by time, then CPU, then sequence: within a CPU's run the rank may only rise.
    new_run = np.ones(len(slots), dtype=np.int64)
    new_run[1:] = (ticks[1:] != ticks[:-1]) | (owner[1:] != owner[:-1])
    run = np.cumsum(new_run) * 4
    rank = np.maximum.accumulate(run + rank) - run
    settled = cpu.copy()
    settled[slots] = owner[np.lexsort((position, rank, ticks))]
    return settled
