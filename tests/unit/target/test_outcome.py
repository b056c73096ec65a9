# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dirql.target.needs import parse_needs
from dirql.target.outcome import Assertion, weigh
from dirql.trace.oracle.verdict import Clause, ClauseVerdict, Status, Verdict, Violation


def verdict(**status: Status) -> Verdict:
    found = []
    for name, value in status.items():
        clause = Clause(name.replace("_", "-"), f"the rule {name}", "some-page")
        broken = Violation(clause.id, clause.title, clause.page, "it happened", (1, 2), (0, 1), (0x1234,))
        count = 5 if value is Status.VIOLATED else 0
        reason = "no evidence in this trace" if value is Status.UNKNOWN else ""
        found.append(ClauseVerdict(clause, value, reason, 7, count, (broken,) * count))
    return Verdict(tuple(found))


def weighed(needs: str, complete: bool = True, **status: Status) -> str:
    return weigh(parse_needs(needs), verdict(**status), lambda at: f"my.sys+{at:#x}", complete=complete)


def test_a_violation_that_nobody_asked_for_is_told_in_full() -> None:
    assert weighed("", SPIN_1=Status.OK, DPC_1=Status.UNKNOWN) == ""
    said = weighed("", SPIN_1=Status.VIOLATED)
    assert said.splitlines()[:3] == [
        "SPIN-1 violated: the rule SPIN_1 (some-page)",
        "  it happened",
        "    at my.sys+0x1234",
    ]
    assert said.endswith("and 2 more")


def test_what_the_case_wants_must_have_been_seen() -> None:
    assert weighed("oracle=SPIN-1", SPIN_1=Status.OK) == ""
    missing = "SPIN-1: the case wants it ok, the oracle says unknown: no evidence in this trace"
    assert weighed("oracle=SPIN-1", SPIN_1=Status.UNKNOWN) == missing
    assert weighed("oracle=SPIN-1", SPIN_1=Status.VIOLATED).count("SPIN-1") == 1
    assert weighed("oracle=NONE-1", SPIN_1=Status.OK) == "NONE-1: the oracle knows no such clause"


def test_what_the_case_breaks_must_have_been_noticed() -> None:
    assert weighed("violates=SPIN-1", SPIN_1=Status.VIOLATED) == ""
    assert "wants it violated, the oracle says ok" in weighed("violates=SPIN-1", SPIN_1=Status.OK)
    both = weighed("violates=SPIN-1", SPIN_1=Status.VIOLATED, DPC_1=Status.VIOLATED)
    assert both.startswith("DPC-1 violated")


def test_a_case_that_did_not_come_to_its_end_is_not_asked_for_evidence() -> None:
    assert weighed("oracle=SPIN-1 violates=DPC-1", complete=False, SPIN_1=Status.UNKNOWN, DPC_1=Status.OK) == ""
    assert weighed("oracle=SPIN-1", complete=False, SPIN_1=Status.VIOLATED).startswith("SPIN-1 violated")


def test_an_assertion_shows_both_operands_in_both_bases() -> None:
    assertion = Assertion("my.c", 12, "Total == 40", "Total", "40", 39, 40)
    assert str(assertion) == "my.c:12: Total == 40\n  Total = 0x27 (39)\n  40    = 0x28 (40)"
    assert str(Assertion("my.c", 12, "FALSE", "", "", 0, 0)) == "my.c:12: FALSE"
