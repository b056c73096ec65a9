# SPDX-License-Identifier: Apache-2.0
"""The experiments on real machines, small: what they promise of their results holds, and they leave what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.system.run.test_program import dirql

from dirql.config import MachineConfig
from dirql.errors import UsageError
from dirql.experiments.deferral import KINDS, DeferralParameters, run_deferral
from dirql.experiments.dpc_placement import DpcPlacementParameters, run_dpc_placement
from dirql.experiments.irql_latency import DIRQL, IrqlLatencyParameters, run_irql_latency
from dirql.experiments.lock_scaling import LockScalingParameters, run_lock_scaling
from dirql.experiments.routing import run_routing
from dirql.experiments.runfolder import RunFolder
from dirql.experiments.scheduler import PREEMPTIONS, SchedulerParameters, contenders, run_scheduler
from dirql.experiments.storm import StormParameters
from dirql.experiments.timer_accuracy import TimerAccuracyParameters, run_timer_accuracy
from dirql.qemu.command import Mode

MODES: tuple[Mode, ...] = ("mt", "icount")


@pytest.mark.parametrize("mode", MODES)
def test_a_queued_lock_bypasses_nobody_and_a_plain_one_does(mode: Mode, tmp_path: Path) -> None:
    parameters = LockScalingParameters(cpus=(1, 3), acquisitions=1500)
    result = run_lock_scaling(MachineConfig(mode=mode), parameters, RunFolder("locks", tmp_path / "run"))
    points = {(point.lock, point.cpus): point for point in result.points}
    assert len(points) == 8
    for (lock, cpus), point in points.items():
        assert len(point.acquisitions) == cpus
        assert 0 < point.total <= 1500
        assert 1 / cpus <= point.fairness <= 1
        if lock in ("queued", "ticket"):
            assert point.bypasses == 0
        if cpus == 1:
            assert point.total == point.acquisitions[0]
            assert sum(point.spins) == point.bypasses == point.contended == 0
    if mode == "icount":  # virtual time: three CPUs do contend, and what they do costs instructions
        assert all(point.total == 1500 for point in points.values())
        assert points["ttas", 3].bypasses > 0
        assert points["executive", 3].bypasses > 0
        assert all(sum(point.spins) > 0 for (_, cpus), point in points.items() if cpus == 3)
        assert all((point.instructions or 0) > 0 for point in points.values())
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == json.loads(json.dumps(result.to_json()))


def test_lock_scaling_is_the_same_in_every_run_of_virtual_time(tmp_path: Path) -> None:
    parameters = LockScalingParameters(cpus=(2,), locks=("executive", "ttas"), acquisitions=500, seed=7)
    config = MachineConfig(mode="icount")
    one, other = (run_lock_scaling(config, parameters, RunFolder("locks", tmp_path / name)) for name in ("1", "2"))
    assert one.points == other.points


@pytest.mark.parametrize("mode", MODES)
def test_dpcs_run_where_the_policy_says(mode: Mode, tmp_path: Path) -> None:
    parameters = DpcPlacementParameters(rounds=8)
    result = run_dpc_placement(MachineConfig(cpus=3, mode=mode), parameters, RunFolder("dpcs", tmp_path / "run"))
    rows = {(row.placement, row.kind): row for row in result.rows}
    assert set(result.verdicts.values()) == {"ok"} or result.passed
    for row in rows.values():
        assert row.runs == sum(row.per_cpu) == row.latency.count == 8 * 3
    for key in (("current", "IoRequestDpc"), ("current", "KeInsertQueueDpc"), ("routine", "KeInsertQueueDpc")):
        assert rows[key].same == rows[key].runs
        assert rows[key].per_cpu == (8, 8, 8)
    if mode == "icount":  # whose CPU is first available is no matter of the host's
        assert rows["first-available", "KeInsertQueueDpc"].same < rows["first-available", "KeInsertQueueDpc"].runs
        assert rows["routine", "IoRequestDpc"].same < rows["routine", "IoRequestDpc"].runs


@pytest.mark.parametrize("mode", MODES)
def test_an_interrupt_waits_only_where_it_is_masked(mode: Mode, tmp_path: Path) -> None:
    parameters = IrqlLatencyParameters(count=10)
    result = run_irql_latency(MachineConfig(cpus=2, mode=mode), parameters, RunFolder("irql", tmp_path / "run"))
    assert result.passed
    for row in result.rows:
        assert row.latency.count == sum(row.interrupted.values()) == 10
        assert all(irql < DIRQL for irql in row.interrupted)
        assert row.masked == (row.state.irql >= DIRQL)
    masked = [row.latency.median for row in result.rows if row.masked]
    others = [row.latency.maximum for row in result.rows if not row.masked]
    if mode == "icount":
        assert min(masked) > max(others)


def test_irql_latency_needs_two_cpus(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 2 CPUs"):
        run_irql_latency(MachineConfig(cpus=1), IrqlLatencyParameters(), RunFolder("irql", tmp_path / "run"))


def test_asymmetric_routing_gives_cpu_0_everything(tmp_path: Path) -> None:
    config = MachineConfig(cpus=2, mode="icount")
    result = run_routing(config, StormParameters(count=60), RunFolder("routing", tmp_path / "run"))
    assert result.passed
    runs = {routing: [cpu.isr.count for cpu in storm.stats.cpus] for routing, storm in result.storms.items()}
    assert runs["asymmetric"] == [60, 0]
    assert sum(runs["symmetric"]) == 60
    assert min(runs["symmetric"]) > 0


@pytest.mark.parametrize("mode", MODES)
def test_timers_are_as_exact_as_the_clock_tick(mode: Mode, tmp_path: Path) -> None:
    parameters = TimerAccuracyParameters(ticks=(1000, 5000), count=40)
    result = run_timer_accuracy(MachineConfig(cpus=2, mode=mode), parameters, RunFolder("timers", tmp_path / "run"))
    assert result.passed
    rows = {(row.tick, row.kind): row for row in result.rows}
    assert set(rows) == {(tick, kind) for tick in (1000, 5000) for kind in ("relative", "absolute", "periodic")}
    for (tick, kind), row in rows.items():
        assert row.error.count == 40
        if kind == "absolute":
            assert row.error.minimum >= 0
        if mode == "icount":  # both sides of the rule are used, and none is overstepped
            assert row.error.maximum <= tick * 1000 + 100_000
            assert row.error.maximum > 0 or kind == "periodic"
            assert row.error.minimum >= -tick * 1000
            assert row.error.minimum < 0 or kind != "relative"


def test_timer_accuracy_refuses_what_it_cannot_keep(tmp_path: Path) -> None:
    for wrong in ({"ticks": ()}, {"ticks": (50,)}, {"count": 0}, {"count": 5000}, {"longest": 0}):
        with pytest.raises(UsageError):
            TimerAccuracyParameters(**wrong)
    done = dirql("run", "timer-accuracy", "--ticks", "1ms", cwd=tmp_path)
    assert done.returncode == 2
    assert "in µs" in done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_threads_run_where_they_may_and_the_higher_priority_first(mode: Mode, tmp_path: Path) -> None:
    parameters = SchedulerParameters(milliseconds=40, rounds=10)
    result = run_scheduler(MachineConfig(cpus=2, mode=mode), parameters, RunFolder("threads", tmp_path / "run"))
    assert result.passed
    assert [row.contender for row in result.rows] == list(contenders(2))
    for row in result.rows:
        for cpu, part in enumerate(row.share):
            assert 0 <= part <= 1
            assert part == 0 or row.contender.cpus >> cpu & 1
    for cpu in range(2):
        assert sum(row.share[cpu] for row in result.rows) <= 1 + 1e-9
    assert set(result.preemption) == set(PREEMPTIONS)
    assert all(times.count == 10 for times in result.preemption.values())
    if mode == "icount":  # the CPUs are never short of threads of priority 8, so that of 6 gets nothing
        assert result.by_priority[6] == (0.0, 0.0)
        assert all(result.by_priority[priority] > (0.0, 0.0) for priority in (8, 10, 12))
        assert sum(map(sum, result.by_priority.values())) > 1.98
        same, busy = (result.preemption[kind].median for kind in PREEMPTIONS[:2])
        assert 0 < same < busy


def test_one_cpu_has_one_kind_of_preemption(tmp_path: Path) -> None:
    parameters = SchedulerParameters(milliseconds=10, rounds=3)
    result = run_scheduler(MachineConfig(cpus=1, mode="icount"), parameters, RunFolder("threads", tmp_path / "run"))
    assert result.passed
    assert list(result.preemption) == [PREEMPTIONS[0]]


@pytest.mark.parametrize("mode", MODES)
def test_deferring_costs_something_by_every_kind(mode: Mode, tmp_path: Path) -> None:
    result = run_deferral(
        MachineConfig(cpus=2, mode=mode), DeferralParameters(rounds=20), RunFolder("defer", tmp_path / "run")
    )
    rows = {row.kind: row for row in result.rows}
    assert list(rows) == list(KINDS)
    assert all(row.begins.count == row.returns.count == 19 and row.begins.minimum > 0 for row in rows.values())
    if mode == "icount":
        medians = {kind: row.begins.median for kind, row in rows.items()}
        assert medians["DPC"] < medians["thread that waits for an event"] < medians["threaded DPC"]
        for kind in ("DPC", "threaded DPC", "thread that waits for an event"):  # it has run when the call returns
            assert rows[kind].returns.median > rows[kind].begins.median
    alone = run_deferral(
        MachineConfig(cpus=1, mode="icount"), DeferralParameters(rounds=2), RunFolder("defer", tmp_path / "alone")
    )
    assert len(alone.rows) == len(KINDS) - 2


SMALL = {
    "lock-scaling": ["--cpus", "1,2", "--acquisitions", "200", "--mode", "icount"],
    "dpc-placement": ["--cpus", "2", "--rounds", "3", "--mode", "icount"],
    "irql-latency": ["--cpus", "2", "--count", "3", "--mode", "icount"],
    "symmetric-vs-asymmetric": ["--cpus", "2", "--count", "20", "--mode", "icount"],
    "scheduler": ["--cpus", "2", "--milliseconds", "20", "--rounds", "3", "--mode", "icount"],
    "dpc-vs-workitem": ["--cpus", "2", "--rounds", "3", "--mode", "icount"],
    "figure-16": ["--rounds", "1"],
    "isr-count": ["--cpus", "1,2", "--rounds", "3", "--mode", "icount"],
    "up-vs-smp": ["--cpus", "1,2", "--requests", "40", "--mode", "icount"],
    "timer-accuracy": ["--cpus", "1", "--count", "5", "--ticks", "1000", "--mode", "icount"],
}


@pytest.mark.parametrize("name", SMALL)
def test_table_picture_and_json(name: str, tmp_path: Path) -> None:
    done = dirql("run", name, *SMALL[name], "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "run folder: run" in done.stdout
    assert (tmp_path / "run" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "run" / f"{name}.svg").read_bytes()
    result = dirql("run", name, *SMALL[name], "--json", "--no-export", cwd=tmp_path)
    data = json.loads(result.stdout)
    assert data["experiment"] == name
    folder = tmp_path / data["run_folder"]
    assert json.loads((folder / "result.json").read_text()) == data
    assert not list(folder.glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["lock-scaling", "--lock", "mutex"], "executive, queued, ticket, ttas"),
        (["lock-scaling", "--cpus", "0..3"], "1 to 64 CPUs"),
        (["dpc-placement", "--placement", "anywhere"], "routine, first-available, current"),
        (["dpc-placement", "--rounds", "0"], "1 to 100000 rounds"),
        (["irql-latency", "--cpus", "1"], "at least 2 CPUs"),
        (["symmetric-vs-asymmetric", "--count", "0"], "at least one interrupt"),
        (["scheduler", "--milliseconds", "0"], "1 to 10000 ms"),
        (["scheduler", "--rounds", "0"], "1 to 10000 rounds"),
        (["dpc-vs-workitem", "--rounds", "1"], "2 to 4096 rounds"),
        (["figure-16", "--cpus", "2"], "at least 3 CPUs"),
        (["figure-16", "--rounds", "0"], "1 to 1000 times"),
        (["isr-count", "--channels", "17"], "1 to 16 channels"),
        (["isr-count", "--at-once", "9"], "1 to 8 channels are done at once"),
        (["up-vs-smp", "--mode", "kvm"], "icount, mt"),
        (["up-vs-smp", "--clients", "17"], "1 to 16 clients"),
    ],
)
def test_bad_input_is_refused_with_status_2(arguments: list[str], text: str, tmp_path: Path) -> None:
    done = dirql("run", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert text in done.stderr


@pytest.mark.parametrize("name", SMALL)
def test_dry_run_starts_nothing(name: str, tmp_path: Path) -> None:
    done = dirql("run", name, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("qemu-system-x86_64")
    assert not list(tmp_path.iterdir())
