# SPDX-License-Identifier: Apache-2.0
"""Exports a trace as a Value Change Dump, which GTKWave shows as waves.

Per CPU its IRQL (four bits, and the level's name), the thread that has it, and what it runs, the innermost; per spin
lock its owner, or its readers, and how many CPUs wait for it. Texts are GTKWave's strings, an extension of the format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.export.scene import Act, build_scene
from dirql.trace.export.scene_locks import LockSpans, Part
from dirql.trace.history.describe import irql_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vcd import VCDWriter

    from dirql.trace.export.scene import Scene
    from dirql.trace.history.history import History

_WAITING_BITS = 8
_Change = tuple[int, Any, Any]
"""ns since the trace began, variable, value."""


def write_vcd(history: History, path: Path) -> int:
    """Write a trace as a VCD file. Its unit of time is 1 ns, its time 0 the first record.

    Args:
        history: the trace's intervals.
        path: the file to write.

    Returns:
        The number of changes.
    """
    from vcd import VCDWriter

    scene, locks = build_scene(history), LockSpans(history, 1)
    count = 0
    with (
        path.open("w", encoding="utf-8", newline="\n") as file,
        VCDWriter(file, timescale="1 ns", date="", version="dirql", check_values=False) as writer,
    ):
        cpus, owners = _Cpus(writer, scene), _Locks(writer, history, locks)
        for stamp, variable, value in _settled(_in_order(cpus.changes(), owners.changes())):
            writer.change(variable, stamp, value)
            count += 1
        if len(scene):
            writer.close(int(scene.stamp[-1]))
    return count


class _Cpus:
    """The variables of the CPUs."""

    def __init__(self, writer: VCDWriter, scene: Scene) -> None:
        self._scene = scene
        self._runs: dict[int, tuple[Any, Any]] = {}
        self._irql: dict[int, tuple[Any, Any]] = {}
        groups = {track.number: track.name for track in scene.tracks}
        for track in scene.tracks:
            scope = groups.get(track.parent, "").lower().replace(" ", "")
            if track.counter:
                self._irql[track.number] = (
                    writer.register_var(scope, "irql", "reg", size=4),
                    writer.register_var(scope, "level", "string"),
                )
            elif track.name == "runs":
                self._runs[track.number] = (
                    writer.register_var(scope, "thread", "string"),
                    writer.register_var(scope, "runs", "string"),
                )

    def changes(self) -> Iterator[_Change]:
        """Return their changes, in order of time."""
        scene = self._scene
        stacks: dict[int, list[str]] = {track: [] for track in self._runs}
        shown = [
            (shape.act, shape.track, shape.name, shape.value)
            if shape.act is not Act.POINT and (shape.track in stacks or shape.track in self._irql)
            else None
            for shape in scene.shapes
        ]
        for number, stamp in zip(scene.shape.tolist(), scene.stamp.tolist(), strict=True):
            item = shown[number]
            if item is None:
                continue
            act, track, name, value = item
            if act is Act.COUNT:
                level, text = self._irql[track]
                yield stamp, level, value
                yield stamp, text, irql_name(value)
                continue
            stack = stacks[track]
            if act is Act.BEGIN:
                stack.append(name)
            else:
                stack.pop()
            thread, runs = self._runs[track]
            yield stamp, runs, stack[-1] if stack else ""
            if len(stack) <= 1:
                yield stamp, thread, stack[0] if stack else ""


class _Locks:
    """The variables of the locks."""

    def __init__(self, writer: VCDWriter, history: History, spans: LockSpans) -> None:
        self._trace, self._spans = history.trace, spans
        self._variables: dict[int, tuple[Any, Any]] = {}
        taken: set[str] = set()
        for lock in np.unique(spans.lock).tolist():
            name = re.sub(r"[^\w!$+-]", "_", spans.name(lock))
            name = name if name not in taken else f"{name}_{lock:x}"
            taken.add(name)
            self._variables[lock] = (
                writer.register_var(("locks", name), "owner", "string"),
                writer.register_var(("locks", name), "waiting", "integer", size=_WAITING_BITS, init=0),
            )

    def changes(self) -> Iterator[_Change]:
        """Return their changes, in order of time."""
        spans, trace = self._spans, self._trace
        done = np.flatnonzero(~spans.open)
        row = np.concatenate([np.arange(len(spans.start)), done])
        record = np.concatenate([spans.start, spans.end[done]])
        begins = np.arange(len(row)) < len(spans.start)
        order = np.lexsort((begins, record))  # at one record ends come first
        row, record, begins = row[order], record[order], begins[order]
        stamps = np.round(trace.ns(trace.time[record])).astype(np.int64)
        owners: dict[int, list[str]] = {lock: [] for lock in self._variables}
        waiting = dict.fromkeys(self._variables, 0)
        columns = (stamps, spans.lock[row], spans.kind[row], spans.cpu[row], begins)
        for stamp, lock, kind, cpu, begun in zip(*(column.tolist() for column in columns), strict=True):
            owner, count = self._variables[lock]
            if kind >= Part.WAIT:
                waiting[lock] += 1 if begun else -1
                yield stamp, count, waiting[lock]
                continue
            text = f"CPU {cpu}" if kind == Part.HOLD else f"reader CPU {cpu}"
            if begun:
                owners[lock].append(text)
            else:
                owners[lock].remove(text)
            yield stamp, owner, ", ".join(sorted(owners[lock]))


def _settled(changes: Iterator[_Change]) -> Iterator[_Change]:
    """Leave out what lasts for no time: of a variable's changes of one time, the last counts."""
    now, pending = -1, dict[str, _Change]()
    for change in changes:
        if change[0] != now:
            yield from pending.values()
            now = change[0]
            pending.clear()
        pending[change[1].ident] = change
    yield from pending.values()


def _in_order(*changes: Iterator[_Change]) -> Iterator[_Change]:
    from heapq import merge
    from operator import itemgetter

    return merge(*changes, key=itemgetter(0))
