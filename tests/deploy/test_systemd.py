"""The units, judged by systemd itself."""

import re
import subprocess
from pathlib import Path

import pytest

from evcharge.env import VARIABLES
from tests.deploy.proxies import FILES, program
from tests.server_process import ROOT

UNITS = sorted(path.name for path in (FILES / "systemd").iterdir())
SERVICE = (FILES / "systemd" / "evcharge@.service").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units, for a checkout that is there."""
    made = tmp_path_factory.mktemp("systemd")
    for name in UNITS:
        text = (FILES / "systemd" / name).read_text()
        (made / name).write_text(
            text.replace("/opt/evcharge", str(ROOT)).replace("/usr/bin/curl", "/bin/true")
        )
    return made


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("systemd-analyze"), *arguments], capture_output=True, text=True)


def test_there_are_three() -> None:
    assert UNITS == ["evcharge-migrate.service", "evcharge.target", "evcharge@.service"]


def test_systemd_understands_them(folder: Path) -> None:
    judged = analyze("verify", "--man=no", *(str(folder / name) for name in UNITS))
    assert [line for line in judged.stderr.splitlines() if "evcharge" in line] == []


def test_a_process_is_well_locked_in(folder: Path) -> None:
    judged = analyze(
        "security", "--offline=true", "--no-pager", "--threshold=20", str(folder / "evcharge@.service")
    )
    assert judged.returncode == 0, judged.stdout[-300:] + judged.stderr


def test_it_has_time_to_drain() -> None:
    defaults = {variable.name: variable.default for variable in VARIABLES}
    found = re.search(r"^TimeoutStopSec=(\d+)$", SERVICE, re.MULTILINE)
    assert found
    assert int(found[1]) >= defaults["DRAIN_NOTICE_S"] + defaults["DRAIN_S"] + 30


def test_the_target_starts_the_ports_of_the_proxies() -> None:
    target = (FILES / "systemd" / "evcharge.target").read_text()
    for port in re.findall(r"evcharge@(\d+)", target):
        assert f"127.0.0.1:{port}" in (FILES / "haproxy.cfg").read_text()
        assert f"127.0.0.1:{port}" in (FILES / "nginx.conf").read_text()
