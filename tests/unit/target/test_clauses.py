# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from dirql.target.cases import Case
from dirql.target.clauses import clause_list, clause_rows, sections
from dirql.target.needs import parse_needs
from dirql.target.outcome import CaseResult
from dirql.target.suite import built_images, cases_of
from dirql.target.table import TargetConfig
from dirql.trace.oracle.verdict import Clause, ClauseVerdict, Status, Verdict


def case(clauses: str, needs: str = "") -> Case:
    return Case(Path("some.sys"), tuple(clauses.split()), "some_case", parse_needs(needs), 0x1000, "some.c", 7)


def test_the_list_is_whole_and_in_order() -> None:
    names = [entry.id for entry in clause_list()]
    assert len(names) == len(set(names))
    spec = ("0b", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
    assert tuple(section for section in sections() if section in spec) == spec  # our own lie between
    assert sections()[-1] == "10"
    for prefix, count in {
        "SYS": 14, "IRQL": 10, "SPIN": 19, "QSL": 8, "RW": 5, "DPC": 19, "INT": 12, "SYN": 6, "IRP": 9, "TMR": 9
    }.items():  # fmt: skip
        mine = [name for name in names if name.startswith(f"{prefix}-")]
        assert sorted(mine) == sorted(f"{prefix}-{number}" for number in range(1, count + 1))
    assert all(entry.title and entry.page for entry in clause_list())


def test_rows_that_wait_for_later_are_shown_when_asked_for_or_proven() -> None:
    shown = {row.entry.id for row in clause_rows([])}
    assert {"SPIN-1", "IPI-1", "0xC4/0x30"} <= shown
    assert "0x101" not in shown
    assert "0x101" in {row.entry.id for row in clause_rows([case("MINE-1", "bugcheck=0x101")])}
    whole = [row.entry.id for row in clause_rows([case("IRP-6 MINE-1")], ["8"])]
    assert whole == [f"IRP-{number}" for number in range(1, 10)]


def test_a_clause_that_only_a_case_knows_comes_last() -> None:
    last = clause_rows([case("MINE-1 SPIN-1")])[-1]
    assert (last.entry.id, last.entry.section, len(last.cases)) == ("MINE-1", "other", 1)


def test_a_case_proves_the_bugcheck_that_it_ends_in() -> None:
    rows = {row.entry.id: row for row in clause_rows([case("SPIN-5", "bugcheck=0xC4/0x42/5")])}
    assert [each.id for each in rows["0xC4/0x42"].cases] == ["SPIN-5-some-case"]
    assert rows["0xC4/0x41"].cases == ()
    assert rows["0xA"].cases == ()


def test_an_empty_row_has_its_reason_from_the_caveats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "build").mkdir()
    monkeypatch.setenv("DIRQL_BUILD", str(tmp_path / "build"))
    (tmp_path / "CAVEATS.md").write_text("# What\n\n- **Threads** are not\n  there (IRQL-9,\n  SPIN-10).\n- SPIN-19.\n")
    rows = {row.entry.id: row for row in clause_rows([case("SPIN-19")])}
    assert rows["IRQL-9"].reason == rows["SPIN-10"].reason == "Threads are not there (IRQL-9, SPIN-10)."
    assert rows["SPIN-1"].reason == ""
    assert rows["SPIN-19"].reason == ""


def test_results_are_counted_by_mode_and_the_oracles_word_by_clause() -> None:
    mine = case("SPIN-1", "violates=SPIN-1")
    (row,) = [row for row in clause_rows([mine]) if row.entry.id == "SPIN-1"]

    def verdict(status: Status) -> Verdict:
        clauses = [Clause("SPIN-1", "a", "b"), Clause("DPC-1", "a", "b")]
        return Verdict(tuple(ClauseVerdict(clause, status, "", 1, 0, ()) for clause in clauses))

    mt, icount = TargetConfig(2, "mt"), TargetConfig(2, "icount")
    row.add(CaseResult(mine, mt, "", "", 0.1, verdict(Status.VIOLATED)))
    row.add(CaseResult(mine, icount, "oracle", "x", 0.1, verdict(Status.OK)))
    row.add(CaseResult(mine, icount, "lost", "x", 0.1, None))
    assert row.to_json()["modes"] == {"icount": {"passed": 0, "failed": 2}, "mt": {"passed": 1, "failed": 0}}
    assert row.oracle == {"caught": 1, "ok": 1}


def test_no_clause_is_without_a_case_and_without_a_reason() -> None:
    empty = [row.entry.id for row in clause_rows(cases_of(built_images())) if not row.cases and not row.reason]
    assert empty == []


def test_what_the_cases_ask_of_the_oracle_is_in_the_list() -> None:
    known = {entry.id for entry in clause_list()} | {"INT-ACCOUNT", "THR-RUN", "THR-PRIORITY"}
    asked = {name for case in cases_of(built_images()) for name in (*case.needs.oracle, *case.needs.violates)}
    assert asked <= known
