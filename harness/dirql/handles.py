# SPDX-License-Identifier: Apache-2.0
r"""Handles: what a program has of a device that it opened by name, with the calls that a user's program makes.

    with driver.open(r"\\.\Echo") as handle:
        answer = handle.ioctl(ctl_code(0x22, 0x800), b"hello", 16)

Each call has an `_async` form that returns a future; many may be in flight, from several CPUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypedDict, TypeVar, Unpack

from dirql.errors import UsageError
from dirql.futures import DEFAULT_TIMEOUT, RequestFuture
from dirql.guest.iochannel import IoOutcome, IoRequest
from dirql.irps import MAJORS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from dirql.qemu.waits import Deadline
    from dirql.requests import Requests

T = TypeVar("T")

METHOD_BUFFERED, METHOD_IN_DIRECT, METHOD_OUT_DIRECT, METHOD_NEITHER = range(4)
FILE_ANY_ACCESS, FILE_READ_ACCESS, FILE_WRITE_ACCESS = range(3)
FILE_DEVICE_UNKNOWN = 0x22
GENERIC_READ, GENERIC_WRITE = 0x8000_0000, 0x4000_0000
FILE_OPEN = 1

_IRP_MJ = {name: number for number, name in enumerate(MAJORS)}
_PREFIXES = ("\\\\.\\", "\\\\?\\")
_CODE_LIMITS = ((0x1_0000, "device type"), (0x1000, "function"), (4, "method"), (4, "access"))


class Placement(TypedDict, total=False):
    """Where and how a driver is called.

    Attributes:
        cpu: whose thread calls it; 0 by default.
        irql: that it is called at: 0 PASSIVE_LEVEL, 1 APC_LEVEL, 2 DISPATCH_LEVEL.
        priority: of the thread meanwhile, 1 to 31; 0: the usual one.
    """

    cpu: int
    irql: int
    priority: int


class RequestFields(TypedDict, total=False):
    """What a request of any function may have; each is nothing by default.

    Attributes:
        data: input; the pattern of a directory query, in UTF-16.
        out: bytes of output, or what is there before.
        code: class of information, control code.
        minor: IRP_MN_...
        offset: in the file.
    """

    data: bytes
    out: int | bytes
    code: int
    minor: int
    offset: int


class OpenOptions(TypedDict, total=False):
    """How a device is opened.

    Attributes:
        access: ACCESS_MASK; reading and writing by default.
        share: FILE_SHARE_...; 0 by default.
        disposition: FILE_OPEN (1) by default, FILE_CREATE (2) and so on.
        options: create options, FILE_...
        cpu: whose thread calls the driver; 0 by default.
    """

    access: int
    share: int
    disposition: int
    options: int
    cpu: int


def ctl_code(device_type: int, function: int, method: int = METHOD_BUFFERED, access: int = FILE_ANY_ACCESS) -> int:
    """Return an I/O control code, as the headers' CTL_CODE.

    Args:
        device_type: FILE_DEVICE_..., 16 bits.
        function: 12 bits; from 0x800 on a driver's own.
        method: how its buffers are passed, METHOD_...
        access: what the handle must have been opened for, FILE_..._ACCESS.

    Raises:
        UsageError: a value has too many bits.
    """
    for value, (limit, what) in zip((device_type, function, method, access), _CODE_LIMITS, strict=True):
        if not 0 <= value < limit:
            raise UsageError(f"a control code's {what} is 0 to {limit - 1:#x}; not {value:#x}")
    return device_type << 16 | access << 14 | function << 2 | method


class Handle:
    """An open file. A context manager: it is closed at the end.

    Args:
        requests: of its machine.
        name: as it was opened.
        file: its index in the guest.

    Attributes:
        name: as it was opened.
        closed: it has been closed, or its machine was reset.
    """

    def __init__(self, requests: Requests, name: str, file: int) -> None:
        self.name = name
        self._requests = requests
        self._file = file
        self._generation = requests.generation
        self._open = True

    @property
    def closed(self) -> bool:
        """Whether it can no longer be used."""
        return not self._open or self._generation != self._requests.generation

    def read(
        self, size: int, offset: int = 0, timeout: float | Deadline = DEFAULT_TIMEOUT, **where: Unpack[Placement]
    ) -> bytes:
        """Read (IRP_MJ_READ).

        Args:
            size: bytes at most.
            offset: in the file.
            timeout: seconds (icount: of virtual time); after it the request is cancelled.
            where: CPU, IRQL and priority: see `Placement`.

        Returns:
            What came, as many bytes as the driver says.

        Raises:
            RequestError: the driver says no; RequestCancelled: it was cancelled.
            WaitTimeout: it took too long, and was cancelled.
            GuestHang: it took too long, and did not end when it was cancelled.
        """
        return self._begin("READ", _data, timeout, True, where, out=size, offset=offset).result(timeout)

    def read_async(self, size: int, offset: int = 0, **where: Unpack[Placement]) -> RequestFuture[bytes]:
        """Begin to read. As `read`."""
        return self._begin("READ", _data, DEFAULT_TIMEOUT, False, where, out=size, offset=offset)

    def write(
        self, data: bytes, offset: int = 0, timeout: float | Deadline = DEFAULT_TIMEOUT, **where: Unpack[Placement]
    ) -> int:
        """Write (IRP_MJ_WRITE); return how many bytes the driver says that it took. Otherwise as `read`."""
        return self._begin("WRITE", _count, timeout, True, where, data=bytes(data), offset=offset).result(timeout)

    def write_async(self, data: bytes, offset: int = 0, **where: Unpack[Placement]) -> RequestFuture[int]:
        """Begin to write. As `write`."""
        return self._begin("WRITE", _count, DEFAULT_TIMEOUT, False, where, data=bytes(data), offset=offset)

    def ioctl(
        self,
        code: int,
        in_: bytes = b"",
        out_len: int | bytes = 0,
        timeout: float | Deadline = DEFAULT_TIMEOUT,
        *,
        internal: bool = False,
        **where: Unpack[Placement],
    ) -> bytes:
        """Send a control code (IRP_MJ_DEVICE_CONTROL).

        Args:
            code: see `ctl_code`.
            in_: the input buffer.
            out_len: bytes of the output buffer; or what is in it before, as METHOD_IN_DIRECT wants it.
            timeout: as of `read`.
            internal: IRP_MJ_INTERNAL_DEVICE_CONTROL.
            where: as of `read`.

        Returns:
            The output, as many bytes of it as the driver says.

        Raises:
            Exceptions as of `read`.
        """
        major = "INTERNAL_DEVICE_CONTROL" if internal else "DEVICE_CONTROL"
        return self._begin(major, _data, timeout, True, where, data=bytes(in_), out=out_len, code=code).result(timeout)

    def ioctl_async(
        self,
        code: int,
        in_: bytes = b"",
        out_len: int | bytes = 0,
        *,
        internal: bool = False,
        **where: Unpack[Placement],
    ) -> RequestFuture[bytes]:
        """Begin to send a control code. As `ioctl`."""
        major = "INTERNAL_DEVICE_CONTROL" if internal else "DEVICE_CONTROL"
        return self._begin(major, _data, DEFAULT_TIMEOUT, False, where, data=bytes(in_), out=out_len, code=code)

    def flush(self, timeout: float | Deadline = DEFAULT_TIMEOUT, **where: Unpack[Placement]) -> None:
        """Flush the file's buffers (IRP_MJ_FLUSH_BUFFERS). As `read`."""
        self._begin("FLUSH_BUFFERS", _nothing, timeout, True, where).result(timeout)

    def flush_async(self, **where: Unpack[Placement]) -> RequestFuture[None]:
        """Begin to flush. As `flush`."""
        return self._begin("FLUSH_BUFFERS", _nothing, DEFAULT_TIMEOUT, False, where)

    def request(
        self,
        major: str,
        timeout: float | Deadline = DEFAULT_TIMEOUT,
        *,
        fields: RequestFields | None = None,
        **where: Unpack[Placement],
    ) -> bytes:
        """Send a request of any function that a file can have.

        Args:
            major: IRP_MJ_... without that: `QUERY_INFORMATION`, `SET_INFORMATION`, `DIRECTORY_CONTROL`.
            timeout: as of `read`.
            fields: what it has.
            where: as of `read`.

        Returns:
            The output, as many bytes of it as the driver says.

        Raises:
            UsageError: there is no such function. Others as of `read`.
        """
        if major not in _IRP_MJ or major in ("CREATE", "CLOSE"):
            raise UsageError(f"there is no IRP_MJ_{major} that one could send to an open file")
        return self._begin(major, _data, timeout, True, where, **(fields or {})).result(timeout)

    def cancel(self) -> int:
        """Ask for the cancellation of all its requests, as CancelIo does; return how many were in flight."""
        mine = [future for future in self._requests.in_flight if future.request.file == self._file]
        return self._requests.cancel(mine)

    def close(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Close it: the driver gets IRP_MJ_CLEANUP, then IRP_MJ_CLOSE. Safe to call again.

        Raises:
            GuestHang: the driver's routines do not return.
        """
        if self.closed:
            self._open = False
            return
        self._open = False
        self._requests.submit(
            IoRequest(_IRP_MJ["CLOSE"], self._file), f"close of {self.name}", _nothing, timeout, now=True
        ).result(timeout)
        self._requests.give_file(self._file)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; where the machine has failed there is nothing left to close."""
        if error is None or not self._requests.machine_failed:
            self.close()

    def _begin(
        self,
        major: str,
        convert: Callable[[IoOutcome], T],
        timeout: float | Deadline,
        now: bool,
        where: Placement,
        **fields: Unpack[RequestFields],
    ) -> RequestFuture[T]:
        if self.closed:
            raise UsageError(f"{self.name} is closed")
        request = IoRequest(_IRP_MJ[major], self._file, **fields, **where)
        return self._requests.submit(request, f"{_words(request)} {self.name}", convert, timeout, now=now)


def open_handle(requests: Requests, name: str, timeout: float | Deadline, **options: Unpack[OpenOptions]) -> Handle:
    r"""Open a device by name.

    Args:
        requests: of the machine.
        name: `\\.\Name` as in a user's program, or a full name: `\Device\Name`.
        timeout: seconds (icount: of virtual time).
        options: see there.

    Raises:
        UsageError: this is no such name.
        RequestError: there is none of that name, or its driver says no.
    """
    access, share = options.get("access", GENERIC_READ | GENERIC_WRITE), options.get("share", 0)
    key, cpu = options.get("disposition", FILE_OPEN) << 24 | options.get("options", 0), options.get("cpu", 0)
    full = full_name(name)
    file = requests.take_file()
    request = IoRequest(0, file, full.encode("utf-16-le"), code=access, key=key, share=share, cpu=cpu)
    try:
        requests.submit(request, f"open of {name}", _nothing, timeout, now=True).result(timeout)
    except BaseException:
        requests.give_file(file)
        raise
    return Handle(requests, name, file)


def full_name(name: str) -> str:
    r"""Return the name that the guest knows: `\\.\X` is `\??\X`.

    Raises:
        UsageError: it does not begin with a backslash.
    """
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return "\\??\\" + name[len(prefix) :]
    if not name.startswith("\\"):
        raise UsageError(f"a device is opened as \\\\.\\Name or by its full name, as \\Device\\Name; not {name!r}")
    return name


def _words(request: IoRequest) -> str:
    major = MAJORS[request.major]
    if "DEVICE_CONTROL" in major:
        return f"{'internal ' if major.startswith('INTERNAL') else ''}ioctl {request.code:#x} of"
    return f"{major.lower().replace('_', ' ')} of"


def _data(outcome: IoOutcome) -> bytes:
    return outcome.data


def _count(outcome: IoOutcome) -> int:
    return outcome.information


def _nothing(outcome: IoOutcome) -> None:
    del outcome
