# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import dirql
import dirql.errors

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
LISTED = re.findall(r"^\| `(dirql[\w.]*\.\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_listed_name_is_there_and_says_what_it_is() -> None:
    assert len(LISTED) > 20
    for name in LISTED:
        module, _, attribute = name.rpartition(".")
        assert getattr(import_module(module), attribute).__doc__, name


def test_the_package_and_its_errors_are_all_listed() -> None:
    errors = {
        f"dirql.errors.{name}"
        for name, value in vars(dirql.errors).items()
        if isinstance(value, type) and value.__module__ == "dirql.errors"
    }
    listed = set(LISTED) | {"dirql.errors.DirqlError"}
    assert errors <= listed
    assert {f"dirql.{name}" for name in dirql.__all__} == {name for name in LISTED if name.count(".") == 1}
