# SPDX-License-Identifier: Apache-2.0
"""Frames on the host link: found in any stream, however it is cut and whatever lies between them."""

from __future__ import annotations

import itertools
import zlib

from hypothesis import given
from hypothesis import strategies as st

from dirql.guest.link import FRAME_MAGIC, FrameParser, encode_frame

FRAME = st.tuples(st.integers(0, 255), st.integers(0, 0xFFFF_FFFF))
NOISE = st.binary(max_size=20).map(lambda data: data.replace(b"D", b"d"))  # no beginning of a magic number


def parsed(pieces: list[bytes]) -> tuple[list[tuple[int, int, int]], int]:
    frames: list[tuple[int, int, int]] = []
    parser = FrameParser(lambda kind, cpu, sequence: frames.append((kind, cpu, sequence)))
    for piece in pieces:
        parser.feed(piece)
    return frames, parser.skipped


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(bounds)]


def test_a_frame_is_what_the_header_says() -> None:
    frame = encode_frame(2, 0x12345678)
    assert len(frame) == 16
    assert frame[:4] == b"DRQL" == FRAME_MAGIC.to_bytes(4, "little")
    assert frame[4:8] == bytes([2, 0, 0, 0])
    assert frame[8:12] == bytes.fromhex("78563412")
    assert int.from_bytes(frame[12:], "little") == zlib.crc32(frame[:12])


@given(parts=st.lists(st.tuples(NOISE, FRAME), max_size=6), places=st.lists(st.integers(0, 1000), max_size=8))
def test_frames_are_found_between_noise(parts: list[tuple[bytes, tuple[int, int]]], places: list[int]) -> None:
    data = b"".join(noise + encode_frame(kind, sequence) for noise, (kind, sequence) in parts)
    frames, skipped = parsed(cut(data, places))
    assert frames == [(kind, 0, sequence) for _, (kind, sequence) in parts]
    assert skipped == sum(len(noise) for noise, _ in parts)


@given(frame=FRAME, at=st.integers(0, 15), flip=st.integers(1, 255))
def test_a_damaged_frame_is_passed_over_and_the_next_is_found(frame: tuple[int, int], at: int, flip: int) -> None:
    bad = bytearray(encode_frame(*frame))
    bad[at] ^= flip
    frames, skipped = parsed([bytes(bad), encode_frame(9, 99)])
    assert frames == [(9, 0, 99)]
    assert skipped == 16


@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 1000), max_size=8))
def test_how_a_stream_is_cut_changes_nothing(data: bytes, places: list[int]) -> None:
    assert parsed(cut(data, places)) == parsed([data])


def test_a_frame_cut_short_by_another_cpu_does_not_hide_the_next() -> None:
    frames, skipped = parsed([encode_frame(3, 1)[:9] + encode_frame(4, 2) + encode_frame(3, 3)])
    assert frames == [(4, 0, 2), (3, 0, 3)]
    assert skipped == 9
