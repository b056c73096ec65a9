# SPDX-License-Identifier: Apache-2.0
"""figure-16: the figure of "Using Spin Locks: An Example" (SYS-7) played on three CPUs; each step proven by the trace.

The ISR runs on one CPU, StartIo on a second, DpcForIsr on a third, and all share what the interrupt spin lock guards.
The third step has two legal orders: AccessDevice runs for DpcForIsr as soon as it has returned for StartIo; or an
interrupt that came before DpcForIsr asked has the ISR run first. A driver plays both by hand-shakes
(figure_16_script.h).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dirql.errors import GuestError, UsageError
from dirql.experiments.series import config_json
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.history.history import DISPATCH_LEVEL, History
from dirql.trace.oracle import Status, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig
    from dirql.experiments.runfolder import RunFolder
    from dirql.trace.decode import Trace

NAME = "figure-16"
DIRQL = 6
"""FIGURE_DIRQL of the driver."""
ISR_CPU, START_CPU, DPC_CPU = range(3)
ORDERS = ("DpcForIsr next", "ISR next")
"""What follows AccessDevice for StartIo in step 3; the index is what the driver's marks say."""
CLAUSES = ("INT-1", "INT-11", "SYN-1", "SYN-3", "SYS-9", "DPC-4", "DPC-7", "IRP-3")
"""What the oracle has to find kept, with evidence."""
RUN_TIMEOUT = 60.0
_BOTH = (0, 1)

FACTS: tuple[tuple[str, int, str, tuple[int, ...]], ...] = (
    ("isr", 1, f"the ISR runs on CPU {ISR_CPU} at IRQL {DIRQL} and has the interrupt spin lock", _BOTH),
    ("start", 1, f"StartIo runs on CPU {START_CPU} at DISPATCH_LEVEL", _BOTH),
    ("start-asks", 1, "StartIo calls KeSynchronizeExecution while the ISR runs", _BOTH),
    ("start-spins", 1, f"and spins for the lock at IRQL {DIRQL}", _BOTH),
    ("requested", 2, "the ISR requests the DpcForIsr and returns", _BOTH),
    (
        "access-start",
        2,
        f"AccessDevice runs on CPU {START_CPU} at IRQL {DIRQL}, the ISR having let the lock go",
        _BOTH,
    ),
    ("dpc", 2, f"DpcForIsr runs on CPU {DPC_CPU}, the first below DISPATCH_LEVEL, at DISPATCH_LEVEL", _BOTH),
    ("interrupted", 2, f"the device interrupts CPU {ISR_CPU} before DpcForIsr asks; the ISR spins there", (1,)),
    ("dpc-asks", 2, "DpcForIsr calls KeSynchronizeExecution while AccessDevice runs for StartIo", _BOTH),
    ("dpc-spins", 2, f"and spins for the lock at IRQL {DIRQL}", _BOTH),
    ("access-next", 3, f"AccessDevice returns and runs next on CPU {DPC_CPU}, for DpcForIsr", (0,)),
    (
        "isr-next",
        3,
        f"AccessDevice returns and the ISR runs next, on CPU {ISR_CPU}; then AccessDevice for DpcForIsr",
        (1,),
    ),
    ("resumes", 3, f"StartIo goes on at DISPATCH_LEVEL on CPU {START_CPU}", _BOTH),
    ("exclusive", 3, "nobody got the lock before the one before had let it go", _BOTH),
    ("in-turn", 3, "all got it in the order in which they had asked", _BOTH),
)
"""Name, step, what it says, in which orders."""


@dataclass(frozen=True)
class Figure16Parameters:
    """What to run.

    Attributes:
        rounds: how often each order is played.

    Raises:
        UsageError: a value is out of range.
    """

    rounds: int = 10

    def __post_init__(self) -> None:
        """Check the values."""
        if not 1 <= self.rounds <= 1000:
            raise UsageError(f"each order is played 1 to 1000 times, not {self.rounds}")


@dataclass(frozen=True)
class Turn:
    """Somebody's time with the interrupt spin lock, as indices of records.

    Attributes:
        cpu: whose.
        what: `ISR`, `AccessDevice for StartIo` or `AccessDevice for DpcForIsr`.
        acquired: LockAcquired.
        released: LockReleased.
        ticket: the LockQueued that says which ticket was drawn; -1 where there was nobody to wait for.
    """

    cpu: int
    what: str
    acquired: int
    released: int
    ticket: int


class Round:
    """One time that the figure was played, in the trace.

    Args:
        history: the trace's intervals.
        order: index of `ORDERS`.
        begin: its first record.
        end: its last record.
        interrupt: the interrupt object.
        lock: its spin lock.
    """

    def __init__(self, history: History, order: int, begin: int, end: int, interrupt: int, lock: int) -> None:
        self.history, self.trace = history, history.trace
        self.order, self.begin, self.end = order, begin, end
        self.interrupt, self.lock = interrupt, lock

    def records(self, event: str, cpu: int | None = None, about: int | None = None) -> list[int]:
        """Return the records of an event in this round, of one CPU, about one object, as far as these are given."""
        index = self.trace.where(event)
        index = index[(index >= self.begin) & (index <= self.end)]
        if cpu is not None:
            index = index[self.trace.cpu[index] == cpu]
        if about is not None:
            index = index[self.trace.arg0[index] == about]
        return [int(each) for each in index]

    def one(self, event: str, cpu: int, about: int | None = None) -> int:
        """Return the first such record.

        Raises:
            GuestError: there is none.
        """
        found = self.records(event, cpu, about)
        if not found:
            raise GuestError(
                f"figure-16: the trace has no {event} of CPU {cpu} in a round of order {ORDERS[self.order]}"
            )
        return found[0]

    def at(self, index: int, irql: int) -> bool:
        """Tell whether a record was made at that IRQL."""
        return int(self.trace.irql[index]) == irql

    def before(self, one: int, other: int) -> bool:
        """Tell whether a record is older than another one."""
        return int(self.trace.time[one]) <= int(self.trace.time[other])

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """Who had the lock, in order."""
        found = []
        for acquired in self.records("LockAcquired", about=self.lock):
            cpu = int(self.trace.cpu[acquired])
            released = next(each for each in self.records("LockReleased", cpu, self.lock) if each > acquired)
            queued = [each for each in self.records("LockQueued", cpu, self.lock) if each < acquired]
            ticket = queued[-1] if queued and self._waited(queued[-1], acquired) else -1
            isr = [each for each in self.records("IsrEnter", cpu, self.interrupt) if acquired < each < released]
            owner = "StartIo" if cpu == START_CPU else "DpcForIsr"
            found.append(Turn(cpu, "ISR" if isr else f"AccessDevice for {owner}", acquired, released, ticket))
        return tuple(found)

    def _waited(self, queued: int, acquired: int) -> bool:
        """Tell whether a LockQueued belongs to that acquisition: no other one of its CPU lies in between."""
        mine = self.records("LockAcquired", int(self.trace.cpu[acquired]), self.lock)
        return not any(queued < each < acquired for each in mine)

    @property
    def owners(self) -> tuple[tuple[int, str], ...]:
        """CPU and routine of each turn."""
        return tuple((turn.cpu, turn.what) for turn in self.turns)

    @cached_property
    def dpc(self) -> int:
        """The DpcStart of the DpcForIsr on its CPU."""
        insert = self.one("DpcInsert", ISR_CPU)
        return self.one("DpcStart", DPC_CPU, int(self.trace.arg0[insert]))

    @property
    def first_dpc(self) -> int:
        """The first DpcStart of the round on whatever CPU."""
        return self.records("DpcStart")[0]

    def _interrupt_before(self, index: int) -> int:
        """Return the last interrupt of the same CPU that came before a record."""
        return max(each for each in self.records("InterruptEnter", int(self.trace.cpu[index])) if each < index)

    def facts(self) -> dict[str, bool]:
        """Look for each of `FACTS` that belongs to the order."""
        trace, lock, interrupt = self.trace, self.lock, self.interrupt
        isr, isr_ends = self.one("IsrEnter", ISR_CPU, interrupt), self.one("IsrExit", ISR_CPU, interrupt)
        start = self.one("StartIoEnter", START_CPU)
        asks = {cpu: self.one("SyncRequest", cpu, interrupt) for cpu in (START_CPU, DPC_CPU)}
        enters = {cpu: self.one("SyncEnter", cpu, interrupt) for cpu in (START_CPU, DPC_CPU)}
        exits = self.one("SyncExit", START_CPU, interrupt)
        returns = self.one("SyncReturn", START_CPU, interrupt)
        insert = self.one("DpcInsert", ISR_CPU)
        spins = {cpu: self.records("LockWait", cpu, lock) for cpu in (ISR_CPU, START_CPU, DPC_CPU)}
        turns = self.turns
        tickets = [int(trace.arg1[turn.ticket]) & 0xFFFF if turn.ticket >= 0 else None for turn in turns]
        waited = [ticket for ticket in tickets if ticket is not None]
        owners = ((ISR_CPU, "ISR"), (START_CPU, "AccessDevice for StartIo"), (DPC_CPU, "AccessDevice for DpcForIsr"))
        found = {
            "isr": self.at(isr, DIRQL) and turns[0].acquired < isr < turns[0].released and turns[0].cpu == ISR_CPU,
            "start": self.at(start, DISPATCH_LEVEL),
            "start-asks": self.at(asks[START_CPU], DISPATCH_LEVEL)
            and self.before(isr, asks[START_CPU])
            and self.before(asks[START_CPU], isr_ends),
            "start-spins": len(spins[START_CPU]) == 1 and self.at(spins[START_CPU][0], DIRQL),
            "requested": isr < insert < isr_ends and bool(trace.arg1[insert] & 1),
            "access-start": self.at(enters[START_CPU], DIRQL) and self.before(turns[0].released, enters[START_CPU]),
            "dpc": self.at(self.dpc, DISPATCH_LEVEL) and self.first_dpc == self.dpc,
            "dpc-asks": self.at(asks[DPC_CPU], DISPATCH_LEVEL)
            and self.before(enters[START_CPU], asks[DPC_CPU])
            and self.before(asks[DPC_CPU], exits),
            "dpc-spins": len(spins[DPC_CPU]) == 1 and self.at(spins[DPC_CPU][0], DIRQL),
            "resumes": self.at(returns, DISPATCH_LEVEL) and self.before(exits, returns),
            "exclusive": all(self.before(one.released, other.acquired) for one, other in pairwise(turns)),
            "in-turn": len(waited) == len(turns) - 1 and waited == list(range(waited[0], waited[0] + len(waited))),
        }
        if self.order:
            found["interrupted"] = (
                len(spins[ISR_CPU]) == 1
                and self.at(spins[ISR_CPU][0], DIRQL)
                and self.before(enters[START_CPU], spins[ISR_CPU][0])
                and self.before(self._interrupt_before(spins[ISR_CPU][0]), asks[DPC_CPU])
            )
            found["isr-next"] = self.owners == (*owners[:2], owners[0], owners[2])
        else:
            found["access-next"] = self.owners == owners
        return found


@dataclass(frozen=True)
class Figure16Result:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine.
        proven: for each order and fact, in how many rounds the trace shows it.
        owners: for each order, who had the lock, in order; the same in every round, or empty.
        clauses: what the oracle said of `CLAUSES`.
        violations: what it found broken, of any clause.
        rounds: the first round of each order, for the picture.
        folder: the run's folder.
    """

    parameters: Figure16Parameters
    config: MachineConfig
    proven: dict[tuple[int, str], int]
    owners: tuple[tuple[tuple[int, str], ...], ...]
    clauses: dict[str, str]
    violations: int
    rounds: tuple[Round, Round]
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether every fact was seen in every round, and the oracle found all rules kept."""
        whole = all(count == self.parameters.rounds for count in self.proven.values())
        return whole and not self.violations and set(self.clauses.values()) == {Status.OK.value}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        facts = [
            {"fact": name, "step": step, "text": text, "rounds": {ORDERS[at]: self.proven[at, name] for at in orders}}
            for name, step, text, orders in FACTS
        ]
        return {
            "experiment": NAME,
            "mode": self.config.mode,
            "cpus": self.config.cpus,
            "parameters": asdict(self.parameters),
            "facts": facts,
            "lock": {
                order: [{"cpu": cpu, "routine": what} for cpu, what in owners]
                for order, owners in zip(ORDERS, self.owners, strict=True)
            },
            "clauses": self.clauses,
            "violations": self.violations,
            "passed": self.passed,
            "run_folder": str(self.folder.path),
        }


def run_figure_16(
    config: MachineConfig,
    parameters: Figure16Parameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> Figure16Result:
    """Boot, play both orders, look for each fact in the trace.

    Args:
        config: the machine, of at least three CPUs.
        parameters: what to run.
        folder: the run's folder; the trace and `result.json` go there.
        progress: called now and then with (rounds done, rounds).

    Raises:
        UsageError: the machine has fewer than three CPUs.
        DirqlError: the machine failed; what was recorded by then is in the folder.
    """
    if config.cpus < len((ISR_CPU, START_CPU, DPC_CPU)):
        raise UsageError(f"the figure needs at least 3 CPUs; --cpus {config.cpus} were asked for")
    with Machine(config, folder=folder.path) as machine:
        folder.describe(NAME, asdict(parameters) | config_json(config), machine)
        driver = machine.load("figure_16.sys")
        view = driver.variable("Figure16Run")
        view.set("Rounds", parameters.rounds)
        with Recording(machine, folder.path) as recording:
            left = driver.run("RunFigure16", timeout=RUN_TIMEOUT)
        if left:
            raise GuestError(f"figure_16.sys left something behind: {left}")
        interrupt, lock = view.get("Interrupt"), view.get("Lock")
    history = History(recording.load())
    rounds = _rounds(history, interrupt, lock)
    if len(rounds) != 2 * parameters.rounds:
        raise GuestError(f"figure-16: the trace shows {len(rounds)} of {2 * parameters.rounds} rounds")
    seen = [(each.order, each.facts()) for each in rounds]
    proven = {
        (order, name): sum(facts.get(name, False) for at, facts in seen if at == order)
        for name, _, _, orders in FACTS
        for order in orders
    }
    verdict = judge(history.trace, history=history)
    result = Figure16Result(
        parameters=parameters,
        config=config,
        proven=proven,
        owners=tuple(_common([each.owners for each in rounds if each.order == order]) for order in _BOTH),
        clauses={clause: verdict[clause].status.value for clause in CLAUSES},
        violations=verdict.counted(Status.VIOLATED),
        rounds=(rounds[0], rounds[1]),
        folder=folder,
    )
    folder.write("result.json", result.to_json())
    if progress is not None:
        progress(len(rounds), len(rounds))
    return result


def _rounds(history: History, interrupt: int, lock: int) -> list[Round]:
    trace: Trace = history.trace
    marks = [int(each) for each in trace.where("Mark")]
    return [
        Round(history, int(trace.arg0[begin]), begin, end, interrupt, lock)
        for begin, end in zip(marks[::2], marks[1::2], strict=False)
        if trace.arg1[begin] and not trace.arg1[end]
    ]


def _common(owners: list[tuple[tuple[int, str], ...]]) -> tuple[tuple[int, str], ...]:
    return owners[0] if len(set(owners)) == 1 else ()
