# SPDX-License-Identifier: Apache-2.0
"""Writes the report: a template, filled with what the trace tells, and all it needs in one file.

The page names no address, and its Content-Security-Policy lets only the scripts and styles through that are in it, by
their digests: nothing that a driver is called, or says, becomes a script.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from dirql.errors import UsageError
from dirql.report.html.charts import Charts, flow_json, histograms
from dirql.report.html.context import page_context, page_data
from dirql.report.html.facts import run_facts
from dirql.report.html.timeline import choose_stretch
from dirql.report.html.violations import shown_violations
from dirql.report.sources import Sources
from dirql.report.tables import duration
from dirql.trace.folder import load, trace_folder
from dirql.trace.history.history import History
from dirql.trace.oracle import judge
from dirql.trace.stats.part import Part
from dirql.trace.stats.summary import statistics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jinja2 import Template

NAME = "report.html"
SCRIPTS = (
    *("base", "data", "theme", "timescale", "shapes", "lod", "lanes", "marks", "hover", "timeline", "moves"),
    *("violations", "charts", "flows", "locks", "tables", "main"),
)
"""The page's own scripts, in order; each adds to the one name `dirql`."""


def write_report(
    run: Path,
    out: Path | None = None,
    *,
    sources: Sequence[Path] = (),
    since: float | None = None,
    until: float | None = None,
) -> Path:
    """Write the report of a run as one HTML file.

    Args:
        run: the run's folder.
        out: the file; None for `report.html` in the run's folder.
        sources: folders to look for sources in, besides the current one.
        since: begin of the part that timeline and numbers are of, in ns since the trace began; None: all of it. The
            verdict is always on the whole run.
        until: its end, likewise.

    Returns:
        The file.

    Raises:
        UsageError: the folder holds no trace.
        ProtocolError: the trace contradicts itself.
    """
    path = out or run / NAME
    path.write_text(report_page(run, sources=sources, since=since, until=until), encoding="utf-8")
    return path


def report_page(
    run: Path, *, sources: Sequence[Path] = (), since: float | None = None, until: float | None = None
) -> str:
    """Return the report of a run as the text of an HTML file; see `write_report`."""
    if not trace_folder(run).is_dir():
        parts = sorted(each.name for each in run.iterdir() if trace_folder(each).is_dir())
        if parts:
            raise UsageError(f"{run} holds no trace itself; these of its folders do: {', '.join(parts)}")
    trace = load(run)
    history = History(trace)
    verdict = judge(trace, history=history)
    part = Part.of(trace, since, until)
    stats = statistics(history, part)
    told = run_facts(run)
    stretch, note = choose_stretch(history, verdict, part)
    shown = shown_violations(trace, verdict, stretch, Sources(sources, told.started), told.failure)
    charts = Charts(histograms(history, part), flow_json(stats))
    context = page_context(history, part, stats, verdict, told, shown, charts)
    context["folder"] = str(run)
    context["timeline"] = {"records": len(stretch.places), "cpus": trace.cpus, "note": note}
    facts, blocks = page_data(history, stats, verdict, stretch, shown, charts)
    return render(context, facts, blocks)


def render(context: dict[str, Any], facts: dict[str, Any], blocks: dict[str, str]) -> str:
    """Fill the template.

    Args:
        context: its variables.
        facts: JSON data for the scripts.
        blocks: name -> letters and digits for the scripts.
    """
    from markupsafe import Markup

    assets = files("dirql.report.html") / "assets"

    def text(*names: str) -> str:
        return assets.joinpath(*names).read_text(encoding="utf-8")

    style = text("report.css")
    scripts = [text("echarts", "echarts.min.js"), *(text("js", f"{name}.js") for name in SCRIPTS)]
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # The charts set styles of elements from scripts, which a policy lets pass; no style is in an attribute.
    policy = f"default-src 'none'; script-src {digests}; style-src 'sha256-{_digest(style)}'; img-src data:"
    policy += "; base-uri 'none'; form-action 'none'"
    data = [("facts", Markup(_json(facts))), *((name, Markup(block)) for name, block in blocks.items())]
    return _template().render(
        **context,
        policy=Markup(policy),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        data=data,
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _json(data: object) -> str:
    """Write JSON that ends no script element, whatever the texts in it say."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dirql.report.html", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["percent"] = _percent
    return environment.get_template("page.html")


def _percent(share: float) -> str:
    if share in (0, 1):
        return f"{share:.0%}"
    return "<0.1%" if share < 0.0005 else f"{share:.1%}"
