# SPDX-License-Identifier: Apache-2.0
"""How a run was made and how it ended, from the files of its folder."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_CONSOLE = 4000
"""Characters of the console's end that are shown."""
_PLACE = re.compile(r"(\S+!\S+) \(([^()\n]+):(\d+)\)")
_PLACES = 6
_KERNEL = "dirql-guest"
_MODES = {
    "mt": "mt: a thread of QEMU's for each CPU, real time",
    "icount": "icount: one CPU at a time by turns, virtual time, the same run for the same seed",
    "kvm": "kvm: the host's own CPUs, real time",
}


@dataclass(frozen=True)
class Failure:
    """How a run failed.

    Attributes:
        error: the kind of failure.
        text: all that is known of it.
        code: the bugcheck's code and first parameter, in words; empty if it was none.
        processor: the CPU that failed; None if nobody knows.
    """

    error: str
    text: str
    code: str = ""
    processor: int | None = None

    @property
    def line(self) -> str:
        """What happened, in a line."""
        return self.text.partition("\n")[0] or self.error

    @property
    def places(self) -> list[tuple[str, str, int]]:
        """Function, file and line of the code to look at, the first few.

        They are those that the verifier names, which stand before the CPUs' stacks; else those of the failing CPU's
        stack that are not the kernel's own.
        """
        before, _, stacks = self.text.partition("\n  cpu ")
        found = _PLACE.findall(before)
        if not found:
            own = [part for part in f"\n  cpu {stacks}".split("\n  cpu ") if part.startswith(f"{self.processor}:")]
            found = [place for place in _PLACE.findall("".join(own)) if not place[0].startswith(_KERNEL)]
        return [(name, file, int(number)) for name, file, number in dict.fromkeys(found)][:_PLACES]


@dataclass(frozen=True)
class RunFacts:
    """What a run's folder tells besides its trace.

    Attributes:
        name: what was run.
        started: when, in seconds since the epoch; None if unknown.
        failure: how it failed; None if it did not, or if nobody wrote it down.
        passed: what the run itself said; None if it said nothing.
        facts: terms and values, in order; a value is a text, or code in a dictionary under `code`.
        parameters: names and values.
        console: the end of the guest's console.
    """

    name: str
    started: float | None
    failure: Failure | None
    passed: bool | None
    facts: tuple[tuple[str, Any], ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    console: str = ""


@dataclass
class _Terms:
    rows: list[tuple[str, Any]] = field(default_factory=list)

    def add(self, term: str, value: object) -> None:
        if value not in (None, "", [], ()):
            self.rows.append((term, str(value)))

    def code(self, term: str, words: object) -> None:
        if isinstance(words, list) and words:
            self.rows.append((term, {"code": shlex.join(map(str, words))}))


def run_facts(run: Path) -> RunFacts:
    """Read what a run's folder tells besides its trace. No file needs to be there.

    Args:
        run: the run's folder.
    """
    told, result, failed = (_read(run / name) for name in ("run.json", "result.json", "failure.json"))
    parameters = told.get("parameters", {})
    terms = _Terms()
    terms.add("experiment", told.get("experiment"))
    terms.code("command line", told.get("command_line"))
    mode = parameters.get("mode") or result.get("mode")
    terms.add("mode", _MODES.get(str(mode), mode))
    terms.add("CPUs", parameters.get("cpus"))
    terms.add("seed", _seed(parameters, result))
    if "verifier" in parameters:
        terms.add("verifier", "on" if parameters["verifier"] else "off")
    terms.add("started", told.get("started"))
    if isinstance(result.get("seconds"), int | float):
        terms.add("took", f"{result['seconds']:,.3f} s of the guest's time")
    if "passed" in result:
        terms.add("result", "passed" if result["passed"] else "failed")
    for name in ("summary", "requests", "interrupts"):
        terms.add(name, _words(result.get(name)))
    terms.add("dirql", told.get("dirql"))
    terms.add("QEMU", told.get("qemu"))
    terms.add("Python", told.get("python"))
    host = told.get("host") or {}
    terms.add("host", ", ".join(str(each) for each in (host.get("system"), _cpus(host.get("cpus"))) if each))
    terms.code("command line of QEMU", told.get("qemu_command_line"))
    console = run / "console.log"
    text = console.read_text(encoding="utf-8", errors="replace") if console.is_file() else ""
    return RunFacts(
        name=_name(told, run),
        started=_epoch(told.get("started")),
        failure=_failure(failed),
        passed=result.get("passed"),
        facts=tuple(terms.rows),
        parameters=tuple((str(key), _words(value)) for key, value in parameters.items()),
        console=text[-_CONSOLE:].strip(),
    )


def _failure(failed: dict[str, Any]) -> Failure | None:
    if not failed.get("error"):
        return None
    code, parameters = failed.get("code"), failed.get("parameters") or []
    words = "" if code is None else "/".join(f"{number:#x}" for number in (code, *parameters[:1]))
    return Failure(str(failed["error"]), str(failed.get("text", "")), words, failed.get("processor"))


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one where there is none, or where its writer was killed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _name(told: dict[str, Any], run: Path) -> str:
    driver = told.get("parameters", {}).get("driver")
    name = str(told.get("experiment") or run.resolve().name)
    return f"{name} {driver}" if driver else name


def _seed(parameters: dict[str, Any], result: dict[str, Any]) -> object:
    load = parameters.get("load")
    found = [parameters.get("seed"), load.get("seed") if isinstance(load, dict) else None, result.get("seed")]
    return next((seed for seed in found if seed is not None), None)


def _cpus(count: object) -> str:
    return f"{count} CPUs" if count else ""


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_words(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(_words, value))
    if isinstance(value, bool) or not isinstance(value, int):
        return "" if value is None else str(value)
    return f"{value:,}"


def _epoch(started: object) -> float | None:
    try:
        return datetime.strptime(str(started), "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        return None
