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
_FLOW_HOLDER = 0xF10F_1D00_0000_F10F


@dataclass(frozen=True)
class _Template:
    """One serialised packet, with its length, and the places to fill in."""

    data: Bytes
    stamp: int
    flow: int


class PacketWriter:
    """Collects packets by template and lays them out in order."""

    def __init__(self) -> None:
        self._templates: list[_Template] = []

    def template(self, packet: TracePacket, *, flow: bool = False) -> int:
        """Add a template.

        Args:
            packet: the packet; its time stamp is set here.
            flow: the packet's track event holds one flow id, `flow_holder()`.

        Returns:
            The template's number.
        """
        packet.timestamp = _HOLDER
        body = packet.SerializeToString()
        data = b"\x0a" + _varint(len(body)) + body  # field 1 of Trace: a packet
        stamp = data.index(b"\x40" + _STAMP_HOLDER) + 1  # field 8, a varint
        place = data.index(_FLOW_HOLDER.to_bytes(8, "little")) if flow else -1
        self._templates.append(_Template(np.frombuffer(data, dtype=np.uint8), stamp, place))
        return len(self._templates) - 1

    @staticmethod
    def flow_holder() -> int:
        """Return the flow id that stands for all in a template."""
        return _FLOW_HOLDER

    def write(self, template: Indices, stamp: Indices, flow: Indices) -> bytes:
        """Lay out packets.

        Args:
            template: template of each packet, in the order of the file.
            stamp: its time, in ns.
            flow: its flow id; not used where the template has none.
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
        flows = flow.astype("<u8").view(np.uint8).reshape(-1, 8)
        order = np.argsort(template.astype(np.uint16) if len(size) < 1 << 16 else template, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(np.bincount(template, minlength=len(size)))])
        for number, each in enumerate(self._templates):
            mine = order[bounds[number] : bounds[number + 1]]
            if not len(mine):
                continue
            packets = np.tile(each.data, (len(mine), 1))
            packets[:, each.stamp : each.stamp + _STAMP_BYTES] = stamps[mine]
            if each.flow >= 0:
                packets[:, each.flow : each.flow + 8] = flows[mine]
            out[start[mine][:, None] + np.arange(len(each.data))] = packets
        return out.tobytes()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
