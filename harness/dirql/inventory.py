# SPDX-License-Identifier: Apache-2.0
"""What a machine holds at a moment of rest: the same before a driver was loaded and after it was unloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dirql.machine import Machine
    from dirql.qemu.waits import Deadline

_KINDS = (
    *("Interrupts", "Vectors", "Threads", "Timers", "Handles", "Images"),
    *("Drivers", "Devices", "Files", "Names", "Requests"),
)


@dataclass(frozen=True)
class Inventory:
    """Counts. Two are equal where nothing was left behind in between.

    Attributes:
        counts: by kind: `Interrupts` connected, `Vectors` allocated, `Threads` not ended, `Timers` set, `Handles` open,
            `Images` loaded; `Drivers`, `Devices`, `Files`: objects; `Names` of objects, symbolic links among them;
            `Requests` of the host in flight.
        pool: blocks by (tag, `nonpaged` or `paged`).
        free_pages: of RAM; not compared: the kernel keeps the stacks of ended threads and page tables once made.
    """

    counts: dict[str, int]
    pool: dict[tuple[str, str], int]
    free_pages: int

    def __eq__(self, other: object) -> bool:
        """Whether all counts are equal."""
        return isinstance(other, Inventory) and not self.difference(other)

    def __hash__(self) -> int:
        """Hash it by its counts."""
        return hash((tuple(sorted(self.counts.items())), tuple(sorted(self.pool.items()))))

    def difference(self, before: Inventory) -> dict[str, tuple[int, int]]:
        """Return what differs: words -> (before, now)."""
        found: dict[str, tuple[int, int]] = {}
        for kind in self.counts:
            found[kind] = (before.counts[kind], self.counts[kind])
        for tag, pool in sorted(set(self.pool) | set(before.pool)):
            found[f"{pool} pool '{tag}'"] = (before.pool.get((tag, pool), 0), self.pool.get((tag, pool), 0))
        return {what: (old, new) for what, (old, new) in found.items() if old != new}


def take_inventory(machine: Machine, timeout: float | Deadline) -> Inventory:
    """Have the guest count, and return the counts."""
    machine.link.request("Inventory", what="the guest to count what it holds", timeout=timeout)
    view = machine.link.buffer_view("HOST_INVENTORY")
    pool: dict[tuple[str, str], int] = {}
    for at in range(view.get("TagCount")):
        tag = view.inner("Tag", at)
        for kind, name in enumerate(("nonpaged", "paged")):
            blocks = tag.get("Blocks", kind)
            if blocks:
                text = tag.get("Tag").to_bytes(4, "little").decode("latin-1") if tag.get("Tag") else "(others)"
                pool[text, name] = blocks
    return Inventory({kind: view.get(kind) for kind in _KINDS}, pool, view.get("FreePages"))
