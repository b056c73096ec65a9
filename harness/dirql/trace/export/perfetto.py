# SPDX-License-Identifier: Apache-2.0
"""Exports a trace for the Perfetto viewer, as protobuf; `scene` says what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.export.packets import PacketWriter
from dirql.trace.export.scene import Act, build_scene

if TYPE_CHECKING:
    from pathlib import Path

    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket

    from dirql.trace.export.scene import Scene, Shape, Track
    from dirql.trace.history.history import History
    from dirql.trace.oracle.verdict import Verdict

_SEQUENCE = 1
_TYPES = {Act.BEGIN: "SLICE_BEGIN", Act.END: "SLICE_END", Act.POINT: "INSTANT", Act.COUNT: "COUNTER"}
_TOGETHER = 1 << 18
"""Packets laid out at once."""


def write_perfetto(history: History, path: Path, verdict: Verdict | None = None) -> int:
    """Write a trace as a Perfetto protobuf file. Times are ns since the first record.

    Args:
        history: the trace's intervals.
        path: the file to write.
        verdict: where given, its violations become a track of their own.

    Returns:
        The number of events written.
    """
    return write_scene(build_scene(history, verdict), path)


def write_scene(scene: Scene, path: Path) -> int:
    """Write what is shown as a Perfetto protobuf file, and return the number of its events."""
    writer = PacketWriter()
    names: dict[str, int] = {}
    templates = np.array([_template(writer, names, shape) for shape in scene.shapes], dtype=np.int64)
    with path.open("wb") as file:
        file.write(_head(scene.tracks, names))
        for begin in range(0, len(scene), _TOGETHER):
            part = slice(begin, begin + _TOGETHER)
            file.write(
                writer.write(templates[scene.shape[part]], scene.stamp[part], scene.leaves[part], scene.arrives[part])
            )
    return len(scene)


def _head(tracks: tuple[Track, ...], names: dict[str, int]) -> bytes:
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TracePacket

    first = TracePacket(trusted_packet_sequence_id=_SEQUENCE)
    first.sequence_flags = TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
    for name, number in names.items():
        first.interned_data.event_names.add(iid=number, name=name)
    data: bytes = Trace(packet=[first, *(_track(track) for track in tracks)]).SerializeToString()
    return data


def _track(shown: Track) -> TracePacket:
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket, TrackDescriptor

    packet = TracePacket(trusted_packet_sequence_id=_SEQUENCE)
    track = packet.track_descriptor
    track.uuid, track.name, track.sibling_order_rank = shown.number, shown.name, shown.rank
    track.child_ordering = TrackDescriptor.EXPLICIT
    if shown.parent:
        track.parent_uuid = shown.parent
    if shown.counter:
        track.counter.SetInParent()
    return packet


def _template(writer: PacketWriter, names: dict[str, int], shape: Shape) -> int:
    """Return the template for packets that differ in time and arrows only."""
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket, TrackEvent

    packet = TracePacket(trusted_packet_sequence_id=_SEQUENCE)
    packet.sequence_flags = TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
    event = packet.track_event
    event.type = getattr(TrackEvent, f"TYPE_{_TYPES[shape.act]}")
    event.track_uuid = shape.track
    if shape.name:
        event.name_iid = names.setdefault(shape.name, len(names) + 1)
    if shape.act is Act.COUNT:
        event.counter_value = shape.value
    return writer.template(packet, leaves=shape.leaves, arrives=shape.arrives)
