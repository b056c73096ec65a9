# SPDX-License-Identifier: Apache-2.0
"""Keeps what was read out of an image's debug information, by the image's identity, so that it is read once.

The files are in `$XDG_CACHE_HOME/dirql` (`~/.cache/dirql`). They may be deleted at any time; a folder that cannot be
written only costs time.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMAT = 7


def cache_folder() -> Path:
    """Return where the cache is."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dirql"


def cached_file(identity: str, part: str, write: Callable[[Path], None]) -> Path | None:
    """Return a file of an image's data, written now if it is not there; None where the cache cannot be written.

    Args:
        identity: the image's build-id or digest, in hexadecimal.
        part: which data of the image, with the file's suffix.
        write: writes the file.
    """
    path = cache_folder() / f"{identity}.{_FORMAT}.{part}"
    if path.exists():
        return path
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.replace(path)
    except OSError:
        return None
    return path


def cached(identity: str, part: str, read: Callable[[], Any]) -> Any:  # noqa: ANN401 (JSON data)
    """Return JSON data, from the cache if it is there.

    Args:
        identity: the image's build-id or digest, in hexadecimal.
        part: which data of the image.
        read: reads the data out of the image.
    """
    path = cache_folder() / f"{identity}.{part}.{_FORMAT}.json"
    with suppress(OSError, ValueError):
        return json.loads(path.read_bytes())
    data = read()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(data), encoding="utf-8")
        temporary.replace(path)  # at once: another run may read it
    return data
