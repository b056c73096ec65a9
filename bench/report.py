# SPDX-License-Identifier: Apache-2.0
"""The report of a million records: how long it takes to write, how large it is, and how smoothly it zooms."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, Goal, GoalKind, Row, interleaved
from bench.plan import CPUS, MODE_ICOUNT
from bench.trace_store import record
from dirql.report.html.page import write_report
from dirql.trace.folder import load
from dirql.trace.history.history import History
from dirql.trace.oracle import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from bench.plan import Plan

ROUNDS = 3
FRAMES = 90
"""Frames of a zoom from the whole trace to a thousandth of it, and of doing nothing."""
_INTERRUPTS = 4
"""Times as many interrupts as in a storm of the others: about a million records."""
_BROWSER = "/usr/bin/chromium"
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
_MEASURE = """async ([frames, zooms]) => {
  const took = [];
  const { model } = zooms ? dirql.state : {};
  let before = await new Promise(requestAnimationFrame);
  for (let i = 0; i < frames; i++) {
    if (zooms) {
      const [centre, half] = [(model.first + model.last) / 2, (model.last - model.first) / 2];
      const share = Math.pow(0.001, i / (frames - 1));
      dirql.show(dirql.state, centre - half * share, centre + half * share);
    }
    const now = await new Promise(requestAnimationFrame);
    took.push(now - before);
    before = now;
  }
  return took;
}"""


def report_rows(plan: Plan) -> list[Row]:
    """Record a storm, write its report, and zoom in it."""
    with tempfile.TemporaryDirectory(prefix="dirql-bench-") as name:
        run = Path(name) / "run"
        record(run, plan.effort.interrupts * _INTERRUPTS)
        records = len(load(run))
        path = write_report(run)
        note = f"{records:,} records; the file has {path.stat().st_size / 1e6:.1f} MB"

        def write() -> list[float]:
            return [_seconds(lambda: write_report(run))]

        def verdict() -> list[float]:
            return [_seconds(lambda: _judge(run))]

        written, judged = interleaved([write, verdict], ROUNDS, plan.step)
        zoomed, idle = _frames(path)
        plan.step()
    return [
        Row(
            name="report",
            title="dirql report: from the files of a run to the page",
            unit="s",
            ours=written,
            comparator=judged,
            beside="opening and judging the same run",
            goal=Goal(GoalKind.VALUE_AT_MOST, 10),
            mode=MODE_ICOUNT,
            cpus=CPUS,
            note=note,
        ),
        Row(
            name="report-zoom",
            title="a frame of the report's timeline while it zooms from all of the trace to a thousandth",
            unit="ms",
            ours=zoomed,
            comparator=idle,
            beside="a frame of an empty page in the same browser (Chromium, headless, no graphics card)",
            goal=Goal(GoalKind.VALUE_AT_MOST, 50),
            mode=MODE_ICOUNT,
            cpus=CPUS,
            note=note,
        ),
    ]


def _judge(run: Path) -> None:
    trace = load(run)
    judge(trace, history=History(trace))


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _frames(path: Path) -> list[Figure]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_BROWSER, args=_ARGUMENTS)
        pages = [browser.new_page(viewport={"width": 1280, "height": 800}) for _ in range(2)]
        pages[0].goto(path.as_uri())
        pages[0].wait_for_selector("html[data-ready=true]")
        pages[0].locator("#timeline-chart").scroll_into_view_if_needed()
        found = [_measure(page, zooms=at == 0) for at, page in enumerate(pages)]
        browser.close()
    return found


def _measure(page: Page, *, zooms: bool) -> Figure:
    page.bring_to_front()
    values: list[float] = page.evaluate(_MEASURE, [FRAMES, zooms])
    return Figure.of(values)
