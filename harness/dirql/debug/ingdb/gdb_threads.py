# SPDX-License-Identifier: Apache-2.0
"""The guest's own threads as gdb's `dirql threads` shows them; gdb's threads are the CPUs.

Runs inside gdb; nothing but gdb's module and the standard library is there.
"""

# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gdb
from gdb_guest import where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdb_guest import Modules

_MOST_THREADS = 4096
_MOST_OBJECTS = 65
_MOST_FRAMES = 24
_MUTANT = 2


def describe_threads(modules: Modules) -> list[str]:
    """Return the lines of `dirql threads`: each thread and what it waits for; the stack of those that are in a driver.

    Args:
        modules: the loaded drivers.
    """
    lines = ["  id prio cpu  does"]
    for thread in _threads():
        state = str(thread["State"]).removeprefix("KiThread").lower()
        lines.append(
            f"{int(thread['Id']):4} {int(thread['Priority']):4} {int(thread['Processor']):3}  "
            f"{state}{_awaited(thread)}, began at {where(int(thread['StartRoutine']))}"
        )
        stack = [] if state == "running" else list(_stack(thread))
        if state in ("ready", "standby") or any(modules.find(pc) for pc in stack):
            lines += [f"           {where(pc)}" for pc in stack]
    return lines


def _threads() -> Iterator[Any]:
    head = gdb.parse_and_eval("&KiAllThreads")
    kind = gdb.lookup_type("KTHREAD")
    offset = next(field.bitpos for field in kind.fields() if field.name == "AllThreads") // 8
    entry = head["Flink"]
    for _ in range(_MOST_THREADS):
        if int(entry) in (0, int(head)):
            return
        yield gdb.Value(int(entry) - offset).cast(kind.pointer()).dereference()
        entry = entry["Flink"]


def _awaited(thread: Any) -> str:  # noqa: ANN401 (gdb's types)
    """Say what a thread waits for."""
    block = thread["WaitBlock"]
    if str(thread["State"]) != "KiThreadWaiting" or not int(block):
        return ""
    first, said = int(block), []
    for _ in range(_MOST_OBJECTS):
        said.append(_object(int(block["Object"]), int(thread["Timer"].address)))
        block = block["NextWaitBlock"]
        if int(block) in (0, first):
            break
    return " for " + " or ".join(said)


def _object(address: int, timer: int) -> str:
    if address == timer:
        return "a timeout"
    name = gdb.execute(f"info symbol {address:#x}", to_string=True).strip()
    name = f"{address:#x}" if name.startswith("No symbol") else name.split(" in section ")[0].replace(" + ", "+")
    header = gdb.Value(address).cast(gdb.lookup_type("DISPATCHER_HEADER").pointer()).dereference()
    if int(header["Type"]) != _MUTANT:
        return name
    owner = gdb.Value(address).cast(gdb.lookup_type("KMUTANT").pointer())["OwnerThread"]
    return f"the mutex {name}" + (f", which thread {int(owner['Id'])} owns" if int(owner) else "")


def _stack(thread: Any) -> Iterator[int]:  # noqa: ANN401 (gdb's types)
    """Follow the frame pointers from where the thread gave its CPU away."""
    frame = gdb.Value(int(thread["StackPointer"])).cast(gdb.lookup_type("KI_SWITCH_FRAME").pointer())
    word = gdb.lookup_type("unsigned long long").pointer()
    yield int(frame["Rip"])
    rbp = int(frame["Rbp"])
    for _ in range(_MOST_FRAMES):
        if rbp == 0 or rbp % 8:
            return
        try:
            pair = gdb.Value(rbp).cast(word)
            following, returned = int(pair[0]), int(pair[1])
        except gdb.MemoryError:
            return
        if returned == 0:
            return
        yield returned - 1
        if following <= rbp:
            return
        rbp = following
