# SPDX-License-Identifier: Apache-2.0
"""What the guest's debug information would tell, read from its headers: these tests need no guest."""

from __future__ import annotations

import pytest

from dirql.trace.schema import EventTable, RingLayout
from tests.unit.trace.header import RING_LAYOUT, events_of_header


@pytest.fixture(scope="session")
def events() -> EventTable:
    return events_of_header()


@pytest.fixture(scope="session")
def ring_layout() -> RingLayout:
    return RING_LAYOUT
