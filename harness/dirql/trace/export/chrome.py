# SPDX-License-Identifier: Apache-2.0
"""Exports a trace in the Trace Event Format, JSON that chrome://tracing and others open; `scene` says what is shown.

A group of tracks is a process, a track a thread of it. Times are in microseconds with three decimals. An arrow is bound
to the slice that is under way where it begins, and to the one that is where it ends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from dirql.trace.export.scene import Act, build_scene

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.trace.export.scene import Scene, Shape, Track
    from dirql.trace.history.history import History
    from dirql.trace.oracle.verdict import Verdict

_TOGETHER = 1 << 16
"""Items written at once."""
_PHASES = {Act.BEGIN: "B", Act.END: "E", Act.POINT: "i", Act.COUNT: "C"}


def write_chrome(history: History, path: Path, verdict: Verdict | None = None) -> int:
    """Write a trace as Trace Event JSON.

    Args:
        history: the trace's intervals.
        path: the file to write.
        verdict: where given, its violations become a track of their own.

    Returns:
        The number of events written, arrows not counted.
    """
    return write_scene(build_scene(history, verdict), path)


class _Text(NamedTuple):
    """What is written for the items of a shape: the event up to its time stamp and what follows; its arrows' ends."""

    head: str
    tail: str
    leaves: str
    arrives: str


def write_scene(scene: Scene, path: Path) -> int:
    """Write what is shown as Trace Event JSON, and return the number of its events."""
    places = _places(scene.tracks)
    texts = [_text(shape, *places[shape.track]) for shape in scene.shapes]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
        file.write(",\n".join(json.dumps(event) for event in _names(scene.tracks, places)))
        for begin in range(0, len(scene), _TOGETHER):
            part = slice(begin, begin + _TOGETHER)
            lines: list[str] = []
            rows = (scene.shape[part], scene.stamp[part], scene.leaves[part], scene.arrives[part])
            for number, stamp, leaves, arrives in zip(*(column.tolist() for column in rows), strict=True):
                text = texts[number]
                time = f"{stamp // 1000}.{stamp % 1000:03}"
                lines.append(f"{text.head}{time}{text.tail}")
                if arrives:
                    lines.append(f"{text.arrives}{time}{_END_OF_ID[0]}{arrives}{_END_OF_ID[1]}")
                if leaves:
                    lines.append(f"{text.leaves}{time}{_END_OF_ID[0]}{leaves}{_END_OF_ID[1]}")
            file.write("".join(f",\n{line}" for line in lines))
        file.write("\n]}\n")
    return len(scene)


_END_OF_ID = ',"id":', "}"


def _text(shape: Shape, pid: int, tid: int) -> _Text:
    place = f'"pid":{pid},"tid":{tid},"ts":'
    name = f'"name":{json.dumps(shape.name)},' if shape.name else ""
    tail = "}"
    if shape.act is Act.POINT:
        tail = ',"s":"t"}'
    elif shape.act is Act.COUNT:
        name = '"name":"IRQL",'
        tail = f',"args":{{"IRQL":{shape.value}}}}}'
    arrow = f'"name":"arrow","cat":"arrow",{place}'
    return _Text(
        head=f'{{"ph":"{_PHASES[shape.act]}",{name}{place}',
        tail=tail,
        leaves=f'{{"ph":"s",{arrow}',
        arrives=f'{{"ph":"f","bp":"e",{arrow}',
    )


def _places(tracks: tuple[Track, ...]) -> dict[int, tuple[int, int]]:
    """Return process and thread of each track; a track without a group is a process of one thread."""
    places: dict[int, tuple[int, int]] = {}
    threads: dict[int, int] = {}
    for track in tracks:
        if track.parent:
            pid = places[track.parent][0]
            threads[pid] += 1
            places[track.number] = pid, threads[pid]
        else:
            pid = len(threads) + 1
            threads[pid] = 0
            places[track.number] = pid, 0
    return places


def _names(tracks: tuple[Track, ...], places: dict[int, tuple[int, int]]) -> list[dict[str, Any]]:
    """Return the events that name processes and threads and put them into order."""
    events: list[dict[str, Any]] = []
    for track in tracks:
        pid, tid = places[track.number]
        if track.counter:
            continue
        whose = "thread" if track.parent else "process"
        events += [
            {"ph": "M", "pid": pid, "tid": tid, "name": f"{whose}_{what}", "args": {key: value}}
            for what, key, value in (("name", "name", track.name), ("sort_index", "sort_index", track.rank))
        ]
    return events
