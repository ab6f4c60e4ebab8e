"""Transactions over the wire: twice, late, out of order, without a start, without an end; and starts from apps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections

from chargers.events import utcnow
from chargers.models import Charger, Command
from gateway.db import call_service
from sessions import ledger
from sessions.models import ChargingSession, MeterReading
from tests import wire
from tests.charge import Scene, at, begin, scene
from tests.conftest import Site
from tests.factories import make_charger, make_id_tag, make_tariff, make_user, token_of, unique
from tests.server_process import ServerProcess
from tests.wire import eventually


@pytest.fixture(scope="module")
def brisk(committed: None) -> Iterator[ServerProcess]:
    """A server that waits a second for an answer and two for a transaction."""
    server = ServerProcess(COMMAND_TIMEOUT_S=1, START_TIMEOUT_S=2)
    yield server
    server.stop()


class Here:
    """One server as a Site, for `scene`."""

    def __init__(self, server: ServerProcess) -> None:
        self.app_url = self.charger_url = server.ws


@asynccontextmanager
async def charger_of(site: Any, **fields: Any) -> AsyncIterator[wire.FakeCharger]:
    async with wire.charger(site.charger_url, make_charger(**fields).identity) as point:
        yield point


def sessions_at(point: wire.FakeCharger) -> list[ChargingSession]:
    return list(ChargingSession.objects.filter(charger__identity=point.identity).order_by("pk"))


def session_of(transaction_id: int) -> ChargingSession:
    return ChargingSession.objects.get(transaction_id=transaction_id)


def start_of(id_tag: str, **fields: Any) -> dict[str, Any]:
    return {"connectorId": 1, "idTag": id_tag, "meterStart": 1000, "timestamp": at(), **fields}


async def tap(s: Scene, app: wire.App | None = None, connector: int = 1, request_id: Any = "tap") -> None:
    wish = {"charger_id": s.identity, "connector_id": connector}
    await (app or s.app).send({"action": "start_charging", "data": wish, "request_id": request_id})


async def answer_to(app: wire.App, request_id: Any = "tap") -> dict[str, Any]:
    return (await app.until(request_id=request_id))["data"]


def told(app: wire.App, **fields: Any) -> list[dict[str, Any]]:
    """What the app heard while it waited for something else."""
    return [m for m in app.passed if all(m.get(name) == value for name, value in fields.items())]


async def hush(app: wire.App) -> None:
    """A round trip through the app's server: what was pushed before has arrived and stands in `passed`."""
    await app.act("get_active_session")
    await app.quiet(0.1, type="no such thing")


# --- the same news twice ---


async def test_a_start_told_again_is_the_same_transaction(site: Site) -> None:
    """E21: with a new message id, on a new connection, and after its stop"""
    start = start_of("CARD")
    async with charger_of(site) as point:
        first = await point.call("StartTransaction", start)
        assert await point.call("StartTransaction", start) == first
    async with wire.charger(site.charger_url, point.identity) as point:
        assert await point.call("StartTransaction", start) == first
        await point.stop(transaction=first["transactionId"], meter=2000, at=at())
        assert await point.call("StartTransaction", start) == first
        (session,) = sessions_at(point)
        assert session.status == "completed"


async def test_a_start_told_again_after_a_restart_of_the_server_is_the_same_transaction(
    start_server: Callable[..., ServerProcess],
) -> None:
    """E21, E22: the server is killed right after its answer; what it acknowledged is there"""
    first_server = start_server()
    start, charger = start_of("CARD"), make_charger()
    async with wire.charger(first_server.ws, charger.identity) as point:
        first = await point.call("StartTransaction", start)
        first_server.kill()
    session = session_of(first["transactionId"])
    assert (session.status, session.meter_start_wh) == ("active", 1000)
    second_server = start_server()
    async with wire.charger(second_server.ws, charger.identity) as point:
        assert await point.call("StartTransaction", start) == first
        await point.meter(transaction=first["transactionId"], at=at(), energy=1500)
        stopped = await point.request(
            "StopTransaction", {"transactionId": first["transactionId"], "meterStop": 2000, "timestamp": at()}
        )
        second_server.kill()
    assert stopped[0] == 3
    session.refresh_from_db()
    assert (session.status, session.energy_wh, session.readings.count()) == ("completed", 1000, 1)


async def test_a_start_without_a_time_told_again_is_the_same_while_it_runs(site: Site) -> None:
    """E21"""
    async with charger_of(site) as point:
        start = start_of("CARD")
        del start["timestamp"]
        first = await point.call("StartTransaction", start)
        assert await point.call("StartTransaction", start) == first
        await point.stop(transaction=first["transactionId"], meter=2000, at=at())
        assert (await point.call("StartTransaction", start))["transactionId"] != first["transactionId"]


async def test_a_stop_told_again_counts_once(site: Site) -> None:
    """E27: energy, cost and pushes"""
    async with scene(site) as s:
        make_tariff(stations=[s.charger.station], price_per_kwh="0.5")
        charge = await begin(s)
        stop = {
            "transactionId": charge.transaction_id,
            "meterStop": 5000,
            "timestamp": at(),
            "reason": "Local",
        }
        await s.point.call("StopTransaction", stop)
        await s.app.until(event="session_completed")
        await hush(s.app)
        first = session_of(charge.transaction_id)
        assert await s.point.call("StopTransaction", stop) == {}
        await s.point.call("StopTransaction", {**stop, "meterStop": 9000, "timestamp": at(60)})
        s.app.passed.clear()
        await hush(s.app)
        assert not told(s.app, type="session_update") and not told(s.app, type="notification")
        again = session_of(charge.transaction_id)
        assert (again.energy_wh, again.cost, again.updated_at) == (4000, first.cost, first.updated_at)
        assert str(again.cost) == "2.000"


# --- two at once ---


async def test_two_connectors_started_at_once_have_their_own_transactions_and_drivers(site: Site) -> None:
    """E23"""
    async with scene(site) as s, wire.app(site.app_url, token_of(other := make_user())) as second:
        await tap(s, connector=1)
        await tap(s, second, connector=2)
        tags = {}
        for _ in range(2):
            asked = await s.point.accepts("RemoteStartTransaction")
            tags[asked["connectorId"]] = asked["idTag"]
        assert (await answer_to(s.app))["success"] and (await answer_to(second))["success"]
        moment = at()
        first, then = await asyncio.gather(
            s.point.start(connector=1, id_tag=tags[1], at=moment),
            s.point.start(connector=2, id_tag=tags[2], at=moment),
        )
        assert first != then
        assert (session_of(first).user, session_of(then).user) == (s.user, other)
        assert (await s.app.until(event="session_started"))["transaction_id"] == first
        assert (await second.until(event="session_started"))["transaction_id"] == then
        await s.point.meter(transaction=first, connector=1, at=at(), energy=2000)
        await s.point.meter(transaction=then, connector=2, at=at(), energy=3000)
        assert (await s.app.until(event="meter_value"))["data"]["energy_delivered"] == 1.0
        assert (await second.until(event="meter_value"))["data"]["energy_delivered"] == 2.0


# --- tags that may not charge ---


@pytest.mark.parametrize("kind", ["unknown", "blocked", "expired", "parent blocked"])
async def test_a_start_by_a_tag_that_may_not_is_stored_with_all_that_follows(site: Site, kind: str) -> None:
    """E24: OCPP 1.6 §4.8, errata 3.17"""
    fields: dict[str, Any] = {"unknown": None, "blocked": {"is_blocked": True}}.get(kind, {})  # type: ignore[assignment]
    if kind == "expired":
        fields = {"expires_at": utcnow() - timedelta(days=1)}
    elif kind == "parent blocked":
        fields = {"parent": make_id_tag(is_blocked=True)}
    tag = unique("TAG") if fields is None else make_id_tag(user=make_user(), **fields).value
    word = {"unknown": "Invalid", "expired": "Expired"}.get(kind, "Blocked")
    async with charger_of(site) as point:
        assert await point.call("Authorize", {"idTag": tag}) == {"idTagInfo": {"status": word}}
        answer = await point.call("StartTransaction", start_of(tag))
        assert answer["idTagInfo"] == {"status": word}
        transaction = answer["transactionId"]
        assert transaction > 0
        await point.meter(transaction=transaction, at=at(), energy=1500)
        # What a charger may remember of the tag is not that it is welcome.
        stopped = await point.stop(
            transaction=transaction, meter=1600, at=at(), reason="DeAuthorized", idTag=tag
        )
        assert stopped == {"idTagInfo": {"status": word}}
        session = session_of(transaction)
        assert (session.status, session.energy_wh, session.id_tag_status) == ("completed", 600, word)
        assert session.readings.count() == 1


@pytest.mark.parametrize("padding", ["", "\0\0", "  ", "\n"])
async def test_a_tag_matches_in_either_case_and_with_padding(site: Site, padding: str) -> None:
    """E40"""
    user = make_user()
    tag = make_id_tag(user=user).value
    async with charger_of(site) as point:
        told = tag.lower() + padding
        assert (await point.call("Authorize", {"idTag": told}))["idTagInfo"]["status"] == "Accepted"
        answer = await point.call("StartTransaction", start_of(told))
        assert answer["idTagInfo"]["status"] == "Accepted"
        assert session_of(answer["transactionId"]).user == user


async def test_a_stop_by_another_tag_of_the_group_is_accepted(site: Site) -> None:
    """E40: OCPP 1.6 §4.10. A charger that did not ask learns of the group by the answer to the start."""
    parent = make_id_tag()
    one, two = make_id_tag(parent=parent).value, make_id_tag(parent=parent).value
    told = {"status": "Accepted", "parentIdTag": parent.value}
    async with charger_of(site) as point:
        start = {"connectorId": 1, "idTag": one, "meterStart": 1000, "timestamp": at()}
        started = await point.call("StartTransaction", start)
        assert started["idTagInfo"] == told
        transaction = started["transactionId"]
        stopped = await point.stop(transaction=transaction, meter=1500, at=at(), idTag=two.lower())
        assert stopped == {"idTagInfo": told}
        assert session_of(transaction).energy_wh == 500


# --- transactions without a number ---


@pytest.mark.parametrize("number", [-1, 0, 987654321, None])
async def test_meter_values_without_a_known_number_join_the_open_session(
    site: Site, number: int | None
) -> None:
    """E25: errata 3.18"""
    async with scene(site) as s:
        charge = await begin(s)
        await s.point.meter(transaction=number, at=at(), energy=3000)
        assert (await s.app.until(event="meter_value"))["session_id"] == charge.session_id
        session = session_of(charge.transaction_id)
        assert session.readings.count() == 1
        assert session.flags == ([] if number is None else ["reconciled"])


@pytest.mark.parametrize("number", [-1, 0, 987654321])
async def test_a_stop_without_a_known_number_ends_the_session_it_must_mean(site: Site, number: int) -> None:
    """E25"""
    async with charger_of(site) as point:
        cards = [unique("CARD") for _ in range(2)]
        first = await point.start(connector=1, id_tag=cards[0], meter=100, at=at())
        second = await point.start(connector=2, id_tag=cards[1], meter=200, at=at())
        await point.stop(transaction=number, meter=700, at=at(), idTag=cards[1])
        assert session_of(first).status == "active"
        ended = session_of(second)
        assert (ended.status, ended.energy_wh, ended.flags) == ("completed", 500, ["reconciled"])
        # Without a tag too, where only one can be meant.
        await point.stop(transaction=number, meter=800, at=at())
        ended = session_of(first)
        assert (ended.status, ended.energy_wh, ended.flags) == ("completed", 700, ["reconciled"])
        assert len(sessions_at(point)) == 2


@pytest.mark.parametrize(
    "oddity",
    [
        {"timestamp": at(-7200)},  # it ended before the open one began
        {"meterStop": 50},  # its register is below the open one's start
        {"idTag": "SOMEBODYELSE"},
    ],
)
async def test_a_stop_that_cannot_mean_the_open_session_leaves_it_alone(
    site: Site, oddity: dict[str, Any]
) -> None:
    """E25, E26"""
    async with charger_of(site) as point:
        running = await point.start(id_tag=unique("CARD"), meter=100, at=at())
        stop = {"transactionId": 987654321, "meterStop": 700, "timestamp": at(), **oddity}
        await point.call("StopTransaction", stop)
        assert session_of(running).status == "active"
        assert sessions_at(point)[-1].flags[0] == "recovered"


async def test_a_stop_taken_for_the_wrong_session_is_put_right_by_its_own(site: Site) -> None:
    """E25: money is not lost by a guess"""
    async with charger_of(site) as point:
        transaction = await point.start(id_tag=unique("CARD"), meter=100, at=at())
        await point.stop(transaction=-1, meter=300, at=at())
        assert session_of(transaction).energy_wh == 200
        await point.stop(transaction=transaction, meter=5100, at=at(1), reason="EVDisconnected")
        session = session_of(transaction)
        assert (session.energy_wh, session.stop_reason) == (5000, "EVDisconnected")


async def test_a_stop_without_any_start_is_kept_as_a_recovered_session(site: Site) -> None:
    """E26, E27: once, however often it is told"""
    user = make_user()
    tag = make_id_tag(user=user).value
    async with charger_of(site) as point:
        stop = {
            "transactionId": 987654321,
            "meterStop": 5000,
            "timestamp": "2026-03-01T10:00:00Z",
            "idTag": tag,
        }
        stop["transactionData"] = [{"timestamp": "2026-03-01T09:59:00Z", "sampledValue": [{"value": "4900"}]}]
        for _ in range(3):
            assert await point.call("StopTransaction", stop) == {"idTagInfo": {"status": "Accepted"}}
        (session,) = sessions_at(point)
        assert (session.status, session.user, session.meter_stop_wh) == ("completed", user, 5000)
        assert "recovered" in session.flags and "late" in session.flags
        assert [reading.energy_wh for reading in session.readings.all()] == [4900]


# --- late news ---


def clock(minutes: float) -> str:
    """A moment of three hours ago and some minutes."""
    return (utcnow() - timedelta(hours=3) + timedelta(minutes=minutes)).isoformat()


async def test_a_replay_hours_later_has_the_chargers_times_and_starts_nothing_now(site: Site) -> None:
    """E28: OCPP 1.6 §3.7"""
    user = make_user()
    tag = make_id_tag(user=user).value
    charger = make_charger()
    make_tariff(stations=[charger.station], price_per_kwh="0.5", price_per_minute="0.01")
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token_of(user)) as app,
    ):
        await app.act("subscribe", {"charger_ids": [charger.identity]})
        await point.boot()
        await point.status(1, "Available", timestamp=at())
        began, ended = clock(0), clock(60)
        await point.status(1, "Charging", timestamp=began)
        transaction = await point.start(id_tag=tag, meter=1000, at=began)
        await point.meter(transaction=transaction, at=clock(30), energy=3000)
        await point.stop(transaction=transaction, meter=5000, at=ended)
        await point.status(1, "Finishing", timestamp=ended)
        await hush(app)
    session = session_of(transaction)
    assert session.started_at and session.stopped_at
    assert (session.started_at.isoformat(), session.stopped_at.isoformat()) == (began, ended)
    assert (session.start_reported, session.stop_reported) == (began, ended)
    assert (session.status, session.energy_wh, str(session.cost)) == ("completed", 4000, "2.600")
    assert session.flags == ["late"]
    assert not told(app, event="session_started") and not told(app, type="notification")
    assert [m["data"]["status"] for m in told(app, type="charger_update") if m["data"]["connector_id"]] == []
    assert charger.connectors.get(number=1).status == "Available"


async def test_a_replayed_transaction_does_not_end_the_one_that_runs_now(site: Site) -> None:
    """E28, E29: some chargers tell the live one first and empty their queue afterwards"""
    async with scene(site) as s:
        charge = await begin(s, meter=9000)
        began, ended = clock(0), clock(60)
        old = await s.point.start(id_tag=unique("CARD"), meter=1000, at=began)
        assert session_of(charge.transaction_id).status == "active"
        await s.point.meter(transaction=old, at=clock(30), energy=3000)
        await s.point.stop(transaction=old, meter=5000, at=ended)
        session = session_of(old)
        assert session.stopped_at and session.stopped_at.isoformat() == ended
        assert (session.status, session.energy_wh) == ("completed", 4000)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=9500)
        assert (await s.app.until(event="meter_value"))["data"]["energy_delivered"] == 0.5


async def test_an_old_report_of_a_free_connector_does_not_call_off_a_start(brisk: ServerProcess) -> None:
    """E28, E32"""
    async with scene(Here(brisk)) as s:
        Charger.objects.get(pk=s.charger.pk).connectors.update(status_at=utcnow() - timedelta(days=1))
        await tap(s)
        await s.point.asked("RemoteStartTransaction")
        assert (await answer_to(s.app))["code"] == "charger_timeout"
        await s.point.status(1, "Available", timestamp=clock(0))
        assert ChargingSession.objects.get(user=s.user).status == "pending"


# --- an end that never came, and news of the ended ---


async def test_a_new_start_supersedes_the_open_session_which_stays_billable(site: Site) -> None:
    """E29"""
    async with scene(site) as s:
        make_tariff(stations=[s.charger.station], price_per_kwh="0.5")
        charge = await begin(s)
        measured = utcnow().isoformat()
        await s.point.meter(transaction=charge.transaction_id, at=measured, energy=4000)
        new = await s.point.start(id_tag=unique("CARD"), meter=4100, at=at(1))
        done = await s.app.until(event="session_completed")
        assert done["session_id"] == charge.session_id
        assert (done["data"]["energy_delivered"], done["data"]["cost"]) == (3.0, 1.5)
        old = session_of(charge.transaction_id)
        assert (old.status, old.flags, str(old.cost)) == ("completed", ["superseded"], "1.500")
        assert old.stopped_at and old.stopped_at.isoformat() == measured
        assert session_of(new).status == "active"
        # Its own stop, when it comes after all, has the last word.
        await s.point.stop(transaction=charge.transaction_id, meter=4100, at=at())
        old.refresh_from_db()
        assert (old.energy_wh, str(old.cost)) == (3100, "1.550")
        assert session_of(new).status == "active"


async def test_meter_values_of_a_session_ended_without_a_stop_still_count(site: Site) -> None:
    """E29, E30"""
    async with scene(site) as s:
        charge = await begin(s)
        await s.point.start(id_tag=unique("CARD"), meter=4100, at=at(1))
        assert (await s.app.until(event="session_completed"))["data"]["energy_delivered"] is None
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=4000)
        assert (await s.app.until(event="session_completed"))["data"]["energy_delivered"] == 3.0
        session = session_of(charge.transaction_id)
        assert (session.status, session.energy_wh) == ("completed", 3000)


async def test_meter_values_after_the_stop_are_kept_and_reopen_nothing(site: Site) -> None:
    """E30"""
    async with scene(site) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2000)
        await s.app.until(event="meter_value")
        await s.point.stop(transaction=charge.transaction_id, meter=5000, at=at())
        await s.app.until(event="session_completed")
        await hush(s.app)
        ended = session_of(charge.transaction_id)
        s.app.passed.clear()
        await s.point.meter(transaction=charge.transaction_id, at=at(-1), energy=4900)
        await hush(s.app)
        again = session_of(charge.transaction_id)
        assert again.readings.count() == 2
        assert (again.status, again.energy_wh, again.updated_at) == ("completed", 4000, ended.updated_at)
        assert not told(s.app, type="session_update")
        assert not told(s.app, type="active_session_update")


# --- starts from apps ---


async def test_a_start_that_nobody_plugs_in_for_ends_and_frees_the_connector(brisk: ServerProcess) -> None:
    """E31"""
    async with scene(Here(brisk)) as s:
        await tap(s)
        asked = await s.point.accepts("RemoteStartTransaction")
        started = await answer_to(s.app)
        assert (started["success"], started["status"]) == (True, "pending")
        failed = await s.app.until(event="session_error")
        assert (failed["session_id"], failed["data"]["code"]) == (started["session_id"], "charger_timeout")
        assert (await s.app.until(type="active_session_update"))["has_active_session"] is False
        # The slot is free: somebody else may have it.
        async with wire.app(brisk.ws, token_of(make_user())) as second:
            await tap(s, second)
            other = await s.point.accepts("RemoteStartTransaction")
            assert other["idTag"] != asked["idTag"]
            assert (await answer_to(second))["success"] is True
        # And if the car is plugged in after all, the charge is still the first user's.
        transaction = await s.point.start(id_tag=asked["idTag"], at=at())
        begun = await s.app.until(event="session_started")
        assert (begun["session_id"], begun["transaction_id"]) == (started["session_id"], transaction)
        session = session_of(transaction)
        assert (session.user, session.status, session.flags) == (s.user, "active", ["late_start"])
        assert session.error_code == ""


async def test_a_late_start_stands_beside_what_the_user_began_elsewhere_since(brisk: ServerProcess) -> None:
    """E31"""
    async with scene(Here(brisk)) as s:
        await tap(s)
        asked = await s.point.accepts("RemoteStartTransaction")
        await s.app.until(event="session_error")
        async with scene(Here(brisk), user=s.user) as elsewhere:
            charge = await begin(elsewhere)
            late = await s.point.start(id_tag=asked["idTag"], at=at())
            assert (session_of(late).user, session_of(late).status) == (s.user, "active")
            assert session_of(charge.transaction_id).status == "active"


async def test_a_start_without_an_answer_is_unknown_until_the_transaction_comes(brisk: ServerProcess) -> None:
    """E32"""
    async with scene(Here(brisk)) as s:
        await tap(s)
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        answer = await answer_to(s.app)
        assert (answer["success"], answer["code"]) == (False, "charger_timeout")
        command = Command.objects.get(pk=message_id)
        assert (command.status, command.error) == ("unknown", "charger_timeout")
        session = ChargingSession.objects.get(start_command=command)
        assert session.status == "pending"
        transaction = await s.point.start(id_tag=asked["idTag"], at=at())
        assert (await s.app.until(event="session_started"))["transaction_id"] == transaction
        command.refresh_from_db()
        assert command.status == "accepted"
        assert not told(s.app, event="session_error")


async def test_a_start_without_an_answer_has_failed_when_the_connector_reports_free(
    brisk: ServerProcess,
) -> None:
    """E32"""
    async with scene(Here(brisk)) as s:
        await tap(s)
        await s.point.asked("RemoteStartTransaction")
        await answer_to(s.app)
        await s.point.status(2, "Available")  # another connector tells nothing
        assert ChargingSession.objects.get(user=s.user).status == "pending"
        await s.point.status(1, "Available")
        failed = await s.app.until(event="session_error")
        assert failed["data"] == {"code": "charger_timeout", "message": "The charger did not start"}


async def test_no_start_is_kept_for_a_charger_that_is_offline(site: Site) -> None:
    """E32"""
    charger = make_charger()
    async with wire.app(site.app_url, token_of(make_user())) as app:
        answer = await app.act("start_charging", {"charger_id": charger.identity})
        assert (answer["success"], answer["code"]) == (False, "charger_offline")
        assert not Command.objects.filter(charger=charger).exists()
        async with wire.charger(site.charger_url, charger.identity) as point:
            await point.ready()
            assert point.calls.empty()


async def test_a_transaction_before_the_answer_to_its_start_begins_once(site: Site) -> None:
    """E33: the frames cross"""
    async with scene(site) as s:
        await tap(s)
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        transaction = await s.point.start(id_tag=asked["idTag"], at=at())
        assert (await s.app.until(event="session_started"))["transaction_id"] == transaction
        await s.point.answer(message_id, {"status": "Accepted"})
        answer = await answer_to(s.app)
        assert (answer["success"], answer["transaction_id"], answer["status"]) == (
            True,
            transaction,
            "active",
        )
        s.app.passed.clear()
        await hush(s.app)
        assert not told(s.app, event="session_started") and not told(s.app, type="notification")
        assert session_of(transaction).status == "active"


@pytest.mark.parametrize("word", ["Rejected", "error"])
async def test_a_refusal_after_the_transaction_has_begun_ends_nothing(site: Site, word: str) -> None:
    """E33"""
    async with scene(site) as s:
        await tap(s)
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        transaction = await s.point.start(id_tag=asked["idTag"], at=at())
        if word == "error":
            await s.point.send([4, message_id, "InternalError", "", {}])
        else:
            await s.point.answer(message_id, {"status": word})
        await answer_to(s.app)
        assert session_of(transaction).status == "active"


async def test_a_double_tap_sends_one_start_and_both_get_its_answer(site: Site) -> None:
    """E34"""
    async with scene(site) as s, wire.app(site.app_url, token_of(s.user)) as tablet:
        await asyncio.gather(tap(s, request_id=1), tap(s, request_id=2), tap(s, tablet, request_id=3))
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        await asyncio.sleep(0.1)
        await s.point.answer(message_id, {"status": "Accepted"})
        answers = [
            *[(await s.app.until(type="response"))["data"] for _ in range(2)],
            await answer_to(tablet, 3),
        ]
        assert [answer["success"] for answer in answers] == [True, True, True]
        assert {answer["message_id"] for answer in answers} == {message_id}
        assert len({answer["session_id"] for answer in answers}) == 1
        await s.point.call("Heartbeat")
        assert s.point.calls.empty()
        assert Command.objects.filter(charger=s.charger).count() == 1


async def test_two_users_who_race_for_a_connector_send_one_start(site: Site) -> None:
    """E34"""
    async with scene(site) as s:
        users = [make_user() for _ in range(4)]
        apps = [wire.app(site.app_url, token_of(user)) for user in users]
        clients = [await app.__aenter__() for app in apps]
        await asyncio.gather(*(tap(s, client) for client in clients))
        _, asked = await s.point.asked("RemoteStartTransaction")
        command = Command.objects.get(charger=s.charger)
        losers = [client for user, client in zip(users, clients, strict=True) if user != command.requested_by]
        for loser in losers:
            answer = await answer_to(loser)
            assert (answer["success"], answer["code"]) == (False, "connector_busy")
        await s.point.answer(str(command.pk), {"status": "Accepted"})
        (winner,) = [client for client in clients if client not in losers]
        assert (await answer_to(winner))["success"] is True
        await s.point.call("Heartbeat")
        assert s.point.calls.empty()
        # Running, it is busy too.
        await s.point.start(id_tag=asked["idTag"], at=at())
        await tap(s, losers[0], request_id=2)
        assert (await answer_to(losers[0], 2))["code"] == "connector_busy"
        for app in apps:
            await app.__aexit__(None, None, None)


async def test_one_user_who_races_for_two_chargers_gets_one(site: Site) -> None:
    """E34"""
    async with scene(site) as s, scene(site, user=s.user) as other:
        await asyncio.gather(tap(s), tap(other))
        first = await eventually(
            lambda: Command.objects.filter(charger__in=[s.charger, other.charger]).first()
        )
        winner, loser = (s, other) if first.charger_id == s.charger.pk else (other, s)
        assert (await answer_to(loser.app))["code"] == "active_session_exists"
        await winner.point.accepts("RemoteStartTransaction")
        assert (await answer_to(winner.app))["success"] is True
        assert loser.point.calls.empty()


async def test_a_start_called_off_before_it_was_sent_is_never_sent(site: Site) -> None:
    """E34: it waited behind another command of the charger"""
    async with scene(site) as s, wire.app(site.app_url, token_of(make_user())) as second:
        await tap(s, second, connector=2)
        first_id, _ = await s.point.asked("RemoteStartTransaction")
        await tap(s, connector=1)
        await eventually(lambda: Command.objects.filter(charger=s.charger, status="queued").exists())
        assert (await s.app.act("stop_charging"))["success"] is True
        answer = [*told(s.app, request_id="tap")] or [await s.app.until(1, request_id="tap")]
        assert (answer[0]["data"]["success"], answer[0]["data"]["code"]) == (False, "cancelled")
        await s.point.answer(first_id, {"status": "Accepted"})
        await answer_to(second)
        await s.point.call("Heartbeat")
        assert s.point.calls.empty()


async def test_a_start_called_off_that_begins_all_the_same_is_stopped_at_once(site: Site) -> None:
    async with scene(site) as s:
        await tap(s)
        asked = await s.point.accepts("RemoteStartTransaction")
        assert (await answer_to(s.app))["success"] is True
        assert (await s.app.act("stop_charging"))["success"] is True
        await hush(s.app)
        assert [m["data"]["code"] for m in told(s.app, event="session_error")] == ["cancelled"]
        transaction = await s.point.start(id_tag=asked["idTag"], at=at())
        stop = await s.point.accepts("RemoteStopTransaction")
        assert stop == {"transactionId": transaction}
        await s.point.stop(transaction=transaction, meter=1001, at=at(), reason="Remote")
        assert session_of(transaction).energy_wh == 1


async def test_a_second_stop_while_the_charger_is_being_asked_is_the_first_one(site: Site) -> None:
    async with scene(site) as s:
        charge = await begin(s)
        for number in (1, 2):
            await s.app.send({"action": "stop_charging", "request_id": number})
        message_id, _ = await s.point.asked("RemoteStopTransaction")
        await s.point.call("Heartbeat")
        await asyncio.sleep(0.1)
        assert s.point.calls.empty()
        await s.point.answer(message_id, {"status": "Accepted"})
        answers = [(await s.app.until(type="response"))["data"] for _ in range(2)]
        assert [(a["success"], a["message_id"], a["session_id"]) for a in answers] == [
            (True, message_id, charge.session_id)
        ] * 2


async def test_a_stop_before_the_first_answer_to_it_ends_the_session_once(site: Site) -> None:
    """E33, for stops"""
    async with scene(site) as s:
        charge = await begin(s)
        await s.app.send({"action": "stop_charging", "request_id": "stop"})
        message_id, _ = await s.point.asked("RemoteStopTransaction")
        await s.point.stop(transaction=charge.transaction_id, meter=3000, at=at(), reason="Remote")
        await s.point.answer(message_id, {"status": "Accepted"})
        answer = await answer_to(s.app, "stop")
        assert (answer["success"], answer["status"], answer["energy_delivered"]) == (True, "completed", 2.0)
        assert len(told(s.app, event="session_completed")) == 1


async def test_a_card_takes_the_connector_from_a_start_that_waits(site: Site) -> None:
    async with scene(site) as s:
        await tap(s)
        await s.point.accepts("RemoteStartTransaction")
        await answer_to(s.app)
        user = make_user()
        transaction = await s.point.start(id_tag=make_id_tag(user=user).value, at=at())
        assert (await s.app.until(event="session_error"))["data"]["code"] == "connector_busy"
        assert session_of(transaction).user == user


async def test_what_came_with_a_stop_is_stored_with_the_session(site: Site) -> None:
    async with charger_of(site) as point:
        transaction = await point.start(id_tag=unique("CARD"), meter=1000, at=at(-60))
        data = [
            {"timestamp": at(-60), "sampledValue": [{"value": "1000", "context": "Transaction.Begin"}]},
            {"timestamp": at(), "sampledValue": [{"value": "3000", "context": "Transaction.End"}]},
        ]
        await point.stop(transaction=transaction, meter=3000, at=at(), transactionData=data)
        contexts = MeterReading.objects.filter(session=session_of(transaction)).values_list(
            "context", flat=True
        )
        assert list(contexts) == ["Transaction.Begin", "Transaction.End"]


# --- registers that cannot be right ---


async def test_live_energy_and_cost_neither_fall_nor_explode(site: Site) -> None:
    """E38: what cannot be right is stored as suspect; the last good value stays"""
    async with scene(site) as s:
        make_tariff(stations=[s.charger.station], price_per_kwh="0.5")
        charge = await begin(s, meter=1000)
        shown = []
        for second, energy in enumerate([3000, 90_000_000, 500, 3200]):
            await s.point.meter(transaction=charge.transaction_id, at=at(second), energy=energy)
            tick = (await s.app.until(event="meter_value"))["data"]
            shown.append((tick["energy_delivered"], tick["cost"], tick["meter_value"]))
            active = (await s.app.act("get_active_session"))["session"]
            assert (active["energy_delivered"], active["cost"]) == shown[-1][:2]
        assert shown == [(2.0, 1.0, 3000), (2.0, 1.0, 3000), (2.0, 1.0, 3000), (2.2, 1.1, 3200)]
        session = session_of(charge.transaction_id)
        suspect = session.readings.order_by("measured_at").values_list("is_suspect", flat=True)
        assert list(suspect) == [False, True, True, False]
        await s.point.stop(transaction=charge.transaction_id, meter=5000, at=at(10))
        done = await s.app.until(event="session_completed")
        assert (done["data"]["energy_delivered"], done["data"]["cost"]) == (4.0, 2.0)
        session.refresh_from_db()
        assert (session.flags, session.review) == ([], "")


async def test_values_with_and_without_the_number_are_judged_as_one_meters(site: Site) -> None:
    """E38: clock-aligned values name no transaction"""
    async with scene(site) as s:
        charge = await begin(s, meter=1000)
        for second, (number, energy) in enumerate(
            [(None, 2000), (charge.transaction_id, 5000), (None, 4000), (None, 6000)]
        ):
            await s.point.meter(transaction=number, at=at(second), energy=energy)
            await s.app.until(event="meter_value")
        rows = session_of(charge.transaction_id).readings.order_by("measured_at")
        assert list(rows.values_list("is_suspect", flat=True)) == [False, False, True, False]


async def test_a_stop_with_an_impossible_register_bills_the_readings_and_waits_for_a_person(
    site: Site,
) -> None:
    """E38: with the charger's message, as it came"""
    async with charger_of(site) as point:
        transaction = await point.start(id_tag=unique("CARD"), meter=50_000, at=at(-60))
        await point.meter(transaction=transaction, at=at(-30), energy=51_000)
        await point.stop(transaction=transaction, meter=7, at=at(), reason="Local")
        session = session_of(transaction)
        assert (session.energy_wh, session.flags, session.review) == (1000, ["suspect"], "waiting")
        oddity = session.oddities.get()
        assert "from 50.000 kWh at the start to 0.007 kWh at the stop" in oddity.reason
        assert '"StopTransaction"' in oddity.frame and '"meterStop":7' in oddity.frame


# --- ends that were never told ---


async def test_a_refused_stop_is_looked_into_and_a_free_connector_ends_the_session(site: Site) -> None:
    """E35"""
    async with scene(site) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=3000)
        await s.app.send({"action": "stop_charging", "request_id": "stop"})
        message_id, _ = await s.point.asked("RemoteStopTransaction")
        await s.point.answer(message_id, {"status": "Rejected"})
        assert (await answer_to(s.app, "stop"))["code"] == "charger_rejected"
        assert session_of(charge.transaction_id).status == "active"
        assert await s.point.accepts("TriggerMessage") == {
            "requestedMessage": "StatusNotification",
            "connectorId": 1,
        }
        await s.point.status(1, "Available")
        assert (await s.app.until(event="session_completed"))["data"]["energy_delivered"] == 2.0
        await s.point.accepts("TriggerMessage")
        session = session_of(charge.transaction_id)
        assert (session.status, session.flags, session.review) == ("completed", ["lost_stop"], "waiting")
        # Values that come all the same belong to it, and are no longer live.
        s.app.passed.clear()
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=3000)
        await hush(s.app)
        assert not told(s.app, event="meter_value")


async def test_a_refused_stop_of_a_transaction_that_goes_on_ends_nothing(site: Site) -> None:
    """E35"""
    async with scene(site) as s:
        charge = await begin(s)
        await s.app.send({"action": "stop_charging", "request_id": "stop"})
        message_id, _ = await s.point.asked("RemoteStopTransaction")
        await s.point.answer(message_id, {"status": "Rejected"})
        await answer_to(s.app, "stop")
        await s.point.accepts("TriggerMessage")
        await s.point.status(1, "Charging")
        await s.point.accepts("TriggerMessage")
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=3000)
        assert (await s.app.until(event="meter_value"))["session_id"] == charge.session_id
        assert session_of(charge.transaction_id).status == "active"


async def test_a_hard_reset_that_lost_the_stop_ends_the_session_and_its_stop_amends_it(site: Site) -> None:
    """E36: errata 3.36"""
    async with scene(site) as s:
        make_tariff(stations=[s.charger.station], price_per_kwh="0.5")
        charge = await begin(s)
        measured = utcnow().isoformat()
        await s.point.meter(transaction=charge.transaction_id, at=measured, energy=3000)
        async with wire.charger(site.charger_url, s.identity) as point:
            await point.boot()
            await point.status(1, "Available")
            done = await s.app.until(event="session_completed")
            assert (done["data"]["energy_delivered"], done["data"]["stop_reason"]) == (2.0, "PowerLoss")
            session = session_of(charge.transaction_id)
            assert session.stopped_at and session.stopped_at.isoformat() == measured
            assert (session.flags, session.review) == (["power_loss"], "waiting")
            await point.stop(transaction=charge.transaction_id, meter=3400, at=at(), reason="HardReset")
            amended = await s.app.until(event="session_completed")
            assert (amended["data"]["energy_delivered"], amended["data"]["cost"]) == (2.4, 1.2)
            session.refresh_from_db()
            assert (session.energy_wh, session.flags, session.review) == (2400, ["amended"], "")


async def test_a_charger_that_only_reconnects_ends_nothing(site: Site) -> None:
    """E36: without a BootNotification"""
    async with scene(site) as s:
        charge = await begin(s)
        async with wire.charger(site.charger_url, s.identity) as point:
            await point.status(1, "Available")
            assert session_of(charge.transaction_id).status == "active"
            await point.stop(transaction=charge.transaction_id, meter=3000, at=at())
        session = session_of(charge.transaction_id)
        assert (session.status, session.energy_wh, session.flags) == ("completed", 2000, [])


async def test_a_charger_that_resumes_after_a_boot_goes_on(site: Site) -> None:
    """E36"""
    async with scene(site) as s:
        charge = await begin(s)
        async with wire.charger(site.charger_url, s.identity) as point:
            await point.boot()
            await point.status(1, "Charging")
            await point.meter(transaction=charge.transaction_id, at=at(1), energy=3000)
            assert (await s.app.until(event="meter_value"))["data"]["energy_delivered"] == 2.0
            await point.status(1, "Available", timestamp=at(2))  # some say so before they tell the stop
            await point.stop(transaction=charge.transaction_id, meter=3500, at=at(3))
        session = session_of(charge.transaction_id)
        assert (session.energy_wh, session.flags, session.review) == (2500, ["resumed"], "")


# --- many at once ---


def test_the_same_news_in_many_threads_is_one_session_and_connectors_do_not_mix(committed: None) -> None:
    """E21, E23, E27: what the database holds to, whatever process hears it"""
    charger = make_charger()
    moment = utcnow()

    def begin_at(number: int) -> int:
        started = call_service(
            ledger.start_session,
            charger_id=charger.pk,
            connector_number=number,
            id_tag=f"CARD{number}",
            meter_start_wh=1000 * number,
            reported_at=moment,
            reported="the same",
        )
        return started.session.pk

    def end_of(number: int) -> int:
        stopped = call_service(
            ledger.stop_session,
            charger_id=charger.pk,
            transaction_id=numbers[number],
            meter_stop_wh=1000 * number + 500,
            reported_at=moment,
            reported="the end",
        )
        return stopped.pk

    def in_a_thread(work: Callable[[int], int], number: int) -> tuple[int, int]:
        try:
            return number, work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        begun = set(pool.map(partial(in_a_thread, begin_at), [1, 2] * 4))
        numbers = dict(begun)
        assert len(begun) == 2 and numbers[1] != numbers[2]
        ended = set(pool.map(partial(in_a_thread, end_of), [1, 2] * 4))
    assert ended == begun
    rows = ChargingSession.objects.filter(charger=charger).values_list("energy_wh", "status")
    assert list(rows) == [(500, "completed")] * 2
