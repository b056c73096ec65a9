# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from dirql.devices.ivshmem import Doorbell
from dirql.errors import UsageError
from dirql.qemu.command import QemuConfig, qemu_argv
from dirql.qemu.memory import MIB
from dirql.qemu.session import dry_run

if TYPE_CHECKING:
    from pathlib import Path

FDS = {"qmp": 10, "qtest": 11, "com1": 12, "com2": 13, "gdb": 14}


def argv_of(**options: Any) -> list[str]:  # noqa: ANN401 (whatever QemuConfig takes)
    return qemu_argv(QemuConfig(**options), binary="/usr/bin/qemu", ram_fd=9, channel_fds=FDS)


def values_of(argv: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(argv) if name == option]


def test_nothing_comes_by_default() -> None:
    argv = argv_of()
    assert argv[:5] == ["/usr/bin/qemu", "-nodefaults", "-no-user-config", "-display", "none"]
    assert "-no-reboot" not in argv
    assert "-S" not in argv


def test_ram_and_channels_are_inherited() -> None:
    argv = argv_of(ram_bytes=128 * MIB, gdb=True)
    assert "memory-backend-file,id=ram,size=134217728,mem-path=/proc/self/fd/9,share=on" in values_of(argv, "-object")
    assert values_of(argv, "-m") == ["128M"]
    assert values_of(argv, "-chardev") == [f"socket,id={name},fd={fd}" for name, fd in FDS.items()]
    assert values_of(argv, "-serial") == ["chardev:com1", "chardev:com2"]
    assert values_of(argv, "-gdb") == ["chardev:gdb"]
    assert values_of(argv_of(), "-gdb") == []


def test_the_modes() -> None:
    assert values_of(argv_of(mode="mt"), "-accel") == ["tcg,thread=multi,tb-size=64"]
    icount = argv_of(mode="icount", cpus=4)
    assert values_of(icount, "-accel") == ["tcg,thread=single,tb-size=64"]
    assert values_of(icount, "-icount") == ["shift=3,sleep=off"]
    assert values_of(icount, "-smp") == ["4"]
    assert "clock=vm" in values_of(icount, "-rtc")[0]
    assert values_of(argv_of(mode="kvm"), "-accel") == ["kvm"]


def test_what_boots(tmp_path: Path) -> None:
    image = tmp_path / "a,b.elf"
    image.write_bytes(b"")
    assert values_of(argv_of(rom=image), "-bios") == [str(image)]
    assert values_of(argv_of(kernel=image), "-kernel") == [str(image)]
    assert argv_of(rom=image, stopped=True)[-1] == "-S"
    with pytest.raises(UsageError, match="not both"):
        QemuConfig(rom=image, kernel=image)
    with pytest.raises(UsageError, match="there is no file"):
        QemuConfig(rom=tmp_path / "missing")


def test_what_happens_on_a_bugcheck() -> None:
    assert values_of(argv_of(), "-action") == ["reboot=shutdown,shutdown=pause"]
    assert "pvpanic" not in argv_of()
    argv = argv_of(on_bugcheck="pause")
    assert values_of(argv, "-action") == ["reboot=shutdown,shutdown=pause,panic=pause"]
    assert "pvpanic" in values_of(argv, "-device")
    assert "isa-debug-exit,iobase=0x501,iosize=4" in values_of(argv, "-device")


@pytest.mark.parametrize("cpus", [0, -1, 65, 1000])
def test_the_number_of_cpus_is_checked(cpus: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 64 CPUs; {cpus} were asked for"):
        QemuConfig(cpus=cpus)


@pytest.mark.parametrize("cpus", [1, 64])
def test_the_limits_themselves_are_fine(cpus: int) -> None:
    assert QemuConfig(cpus=cpus).cpus == cpus


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "fast"}, "the modes are mt, icount, kvm"),
        ({"on_bugcheck": "cry"}, "exit, pause"),
        ({"ram_bytes": 1000}, "whole number of MiB"),
        ({"ram_bytes": 0}, "whole number of MiB"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        QemuConfig(**options)


def test_a_dry_run_starts_nothing_and_names_the_devices() -> None:
    bells = [Doorbell("one", vectors=2), Doorbell("two", address="5")]
    argv = dry_run(QemuConfig(cpus=2), bells)
    assert argv[0] == "qemu-system-x86_64"
    assert "ivshmem-doorbell,id=one-pci,chardev=one,vectors=2" in argv
    assert "ivshmem-doorbell,id=two-pci,chardev=two,vectors=1,addr=5" in argv
    fds = [value.rpartition("fd=")[2] for value in values_of(argv, "-chardev")]
    assert len(set(fds)) == len(fds) == 6
    for bell in bells:
        bell.close()
