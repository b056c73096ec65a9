# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dirql.devices.rendezvous import Rendezvous
from dirql.errors import LaunchError, MachineLost, UnsupportedError
from dirql.qemu.command import QemuConfig
from dirql.qemu.process import QemuProcess, find_qemu, qemu_version, require_version
from dirql.qemu.pump import Pump
from dirql.qemu.session import QemuSession
from dirql.qemu.waits import Watch

if TYPE_CHECKING:
    from pathlib import Path


def fake_qemu(folder: Path, version: str) -> str:
    """Return a program that knows its version and no other option."""
    path = folder / "qemu"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "QEMU emulator version {version}" && exit 0\n'
        "echo 'qemu: -icount: invalid option' >&2\nexit 1\n"
    )
    path.chmod(0o755)
    return str(path)


def test_no_qemu_says_how_to_get_one() -> None:
    with pytest.raises(UnsupportedError, match="apt-get install qemu-system-x86"):
        find_qemu("qemu-system-that-does-not-exist")


def test_the_version_is_asked_for_once(tmp_path: Path) -> None:
    path = fake_qemu(tmp_path, "8.1.3 (Debian)")
    assert qemu_version(path) == (8, 1, 3)
    fake_qemu(tmp_path, "10.0.2")
    assert qemu_version(path) == (10, 0, 2)


def test_what_is_no_qemu_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="does not look like QEMU"):
        qemu_version("/bin/true")


@pytest.mark.parametrize("version", [(7, 1, 9), (6, 2, 0)])
def test_an_old_qemu_is_refused(version: tuple[int, int, int]) -> None:
    with pytest.raises(UnsupportedError, match=r"needs 7\.2 or later"):
        require_version(version, "qemu")


@pytest.mark.parametrize("version", [(7, 2, 0), (10, 0, 0)])
def test_newer_ones_are_fine(version: tuple[int, int, int]) -> None:
    require_version(version, "qemu")


def test_qemus_own_words_are_quoted_when_it_does_not_start(tmp_path: Path) -> None:
    config = QemuConfig(qemu=fake_qemu(tmp_path, "9.0.0"))
    with (
        QemuSession(config) as session,
        pytest.raises(LaunchError, match=r"status 1 before.*\n.*-icount: invalid option"),
    ):
        session.qmp.ready()


def test_an_old_qemu_that_does_not_start_is_called_old(tmp_path: Path) -> None:
    config = QemuConfig(qemu=fake_qemu(tmp_path, "6.2.0"))
    with QemuSession(config) as session, pytest.raises(UnsupportedError, match=r"is QEMU 6\.2\.0; dirql needs 7\.2"):
        session.qmp.ready()


def test_a_served_device_on_a_qemu_that_cannot_have_one_is_called_so(tmp_path: Path) -> None:
    config = QemuConfig(qemu=fake_qemu(tmp_path, "10.0.2"))
    text = r"takes QEMU 7\.2 to 9\.2.* is QEMU 10\.0\.2"
    with QemuSession(config, devices=[Rendezvous()]) as session, pytest.raises(UnsupportedError, match=text):
        session.qmp.ready()
    with QemuSession(config) as session, pytest.raises(LaunchError):
        session.qmp.ready()


def test_the_channels_are_read_to_their_end_before_the_waits_are_told() -> None:
    watch = Watch()
    pump = Pump(watch)
    order: list[bool] = []
    read, write = os.pipe()
    with QemuProcess(["/bin/sh", "-c", f"cat /dev/fd/{read}"], pass_fds=[read], watch=watch, pump=pump) as process:
        process.last_words = lambda: order.append(watch.lost)
        process.answered()
        os.close(read)
        os.close(write)
        assert process.wait(10) == 0
        with pytest.raises(MachineLost, match="status 0"):
            watch.wait(lambda: None, "anything", 10)
        assert order == [False]
        assert process.returncode == 0
    pump.close()
    watch.close()


def test_every_channel_says_that_qemu_has_gone(tmp_path: Path) -> None:
    with QemuSession(QemuConfig(qemu=fake_qemu(tmp_path, "9.0.0")), folder=tmp_path) as session:
        assert session.process.wait(10) == 1
        with pytest.raises(LaunchError):
            session.qtest.readl(0)
        with pytest.raises(LaunchError):
            session.console.expect("anything", 10)
        with pytest.raises(LaunchError):
            session.qmp.execute("query-status")
        assert "invalid option" in (tmp_path / "qemu.log").read_text()
    session.close()
    with pytest.raises((LaunchError, MachineLost)):
        session.watch.check()
