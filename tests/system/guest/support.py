# SPDX-License-Identifier: Apache-2.0
"""What several of these tests need: a button that makes a driver do something, console commands, counters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dirql.qemu.waits import Deadline

if TYPE_CHECKING:
    from dirql.guest.memory import View
    from dirql.machine import Driver, Machine

DRIVERS = Path(__file__).resolve().parents[2] / "drivers"
NO_SUCH_DEVICE = 0xC000000E
HOST_BRIDGE = (0x8086, 0x29C0)
"""q35's own, which is on every machine."""

TIMEOUT = 30.0


def press(driver: Driver) -> int:
    """Have AddDevice called and return at once; `released` waits for it. The test drivers' AddDevice always refuses."""
    location = driver.machine.find_pci(*HOST_BRIDGE)
    return driver.machine.link.post("StartDevice", (driver.base, location), TIMEOUT)


def released(driver: Driver, sequence: int) -> None:
    """Wait until the AddDevice of `press` has returned."""
    added, *_ = driver.machine.link.wait_reply(sequence, f"AddDevice of {driver.image.name}", TIMEOUT)
    assert added == NO_SUCH_DEVICE


def command(machine: Machine, line: str, pattern: str) -> re.Match[str]:
    """Give a console command and wait for its answer.

    Under icount the guest serves its console only when it comes out of the rendezvous, so it is sent round until then.
    """
    console = machine.session.console
    if machine.rendezvous is None:
        console.sendline(line)
        return console.expect(pattern, TIMEOUT)
    begin = len(console.text)
    console.sendline(line)
    deadline = Deadline(TIMEOUT)
    while True:
        machine.link.request("Idle", 1000, what=f"the answer to {line!r}", timeout=deadline)
        found = re.search(pattern.replace(r"\r", ""), console.text[begin:], re.DOTALL)
        if found is not None:
            return found


def prcb(machine: Machine, cpu: int) -> View:
    """Return a CPU's own data."""
    pcr = machine.memory.variable("KiPcr", "KIPCR", cpu)
    return pcr.inner("Prcb")


def counters(machine: Machine, name: str) -> list[int]:
    """Return a counter of every CPU."""
    return [prcb(machine, cpu).get(name) for cpu in range(machine.cpus)]


def kernel_word(machine: Machine, symbol: str) -> int:
    """Return a 64-bit variable of the kernel."""
    return machine.memory.load64(machine.kernel.address(symbol))


def table_pages(machine: Machine) -> int:
    """Count the pages of the kernel's page tables, by walking them."""
    ram = machine.memory.ram

    def count(table: int, level: int) -> int:
        pages = 1
        if level > 1:
            for at in range(512):
                entry = ram.load64((table & 0x000F_FFFF_FFFF_F000) + at * 8)
                if entry & 1 and not entry & 0x80:
                    pages += count(entry, level - 1)
        return pages

    return count(kernel_word(machine, "MiTopPhysical"), 4)


def pages_accounted(machine: Machine) -> int:
    """Return the pages that are free or hold page tables, which grow when new addresses are used and never shrink."""
    return kernel_word(machine, "MiFreeCount") + table_pages(machine)


def pool_in_use(machine: Machine) -> dict[str, int]:
    """Return how many blocks of pool are allocated, by tag, from what each CPU has counted."""
    memory, debug = machine.memory, machine.kernel.debug
    count = debug.structure("EXP_COUNT")
    counts = debug.structure("EXP_CPU").field("Tags").offset
    tags, size = machine.kernel.symbols["ExpTags"]
    cpus = [memory.load64(machine.kernel.symbols["ExpCpus"][0] + cpu * 8) for cpu in range(machine.cpus)]
    blocks: dict[str, int] = {}
    for slot in range(size // 4):
        tag = memory.load64(tags + slot // 2 * 8) >> slot % 2 * 32 & 0xFFFF_FFFF
        used = 0
        for own in filter(None, cpus):
            for kind in range(2):
                at = own + counts + (slot * 2 + kind) * count.size
                used += memory.load64(at + count.field("Allocations").offset)
                used -= memory.load64(at + count.field("Frees").offset)
        if used:
            blocks[tag.to_bytes(4, "little").decode("latin-1")] = used
    return blocks


def source_line(name: str, marker: str) -> str:
    """Return `tests/drivers/NAME:LINE` of the line with a `here: MARKER` comment."""
    lines = (DRIVERS / name).read_text(encoding="utf-8").splitlines()
    (number,) = [at for at, line in enumerate(lines, 1) if f"/* here: {marker} */" in line]
    return f"tests/drivers/{name}:{number}"
