# SPDX-License-Identifier: Apache-2.0
"""QEMU's command line as a pure function of a configuration. `shlex.join` of it is what a dry run prints.

What is on it and why:
- nothing by default: no network, no display, no user configuration; the board's SATA, SMBus, HPET, VMware port and
  keyboard controllers are off, so that the guest finds no PCI device that nobody asked for;
- guest RAM is the inherited memfd; every channel is an inherited socket;
- `-action reboot=shutdown,shutdown=pause`: a triple fault, and any other reset by the guest, holds the machine for
  inspection;
- a translation buffer of 64 MiB instead of 1 GiB: the default's cost is only address space, but that counts under
  `ulimit -v`;
- under icount, device clocks run on virtual time too, and the calendar starts on a fixed day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from dirql.errors import UsageError
from dirql.qemu.memory import MIB
from dirql.qemu.process import DEFAULT_BINARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Mode = Literal["mt", "icount", "kvm"]
OnBugCheck = Literal["exit", "pause"]

MAXIMUM_CPUS = 64
DEBUG_EXIT_PORT = 0x501

_ACCELERATOR: dict[Mode, tuple[str, ...]] = {
    "mt": ("-accel", "tcg,thread=multi,tb-size=64", "-cpu", "max"),
    "icount": (
        *("-accel", "tcg,thread=single,tb-size=64", "-cpu", "max"),
        *("-icount", "shift=3,sleep=off", "-rtc", "base=2000-01-01,clock=vm"),
    ),
    # QEMU 7.2 asserts on hosts whose KVM shows this feature half: without it `-cpu host` starts everywhere.
    "kvm": ("-accel", "kvm", "-cpu", "host,-arch-capabilities"),
}


@dataclass(frozen=True)
class QemuConfig:
    """What machine to start.

    Attributes:
        qemu: QEMU's path, or a name in PATH.
        mode: `mt`: one host thread per CPU; `icount`: all CPUs take turns in one thread, on virtual time, the same in
            every run; `kvm`: the host's own CPUs.
        cpus: 1 to 64.
        ram_bytes: a multiple of 1 MiB.
        rom: our own boot ROM, in place of the BIOS.
        kernel: an ELF that QEMU's stock BIOS boots (PVH or multiboot). At most one of `rom` and `kernel`; neither is
            the stock BIOS.
        stopped: the machine waits for `cont` before its first instruction.
        gdb: there is a gdbstub on channel "gdb". The machine runs until a debugger speaks.
        on_bugcheck: `exit`: the guest may end QEMU through the debug-exit port only; `pause`: it can also tell of a
            panic (pvpanic), and that holds the machine for inspection.
        extra: more arguments, passed as they are.

    Raises:
        UsageError: a value is out of range.
    """

    qemu: str = DEFAULT_BINARY
    mode: Mode = "mt"
    cpus: int = 1
    ram_bytes: int = 64 * MIB
    rom: Path | None = None
    kernel: Path | None = None
    stopped: bool = False
    gdb: bool = False
    on_bugcheck: OnBugCheck = "exit"
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check each value."""
        if self.mode not in get_args(Mode):
            raise UsageError(f"there is no machine mode {self.mode!r}; the modes are {', '.join(get_args(Mode))}")
        if self.on_bugcheck not in get_args(OnBugCheck):
            raise UsageError(f"on_bugcheck is one of {', '.join(get_args(OnBugCheck))}, not {self.on_bugcheck!r}")
        if not 1 <= self.cpus <= MAXIMUM_CPUS:
            raise UsageError(f"a machine has 1 to {MAXIMUM_CPUS} CPUs; {self.cpus} were asked for")
        if self.ram_bytes < MIB or self.ram_bytes % MIB:
            raise UsageError(f"guest RAM is a whole number of MiB, at least 1; {self.ram_bytes} bytes were asked for")
        if self.rom is not None and self.kernel is not None:
            raise UsageError("give a boot ROM or a kernel for the stock BIOS, not both")
        for path in (self.rom, self.kernel):
            if path is not None and not path.is_file():
                raise UsageError(f"there is no file {path}")

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the socketpairs that this machine needs."""
        return ("qmp", "qtest", "com1", "com2", *(("gdb",) if self.gdb else ()))


def qemu_argv(
    config: QemuConfig,
    *,
    binary: str,
    ram_fd: int,
    channel_fds: Mapping[str, int],
    devices: Iterable[Sequence[str]] = (),
) -> list[str]:
    """Return the command line of a machine.

    Args:
        config: the machine.
        binary: QEMU's path.
        ram_fd: the memfd of guest RAM.
        channel_fds: QEMU's end of each of `config.channels`.
        devices: argument lists of further devices, in order.

    Returns:
        The arguments, the program first.
    """
    board = "q35,memory-backend=ram,sata=off,smbus=off,hpet=on,vmport=off,i8042=off"
    argv = [binary, "-nodefaults", "-no-user-config", "-display", "none", "-machine", board]
    argv += _ACCELERATOR[config.mode]
    argv += ["-smp", str(config.cpus), "-m", f"{config.ram_bytes // MIB}M"]
    argv += ["-object", f"memory-backend-file,id=ram,size={config.ram_bytes},mem-path=/proc/self/fd/{ram_fd},share=on"]
    for name in config.channels:
        argv += ["-chardev", f"socket,id={name},fd={channel_fds[name]}"]
    argv += ["-mon", "chardev=qmp,mode=control", "-serial", "chardev:com1", "-serial", "chardev:com2"]
    argv += ["-object", "qtest,id=dirql-qtest,chardev=qtest,log=/dev/null"]
    if config.gdb:
        argv += ["-gdb", "chardev:gdb"]
    argv += ["-device", f"isa-debug-exit,iobase={DEBUG_EXIT_PORT:#x},iosize=4"]
    actions = "reboot=shutdown,shutdown=pause"
    if config.on_bugcheck == "pause":
        argv += ["-device", "pvpanic"]
        actions += ",panic=pause"
    argv += ["-action", actions]
    if config.rom is not None:
        argv += ["-bios", str(config.rom)]
    if config.kernel is not None:
        argv += ["-kernel", str(config.kernel)]
    for arguments in devices:
        argv += arguments
    if config.stopped:
        argv.append("-S")
    argv += config.extra
    return argv
