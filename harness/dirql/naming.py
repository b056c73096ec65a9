# SPDX-License-Identifier: Apache-2.0
"""Keeps a machine's names in a trace's folder: images' symbols and lines, and what lay in its memory."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from dirql.errors import DirqlError
from dirql.guest.cache import cached_file
from dirql.guest.objects import ObjectReader
from dirql.trace.folder import trace_folder
from dirql.trace.namefiles import Place, write_image_names, write_names

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.guest.image import Image
    from dirql.guest.symbols import Module
    from dirql.machine import Machine

_IDENTITY = 12  # digits of an image's identity in the name of its file


class Names:
    """The names of a machine. What lay in its memory goes when a driver goes, so it is looked at before that, too.

    Args:
        machine: the machine.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._objects: dict[tuple[int, int], str] = {}

    def look(self) -> None:
        """Take down what lies in the machine's memory now. What lay there before and is named otherwise now goes."""
        machine = self._machine
        with suppress(DirqlError, ValueError):  # the machine, or its RAM, may be gone
            for address, size, name in ObjectReader(machine.memory, machine.symbols).rows():
                self._objects[address, size] = name

    def write(self, run: Path) -> None:
        """Write all names into a run's folder; the trace's folder is there already."""
        folder = trace_folder(run)
        with suppress(DirqlError, ValueError):
            self._machine.learn_modules()
        places = [_kept(module, folder) for module in self._machine.symbols.known_modules]
        rows = ((address, size, name) for (address, size), name in self._objects.items())
        write_names(folder, places, rows)


def _kept(module: Module, folder: Path) -> Place:
    """Put an image's names into the folder."""
    stem = module.name.rsplit(".", 1)[0]
    file = ""
    if module.image is not None:
        file = f"{stem}-{module.image.identity[:_IDENTITY]}.npz"
        with suppress(DirqlError):  # it is damaged, or has no debug information: it has no names then
            _copy(module.image, folder / file)
    return Place(stem, module.base, module.size, module.offset, file if (folder / file).is_file() else "")


def _copy(image: Image, to: Path) -> None:
    def write(path: Path) -> None:
        write_image_names(path, image.symbol_rows, image.lines)

    kept = cached_file(image.identity, "names.npz", write)
    if kept is None:
        write(to)
    else:
        shutil.copyfile(kept, to)
