# SPDX-License-Identifier: Apache-2.0
"""QMP against a scripted peer, for what a real QEMU does only when the timing is right."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from dirql.errors import MachineLost, WaitTimeout
from dirql.qemu.qmp import Qmp
from dirql.qemu.waits import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dirql.qemu.qmp import QmpEvent

GREETING = {"QMP": {"version": {"qemu": {"major": 9, "minor": 1, "micro": 2}, "package": ""}, "capabilities": ["oob"]}}
STOP = {"event": "STOP", "timestamp": {"seconds": 7, "microseconds": 500_000}}


class Peer:
    """Says the greeting, then answers each command with its script: messages sent before the answer, and the answer."""

    def __init__(self, script: dict[str, tuple[list[Any], Any]]) -> None:
        self.watch = Watch()
        self.ours, self._theirs = socket.socketpair()
        self._script = script
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._theirs:
            self._send(GREETING)
            # The client waits for each answer before it sends the next command, so each comes in one piece.
            while data := self._theirs.recv(65536):
                command = json.loads(data)
                before, answer = self._script.get(command["execute"], ([], {}))
                for message in before:
                    self._send(message)
                if answer is None:
                    return
                self._send({"return": answer, "id": command["id"]})

    def _send(self, message: Any) -> None:  # noqa: ANN401 (whatever JSON can be)
        self._theirs.sendall(json.dumps(message).encode() + b"\r\n")

    def close(self) -> None:
        self.watch.close()
        self._thread.join()


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    peers: list[Peer] = []
    yield peers
    for peer in peers:
        peer.close()


def start(peers: list[Peer], status: str = "running", **script: tuple[list[Any], Any]) -> Peer:
    peers.append(Peer({"query-status": ([], {"status": status}), **script}))
    return peers[0]


def test_an_event_that_comes_before_the_answer_to_the_negotiation_is_an_event(peers: list[Peer]) -> None:
    peer = start(peers, qmp_capabilities=([STOP], {}))
    with Qmp(peer.ours, peer.watch) as qmp:
        assert qmp.version == (9, 1, 2)
        event = qmp.wait_event("STOP", 10)
        assert (event.name, event.seconds) == ("STOP", 7.5)


@pytest.mark.parametrize("status", ["shutdown", "guest-panicked"])
def test_events_that_were_missed_are_made_up_once(peers: list[Peer], status: str) -> None:
    peer = start(peers, status, qmp_capabilities=([STOP], {}))
    events: list[QmpEvent] = []
    with Qmp(peer.ours, peer.watch, on_event=events.append) as qmp:
        qmp.ready()
        name = {"shutdown": "SHUTDOWN", "guest-panicked": "GUEST_PANICKED"}[status]
        assert [event.name for event in events] == ["STOP", name]
        assert events[1].data["missed"]


def test_a_running_machine_missed_nothing(peers: list[Peer]) -> None:
    peer = start(peers)
    with Qmp(peer.ours, peer.watch) as qmp:
        qmp.ready()
        assert qmp.clear_events() == ()


def test_a_peer_that_hangs_up_in_the_middle_ends_the_command_with_the_watchs_reason(peers: list[Peer]) -> None:
    peer = start(peers, quit=([], None))
    with Qmp(peer.ours, peer.watch) as qmp:
        with pytest.raises(WaitTimeout, match=r"answer to quit; the session is over: EOFError"):
            qmp.execute("quit", timeout=0.05)
        threading.Timer(0.01, lambda: peer.watch.lose(lambda: MachineLost("gone"))).start()
        with pytest.raises(MachineLost, match="gone"):
            qmp.execute("query-status")


def test_the_log_has_a_line_for_each_command_answer_and_event(peers: list[Peer], tmp_path: Path) -> None:
    peer = start(peers, stop=([STOP], {}))
    path = tmp_path / "qmp.log"
    with Qmp(peer.ours, peer.watch, log_path=path) as qmp:
        qmp.execute("stop")
    kinds = [next(key for key in json.loads(line) if key != "time") for line in path.read_text().splitlines()]
    assert kinds == ["greeting", "command", "event", "return"]


def test_a_greeting_that_is_none_is_reported() -> None:
    watch = Watch()
    ours, theirs = socket.socketpair()
    theirs.sendall(b'{"hello": "world"}\r\n')
    text = "greeting on QMP; the session is over: ConnectError"
    with Qmp(ours, watch) as qmp, pytest.raises(WaitTimeout, match=text):
        qmp.ready(2)
    theirs.close()
    watch.close()
