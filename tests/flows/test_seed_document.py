"""The document this project began with, to the letter: its clients unchanged, its messages, its checklist."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.async_api import ConsoleMessage, async_playwright

from chargers.models import Charger, Command, Connector
from gateway.ocpp.simulator import SimulatedCharger, dial
from sessions.models import ChargingSession
from tests import wire
from tests.browser import LAUNCH_ARGS, chromium_executable
from tests.conftest import Site
from tests.factories import make_station, make_user, token_of
from tests.server_process import ROOT, run_command

pytestmark = pytest.mark.embedded_only  # about clients; what stands behind the server is nothing to them

SEED = Path(__file__).parent / "seed"
IDENTITY = "CP001"

# "Expected Response", as the document has it.
EXPECTED_START = """
{
  "type": "response",
  "action": "start_charging",
  "data": {
    "success": true,
    "session_id": 123,
    "charger_id": "CP001",
    "message_id": "uuid-here"
  },
  "timestamp": "2025-01-29T12:00:00Z"
}
"""
EXPECTED_STOP = """
{
  "type": "response",
  "action": "stop_charging",
  "data": {
    "success": true,
    "session_id": 123,
    "message_id": "uuid-here",
    "transaction_id": 456
  },
  "timestamp": "2025-01-29T12:00:00Z"
}
"""
EXPECTED_ERROR = """
{
  "type": "error",
  "message": "Error description",
  "timestamp": "2025-01-29T12:00:00Z"
}
"""
EXPECTED_FAILURE = """
{
  "type": "response",
  "action": "start_charging",
  "data": {
    "success": false,
    "error": "Error message"
  }
}
"""


def as_expected(message: dict[str, Any], expected: str | dict[str, Any]) -> None:
    """Every field of the document is there, of its kind; there may be more."""
    for name, example in (json.loads(expected) if isinstance(expected, str) else expected).items():
        value = message[name]
        if isinstance(example, dict):
            as_expected(value, example)
        elif name == "message_id":
            assert str(uuid.UUID(value)) == value
        elif name == "timestamp":
            assert value.endswith("Z")
            assert datetime.fromisoformat(value).year >= 2025
        elif name in ("message", "error"):
            assert isinstance(value, str)
            assert value
        else:
            assert type(value) is type(example), (name, value)
            if name not in ("session_id", "transaction_id"):
                assert value == example


class Simulated:
    """The document's charger, with a driver who plugs in and out, and what it heard and said."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, list[Any]]] = []
        self.charger = SimulatedCharger(
            IDENTITY,
            connectors=2,
            meter_interval_s=1,
            speed=20,
            auto_plug_s=0.3,
            auto_unplug_s=0.3,
            on_frame=lambda identity, direction, text: self.frames.append((direction, json.loads(text))),
        )

    def calls(self, direction: str) -> list[tuple[str, str]]:
        """Action and message id of every CALL."""
        return [(frame[2], frame[1]) for way, frame in self.frames if way == direction and frame[0] == 2]

    async def ready(self) -> None:
        await self.charger.until(lambda it: it.connectors[1].status == "Available", timeout_s=10)
        self.frames.clear()


@pytest.fixture(scope="module")
async def simulated(site: Site) -> AsyncIterator[Simulated]:
    charger, _ = Charger.objects.get_or_create(identity=IDENTITY, defaults={"station": make_station()})
    for number in (1, 2):
        Connector.objects.get_or_create(charger=charger, number=number)
    point = Simulated()
    dialling = asyncio.create_task(dial(point.charger, site.charger_url))
    yield point
    dialling.cancel()
    with suppress(asyncio.CancelledError):
        await dialling


@pytest.fixture
def driver(site: Site) -> User:
    return make_user()


def substituted(name: str, site: Site, token: str) -> str:
    """A client's text with a token and the port: nothing else is touched."""
    text = (SEED / name).read_text()
    assert "localhost:8080?token=" in text  # without a slash, as the document writes it
    port = site.app_url.rpartition(":")[2]
    return text.replace("YOUR_TOKEN_HERE", token).replace("YOUR_TOKEN", token).replace("8080", port)


def checklist(point: Simulated, driver: User, start: dict[str, Any], stop: dict[str, Any]) -> None:
    """The document's "Testing Checklist", from "Start charging response received" to its end."""
    as_expected(start, EXPECTED_START)
    as_expected(stop, EXPECTED_STOP)
    assert start["data"]["session_id"] == stop["data"]["session_id"]
    # Session created in database, session updated in database
    session = ChargingSession.objects.get(pk=start["data"]["session_id"])
    assert (session.user, session.charger.identity) == (driver, IDENTITY)
    assert session.connector
    assert session.connector.number == 1
    assert session.transaction_id == stop["data"]["transaction_id"]
    assert (session.status, session.stop_reason) == ("completed", "Remote")
    assert session.energy_wh is not None and session.energy_wh > 0
    assert session.readings.exists()
    # Python CMS received commands
    commands = {
        str(command.pk): (command.action, command.status)
        for command in Command.objects.filter(requested_by=driver)
    }
    assert commands[start["data"]["message_id"]] == ("remote_start", "accepted")
    assert commands[stop["data"]["message_id"]] == ("remote_stop", "accepted")
    # Charger received OCPP commands: under the very ids the app was told
    received = point.calls("in")
    assert ("RemoteStartTransaction", start["data"]["message_id"]) in received
    assert ("RemoteStopTransaction", stop["data"]["message_id"]) in received
    assert {"StartTransaction", "MeterValues", "StopTransaction"} <= {a for a, _ in point.calls("out")}


async def completed(session_id: int) -> None:
    async with asyncio.timeout(wire.TIMEOUT_S):
        while not ChargingSession.objects.filter(pk=session_id, status="completed").exists():
            await asyncio.sleep(0.05)


def response(messages: list[dict[str, Any]], action: str) -> dict[str, Any]:
    return next(m for m in messages if m["type"] == "response" and m["action"] == action)


def stops_that_worked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answers = [m for m in messages if m["type"] == "response" and m["action"] == "stop_charging"]
    return [answer for answer in answers if answer["data"]["success"]]


# --- its clients ---


@asynccontextmanager
async def program(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program run from the checkout, where node_modules is; it does not outlive the test."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_complete_test_script_under_node(site: Site, simulated: Simulated, driver: User) -> None:
    """ "Token generated successfully" first; then the script, from the first line to `Test complete!`."""
    await simulated.ready()
    generated = await asyncio.to_thread(run_command, "generate_token", driver.username)
    assert generated.returncode == 0, generated.stderr
    script = substituted("complete-test-script.js", site, generated.stdout.strip())
    async with program("node", "-") as node:
        out, err = await asyncio.wait_for(node.communicate(script.encode()), 30)
    output = out.decode()
    assert node.returncode == 0, err.decode()
    assert err == b""
    said = re.findall(r"^(?:✅|📤|❌) .*$", output, re.MULTILINE)
    assert said == [
        "✅ Connected!",
        "📤 Sending start_charging...",
        "📤 Sending stop_charging...",
        "✅ Test complete!",
    ]
    messages = [json.JSONDecoder().raw_decode(part.lstrip())[0] for part in output.split("📥 Received:")[1:]]
    assert messages[0]["type"] == "connected"
    start, stop = response(messages, "start_charging"), response(messages, "stop_charging")
    await completed(start["data"]["session_id"])
    checklist(simulated, driver, start, stop)
    assert [action for action, _ in simulated.calls("in")] == [
        "RemoteStartTransaction",
        "RemoteStopTransaction",
    ]


async def test_wscat_with_the_lines_of_the_document(site: Site, simulated: Simulated, driver: User) -> None:
    await simulated.ready()
    lines = substituted("wscat.sh", site, token_of(driver)).splitlines()
    [command] = [line for line in lines if line.startswith("wscat -c")]
    start_line, stop_line = [line for line in lines if line.startswith("{")]
    async with program("sh", "-c", f"exec {command}") as wscat:
        assert wscat.stdin
        assert wscat.stdout

        async def until(**fields: Any) -> dict[str, Any]:
            assert wscat.stdout
            while True:
                line = await asyncio.wait_for(wscat.stdout.readline(), wire.TIMEOUT_S)
                assert line, "wscat has ended"
                if b"{" not in line:
                    continue  # its prompt
                message = json.loads(line[line.index(b"{") :])
                if all(message.get(name) == value for name, value in fields.items()):
                    return message

        await until(type="connected", userId=driver.pk)
        wscat.stdin.write(f"{start_line}\n".encode())
        start = await until(type="response", action="start_charging")
        await until(type="session_update", event="meter_value")
        wscat.stdin.write(f"{stop_line}\n".encode())
        stop = await until(type="response", action="stop_charging")
        wscat.stdin.close()
        assert await asyncio.wait_for(wscat.wait(), 10) == 0
    await completed(start["data"]["session_id"])
    checklist(simulated, driver, start, stop)


@asynccontextmanager
async def console_of(site: Site) -> AsyncIterator[tuple[Any, list[dict[str, Any]], list[str]]]:
    """A page's console: what evaluates a text as one pasted there, and what it has printed (objects, and the rest)."""
    objects: list[dict[str, Any]] = []
    texts: list[str] = []
    pending: set[asyncio.Task[None]] = set()

    async def keep(message: ConsoleMessage) -> None:
        values = [await argument.json_value() for argument in message.args]
        if len(values) == 2 and values[0] == "Received:":
            objects.append(values[1])
        else:
            texts.append(message.text)

    def printed(message: ConsoleMessage) -> None:
        task = asyncio.create_task(keep(message))
        pending.add(task)
        task.add_done_callback(pending.discard)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_executable(), args=LAUNCH_ARGS, timeout=30_000
        )
        page = await browser.new_page()
        await page.goto(site.http.replace("127.0.0.1", "localhost") + "/health/live")
        page.on("console", printed)
        devtools = await page.context.new_cdp_session(page)

        async def paste(text: str) -> None:
            result = await devtools.send("Runtime.evaluate", {"expression": text, "replMode": True})
            assert "exceptionDetails" not in result, result

        yield paste, objects, texts
        await asyncio.gather(*pending)
        await browser.close()


async def test_browser_snippet_pasted_into_a_console(site: Site, simulated: Simulated, driver: User) -> None:
    """The snippet stops 5 s after each message it gets, so it stops many times over: each has an answer in words."""
    await simulated.ready()
    async with console_of(site) as (paste, messages, texts):
        await paste(substituted("browser-console.js", site, token_of(driver)))
        async with asyncio.timeout(20):
            while not any(m.get("event") == "session_completed" for m in messages):
                await asyncio.sleep(0.1)
            while not any(m.get("data", {}) and m["data"].get("code") for m in messages if m.get("data")):
                await asyncio.sleep(0.1)
            # Two stops go at nearly the same time, and answers may come out of order: one of them did it.
            while not stops_that_worked(messages):
                await asyncio.sleep(0.1)
        assert texts == ["Connected!"]
        assert messages[0]["type"] == "connected"
        start, stop = response(messages, "start_charging"), stops_that_worked(messages)[0]
        checklist(simulated, driver, start, stop)
        for message in messages:
            if message["type"] == "response" and message["action"] == "stop_charging":
                data = message["data"]
                assert data["success"] or data["code"] == "no_active_session", data
    stops = [action for action, _ in simulated.calls("in") if action == "RemoteStopTransaction"]
    assert len(stops) == 1


# --- its messages ---


def actions_of_the_document() -> Iterator[tuple[str, str]]:
    yield (
        "get_charger_status",
        '{\n  "action": "get_charger_status",\n  "data": {\n    "charger_id": "CP001"\n  }\n}',
    )
    yield "get_active_session", '{\n  "action": "get_active_session",\n  "data": {}\n}'
    yield "list_chargers", '{\n  "action": "list_chargers",\n  "data": {}\n}'


async def test_other_available_actions(site: Site, simulated: Simulated, driver: User) -> None:
    async with wire.app(site.app_url, token_of(driver), path="") as app:
        for action, text in actions_of_the_document():
            await app.send(text)
            answer = await app.until(type="response", action=action)
            assert answer["data"]["success"] is True


async def test_error_responses(site: Site, simulated: Simulated, driver: User) -> None:
    async with wire.app(site.app_url, token_of(driver), path="") as app:
        await app.send("no JSON")
        as_expected(await app.until(type="error"), EXPECTED_ERROR)
        await app.send({"action": "start_charging", "data": {"charger_id": "CP999", "connector_id": 1}})
        failure = await app.until(type="response", action="start_charging")
        as_expected(failure, EXPECTED_FAILURE)
        await app.send({"action": "action_name", "data": {"key": "value"}})  # "Message Format"
        assert "action_name" in (await app.until(action="action_name"))["data"]["error"]


async def test_stop_without_a_charger_id(site: Site, simulated: Simulated, driver: User) -> None:
    """ "The charger_id is optional. If not provided, the system will find the active session for the user." """
    await simulated.ready()
    async with wire.app(site.app_url, token_of(driver), path="") as app:
        await app.send({"action": "start_charging", "data": {"charger_id": IDENTITY, "connector_id": 1}})
        start = await app.until(type="response", action="start_charging")
        await app.until(type="session_update", event="meter_value")
        await app.send({"action": "stop_charging", "data": {}})
        stop = await app.until(type="response", action="stop_charging")
        await completed(start["data"]["session_id"])
        checklist(simulated, driver, start, stop)
