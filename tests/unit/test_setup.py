# SPDX-License-Identifier: Apache-2.0
"""tools/setup on hosts that lack things: its commands are fakes that log how they were called."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
REAL_COMMANDS = ("bash", "cat", "cksum", "cut", "dirname", "env", "id", "ln", "mkdir", "rm")
UPDATE = "apt-get noninteractive -o DPkg::Lock::Timeout=300 update"
INSTALL = "apt-get noninteractive -o DPkg::Lock::Timeout=300 install -y --no-install-recommends"
PIP = "venv-python -m pip install -q --disable-pip-version-check -c constraints.txt"


@dataclass(frozen=True)
class Host:
    """A checkout and all of PATH.

    Attributes:
        checkout: holds tools/setup and its inputs.
        commands: the only folder on PATH.
        log: one line for each call of a fake.
    """

    checkout: Path
    commands: Path
    log: Path

    def fake(self, name: str, script: str) -> None:
        """Put a command on PATH that logs its name and arguments, then does what `script` says."""
        self.commands.joinpath(name).unlink(missing_ok=True)
        self.commands.joinpath(name).write_text(f"#!{shutil.which('bash')}\n{script}\n")
        self.commands.joinpath(name).chmod(0o755)

    def setup(self, *what: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run tools/setup."""
        return subprocess.run(
            [self.checkout / "tools/setup", *what],
            env={"PATH": str(self.commands), "LOG": str(self.log), "BIN": str(self.commands), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What was called since the last look."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return lines


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host of root's where apt-get works, gdb is missing and nothing is set up."""
    checkout, commands, log = tmp_path / "checkout", tmp_path / "bin", tmp_path / "log"
    (checkout / "tools").mkdir(parents=True)
    shutil.copy(CHECKOUT / "tools/setup", checkout / "tools")
    (checkout / "packages.txt").write_text("# comment\n\nbash  bash\ngdb  gdb\npython3-venv  python3:ensurepip\n")
    (checkout / "constraints.txt").write_text("click==1.0\n")
    (checkout / "pyproject.toml").write_text("[project]\n")
    commands.mkdir()
    for name in REAL_COMMANDS:
        real = shutil.which(name)
        assert real is not None
        (commands / name).symlink_to(real)
    log.touch()

    host = Host(checkout, commands, log)
    host.fake("id", "echo 0")
    host.fake(
        "apt-get",
        'echo "apt-get $DEBIAN_FRONTEND $*" >>"$LOG"; echo chatter\n[[ $* != *install* ]] || ln -s bash "$BIN/gdb"',
    )
    host.fake(
        "python3",
        'echo "python3 $*" >>"$LOG"\n'
        'if [[ $* == "-m venv --clear .venv" ]]; then\n'
        "    rm -rf .venv; mkdir -p .venv/bin\n"
        '    ln -s "$BIN/venv-python" .venv/bin/python; ln -s "$BIN/venv-python" .venv/bin/pip\n'
        "fi",
    )
    host.fake("venv-python", 'echo "venv-python $*" >>"$LOG"')
    return host


class TestPackages:
    def test_root_installs_just_what_is_missing(self, host: Host) -> None:
        result = host.setup("packages")
        assert (result.returncode, result.stdout, result.stderr) == (0, "  APT   gdb\n", "")
        assert [call for call in host.calls() if call.startswith("apt-get")] == [UPDATE, f"{INSTALL} gdb"]

    def test_another_list_has_its_own_packages(self, host: Host) -> None:
        (host.checkout / "more.txt").write_text("gdb-multiarch  gdb\n")
        assert host.setup("packages", "more.txt").stdout == "  APT   gdb-multiarch\n"

    def test_nothing_runs_when_nothing_is_missing(self, host: Host) -> None:
        host.setup("packages")
        host.setup("venv")
        host.calls()
        result = host.setup("packages")
        assert (result.returncode, result.stdout, host.calls()) == (0, "", [])

    def test_verbose_shows_the_commands_and_what_they_say(self, host: Host) -> None:
        result = host.setup("packages", V="1")
        assert "install -y --no-install-recommends gdb" in result.stdout
        assert "chatter" in result.stdout

    def test_user_with_sudo_that_asks_nothing(self, host: Host) -> None:
        host.fake("id", "echo 1000")
        host.fake("sudo", 'echo "sudo $*" >>"$LOG"; [[ $1 == -n ]] && shift; [[ $1 == true ]] || exec "$@"')
        assert host.setup("packages").returncode == 0
        calls = [call for call in host.calls() if call.startswith(("apt-get", "sudo -n env"))]
        assert calls[1::2] == [UPDATE, f"{INSTALL} gdb"]
        assert all(call.startswith("sudo -n env DEBIAN_FRONTEND=noninteractive apt-get") for call in calls[::2])

    @pytest.mark.parametrize("sudo", [None, "exit 1"])
    def test_user_without_it_gets_the_line_to_run(self, host: Host, sudo: str | None) -> None:
        host.fake("id", "echo 1000")
        if sudo:
            host.fake("sudo", sudo)
        result = host.setup("packages")
        assert result.returncode == 1
        line = "  sudo apt-get update && sudo apt-get install --no-install-recommends gdb\n"
        assert result.stderr.endswith(line)
        assert not [call for call in host.calls() if call.startswith("apt-get")]

    def test_host_without_apt(self, host: Host) -> None:
        (host.commands / "apt-get").unlink()
        result = host.setup("packages")
        assert result.returncode == 1
        assert "\ngdb gdb\n" in result.stderr

    def test_failure_of_apt_is_shown(self, host: Host) -> None:
        host.fake("apt-get", "echo 'E: no such package'; exit 100")
        result = host.setup("packages")
        assert result.returncode == 100
        assert "E: no such package" in result.stderr

    def test_package_that_does_not_bring_what_is_wanted(self, host: Host) -> None:
        host.fake("apt-get", "exit 0")
        result = host.setup("packages")
        assert result.returncode == 1
        assert "still missing:\ngdb gdb\n" in result.stderr

    def test_missing_module_of_python(self, host: Host) -> None:
        host.fake("gdb", "exit 0")
        host.fake("python3", '[[ $* != "-c import ensurepip" || -e $LOG.installed ]]')
        host.fake("apt-get", 'echo "apt-get $DEBIAN_FRONTEND $*" >>"$LOG"; echo >"$LOG.installed"')
        assert host.setup("packages").returncode == 0
        assert host.calls() == [UPDATE, f"{INSTALL} python3-venv"]


class TestVenv:
    def test_made_once(self, host: Host) -> None:
        result = host.setup("venv")
        assert result.returncode == 0, result.stderr
        assert host.calls()[1:] == [
            "python3 -m venv --clear .venv",
            f"{PIP} setuptools",
            f"{PIP} --no-build-isolation -e .[dev]",
        ]
        result = host.setup("venv")
        assert (result.returncode, result.stdout, host.calls()) == (0, "", [])

    @pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
    def test_brought_up_to_date_when_what_it_holds_changes(self, host: Host, name: str) -> None:
        host.setup("venv")
        host.calls()
        with (host.checkout / name).open("a") as file:
            file.write("# changed\n")
        assert host.setup("venv").returncode == 0
        assert host.calls() == [f"{PIP} setuptools", f"{PIP} --no-build-isolation -e .[dev]"]

    @pytest.mark.parametrize(("name", "stamp"), [("python", ".dirql-setup"), ("pip", "gone")])
    def test_made_anew_when_its_python_is_gone_or_it_was_cut_short(self, host: Host, name: str, stamp: str) -> None:
        host.setup("venv")
        host.calls()
        (host.checkout / ".venv/bin" / name).unlink()
        (host.checkout / ".venv/bin" / name).symlink_to("gone")
        (host.checkout / ".venv/.dirql-setup").rename(host.checkout / ".venv" / stamp)
        assert host.setup("venv").returncode == 0
        assert "python3 -m venv --clear .venv" in host.calls()

    def test_installed_again_when_the_checkout_moved(self, host: Host) -> None:
        host.setup("venv")
        host.calls()
        moved = Host(host.checkout.rename(host.checkout.with_name("moved")), host.commands, host.log)
        assert moved.setup("venv").returncode == 0
        assert host.calls()[-1] == f"{PIP} --no-build-isolation -e .[dev]"

    def test_failure_of_pip_is_shown_and_not_forgotten(self, host: Host) -> None:
        host.fake("venv-python", "echo no such version; exit 1")
        for _ in range(2):
            result = host.setup("venv")
            assert result.returncode == 1
            assert "no such version" in result.stderr

    def test_python_that_is_too_old(self, host: Host) -> None:
        host.fake("python3", 'case $1 in -c) exit 1;; --version) echo "Python 3.9.2";; esac')
        result = host.setup("venv")
        assert result.returncode == 1
        assert "Python 3.9.2" in result.stderr
        assert not (host.checkout / ".venv").exists()

    def test_python_of_the_callers_choice(self, host: Host) -> None:
        host.commands.joinpath("python3").rename(host.commands / "python3.12")
        assert host.setup("venv", PYTHON3="python3.12").returncode == 0


def test_usage(host: Host) -> None:
    result = host.setup("everything")
    assert (result.returncode, result.stderr) == (1, "usage: tools/setup packages [LIST] | venv\n")


def test_every_package_that_dirql_pulls_in_is_pinned() -> None:
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    pins = {normal(line.partition("==")[0]) for line in (CHECKOUT / "constraints.txt").read_text().splitlines()}
    reached: set[str] = set()
    waiting = ["dirql", "setuptools"]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # wanted on other systems or by other Pythons only
        reached.add(name)
        for requirement in requirements:
            extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
            if extra is None or (name == "dirql" and extra[1] == "dev"):
                waiting.append(normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]))
    assert reached - {"dirql"} == pins
