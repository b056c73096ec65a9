# SPDX-License-Identifier: Apache-2.0
"""The other end of the ping-pong: `python pong.py PING_FD PONG_FD` answers every ping until it is told to stop."""

from __future__ import annotations

import os
import sys

STOP = 2
"""A ping of this count is the last one."""


def answer(ping: int, pong: int) -> None:
    """Answer each ping with a pong.

    Args:
        ping: a blocking eventfd, read here.
        pong: an eventfd, written here.
    """
    count = 0
    while count < STOP:
        count = os.eventfd_read(ping)
        os.eventfd_write(pong, 1)


if __name__ == "__main__":
    answer(int(sys.argv[1]), int(sys.argv[2]))
