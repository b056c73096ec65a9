# SPDX-License-Identifier: Apache-2.0
"""What became of each thread: when it ran, was ready, waited and for what; who let it go.

All of this happens under the dispatcher lock, which is not in the trace itself. So the order of the records is that
of the acts, and a plain walk through them is a model of the dispatcher. What a CPU makes ready between a Signal and
what it does next was let go by that signal.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.lives import WAIT_ANY, Life, Readiness, Release, State, Wait
from dirql.trace.history.threads import TERMINATED, WAITING

if TYPE_CHECKING:
    from dirql.trace.decode import Trace
    from dirql.trace.history.history import History
    from dirql.trace.schema import Indices

EVENTS = (
    *("ThreadSwitch", "ThreadReady", "ThreadCreate", "ThreadExit", "WaitBegin", "WaitEnd", "Signal", "TimerExpire"),
    *("ApcStart", "ApcEnd", "DpcStart", "DpcEnd", "CaseEnd"),
)
"""What the model is made from."""
_NEXT = ("DpcStart", "DpcEnd", "CaseEnd")
"""Those of them that only say that their CPU has done with what it did before."""


@dataclass
class Oddities:
    """What the walk stumbles over, as records.

    Attributes:
        ran_waiting: the ThreadSwitch that left a thread waiting, and the next one to it, without a ThreadReady between.
        ran_unready: the ThreadCreate of a thread, and a ThreadSwitch to it without a ThreadReady between.
        ran_ended: the ThreadExit of a thread, and a ThreadSwitch to it.
        ready_ended: the ThreadExit of a thread, and its ThreadReady.
        unfinished: a WaitBegin, and the record that shows its thread elsewhere without a WaitEnd.
        passed_over: a ThreadReady, the ThreadSwitch of that CPU to a thread of lower priority, and the one to it.
        unsignaled: a ThreadExit, and the ThreadSwitch after it without a Signal of the thread between.
        expired_silently: a TimerExpire that is followed by something else than the timer's Signal.
    """

    ran_waiting: list[tuple[int, int]] = field(default_factory=list)
    ran_unready: list[tuple[int, int]] = field(default_factory=list)
    ran_ended: list[tuple[int, int]] = field(default_factory=list)
    ready_ended: list[tuple[int, int]] = field(default_factory=list)
    unfinished: list[tuple[int, int]] = field(default_factory=list)
    passed_over: list[tuple[int, int, int]] = field(default_factory=list)
    unsignaled: list[tuple[int, int]] = field(default_factory=list)
    expired_silently: list[int] = field(default_factory=list)


class Dispatcher:
    """The walk through a trace.

    Args:
        history: the trace's intervals.

    Attributes:
        lives: all threads, in the order in which they appear.
        releases: all signals.
        readied: all ThreadReady records.
        chosen: how many switches chose a thread.
        odd: what does not fit together.
    """

    def __init__(self, history: History) -> None:
        self.lives: list[Life] = []
        self.releases: list[Release] = []
        self.readied: list[Readiness] = []
        self.chosen = 0
        self.odd = Oddities()
        self._by_address: dict[int, Life] = {}
        self._running: dict[int, Life] = {}
        self._waiting: dict[int, list[Wait]] = defaultdict(list)
        self._cause: dict[int, Release] = {}
        self._left: dict[int, int] = {}
        self._expiring: dict[int, tuple[int, int]] = {}
        self._exiting: dict[int, tuple[Life, int]] = {}
        self._candidates: dict[int, dict[int, Readiness]] = defaultdict(dict)
        self._doubts: list[tuple[Readiness, int]] = []
        self._walk(history)

    def _walk(self, history: History) -> None:
        trace, threads = history.trace, history.threads
        spells = threads.spells
        before = trace.meta.quiet.threads if trace.meta.quiet is not None else ()
        for begin, cpu, number in zip(spells.begin.tolist(), spells.cpu.tolist(), spells.thread.tolist(), strict=True):
            if cpu in self._running:
                continue
            if trace.are(np.array([begin]), "ThreadSwitch")[
                0
            ]:  # its first record: it names who comes, not who was there
                self._running[cpu] = self._life(before[cpu] if cpu < len(before) else 0)
            else:
                self._running[cpu] = self._life(int(threads.address[number]))
                self._running[cpu].enter(State.RUNNING, begin, cpu)
        index = _telling(trace) if threads.switched or len(trace.where("Signal")) else trace.where("Signal")
        acts = {
            trace.meta.events.numbers[name]: getattr(self, f"_{name}") for name in EVENTS if name in trace.meta.events
        }
        rows = zip(
            index.tolist(),
            trace.event[index].tolist(),
            trace.cpu[index].tolist(),
            trace.arg0[index].tolist(),
            trace.arg1[index].tolist(),
            strict=True,
        )
        for at, event, cpu, arg0, arg1 in rows:
            acts[event](at, cpu, arg0, arg1)
        for life in self.lives:
            life.finish()
        self._settle()

    def _life(self, address: int, *, anew: bool = False) -> Life:
        if address == 0 or anew or address not in self._by_address:
            life = Life(address)
            self.lives.append(life)
            if address:
                self._by_address[address] = life
            return life
        return self._by_address[address]

    def _of_cpu(self, cpu: int) -> Life:
        if cpu not in self._running:
            self._running[cpu] = self._life(0)
        return self._running[cpu]

    def _ThreadCreate(self, at: int, cpu: int, address: int, routine: int) -> None:  # noqa: N802 (the event's name)
        del cpu
        life = self._life(address, anew=True)
        life.created, life.routine = at, routine

    def _ThreadExit(self, at: int, cpu: int, address: int, status: int) -> None:  # noqa: N802
        del status
        life = self._of_cpu(cpu)
        if life.address != address:
            life = self._life(address)
        life.exited = at
        self._exiting[cpu] = (life, at)
        self.odd.unfinished += [(wait.begin, at) for wait in life.unfinished if wait.end < 0]

    def _ThreadReady(self, at: int, cpu: int, address: int, word: int) -> None:  # noqa: N802
        life = self._life(address)
        self._note_unsignaled(cpu)
        if life.left_for_good >= 0:
            self.odd.ready_ended.append((life.exited if life.exited >= 0 else life.left_for_good, at))
        wait, cause = life.waiting, self._cause.get(cpu)
        if wait is not None:
            wait.ready = at
            queue = self._waiting[wait.object]
            if wait in queue:
                queue.remove(wait)
            if cause is not None and (wait.count > 1 or wait.object == cause.object or wait.timed):
                wait.released = cause
                cause.ended.append(wait)
        self._forget(life)
        life.ready = Readiness(life, at, word & 0xFF, word >> 8 & 0xFF, bool(word >> 16 & 1))
        life.readied += 1
        self.readied.append(life.ready)
        self._candidates[life.ready.cpu][id(life)] = life.ready
        self._left.pop(id(life), None)
        if life.state is not State.RUNNING:  # a thread that gives way is made ready while it still runs
            life.enter(State.READY, at, -1)

    def _forget(self, life: Life) -> None:
        if life.ready is not None:
            self._candidates[life.ready.cpu].pop(id(life), None)

    def _ThreadSwitch(self, at: int, cpu: int, address: int, word: int) -> None:  # noqa: N802
        old, new = self._of_cpu(cpu), self._life(address)
        left_as, priority = word & 0xFF, word >> 16 & 0xFF
        old.priorities.add(word >> 8 & 0xFF)
        new.priorities.add(priority)
        exiting = self._exiting.pop(cpu, None)
        if exiting is not None and exiting[0] is old:
            self.odd.unsignaled.append((exiting[1], at))
        self._leave(old, left_as, at)
        if new.left_for_good >= 0:
            self.odd.ran_ended.append((new.exited if new.exited >= 0 else new.left_for_good, at))
        if new.created >= 0 and not new.switches and not new.readied:
            self.odd.ran_unready.append((new.created, at))
        if id(new) in self._left:
            self.odd.ran_waiting.append((self._left.pop(id(new)), at))
        if new.ready is not None and new.ready.run < 0:
            new.ready.run = at
        self._forget(new)
        if new.waits and new.waits[-1].ready >= 0 and new.waits[-1].run < 0:
            new.waits[-1].run = at
        new.switches += 1
        new.enter(State.RUNNING, at, cpu)
        self._running[cpu] = new
        self._over(cpu)
        self.chosen += 1
        for ready in self._candidates[cpu].values():
            if ready.priority > priority:
                self._doubts.append((ready, at))

    def _leave(self, old: Life, left_as: int, at: int) -> None:
        if left_as == TERMINATED:
            old.left_for_good = at
            old.enter(None, at, -1)
        elif left_as == WAITING:
            old.enter(State.WAITING, at, -1)
            self._left[id(old)] = at
        else:
            old.enter(State.READY, at, -1)

    def _WaitBegin(self, at: int, cpu: int, first: int, word: int) -> None:  # noqa: N802
        life = self._of_cpu(cpu)
        wait = Wait(life, at, first, word & 0xFF, word >> 8 & 0xFF, bool(word >> 16 & 1), bool(word >> 24 & 1))
        for older in life.unfinished:
            same = (older.object, older.count, older.kind) == (wait.object, wait.count, wait.kind)
            if older.end < 0 and not same:  # an APC ends a wait, which begins again
                self.odd.unfinished.append((older.begin, at))
        life.unfinished[:] = [wait]
        life.waits.append(wait)
        self._over(cpu)
        if wait.kind == WAIT_ANY and first and life.address:
            self._waiting[first].append(wait)

    def _WaitEnd(self, at: int, cpu: int, first: int, status: int) -> None:  # noqa: N802
        self._over(cpu)
        life = self._of_cpu(cpu)
        for wait in life.unfinished:
            if wait.object == first:
                wait.end, wait.status = at, status & 0xFFFF_FFFF
                if wait in self._waiting[first]:
                    self._waiting[first].remove(wait)
        life.unfinished[:] = [wait for wait in life.unfinished if wait.end < 0]

    def _Signal(self, at: int, cpu: int, address: int, word: int) -> None:  # noqa: N802
        state = word & 0xFFFF_FFFF
        state -= (state & 0x8000_0000) << 1
        if self._expiring.get(cpu, (0, 0))[0] == address:
            del self._expiring[cpu]
        release = Release(at, address, word >> 32 & 0xFF, state, tuple(self._waiting.get(address, ())))
        self.releases.append(release)
        self._over(cpu)
        self._cause[cpu] = release
        exiting = self._exiting.get(cpu)
        if exiting is not None and exiting[0].address == address and state > 0:
            del self._exiting[cpu]

    def _over(self, cpu: int) -> None:
        """Note that nothing more comes of what the CPU signalled last."""
        cause = self._cause.pop(cpu, None)
        if cause is not None:
            cause.complete = True
        self._note_unsignaled(cpu)

    def _note_unsignaled(self, cpu: int) -> None:
        if cpu in self._expiring:
            self.odd.expired_silently.append(self._expiring.pop(cpu)[1])

    def _TimerExpire(self, at: int, cpu: int, timer: int, due: int) -> None:  # noqa: N802
        del due
        self._over(cpu)
        self._expiring[cpu] = (timer, at)

    def _DpcStart(self, at: int, cpu: int, dpc: int, routine: int) -> None:  # noqa: N802
        del at, dpc, routine
        self._over(cpu)

    def _DpcEnd(self, at: int, cpu: int, dpc: int, routine: int) -> None:  # noqa: N802
        del at, dpc, routine
        self._over(cpu)

    def _CaseEnd(self, at: int, cpu: int, case: int, nothing: int) -> None:  # noqa: N802
        del at, case, nothing
        self._over(cpu)

    def _ApcStart(self, at: int, cpu: int, apc: int, routine: int) -> None:  # noqa: N802
        del at, apc, routine
        self._over(cpu)
        life = self._of_cpu(cpu)
        for wait in life.unfinished:
            wait.apc = True
        life.nest(True)

    def _ApcEnd(self, at: int, cpu: int, apc: int, routine: int) -> None:  # noqa: N802
        del at, apc, routine
        self._over(cpu)
        self._of_cpu(cpu).nest(False)

    def _settle(self) -> None:
        """Keep what was passed over and then ran on that CPU: what ran elsewhere may have been called there before."""
        cpus: dict[int, int] = {}
        for life in self.lives:
            cpus.update({span.begin: span.cpu for span in life.spans if span.state is State.RUNNING})
        for ready, at in self._doubts:
            if ready.run >= 0 and cpus.get(ready.run) == ready.cpu:
                self.odd.passed_over.append((ready.index, at, ready.run))


def _telling(trace: Trace) -> Indices:
    """Return the records of `EVENTS`, without those that say again that their CPU has done with what it did."""
    index = trace.where(*EVENTS)
    plain = np.isin(trace.event[index], [trace.meta.events.numbers.get(name, -1) for name in _NEXT])
    if not plain.any():
        return index
    mine = np.argsort(trace.cpu[index], kind="stable")
    cpu, plain_there = trace.cpu[index[mine]], plain[mine]
    again = plain_there.copy()
    again[1:] &= plain_there[:-1] | (cpu[1:] != cpu[:-1])
    keep = np.ones(len(index), dtype=np.bool_)
    keep[mine[again]] = False
    return index[keep]
