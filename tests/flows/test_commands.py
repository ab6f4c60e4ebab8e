"""What is run from a shell: each command does its work, and says in words why it cannot."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings
from rich.console import Console

from chargers.events import utcnow
from chargers.models import Charger, Command
from gateway.management.commands.charging_flow import Flow, FlowFailed
from gateway.ocpp.simulator import SimulatedCharger, dial
from gateway.server import listening_socket
from sessions.models import ChargingSession
from tests import wire
from tests.conftest import Site
from tests.factories import hashed, make_charger, make_online_charger, make_session, make_user, token_of
from tests.server_process import ROOT, environment_of, run_command


async def command(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """In a thread, since simulated chargers live on this loop."""
    return await asyncio.to_thread(lambda: run_command(*arguments, **settings))


@asynccontextmanager
async def simulated(site: Site) -> AsyncIterator[Charger]:
    charger = make_charger()
    point = SimulatedCharger(
        charger.identity, meter_interval_s=1, speed=20, auto_plug_s=0.1, auto_unplug_s=0.1
    )
    dialling = asyncio.create_task(dial(point, site.charger_url))
    await point.until(lambda it: it.registration == "Accepted")
    yield charger
    dialling.cancel()
    with suppress(asyncio.CancelledError):
        await dialling


# --- generate_token ---


async def test_generate_token_prints_one_that_works_alone_on_a_line(site: Site) -> None:
    user = make_user()
    result = await command("generate_token", user.username)
    assert (result.returncode, result.stderr) == (0, "")
    token = result.stdout.removesuffix("\n")
    assert token.count(".") == 2
    assert not any(character.isspace() for character in token)
    async with wire.app(site.app_url, token) as app:
        await app.until(type="connected", userId=user.pk)


@pytest.mark.parametrize("exists", [True, False])
def test_generate_token_for_nobody_and_for_a_disabled_user(committed: None, exists: bool) -> None:
    name = make_user(is_active=False).username if exists else "nobody-of-that-name"
    why = f"The user {name} is disabled" if exists else f"There is no user {name}"
    with pytest.raises(CommandError, match=why):
        call_command("generate_token", name)


def test_generate_token_without_tables_says_what_to_do(tmp_path: Path) -> None:
    empty = tmp_path / "empty.sqlite3"
    result = run_command("generate_token", "driver", DATABASE_URL=f"sqlite:///{empty}")
    assert (result.returncode, result.stdout) == (1, "")
    assert "manage.py migrate" in result.stderr
    assert "Traceback" not in result.stderr


# --- charging_flow ---


async def test_charging_flow_charges_from_start_to_end(site: Site) -> None:
    user = make_user()
    async with simulated(site) as charger:
        result = await command(
            "charging_flow", token_of(user), charger.identity, site.app_url, "--seconds", "1.5"
        )
    assert result.returncode == 0, result.stdout + result.stderr
    steps = [
        "1. Connect",
        "2. Start charging",
        "3. Charge",
        "4. Stop charging",
        "5. Disconnect",
        "✓ Test complete",
    ]
    places = [result.stdout.index(step) for step in steps]
    assert places == sorted(places)
    for word in ('"session_started"', '"meter_value"', '"session_completed"'):
        assert word in result.stdout.replace("\n", "")
    assert token_of(user)[:20] not in result.stdout
    session = ChargingSession.objects.get(user=user)
    assert (session.status, session.charger) == ("completed", charger)


async def flow(token: str, charger_id: str, url: str) -> str:
    """Why the flow fails, as it says at its end; run in this process, which saves starting another."""
    options = {"token": token, "charger_id": charger_id, "url": url, "connector": 1, "seconds": 0.2}
    with pytest.raises(FlowFailed) as failure:
        await Flow(Console(file=StringIO()), options).run()
    return str(failure.value)


async def test_charging_flow_takes_any_way_of_writing_the_url(site: Site) -> None:
    token = token_of(make_user())
    for path in ("", "/", "/ws", "/ws/"):
        why = await flow(token, "NOWHERE", site.app_url + path)
        assert why == "start_charging: There is no charger NOWHERE (not_found)"


async def test_charging_flow_fails_in_words(site: Site) -> None:
    user, charger = make_user(), make_charger()
    token, identity = token_of(user), charger.identity
    with listening_socket("127.0.0.1", 0) as nobody:
        nowhere = f"ws://127.0.0.1:{nobody.getsockname()[1]}"
    closed = "The server closed the socket: "
    assert await flow("not-a-token", identity, site.app_url) == f"{closed}Invalid authentication token"
    assert await flow(token_of(user, life_s=-1), identity, site.app_url) == f"{closed}Token expired"
    assert "(charger_offline)" in await flow(token, identity, site.app_url)
    assert (await flow(token, identity, nowhere)).startswith(f"No connection to {nowhere}: ")
    assert (await flow(token, identity, "ws://[::1")).startswith("No connection to ws://[::1: ")
    assert "404" in await flow(token, identity, f"{site.app_url}/nowhere")
    # A charger that nobody plugs in at: the session never began, so the flow has not passed.
    async with wire.charger(site.charger_url, identity) as point:
        await point.ready()
        answering = asyncio.create_task(point.accepts("RemoteStartTransaction"))
        assert await flow(token, identity, site.app_url) == "The session had not begun: no transaction id"
        await answering


async def test_a_flow_that_fails_exits_with_1_and_shows_why(site: Site) -> None:
    result = await command("charging_flow", "not-a-token", "CP001", site.app_url)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "✗ The server closed the socket: Invalid authentication token"
    assert result.stderr == ""


# --- simulate ---


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_simulate_brings_chargers_that_can_be_used_until_it_is_ended(
    site: Site, end: signal.Signals
) -> None:
    one, two = make_charger(connectors=0), make_charger(connectors=0)
    identities = ("--identity", one.identity, "--identity", two.identity)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "simulate", "--url", site.charger_url, *identities),
        *("--connectors", "3", "--auto-plug", "0.1", "--meter-interval", "1", "--speed", "20"),
        cwd=ROOT,
        env=environment_of(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        for charger in (one, two):
            await _until(partial(_is_ready, charger, connectors=3))
        async with wire.app(site.app_url, token_of(make_user())) as app:
            assert (await app.act("start_charging", {"charger_id": two.identity, "connector_id": 3}))[
                "success"
            ]
            await app.until(event="meter_value")
        process.send_signal(end)
        output, _ = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            assert process.stdout
            print((await process.stdout.read()).decode()[-5000:], site.chargers.log[-3000:])
    assert b"Traceback" not in output
    for word in (one.identity, two.identity, "BootNotification", "RemoteStartTransaction", "MeterValues"):
        assert word in output.decode()
    for charger in (one, two):
        await _until(partial(_has_gone, charger))


def _is_ready(charger: Charger, *, connectors: int) -> bool:
    charger.refresh_from_db()
    return charger.is_connected and charger.connectors.filter(status="Available").count() == connectors


def _has_gone(charger: Charger) -> bool:
    charger.refresh_from_db()
    return not charger.is_connected


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.1)


# --- sweep ---


async def test_sweep_ends_what_nobody_will_answer(committed: None) -> None:
    """By hand, with no server about; twice is as good as once."""
    long_ago = utcnow() - timedelta(hours=1)
    gone = make_online_charger()
    Charger.objects.filter(pk=gone.pk).update(last_seen_at=long_ago)
    start = make_session(charger=gone, user=make_user(), status="pending", requested_at=long_ago)
    orphan = Command.objects.create(charger=make_online_charger(), action="reset", status="sent")
    Command.objects.filter(pk=orphan.pk).update(created_at=long_ago, sent_at=long_ago)
    for _ in range(2):
        said = StringIO()
        await asyncio.to_thread(call_command, "sweep", stdout=said)
        assert re.fullmatch(r"commands: \d+, starts: \d+(, [a-z_]+: \d+)*\n", said.getvalue())
    orphan.refresh_from_db()
    assert (orphan.status, orphan.error) == ("timed_out", "charger_timeout")
    start.refresh_from_db()
    assert (start.status, start.error_code) == ("failed", "charger_timeout")
    assert not Charger.objects.get(pk=gone.pk).is_connected


# --- what is for the demo only ---


@pytest.mark.parametrize("name", ["seed_demo", "demo"])
def test_demo_commands_are_refused_outside_the_demo(committed: None, name: str) -> None:
    demo = User.objects.filter(username__in=("driver", "driver2", "operator"))
    before = demo.count()
    with pytest.raises(CommandError, match="DEMO=1"):
        call_command(name)
    assert demo.count() == before


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["driver", "driver2", "operator"])
def test_a_password_that_is_the_name_opens_nothing_outside_the_demo(settings: Settings, name: str) -> None:
    """A demo database that found its way into the real one is of no use to anybody."""
    User.objects.filter(username=name).delete()
    user = User.objects.create(username=name, password=hashed(name))
    assert authenticate(username=name, password=name) is None
    settings.DEMO = True
    assert authenticate(username=name, password=name) == user
    settings.DEMO = False
    user.password = hashed("something else")
    user.save()
    assert authenticate(username=name, password="something else") == user
    assert authenticate(username=name, password="") is None
    assert authenticate(username="", password="") is None


async def test_demo_passwords_are_refused_at_the_token_door_too(site: Site) -> None:
    user = make_user()
    user.password = hashed(user.username)
    user.save()
    body = {"username": user.username, "password": user.username}
    status, _ = await asyncio.to_thread(site.apps.post, "/api/token/", body)
    assert status == 401
