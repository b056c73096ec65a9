# SPDX-License-Identifier: Apache-2.0
"""dirql: is this kernel code multiprocessor-safe?

`Machine` boots the guest and is what most users need; `dirql.errors` has the tree of errors. Heavier parts (traces,
reports, experiments) are imported from their own packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dirql.config import MachineConfig
    from dirql.driver import Driver
    from dirql.machine import Machine

__all__ = ["Driver", "Machine", "MachineConfig"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in __all__:
        import dirql.machine

        return getattr(dirql.machine, name)  # imported when used: the program starts without it
    raise AttributeError(f"module 'dirql' has no attribute {name!r}")
