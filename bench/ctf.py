# SPDX-License-Identifier: Apache-2.0
"""Writes a trace in the Common Trace Format 1.8, so that other tools can be measured on the same events.

A CTF event can have the very layout of a dirql record: time, sequence number and event in its header, CPU and IRQL in
its context, the two arguments as its fields. So a stream, one for each
CPU, is the raw records in packets, each with its header before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.percpu import monotone

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.trace.decode import Trace

_MAGIC = 0xC1FC_1FC1
_RECORDS = 4096
"""Records of a packet."""
_RECORD_BYTES = 32
_PLACES = {"Time": 0, "Sequence": 8, "Event": 12, "Cpu": 14, "Irql": 15, "Argument0": 16, "Argument1": 24}
_HEADER = np.dtype(
    [
        *(("magic", "<u4"), ("stream_id", "<u4"), ("timestamp_begin", "<u8"), ("timestamp_end", "<u8")),
        *(("content_size", "<u8"), ("packet_size", "<u8"), ("cpu_id", "<u8")),
    ]
)
_METADATA = """\
/* CTF 1.8 */
typealias integer {{ size = 8; align = 8; signed = false; }} := uint8_t;
typealias integer {{ size = 16; align = 8; signed = false; }} := uint16_t;
typealias integer {{ size = 32; align = 8; signed = false; }} := uint32_t;
typealias integer {{ size = 64; align = 8; signed = false; }} := uint64_t;
typealias integer {{ size = 64; align = 8; signed = false; base = 16; }} := word_t;
trace {{
    major = 1;
    minor = 8;
    byte_order = le;
    packet.header := struct {{ uint32_t magic; uint32_t stream_id; }};
}};
clock {{ name = tsc; freq = {hz}; }};
typealias integer {{ size = 64; align = 8; signed = false; map = clock.tsc.value; }} := tsc_t;
stream {{
    id = 0;
    packet.context := struct {{
        tsc_t timestamp_begin; tsc_t timestamp_end; uint64_t content_size; uint64_t packet_size; uint64_t cpu_id;
    }};
    event.header := struct {{ tsc_t timestamp; uint32_t sequence; uint16_t id; }};
    event.context := struct {{ uint8_t cpu; uint8_t irql; }};
}};
"""
_EVENT = """\
event {{ name = "{name}"; id = {number}; stream_id = 0; fields := struct {{ word_t argument0; word_t argument1; }}; }};
"""


def write_ctf(trace: Trace, folder: Path) -> int:
    """Write a trace as CTF 1.8, and return the number of its events.

    Args:
        trace: the trace.
        folder: where to; made if needed.

    Raises:
        ValueError: the guest's records have another layout.
    """
    fields = trace.meta.dtype.fields
    assert fields is not None
    if trace.meta.dtype.itemsize != _RECORD_BYTES or {name: fields[name][1] for name in fields} != _PLACES:
        raise ValueError("the records have another layout than the CTF events written here")
    folder.mkdir(parents=True, exist_ok=True)
    events = "".join(_EVENT.format(name=name, number=number) for name, number in trace.meta.events.numbers.items())
    text = _METADATA.format(hz=round(trace.meta.clock.tsc_hz)) + events
    (folder / "metadata").write_text(text, encoding="ascii")
    for cpu in range(trace.cpus):
        records = trace.raw(cpu).copy()
        records["Time"] = monotone(records["Time"])  # a stream's time stamps never go back
        with (folder / f"cpu{cpu}").open("wb") as file:
            for begin in range(0, len(records), _RECORDS):
                packet = records[begin : begin + _RECORDS]
                header = np.zeros(1, dtype=_HEADER)
                size = (header.nbytes + packet.nbytes) * 8
                header[0] = (_MAGIC, 0, packet["Time"][0], packet["Time"][-1], size, size, cpu)
                file.write(header.tobytes())
                file.write(packet.tobytes())
    return sum(len(trace.raw(cpu)) for cpu in range(trace.cpus))
