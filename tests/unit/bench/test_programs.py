# SPDX-License-Identifier: Apache-2.0
"""`python -m bench` and its parts, without a machine."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path

import pytest
from bench import __main__ as program
from bench.bare_qemu import EXIT_PORT, ROM_BYTES, exit_rom
from bench.figures import Figure, Row
from bench.footprint_child import proportional_bytes
from bench.pingpong import PingPong
from bench.plan import QUICK, Plan, host
from click.testing import CliRunner


def one_row(plan: Plan) -> list[Row]:
    plan.step()
    return [Row("one", "title", "ms", Figure.of([1]), Figure.of([2]), "other", None, "mt", 4)]


def broken(plan: Plan) -> list[Row]:
    del plan
    raise OSError("no such thing")


def with_benchmarks(monkeypatch: pytest.MonkeyPatch, **functions: str) -> None:
    found = {name: (f"{__name__}:{function}", lambda _: 1) for name, function in functions.items()}
    monkeypatch.setattr(program, "BENCHMARKS", found)
    monkeypatch.setattr("dirql.qemu.process.qemu_version", lambda: (7, 2, 0))


def run(*arguments: str) -> tuple[object, str]:
    result = CliRunner().invoke(program.bench, arguments, standalone_mode=False, catch_exceptions=False)
    return result.return_value, result.output


def test_every_benchmark_exists() -> None:
    for where, rounds in program.BENCHMARKS.values():
        module, _, function = where.partition(":")
        assert callable(getattr(import_module(module), function))
        assert rounds(QUICK) >= 1


def test_results_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_benchmarks(monkeypatch, good="one_row")
    status, output = run("--out", str(tmp_path / "new"), "--json")
    assert status == 0
    stored = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert stored == json.loads(output)
    assert [row["name"] for row in stored["rows"]] == ["one"]
    assert "one: title" in (tmp_path / "new" / "bench.txt").read_text()


def test_a_failure_is_told_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_benchmarks(monkeypatch, bad="broken", good="one_row")
    status, output = run("--out", str(tmp_path))
    assert status == program.EXIT_FAILED
    assert "bad failed to run: OSError: no such thing" in output
    assert "one: title" in output


def test_exit_rom_is_code_at_the_reset_vector() -> None:
    rom = exit_rom()
    assert len(rom) == ROM_BYTES
    assert rom[-16:-10] == b"\xba" + EXIT_PORT.to_bytes(2, "little") + b"\xb0\x00\xee"


def test_proportional_bytes_of_this_process() -> None:
    assert 1_000_000 < proportional_bytes() <= proportional_bytes(os.getpid()) + 100_000_000


def test_host_without_a_model_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags : x\n")
    assert host(tmp_path / "cpuinfo")["processor"]


def test_pingpong_answers_and_ends() -> None:
    with PingPong() as pingpong:
        times = pingpong.exchange(10)
    assert len(times) == 10
    assert all(time > 0 for time in times)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="takes two host CPUs")
def test_pingpong_apart_gives_the_host_cpus_back() -> None:
    before = os.sched_getaffinity(0)
    with PingPong() as pingpong:
        assert len(pingpong.exchange_apart(10)) == 10
    assert os.sched_getaffinity(0) == before
