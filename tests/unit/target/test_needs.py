# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from dirql.target.needs import BugCheck, Needs, parse_clauses, parse_needs


def test_every_word_is_read() -> None:
    words = (
        "smp=2 cpus=2,4 mode=icount verifier=off placement=routine,current routing=asymmetric bugcheck=0xC4/0x30/*/010 "
        "named=Lock,Take trim=on hold=fatal "
        "oracle=SPIN-1,DPC-2 violates=INT-1 device=edu limit=2.5"
    )
    assert parse_needs(words) == Needs(
        smp=2,
        cpus=(2, 4),
        mode="icount",
        verifier=False,
        placement=("routine", "current"),
        routing=("asymmetric",),
        bugcheck=BugCheck(0xC4, (0x30, None, 8)),
        named=("Lock", "Take"),
        trim=True,
        hold=True,
        oracle=("SPIN-1", "DPC-2"),
        violates=("INT-1",),
        devices=("edu",),
        limit=2.5,
    )


def test_nothing_said_is_the_usual() -> None:
    assert parse_needs("") == Needs()
    assert parse_needs("  verifier=on  ").verifier is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("smpp=2", "'smpp=2': there is no need 'smpp'"),
        ("smp", "'smp': smp wants a value"),
        ("smp=", "'smp=': smp wants a value"),
        ("smp=0", "'smp=0': a number of CPUs is 1 to 64"),
        ("smp=two", "'smp=two': a number of CPUs"),
        ("cpus=2,,4", "'cpus=2,,4': a number of CPUs"),
        ("cpus=2,2", "'cpus=2,2': something is named twice"),
        ("smp=2 smp=4", "'smp=4': smp is given twice"),
        ("mode=kvm", "'mode=kvm': 'kvm' is none of mt, icount"),
        ("verifier=both", "'verifier=both': 'both' is none of on, off"),
        ("placement=first", "'first' is none of routine, first-available, current"),
        ("routing=any", "'any' is none of symmetric, asymmetric"),
        ("bugcheck=E2", "'E2' is no number as C writes them"),
        ("bugcheck=0xE2/1/2/3/4/5", "a bugcheck has four parameters"),
        ("oracle=SPIN_1", "'SPIN_1' is no clause"),
        ("oracle=SPIN-1 violates=SPIN-1", "SPIN-1 cannot be both kept and violated"),
        ("device=e1000", "'e1000' is none of edu"),
        ("limit=0", "a limit is a number of seconds above 0"),
        ("limit=nan", "a limit is a number of seconds above 0"),
        ("limit=soon", "a limit is a number of seconds above 0"),
    ],
)
def test_a_wrong_word_is_named(words: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_needs(words)


def test_clauses_are_words_and_there_is_one() -> None:
    assert parse_clauses("SPIN-3  IRQL-2") == ("SPIN-3", "IRQL-2")
    for wrong in ("", "  ", "SPIN-3,IRQL-2", "-1"):
        with pytest.raises(ValueError, match="clause"):
            parse_clauses(wrong)


def test_a_bugcheck_matches_by_the_parameters_that_are_given() -> None:
    wanted = BugCheck(0xC4, (0x30, None, 2))
    assert wanted.matches(0xC4, (0x30, 99, 2, 7))
    assert not wanted.matches(0xC4, (0x31, 99, 2, 7))
    assert not wanted.matches(0xC4, (0x30, 99, 3, 7))
    assert not wanted.matches(0xC5, (0x30, 99, 2, 7))
    assert str(wanted) == "0xc4/0x30/*/0x2"
