"""`make demo` as a newcomer has it: one command, in a folder of its own, that says all one needs to go on."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evcharge.env import VARIABLES
from gateway.server import listening_socket
from tests import wire
from tests.server_process import ROOT

pytestmark = pytest.mark.embedded_only  # the demo has a stack of its own


def checkout(folder: Path) -> Path:
    """A checkout with a .demo of its own: what finds that folder is copied, the rest is only linked."""
    folder.mkdir(exist_ok=True)
    for name in ("chargers", "sessions", "gateway", "templates"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "evcharge", folder / "evcharge", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", folder)
    return folder


def newcomers_environment(**more: str) -> dict[str, str]:
    """Nothing of this test run, and nothing of this machine's settings."""
    ours = {variable.name for variable in VARIABLES} | {"ENV_FILE", "CHARGERS"}
    return {name: value for name, value in os.environ.items() if name not in ours} | {"DEMO": "1", **more}


def free_port() -> int:
    with listening_socket("127.0.0.1", 0) as probe:
        return int(probe.getsockname()[1])


class Demo:
    """A running demo; `output` is what it has said so far."""

    def __init__(self, folder: Path, *, port: int | None = None, **environment: str) -> None:
        self.folder, self.port = folder, port or free_port()
        self.file = folder / "output"
        with self.file.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "demo", "--port", str(self.port)],
                cwd=folder,
                env=newcomers_environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.file.read_text()

    def until(self, condition: Callable[[str], object]) -> str:
        deadline = time.monotonic() + 40
        while not condition(self.output):
            assert self.process.poll() is None and time.monotonic() < deadline, self.output
            time.sleep(0.1)
        return self.output

    def ready(self) -> "Demo":
        self.until(lambda output: "Ctrl-C ends everything" in output)
        return self

    @property
    def token(self) -> str:
        [line] = re.findall(r"^(eyJ\S+)$", self.output, re.MULTILINE)
        return line

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another terminal."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.folder,
            env=newcomers_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
        )

    def end(self, how: signal.Signals) -> float:
        """Seconds until it and everything it began has ended."""
        begun = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(20)
        with pytest.raises(ProcessLookupError):  # nobody is left of its session
            os.killpg(self.process.pid, 0)
        return time.monotonic() - begun

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(checkout(tmp_path_factory.mktemp("demo") / "checkout"))
    try:
        yield running.ready()
    finally:
        running.kill()


def test_banner_says_where_to_go_and_how_to_get_in(demo: Demo) -> None:
    page, sockets = f"http://localhost:{demo.port}", f"ws://localhost:{demo.port}"
    for words in (
        f"{page}/",
        f"{page}/console/",
        f"{page}/admin/",
        f"{page}/docs/",
        "operator / operator",
        "driver / driver",
        "driver2 / driver2",
        "CP001",
        "CP002",
        f'npx wscat -c "{sockets}?token={demo.token}"',
        '{"action":"start_charging","data":{"charger_id":"CP001","connector_id":1}}',
        '{"action":"stop_charging","data":{"charger_id":"CP001"}}',
        "make clean-demo",
    ):
        assert words in demo.output
    assert "Traceback" not in demo.output


@pytest.mark.parametrize("path", ["/", "/console/", "/admin/login/", "/docs/", "/health"])
def test_pages_of_the_banner_are_there(demo: Demo, path: str) -> None:
    with urllib.request.urlopen(f"http://localhost:{demo.port}{path}", timeout=20) as response:
        assert response.status == 200


@pytest.mark.parametrize("name", ["operator", "driver", "driver2"])
def test_log_ins_of_the_banner_work(demo: Demo, name: str) -> None:
    body = json.dumps({"username": name, "password": name}).encode()
    request = urllib.request.Request(
        f"http://localhost:{demo.port}/api/token/", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert json.load(response)["access"]


async def test_token_of_the_banner_works_as_pasted_and_both_chargers_are_there(demo: Demo) -> None:
    async with wire.app(f"ws://localhost:{demo.port}", demo.token, path="") as app:
        await app.until(type="connected")
        async with asyncio.timeout(20):
            while True:
                chargers = (await app.act("list_chargers"))["chargers"]
                states = {each["charger_id"]: (each["connected"], each["display"]) for each in chargers}
                if states == {"CP001": (True, "2/2"), "CP002": (True, "1/1")}:
                    break
                await asyncio.sleep(0.2)


def test_the_whole_flow_runs_in_another_terminal(demo: Demo) -> None:
    """The banner's last line, put into a shell as it stands."""
    [line] = re.findall(r"^.*charging_flow \$\(.*$", demo.output, re.MULTILINE)
    assert f"CP001 ws://localhost:{demo.port}" in line
    demo.until(lambda output: "CP001 -> StatusNotification" in output)
    result = subprocess.run(
        ["sh", "-c", f"{line} --seconds 3"],
        cwd=demo.folder,
        env=newcomers_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "✓ Test complete" in result.stdout
    shown = demo.until(lambda output: "CP001 -> StopTransaction" in output)
    for words in (
        "CP001 <- RemoteStartTransaction",
        "CP001 -> StartTransaction",
        "CP001 <- RemoteStopTransaction",
    ):
        assert words in shown
    log = (demo.folder / ".demo" / "simulator.log").read_text()
    assert "MeterValues" in log
    assert "MeterValues" not in shown.partition("Ctrl-C ends everything")[2]  # too often for the screen


def test_a_second_demo_beside_it_says_that_one_is_running(demo: Demo) -> None:
    result = demo.manage("demo", "--port", str(free_port()))
    assert result.returncode != 0
    assert f"running already (process {demo.process.pid})" in result.stderr
    assert "Traceback" not in result.stderr
    assert demo.process.poll() is None


def test_a_taken_port_is_named_and_another_one_suggested(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "checkout")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        demo = Demo(folder, port=port)
        assert demo.process.wait(40) == 1
    assert f"Port {port} is taken by another program" in demo.output
    assert f"PORT={port + 1}" in demo.output
    assert "Traceback" not in demo.output


async def connected(demo: Demo, token: str) -> dict[str, bool]:
    async with wire.app(f"ws://127.0.0.1:{demo.port}", token) as app:
        chargers = (await app.act("list_chargers"))["chargers"]
        return {charger["charger_id"]: charger["connected"] for charger in chargers}


async def test_ctrl_c_ends_it_and_begun_again_it_has_its_data(tmp_path: Path) -> None:
    """Without simulated chargers the second time, so that one's own can dial."""
    folder = checkout(tmp_path / "checkout")
    first = Demo(folder).ready()
    try:
        first.until(lambda output: "CP002 -> StatusNotification" in output)
        assert first.end(signal.SIGINT) < 6
        token = first.token
    finally:
        first.kill()
    assert first.process.returncode == 0
    assert "Traceback" not in first.output
    second = Demo(folder, CHARGERS="0").ready()
    try:
        assert "No simulated chargers" in second.output
        assert f"ws://localhost:{second.port}/ocpp/CP001" in second.output
        assert await connected(second, token) == {"CP001": False, "CP002": False}  # the token holds, too
    finally:
        second.kill()


async def test_kill_ends_everything_it_began(tmp_path: Path) -> None:
    """As a container is stopped; here with more chargers than usual."""
    demo = Demo(checkout(tmp_path / "checkout"), CHARGERS="4").ready()
    try:
        assert "CP001 (two connectors), CP002 (one) and 2 more up to CP004" in demo.output
        async with asyncio.timeout(15):
            while not all((states := await connected(demo, demo.token)).values()):
                await asyncio.sleep(0.2)
        assert list(states) == ["CP001", "CP002", "CP003", "CP004"]
        assert demo.end(signal.SIGTERM) < 6
    finally:
        demo.kill()
    assert demo.process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in demo.output
