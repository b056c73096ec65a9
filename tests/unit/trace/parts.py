# SPDX-License-Identifier: Apache-2.0
"""What the simulated machine is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

PASSIVE = 0
DISPATCH = 2
CLOCK = 13
IPI = 14
DPC_VECTOR = 0x2F
CLOCK_VECTOR = 0xD1
IPI_VECTOR = 0xE1
ANY_CPU = 0xFF
LOW, MEDIUM, HIGH, MEDIUM_HIGH = range(4)

Steps = Iterator[None]


@dataclass
class Dpc:
    """A KDPC."""

    address: int
    target: int = ANY_CPU
    queued: bool = False
    importance: int = MEDIUM
    threaded: bool = False

    @property
    def routine(self) -> int:
        return 0xFFFF_8000_0020_0000 + (self.address & 0xFFF)


@dataclass
class Interrupt:
    """A connected KINTERRUPT with its device."""

    address: int
    vector: int
    sync_irql: int
    cpu: int
    lock: int
    dpc: Dpc
    mask: int = 0
    active: bool = True

    @property
    def routine(self) -> int:
        return 0xFFFF_8000_0010_0000 + (self.address & 0xFFF)

    @property
    def placed(self) -> int:
        """What InterruptConnect says of it."""
        word = self.vector | (self.vector >> 4) << 8 | self.sync_irql << 16 | self.cpu << 24
        return word | (self.mask or 1 << self.cpu) << 32


@dataclass
class Cpu:
    """What a CPU is doing."""

    number: int
    irql: int = 0
    stack: list[Steps] = field(default_factory=list)
    pending: set[int] = field(default_factory=set)
    queue: list[Dpc] = field(default_factory=list)
    threads: list[Dpc] = field(default_factory=list)
    in_thread: bool = False
    idle: bool = False
    wakes: int = 0


@dataclass
class Tickets:
    """The word of an interrupt lock."""

    serving: int = 0
    next: int = 0


@dataclass
class ReadersWriters:
    """The word of a reader/writer lock."""

    readers: int = 0
    writers_waiting: int = 0
    writer: bool = False


@dataclass
class Broadcast:
    """A call of all CPUs."""

    missing: set[int]
    running: set[int]
    routine: int
    context: int
