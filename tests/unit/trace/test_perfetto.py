# SPDX-License-Identifier: Apache-2.0
"""The exported file, read back by the schema: slices nest, arrows meet, counters follow the IRQL."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dirql.trace.decode import Trace
from dirql.trace.export.perfetto import write_perfetto
from dirql.trace.history.history import History
from dirql.trace.oracle import judge
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.synth import Row, build, simulate


class Exported:
    """A file, resolved: tracks by name, events with their names."""

    def __init__(self, path: Path) -> None:
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace as Proto
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent

        self.kinds = TrackEvent
        self.tracks: dict[int, Any] = {}
        self.names: dict[int, str] = {}
        self.events: list[tuple[int, Any]] = []
        for packet in Proto.FromString(path.read_bytes()).packet:
            if packet.HasField("track_descriptor"):
                self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
            for name in packet.interned_data.event_names:
                self.names[name.iid] = name.name
            if packet.HasField("track_event"):
                self.events.append((packet.timestamp, packet.track_event))

    def path(self, uuid: int) -> str:
        track = self.tracks[uuid]
        return f"{self.path(track.parent_uuid)}/{track.name}" if track.parent_uuid else str(track.name)

    def name(self, event: Any) -> str:  # noqa: ANN401  # a protobuf message
        return self.names[event.name_iid]


def export(tmp_path: Path, trace: Trace) -> Exported:
    path = tmp_path / "trace.pftrace"
    history = History(trace)
    count = write_perfetto(history, path, judge(trace, history=history))
    exported = Exported(path)
    assert len(exported.events) == count
    return exported


@pytest.mark.parametrize("seed", range(4))
def test_slices_nest_and_close(tmp_path: Path, seed: int) -> None:
    exported = export(tmp_path, simulate(seed, 1 + seed, 800).trace())
    stacks: dict[int, list[str]] = defaultdict(list)
    before = 0
    for time, event in exported.events:
        assert time >= before
        before = time
        assert event.track_uuid in exported.tracks
        if event.type == exported.kinds.TYPE_SLICE_BEGIN:
            stack = stacks[event.track_uuid]
            if exported.path(event.track_uuid).endswith("runs"):
                assert (exported.name(event) == "idle" or exported.name(event).startswith("thread ")) == (not stack)
            stack.append(exported.name(event))
        elif event.type == exported.kinds.TYPE_SLICE_END:
            stacks[event.track_uuid].pop()
    assert all(len(stack) <= 1 for stack in stacks.values())  # what each CPU and each thread did last goes on


def test_inner_slices_are_what_they_should_be(tmp_path: Path) -> None:
    run = simulate(0, 2, 2000)
    symbols = tuple((each.routine, 16, f"storm!Isr{number}") for number, each in enumerate(run.interrupts))
    exported = export(tmp_path, build(run.rows, 2, symbols=symbols))
    inside: set[tuple[str, str]] = set()
    stacks: dict[int, list[str]] = defaultdict(list)
    for _, event in exported.events:
        stack = stacks[event.track_uuid]
        if event.type == exported.kinds.TYPE_SLICE_BEGIN:
            name = exported.name(event).split()[0]
            if stack:
                inside.add((stack[-1], name))
            stack.append(name)
        elif event.type == exported.kinds.TYPE_SLICE_END:
            stack.pop()
    assert inside >= {("thread", "vector"), ("idle", "vector"), ("vector", "ISR"), ("vector", "DPC"), ("DPC", "vector")}
    assert ("ISR", "DPC") not in inside
    assert {"ISR storm!Isr0", "ISR storm!Isr1"} <= set(exported.names.values())


def test_arrows_lead_from_insertion_to_run(tmp_path: Path) -> None:
    run = simulate(1, 3, 1500)
    history = History(run.trace())
    exported = export(tmp_path, history.trace)
    leaves: dict[int, tuple[int, str]] = {}
    arrives: dict[int, tuple[int, str]] = {}
    for time, event in exported.events:
        for flow in event.flow_ids:
            assert flow not in leaves
            leaves[flow] = time, exported.name(event)
        for flow in event.terminating_flow_ids:
            assert flow not in arrives
            arrives[flow] = time, exported.name(event)
    assert leaves.keys() == arrives.keys()
    dpcs = {flow for flow, (_, name) in leaves.items() if name == "DpcInsert"}
    assert len(dpcs) == sum(row.event in ("DpcStart", "ThreadedDpcStart") for row in run.rows)
    assert all(("DPC " in name) == (flow in dpcs) for flow, (_, name) in arrives.items())
    waits = [wait for release in history.dispatcher.releases for wait in release.ended]
    irps = {flow for flow, (_, name) in leaves.items() if name.startswith("IRP_MJ_")}
    assert len(irps) == sum(row.event == "IrpComplete" for row in run.rows) > 0
    assert all((name == "IrpComplete") == (flow in irps) for flow, (_, name) in arrives.items())
    locks = {flow for flow, (_, name) in leaves.items() if name.startswith("holds ")}
    assert all(name.startswith("holds ") == (flow in locks) for flow, (_, name) in arrives.items())
    signals = leaves.keys() - dpcs - irps - locks
    assert len(signals) == sum(wait.satisfied and wait.run >= 0 for wait in waits) > 0
    for flow in signals:
        assert leaves[flow][0] <= arrives[flow][0]
        assert (leaves[flow][1].split()[0], arrives[flow][1].split()[0]) == ("signal", "CPU")


def test_a_chain_leads_from_an_isr_by_its_dpc_and_an_event_to_a_thread(tmp_path: Path) -> None:
    """What stands inside what, and which arrow leads from where to where."""
    idle, thread, event, interrupt, dpc = (0xFFFF_A000_0000_0000 + 0x100 * at for at in range(5))
    steps: list[tuple[int, str, int, int, int]] = [
        (1, "ThreadSwitch", 2, thread, 0),
        (1, "WaitBegin", 2, event, 1),
        (1, "ThreadSwitch", 2, idle, 4 | 8 << 8),
        (0, "InterruptEnter", 5, 0x51, 0x1234),
        (0, "IsrEnter", 5, interrupt, 0x5000),
        (0, "DpcInsert", 5, dpc, 1 | 0xFF << 8),
        (0, "IsrExit", 5, interrupt, 1),
        (0, "InterruptExit", 0, 0x51, 0x1234),
        (0, "InterruptEnter", 2, 0x2F, 0x1234),
        (0, "DpcStart", 2, dpc, 0x6000),
        (0, "Signal", 2, event, 1 | 1 << 32),
        (0, "ThreadReady", 2, thread, 1 | 8 << 8),
        (0, "DpcEnd", 2, dpc, 0x6000),
        (0, "InterruptExit", 0, 0x2F, 0x1234),
        (1, "ThreadSwitch", 2, thread, 1 | 8 << 16),
        (1, "WaitEnd", 0, event, 0),
        (1, "Mark", 0, 0, 0),
    ]
    rows = [Row(10 * at, cpu, name, irql, a0, a1) for at, (cpu, name, irql, a0, a1) in enumerate(steps)]
    exported = export(tmp_path, build(rows, 2))
    stacks: dict[int, list[tuple[int, str]]] = defaultdict(list)  # number and name of the open slices of each track
    inside: dict[int, tuple[int, str]] = {}  # arrow that leaves a point: the slice around it
    target: dict[int, tuple[int, str]] = {}  # arrow: the slice that it leads to
    for number, (_, item) in enumerate(exported.events):
        stack = stacks[item.track_uuid]
        if item.type == exported.kinds.TYPE_SLICE_BEGIN:
            stack.append((number, exported.name(item)))
            target.update(dict.fromkeys(item.terminating_flow_ids, stack[-1]))
        elif item.type == exported.kinds.TYPE_SLICE_END:
            stack.pop()
        elif item.type == exported.kinds.TYPE_INSTANT and stack:
            inside.update(dict.fromkeys(item.flow_ids, stack[-1]))
    chains = [
        (inside[one][1], target[one][1], target[other][1])
        for one in inside
        for other in inside
        if one in target and other in target and inside[other] == target[one]
    ]
    assert chains == [("ISR 0x5000", "DPC 0x6000", "CPU 1")]  # the last is the thread's track, which says where it runs


def test_arrows_lead_from_the_owner_of_a_lock_to_the_one_that_waited(tmp_path: Path) -> None:
    run = simulate(4, 4, 2500)
    trace = run.trace()
    exported = export(tmp_path, trace)
    rows = [
        (trace.meta.events.name(int(trace.event[at])), int(trace.cpu[at]), int(trace.arg0[at]))
        for at in range(len(trace))
    ]
    waits: dict[tuple[int, int], int] = {}
    begun: dict[tuple[int, int], int] = {}
    released: dict[int, tuple[int, int]] = {}  # lock: the release, the acquisition before it
    expected: dict[int, tuple[int, int]] = {}
    for at, (event, cpu, lock) in enumerate(rows):
        if event in ("LockWait", "LockSharedWait"):
            waits[cpu, lock] = at
        elif event in ("LockAcquired", "LockSharedAcquired"):
            begun[cpu, lock] = at
            if (waited := waits.pop((cpu, lock), None)) is not None and released.get(lock, (-1, -1))[0] > waited:
                expected.setdefault(released[lock][0], (released[lock][1], at))
        elif event in ("LockReleased", "LockSharedReleased"):
            released[lock] = at, begun[cpu, lock]
    pairs = {tuple(int(trace.time[at]) for at in pair) for pair in expected.values()}
    sides: dict[int, dict[str, int]] = defaultdict(dict)
    for time, event in exported.events:
        if "/locks" in exported.path(event.track_uuid):
            sides.update({flow: {**sides[flow], "from": time} for flow in event.flow_ids})
            sides.update({flow: {**sides[flow], "to": time} for flow in event.terminating_flow_ids})
    assert len(sides) == len(expected) > 10
    assert {(side["from"], side["to"]) for side in sides.values()} == pairs


def test_a_lock_that_was_free_came_from_nobody(tmp_path: Path) -> None:
    lock = 0xFFFF_A000_0000_1000
    rows = [
        Row(10, 0, "LockAcquired", 2, lock),
        Row(20, 0, "LockReleased", 2, lock),
        Row(30, 1, "LockWait", 2, lock),
        Row(40, 1, "LockAcquired", 2, lock),
        Row(50, 1, "LockReleased", 2, lock),
    ]
    assert not [event for _, event in export(tmp_path, build(rows, 2)).events if event.flow_ids]


def test_waits_for_locks_are_slices_and_those_that_last_stay_open(tmp_path: Path) -> None:
    lock, other = 0xFFFF_A000_0000_1000, 0xFFFF_A000_0000_2000
    rows = [
        Row(10, 0, "LockAcquired", 2, lock),
        Row(20, 1, "LockWait", 2, lock),
        Row(30, 1, "LockAcquired", 2, other),
        Row(40, 0, "LockReleased", 2, lock),
        Row(50, 1, "LockAcquired", 2, lock),
        Row(60, 0, "LockWait", 2, other),
        Row(70, 1, "Mark", 2),
    ]
    exported = export(tmp_path, build(rows, 2))
    seen = [
        (time, exported.path(event.track_uuid), exported.name(event) if event.name_iid else "")
        for time, event in exported.events
        if "/locks" in exported.path(event.track_uuid)
    ]
    assert seen == [
        (0, "CPU 0/locks", f"holds {lock:#x}"),
        (10, "CPU 1/locks", f"waits for {lock:#x}"),
        (20, "CPU 1/locks 2", f"holds {other:#x}"),
        (30, "CPU 0/locks", ""),
        (40, "CPU 1/locks", ""),
        (40, "CPU 1/locks", f"holds {lock:#x}"),
        (50, "CPU 0/locks", f"waits for {other:#x}"),
    ]


def test_threads_have_tracks_of_their_own(tmp_path: Path) -> None:
    run = simulate(3, 2, 1500)
    begun = next(row for row in run.rows if row.event == "ThreadCreate")
    exported = export(tmp_path, build(run.rows, 2, symbols=((begun.a1, 16, "driver!Begin"),)))
    running: dict[int, list[tuple[int, int]]] = defaultdict(list)
    states: dict[int, str] = {}
    tracks = {uuid for uuid in exported.tracks if exported.path(uuid).startswith("threads/")}
    assert any(exported.path(uuid).startswith("threads/driver!Begin (") for uuid in tracks)
    for time, event in exported.events:
        if event.track_uuid not in tracks:
            continue
        if event.type == exported.kinds.TYPE_SLICE_END:
            before = states.pop(event.track_uuid)
            if before.startswith("CPU "):
                running[int(before[4:])][-1] = (running[int(before[4:])][-1][0], time)
            continue
        assert event.track_uuid not in states  # one state at a time
        states[event.track_uuid] = exported.name(event)
        if exported.name(event).startswith("CPU "):
            cpu = int(exported.name(event)[4:])
            assert not running[cpu] or running[cpu][-1][1] <= time  # one thread at a time
            running[cpu].append((time, 1 << 60))
    assert set(running) == {0, 1}
    assert {name.split()[0] for name in exported.names.values()} >= {"waits", "ready", "parked", "CPU", "signal"}


def test_counter_follows_the_irql(tmp_path: Path) -> None:
    trace = simulate(2, 2, 500).trace()
    exported = export(tmp_path, trace)
    level = History(trace).irql_after
    for cpu in range(2):
        mine = trace.on_cpu(cpu)
        times, values = [], []
        for time, event in exported.events:
            if exported.path(event.track_uuid) == f"CPU {cpu}/IRQL":
                times.append(time)
                values.append(event.counter_value)
        at = np.searchsorted(times, trace.ns(trace.time[mine]), side="right") - 1
        assert np.array(values)[at].tolist() == level[mine].tolist()


def test_violations_have_a_track(tmp_path: Path) -> None:
    run = MUTANTS["second_holder"].apply(simulate(0, 3, 800), random.Random(0))
    exported = export(tmp_path, run.trace())
    shown = [exported.name(e) for _, e in exported.events if exported.path(e.track_uuid) == "violations"]
    assert sum(name.startswith("SPIN-1: CPU") for name in shown) == 1


def test_empty_trace_makes_an_empty_file(tmp_path: Path) -> None:
    exported = export(tmp_path, build([], 2))
    assert exported.events == []
    assert {exported.path(uuid) for uuid in exported.tracks} >= {"CPU 0", "CPU 1/runs"}


def test_threaded_dpcs_calls_of_all_cpus_and_readers_are_shown(tmp_path: Path) -> None:
    run = simulate(0, 3, 3000)
    exported = export(tmp_path, run.trace())
    shown: dict[str, int] = defaultdict(int)
    for _, event in exported.events:
        if event.type == exported.kinds.TYPE_SLICE_BEGIN:
            name, place = exported.name(event), exported.path(event.track_uuid)
            shown["threaded"] += name.startswith("threaded DPC ") and place.endswith("/runs")
            shown["calls"] += name.startswith("called on all CPUs: ") and place.endswith("/runs")
            shown["readers"] += name.endswith("(reader)") and "/locks" in place
        shown["active"] += bool(event.name_iid) and exported.name(event) == "InterruptActive"
    events = [row.event for row in run.rows]
    assert shown == {
        "threaded": events.count("ThreadedDpcStart"),
        "calls": events.count("IpiCallEnter"),
        "readers": events.count("LockSharedReleased"),
        "active": events.count("InterruptActive"),
    }
