# SPDX-License-Identifier: Apache-2.0
"""The picture of `dirql top`: CPUs with their lanes, the hottest locks, DPCs and interrupts, the last violations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.report.counts import level_name
from dirql.report.labels import LETTERS
from dirql.report.lanes import COLOURS
from dirql.report.sample import SPINNING
from dirql.report.tables import duration, experiment_table
from dirql.report.timeline import NAMES
from dirql.trace.export.slices import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from dirql.report.sample import CpuNow, LockNow, RoutineNow, Sample

ORDERS = ("number", "interrupts", "DPCs", "raised IRQL")
"""What the CPUs may be sorted by, with `s`."""
_KEYS: tuple[Callable[[CpuNow], float], ...] = (
    lambda cpu: cpu.cpu,
    lambda cpu: -cpu.interrupts,
    lambda cpu: -cpu.dpcs,
    lambda cpu: -cpu.raised,
)
_STATUS = {"ok": "green", "violated": "bold red", "warning": "bold yellow", "unknown": "yellow"}
_STATES = {"recording": "green", "ended": "yellow", "gone": "bold red"}
_ALWAYS = 11
"""Lines beside the rows: heading, a note, names of columns, legend, verdict, how many more there are, keys."""
_FRAME = 3
_TEXT = 24
_BAR = 40


@dataclass(frozen=True)
class View:
    """How to show it.

    Attributes:
        order: number in `ORDERS`.
        paused: nothing is looked at anew.
        height: lines there are.
        keys: the line that tells the keys is wanted.
        note: what else to say at the top.
    """

    order: int = 0
    paused: bool = False
    height: int = 40
    keys: bool = True
    note: str = ""


def picture(sample: Sample, view: View) -> Group:
    """Return what is on the screen.

    Args:
        sample: what was seen.
        view: how to show it.
    """
    from rich.console import Group
    from rich.text import Text

    left = view.height - _ALWAYS
    cpus = min(len(sample.cpus), max(left // 2, 1))
    left -= cpus
    wrong = min(len(sample.violations), max(left // 6, 1))
    left -= 2 * wrong
    parts: list[Text | Table] = [_heading(sample, view), Text(), _cpu_table(sample, view, cpus), _legend(sample)]
    others = bool(sample.dpcs or sample.vectors)
    rows = min(len(sample.locks), (left - 2 * _FRAME) // 2 if others else left - _FRAME)
    if rows > 0:
        parts += [Text(), _lock_table(sample.locks[:rows])]
        left -= rows + _FRAME
    if others and left > _FRAME:
        parts += [Text(), _routine_table(sample, left - _FRAME)]
    parts += [Text(), *_wrong(sample, wrong)]
    if view.keys:
        parts.append(_keys(view))
    return Group(*parts)


def _heading(sample: Sample, view: View) -> Text:
    from rich.text import Text

    time = "virtual time" if sample.mode == "icount" else "real time"
    line = Text.assemble(
        (f"{sample.run}", "bold"),
        "  ",
        (sample.state, _STATES[sample.state]),
        f"  {sample.mode}, {time} {sample.at / 1e9:,.3f} s  {sample.records:,} records, ",
        no_wrap=True,
        overflow="ellipsis",
    )
    lost = "lost: not known" if sample.lost < 0 else f"{sample.lost:,} lost"
    line.append(lost, style="bold red" if sample.lost > 0 else "")
    line.append(f"  (rates and times of the last {duration(sample.span)})", style="dim")
    if view.paused:
        line.append("  paused", style="reverse")
    if view.note:
        line.append(f"\n{view.note}", style="yellow")
    return line


def _cpu_table(sample: Sample, view: View, rows: int) -> Table:
    from rich.text import Text

    columns = ("CPU", "IRQL", "runs", "where its time went", "raised", "interrupts/s", "DPCs/s", "records/s", "lost")
    table = experiment_table("", *columns)
    table.columns[2].justify = table.columns[3].justify = "left"
    table.columns[2].min_width = _TEXT
    table.title, table.show_edge = None, False
    chosen = sorted(sample.cpus, key=_KEYS[view.order])
    for cpu in chosen[:rows]:
        table.add_row(
            str(cpu.cpu),
            level_name(cpu.irql) if cpu.irql >= 0 else "?",
            _what(cpu),
            _time_bar(cpu),
            f"{cpu.raised:.1%}",
            *(_rate(value) for value in (cpu.interrupts, cpu.dpcs, cpu.records)),
            Text("?" if cpu.lost < 0 else f"{cpu.lost:,}", style="bold red" if cpu.lost > 0 else ""),
        )
    if len(chosen) > rows:
        table.caption = f"{rows} of {len(chosen)} CPUs; s sorts by another column"
    return table


def _time_bar(cpu: CpuNow) -> Text:
    """Return a bar of letters, as many of each kind as it had of the time; what had least is at the right."""
    from rich.text import Text

    bar = Text()
    left, rest = _BAR, sum(cpu.shares.values())
    for name, share in sorted(cpu.shares.items(), key=lambda each: -each[1]):
        cells = round(left * share / rest) if rest else 0
        bar.append(_letter(name) * cells, style=_style(name))
        left, rest = left - cells, rest - share
    return bar


def _legend(sample: Sample) -> Text:
    from rich.text import Text

    totals: dict[str, float] = {}
    for cpu in sample.cpus:
        for name, share in cpu.shares.items():
            totals[name] = totals.get(name, 0.0) + share
    line = Text(" ", no_wrap=True, overflow="ellipsis")
    for name, total in sorted(totals.items(), key=lambda each: -each[1]):
        known = "spins for a lock" if name == SPINNING else NAMES[Kind[name.upper()]]
        line.append(f"{_letter(name)} {known} {total / len(sample.cpus):.1%}  ", style=_style(name))
    return line


def _letter(name: str) -> str:
    return "w" if name == SPINNING else LETTERS[Kind[name.upper()]]


def _style(name: str) -> str:
    return "bold red" if name == SPINNING else COLOURS[Kind[name.upper()]]


def _what(cpu: CpuNow) -> Text:
    from rich.text import Text

    if cpu.irql < 0:
        return Text("nothing known", style="dim")
    text = Text(f"{_letter(cpu.kind)} {cpu.what or cpu.kind}"[:_TEXT], style=_style(cpu.kind))
    if cpu.spinning:
        text.append(" spins", style="bold red")
    return text


def _lock_table(locks: tuple[LockNow, ...]) -> Table:
    columns = ("taken/s", "contended/s", "", "waited", "p99", "held", "p99", "max", "bypasses")
    table = experiment_table("", "hottest locks", *columns)
    table.columns[0].justify = "left"
    table.title, table.show_edge = None, False
    for lock in locks:
        table.add_row(
            lock.name,
            _rate(lock.taken),
            _rate(lock.contended),
            f"{lock.contended / lock.taken:.0%}" if lock.contended and lock.taken else "-",
            *(duration(value) if lock.wait.count else "-" for value in (lock.wait.median, lock.wait.p99)),
            *(
                duration(value) if lock.hold.count else "-"
                for value in (lock.hold.median, lock.hold.p99, lock.hold.maximum)
            ),
            f"{lock.bypasses:,}" if lock.bypasses else "-",
        )
    return table


def _routine_table(sample: Sample, rows: int) -> Table:
    table = experiment_table("", "DPCs and interrupts", "runs/s", "waits before", "p99", "runs for", "p99", "max")
    table.columns[0].justify = "left"
    table.title, table.show_edge = None, False
    half = max(rows - min(len(sample.dpcs), rows // 2), 1)
    shown: list[tuple[str, RoutineNow]] = [
        ("DPC", each) for each in sample.dpcs[: rows - min(half, len(sample.vectors))]
    ]
    shown += [("int", each) for each in sample.vectors[:half]]
    for kind, each in shown:
        waits = (each.latency.median, each.latency.p99)
        times = (each.time.median, each.time.p99, each.time.maximum)
        table.add_row(
            f"{kind} {each.name}",
            _rate(each.rate),
            *(duration(value) if each.latency.count else "-" for value in waits),
            *(duration(value) if each.time.count else "-" for value in times),
        )
    return table


def _wrong(sample: Sample, rows: int) -> list[Text | Table]:
    from rich.text import Text

    head = Text.assemble(
        "so far: ",
        (sample.verdict, _STATUS[sample.verdict]),
        (f"  {sample.judged}", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )
    lines: list[Text | Table] = [head]
    for each in sample.violations[:rows]:
        moment = f"{each.at / 1e9:,.6f} s " if each.at >= 0 else ""
        style = "bold yellow" if each.warning else "bold red"
        lines.append(Text.assemble((each.clause, style), f" {moment}{each.text}", no_wrap=True, overflow="ellipsis"))
        if each.where:
            lines.append(Text(f"    {'; '.join(each.where)}", style="dim", no_wrap=True, overflow="ellipsis"))
    if sample.found > rows:
        lines.append(Text(f"    {sample.found - rows:,} more found", style="dim"))
    return lines


def _keys(view: View) -> Text:
    from rich.text import Text

    following = ORDERS[(view.order + 1) % len(ORDERS)]
    go = "goes on" if view.paused else "pauses"
    return Text(f" q quits  p {go}  s sorts by {following} ", style="reverse")


def _rate(value: float) -> str:
    return "-" if not value else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
