"""Servers that die, stand still, are cut off or lose their database, in the middle of a charge: what becomes of it.

Each flow says how long it took to heal (`tests.figures`), and that nothing was lost or done twice.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from websockets.exceptions import ConnectionClosed, WebSocketException

from chargers.models import Charger, Command
from sessions.models import ChargingSession, MeterReading
from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site, stack
from tests.factories import make_charger, make_user, token_of
from tests.figures import record
from tests.hosts import another_host
from tests.pg_server import stopped
from tests.server_process import ServerProcess, database_url
from tests.wire import eventually

pytestmark = pytest.mark.skipif(stack() != "real", reason="one process has nobody to take over")

COMMAND_TIMEOUT_S, PRESENCE_INTERVAL_S = 4, 1
STOPPED_S = float(os.environ.get("STOPPED_S", "5"))
"""For how long a process stands still; `make resilience` has half a minute."""
QUICK: dict[str, Any] = {
    "COMMAND_TIMEOUT_S": COMMAND_TIMEOUT_S,
    "PRESENCE_INTERVAL_S": PRESENCE_INTERVAL_S,
    "DRAIN_NOTICE_S": 0,
    "PROCESSES": 2,
}
LOST = (OSError, ConnectionClosed, WebSocketException, TimeoutError, AssertionError)


@pytest.fixture(scope="module")
def other(committed: None) -> Iterator[ServerProcess]:
    """The process that lives on."""
    server = ServerProcess(**QUICK)
    yield server
    server.kill()


@pytest.fixture
def doomed(committed: None) -> Iterator[ServerProcess]:
    """The one that is in for something."""
    server = ServerProcess(**QUICK)
    yield server
    server.kill()


@contextmanager
def killed_in_the_end(server: ServerProcess) -> Iterator[ServerProcess]:
    try:
        yield server
    finally:
        server.kill()


def owner_epoch(charger: Charger) -> tuple[str, int]:
    fresh = Charger.objects.get(pk=charger.pk)
    return fresh.channel_name, fresh.epoch


@asynccontextmanager
async def redialled(server: ServerProcess, charger: Charger) -> AsyncIterator[wire.FakeCharger]:
    """The charger's next socket, once it may speak."""
    async with wire.charger(server.ws, charger.identity, open_timeout=30) as point:
        async with asyncio.timeout(30):
            while (await point.request("Heartbeat", {}))[0] != 3:
                await asyncio.sleep(0.1)
        yield point


def transactions(charger: Charger) -> int:
    return ChargingSession.objects.filter(charger=charger).exclude(transaction_id=None).count()


# --- kill -9 ---


async def test_owner_killed_in_mid_transaction(doomed: ServerProcess, other: ServerProcess) -> None:
    """E3: the charger goes on at the other process, in the same session."""
    async with scene(Site(apps=other, chargers=doomed)) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2000)
        doomed.kill()
        began = time.monotonic()
        async with redialled(other, s.charger) as point:
            await point.meter(transaction=charge.transaction_id, at=at(1), energy=3000)
            await s.app.send({"action": "stop_charging", "request_id": "stop"})
            await point.accepts("RemoteStopTransaction")
            heals_s = time.monotonic() - began
            assert (await s.app.until(request_id="stop"))["data"]["success"] is True
            await end(s._replace(point=point), charge, meter=5000)
    ended = ChargingSession.objects.get(pk=charge.session_id)
    assert (ended.status, ended.energy_wh) == ("completed", 4000)
    stored = ended.readings.filter(energy_wh__in=(2000, 3000)).count()
    record(
        "kill -9 of the charger's process, in mid-transaction",
        heals_s=heals_s,
        lost=2 - stored,
        doubled=transactions(s.charger) - 1,
        note="after the charger's redial, until the next command was with it",
    )
    assert (stored, transactions(s.charger)) == (2, 1)


async def test_owner_killed_in_mid_command(doomed: ServerProcess, other: ServerProcess) -> None:
    """E32: the app hears of it within COMMAND_TIMEOUT_S; the row ends as unknown, and never hangs."""
    async with scene(Site(apps=other, chargers=doomed)) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": "go"})
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        doomed.kill()
        began = time.monotonic()
        answer = (await s.app.until(request_id="go"))["data"]
        command = await eventually(Command.objects.filter(pk=message_id, finished_at__isnull=False).first)
        heals_s = time.monotonic() - began
    assert answer["code"] == "charger_timeout"
    assert (command.status, command.error) == ("unknown", "charger_offline")
    record(
        "kill -9 of the charger's process, in mid-command",
        heals_s=heals_s,
        note=f"until app and row had the end; at most 3 × PRESENCE_INTERVAL_S ({PRESENCE_INTERVAL_S}) and a sweep",
    )


async def test_apps_process_killed_in_mid_command(doomed: ServerProcess, other: ServerProcess) -> None:
    """E49: the command goes on without it; the app finds its session at the other process."""
    async with scene(Site(apps=doomed, chargers=other)) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}})
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        doomed.kill()
        began = time.monotonic()
        await s.point.answer(message_id, {"status": "Accepted"})
        async with wire.app(other.ws, token_of(s.user)) as app:
            state = (await app.until(type="active_session_update"))["data"]
            assert state["status"] == "pending"
            transaction_id = await s.point.start(id_tag=asked["idTag"], at=at())
            await app.until(event="session_started", transaction_id=transaction_id)
            heals_s = time.monotonic() - began
    await eventually(Command.objects.filter(pk=message_id, status="accepted").exists)
    session = ChargingSession.objects.get(charger=s.charger)
    assert (session.user_id, session.transaction_id) == (s.user.pk, transaction_id)
    record(
        "kill -9 of the app's process, in mid-command",
        heals_s=heals_s,
        doubled=transactions(s.charger) - 1,
        note="after the app's redial, until it heard that charging began",
    )


# --- a process that stands still ---


async def test_owner_stands_still_and_wakes(doomed: ServerProcess, other: ServerProcess) -> None:
    """E2: what was in its buffers when it stopped changes nothing when it wakes, and nobody is told of it."""
    sleeper = doomed
    async with scene(Site(apps=other, chargers=sleeper)) as s:
        charge = await begin(s)
        await s.point.status(1, "Charging")
        sleeper.process.send_signal(signal.SIGSTOP)
        slept = time.monotonic()
        # Without a time of its own: by the time of receipt it would be the newest.
        stale = {"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure"}
        late = [
            asyncio.create_task(s.point.request("StatusNotification", stale)),
            asyncio.create_task(s.point.request("Heartbeat", {})),
        ]
        await asyncio.sleep(0.2)
        async with redialled(other, s.charger) as point:
            heals_s = time.monotonic() - slept
            await point.status(1, "Charging")
            await point.meter(transaction=charge.transaction_id, at=at(), energy=3000)
            mine = owner_epoch(s.charger)
            await asyncio.sleep(max(0, STOPPED_S - (time.monotonic() - slept)))
            sleeper.process.send_signal(signal.SIGCONT)
            await s.point.closed()
            heard = await asyncio.gather(*late, return_exceptions=True)
            assert all(isinstance(each, ConnectionError | TimeoutError) for each in heard), heard
            await point.call("Heartbeat")
            assert owner_epoch(s.charger) == mine
            assert s.charger.connectors.get(number=1).status == "Charging"
            await end(s._replace(point=point), charge, meter=5000)
            await asyncio.sleep(2 * PRESENCE_INTERVAL_S)
            assert owner_epoch(s.charger) == mine
    record(
        f"SIGSTOP of the charger's process for {STOPPED_S:g} s, then SIGCONT",
        heals_s=heals_s,
        doubled=transactions(s.charger) - 1,
        note="after the charger's redial; what the sleeper still had changed nothing",
    )
    assert transactions(s.charger) == 1


async def test_owner_stands_still_within_a_write(other: ServerProcess) -> None:
    """E2: what it has locked is freed by the database, and it finds another owner when it goes on."""
    idle_s = 2
    options = f"?options=-c%20idle_in_transaction_session_timeout%3D{idle_s}s"
    with killed_in_the_end(ServerProcess(**QUICK, DATABASE_URL=database_url() + options)) as sleeper:
        charger = make_charger()
        async with wire.charger(sleeper.ws, charger.identity) as old:
            await old.ready()
            with transaction.atomic():
                Charger.objects.select_for_update().get(pk=charger.pk)
                late = asyncio.create_task(old.request("StatusNotification", {
                    "connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure",
                }))  # fmt: skip
                await asyncio.sleep(0.5)  # so that it waits within its transaction
                sleeper.process.send_signal(signal.SIGSTOP)
            slept = time.monotonic()
            async with redialled(other, charger) as point:
                heals_s = time.monotonic() - slept
                await point.status(1, "Charging")
                sleeper.process.send_signal(signal.SIGCONT)
                await old.closed()
                assert isinstance((await asyncio.gather(late, return_exceptions=True))[0], ConnectionError)
                assert await asyncio.to_thread(sleeper.stop) == 0  # whatever it was at is done then
                await point.call("Heartbeat")
                assert charger.connectors.get(number=1).status == "Charging"
    record(
        "SIGSTOP of the charger's process within a transaction of the database",
        heals_s=heals_s,
        note=f"with idle_in_transaction_session_timeout at {idle_s} s; it is 10 s by default",
    )


# --- database and bus ---


async def test_database_is_restarted_under_load(other: ServerProcess) -> None:
    """E22: what was acknowledged before is there; what comes meanwhile is not, and is heard again after."""
    acknowledged: list[int] = []
    async with scene(Site(apps=other, chargers=other)) as s:
        charge = await begin(s)
        epoch = owner_epoch(s.charger)[1]
        back_at, first_after = 0.0, 0.0

        async def report() -> None:
            nonlocal first_after
            for energy in range(2000, 100_000):
                while (await _meter(s.point, charge.transaction_id, energy))[0] != 3:
                    await asyncio.sleep(0.1)
                acknowledged.append(energy)
                if back_at and not first_after:
                    first_after = time.monotonic()
                await asyncio.sleep(0.02)

        reporting = asyncio.create_task(report())
        await eventually(lambda: len(acknowledged) > 20)
        await asyncio.to_thread(_restart_database)
        connection.close()  # ours was cut off, too
        back_at = time.monotonic()
        await eventually(lambda: first_after or reporting.done(), timeout_s=30)
        so_far = len(acknowledged)
        await eventually(lambda: len(acknowledged) > so_far + 20 or reporting.done())
        reporting.cancel()
        assert isinstance(
            (await asyncio.gather(reporting, return_exceptions=True))[0], asyncio.CancelledError
        )
        await end(s, charge, meter=200_000)
        assert owner_epoch(s.charger)[1] == epoch  # it never had to dial again
    stored = list(
        MeterReading.objects.filter(session_id=charge.session_id, energy_wh__in=acknowledged)
        .values_list("energy_wh", flat=True)
    )  # fmt: skip
    lost, doubled = len(set(acknowledged) - set(stored)), len(stored) - len(set(stored))
    record(
        "PostgreSQL restarted under load",
        heals_s=max(0.0, first_after - back_at),
        lost=lost,
        doubled=doubled + transactions(s.charger) - 1,
        note=f"after it was back; the charger's socket stayed, {len(acknowledged)} acknowledged messages",
    )
    assert (lost, doubled, transactions(s.charger)) == (0, 0, 1)


async def _meter(point: wire.FakeCharger, transaction_id: int, energy: int) -> list[Any]:
    sampled = [{"timestamp": at(energy / 1000), "sampledValue": [{"value": str(energy)}]}]
    payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": sampled}
    return await point.request("MeterValues", payload)


def _restart_database() -> None:
    with stopped(database_url()):
        time.sleep(1)


# --- the line between ---


async def test_charger_behind_a_line_that_is_cut(other: ServerProcess) -> None:
    """E4: nobody is told; the pings find it out, and the charger goes on when the line is there again."""
    with ExitStack() as leaving:
        try:
            host = leaving.enter_context(another_host())
        except OSError as error:
            why = f"no network namespace can be made here: {error}"
            if os.environ.get("CI"):
                pytest.fail(why)
            pytest.skip(why)
        pings = {"WS_PING_INTERVAL_S": 1, "WS_PING_TIMEOUT_S": 1}
        far = leaving.enter_context(killed_in_the_end(ServerProcess(**QUICK, **pings, HOST="0.0.0.0")))
        site = Site(apps=other, chargers=far)
        charger, user = make_charger(), make_user()
        line = host.connect(far.port)
        async with (
            wire.charger(site.charger_url, charger.identity, ping_interval=None, sock=line) as point,
            wire.app(site.app_url, token_of(user)) as app,
        ):
            await point.ready()
            await app.act("subscribe", {"charger_ids": [charger.identity]})
            transaction_id = await point.start(id_tag="CARD", at=at())
            host.cut()
            began = time.monotonic()
            offline = await app.until(type="charger_update", event="status_changed")
            found_s = time.monotonic() - began
            assert offline["data"]["status"] == "Offline"
            host.mend()
            began = time.monotonic()
            line = await asyncio.to_thread(host.connect, far.port)
            async with wire.charger(site.charger_url, charger.identity, sock=line) as again:
                await again.meter(transaction=transaction_id, at=at(), energy=2000)
                await again.stop(transaction=transaction_id, meter=3000, at=at(1))
                heals_s = time.monotonic() - began
            point.socket.transport.abort()
    session = ChargingSession.objects.get(charger=charger)
    assert (session.status, session.meter_stop_wh) == ("completed", 3000)
    record(
        "network cut between charger and server",
        heals_s=heals_s,
        doubled=transactions(charger) - 1,
        note=f"after the line was back; found out in {found_s:.1f} s, by pings every second",
    )
