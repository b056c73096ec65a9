# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a driver becomes a bugcheck whose record says what, where, and where every other CPU was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.errors import CpuState, Fault, GuestBugCheck, GuestTripleFault
from dirql.guest.memory import physical
from dirql.machine import Machine
from tests.system.guest.support import TIMEOUT, kernel_word, press, source_line

if TYPE_CHECKING:
    from collections.abc import Iterator

CPUS = 4
MANUALLY_INITIATED_CRASH = 0xE2
MARKERS = {
    "ReadNull": ("FaultReadNull", "read null"),
    "WriteText": ("FaultWriteText", "write text"),
    "Divide": ("FaultDivide", "divide"),
    "Undefined": ("FaultUndefined", "undefined"),
    "NotCanonical": ("FaultReadNotCanonical", "not canonical"),
    "WriteNull": ("FaultWriteNull", "write null"),
    "Breakpoint": ("FaultBreakpoint", "breakpoint"),
    "Simd": ("FaultSimd", "simd"),
    "Step": ("FaultStep", "step"),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Machine]:
    with Machine(cpus=CPUS, on_bugcheck="pause") as machine:
        yield machine


@pytest.fixture
def machine(shared: Machine) -> Machine:
    """A machine as new: the reset also shows that the one before did no lasting harm."""
    shared.reset()
    return shared


def order(machine: Machine, kind: str, cpu: int = 0, irql: int = 0, others: str = "Free") -> int:
    """Load fault.sys, tell it what to do and set it off. Returns the request's number."""
    driver = machine.load("fault.sys")
    order = driver.variable("FaultOrder")
    order.set("Kind", driver.image.debug.enumeration("FAULT_KIND")[f"FaultKind{kind}"])
    order.set("Cpu", cpu)
    order.set("Irql", irql)
    order.set("Others", driver.image.debug.enumeration("FAULT_OTHERS")[f"FaultOthers{others}"])
    return press(driver)


def crash(machine: Machine, kind: str, cpu: int = 0, irql: int = 0, others: str = "Free") -> GuestBugCheck:
    """Set the driver off and return the bugcheck that comes of it."""
    order(machine, kind, cpu, irql, others)
    with pytest.raises(GuestBugCheck) as caught:
        machine.session.watch.wait(lambda: None, "the bugcheck", TIMEOUT)
    error = caught.value
    assert [state.number for state in error.cpus] == list(range(machine.cpus))
    return error


def frames(state: CpuState) -> tuple[str, ...]:
    """Return where a CPU is and how it came there, innermost first."""
    return (state.where, *state.stack)


def is_at(frame: str, function: str, marker: str) -> bool:
    """Whether a frame is in a function of fault.sys, on the line with the marker."""
    return frame.startswith(f"fault.sys!{function}+") and frame.endswith(f"({source_line('fault.c', marker)})")


@pytest.mark.parametrize(
    ("kind", "cpu", "irql", "code", "parameters"),
    [
        ("ReadNull", 0, 0, 0x50, (8, 0, "rip", 0)),
        ("WriteNull", 0, 1, 0x50, (8, 1, "rip", 0)),
        ("ReadNull", 0, 2, 0xD1, (8, 2, 0, "rip")),
        ("WriteNull", 1, 2, 0xD1, (8, 2, 1, "rip")),
        ("ReadNull", 0, 7, 0xD1, (8, 7, 0, "rip")),
        ("ReadNull", 2, 2, 0xD1, (8, 2, 0, "rip")),
        ("ReadNull", 3, 15, 0xD1, (8, 15, 0, "rip")),
        ("WriteText", 0, 0, 0xBE, ("text", "entry", None, 0)),
        ("WriteText", 2, 2, 0xBE, ("text", "entry", None, 2)),
        ("Divide", 0, 0, 0x1E, (0xFFFFFFFF_C0000094, "rip", 0, 0)),
        ("Divide", 1, 2, 0x1E, (0xFFFFFFFF_C0000094, "rip", 0, 0)),
        ("Undefined", 0, 0, 0x1E, (0xFFFFFFFF_C000001D, "rip", 0, 0)),
        ("Breakpoint", 0, 0, 0x1E, (0xFFFFFFFF_80000003, "rip", 0, 0)),
        ("Step", 2, 2, 0x1E, (0xFFFFFFFF_80000004, "rip", 0, 0)),
        ("Simd", 0, 0, 0x1E, (0xFFFFFFFF_C000008E, "rip", 0, 0)),
        ("NotCanonical", 0, 0, 0x1E, (0xFFFFFFFF_C0000005, "rip", 0, (1 << 64) - 1)),
    ],
)
def test_a_fault_in_a_driver(
    machine: Machine, kind: str, cpu: int, irql: int, code: int, parameters: tuple[int | str | None, ...]
) -> None:
    error = crash(machine, kind, cpu, irql)
    state = error.cpus[cpu]
    text = next(start for start, _, name in machine.symbols.table() if name == "fault!FaultReadNull")
    known = {"rip": state.rip, "text": text, "entry": error.parameters[1]}
    assert error.code == code
    for expected, found in zip(parameters, error.parameters, strict=True):
        if expected is not None:
            assert found == (known[expected] if isinstance(expected, str) else expected)
    assert error.processor == cpu
    assert state.irql == irql
    assert is_at(state.where, *MARKERS[kind])
    assert state.stack[0].startswith("fault.sys!FaultDo+")  # a call at a routine's end is a call like any other
    root = "fault.sys!FaultAddDevice+" if cpu == 0 else "dirql-guest.elf!KiRunDpc+"
    assert any(frame.startswith(root) for frame in state.stack)
    rest = "HostLinkServe+" if cpu == 0 else ""  # by then the request may have been answered, and CPU 0 be idle
    assert any(f"dirql-guest.elf!{rest}" in frame for frame in error.cpus[0].stack)
    assert f"bugcheck {code:#x}" in error.message
    assert f"on CPU {cpu}" in error.message
    assert state.where in error.message
    if code in (0x50, 0xD1, 0xBE):
        access = "read" if kind.startswith("Read") else "write"
        assert error.fault == Fault(access, text if kind == "WriteText" else 8, irql, state.rip, state.where)
    else:
        assert error.fault is None
    if code == 0xBE:
        page = machine.memory.translate(text & ~0xFFF)
        assert (error.parameters[1] & 0x000F_FFFF_FFFF_F000, error.parameters[1] & 3) == (page, 1)  # there, read-only


@pytest.mark.parametrize(
    ("kind", "marker", "status"),
    [
        ("RaiseStatus", "raise status", 0xC000009A),
        ("RaiseAccess", "raise access", 0xC0000005),
        ("RaiseMisaligned", "raise misaligned", 0x80000002),
    ],
)
def test_an_exception_that_a_driver_raises(machine: Machine, kind: str, marker: str, status: int) -> None:
    error = crash(machine, kind)
    assert error.code == 0x1E
    assert (error.parameters[0], *error.parameters[2:]) == (0xFFFF_FFFF_0000_0000 | status, 0, 0)
    assert error.cpus[0].where.startswith("dirql-guest.elf!KeBugCheckEx+0x0 ")
    (frame,) = [frame for frame in error.cpus[0].stack if frame.startswith(f"fault.sys!Fault{kind}+")]
    assert is_at(frame, f"Fault{kind}", marker)
    assert machine.symbols.where(error.parameters[1], returned=True) == frame


@pytest.mark.parametrize("kind", ["ReadNull", "Divide", "Overflow"])
def test_faults_on_all_cpus_at_once(machine: Machine, kind: str) -> None:
    error = crash(machine, kind, others="Too")
    assert error.code == {"ReadNull": 0x50 if error.processor == 0 else 0xD1, "Divide": 0x1E, "Overflow": 0x7F}[kind]
    assert error.cpus[error.processor].where.startswith("fault.sys!Fault")
    assert kernel_word(machine, "KiFrozen") & 0xFFFF_FFFF == CPUS - 1
    for state in error.cpus:
        assert any("fault.sys!Fault" in frame or "dirql-guest.elf!Ki" in frame for frame in frames(state))


def test_a_fault_while_a_bugcheck_is_told(machine: Machine) -> None:
    nowhere = 0x7F00_0000_1000
    machine.memory.ram.store64(physical(machine.kernel.address("KiReportBugCheck")), nowhere)
    error = crash(machine, "BugCheck", 1)
    assert (error.code, error.parameters) == (MANUALLY_INITIATED_CRASH, (1, 2, 3, 4))
    assert is_at(error.cpus[1].stack[0], "FaultBugCheck", "bugcheck")
    assert f"and while it was told of, 0xd1 DRIVER_IRQL_NOT_LESS_OR_EQUAL at {nowhere:#x}" in error.message


@pytest.mark.parametrize(
    ("kind", "marker", "code", "access"),
    [("ExecuteData", "execute data", 0xFC, None), ("CallNull", "call null", 0x50, 8)],
)
def test_a_call_through_a_bad_pointer_names_its_caller(
    machine: Machine, kind: str, marker: str, code: int, access: int | None
) -> None:
    error = crash(machine, kind)
    assert (error.code, error.parameters[0]) == (code, error.cpus[0].rip)
    if access is None:
        assert error.parameters[1] >> 63  # the page's entry: no execute
    else:
        assert error.parameters[1] == access
    assert error.fault is not None
    assert (error.fault.access, error.fault.address) == ("execute", error.cpus[0].rip)
    assert is_at(error.fault.where, f"Fault{kind}", marker) or error.fault.where == error.cpus[0].where
    assert is_at(error.cpus[0].stack[0], f"Fault{kind}", marker)
    assert error.cpus[0].stack[1].startswith("fault.sys!FaultDo+")


@pytest.mark.parametrize("cpu", [0, 3])
def test_a_stack_that_overflows_meets_its_guard_page(machine: Machine, cpu: int) -> None:
    error = crash(machine, "Overflow", cpu)
    assert error.code == 0x7F
    assert error.parameters[0] == 8
    assert error.parameters[2] == error.cpus[cpu].rip
    stack_pointer = error.parameters[3]
    assert machine.memory.translate(stack_pointer & ~0xFFF) is None or stack_pointer % 4096 < 512  # at the guard page
    assert machine.memory.translate((stack_pointer & ~0xFFF) + 4096) is not None
    assert error.processor == cpu
    assert error.fault is not None
    assert (error.fault.access, error.fault.address) == ("write", stack_pointer - 8)
    assert "the kernel stack has overflowed into its guard page" in error.message
    assert all(frame.startswith("fault.sys!FaultOverflow+") for frame in frames(error.cpus[cpu]))


@pytest.mark.parametrize(("cpu", "irql"), [(0, 0), (0, 2), (1, 2), (3, 15)])
def test_a_bugcheck_from_a_driver(machine: Machine, cpu: int, irql: int) -> None:
    error = crash(machine, "BugCheck", cpu, irql)
    assert error.code == MANUALLY_INITIATED_CRASH
    assert error.parameters == (cpu, 2, 3, 4)
    assert error.processor == cpu
    assert error.cpus[cpu].irql == irql
    assert error.cpus[cpu].where.startswith("dirql-guest.elf!KeBugCheckEx+0x0 ")
    assert is_at(error.cpus[cpu].stack[0], "FaultBugCheck", "bugcheck")
    assert error.message == f"bugcheck 0xe2 MANUALLY_INITIATED_CRASH ({cpu:#x}, 0x2, 0x3, 0x4) on CPU {cpu}"


@pytest.mark.parametrize("others", ["Spin", "Disabled"])
@pytest.mark.parametrize("cpu", [0, 2])
def test_cpus_that_spin_at_high_level_are_stopped_too(machine: Machine, others: str, cpu: int) -> None:
    error = crash(machine, "BugCheck", cpu, 15, others)
    assert error.processor == cpu
    for state in error.cpus:
        assert state.irql == 15
        if state.number != cpu:
            assert state.where.startswith("fault.sys!FaultSpin+")
            assert "(tests/drivers/fault.c:" in state.where


def test_the_first_of_several_bugchecks_wins(machine: Machine) -> None:
    error = crash(machine, "BugCheck", others="Too")
    assert error.code == MANUALLY_INITIATED_CRASH
    assert error.parameters == (error.processor, 2, 3, 4)
    winner = frames(error.cpus[error.processor])
    assert is_at(winner[1], "FaultBugCheck", "bugcheck")
    assert kernel_word(machine, "KiBugCheckOwner") & 0xFFFF_FFFF == error.processor + 1
    assert kernel_word(machine, "KiFrozen") & 0xFFFF_FFFF == CPUS - 1  # every other one was stopped by the winner
    for state in error.cpus:  # the others were on their way there, or waited inside for the NMI
        assert any("fault.sys!Fault" in frame or "KiBugCheckFrame" in frame for frame in frames(state))


def test_every_wait_tells_of_the_bugcheck(machine: Machine) -> None:
    first = crash(machine, "BugCheck", 1)
    with pytest.raises(GuestBugCheck) as again:
        machine.session.console.expect("never printed", TIMEOUT)
    with pytest.raises(GuestBugCheck):
        machine.link.request("Ping")
    assert again.value.cpus == first.cpus
    assert again.value.parameters == first.parameters


def test_a_paused_machine_can_be_looked_at(machine: Machine) -> None:
    crash(machine, "BugCheck", 2)
    machine.session.qmp.wait_event("GUEST_PANICKED", TIMEOUT)
    assert machine.session.qmp.execute("query-status")["status"] == "guest-panicked"
    states = machine.cpu_states()
    assert [state.number for state in states] == list(range(CPUS))
    assert "KiBugCheckFrame" in states[2].where or any("KiBugCheckFrame" in frame for frame in states[2].stack)
    machine.reset()
    assert machine.link.request("Ping")[0] > 0
    assert machine.session.qmp.execute("query-status")["status"] == "running"


def test_a_triple_fault_is_held_where_it_happened(machine: Machine) -> None:
    order(machine, "Triple")
    with pytest.raises(GuestTripleFault, match="triple fault") as caught:
        machine.session.watch.wait(lambda: None, "the triple fault", TIMEOUT)
    assert [state.number for state in caught.value.cpus] == list(range(CPUS))
    assert is_at(caught.value.cpus[0].where, "FaultTriple", "triple")
    assert kernel_word(machine, "MiFreeCount") > 0  # memory is as it was
    machine.reset()
    assert machine.link.request("Ping")[0] > 0
