# SPDX-License-Identifier: Apache-2.0
"""What the guest can ask the host for while one of its routines runs: `DirqlHostCall` of driver/dirql.h."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.errors import UsageError
from dirql.guest.link import STATUS_NOT_IMPLEMENTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.guest.image import KernelImage
    from dirql.inject.injector import Injector

STATUS_SUCCESS = 0
STATUS_INVALID_PARAMETER = 0xC000000D


class HostCalls:
    """Does what the guest asks for.

    Args:
        kernel: its debug information has the calls' codes.
        inject: the machine's injector.
    """

    def __init__(self, kernel: KernelImage, inject: Injector) -> None:
        codes = kernel.debug.enumeration("HOST_CALL_CODE")
        self._inject = inject
        self._routines: dict[int, Callable[[int, int], int]] = {
            codes["HostCallPing"]: lambda value, _: value,
            codes["HostCallInterrupt"]: self._interrupt,
            codes["HostCallNmi"]: self._nmi,
            codes["HostCallLine"]: self._line,
        }

    def serve(self, code: int, arguments: tuple[int, int]) -> tuple[int, int]:
        """Do what a call asks for.

        Args:
            code: HOST_CALL_CODE.
            arguments: as they stand beside the code in driver/hostcall.h.

        Returns:
            NTSTATUS and value.

        Raises:
            MachineLost, WaitTimeout: QEMU does not answer.
        """
        routine = self._routines.get(code)
        if routine is None:
            return STATUS_NOT_IMPLEMENTED, 0
        try:
            return STATUS_SUCCESS, routine(*arguments)
        except UsageError:  # no such CPU, vector or pin: the caller's mistake, for the caller to see
            return STATUS_INVALID_PARAMETER, 0

    def _interrupt(self, cpu: int, vector: int) -> int:
        self._inject.vector(cpu, vector)
        return 0

    def _nmi(self, cpu: int, _: int) -> int:
        self._inject.nmi(cpu)
        return 0

    def _line(self, pin: int, level: int) -> int:
        self._inject.line(pin, raised=bool(level))
        return 0
