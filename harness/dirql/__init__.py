# SPDX-License-Identifier: Apache-2.0
"""dirql: is this kernel code multiprocessor-safe?

`Machine` boots the guest and is what most users need; `dirql.errors` has the tree of errors. Heavier parts (traces,
reports, experiments) are imported from their own packages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dirql.config import MachineConfig
    from dirql.driver import Driver
    from dirql.futures import RequestFuture, wait_any
    from dirql.handles import Handle, ctl_code
    from dirql.inventory import Inventory
    from dirql.irps import IrpState
    from dirql.machine import Machine

__all__ = [
    "Driver",
    "Handle",
    "Inventory",
    "IrpState",
    "Machine",
    "MachineConfig",
    "RequestFuture",
    "ctl_code",
    "wait_any",
]
__version__ = "0.1.0"


_HOMES = {
    "Handle": "dirql.handles",
    "Inventory": "dirql.inventory",
    "IrpState": "dirql.irps",
    "RequestFuture": "dirql.futures",
    "ctl_code": "dirql.handles",
    "wait_any": "dirql.futures",
}


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "dirql.machine")), name)  # when used: the program starts without
    raise AttributeError(f"module 'dirql' has no attribute {name!r}")
