# SPDX-License-Identifier: Apache-2.0
"""What other tools read, read back: Trace Event JSON, VCD, CSV; and `dirql trace export`."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from dirql.cli.main import cli
from dirql.errors import UsageError
from dirql.trace.export.chrome import write_chrome
from dirql.trace.export.formats import FORMATS, STDOUT, export_trace
from dirql.trace.export.scene import Act, build_scene
from dirql.trace.export.vcd import write_vcd
from dirql.trace.folder import load, write_meta, write_records
from dirql.trace.history.describe import irql_name
from dirql.trace.history.history import History
from dirql.trace.oracle import judge
from dirql.trace.window import Window
from tests.unit.trace.synth import Row, build, make_meta, simulate, to_arrays

RUN = simulate(9, 3, 1200)


@pytest.fixture(scope="module")
def history() -> History:
    return History(RUN.trace())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_meta(folder, make_meta(3, accounting=RUN.accounting))
    write_records(folder, to_arrays(RUN.rows, 3))
    return folder


@pytest.fixture(scope="module")
def chrome(history: History, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("chrome") / "trace.json"
    count = write_chrome(history, path, judge(history.trace, history=history))
    events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    assert sum(event["ph"] in "BEiC" for event in events) == count
    return events


def test_chrome_slices_nest_and_are_those_of_the_scene(history: History, chrome: list[dict[str, Any]]) -> None:
    stacks: dict[tuple[int, int], int] = defaultdict(int)
    before = 0.0
    for event in chrome:
        if event["ph"] == "M":
            continue
        assert event["ts"] >= before
        before = event["ts"]
        stacks[event["pid"], event["tid"]] += {"B": 1, "E": -1}.get(event["ph"], 0)
        assert stacks[event["pid"], event["tid"]] >= 0
    scene = build_scene(history)
    shown = Counter(
        scene.shapes[number].name for number in scene.shape.tolist() if scene.shapes[number].act == Act.BEGIN
    )
    assert Counter(event["name"] for event in chrome if event["ph"] == "B") == shown
    begun = [event["ts"] for event in chrome if event["ph"] == "B"]
    acts = np.array([shape.act for shape in scene.shapes])[scene.shape]
    assert [round(time * 1000) for time in begun] == scene.stamp[acts == Act.BEGIN].tolist()


def test_chrome_arrows_meet_and_begin_inside_slices(chrome: list[dict[str, Any]]) -> None:
    open_slices: dict[tuple[int, int], list[str]] = defaultdict(list)
    ends: dict[str, dict[int, str]] = {"s": {}, "f": {}}
    for event in chrome:
        stack = open_slices[event["pid"], event["tid"]]
        if event["ph"] == "B":
            stack.append(event["name"])
        elif event["ph"] == "E":
            stack.pop()
        elif event["ph"] in ends:
            assert event["id"] not in ends[event["ph"]]
            ends[event["ph"]][event["id"]] = stack[-1]
    assert ends["s"].keys() == ends["f"].keys()
    kinds = {(ends["s"][number].split()[0], ends["f"][number].split()[0]) for number in ends["s"]}
    assert {("ISR", "DPC"), ("holds", "holds")} <= kinds


def test_chrome_tracks_have_names_and_counters_follow_the_irql(history: History, chrome: list[dict[str, Any]]) -> None:
    names = {(event["pid"], event["tid"], event["name"]): event["args"] for event in chrome if event["ph"] == "M"}
    process = {pid: args["name"] for (pid, _, what), args in names.items() if what == "process_name"}
    assert {"CPU 0", "CPU 1", "CPU 2", "threads"} <= set(process.values())
    for event in chrome:
        if event["ph"] in "BEi" and process[event["pid"]] != "violations":
            assert (event["pid"], event["tid"], "thread_name") in names
    trace = history.trace
    for cpu in range(3):
        mine = trace.on_cpu(cpu)
        counted = [event for event in chrome if event["ph"] == "C" and process[event["pid"]] == f"CPU {cpu}"]
        times = np.array([round(event["ts"] * 1000) for event in counted])
        at = np.searchsorted(times, trace.time[mine], side="right") - 1
        assert [counted[each]["args"]["IRQL"] for each in at] == history.irql_after[mine].tolist()


class Waves:
    """A VCD file, read back: for each variable its values by time."""

    def __init__(self, path: Path) -> None:
        from vcd.reader import TokenKind, tokenize

        scope: list[str] = []
        names: dict[str, str] = {}
        self.values: dict[str, list[tuple[int, Any]]] = {}
        self.timescale = ""
        now = 0
        for token in tokenize(io.BytesIO(path.read_bytes())):
            match token.kind:
                case TokenKind.TIMESCALE:
                    self.timescale = f"{token.timescale.magnitude} {token.timescale.unit.value}"
                case TokenKind.SCOPE:
                    scope.append(token.scope.ident)
                case TokenKind.UPSCOPE:
                    scope.pop()
                case TokenKind.VAR:
                    names[token.var.id_code] = ".".join([*scope, token.var.reference])
                    self.values[names[token.var.id_code]] = []
                case TokenKind.CHANGE_TIME:
                    assert token.time_change >= now
                    now = token.time_change
                case TokenKind.CHANGE_VECTOR:
                    self.values[names[token.vector_change.id_code]].append((now, token.vector_change.value))
                case TokenKind.CHANGE_STRING:
                    text = token.string_change.value.replace("\\x20", " ")
                    self.values[names[token.string_change.id_code]].append((now, text))

    def at(self, name: str, time: int) -> Any:  # noqa: ANN401 (number or text)
        """Return the value that a variable has from a time on."""
        return [value for stamp, value in self.values[name] if stamp <= time][-1]


def test_waves_follow_the_irql_and_what_runs(history: History, tmp_path: Path) -> None:
    path = tmp_path / "trace.vcd"
    assert write_vcd(history, path) > 1000
    waves, trace = Waves(path), history.trace
    assert waves.timescale == "1 ns"
    for cpu in range(3):
        mine = trace.on_cpu(cpu)
        last = mine[np.append(np.diff(trace.time[mine]) > 0, True)]  # of those of one time, the last counts
        for at in last[::7].tolist():
            level, time = int(history.irql_after[at]), int(trace.time[at])
            assert waves.at(f"cpu{cpu}.irql", time) == level
            assert waves.at(f"cpu{cpu}.level", time) == irql_name(level)
    for at in trace.where("IsrEnter")[::5].tolist():
        after = [value for time, value in waves.values[f"cpu{trace.cpu[at]}.runs"] if time == trace.time[at]]
        assert any(value.startswith("ISR ") for value in after)
    threads = {value for cpu in range(3) for time, value in waves.values[f"cpu{cpu}.thread"] if time}
    assert {value.split()[0] for value in threads} <= {"idle", "thread"}


def test_waves_of_locks_show_owner_readers_and_waiters(tmp_path: Path) -> None:
    lock = 0xFFFF_A000_0000_1000
    rows = [
        Row(100, 0, "LockAcquired", 2, lock),
        Row(120, 1, "LockWait", 2, lock),
        Row(130, 2, "LockSharedWait", 2, lock),
        Row(140, 0, "LockReleased", 2, lock),
        Row(150, 1, "LockAcquired", 2, lock),
        Row(160, 1, "LockReleased", 2, lock),
        Row(170, 2, "LockSharedAcquired", 2, lock),
        Row(180, 0, "LockSharedAcquired", 2, lock),
        Row(190, 2, "LockSharedReleased", 2, lock),
        Row(200, 0, "Mark", 2),
    ]
    path = tmp_path / "trace.vcd"
    write_vcd(History(build(rows, 3, symbols=((lock, 8, "driver!My lock"),))), path)
    waves = Waves(path)
    owner, waiting = "locks.driver!My_lock.owner", "locks.driver!My_lock.waiting"
    assert waves.values[owner] == [
        *((0, "CPU 0"), (40, ""), (50, "CPU 1"), (60, ""), (70, "reader CPU 2")),
        *((80, "reader CPU 0, reader CPU 2"), (90, "reader CPU 0")),
    ]
    assert waves.values[waiting] == [(0, 0), (20, 1), (30, 2), (50, 1), (70, 0)]


def test_locks_of_one_name_are_told_apart(tmp_path: Path) -> None:
    rows = [Row(at, 0, "LockAcquired", 2, lock) for at, lock in enumerate((0x1000, 0x1008))]
    path = tmp_path / "trace.vcd"
    symbols = ((0x1000, 8, "driver!a b"), (0x1008, 8, "driver!a_b"))
    write_vcd(History(build(rows, 1, symbols=symbols)), path)
    assert {"locks.driver!a_b.owner", "locks.driver!a_b_1008.owner"} <= set(Waves(path).values)


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_format_of_an_empty_trace(form: str, tmp_path: Path) -> None:
    write_meta(tmp_path, make_meta(2))
    done = export_trace(tmp_path, form)
    assert done.count == 0
    assert done.path.is_file()


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_part_goes_to_a_file_of_its_own_and_is_smaller(form: str, run: Path) -> None:
    whole = export_trace(run, form)
    end = int(load(run).time[-1])
    part = export_trace(run, form, window=Window(end // 4, end // 2, cpus=frozenset((1, 2))))
    assert whole.path.name.startswith("trace.")
    assert part.path == run / f"part.{FORMATS[form].suffix}"
    assert 0 < part.count < whole.count / 2


def test_a_part_shows_the_cpus_and_events_that_were_asked_for(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.json"
    export_trace(run, "chrome", path, Window.of(cpus=[1], classes=["locks"]))
    events = json.loads(path.read_text())["traceEvents"]
    groups = {event["args"]["name"] for event in events if event.get("name") == "process_name"}
    assert groups - {"violations"} == {"CPU 1"}
    names = {event["name"] for event in events if event["ph"] == "B"}
    assert any(name.startswith("holds ") for name in names)
    assert not any(name.startswith(("ISR", "DPC", "vector")) for name in names)


def test_csv_is_the_frame(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    done = export_trace(run, "csv", path)
    frame = load(run).frame()
    read = pl.read_csv(
        path,
        schema_overrides={"object": pl.String, "argument0": pl.UInt64, "argument1": pl.UInt64, "thread": pl.UInt64},
    )
    assert done.count == len(frame) == len(read)
    for column in ("time_ns", "cpu", "event", "argument1", "thread", "object", "site"):
        assert read[column].cast(pl.String).to_list() == frame[column].cast(pl.String).to_list(), column


def test_the_command(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.vcd"
    runner = CliRunner()
    done = runner.invoke(
        cli, ["trace", "export", str(run), "--to", "vcd", "-o", str(path), "--from", "1us", "--until", "40us"]
    )
    assert done.exit_code == 0
    assert f"{path}: " in done.output
    assert path.read_text().startswith("$timescale 1 ns")
    lines = runner.invoke(
        cli, ["trace", "export", str(run), "--to", "csv", "-o", "-", "--event", "IsrEnter", "--cpu", "0"]
    )
    assert lines.exit_code == 0
    rows = lines.output.splitlines()
    assert rows[0].startswith("time_ns,cpu,sequence,event")
    assert len(rows) - 1 == sum(row.event == "IsrEnter" and row.cpu == 0 for row in RUN.rows) > 0


def test_what_makes_no_sense_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format"):
        export_trace(run, "ctf")
    with pytest.raises(UsageError, match="standard output"):
        export_trace(run, "vcd", STDOUT)
    for form in FORMATS:
        with pytest.raises(UsageError, match="cannot be written"):
            export_trace(run, form, tmp_path / "no" / "such" / "folder.x")
    with pytest.raises(UsageError, match="no trace"):
        export_trace(tmp_path, "csv", tmp_path / "x.csv")
