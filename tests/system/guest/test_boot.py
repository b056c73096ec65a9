# SPDX-License-Identifier: Apache-2.0
"""The guest comes up: CPU counts, modes, firmwares, memory sizes; its console, requests and PCI functions work."""

from __future__ import annotations

import itertools

import pytest

from dirql.config import Boot
from dirql.devices.ivshmem import Doorbell
from dirql.errors import GuestRequestError, UsageError
from dirql.machine import Machine
from dirql.qemu.command import Mode
from dirql.qemu.memory import GIB, MIB
from tests.system.guest.support import HOST_BRIDGE, TIMEOUT, command, counters, kernel_word, prcb

BOOTS: list[tuple[int, Mode, Boot]] = [
    *((cpus, "mt", "rom") for cpus in (1, 2, 4, 8, 64)),
    *((cpus, "icount", "rom") for cpus in (1, 2, 4, 8)),
    *((cpus, "mt", "bios") for cpus in (1, 4)),
    (2, "icount", "bios"),
]


@pytest.mark.parametrize(("cpus", "mode", "boot"), BOOTS, ids=lambda value: str(value))
def test_every_cpu_works(cpus: int, mode: Mode, boot: Boot) -> None:
    count = 20 if cpus > 8 else 100
    with Machine(cpus=cpus, mode=mode, boot=boot, timeout=TIMEOUT) as machine:
        assert machine.link.ready_cpus == cpus
        assert [prcb(machine, cpu).get("Number") for cpu in range(cpus)] == list(range(cpus))
        found = command(machine, "cpus", r"cpu apic(.*?)(\d+) of (\d+) pages free")
        rows = [line.split()[:2] for line in found[1].splitlines()[1:] if line.strip()[:1].isdigit()]
        assert rows[:cpus] == [[str(cpu), str(cpu)] for cpu in range(cpus)]
        assert 0 < int(found[2]) < int(found[3])
        before = counters(machine, "IpiCount")
        answered = command(machine, f"run ipi {count}", r"ipi: .*?: (\w+)\r\n")
        assert answered[1] == "ok"
        assert f"{count * (cpus - 1)} answers of {count * (cpus - 1)}," in answered[0]
        grown = [after - earlier for earlier, after in zip(before, counters(machine, "IpiCount"), strict=True)]
        assert grown == [0] + [count] * (cpus - 1)
        for exercise in ("dpc", "lock"):
            done = command(
                machine, f"run {exercise} {count}", rf"{exercise}: {cpus} CPUs, .*?(\d+)(?: runs)? of (\d+): (\w+)\r\n"
            )
            assert done.groups() == (str(count * cpus), str(count * cpus), "ok")
        first, second = (machine.link.request("Ping")[0] for _ in range(2))
        assert first < second  # the TSC


def test_a_reset_machine_is_a_new_one() -> None:
    with Machine(cpus=2) as machine:
        machine.load("doorbell.sys")
        assert "doorbell.sys" in command(machine, "images", r"base  .*?dirql> ")[0]
        command(machine, "run ipi 10", "ok")
        machine.reset()
        assert "doorbell.sys" not in command(machine, "images", r"base  .*?dirql> ")[0]
        assert counters(machine, "IpiCount") == [0, 0]
        assert machine.drivers == []


@pytest.mark.parametrize("boot", ["rom", "bios"])
def test_bars_are_whole_and_apart(boot: Boot) -> None:
    with Machine(cpus=1, boot=boot, devices=[Doorbell(vectors=4)]) as machine:
        block = machine.memory.variable("KiBootBlock", "BOOT_BLOCK")
        kinds = machine.kernel.debug.enumeration("BOOT_BAR_KIND")
        places: dict[int, list[tuple[int, int]]] = {kinds["BootBarMemory"]: [], kinds["BootBarPort"]: []}
        for at in range(block.get("FunctionCount")):
            function = block.inner("Function", at)
            for number in range(6):
                bar = function.inner("Bar", number)
                if bar.get("Kind") == kinds["BootBarNone"]:
                    continue
                base, size = bar.get("Base"), bar.get("Bytes")
                assert size & (size - 1) == 0 < size
                assert base % size == 0 < base
                places[bar.get("Kind")].append((base, base + size))
        ram_end = 64 * MIB
        for base, _ in places[kinds["BootBarMemory"]]:
            assert base >= ram_end
        for ranges in places.values():
            for (_, end), (begin, _) in itertools.pairwise(sorted(ranges)):
                assert end <= begin
        assert block.get("FunctionsMissed") == 0
        doorbell = machine.find_pci(0x1AF4, 0x1110)
        assert machine.find_pci(*HOST_BRIDGE) == 0
        registers = next(
            block.inner("Function", at).inner("Bar")
            for at in range(block.get("FunctionCount"))
            if block.inner("Function", at).get("Location") == doorbell
        )
        assert machine.session.qtest.readl(registers.get("Base") + 8) == 0  # IVPosition: it decodes there


@pytest.mark.parametrize("ram", [32 * MIB, 64 * MIB, 3 * GIB, 5 * GIB], ids=lambda ram: f"{ram // MIB}M")
@pytest.mark.parametrize("boot", ["rom", "bios"])
def test_all_memory_is_found(ram: int, boot: Boot) -> None:
    with Machine(cpus=1, ram_bytes=ram, boot=boot) as machine:
        block = machine.memory.variable("KiBootBlock", "BOOT_BLOCK")
        ranges = [block.inner("Range", at) for at in range(block.get("RangeCount"))]
        spans = sorted((span.get("Base"), span.get("Base") + span.get("Bytes")) for span in ranges)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
        total = sum(end - begin for begin, end in spans)
        assert ram - MIB <= total <= ram  # some KiB below 1 MiB and, under a BIOS, at the top are not for us
        high = sum(end - max(begin, 4 * GIB) for begin, end in spans if end > 4 * GIB)
        assert high == (0 if ram < 0xB000_0000 else ram - 2 * GIB)
        assert kernel_word(machine, "MiTotalCount") == sum((end >> 12) - (-(-begin >> 12)) for begin, end in spans)
        assert machine.load("doorbell.sys").image.name == "doorbell.sys"


def test_the_highest_memory_is_usable() -> None:
    with Machine(cpus=1, ram_bytes=5 * GIB) as machine:
        last = 7 * GIB - 4096  # 2 GiB below, the rest from 4 GiB on
        machine.memory.ram.store64(last, 0x1234_5678)
        assert machine.memory.load64(0xFFFF_8000_0000_0000 + last) == 0x1234_5678  # the direct map has it


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 32 MiB of RAM; 16 MiB"):
        Machine(ram_bytes=16 * MIB)


def test_unknown_requests_and_functions_are_refused() -> None:
    with Machine(cpus=1) as machine:
        with pytest.raises(UsageError, match="no PCI device dead:beef"):
            machine.find_pci(0xDEAD, 0xBEEF)
        driver = machine.load("doorbell.sys")
        with pytest.raises(GuestRequestError, match="STATUS_NO_SUCH_DEVICE"):
            driver.start(0xF8 | 5)
        with pytest.raises(UsageError, match=r"AddDevice|IRP_MN_START_DEVICE returned STATUS_"):
            driver.start(machine.find_pci(*HOST_BRIDGE))  # it has no memory resources
        driver.unload()
        with pytest.raises(GuestRequestError, match="STATUS_OBJECT_NAME_NOT_FOUND"):
            driver.unload()


@pytest.mark.parametrize("cpus", [1, 4])
def test_the_stock_bios_comes_through_a_reset(cpus: int) -> None:
    with Machine(cpus=cpus, boot="bios") as machine:
        for _ in range(2):
            machine.reset()
            assert machine.link.request("Ping")[0] > 0
            machine.load("doorbell.sys").unload()
