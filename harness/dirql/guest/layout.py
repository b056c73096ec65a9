# SPDX-License-Identifier: Apache-2.0
"""Layouts of C structures and enumerations, as the debug information of an image tells them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dirql.errors import BuildError


@dataclass(frozen=True)
class Field:
    """One field of a structure.

    Attributes:
        offset: bytes from the structure's start.
        size: bytes of the whole field.
        count: elements if it is an array, else 0.
        structure: name of the structure that it (or its element) is, "" for plain numbers.
    """

    offset: int
    size: int
    count: int = 0
    structure: str = ""

    @property
    def stride(self) -> int:
        """Bytes from one element to the next; the size where it is no array."""
        return self.size // self.count if self.count else self.size


@dataclass(frozen=True)
class Structure:
    """The layout of a structure.

    Attributes:
        name: its C name.
        size: bytes.
        fields: by name, in order; those of anonymous members stand beside the others.
    """

    name: str
    size: int
    fields: dict[str, Field]

    def field(self, name: str) -> Field:
        """Return a field.

        Raises:
            BuildError: there is none of that name: image and harness do not fit each other.
        """
        try:
            return self.fields[name]
        except KeyError:
            raise BuildError(
                f"{self.name} has no field {name} in this image; rebuild it, or use its own harness"
            ) from None

    @property
    def places(self) -> dict[str, tuple[int, int]]:
        """Field name -> (offset, size) in bytes."""
        return {name: (field.offset, field.size) for name, field in self.fields.items()}


@dataclass(frozen=True)
class Variable:
    """A variable with a fixed address.

    Attributes:
        address: as linked.
        structure: name of the structure that it (or its element, if it is an array) is, "" for plain numbers.
    """

    address: int
    structure: str = ""


@dataclass(frozen=True)
class DebugInfo:
    """What dirql needs of an image's debug information.

    Attributes:
        structures: by C name, without `struct` and without the leading underscore of a tag.
        enumerations: by C name likewise: enumerator -> value.
        functions: (address as linked, size in bytes, name).
        variables: those with a fixed address, by name.
        data: (address as linked, size in bytes, name) of every variable with a fixed address; of one name there may be
            several, in several files.
    """

    structures: dict[str, Structure]
    enumerations: dict[str, dict[str, int]]
    functions: tuple[tuple[int, int, str], ...]
    variables: dict[str, Variable]
    data: tuple[tuple[int, int, str], ...] = ()

    @cached_property
    def by_address(self) -> list[tuple[int, str]]:
        """(address as linked, name) of the variables, in order."""
        return sorted((variable.address, name) for name, variable in self.variables.items())

    def function(self, name: str) -> int:
        """Return a function's address, as linked.

        Raises:
            BuildError: the image has none of that name, or several.
        """
        found = [address for address, _, other in self.functions if other == name]
        if len(found) != 1:
            raise BuildError(
                f"this image has {len(found) or 'no'} functions called {name}; rebuild it, or check the name"
            )
        return found[0]

    def structure(self, name: str) -> Structure:
        """Return a structure's layout.

        Raises:
            BuildError: the image has none of that name.
        """
        try:
            return self.structures[name]
        except KeyError:
            raise BuildError(f"the image's debug information has no structure {name}; build it with -g") from None

    def enumeration(self, name: str) -> dict[str, int]:
        """Return an enumeration.

        Raises:
            BuildError: the image has none of that name.
        """
        try:
            return self.enumerations[name]
        except KeyError:
            raise BuildError(f"the image's debug information has no enumeration {name}; build it with -g") from None

    def variable(self, name: str) -> Variable:
        """Return a variable.

        Raises:
            BuildError: the image has none of that name.
        """
        try:
            return self.variables[name]
        except KeyError:
            raise BuildError(f"the image's debug information has no variable {name}; build it with -g") from None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "structures": {
                name: [s.size, {f: [v.offset, v.size, v.count, v.structure] for f, v in s.fields.items()}]
                for name, s in self.structures.items()
            },
            "enumerations": self.enumerations,
            "functions": [list(function) for function in self.functions],
            "variables": {name: [v.address, v.structure] for name, v in self.variables.items()},
            "data": [list(each) for each in self.data],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DebugInfo:
        """Read what `to_json` returned."""
        return cls(
            structures={
                name: Structure(name, size, {f: Field(*v) for f, v in fields.items()})
                for name, (size, fields) in data["structures"].items()
            },
            enumerations=data["enumerations"],
            functions=tuple((int(a), int(size), str(name)) for a, size, name in data["functions"]),
            variables={name: Variable(int(a), str(structure)) for name, (a, structure) in data["variables"].items()},
            data=tuple((int(a), int(size), str(name)) for a, size, name in data["data"]),
        )
