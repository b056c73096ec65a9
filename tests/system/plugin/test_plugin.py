# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin, each time in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    # Without Hypothesis, which would import all of itself in each of these runs.
    alone = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    return pytester.runpytest_subprocess(*alone, "-W", "error", *options)


FRESH = """
    def images(machine):
        return [at for at in range(64) if machine.memory.variable("LdrImages", "LDR_IMAGE", at).get("Base")]

    def fresh(machine):
        assert images(machine) == [] and machine.drivers == []
        assert not machine.bugcheck.complete
        assert machine.link.request("Ping")[0] > 0
"""


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_one_boot_serves_all_tests_and_each_gets_a_fresh_guest(pytester: pytest.Pytester, mode: str) -> None:
    result = run(
        pytester,
        FRESH
        + """
    def test_one(machine, dirql_machines):
        fresh(machine)
        machine.load("doorbell.sys")
        assert images(machine) == [0]
        assert dirql_machines.boots == 1

    def test_two(machine, dirql_machines):
        fresh(machine)
        machine.load("doorbell.sys")
        assert dirql_machines.boots == 1

    def test_three(machine, dirql_machines):
        fresh(machine)
        assert dirql_machines.boots == 1
    """,
        f"--dirql-mode={mode}",
        "--dirql-cpus=2",
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    "end",
    [
        "machine.inject.vector(1, 0x12); machine.link.request('Idle', 10**9)",  # the machine check exception's vector
        "machine.session.process.kill()",
        "machine.close()",
    ],
    ids=["bugcheck", "killed", "closed"],
)
def test_after_a_lost_machine_there_is_another(pytester: pytest.Pytester, end: str) -> None:
    result = run(
        pytester,
        FRESH
        + f"""
    import pytest

    from dirql.errors import DirqlError

    def test_one(machine):
        with pytest.raises(DirqlError):
            {end}
            machine.session.watch.wait(lambda: None, "its end", 30)

    def test_two(machine, dirql_machines):
        fresh(machine)
        assert dirql_machines.boots == 2
    """,
        "--dirql-cpus=2",
    )
    result.assert_outcomes(passed=2)


def test_the_options_make_one_test_of_each_configuration(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
    def test_it(machine):
        pass

    def test_without_a_machine():
        pass
    """,
        "--dirql-cpus=1,2",
        "--dirql-mode=mt,icount",
        "--dirql-boot=bios",
        "--collect-only",
        "-q",
    )
    names = [line.split("::")[1] for line in result.outlines if "::" in line]
    assert names == [
        "test_it[cpus1-mt-bios]",
        "test_it[cpus1-icount-bios]",
        "test_it[cpus2-mt-bios]",
        "test_it[cpus2-icount-bios]",
        "test_without_a_machine",
    ]


def test_the_default_is_four_cpus(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
    def test_it(machine, dirql_config):
        assert (machine.cpus, machine.config.mode, machine.config) == (4, "mt", dirql_config)
    """,
        "-v",
    )
    result.stdout.fnmatch_lines(["*test_it[[]cpus4-mt[]] PASSED*"])


def test_the_marker_fixes_the_machine(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
    import pytest

    from dirql.devices.ivshmem import Doorbell

    def doorbell():
        return [Doorbell(vectors=2)]

    @pytest.mark.dirql(cpus=2, mode="icount", trace_records=256)
    def test_fixed(machine):
        assert (machine.cpus, machine.config.mode, machine.config.trace_records) == (2, "icount", 256)

    @pytest.mark.dirql(cpus=[1, 2])
    def test_list(machine):
        pass

    @pytest.mark.dirql(cpus=1, devices=doorbell)
    @pytest.mark.parametrize("again", [0, 1])
    def test_devices(machine, again):
        device, = machine.session.devices
        assert device.memory[0] == 0
        device.memory[0] = 1
        machine.find_pci(0x1af4, 0x1110)
    """,
        "-v",
        "--strict-markers",
        "--dirql-cpus=3,4",
    )
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["*test_fixed[[]cpus2-icount[]] PASSED*", "*test_list[[]cpus1-mt[]] PASSED*"])


def test_the_factory_closes_what_it_booted(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
    from dirql.devices.ivshmem import Doorbell

    machines = []

    def test_boot(machine_factory):
        machines.append(machine_factory())
        machines.append(machine_factory(cpus=1, mode="icount", devices=[Doorbell()]))
        assert [(m.cpus, m.config.mode) for m in machines] == [(2, "mt"), (1, "icount")]
        assert not any(m.session.watch.lost for m in machines)

    def test_closed():
        assert all(m.session.watch.lost for m in machines)
    """,
        "--dirql-cpus=2,3",
    )
    result.assert_outcomes(passed=2)


def test_a_failure_shows_the_machine(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
    def test_it(machine):
        assert machine is None
    """,
        "--dirql-cpus=2",
        "--dirql-folder=runs",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- dirql -*",
            "the guest was running",
            "  cpu 0: IRQL *",
            "  cpu 1: IRQL *",
            f"  files: {pytester.path}/runs/*",
        ]
    )
    folder = next(line for line in result.outlines if line.startswith("  files: ")).removeprefix("  files: ")
    assert (pytester.path / folder / "console.log").is_file()


def test_a_failure_by_bugcheck_shows_the_bugcheck(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
    def test_it(machine):
        machine.inject.vector(1, 0x12)
        machine.link.request("Idle", 10**9)
    """,
        "--dirql-cpus=2",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*- dirql -*", "bugcheck 0x7f UNEXPECTED_KERNEL_MODE_TRAP (0x12, *", "  cpu 1: IRQL *", "  files: *"]
    )


def test_a_machine_that_cannot_be_is_a_usage_error(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(machine): pass", "--dirql-cpus=65")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*dirql: a machine has 1 to 64 CPUs; 65 were asked for"])
    for wrong in ("--dirql-cpus=many", "--dirql-mode=warp", "--dirql-boot=floppy"):
        assert run(pytester, "def test_it(): pass", wrong).ret == pytest.ExitCode.USAGE_ERROR


def test_options_and_marker_are_documented(pytester: pytest.Pytester) -> None:
    said = run(pytester, "", "--help").stdout.str()
    for word in ("dirql: the machines of tests:", "--dirql-cpus", "--dirql-mode", "--dirql-boot", "--dirql-folder"):
        assert word in said
    assert "@pytest.mark.dirql(cpus=N" in run(pytester, "", "--markers").stdout.str()


def test_a_run_without_machines_imports_next_to_nothing() -> None:
    heavy = {"numpy", "click", "pexpect", "pefile", "elftools", "dirql.machine", "dirql.errors", "asyncio"}
    program = f"import sys, dirql.pytest_plugin.plugin; sys.exit(str({heavy!r} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
