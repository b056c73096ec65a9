# SPDX-License-Identifier: Apache-2.0
"""Python values as the guest's registry takes them."""

from __future__ import annotations

import struct

import pytest

from dirql.errors import UsageError
from dirql.guest.registry import (
    REG_BINARY,
    REG_DWORD,
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_QWORD,
    REG_SZ,
    RegistryValue,
    encode_value,
    service_values,
)

ENTER, LEAVE = 0xFFFF_FFFE, 0xFFFF_FFFD


def records(blob: bytes) -> list[tuple[int, str, bytes]]:
    """Read a blob back."""
    found = []
    while blob:
        kind, name, data, _ = struct.unpack_from("<IIII", blob)
        data_at = 16 + (name + 7) // 8 * 8
        found.append((kind, blob[16 : 16 + name].decode("utf-16-le"), blob[data_at : data_at + data]))
        blob = blob[data_at + (data + 7) // 8 * 8 :]
    return found


@pytest.mark.parametrize(
    ("value", "kind", "data"),
    [
        (7, REG_DWORD, b"\x07\0\0\0"),
        (-1, REG_DWORD, b"\xff" * 4),
        (True, REG_DWORD, b"\x01\0\0\0"),
        (1 << 32, REG_QWORD, b"\0\0\0\0\x01\0\0\0"),
        (-(1 << 40), REG_QWORD, (2**64 - 2**40).to_bytes(8, "little")),
        ("aä", REG_SZ, b"a\0\xe4\0\0\0"),
        ("", REG_SZ, b"\0\0"),
        (["x", "yz"], REG_MULTI_SZ, b"x\0\0\0y\0z\0\0\0\0\0"),
        ([], REG_MULTI_SZ, b"\0\0"),
        (b"\x01\x02\x03", REG_BINARY, b"\x01\x02\x03"),
        (RegistryValue.expand("%A%"), REG_EXPAND_SZ, b"%\0A\0%\0\0\0"),
        (RegistryValue(5, b"\0\0\0\x01"), 5, b"\0\0\0\x01"),
    ],
)
def test_each_python_type_has_its_registry_type(value: object, kind: int, data: bytes) -> None:
    assert encode_value("name", value) == (kind, data)


@pytest.mark.parametrize(
    "value", [1.5, None, 1 << 64, -(1 << 63) - 1, "a\0b", ["a", ""], ["a", 1], bytes((1 << 20) + 1)]
)
def test_what_a_registry_cannot_have_is_named(value: object) -> None:
    with pytest.raises(UsageError, match="Depth"):
        encode_value("Depth", value)


@pytest.mark.parametrize("name", ["a\0b", "n" * 16_384, 3])
def test_names_of_values_have_their_limits(name: str) -> None:
    with pytest.raises(UsageError, match="is no name"):
        service_values({name: 1}, {})


@pytest.mark.parametrize("name", ["", "a\\b", "k" * 256])
def test_names_of_subkeys_have_their_limits(name: str) -> None:
    with pytest.raises(UsageError, match="is no name"):
        service_values({name: {}}, {})


def test_parameters_are_a_subkey_and_mappings_are_more() -> None:
    blob = service_values({"Depth": 4, "Queue": {"Name": "q"}}, {"Group": "Base"})
    assert len(blob) % 8 == 0
    assert records(blob) == [
        (REG_SZ, "Group", "Base\0".encode("utf-16-le")),
        (ENTER, "Parameters", b""),
        (REG_DWORD, "Depth", b"\x04\0\0\0"),
        (ENTER, "Queue", b""),
        (REG_SZ, "Name", "q\0".encode("utf-16-le")),
        (LEAVE, "", b""),
        (LEAVE, "", b""),
    ]


def test_nothing_given_is_nothing_sent() -> None:
    assert service_values({}, {}) == b""
