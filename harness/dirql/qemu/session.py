# SPDX-License-Identifier: Apache-2.0
"""One QEMU with everything that belongs to it: RAM, channels, process, QMP, qtest, serial ports, served devices.

This is the machine as hardware. What runs on it is the business of the layers above.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dirql.errors import UnsupportedError
from dirql.qemu.attach import MachinePorts, PciDevice
from dirql.qemu.channels import Channels
from dirql.qemu.command import QemuConfig, qemu_argv
from dirql.qemu.memory import GuestRam
from dirql.qemu.process import QemuProcess, find_qemu, require_version
from dirql.qemu.pump import Pump
from dirql.qemu.qmp import DEFAULT_TIMEOUT, Qmp, QmpEvent
from dirql.qemu.qtest import Qtest
from dirql.qemu.serial import ByteLine, TextLine
from dirql.qemu.waits import Deadline, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

_LAST_WORDS_TIMEOUT = 5.0
_HOLD_RESETS: tuple[str, Mapping[str, object]] = ("set-action", {"reboot": "shutdown"})


def dry_run(config: QemuConfig, devices: Sequence[PciDevice] = ()) -> list[str]:
    """Return the command line that `QemuSession` would use with made-up descriptor numbers; start nothing."""
    names = ("ram", *config.channels)
    numbers = {name: 3 + at for at, name in enumerate(names)}
    lines: list[list[str]] = []
    following = 3 + len(names)
    for device in devices:
        count = len(device.descriptors())
        lines.append(device.arguments(range(following, following + count)))
        following += count
    return qemu_argv(config, binary=config.qemu, ram_fd=numbers["ram"], channel_fds=numbers, devices=lines)


class QemuSession:
    """A running machine.

    Args:
        config: what to start.
        devices: devices that Python serves, in the order of their arguments; from now on this object's.
        prepare: called with the RAM before QEMU starts: the place to leave the guest its options.
        on_frame_bytes: gets what the guest sends on COM2; called in the pump's thread, with the watch's lock held.
        on_event: gets every QMP event, in QMP's thread.
        folder: where `console.log`, `qmp.log` and `qemu.log` go; None keeps no files.

    Attributes:
        watch: where all waits for this machine meet.
        ram, process, qmp, qtest: as their names say.
        console: COM1, as text.
        frames: COM2, as bytes.

    Raises:
        UsageError, UnsupportedError, LaunchError: the machine could not be started; nothing of it is left.
    """

    def __init__(
        self,
        config: QemuConfig,
        *,
        devices: Sequence[PciDevice] = (),
        prepare: Callable[[GuestRam], None] | None = None,
        on_frame_bytes: Callable[[bytes], None] | None = None,
        on_event: Callable[[QmpEvent], None] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.config = config
        self.devices = tuple(devices)
        self._stack = ExitStack()
        self._process: QemuProcess | None = None
        try:
            self._start(prepare, on_frame_bytes, on_event, folder)
        except BaseException:
            self.close()
            raise

    def _start(
        self,
        prepare: Callable[[GuestRam], None] | None,
        on_frame_bytes: Callable[[bytes], None] | None,
        on_event: Callable[[QmpEvent], None] | None,
        folder: Path | None,
    ) -> None:
        def log(name: str) -> Path | None:
            return None if folder is None else folder / name

        keep = self._stack.callback
        # Undone in reverse: QEMU is dead before anything that it talks to goes.
        binary = find_qemu(self.config.qemu)
        self.watch = Watch()
        keep(self.watch.close)
        for device in self.devices:
            keep(device.close)
        self.ram = self._stack.enter_context(GuestRam(self.config.ram_bytes))
        if prepare is not None:
            prepare(self.ram)
        channels = self._stack.enter_context(Channels(self.config.channels))
        self.channels = channels
        self.pump = Pump(self.watch)
        keep(self.pump.close)
        self.console = TextLine(channels["com1"], self.watch, self.pump, log("console.log"))
        keep(self.console.close)
        self.frames = ByteLine(channels["com2"], self.watch, self.pump, on_frame_bytes or _ignore)
        keep(self.frames.close)
        self.qtest = Qtest(channels["qtest"], self.watch, self.pump)
        keep(self.qtest.close)

        inherited = [self.ram.fd, *channels.fds.values()]
        lines: list[list[str]] = []
        for device in self.devices:
            fds = tuple(device.descriptors())
            inherited += fds
            lines.append(device.arguments(fds))
        argv = qemu_argv(self.config, binary=binary, ram_fd=self.ram.fd, channel_fds=channels.fds, devices=lines)
        self._process = QemuProcess(
            argv, pass_fds=inherited, watch=self.watch, pump=self.pump, stderr_path=log("qemu.log")
        )
        self.process = self._process
        keep(self.process.close)
        channels.started()
        ports = MachinePorts(self.watch, self.pump, self.ram, self.qtest.writel, self._monitor)
        for device in self.devices:
            device.start(ports)
        self.qmp = Qmp(channels["qmp"], self.watch, log_path=log("qmp.log"), on_event=on_event, on_ready=self._greeted)
        keep(self.qmp.close)
        self.process.last_words = lambda: self.qmp.settle(_LAST_WORDS_TIMEOUT)

    def reset(
        self,
        prepare: Callable[[GuestRam], None] | None = None,
        timeout: float | Deadline = DEFAULT_TIMEOUT,
        *,
        resets_itself: bool = False,
    ) -> None:
        """Reset the machine and let it run from its reset vector, whatever state it was in.

        A machine that was held after a triple fault, a panic or `stop` runs again. RAM keeps its contents, except that
        QEMU puts the boot ROM and the loader files in place anew. The guest's failure is forgotten, and so are the
        events that came before.

        Args:
            prepare: called with the RAM while the machine stands still after the reset.
            timeout: seconds, or a deadline.
            resets_itself: the firmware does so once more on a warm start, as SeaBIOS does. Such resets pass until
                `hold_resets` is called.

        Raises:
            MachineLost, WaitTimeout: the machine did not come through it.
        """
        deadline = Deadline.of(timeout)
        self._release()
        self.qmp.clear_events()
        # A guest that resets itself is to be held (`-action reboot=shutdown`); this reset is one that we mean.
        commands = [("stop", None), ("set-action", {"reboot": "reset"}), ("system_reset", None), _HOLD_RESETS]
        self.qmp.execute_all(commands[: 3 if resets_itself else 4], deadline)
        self.qmp.wait_event("RESET", deadline)
        if prepare is not None:
            prepare(self.ram)
        self.watch.forgive()
        self.cont(deadline)

    def hold_resets(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Hold the machine at any reset by the guest from now on, as from its start."""
        self.qmp.execute_all([_HOLD_RESETS], timeout)

    def stop(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Hold all CPUs. A CPU that waits inside a served device is let go first: it could not be held otherwise."""
        self._release()
        self.qmp.execute("stop", timeout=timeout)

    def cont(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Let the CPUs run."""
        for device in self.devices:
            device.restore()
        self.qmp.execute("cont", timeout=timeout)

    def close(self) -> None:
        """End the machine and leave nothing behind. Safe to call again."""
        if self._process is not None:
            self._process.kill()  # first, so that every channel is at its end and nothing waits for it
        self._stack.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _monitor(self, command: str, arguments: Mapping[str, object]) -> object:
        return self.qmp.execute(command, arguments)

    def _release(self) -> None:
        for device in self.devices:
            device.release()

    def _greeted(self, version: tuple[int, int, int]) -> None:
        try:
            require_version(version, self.process.argv[0])
        except UnsupportedError as error:
            too_old = str(error)
            self.watch.lose(lambda: UnsupportedError(too_old))
        self.process.answered()


def _ignore(data: bytes) -> None:
    """Take bytes that nobody asked for."""
