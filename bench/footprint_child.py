# SPDX-License-Identifier: Apache-2.0
"""A Python of its own whose memory is counted together with that of its QEMU.

`python footprint_child.py machine CPUS` boots a machine with the doorbell's driver. `python footprint_child.py bare
QEMU ARGUMENT...` starts a QEMU that is held before its first instruction. Both print JSON: bytes by process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

_KIB = 1024


def proportional_bytes(pid: int | str = "self") -> int:
    """Return a process's proportional set size in bytes: a page that n processes map counts 1/n.

    Args:
        pid: the process.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    sizes = dict(line.split(":", 1) for line in lines[1:])
    return int(sizes["Pss"].split()[0]) * _KIB


def machine(cpus: int) -> dict[str, int]:
    """Boot a machine, load the doorbell's driver, count.

    Args:
        cpus: how many CPUs it has.
    """
    from dirql.devices.ivshmem import Doorbell
    from dirql.experiments.doorbell import DoorbellLine
    from dirql.machine import Machine

    doorbell = Doorbell(vectors=4, memory_bytes=1 << 16)
    with Machine(cpus=cpus, devices=[doorbell]) as booted:
        line = DoorbellLine(booted, doorbell)
        held = {"python": proportional_bytes(), "qemu": proportional_bytes(booted.session.process.pid)}
        line.release()
    return held


def bare(command: list[str]) -> dict[str, int]:
    """Start QEMU, wait until it has built its machine, count.

    Args:
        command: QEMU's command line, without what holds it.
    """
    import subprocess

    argv = [*command, "-S", "-qmp", "stdio"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as qemu:
        try:
            assert qemu.stdout is not None
            if not qemu.stdout.readline():
                raise SystemExit("QEMU ended before its greeting")
            return {"python": proportional_bytes(), "qemu": proportional_bytes(qemu.pid)}
        finally:
            qemu.kill()


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps(machine(int(arguments[0])) if kind == "machine" else bare(arguments)) + "\n")
