# SPDX-License-Identifier: Apache-2.0
"""The guest's threads: what each does, what it waits for and where it stands, read from the dispatcher's own lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.errors import AwaitedObject, DirqlError, ThreadState
from dirql.guest.memory import View
from dirql.guest.state import walk_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.guest.memory import GuestMemory
    from dirql.guest.symbols import Symbolizer

_MOST_THREADS = 4096
_MOST_OBJECTS = 65
"""A list that is being changed may lead anywhere: no walk is longer than what can be there."""

_TYPES = {
    0: "notification event",
    1: "synchronization event",
    2: "mutex",
    4: "queue",
    5: "semaphore",
    6: "thread",
    8: "notification timer",
    9: "synchronization timer",
}
"""DISPATCHER_HEADER.Type; what is not here is said as its number."""

_MUTANT = 2
_THREAD = 6


class ThreadReader:
    """Reads the threads of a machine; best of one that stands still, or is at rest.

    Args:
        memory: the guest's memory.
        symbols: names routines and objects.
    """

    def __init__(self, memory: GuestMemory, symbols: Symbolizer) -> None:
        self._memory = memory
        self._symbols = symbols
        debug = memory.kernel.debug
        self._thread = debug.structure("KTHREAD")
        frame = debug.structure("KI_SWITCH_FRAME")
        self._saved_rbp, self._saved_rip = frame.field("Rbp").offset, frame.field("Rip").offset
        names = debug.enumeration("KI_THREAD_STATE")
        self._states = {value: name.removeprefix("KiThread").lower() for name, value in names.items()}

    def threads(self) -> tuple[ThreadState, ...]:
        """Return every thread that has begun and not ended, in the order of their beginning.

        Raises:
            MachineLost: the machine's memory is gone.
        """
        found: list[ThreadState] = []
        for address in self._addresses():
            try:
                found.append(self._describe(address))
            except DirqlError:  # it ended while it was looked at
                continue
        return tuple(found)

    def _view(self, address: int, structure: str) -> View:
        at = self._memory.translate(address)
        if at is None:
            raise DirqlError(f"nothing is mapped at {address:#x} in the guest")
        layout = self._memory.kernel.debug.structure(structure)
        return View(self._memory.ram, at, layout, self._memory.kernel)

    def _addresses(self) -> Iterator[int]:
        head = self._memory.kernel.address("KiAllThreads")
        offset = self._thread.field("AllThreads").offset
        entry = self._memory.load64(head)
        for _ in range(_MOST_THREADS):
            if entry in (head, 0):
                return
            yield entry - offset
            try:
                entry = self._memory.load64(entry)
            except DirqlError:
                return

    def _describe(self, address: int) -> ThreadState:
        view = self._view(address, "KTHREAD")
        state = self._states.get(view.get("State"), "unknown")
        stack = () if state == "running" else self._stack(view.get("StackPointer"))
        routine = self._symbols.where(view.get("StartRoutine"))
        awaited = tuple(self._awaited(view.get("WaitBlock"), address)) if state == "waiting" else ()
        return ThreadState(
            number=view.get("Id"),
            address=address,
            routine=routine,
            state=state,
            priority=view.get("Priority"),
            cpu=view.get("Processor"),
            waits_for=awaited,
            stack=stack,
            kernels=all(where.startswith(f"{self._memory.kernel.name}!") for where in (routine, *stack)),
        )

    def _stack(self, pointer: int) -> tuple[str, ...]:
        rip = self._memory.load64(pointer + self._saved_rip)
        rbp = self._memory.load64(pointer + self._saved_rbp)
        where = self._symbols.where(rip, returned=True)
        return (where, *walk_stack(self._memory, self._symbols, rip, 0, rbp))

    def _awaited(self, first: int, thread: int) -> Iterator[AwaitedObject]:
        """Walk the ring of wait blocks; the last one may be that of the thread's own timeout."""
        timer = thread + self._thread.field("Timer").offset
        block = first
        for _ in range(_MOST_OBJECTS):
            if block == 0:
                return
            view = self._view(block, "KWAIT_BLOCK")
            target = view.get("Object")
            if target == timer:
                yield AwaitedObject("timeout", target, "its own timer", None)
            else:
                yield self._object(target)
            block = view.get("NextWaitBlock")
            if block == first:
                return

    def _object(self, address: int) -> AwaitedObject:
        kind = self._view(address, "DISPATCHER_HEADER").get("Type")
        owner = None
        if kind == _MUTANT:
            holder = self._view(address, "KMUTANT").get("OwnerThread")
            owner = self._view(holder, "KTHREAD").get("Id") if holder else None
        name = str(self._view(address, "KTHREAD").get("Id")) if kind == _THREAD else self._symbols.variable(address)
        return AwaitedObject(_TYPES.get(kind, f"object of type {kind}"), address, name, owner)
