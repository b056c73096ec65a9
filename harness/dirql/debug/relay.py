# SPDX-License-Identifier: Apache-2.0
"""Joins standard input and output to a socket that this process inherited: `relay.py DESCRIPTOR`.

gdb reaches a stub by a port, a path or a program. This is the program: it needs neither of the other two. Run by path,
in an interpreter of its own, so it uses nothing but the standard library.
"""

from __future__ import annotations

import os
import select
import socket
import sys

_BYTES = 65536


def main(descriptor: int) -> None:
    """Copy both ways until either side ends."""
    stub = socket.socket(fileno=descriptor)
    while True:
        for fd in select.select([0, stub.fileno()], [], [])[0]:
            data = os.read(0, _BYTES) if fd == 0 else stub.recv(_BYTES)
            if not data:
                return
            if fd == 0:
                stub.sendall(data)
                continue
            out = memoryview(data)
            while out:
                out = out[os.write(1, out) :]


if __name__ == "__main__":
    main(int(sys.argv[1]))
