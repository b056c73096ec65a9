# SPDX-License-Identifier: Apache-2.0
"""The oracle while the guest runs: on all that has been collected so far, in rounds of growing size.

A round begins when there is twice as much as in the last one, so that all of them together cost about twice as much as
judging the whole trace once; or when nothing new has come for a while, and no sooner than a few times what the last one
took. The guest is never held for it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from dirql.errors import DirqlError
from dirql.trace.oracle import judge
from dirql.trace.store import StoredTrace
from dirql.trace.triggered import Triggered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dirql.trace.decode import Trace
    from dirql.trace.folder import TraceMeta
    from dirql.trace.live.collect import Collected, Collector
    from dirql.trace.live.conditions import Condition
    from dirql.trace.oracle.verdict import Violation

FIRST_RECORDS = 4096
GROWTH = 2
LOOK_S = 0.02
_RESTS = 4  # times what the last round took, before the next one of a quiet guest


class OracleRounds:
    """Judges a recording under way, and ends it on the first violation.

    Args:
        collector: started.
        run: the run's folder.
        meta: how to read what has been collected.
        condition: of kind `violation`.
    """

    def __init__(
        self, collector: Collector, run: Path, meta: Callable[[Collected], TraceMeta], condition: Condition
    ) -> None:
        self._collector = collector
        self._run = run
        self._meta = meta
        self._condition = condition
        self._over = threading.Event()
        self._judged = 0
        self.rounds = 0
        self.failure: DirqlError | None = None
        self._thread = threading.Thread(target=self._judge_until_over, name="dirql-oracle", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a round that is under way is finished first. Safe to call again."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> Triggered | None:
        """Judge what has been collected so far.

        Raises:
            DirqlError: it could not be collected or read.
        """
        traces: list[Trace] = []
        collected = self._collector.drain(
            lambda collected: traces.append(StoredTrace(self._run, self._meta(collected)).trace())
        )
        self.rounds += 1
        self._judged = sum(collected.records) + sum(collected.let_go)
        trace = traces[0]
        found = [each for each in judge(trace).violations if self._condition.name in ("", each.clause)]
        if not found:
            return None
        first = min(found, key=lambda each: max(each.records, default=len(trace)))
        return _told(self._condition, trace, first)

    def _judge_until_over(self) -> None:
        before, quiet_from, cost = 0, 0.0, 0.0
        while not self._over.wait(LOOK_S) and self._collector.triggered is None:
            now, count = time.monotonic(), self._collector.count
            if count != before:
                before, quiet_from = count, now
            quiet = count > self._judged and now - quiet_from > max(2 * LOOK_S, _RESTS * cost)
            if not quiet and count < max(FIRST_RECORDS, GROWTH * self._judged):
                continue
            try:
                found = self.look()
            except DirqlError as error:
                self.failure = error
                return
            cost = time.monotonic() - now
            quiet_from = now + cost
            if found is not None:
                self._collector.trigger(found)


def _told(condition: Condition, trace: Trace, violation: Violation) -> Triggered:
    at = max(violation.records, default=len(trace) - 1)
    tsc = int(trace.time[at]) + trace.origin
    text = f"{violation.clause}: {violation.text}"
    return Triggered(condition.text, text, int(trace.cpu[at]), int(trace.sequence[at]), tsc)
