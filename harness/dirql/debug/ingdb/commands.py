# SPDX-License-Identifier: Apache-2.0
"""The script that gdb runs first: it defines `dirql irql`, `threads`, `modules` and `bugcheck`, then connects.

What it needs to know comes in the environment variable DIRQL_GDB, as JSON: see `debug/gdb.py`.
"""

# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

import json
import os
import runpy
import sys

import gdb
import gdb.unwinder

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (start-up time)
sys.path.insert(1, f"{sys.path[0]}/../../unwind")

from gdb_guest import DriverUnwinder, LoadBreakpoint, Modules, describe_bugcheck, describe_cpus
from gdb_threads import describe_threads

SETTINGS = json.loads(os.environ["DIRQL_GDB"])
MODULES = Modules(SETTINGS["drivers"], SETTINGS["folders"])
NAMES = runpy.run_path(SETTINGS["names"])


class Prefix(gdb.Command):
    """The guest that dirql runs: `dirql irql`, `dirql threads`, `dirql modules`, `dirql bugcheck`."""

    def __init__(self) -> None:
        super().__init__("dirql", gdb.COMMAND_STATUS, prefix=True)


class Irql(gdb.Command):
    """List each CPU's IRQL, the routine that it executes, and what that interrupted, innermost first."""

    def __init__(self) -> None:
        super().__init__("dirql irql", gdb.COMMAND_STATUS)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Print the list."""
        del argument, from_tty
        gdb.write("\n".join(describe_cpus()) + "\n")


class Threads(gdb.Command):
    """List the guest's threads: priority, CPU, what each waits for, the stack of those that are in a driver."""

    def __init__(self) -> None:
        super().__init__("dirql threads", gdb.COMMAND_STATUS)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Print the list."""
        del argument, from_tty
        gdb.write("\n".join(describe_threads(MODULES)) + "\n")


class ListModules(gdb.Command):
    """List the loaded drivers; load the symbols of those that have come."""

    def __init__(self) -> None:
        super().__init__("dirql modules", gdb.COMMAND_STATUS)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Print the list."""
        del argument, from_tty
        MODULES.refresh()
        for image, path in MODULES.loaded.items():
            source = path or "no file of that name: use add-symbol-file"
            gdb.write(f"{image.base:#018x} {image.size:#8x} {image.name}: {source}\n")
        if not MODULES.loaded:
            gdb.write("no driver is loaded\n")


class BugCheck(gdb.Command):
    """Show the guest's bugcheck: code, parameters, where each CPU was."""

    def __init__(self) -> None:
        super().__init__("dirql bugcheck", gdb.COMMAND_STATUS)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Print it."""
        del argument, from_tty
        gdb.write("\n".join(describe_bugcheck(NAMES) or ["the guest has not bugchecked"]) + "\n")


class Stops:
    """What is done at each stop: symbols brought up to date, a new bugcheck told."""

    def __init__(self) -> None:
        self._told = False

    def __call__(self, event: object) -> None:
        """Take gdb's stop event."""
        del event
        MODULES.refresh()
        try:
            lines = describe_bugcheck(NAMES)
        except gdb.MemoryError:  # before the guest has set up its memory
            return
        if lines and not self._told:
            gdb.write("\n".join(lines) + "\n")
        self._told = bool(lines)


def start() -> None:
    """Define everything, connect, and learn what is loaded."""
    Prefix()
    Irql()
    Threads()
    ListModules()
    BugCheck()
    gdb.unwinder.register_unwinder(None, DriverUnwinder(MODULES), replace=True)
    for folder in reversed(SETTINGS["sources"]):  # the last one given is looked at first
        gdb.execute(f'directory "{folder}"', to_string=True)
    gdb.execute(f"target remote | {SETTINGS['relay']}", to_string=True)
    MODULES.refresh()
    if gdb.lookup_global_symbol("IopStartDriver") is not None:
        LoadBreakpoint(MODULES)
    gdb.events.stop.connect(Stops())


start()
