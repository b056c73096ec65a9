# SPDX-License-Identifier: Apache-2.0
"""Which events a machine records: switched while it runs, and kept book of."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from dirql.bootoptions import boot_mask, trace_events
from dirql.driver import DEFAULT_TIMEOUT
from dirql.trace.events import mask_of

if TYPE_CHECKING:
    from dirql.config import MachineConfig
    from dirql.guest.image import KernelImage
    from dirql.guest.link import HostLink
    from dirql.guest.memory import GuestMemory
    from dirql.qemu.waits import Deadline
    from dirql.trace.eventtable import EventTable

_WORD = (1 << 64) - 1


class Tracing:
    """The part of a machine that switches its trace events.

    Attributes:
        trace_mask: bit n: event n is recorded.
        always_traced: bit n: event n has been recorded all the time since the machine's start.
    """

    config: MachineConfig
    kernel: KernelImage
    link: HostLink
    memory: GuestMemory
    trace_mask: int
    always_traced: int

    @cached_property
    def trace_events(self) -> EventTable:
        """Names and numbers of its trace events."""
        return trace_events(self.kernel)

    def trace(self, *names: str, timeout: float | Deadline = DEFAULT_TIMEOUT) -> int:
        """Record the events of these classes, and no others, from now on.

        Args:
            names: classes (`trace.events.EVENT_CLASSES`), events, or `all`; none: nothing is recorded.
            timeout: seconds, or a deadline.

        Returns:
            The mask that was.

        Raises:
            UsageError: there is no class and no event of a name.
        """
        return self.set_trace_mask(mask_of(self.trace_events, names), timeout)

    def set_trace_mask(self, mask: int, timeout: float | Deadline = DEFAULT_TIMEOUT) -> int:
        """Say which events are recorded from now on; the trace has it as MaskSet.

        Args:
            mask: bit n: event n (TRACE_EVENT) is.
            timeout: seconds, or a deadline.

        Returns:
            What it was.
        """
        self.always_traced &= mask  # before: if the answer does not come, nobody may think that nothing was missed
        low, high, *_ = self.link.request(
            "TraceMask", mask & _WORD, mask >> 64 & _WORD, what="the trace to be switched", timeout=timeout
        )
        self.trace_mask = mask
        return low | high << 64

    def silence_trace(self) -> None:
        """Have nothing recorded from now on, by a store to the guest's memory: no request, and no record of it."""
        control = self.memory.variable("TraceControl", "TRACE_CONTROL")
        for word in range(2):
            control.set("Mask", 0, word)
        self.trace_mask = self.always_traced = 0

    def _tracing_begins(self) -> None:
        """The machine is about to start (again)."""
        self.trace_mask = self.always_traced = boot_mask(self.config, self.trace_events)
