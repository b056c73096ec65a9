# SPDX-License-Identifier: Apache-2.0
"""What a machine does as a whole on request: runs a routine, puts pages out, switches the verifier, sets its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.driver import DEFAULT_TIMEOUT, Leftover
from dirql.errors import UsageError
from dirql.guest.systemtime import from_system_time, to_system_time

if TYPE_CHECKING:
    from datetime import datetime

    from dirql.devices.rendezvous import Rendezvous
    from dirql.guest.image import KernelImage
    from dirql.guest.link import HostLink
    from dirql.guest.memory import GuestMemory
    from dirql.qemu.waits import Deadline


class Controls:
    """The part of a machine that needs no more than requests to the guest."""

    kernel: KernelImage
    link: HostLink
    memory: GuestMemory
    rendezvous: Rendezvous | None

    def run(
        self, address: int, argument: int = 0, *, what: str, timeout: float | Deadline = DEFAULT_TIMEOUT
    ) -> Leftover:
        """Call a routine on the boot CPU at PASSIVE_LEVEL, and serve its calls to the host until it returns.

        Args:
            address: of a `VOID routine(PVOID)` in the guest.
            argument: what it is given.
            what: what is waited for, for messages.
            timeout: seconds for it to return, or a deadline.

        Returns:
            What it left behind.

        Raises:
            GuestError, MachineLost: it did not return.
        """
        kind, before, after, tag, *_ = self.link.request("Run", address, argument, what=what, timeout=timeout)
        kinds = self.kernel.debug.enumeration("RUN_LEFTOVER")
        name = next(name for name, value in kinds.items() if value == kind)
        text = (tag & 0xFFFF_FFFF).to_bytes(4, "little").decode("latin-1") if name == "RunLeftPool" else ""
        return Leftover(name.removeprefix("RunLeft"), before, after, text)

    def page_out(self, address: int = 0, size: int = 0, timeout: float | Deadline = DEFAULT_TIMEOUT) -> int:
        """Put out what is pageable in a part of the guest's memory while it serves requests.

        Args:
            address: where the part begins; 0: all memory.
            size: bytes.
            timeout: seconds, or a deadline.

        Returns:
            How many pages went out.
        """
        return self.link.request("PageOut", address, size, what="pages to go out", timeout=timeout)[0]

    def page_out_now(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Put out all that is pageable as soon as the boot CPU may run DPCs, whatever runs there; not in `icount`.

        Args:
            timeout: seconds for the word of it to leave, or a deadline.

        Raises:
            UsageError: the machine runs in virtual time, where only the guest itself can say when (DirqlPageOut).
        """
        if self.rendezvous is not None:
            raise UsageError("icount: pages go out when the guest asks, or between requests (Machine.page_out)")
        self.link.notify("PageOut", timeout)

    def set_verifier(self, *, on: bool, timeout: float | Deadline = DEFAULT_TIMEOUT) -> bool:
        """Turn the guest's verifier on or off; nothing of a driver may run meanwhile.

        Returns:
            Whether it was on.
        """
        return bool(self.link.request("Verifier", int(on), what="the verifier to be switched", timeout=timeout)[0])

    def set_system_time(self, when: datetime, timeout: float | Deadline = DEFAULT_TIMEOUT) -> datetime:
        """Change the guest's system time. Absolute timers follow it, relative ones do not (TMR-9).

        Args:
            when: the new system time, with a time zone.
            timeout: seconds for it.

        Returns:
            What it was, in UTC.

        Raises:
            UsageError: `when` has no time zone, or lies before 1601.
        """
        units = to_system_time(when)
        return from_system_time(
            self.link.request("SetSystemTime", units, what="the system time to be set", timeout=timeout)[0]
        )

    def find_pci(self, vendor: int, device: int) -> int:
        """Return the location (bus << 8 | device << 3 | function) of a PCI function.

        Raises:
            UsageError: there is none of these ids.
        """
        block = self.memory.variable("KiBootBlock", "BOOT_BLOCK")
        for at in range(block.get("FunctionCount")):
            function = block.inner("Function", at)
            if (function.get("VendorId"), function.get("DeviceId")) == (vendor, device):
                return function.get("Location")
        raise UsageError(f"the machine has no PCI device {vendor:04x}:{device:04x}")
