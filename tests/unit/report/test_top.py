# SPDX-License-Identifier: Apache-2.0
"""`dirql top`: its picture, its keys, one look without a screen."""

from __future__ import annotations

import io
import json
import os
import pty
import random
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from dirql.cli.main import cli
from dirql.errors import UsageError
from dirql.report.sample import Said, Sample, look, sample_once
from dirql.report.top import show_top, wait_for_trace
from dirql.report.topview import ORDERS, View, picture
from dirql.trace.folder import write_meta, write_records
from dirql.trace.history.history import History
from dirql.trace.live.follow import Follower, Judged
from dirql.trace.oracle import judge
from dirql.trace.stats.summary import statistics
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.synth import Run, make_meta, simulate, to_arrays

GOOD = simulate(5, 3, 3000)
FAULTY = MUTANTS["isr_on_two_cpus"].apply(GOOD, random.Random(1))


def keep(folder: Path, run: Run) -> Path:
    write_records(folder, to_arrays(run.rows, run.cpus))
    write_meta(folder, make_meta(run.cpus, accounting=run.accounting))
    return folder


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keep(tmp_path_factory.mktemp("faulty"), FAULTY)


@pytest.fixture(scope="module")
def sample(faulty: Path) -> Sample:
    return sample_once(faulty)


def drawn(sample: Sample, view: View, width: int = 150) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=view.height)
    with console.capture() as captured:
        console.print(picture(sample, view))
    return captured.get().splitlines()


def test_a_sample_is_what_the_statistics_say(faulty: Path, sample: Sample) -> None:
    stats = statistics(History(FAULTY.trace()))
    assert (sample.state, sample.mode, sample.records, sample.lost) == ("ended", "icount", stats.records, 0)
    seconds = sample.span / 1e9
    assert seconds == pytest.approx(stats.duration / 1e9)
    for now, cpu in zip(sample.cpus, stats.cpus, strict=True):
        assert now.interrupts == pytest.approx(sum(cpu.interrupts.values()) / seconds)
        assert now.records == pytest.approx(cpu.records / seconds)
        assert now.raised == pytest.approx(sum(cpu.irql_share[2:]))
        assert sum(now.shares.values()) == pytest.approx(1.0)
    assert sample.locks[0].taken == pytest.approx(stats.locks[0].acquisitions / seconds)
    assert sample.verdict == "violated"
    assert "INT-1" in {each.clause for each in sample.violations}
    assert json.loads(json.dumps(sample.to_json()))["run"] == str(faulty)


def test_a_recording_whose_process_is_gone_says_so(tmp_path: Path) -> None:
    folder = keep(tmp_path, GOOD)
    write_meta(folder, make_meta(3, cut=True))
    begins = "import sys; from pathlib import Path; from dirql.trace.live.livefile import LiveFile; "
    begins += "LiveFile(Path(sys.argv[1]), 3)"
    subprocess.run([sys.executable, "-c", begins, str(folder)], check=True)
    assert sample_once(folder).state == "gone"


def test_the_picture_says_it_all(sample: Sample) -> None:
    text = "\n".join(drawn(sample, View()))
    assert all(word in text for word in ("ended", "icount", "virtual time", "hottest locks", "DPCs and interrupts"))
    assert "so far: violated" in text
    assert f"{sample.violations[0].clause} " in text
    assert "q quits" in text


@pytest.mark.parametrize("height", [18, 24, 50])
def test_the_picture_fits_the_screen(sample: Sample, height: int) -> None:
    lines = drawn(sample, View(height=height), width=100)
    assert len(lines) <= height
    assert any(line.startswith("so far: ") for line in lines)


def test_cpus_are_sorted(sample: Sample) -> None:
    busy = [replace(cpu, interrupts=float(cpu.cpu), dpcs=0.0) for cpu in sample.cpus]
    sample = replace(sample, cpus=tuple(busy))
    firsts = [
        [int(line.split()[0]) for line in drawn(sample, View(order=order)) if line[:6].strip().isdecimal()]
        for order in (ORDERS.index("number"), ORDERS.index("interrupts"))
    ]
    assert [first[:3] for first in firsts] == [[0, 1, 2], [2, 1, 0]]


def test_what_is_not_known_is_not_shown_as_zero(sample: Sample) -> None:
    unknown = replace(sample, lost=-1, cpus=tuple(replace(cpu, lost=-1) for cpu in sample.cpus))
    assert "lost: not known" in drawn(unknown, View())[0]
    assert "4 lost" in drawn(replace(sample, lost=4), View())[0]


def test_what_was_found_stays_found(faulty: Path) -> None:
    trace = FAULTY.trace()
    verdict = judge(trace)
    first = Said().and_then(Judged(verdict, trace, True, 1.0))
    assert first.violations
    clean = GOOD.trace()
    later = first.and_then(Judged(judge(clean), clean, False, 2.0))
    assert later.violations == first.violations
    assert later.verdict == "violated"
    assert first.and_then(Judged(judge(clean), clean, True, 2.0)).violations == ()
    assert look(Follower(faulty), later).found == len(first.violations)


def test_keys(faulty: Path) -> None:
    """The terminal is as before when it is left."""
    master, slave = pty.openpty()
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=40)
    with os.fdopen(slave, "r", encoding="utf-8") as keys:
        before = termios.tcgetattr(keys.fileno())
        os.write(master, b"spq")
        show_top(Follower(faulty), period=60.0, console=console, keys=keys)
        assert termios.tcgetattr(keys.fileno()) == before
    os.close(master)
    screen = out.getvalue()
    assert screen.startswith("\x1b[?1049h")
    assert screen.index("s sorts by interrupts") < screen.index("s sorts by DPCs") < screen.index("p goes on")
    assert "\x1b[?1049l" in screen[-40:]


def test_the_end_of_the_keys_is_the_end(faulty: Path) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as keys:
        show_top(Follower(faulty), period=60.0, console=Console(file=io.StringIO(), force_terminal=True), keys=keys)


def test_a_recording_that_never_begins(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no trace"):
        wait_for_trace(tmp_path, 0.0)
    with pytest.raises(UsageError, match="holds no trace"):
        wait_for_trace(tmp_path, 1e6, lambda: True)


def test_a_folder_may_be_called_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path / "run", GOOD)
    monkeypatch.chdir(tmp_path)
    assert "so far: ok" in CliRunner().invoke(cli, ["top", "--once", "run"]).output


def test_command_without_a_terminal(faulty: Path) -> None:
    once = CliRunner().invoke(cli, ["top", "--once", str(faulty)])
    assert "so far: violated" in once.output
    assert "\x1b" not in once.output
    assert CliRunner().invoke(cli, ["top", str(faulty), "--once"]).output == once.output, "options may stand behind"
    assert "No such option" in CliRunner().invoke(cli, ["top", str(faulty), "--bogus"]).output
    data = json.loads(CliRunner().invoke(cli, ["top", "--json", str(faulty)]).output)
    assert (data["verdict"], len(data["cpus"])) == ("violated", 3)
    for arguments in ([str(faulty)], ["--once", "run", "interrupt-storm"], ["--once", str(faulty), "another"]):
        assert isinstance(CliRunner().invoke(cli, ["top", *arguments]).exception, UsageError)
