# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pytest

from dirql.guest.layout import DebugInfo, Field, Structure, Variable
from dirql.guest.memory import KERNEL_BASE, GuestMemory
from dirql.guest.symbols import Symbolizer
from dirql.guest.verifier import VIOLATION, bugcheck_error, meaning
from tests.unit.guest.world import DRIVER, DRIVER_BASE, KERNEL, LINK_BASE, World

if TYPE_CHECKING:
    from dirql.guest.image import DriverImage, KernelImage
    from dirql.guest.state import BugCheckRecord

AT = KERNEL_BASE + 0x11_0100
TEXT = KERNEL_BASE + 0x11_1000
SITE = Structure(
    "VF_SITE",
    128,
    {
        "Lock": Field(0, 8),
        "Held": Field(8, 8),
        "Cpu": Field(16, 8),
        "Irql": Field(24, 8),
        "Stack": Field(32, 48, 6),
        "HeldStack": Field(80, 48, 6),
    },
)
RECORD = Structure(
    "VF_VIOLATION",
    56 + 8 * 128,
    {
        "Code": Field(0, 8),
        "Parameter": Field(8, 32, 4),
        "Text": Field(40, 8),
        "SiteCount": Field(48, 8),
        "Site": Field(56, 8 * 128, 8, "VF_SITE"),
    },
)
LOCK = DRIVER_BASE + 0x2000


@dataclass
class FakeRecord:
    """A bugcheck record made up."""

    code: int = VIOLATION
    parameters: tuple[int, int, int, int] = (0x42, 5, LOCK, 0)
    processor: int = 1
    message: str = "bugcheck as it is"
    told: tuple[str, ...] = ()

    def fault(self, _symbols: Symbolizer) -> None:
        """None of these is about an access to memory."""

    def details(self, _symbols: Symbolizer) -> tuple[str, ...]:
        """What was made up."""
        return self.told


class Scene(World):
    """A kernel that has a VfViolation, and a driver with two locks."""

    def __init__(self) -> None:
        super().__init__()
        kernel = replace(
            KERNEL,
            symbols={**KERNEL.symbols, "VfViolation": (AT, RECORD.size)},
            debug=DebugInfo({"VF_SITE": SITE, "VF_VIOLATION": RECORD}, {}, (), {}),
        )
        variables = {"First": Variable(LINK_BASE + 0x2000), "Second": Variable(LINK_BASE + 0x2010)}
        driver = replace(DRIVER, debug=replace(DRIVER.debug, variables=variables))
        self.kernel = cast("KernelImage", kernel)
        self.memory = GuestMemory(self.ram, self.kernel)
        self.symbols = Symbolizer(self.kernel)
        self.symbols.add("some.sys", DRIVER_BASE, 0x10000, cast("DriverImage", driver))
        self.view = self.memory.variable("VfViolation", "VF_VIOLATION")
        self.ram.write(TEXT - KERNEL_BASE, b"it did what it must not\0")

    def violate(self, record: FakeRecord) -> str:
        """Fill in the violation as the guest would, and describe it."""
        self.view.set("Code", record.code)
        for at, value in enumerate(record.parameters):
            self.view.set("Parameter", value, at)
        self.view.set("Text", TEXT)
        return self.describe(record)

    def describe(self, record: FakeRecord) -> str:
        """Describe what is there."""
        return bugcheck_error(cast("BugCheckRecord", record), self.memory, self.symbols).message

    def site(self, at: int, *, held: int = 0, stack: tuple[int, ...] = ()) -> None:
        """Fill in one site."""
        self.view.set("SiteCount", at + 1)
        site = self.view.inner("Site", at)
        site.set("Lock", LOCK)
        site.set("Held", held)
        site.set("Cpu", 3)
        site.set("Irql", 2)
        for place, address in enumerate(stack):
            site.set("Stack", address, place)
            site.set("HeldStack", address, place)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ((0x42, 5, LOCK, 0), "spin lock acquired at IRQL 5, above DISPATCH_LEVEL"),
        ((0x30, 5, 2, 0), "IRQL is raised from 5 to 2"),
        ((0x1002, LOCK, 0xDEAD, 0), "spin lock used without having been initialised: it holds 0xdead"),
        ((0x7777, 1, 2, 3), "violation 0x7777"),
    ],
)
def test_what_the_parameters_mean(parameters: tuple[int, int, int, int], text: str) -> None:
    assert meaning(parameters) == text


def test_a_violation(scene: Scene) -> None:
    scene.site(0, stack=(DRIVER_BASE + 0x1006, KERNEL_BASE + 0x10_0004))
    assert scene.violate(FakeRecord()).splitlines() == [
        "DRIVER_VERIFIER_DETECTED_VIOLATION (0xC4/0x42): spin lock acquired at IRQL 5, above DISPATCH_LEVEL, on CPU 1",
        "  it did what it must not",
        "  some.sys!First: CPU 3, IRQL 2",
        "      from some.sys!DriverEntry+0x6 (some.c:5)",
    ]


def test_a_lock_that_was_held(scene: Scene) -> None:
    scene.site(0, held=LOCK + 0x18, stack=(DRIVER_BASE + 0x1030,))
    text = scene.violate(FakeRecord(parameters=(0x1001, LOCK, LOCK + 0x18, 0)))
    assert text.splitlines()[2:] == [
        "  some.sys!First: CPU 3, IRQL 2",
        "      from some.sys!DriverIsr+0x10 (some.c:50)",
        "    while holding some.sys!Second+0x8, taken",
        "      from some.sys!DriverIsr+0x10 (some.c:50)",
    ]


def test_another_bugcheck_of_the_verifier_keeps_its_message(scene: Scene) -> None:
    text = scene.violate(FakeRecord(code=0xF, parameters=(LOCK, 2, 0, 0)))
    assert text == "bugcheck as it is\n  it did what it must not"


def test_an_exception_under_a_lock_keeps_its_own_words_too(scene: Scene) -> None:
    scene.site(0, held=LOCK, stack=(DRIVER_BASE + 0x1006,))
    scene.view.inner("Site", 0).set("Lock", 0)
    record = FakeRecord(code=0x1E, parameters=(0xC0000094, 2, 0, 0), told=("STATUS_X at some place",))
    assert scene.violate(record).splitlines() == [
        "bugcheck as it is",
        "  STATUS_X at some place",
        "  it did what it must not",
        "  this call: CPU 3, IRQL 2",
        "      from some.sys!DriverEntry+0x6 (some.c:5)",
        "    while holding some.sys!First, taken",
        "      from some.sys!DriverEntry+0x6 (some.c:5)",
    ]


def test_a_bugcheck_that_is_not_the_verifiers(scene: Scene) -> None:
    scene.violate(FakeRecord())
    assert scene.describe(FakeRecord(parameters=(0x42, 6, LOCK, 0))) == "bugcheck as it is"
    assert scene.describe(FakeRecord(code=0xA)) == "bugcheck as it is"
    assert scene.describe(FakeRecord(code=0xA, told=("read of 0x8",))) == "bugcheck as it is\n  read of 0x8"


def test_a_record_that_makes_no_sense(scene: Scene) -> None:
    record = FakeRecord()
    scene.violate(record)
    scene.view.set("Text", 0x1234)
    assert scene.describe(record).splitlines()[1:] == ["  the verifier's record of it cannot be read"]


def test_more_sites_than_there_can_be(scene: Scene) -> None:
    scene.violate(FakeRecord())
    scene.view.set("SiteCount", 1 << 40)
    assert len(scene.describe(FakeRecord()).splitlines()) == 2 + 8


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (LOCK, "some.sys!First"),
        (LOCK + 8, "some.sys!First+0x8"),
        (LOCK + 0x10, "some.sys!Second"),
        (DRIVER_BASE + 0x10, hex(DRIVER_BASE + 0x10)),  # before every variable
        (0xFFFF_8000_0000_1000, "0xffff800000001000"),
    ],
)
def test_names_of_locks(scene: Scene, address: int, name: str) -> None:
    assert scene.symbols.variable(address) == name
