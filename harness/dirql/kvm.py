# SPDX-License-Identifier: Apache-2.0
"""Whether KVM here is one that a guest can be judged on: decided by booting a small one, never by looking at /dev/kvm.

Nested or emulated KVM often opens and then fails on POPCNT, or leaves the local APIC's in-service register empty. The
probing boot loads the guest on two CPUs and asks its console for IPI round trips and DPCs: these need all of it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from dirql.errors import DirqlError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig
    from dirql.machine import Machine

PROBE_TIMEOUT = 10.0
_EXERCISES = ("ipi", "dpc", "lock")
_probed: dict[str, str] = {}


def require_kvm(config: MachineConfig, boot: Callable[..., Machine]) -> None:
    """Check that KVM works, once per process.

    Args:
        config: the machine that is wanted; its QEMU is probed.
        boot: boots a machine, given a configuration and a timeout.

    Raises:
        UnsupportedError: it does not; the text says what the probing boot met.
    """
    if config.qemu not in _probed:
        _probed[config.qemu] = _probe(config, boot)
    refusal = _probed[config.qemu]
    if refusal:
        raise UnsupportedError(f"KVM cannot be used here: {refusal}; use --mode mt or --mode icount")


def _probe(config: MachineConfig, boot: Callable[..., Machine]) -> str:
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is missing or not readable and writable for this user"
    _probed[config.qemu] = ""  # while the probing machine itself starts
    try:
        with boot(replace(config, cpus=2, gdb=False), timeout=PROBE_TIMEOUT) as machine:
            for exercise in _EXERCISES:
                machine.session.console.sendline(f"run {exercise} 100")
                machine.session.console.expect(rf"{exercise}: .*: ok\r\n", PROBE_TIMEOUT)
    except DirqlError as error:
        return f"a probing boot failed ({str(error).splitlines()[0]})"
    return ""
