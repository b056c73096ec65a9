# SPDX-License-Identifier: Apache-2.0
"""Writes very many Perfetto packets that differ in little: time stamp and flow.

Each packet is a template, serialised once by the protobuf library with place holders of fixed width; numpy then stamps
out all packets of a template at once. A time stamp is a varint padded to nine bytes, which every protobuf parser
accepts; a flow id is a fixed64 by its schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.schema import Bytes, Indices

if TYPE_CHECKING:
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket

_STAMP_BYTES = 9
_HOLDER = (1 << 63) - 1  # as a varint: eight bytes 0xFF and 0x7F
_STAMP_HOLDER = b"\xff" * 8 + b"\x7f"
_LEAVES, _ARRIVES = 0xF10F_1D00_0000_F10F, 0xA221_7E50_0000_A221


@dataclass(frozen=True)
class _Template:
    """One serialised packet, with its length, and the places to fill in; -1 where it has none."""

    data: Bytes
    stamp: int
    leaves: int
    arrives: int


class PacketWriter:
    """Collects packets by template and lays them out in order."""

    def __init__(self) -> None:
        self._templates: list[_Template] = []

    def template(self, packet: TracePacket, *, leaves: bool = False, arrives: bool = False) -> int:
        """Add a template.

        Args:
            packet: the packet, a track event; its time stamp and its flow ids are set here.
            leaves: a flow begins at it.
            arrives: a flow ends at it.

        Returns:
            The template's number.
        """
        packet.timestamp = _HOLDER
        if leaves:
            packet.track_event.flow_ids.append(_LEAVES)
        if arrives:
            packet.track_event.terminating_flow_ids.append(_ARRIVES)
        body = packet.SerializeToString()
        data = b"\x0a" + _varint(len(body)) + body  # field 1 of Trace: a packet
        stamp = data.index(b"\x40" + _STAMP_HOLDER) + 1  # field 8, a varint
        places = [
            data.index(holder.to_bytes(8, "little")) if wanted else -1
            for wanted, holder in ((leaves, _LEAVES), (arrives, _ARRIVES))
        ]
        self._templates.append(_Template(np.frombuffer(data, dtype=np.uint8), stamp, *places))
        return len(self._templates) - 1

    def write(self, template: Indices, stamp: Indices, leaves: Indices, arrives: Indices) -> bytes:
        """Lay out packets.

        Args:
            template: template of each packet, in the order of the file.
            stamp: its time, in ns.
            leaves: id of the flow that begins at it; not used where the template has none.
            arrives: id of the flow that ends at it; the same.
        """
        size = np.array([len(each.data) for each in self._templates], dtype=np.int64)
        if not len(template):
            return b""
        end = np.cumsum(size[template])
        start = end - size[template]
        out = np.empty(int(end[-1]), dtype=np.uint8)
        septets = (stamp[:, None] >> (7 * np.arange(_STAMP_BYTES))) & 0x7F
        stamps = septets.astype(np.uint8)
        stamps[:, :-1] |= 0x80
        leaving, arriving = (flow.astype("<u8").view(np.uint8).reshape(-1, 8) for flow in (leaves, arrives))
        order = np.argsort(template.astype(np.uint16) if len(size) < 1 << 16 else template, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(np.bincount(template, minlength=len(size)))])
        for number, each in enumerate(self._templates):
            mine = order[bounds[number] : bounds[number + 1]]
            if not len(mine):
                continue
            packets = np.tile(each.data, (len(mine), 1))
            packets[:, each.stamp : each.stamp + _STAMP_BYTES] = stamps[mine]
            for place, flows in ((each.leaves, leaving), (each.arrives, arriving)):
                if place >= 0:
                    packets[:, place : place + 8] = flows[mine]
            out[start[mine][:, None] + np.arange(len(each.data))] = packets
        return out.tobytes()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
