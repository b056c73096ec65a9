# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirql.devices.config_space import ConfigSpace, MsiMessage
from dirql.errors import UsageError


def space(**options: bool) -> ConfigSpace:
    return ConfigSpace(0x1234, 0x5678, class_code=0x088000, bar_bytes=(4096, 0, 0x100000), **options)


def test_the_header_says_what_it_is() -> None:
    config = space()
    assert config.read(0x00, 4) == 0x56781234
    assert config.read(0x08, 4) == 0x08800001
    assert config.read(0x0E, 1) == 0
    assert config.read(0x06, 2) == 0
    assert config.read(0x34, 1) == 0


def test_bars_are_sized_placed_and_found() -> None:
    config = space()
    sizes = []
    for bar in range(6):
        config.write(0x10 + 4 * bar, 0xFFFFFFFF, 4)
        sizes.append(-config.read(0x10 + 4 * bar, 4) & 0xFFFFFFFF)
    assert sizes == [4096, 0, 0x100000, 0, 0, 0]
    config.write(0x10, 0xE0000123, 4)
    config.write(0x18, 0xE0100000, 4)
    assert config.bar_address(0) == 0xE0000000
    assert config.locate(0xE0000FFF) == (0, 0xFFF)
    assert config.locate(0xE01FFFFF) == (2, 0xFFFFF)
    assert config.locate(0xE0001000) is None
    assert not config.memory_enabled
    config.write(0x04, 0xFFFF, 2)
    assert config.memory_enabled
    assert config.read(0x04, 2) == 0x0406


def test_msi_is_a_capability_that_the_guest_switches_on() -> None:
    config = space(msi=True)
    at = config.read(0x34, 1)
    assert config.read(0x06, 2) & 0x10
    assert config.read(at, 1) == 5
    assert config.msi_message is None
    config.write(at + 4, 0xFEE01000, 4)
    config.write(at + 8, 0, 4)
    config.write(at + 12, 0x51, 2)
    config.write(at + 2, 1, 2)
    assert config.msi_message == MsiMessage(0xFEE01000, 0x51)
    config.reset()
    assert config.msi_message is None


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4])), min_size=1, max_size=20
    )
)
def test_no_write_changes_what_cannot_be_written(writes: list[tuple[int, int, int]]) -> None:
    config = space(msi=True)
    for register, value, size in writes:
        config.write(register, value, size)
    assert len(config.data) == 256
    assert config.read(0x00, 4) == 0x56781234
    assert config.read(0x08, 4) == 0x08800001
    assert config.read(0x10, 4) & 0xFFF == 0
    assert config.read(0x14, 4) == 0
    assert config.read(0x34, 1) == 0x40
    config.reset()
    assert config.data == space(msi=True).data


@pytest.mark.parametrize("sizes", [(8,), (100,), (1 << 32,), (16,) * 7])
def test_bars_that_cannot_be_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        ConfigSpace(1, 2, class_code=0, bar_bytes=sizes)
