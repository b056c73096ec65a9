# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from dirql.target.cases import Case
from dirql.target.needs import parse_needs
from dirql.target.suite import plan
from dirql.target.table import TargetConfig, expand


def case(needs: str = "", name: str = "some_case") -> Case:
    return Case(Path("some.sys"), ("SPIN-3",), name, parse_needs(needs), 0x1000, "some.c", 7)


def ids(needs: str, **table: object) -> list[str]:
    return [config.id for config in expand(case(needs), **table)]  # type: ignore[arg-type]


def test_a_case_runs_on_the_whole_table() -> None:
    assert len(ids("")) == 4 * 2 * 2
    assert ids("", cpus=(4,), modes=("mt",)) == ["cpus4-mt", "cpus4-mt-verifier-off"]
    assert case().id == "SPIN-3-some-case"


@pytest.mark.parametrize(
    ("needs", "found"),
    [
        ("smp=4", ["cpus4-mt", "cpus4-icount", "cpus8-mt", "cpus8-icount"]),
        ("cpus=1,3", ["cpus1-mt", "cpus1-icount"]),
        ("smp=2 mode=icount", ["cpus2-icount", "cpus4-icount", "cpus8-icount"]),
        ("smp=9", []),
    ],
)
def test_needs_choose_from_the_table(needs: str, found: list[str]) -> None:
    assert sorted(ids(needs, verifier=(True,))) == sorted(found)


def test_alternate_machines_leave_no_count_and_no_mode_without_the_verifier_off() -> None:
    off = [name for name in ids("", alternate=True) if name.endswith("verifier-off")]
    assert sorted(off) == [
        "cpus1-mt-verifier-off",
        "cpus2-icount-verifier-off",
        "cpus4-mt-verifier-off",
        "cpus8-icount-verifier-off",
    ]
    assert len(ids("", alternate=True)) == 4 * 2 + 4
    assert ids("verifier=off", alternate=True) == ids("verifier=off")


def test_only_what_is_not_as_usual_is_named() -> None:
    one = {"cpus": (2,), "modes": ("mt",)}
    assert ids("verifier=off", **one) == ["cpus2-mt-verifier-off"]
    assert ids("verifier=on", **one) == ["cpus2-mt"]
    assert ids("verifier=on", **one, verifier=(False,)) == []
    assert ids("verifier=on placement=routine,first-available,current", **one) == [
        "cpus2-mt",
        "cpus2-mt-first-available",
        "cpus2-mt-current",
    ]
    assert ids("verifier=off routing=asymmetric placement=current", **one) == [
        "cpus2-mt-verifier-off-current-asymmetric"
    ]


def test_each_machine_comes_once_in_the_plan_and_the_usual_one_first() -> None:
    cases = [case("", "one"), case("placement=current", "two"), case("device=edu", "three"), case("smp=2", "four")]
    rows = plan(cases)
    changes = [config for at, (_, config) in enumerate(rows) if at == 0 or rows[at - 1][1] != config]
    assert len(changes) == len(set(changes))
    assert rows[0][1] == TargetConfig(cpus=1, mode="mt")
    modes = [config.mode for _, config in rows]
    assert modes == sorted(modes, reverse=True)


def test_a_machine_is_booted_as_it_is_named() -> None:
    config = TargetConfig(2, "icount", False, "current", "asymmetric", devices=("edu",)).machine_config()
    assert (config.cpus, config.mode, config.verifier, config.on_bugcheck) == (2, "icount", False, "pause")
    assert (config.dpc_placement, config.interrupt_routing) == ("current", "asymmetric")
    assert config.extra == ("-device", "edu")
