# SPDX-License-Identifier: Apache-2.0
"""What the guest is told at its start: HOST_BOOT_OPTIONS, written before power-on and at each reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.guest.systemtime import boot_system_time
from dirql.guest.verifier import TICKS_PER_US
from dirql.trace.events import mask_of
from dirql.trace.eventtable import EventTable

if TYPE_CHECKING:
    from dirql.config import MachineConfig
    from dirql.guest.image import KernelImage
    from dirql.guest.memory import GuestMemory

_OPTIONS_MAGIC = int.from_bytes(b"qoptions", "little")


def trace_events(kernel: KernelImage) -> EventTable:
    """Return the trace events of a kernel."""
    return EventTable.from_enum(kernel.debug.enumeration("TRACE_EVENT"))


def boot_mask(config: MachineConfig, events: EventTable) -> int:
    """Return the mask of the events that are recorded from the start."""
    if config.trace_classes is None:
        return config.trace_mask
    return config.trace_mask & mask_of(events, config.trace_classes)


def write_boot_options(memory: GuestMemory, config: MachineConfig, *, rendezvous: bool) -> None:
    """Write the options to where the guest looks for them.

    Args:
        memory: the guest's memory.
        config: what to be.
        rendezvous: requests come by the rendezvous register, not by COM2.
    """
    options = memory.variable("HostBootOptions", "HOST_BOOT_OPTIONS")
    policies = memory.kernel.debug.enumeration("TRACE_POLICY")
    transports = memory.kernel.debug.enumeration("HOST_TRANSPORT")
    placements = memory.kernel.debug.enumeration("DPC_PLACEMENT")
    placement = {"routine": "ByRoutine", "first-available": "FirstAvailable", "current": "Current"}
    mask = boot_mask(config, trace_events(memory.kernel))
    for word in range(2):
        options.set("TraceMask", mask >> 64 * word & (1 << 64) - 1, word)
    options.set("TraceRecords", config.trace_records)
    options.set("TracePolicy", policies["TraceOverwriteOld" if config.overwrite else "TraceDropNew"])
    options.set("Transport", transports["HostTransportRendezvous" if rendezvous else "HostTransportSerial"])
    options.set("DpcPlacement", placements[f"DpcPlacement{placement[config.dpc_placement]}"])
    options.set("InterruptRouting", int(config.interrupt_routing == "asymmetric"))
    options.set("DpcWatchdogTicks", config.dpc_watchdog_ticks)
    options.set("ThreadedDpcsOff", int(not config.threaded_dpcs))
    options.set("Verifier", int(config.verifier))
    options.set("ForceIrql", int(config.force_irql))
    virtual = config.mode == "icount"  # only there is a time what the guest did, and not what the host was doing
    options.set("LockHoldTicks", round(config.lock_hold_us * TICKS_PER_US) if virtual else 0)
    options.set("LockHoldFatal", int(config.lock_hold_fatal))
    options.set("FeatureFaultCpu", config.feature_fault_cpu)
    options.set("ClockPeriod100ns", config.clock_100ns)
    options.set("SystemTime", boot_system_time(config.system_time, virtual=virtual))
    options.set("Magic", _OPTIONS_MAGIC)
