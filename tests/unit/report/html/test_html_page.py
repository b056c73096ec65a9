# SPDX-License-Identifier: Apache-2.0
"""The report's contents, without a browser: columns, texts, sources, the command."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dirql.cli.report import report
from dirql.errors import UsageError
from dirql.report.html import texts as texts_module
from dirql.report.html import timeline as timeline_module
from dirql.report.html.charts import Histogram
from dirql.report.html.columns import pack
from dirql.report.html.facts import run_facts
from dirql.report.html.page import SCRIPTS, report_page
from dirql.report.html.texts import record_texts
from dirql.report.html.timeline import HOLD, WAIT, Stretch, choose_stretch, timeline_columns
from dirql.report.html.violations import instant, shown_violations
from dirql.report.sources import AROUND, Sources
from dirql.trace.export.slices import cpu_slices
from dirql.trace.history.describe import describe
from dirql.trace.history.history import History
from dirql.trace.oracle import judge
from dirql.trace.stats.part import Part
from dirql.trace.symbols import SymbolTable
from tests.unit.report.html.runs import FILE, HOSTILE, LINES, empty_run, faulty_run, good_run, write_run, write_source

PYPROJECT = Path(__file__).resolve().parents[4] / "pyproject.toml"
TYPES = {"Uint8Array": "<u1", "Uint16Array": "<u2", "Uint32Array": "<u4", "Int32Array": "<i4"}


def unpack(places: dict[str, Any], block: str) -> dict[str, np.ndarray[Any, Any]]:
    """What data.js does."""
    raw = np.frombuffer(gzip.decompress(base64.b64decode(block)), dtype=np.uint8)
    found = {}
    for name, place in places.items():
        planes = raw[place["offset"] : place["offset"] + place["length"] * place["width"]]
        joined = planes.reshape(place["width"], -1).T.tobytes()
        found[name] = np.frombuffer(joined, dtype=TYPES[place["type"]])
    return found


def test_columns_come_back_as_they_went() -> None:
    columns: dict[str, np.ndarray[Any, Any]] = {
        "a": np.arange(7, dtype=np.uint8),
        "b": np.array([-1, 2**31 - 1, -(2**31)], dtype=np.int32),
        "c": np.zeros(0, dtype=np.uint32),
        "d": np.array([1, 2**32 - 1], dtype=np.uint32),
    }
    places, block = pack(columns)
    back = unpack(places, block)
    assert all((back[name] == column).all() and len(back[name]) == len(column) for name, column in columns.items())
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", block)


@pytest.fixture(scope="module")
def history() -> History:
    return History(good_run().trace())


def whole(history: History) -> Stretch:
    return Stretch.of(history, 0, int(history.trace.time[-1]))


def decoded(history: History, stretch: Stretch) -> dict[str, np.ndarray[Any, Any]]:
    columns = timeline_columns(history, stretch)
    for name in ("owner", "sliceBegin", "lockBegin"):
        columns[name] = np.cumsum(columns[name].astype(np.int64))
    columns["sliceEnd"] = columns["sliceBegin"] + columns["sliceLength"]
    columns["lockEnd"] = columns["lockBegin"] + columns["lockLength"]
    return columns


@pytest.mark.parametrize("part", [(0.0, 1.0), (0.3, 0.6)])
def test_every_record_has_its_innermost_slice(history: History, part: tuple[float, float]) -> None:
    trace = history.trace
    since, until = (int(trace.time[-1] * share) for share in part)
    stretch = Stretch.of(history, since, until)
    columns = decoded(history, stretch)
    slices = cpu_slices(history)
    begin, end = trace.position[slices.record], trace.position[slices.last]
    assert len(stretch.places) > 400
    for at, place in enumerate(stretch.places.tolist()):
        holds = np.flatnonzero((begin <= place) & ((place < end) | (slices.open & (place <= end))))
        owner = int(columns["owner"][at])
        if not len(holds):
            assert owner == -1
            continue
        inner = holds[-1]  # outer before inner
        assert columns["sliceKind"][owner] & 0x7F == slices.kind[inner]
        assert columns["sliceBegin"][owner] == np.searchsorted(stretch.places, begin[inner])
        chain = []
        while owner >= 0:
            chain.append(int(columns["sliceKind"][owner]) & 0x7F)
            owner -= int(columns["sliceParent"][owner])
        assert chain[::-1] == slices.kind[holds].tolist()


def test_times_locks_and_ways_are_those_of_the_trace(history: History) -> None:
    trace, stretch = history.trace, whole(history)
    columns = decoded(history, stretch)
    step = columns["timeLow"].astype(np.int64) | columns["timeHigh"].astype(np.int64) << 32
    for cpu in range(trace.cpus):
        mine = slice(stretch.starts[cpu], stretch.starts[cpu + 1])
        assert (np.cumsum(step[mine]) == trace.time[trace.on_cpu(cpu)]).all()
    for kind, spans in ((HOLD, history.holds), (WAIT, history.waits)):
        chosen = columns["lockKind"] == kind
        found = set(zip(columns["lockBegin"][chosen].tolist(), columns["lockEnd"][chosen].tolist(), strict=True))
        pairs = zip(trace.position[spans.start].tolist(), trace.position[spans.end].tolist(), strict=True)
        assert found >= set(pairs)
        assert len(spans) > 10
    insert, run = history.dpc_runs.runs(trace)
    assert (columns["wayFrom"] == trace.position[insert]).all()
    assert (columns["wayTo"] == trace.position[run]).all()
    assert ((columns["level"] & 0x7F) == history.irql_after[trace.by_cpu]).all()


def test_a_cpu_spins_from_its_wait_to_its_acquisition(history: History) -> None:
    trace = history.trace
    spins = timeline_columns(history, whole(history))["level"] >= 0x80
    assert 0 < spins.sum() < len(trace) / 2
    served = 0
    for start, end in zip(history.waits.start.tolist(), history.waits.end.tolist(), strict=True):
        first, last = int(trace.position[start]), int(trace.position[end])
        within = trace.by_cpu[first:last]
        depth = np.cumsum(
            trace.are(within, "InterruptEnter").astype(int) - trace.are(within, "InterruptExit").astype(int)
        )
        assert (spins[first:last] == (depth == 0)).all()
        assert not spins[last] or trace.event[trace.by_cpu[last]] == trace.meta.events["LockWait"]
        served += bool(depth.any())
    assert served  # an interrupt came while one spun


def test_each_record_has_its_own_text(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    index = history.trace.by_cpu
    number, texts = record_texts(history.trace, index)
    assert [texts[each] for each in number[:300]] == [describe(history.trace, int(each)) for each in index[:300]]
    assert len(set(number.tolist())) == len(texts) < len(index)
    monkeypatch.setattr(texts_module, "MOST", 40)
    number, texts = record_texts(history.trace, index)
    some = [texts[each] for each in number]
    assert len(texts) < 200
    assert all(
        text.split()[0] == describe(history.trace, int(at)).split()[0] for text, at in zip(some, index, strict=True)
    )
    assert any(text.endswith("(arguments are in the trace)") for text in some)


def test_too_many_records_leave_those_around_the_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(faulty_run().trace())
    verdict = judge(history.trace, history=history)
    part = Part.of(history.trace)
    stretch, note = choose_stretch(history, verdict, part)
    assert len(stretch.places) == len(history.trace)
    assert note == f"All {len(history.trace):,} records."
    monkeypatch.setattr(timeline_module, "RECORDS", 1000)
    stretch, note = choose_stretch(history, verdict, part)
    assert 1000 <= len(stretch.places) < 1010  # and those of the same times
    assert "1,000 of" in note
    shown = shown_violations(history.trace, verdict, stretch, Sources())
    assert all(record.place >= 0 for record in shown[0].records)


def test_a_part_without_records_is_said_to_be_one() -> None:
    history = History(good_run().trace())
    stretch, note = choose_stretch(history, judge(history.trace), Part.of(history.trace, since=10**12))
    assert len(stretch.places) == 0
    assert "no record" in note
    assert all(len(column) == 0 for name, column in timeline_columns(history, stretch).items())


def test_histograms_count_every_time_once() -> None:
    times = np.array([0.0, 1.0, 9.99, 10.0, 10.0, 5000.0, 100_000.0])
    made = Histogram.of("these", times, 4000)
    assert sum(made.counts) == len(times)
    assert len(made.edges) == len(made.counts) + 1
    assert made.over == 2
    for low, high, count in zip(made.edges, made.edges[1:], made.counts, strict=False):
        assert count == ((np.maximum(times, 1) >= low * 0.9999) & (np.maximum(times, 1) < high * 0.9999)).sum()
    assert Histogram.of("none", np.zeros(0)).counts == ()


@pytest.mark.parametrize(("ns", "text"), [(0, "0.000 µs"), (1234.5, "1.234 µs"), (68_721_016, "68.721016 ms")])
def test_instants_are_exact(ns: float, text: str) -> None:
    assert instant(ns) == text


TABLE = SymbolTable([(0x1000, 0x100, "a!F")], [(0x1000, "src/a.c", 10), (0x1010, "src/a.c", 20), (0x1100, "", 0)])


def test_a_source_is_found_wherever_its_folder_is(tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "a.c"
    moved.parent.mkdir()
    moved.write_text("".join(f"line {n}\n" for n in range(1, 41)), encoding="utf-8")
    assert "not found" in Sources().site(TABLE, 0x1015).problem
    site = Sources([moved.parent]).site(TABLE, 0x1015)
    assert (site.place, site.problem, len(site.lines)) == ("src/a.c:20", "", 2 * AROUND + 1)
    assert [(line.number, line.text) for line in site.lines if line.meant] == [(20, "line 20")]
    os.utime(moved, (2000, 2000))
    assert "changed after the run" in Sources([moved.parent], since=1000.0).site(TABLE, 0x1015).problem
    assert Sources([moved.parent], since=3000.0).site(TABLE, 0x1015).problem == ""
    moved.write_text("short\n", encoding="utf-8")
    short = Sources([moved.parent]).site(TABLE, 0x1015)
    assert short.lines == ()
    assert "not the one that was compiled" in short.problem
    assert "no source line is known" in Sources().site(TABLE, 0x9999).problem


def test_the_command_writes_the_file(tmp_path: Path) -> None:
    write_source(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    write_run(run, faulty_run())
    done = CliRunner().invoke(report, [str(run), "--source", str(tmp_path)], standalone_mode=False)
    assert (done.return_value, done.output.strip()) == (0, str(run / "report.html"))
    text = (run / "report.html").read_text(encoding="utf-8")
    for line in LINES:
        assert re.search(rf'class="line meant"[^>]*><span class="at">{line}</span>', text)
    assert f"{FILE.replace('<', '&lt;').replace('>', '&gt;').replace(chr(39), '&#39;')}:{LINES[0]}" in text
    assert HOSTILE not in text
    other = tmp_path / "other.html"
    options = ["-o", str(other), "--from", "100us", "--to", "500us"]
    assert CliRunner().invoke(report, [str(run), *options], standalone_mode=False).return_value == 0
    assert "timeline and numbers are of 100 µs to 500 µs" in other.read_text(encoding="utf-8")
    assert other.stat().st_size < (run / "report.html").stat().st_size


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no trace"):
        report_page(tmp_path)
    for name in ("mt-2", "icount-1", "other"):
        (tmp_path / name / ("trace" if "-" in name else "")).mkdir(parents=True)
    with pytest.raises(UsageError, match="these of its folders do: icount-1, mt-2"):
        report_page(tmp_path)
    with pytest.raises(UsageError, match="no time"):
        CliRunner().invoke(report, [str(tmp_path), "--from", "soon"], standalone_mode=False, catch_exceptions=False)


def test_a_run_that_tells_nothing_else_has_a_report(tmp_path: Path) -> None:
    write_run(tmp_path, empty_run(), lost=(0, 7))
    for name in ("run.json", "console.log"):
        (tmp_path / name).unlink()
    (tmp_path / "result.json").write_text('{"cut short', encoding="utf-8")
    text = report_page(tmp_path)
    assert "Unknown: the trace does not tell" in text
    assert "No spin lock was taken" in text
    assert "No CPU has two records" in text
    assert "{{" not in re.sub(r"<(script|style)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)


def test_the_page_names_no_address_and_allows_no_other_script(tmp_path: Path) -> None:
    text = report_page(write_run(tmp_path, good_run()))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?:|src=|href=\"(?!#)|style=|@import|url\(", markup)
    assets = files("dirql.report.html") / "assets"
    for name in SCRIPTS:
        script = assets.joinpath("js", f"{name}.js").read_text(encoding="utf-8")
        assert len(script.splitlines()) <= 300, name
        assert '"use strict";' in script
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?:", script), name
    assert {f"{name}.js" for name in SCRIPTS} == {each.name for each in assets.joinpath("js").iterdir()}


def test_every_asset_goes_into_the_wheel() -> None:
    package = PYPROJECT.parent / "harness" / "dirql"
    patterns = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]["dirql"]
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    assets = [path for path in (package / "report" / "html" / "assets").rglob("*") if path.is_file()]
    assert {path.name for path in assets} >= {
        "echarts.min.js",
        "LICENSE",
        "NOTICE",
        "LICENSE-d3",
        "page.html",
        "report.css",
    }
    assert set(assets) <= shipped


FAILED = f"""DRIVER_VERIFIER_DETECTED_VIOLATION (0xC4/0x1001): lock hierarchy violation, on CPU 1
  spin locks are taken in an order that can deadlock
  a.sys!Second: CPU 1, IRQL 2
      from a.sys!Dpc+0x9a ({FILE}:{LINES[0]})
    while holding a.sys!First, taken
      from a.sys!Read+0x33 ({FILE}:{LINES[1]})
  cpu 0: IRQL 2, kernel.elf!Stop+0x0 (k.S:1)
  cpu 1: IRQL 2, dirql-guest.elf!KeBugCheckEx+0x0 (guest/ke/trap.S:130)
      from a.sys!Read+0x9a ({FILE}:{LINES[1]})
"""


def test_a_failure_comes_first_with_the_lines_that_it_names(tmp_path: Path) -> None:
    write_source(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    write_run(run, good_run())
    failed = {"error": "VerifierViolation", "text": FAILED, "code": 0xC4, "parameters": [0x1001, 5], "processor": 1}
    (run / "failure.json").write_text(json.dumps(failed), encoding="utf-8")
    failure = run_facts(run).failure
    assert failure is not None
    assert [(name, number) for name, _, number in failure.places] == [
        ("a.sys!Dpc+0x9a", LINES[0]),
        ("a.sys!Read+0x33", LINES[1]),
    ]
    bare = replace(failure, text="it hangs\n  cpu 0" + FAILED.partition("  cpu 0")[2])
    assert [(name, number) for name, _, number in bare.places] == [("a.sys!Read+0x9a", LINES[1])]
    text = report_page(run, sources=[tmp_path])
    assert '<h1 id="verdict-title">The run failed: DRIVER_VERIFIER_DETECTED_VIOLATION (0xC4/0x1001)' in text
    article = re.search(r'<article id="violation-1".*?</article>', text, re.DOTALL)
    assert article
    assert re.findall(r'class="line meant"[^>]*><span class="at">(\d+)<', article[0]) == [str(line) for line in LINES]
    assert "(bugcheck 0xc4/0x1001)" in article[0]
    assert "The 1 record that shows it" in article[0]
