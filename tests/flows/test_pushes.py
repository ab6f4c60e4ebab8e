"""What the server pushes to apps: every type, every field with its value, to whom, how often, and to nobody else."""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User

from chargers import commands
from chargers import services as charger_services
from chargers.events import Notification, publish, user_group
from chargers.models import Charger, Station
from gateway import subscriptions
from gateway.db import in_db
from gateway.server import Server, config, listening_socket
from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site
from tests.factories import (
    make_charger,
    make_id_tag,
    make_operator,
    make_station,
    make_tariff,
    make_user,
    token_of,
)
from tests.server_process import ServerProcess


def settled(message: dict[str, Any], *names: str) -> dict[str, Any]:
    """The message without its number, its own time, which must be there, and these fields, which must not be null."""
    rest = dict(message)
    rest.pop("seq", None)
    assert rest.pop("timestamp").endswith("Z")
    for name in names:
        assert rest["data"].pop(name) is not None
    return rest


async def drained(app: wire.App, seconds: float = 0.3) -> list[dict[str, Any]]:
    """Everything this socket has heard and not been asked about."""
    await app.quiet(seconds, type="none such")
    messages, app.passed[:] = app.passed[:], []
    return messages


async def session_event(app: wire.App, event: str) -> dict[str, Any]:
    message = await app.until(type="session_update", event=event)
    assert set(message) == {"type", "event", "session_id", "transaction_id", "data", "timestamp", "seq"}
    return message


# --- session_update ---


async def test_events_of_a_charge_in_order_with_their_values(site: Site) -> None:
    station = make_station(name="Harbour", address="Pier 1")
    make_tariff(stations=[station], price_per_kwh="0.50", price_per_minute="0.10", price_per_session="1")
    async with scene(site, station=station) as s:
        s.app.passed.clear()
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}})
        asked = await s.point.accepts("RemoteStartTransaction")
        answer = (await s.app.until(type="response"))["data"]
        appeared = s.app.passed.pop(0)
        assert (appeared["type"], appeared["has_active_session"]) == ("active_session_update", True)
        assert (appeared["data"]["session_id"], appeared["data"]["status"]) == (
            answer["session_id"],
            "pending",
        )
        begun = at(-95)
        transaction = await s.point.start(id_tag=asked["idTag"], meter=1000, at=begun)
        assert (await s.app.until(type="active_session_update"))["data"]["status"] == "active"
        started = await session_event(s.app, "session_started")
        assert settled(started) == {
            "type": "session_update",
            "event": "session_started",
            "session_id": answer["session_id"],
            "transaction_id": transaction,
            "data": {
                "charger_id": s.identity,
                "connector_id": 1,
                "id_tag": asked["idTag"],
                "meter_start": 1000,
                "start_time": begun,
            },
        }
        note = await s.app.until(type="notification")
        assert note["title"] == "Charging started"
        assert s.identity in note["message"]
        assert note["data"] == {"session_id": answer["session_id"], "charger_id": s.identity}

        measured = at(-5)
        await s.point.meter(
            transaction=transaction,
            at=measured,
            energy=3500,
            Power_Active_Import=7400,
            Voltage=230,
            Current_Import=32,
        )
        tick = await session_event(s.app, "meter_value")
        assert settled(tick) == {
            "type": "session_update",
            "event": "meter_value",
            "session_id": answer["session_id"],
            "transaction_id": transaction,
            "data": {
                "charger_id": s.identity,
                "connector_id": 1,
                "station_id": station.pk,
                "station_name": "Harbour",
                "station_address": "Pier 1",
                "energy_delivered": 2.5,
                "energy_consumed": 2.5,
                "energy_consumed_unit": "kWh",
                "power": 7.4,
                "output_power": 7.4,
                "output_power_unit": "kW",
                "voltage": 230.0,
                "current": 32.0,
                "meter_value": 3500,
                "charge_percentage": None,
                "time_remaining": None,
                "time_remaining_display": None,
                "charging_duration": 90,
                "charging_duration_display": "1 min",
                "cost": 2.4,  # 2.5 kWh × 0.50 + 1.5 min × 0.10 + 1
                "cost_currency": "EUR",
                "timestamp": measured,
            },
        }

        stopped = at(25)
        await s.point.stop(transaction=transaction, meter=5000, at=stopped, reason="EVDisconnected")
        assert settled(await session_event(s.app, "session_stopped")) == {
            "type": "session_update",
            "event": "session_stopped",
            "session_id": answer["session_id"],
            "transaction_id": transaction,
            "data": {
                "charger_id": s.identity,
                "connector_id": 1,
                "meter_stop": 5000,
                "energy_delivered": 4.0,
                "duration": 120,
                "stop_time": stopped,
                "stop_reason": "EVDisconnected",
            },
        }
        assert settled(await session_event(s.app, "session_completed")) == {
            "type": "session_update",
            "event": "session_completed",
            "session_id": answer["session_id"],
            "transaction_id": transaction,
            "data": {
                "charger_id": s.identity,
                "connector_id": 1,
                "meter_start": 1000,
                "meter_stop": 5000,
                "energy_delivered": 4.0,
                "duration": 120,
                "start_time": begun,
                "stop_time": stopped,
                "stop_reason": "EVDisconnected",
                "cost": 3.2,  # 4 kWh × 0.50 + 2 min × 0.10 + 1
                "cost_currency": "EUR",
            },
        }
        note = await s.app.until(type="notification")
        assert note["title"] == "Charging stopped"
        assert "4.00 kWh in 2 min" in note["message"]
        gone = await s.app.until(type="active_session_update")
        assert settled({**gone, "data": {}}) == {
            "type": "active_session_update",
            "has_active_session": False,
            "data": {},
        }
        assert gone["data"] is None
        rest = await drained(s.app)
        assert [each.get("state") for each in rest] == ["queued", "sent", "accepted", "effective"]


async def test_what_the_charger_does_not_say_is_null_and_never_0(site: Site) -> None:
    async with scene(site, station=None) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), Voltage=231.5)
        data = (await session_event(s.app, "meter_value"))["data"]
        known = {
            "charger_id",
            "connector_id",
            "energy_consumed_unit",
            "output_power_unit",
            "voltage",
            "charging_duration",
            "charging_duration_display",
            "timestamp",
        }
        assert {name for name, value in data.items() if value is not None} == known
        await s.point.stop(transaction=charge.transaction_id, meter=1000, at=at(), reason="Local")
        done = (await session_event(s.app, "session_completed"))["data"]
        assert done["energy_delivered"] == 0.0  # known, and nothing
        assert (done["cost"], done["cost_currency"]) == (None, None)


async def test_cost_is_null_while_the_energy_it_depends_on_is_unknown(site: Site) -> None:
    station = make_station()
    make_tariff(stations=[station], price_per_kwh="0.50")
    async with scene(site, station=station) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), Power_Active_Import=7000)
        data = (await session_event(s.app, "meter_value"))["data"]
        assert (data["energy_delivered"], data["cost"], data["cost_currency"]) == (None, None, "EUR")


async def test_percentage_and_time_remaining_where_the_car_tells_its_charge(site: Site) -> None:
    async with scene(site) as s:
        charge = await begin(s, started_at=at(-3700))

        async def told(seconds: float, soc: float | None) -> tuple[Any, Any, Any]:
            values: dict[str, Any] = {} if soc is None else {"SoC": soc}
            await s.point.meter(
                transaction=charge.transaction_id, at=at(seconds), energy=round(5000 + seconds), **values
            )
            data = (await session_event(s.app, "meter_value"))["data"]
            return data["charge_percentage"], data["time_remaining"], data["time_remaining_display"]

        assert await told(-3600, 40) == (40.0, None, None)  # no pace can be told from one value
        percent, seconds, display = await told(-1800, 50)  # 10 % in half an hour
        assert (percent, display) == (50.0, "2hr 30min")
        assert abs(seconds - 9000) <= 5
        percent, seconds, display = await told(-600, 90)
        assert (percent, display) == (90.0, "10 min")
        assert await told(0, None) == (None, None, None)
        session = (await s.app.act("get_active_session"))["session"]
        assert session["charge_percentage"] == 90.0


@pytest.mark.parametrize(
    ("seconds", "display"),
    [(0, "0 min"), (59, "0 min"), (60, "1 min"), (1200, "20 min"), (3600, "1hr 0min"), (8100, "2hr 15min")],
)
async def test_duration_as_a_person_reads_it(site: Site, seconds: int, display: str) -> None:
    async with scene(site) as s:
        charge = await begin(s, started_at="2026-03-01T10:00:00Z")
        hours, minutes = divmod(seconds // 60, 60)
        moment = f"2026-03-01T{10 + hours:02}:{minutes:02}:{seconds % 60:02}Z"
        await s.point.meter(transaction=charge.transaction_id, at=moment, energy=2000)
        data = (await session_event(s.app, "meter_value"))["data"]
        assert (data["charging_duration"], data["charging_duration_display"]) == (seconds, display)
        assert data["timestamp"] == moment  # the charger's


async def test_money_has_the_digits_of_its_currency(site: Site) -> None:
    station = make_station()
    make_tariff(stations=[station], currency="JPY", price_per_kwh=Decimal("33.3"))
    async with scene(site, station=station) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2000)
        await session_event(s.app, "meter_value")
        tick = next(json.loads(text) for text in s.app.heard if '"meter_value"' in text)
        assert '"cost":33,' in next(text for text in s.app.heard if '"meter_value"' in text)
        assert tick["data"]["cost_currency"] == "JPY"


async def test_session_error_says_why_and_frees_the_user(site: Site) -> None:
    async with scene(site) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}})
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        await s.point.answer(message_id, {"status": "Rejected"})
        error = await session_event(s.app, "session_error")
        assert error["transaction_id"] is None
        assert error["data"] == {"code": "charger_rejected", "message": "The charger refused to start"}
        note = await s.app.until(type="notification")
        assert (note["title"], note["message"]) == ("Charging did not start", "The charger refused to start")
        assert (await s.app.until(type="active_session_update"))["data"] is None


async def test_start_by_card_is_told_to_its_owner(site: Site) -> None:
    user = make_user()
    tag = make_id_tag(user=user)
    async with scene(site, user=user) as s:
        transaction = await s.point.start(id_tag=tag.value, at=at(), connector=2)
        state = await s.app.until(type="active_session_update")
        assert (state["data"]["status"], state["data"]["message_id"]) == ("active", None)
        started = await session_event(s.app, "session_started")
        assert (started["transaction_id"], started["data"]["connector_id"]) == (transaction, 2)
        assert (await s.app.act("get_active_session"))["session"]["transaction_id"] == transaction


# --- to whom ---


async def test_every_socket_of_the_user_hears_it_and_no_other_user_does(site: Site) -> None:
    stranger, operator = make_user(), make_operator()
    async with (
        scene(site) as s,
        wire.app(site.app_url, token_of(s.user)) as tablet,
        wire.app(site.app_url, token_of(stranger)) as other,
        wire.app(site.app_url, token_of(operator)) as watching,
    ):
        for app in (tablet, other, watching):
            await app.until(type="active_session_update")
            app.passed.clear()
        await watching.act("subscribe", {"all": True})  # of chargers one may hear, of others' sessions not
        await other.act("subscribe", {"charger_ids": [s.identity]})
        charge = await begin(s, app=tablet)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2000)
        await end(s, charge, app=tablet)
        for app in (s.app, tablet):
            await app.until(type="active_session_update", has_active_session=False)
            events = [json.loads(text).get("event") for text in app.heard]
            assert [event for event in events if event] == [
                "session_started",
                "meter_value",
                "session_stopped",
                "session_completed",
            ]
        for app in (other, watching):
            theirs = {message["type"] for message in await drained(app)}
            assert theirs <= {"charger_update", "charger_status_update", "charger_list_update"}


async def test_a_socket_that_opens_in_mid_session_gets_the_state_first_and_then_the_events(
    site: Site,
) -> None:
    async with scene(site) as s:
        charge = await begin(s, meter=1000)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=3000)
        async with wire.app(site.app_url, token_of(s.user)) as tablet:
            assert (await tablet.receive())["type"] == "connected"
            state = await tablet.receive()
            assert (state["type"], state["has_active_session"]) == ("active_session_update", True)
            assert state["data"]["session_id"] == charge.session_id
            assert state["data"]["energy_delivered"] == 2.0
            await s.point.meter(transaction=charge.transaction_id, at=at(), energy=4000)
            # The tick before may come again: it was on its way when the tablet joined, and says what the state said.
            while (tick := (await session_event(tablet, "meter_value"))["data"])["energy_delivered"] == 2.0:
                pass
            assert tick["energy_delivered"] == 3.0
            await s.point.status(2, "Preparing")  # the charger is watched from the beginning, too
            await tablet.until(type="charger_update", charger_id=s.identity)


async def test_events_never_overtake_the_greeting(site: Site) -> None:
    """Sockets that open while readings pour in: first `connected`, then the state, and no reading older than it."""
    async with scene(site) as s:
        charge = await begin(s, meter=0)

        async def pour() -> None:
            for number in range(1, 10_000):
                await s.point.meter(transaction=charge.transaction_id, at=at(), energy=number * 1000)

        async def beginning() -> list[dict[str, Any]]:
            async with wire.app(site.app_url, token_of(s.user), close_timeout=0.1) as tablet:
                return [await tablet.receive() for _ in range(5)]

        pouring = asyncio.create_task(pour())
        for _ in range(10):
            messages = await beginning()
            kinds = [message["type"] for message in messages]
            assert kinds == ["connected", "active_session_update", *["session_update"] * 3]
            energies = [message["data"]["energy_delivered"] for message in messages[2:]]
            assert energies == sorted(energies)
        pouring.cancel()


async def test_the_charger_one_charges_at_is_heard_without_asking_and_only_meanwhile(site: Site) -> None:
    async with scene(site) as s:
        await s.point.status(2, "Preparing")
        assert await s.app.quiet(0.3, charger_id=s.identity)
        charge = await begin(s)
        await s.point.status(2, "Available")
        update = await s.app.until(type="charger_update", charger_id=s.identity)
        assert update["data"]["connector_id"] == 2
        await s.app.until(type="charger_status_update", charger_id=s.identity)
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        await s.app.act("unsubscribe", {"charger_ids": [s.identity]})
        await s.point.status(2, "Preparing")  # still one's own
        await s.app.until(type="charger_update", charger_id=s.identity)
        await end(s, charge)
        await s.app.until(type="active_session_update", has_active_session=False)
        await drained(s.app)
        await s.point.status(2, "Available")
        assert await s.app.quiet(0.3, charger_id=s.identity)


async def test_a_subscription_outlives_the_session(site: Site) -> None:
    async with scene(site) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        charge = await begin(s)
        await end(s, charge)
        await s.app.until(type="active_session_update", has_active_session=False)
        await drained(s.app)
        await s.point.status(2, "Preparing")
        await s.app.until(type="charger_update", charger_id=s.identity)
        assert len([m for m in await drained(s.app) if m["type"] == "charger_update"]) == 0  # once


# --- charger_update and charger_status_update ---


async def test_status_of_a_connector_and_of_the_charger(site: Site) -> None:
    station = make_station()
    async with scene(site, station=station) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        moment = at()
        await s.point.status(1, "Preparing", timestamp=moment)
        change = await s.app.until(type="charger_update")
        assert settled(change) == {
            "type": "charger_update",
            "charger_id": s.identity,
            "event": "connector_status_changed",
            "data": {
                "connector_id": 1,
                "status": "Preparing",
                "previous_status": "Available",
                "error_code": None,
                "timestamp": moment,
            },
        }
        update = await s.app.until(type="charger_status_update")
        for connector in update["data"]["connector_status"]:
            assert connector.pop("updated_at")
            assert connector.pop("since")
        assert settled(update, "timestamp", "last_seen", "status_at") == {
            "type": "charger_status_update",
            "station_id": station.pk,
            "charger_id": s.identity,
            "status": "available",
            "data": {
                "connected": True,
                "total_connectors": 2,
                "available_connectors": 1,
                "connectors_in_use": 1,
                "connectors_unavailable": 0,
                "display": "1/2",
                "connector_status": [
                    {"connector_id": 1, "status": "Preparing", "error_code": None, "stuck": None},
                    {"connector_id": 2, "status": "Available", "error_code": None, "stuck": None},
                ],
                "station_status": "available",
                "is_under_maintenance": False,
                "maintenance_reason": None,
            },
        }
        await s.point.status(0, "Unavailable")
        change = await s.app.until(type="charger_update")
        assert (change["event"], change["data"]["connector_id"]) == ("status_changed", None)
        assert (change["data"]["status"], change["data"]["previous_status"]) == ("Unavailable", "Available")
        update = await s.app.until(type="charger_status_update")
        assert (update["status"], update["data"]["display"]) == ("unavailable", None)
        await s.point.status(0, "Unavailable")  # said again: nothing has changed
        assert await s.app.quiet(0.3, charger_id=s.identity)


@pytest.mark.parametrize(
    ("statuses", "colour", "display", "counts"),
    [
        (("Available", "Available", "Available"), "available", "3/3", (3, 0, 0)),
        (("Available", "Charging", "Faulted"), "available", "1/3", (1, 1, 1)),
        (("Charging", "SuspendedEV", "Finishing"), "in_use", "0/3", (0, 3, 0)),
        (("Preparing", "Reserved", "Unavailable"), "in_use", "0/3", (0, 2, 1)),
        (("Faulted", "Unavailable", "Faulted"), "unavailable", None, (0, 0, 3)),
    ],
)
async def test_colours_of_the_map(
    site: Site,
    statuses: tuple[str, ...],
    colour: str,
    display: str | None,
    counts: tuple[int, int, int],
) -> None:
    async with scene(site, connectors=3) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        await s.point.status(1, "SuspendedEVSE")  # so that each of the following is a change
        await s.point.status(3, "SuspendedEVSE")
        for number, status in enumerate(statuses, 1):
            await s.point.status(number, status)
        while True:
            update = await s.app.until(type="charger_status_update")
            data = update["data"]
            if tuple(connector["status"] for connector in data["connector_status"]) == statuses:
                break
        assert (update["status"], data["station_status"], data["display"]) == (colour, colour, display)
        assert counts == (
            data["available_connectors"],
            data["connectors_in_use"],
            data["connectors_unavailable"],
        )


async def test_an_error_is_told_besides_the_status(site: Site) -> None:
    async with scene(site) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        await s.point.status(1, "Faulted", errorCode="GroundFailure")
        first, second = [await s.app.until(type="charger_update") for _ in range(2)]
        assert [first["event"], second["event"]] == ["connector_status_changed", "error"]
        assert first["data"] == second["data"]
        assert first["data"]["error_code"] == "GroundFailure"
        update = await s.app.until(type="charger_status_update")
        assert update["data"]["connector_status"][0]["error_code"] == "GroundFailure"
        await s.point.status(1, "Available")
        assert (await s.app.until(type="charger_update"))["data"]["previous_status"] == "Faulted"


async def test_coming_and_going_of_a_charger_is_a_status_too(site: Site) -> None:
    charger = make_charger()
    async with wire.app(site.app_url, token_of(make_user())) as app:
        await app.act("subscribe", {"charger_ids": [charger.identity]})
        async with wire.charger(site.charger_url, charger.identity):
            came = await app.until(type="charger_update")
            assert (came["event"], came["data"]["previous_status"]) == ("status_changed", "Offline")
            assert (await app.until(type="charger_status_update"))["status"] == "available"
        left = await app.until(type="charger_update")
        assert (left["event"], left["data"]["status"]) == ("status_changed", "Offline")
        update = await app.until(type="charger_status_update")
        assert (update["status"], update["data"]["display"]) == ("unavailable", None)


# --- what operators do ---


class Inside(NamedTuple):
    """A server in this very process, so that what a test does as an operator is told on the server's own bus."""

    app_url: str
    charger_url: str


@pytest.fixture(scope="module")
async def inside(committed: None) -> AsyncIterator[Inside]:
    listener = listening_socket("127.0.0.1", 0)
    port = listener.getsockname()[1]
    started = asyncio.Event()
    server = Server(config(host="127.0.0.1", port=port), started.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await started.wait()
    url = f"ws://127.0.0.1:{port}"
    yield Inside(url, url)
    server.should_exit = True
    await serving


async def test_a_changed_configuration_key_is_told(inside: Inside) -> None:
    async with scene(inside) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        await in_db(
            commands.send_command,
            charger=await in_db(Charger.objects.get, pk=s.charger.pk),
            action=commands.CHANGE_CONFIGURATION,
            params={"key": "HeartbeatInterval", "value": "60"},
        )
        assert await s.point.accepts("ChangeConfiguration") == {"key": "HeartbeatInterval", "value": "60"}
        update = await s.app.until(type="charger_update")
        assert settled(update, "timestamp") == {
            "type": "charger_update",
            "charger_id": s.identity,
            "event": "configuration_changed",
            "data": {"key": "HeartbeatInterval", "value": "60"},
        }


async def test_maintenance_is_told_with_its_reason(inside: Inside) -> None:
    station = make_station()
    async with scene(inside, station=station) as s:
        await s.app.act("subscribe", {"station_ids": [station.pk]})

        async def told(is_under_maintenance: bool, reason: str) -> tuple[dict[str, Any], dict[str, Any]]:
            await in_db(
                charger_services.set_maintenance,
                station=station,
                is_under_maintenance=is_under_maintenance,
                reason=reason,
            )
            return await s.app.until(type="charger_update"), await s.app.until(type="charger_status_update")

        update, colour = await told(True, "New cables")
        assert settled(update, "timestamp") == {
            "type": "charger_update",
            "charger_id": s.identity,
            "event": "maintenance_mode",
            "data": {"is_under_maintenance": True, "maintenance_reason": "New cables"},
        }
        assert (colour["status"], colour["data"]["display"]) == ("unavailable", None)
        assert colour["data"]["is_under_maintenance"] is True
        assert colour["data"]["maintenance_reason"] == "New cables"
        update, colour = await told(False, "")
        assert update["data"]["is_under_maintenance"] is False
        assert update["data"]["maintenance_reason"] is None
        assert (colour["status"], colour["data"]["display"]) == ("available", "2/2")


async def test_a_charger_added_and_removed_is_told_to_all_and_to_its_station(inside: Inside) -> None:
    station = make_station(name="Harbour", address="Pier 1", latitude=52.5, longitude=4.25)
    token = token_of(make_user())
    async with wire.app(inside.app_url, token) as everywhere, wire.app(inside.app_url, token) as here:
        await everywhere.act("subscribe", {"all": True, "station_ids": [station.pk]})
        await here.act("subscribe", {"station_ids": [station.pk]})
        charger = make_charger(station=station, connectors=1)
        await in_db(charger_services.announce_added, charger)
        for app in (everywhere, here):
            added = await app.until(type="charger_list_update")
            assert settled(added) == {
                "type": "charger_list_update",
                "action": "added",
                "data": {
                    "chargers": [
                        {
                            "station_id": station.pk,
                            "station_name": "Harbour",
                            "location": {"latitude": 52.5, "longitude": 4.25, "address": "Pier 1"},
                            "chargers": [
                                {
                                    "charger_id": charger.identity,
                                    "status": "unavailable",
                                    "status_at": None,
                                    "connected": False,
                                    "last_seen": None,
                                    "display": None,
                                    "connectors": [
                                        {
                                            "connector_id": 1,
                                            "status": "Offline",
                                            "error_code": None,
                                            "since": None,
                                            "updated_at": None,
                                            "stuck": None,
                                        }
                                    ],
                                }
                            ],
                            "total_connectors": 1,
                            "available_connectors": 0,
                            "display": None,
                        }
                    ]
                },
            }
        async with wire.charger(inside.charger_url, charger.identity) as point:
            await everywhere.until(type="charger_update", charger_id=charger.identity)
            present = await in_db(Charger.objects.get, pk=charger.pk)
            await in_db(charger_services.announce_removed, present)
            removed = await everywhere.until(type="charger_list_update")
            assert removed["action"] == "removed"
            [group] = removed["data"]["chargers"]
            assert [each["charger_id"] for each in group["chargers"]] == [charger.identity]
            assert group["display"] == "1/1"
            assert await point.closed() == (1000, "This charger was removed")
        assert (await here.until(type="charger_list_update"))["action"] == "removed"
        assert await everywhere.quiet(0.3, type="charger_list_update")  # once, though in two groups


async def test_what_changes_while_the_state_is_read_comes_after_it(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = subscriptions._states

    def read_slowly(*args: Any) -> Any:
        states = read(*args)
        charger_services.record_connector_status(charger_id=s.charger.pk, number=1, status="Charging")
        time.sleep(0.2)  # the event is at the socket before the answer
        return states

    async with scene(inside) as s:
        monkeypatch.setattr(subscriptions, "_states", read_slowly)
        await s.app.send({"action": "subscribe", "data": {"charger_ids": [s.identity]}})
        kinds = [await s.app.receive() for _ in range(3)]
        assert [each["type"] for each in kinds] == ["response", "charger_update", "charger_status_update"]
        assert kinds[0]["data"]["chargers"][0]["display"] == "2/2"
        assert kinds[2]["data"]["display"] == "1/2"


async def test_a_charger_that_moves_leaves_one_area_of_the_map_and_comes_into_another(
    inside: Inside,
) -> None:
    old, new = make_station(latitude=48.1, longitude=11.5), make_station(latitude=50.1, longitude=8.6)
    charger = make_charger(station=old)

    def around(station: Station) -> dict[str, Any]:
        latitude, longitude = station.latitude or 0, station.longitude or 0
        return {
            "bbox": {
                "south": latitude - 0.1,
                "west": longitude - 0.1,
                "north": latitude + 0.1,
                "east": longitude + 0.1,
            }
        }

    token = token_of(make_user())
    async with wire.app(inside.app_url, token) as there, wire.app(inside.app_url, token) as here:
        await there.act("subscribe", around(old))
        await here.act("subscribe", around(new))
        charger.station = new
        charger.save()
        await in_db(charger_services.announce_moved, charger, before=old)
        removed = await there.until(type="charger_list_update")
        added = await here.until(type="charger_list_update")
        assert (removed["action"], added["action"]) == ("removed", "added")
        [place] = added["data"]["chargers"]
        assert (place["station_id"], place["location"]["latitude"]) == (new.pk, 50.1)
        assert await there.quiet(0.2, type="charger_list_update")


async def test_an_operators_message_reaches_one_user(inside: Inside) -> None:
    user, other = make_user(), make_user()
    async with (
        wire.app(inside.app_url, token_of(user)) as app,
        wire.app(inside.app_url, token_of(other)) as elsewhere,
    ):
        for each in (app, elsewhere):
            await each.until(type="active_session_update")
        note = Notification(title="Closing soon", message="The car park closes at 22:00.", data={"a": 1})
        await in_db(publish, note, [user_group(user.pk)])
        assert settled(await app.until(type="notification")) == {
            "type": "notification",
            "title": "Closing soon",
            "message": "The car park closes at 22:00.",
            "data": {"a": 1},
        }
        assert await elsewhere.quiet(0.2, type="notification")


# --- clients that misbehave ---


# Updates of a charger with 100 connectors have 8 KB each: so many fill every buffer on the way to a deaf client.
MANY, CONNECTORS = 300, 100


@asynccontextmanager
async def deaf(server: ServerProcess, token: str) -> AsyncIterator[wire.App]:
    """A client that has subscribed to everything and never reads; its own buffer is as small as can be."""
    receiver = socket.socket()
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    receiver.connect(("127.0.0.1", server.port))
    receiver.setblocking(False)
    async with wire.app(server.ws, token, sock=receiver, close_timeout=0.1, ping_interval=None) as app:
        await app.act("subscribe", {"all": True})
        app.socket.transport.pause_reading()
        yield app


async def test_clients_that_never_read_do_no_harm_to_others_and_are_let_go(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(WS_PING_INTERVAL_S=7, WS_PING_TIMEOUT_S=1)
    reader, sleeper = make_user(), make_user()
    async with (
        scene(Site(server, server), user=reader, connectors=CONNECTORS) as s,
        deaf(server, token_of(sleeper)),
        deaf(server, token_of(reader)),
    ):
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        listening = asyncio.create_task(_displays(s.app, MANY))
        for number in range(MANY):
            await s.point.status(1, "Preparing" if number % 2 == 0 else "Available")
        assert await asyncio.wait_for(listening, 5) == ["99/100", "100/100"] * (MANY // 2)
        await end(s, await begin(s))
        # Those who may stay no longer are sent away, whoever of them does not read.
        async with wire.app(server.ws, token_of(sleeper)) as awake:
            await awake.until(type="active_session_update")
            User.objects.filter(pk__in=[sleeper.pk, reader.pk]).update(is_active=False)
            for app in (awake, s.app):
                assert await app.closed(6) == (1008, "Invalid authentication token")
        # The deaf ones never answer a ping; their full buffers do not keep them alive.
        async with asyncio.timeout(15):
            while _sockets(server):
                await asyncio.sleep(0.2)
    server.stop()
    assert "Traceback" not in server.log


async def _displays(app: wire.App, count: int) -> list[str]:
    updates = [await app.until(20, type="charger_status_update") for _ in range(count)]
    return [update["data"]["display"] for update in updates]


def _sockets(server: ServerProcess) -> float:
    figures = server.get("/metrics")[1]
    return float(re.findall(r'evcharge_ws_connections{role="apps"} (\S+)', figures)[0])


async def test_clients_that_vanish_while_events_come_leave_no_trace_in_the_log(site: Site) -> None:
    before = {server: len(server.log) for server in site}
    async with scene(site) as s:
        for _ in range(10):
            async with wire.app(site.app_url, token_of(s.user)) as app:
                await app.act("subscribe", {"all": True})
                for status in ("Preparing", "Available") * 3:
                    await s.point.status(1, status)
                app.socket.transport.abort()
                await s.point.status(1, "Finishing")
        await s.app.act("ping")
    for server, length in before.items():
        assert "Traceback" not in server.log[length:]
