# SPDX-License-Identifier: Apache-2.0
r"""What a driver finds in the registry: Python values, written as the guest's registry reads them (guest/cm/cm.h).

A driver's key `\Registry\Machine\System\CurrentControlSet\Services\NAME` is there while it is loaded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dirql.errors import UsageError

REG_NONE: Final = 0
REG_SZ: Final = 1
REG_EXPAND_SZ: Final = 2
REG_BINARY: Final = 3
REG_DWORD: Final = 4
REG_MULTI_SZ: Final = 7
REG_QWORD: Final = 11

_ENTER = 0xFFFF_FFFE
_LEAVE = 0xFFFF_FFFD
_RECORD = struct.Struct("<IIII")
_ALIGN = 8
_KEY_CHARACTERS = 255
_VALUE_CHARACTERS = 16_383
_DATA_BYTES = 1 << 20
"""The documented limits of names of keys, names of values and data."""


@dataclass(frozen=True)
class RegistryValue:
    """A value of a type that its data does not tell.

    Attributes:
        kind: REG_SZ and so on, a number.
        data: its bytes, as the registry has them.
    """

    kind: int
    data: bytes

    @classmethod
    def expand(cls, text: str) -> RegistryValue:
        """Return a REG_EXPAND_SZ: a text with names of environment variables in it, which the guest does not have."""
        return cls(REG_EXPAND_SZ, _text(text, "a REG_EXPAND_SZ"))


RegistryValues = Mapping[str, Any]
"""Names and what they stand for: int, str, a list of str, bytes, `RegistryValue`, or a mapping: a subkey."""


def _text(text: str, name: str) -> bytes:
    if "\0" in text:
        raise UsageError(f"registry: {name} has a NUL character in its text")
    return text.encode("utf-16-le", "surrogatepass") + b"\0\0"


def _several(texts: Sequence[object], name: str) -> bytes:
    if not all(isinstance(text, str) and text for text in texts):
        raise UsageError(f"registry: {name}: a list is a REG_MULTI_SZ, whose members are texts that are not empty")
    return b"".join(_text(str(text), name) for text in texts) + b"\0\0"


def _number(value: int, name: str) -> tuple[int, bytes]:
    if -(1 << 31) <= value < 1 << 32:
        return REG_DWORD, (value & 0xFFFF_FFFF).to_bytes(4, "little")
    if -(1 << 63) <= value < 1 << 64:
        return REG_QWORD, (value & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "little")
    raise UsageError(f"registry: {name}: {value} has more than 64 bits")


def encode_value(name: str, value: object) -> tuple[int, bytes]:
    """Return the type and the data of a value.

    Args:
        name: what it is called, for messages.
        value: int, bool, str, a list or tuple of str, bytes or `RegistryValue`.

    Raises:
        UsageError: it is none of these, or too large.
    """
    match value:
        case RegistryValue(kind, data):
            encoded = kind, bytes(data)
        case int():
            encoded = _number(int(value), name)
        case str():
            encoded = REG_SZ, _text(value, name)
        case bytes() | bytearray() | memoryview():
            encoded = REG_BINARY, bytes(value)
        case list() | tuple():
            encoded = REG_MULTI_SZ, _several(value, name)
        case _:
            raise UsageError(
                f"registry: {name}: a value is an int, a str, a list of str, bytes or a RegistryValue, not"
                f" {type(value).__name__}"
            )
    if len(encoded[1]) > _DATA_BYTES:
        raise UsageError(f"registry: {name} has {len(encoded[1])} bytes of data; at most {_DATA_BYTES} can be given")
    return encoded


def _record(kind: int, name: bytes = b"", data: bytes = b"") -> bytes:
    padded = [part + bytes(-len(part) % _ALIGN) for part in (name, data)]
    return _RECORD.pack(kind, len(name), len(data), 0) + b"".join(padded)


def _name(name: object, limit: int) -> bytes:
    if not isinstance(name, str) or "\0" in name or len(name.encode("utf-16-le", "surrogatepass")) > 2 * limit:
        raise UsageError(f"registry: {name!r} is no name; names are texts of at most {limit} characters")
    return name.encode("utf-16-le", "surrogatepass")


def _encode(values: RegistryValues) -> bytes:
    parts = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            encoded = _name(name, _KEY_CHARACTERS)
            if not name or "\\" in name:
                raise UsageError(f"registry: {name!r} is no name of a key: it is empty or has a backslash")
            parts += [_record(_ENTER, encoded), _encode(value), _record(_LEAVE)]
        else:
            parts.append(
                _record(encode_value(name, value)[0], _name(name, _VALUE_CHARACTERS), encode_value(name, value)[1])
            )
    return b"".join(parts)


def service_values(parameters: RegistryValues, service: RegistryValues) -> bytes:
    """Return what a driver's service key is to hold, as the guest takes it.

    Args:
        parameters: of its subkey `Parameters`.
        service: of the key itself.

    Raises:
        UsageError: a name or a value that a registry cannot have.
    """
    return _encode(service) + (_encode({"Parameters": parameters}) if parameters else b"")
