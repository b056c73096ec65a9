# SPDX-License-Identifier: Apache-2.0
"""Names of NTSTATUS codes (MS-ERREF; ntstatus.txt has them) and of the bugcheck codes that the guest uses."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_BUGCHECK = {
    0x9: "IRQL_NOT_GREATER_OR_EQUAL",
    0xA: "IRQL_NOT_LESS_OR_EQUAL",
    0xC: "MAXIMUM_WAIT_OBJECTS_EXCEEDED",
    0xF: "SPIN_LOCK_ALREADY_OWNED",
    0x10: "SPIN_LOCK_NOT_OWNED",
    0x19: "BAD_POOL_HEADER",
    0x1A: "MEMORY_MANAGEMENT",
    0x1E: "KMODE_EXCEPTION_NOT_HANDLED",
    0x20: "KERNEL_APC_PENDING_DURING_EXIT",
    0x31: "PHASE0_INITIALIZATION_FAILED",
    0x32: "PHASE1_INITIALIZATION_FAILED",
    0x35: "NO_MORE_IRP_STACK_LOCATIONS",
    0x3F: "NO_MORE_SYSTEM_PTES",
    0x40: "TARGET_MDL_TOO_SMALL",
    0x44: "MULTIPLE_IRP_COMPLETE_REQUESTS",
    0x4E: "PFN_LIST_CORRUPT",
    0x50: "PAGE_FAULT_IN_NONPAGED_AREA",
    0x7A: "KERNEL_DATA_INPAGE_ERROR",
    0x7D: "INSTALL_MORE_MEMORY",
    0x7F: "UNEXPECTED_KERNEL_MODE_TRAP",
    0x81: "SPIN_LOCK_INIT_FAILURE",
    0xB8: "ATTEMPTED_SWITCH_FROM_DPC",
    0xBE: "ATTEMPTED_WRITE_TO_READONLY_MEMORY",
    0xC2: "BAD_POOL_CALLER",
    0xC4: "DRIVER_VERIFIER_DETECTED_VIOLATION",
    0xC7: "TIMER_OR_DPC_INVALID",
    0xC8: "IRQL_UNEXPECTED_VALUE",
    0xC9: "DRIVER_VERIFIER_IOMANAGER_VIOLATION",
    0xD1: "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
    0xE2: "MANUALLY_INITIATED_CRASH",
    0xFC: "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
    0x11B: "DRIVER_RETURNED_HOLDING_CANCEL_LOCK",
    0x133: "DPC_WATCHDOG_VIOLATION",
    0x139: "KERNEL_SECURITY_CHECK_FAILURE",
}


@cache
def _ntstatus() -> dict[int, str]:
    lines = files("dirql.guest").joinpath("ntstatus.txt").read_text(encoding="ascii").splitlines()
    return {int(number, 16): name for number, _, name in (line.partition(" ") for line in lines)}


def ntstatus_symbol(status: int) -> str:
    """Return the symbolic name of an NTSTATUS, or `NTSTATUS 0x........` where it has none."""
    status &= 0xFFFF_FFFF
    return _ntstatus().get(status) or f"NTSTATUS {status:#010x}"


def ntstatus_name(status: int) -> str:
    """Return `NAME (0x........)`, or the number alone where the name is not known."""
    status &= 0xFFFF_FFFF
    name = _ntstatus().get(status)
    return f"{name} ({status:#010x})" if name else f"NTSTATUS {status:#010x}"


def ntstatus_code(name: str) -> int:
    """Return the number of a symbolic name.

    Raises:
        KeyError: there is none of that name.
    """
    return {symbol: status for status, symbol in _ntstatus().items()}[name]


def bugcheck_name(code: int) -> str:
    """Return the name of a bugcheck code, or its number where the name is not known."""
    return _BUGCHECK.get(code, f"bugcheck {code:#x}")
