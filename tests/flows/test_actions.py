"""Every action of the app socket: what it does, what it answers, and every way in which it can fail."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from chargers.models import Charger, Command
from sessions.models import ChargingSession
from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site
from tests.factories import (
    make_charger,
    make_online_charger,
    make_operator,
    make_session,
    make_station,
    make_tariff,
    make_user,
    token_of,
)
from tests.server_process import ServerProcess


async def failure(
    app: wire.App, code: str, action: str, data: dict[str, Any] | None = None
) -> dict[str, Any]:
    answer = await app.act(action, data)
    assert set(answer) == {"success", "error", "code", "message"}
    assert (answer["success"], answer["code"]) == (False, code), answer
    return answer


async def nothing_asked(point: wire.FakeCharger) -> None:
    """The charger has heard no CALL; a round trip makes sure that none is still under way."""
    await point.call("Heartbeat")
    assert point.calls.empty()


# --- start_charging ---


async def test_start_answers_when_the_charger_has(site: Site) -> None:
    async with scene(site) as s:
        start = {"charger_id": s.identity, "connector_id": 2}
        await s.app.send({"action": "start_charging", "data": start, "request_id": 1})
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        assert asked["connectorId"] == 2
        assert 0 < len(asked["idTag"]) <= 20
        assert await s.app.quiet(0.3, request_id=1)
        await s.point.answer(message_id, {"status": "Accepted"})
        answer = (await s.app.until(request_id=1))["data"]
        assert answer.pop("message")
        assert answer == {
            "success": True,
            "session_id": answer["session_id"],
            "charger_id": s.identity,
            "connector_id": 2,
            "message_id": message_id,
            "transaction_id": None,
            "status": "pending",
        }
        assert str(uuid.UUID(message_id)) == message_id
    session = ChargingSession.objects.get(pk=answer["session_id"])
    assert (session.user, session.charger, session.id_tag) == (s.user, s.charger, asked["idTag"])
    command = Command.objects.get(pk=message_id)
    assert (command.action, command.status, command.requested_by) == ("remote_start", "accepted", s.user)


async def test_start_uses_connector_1_unless_told_otherwise(site: Site) -> None:
    async with scene(site) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        assert (await s.point.accepts("RemoteStartTransaction"))["connectorId"] == 1
        assert (await s.app.until(request_id=1))["data"]["connector_id"] == 1


async def test_start_whose_transaction_came_before_the_answer_has_its_id(site: Site) -> None:
    """Frames cross on the wire (E33)."""
    async with scene(site) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        transaction = await s.point.start(id_tag=asked["idTag"], at=at())
        await s.point.answer(message_id, {"status": "Accepted"})
        answer = (await s.app.until(request_id=1))["data"]
        assert (answer["transaction_id"], answer["status"]) == (transaction, "active")
        started = [m for m in s.app.passed if m.get("event") == "session_started"]
        assert len(started) == 1


async def test_start_at_a_charger_that_does_not_exist(site: Site) -> None:
    async with wire.app(site.app_url, token_of(make_user())) as app:
        answer = await failure(app, "not_found", "start_charging", {"charger_id": "NOWHERE"})
        assert "NOWHERE" in answer["error"]


async def test_start_at_a_connector_that_does_not_exist(site: Site) -> None:
    async with scene(site, connectors=2) as s:
        answer = await failure(
            s.app, "not_found", "start_charging", {"charger_id": s.identity, "connector_id": 3}
        )
        assert "3" in answer["error"]
        await nothing_asked(s.point)


async def test_start_at_a_charger_that_was_never_connected(site: Site) -> None:
    charger, user = make_charger(), make_user()
    async with wire.app(site.app_url, token_of(user)) as app:
        await failure(app, "charger_offline", "start_charging", {"charger_id": charger.identity})
        assert (await app.act("get_active_session"))["session"] is None
    assert not ChargingSession.objects.filter(user=user).exists()
    assert not Command.objects.filter(charger=charger).exists()  # nothing waits for it (E32)


async def test_start_at_a_charger_that_has_gone(site: Site) -> None:
    async with scene(site) as s:
        await s.point.socket.close()
        await _until_offline(s.charger)
        await failure(s.app, "charger_offline", "start_charging", {"charger_id": s.identity})


async def test_start_while_the_charger_goes_away_is_answered_at_once(site: Site) -> None:
    """Its outcome is unknown: it had been sent. The connector is free once that is known."""
    async with scene(site) as s:
        begun = time.monotonic()
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        await s.point.asked("RemoteStartTransaction")
        await s.point.socket.close()
        answer = (await s.app.until(request_id=1))["data"]
        assert answer["success"] is False
        assert answer["code"] in ("charger_offline", "charger_timeout")
        assert time.monotonic() - begun < 2


async def _until_offline(charger: Charger) -> None:
    async with asyncio.timeout(wire.TIMEOUT_S):
        while Charger.objects.get(pk=charger.pk).is_connected:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("action", ["start_charging", "stop_charging"])
async def test_nothing_is_sent_to_a_charger_that_is_not_accepted_yet(site: Site, action: str) -> None:
    """E20."""
    charger, user = make_charger(registration="Pending"), make_user()
    if action == "stop_charging":
        make_session(charger=charger, user=user)
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token_of(user)) as app,
    ):
        assert (await point.boot())["status"] == "Pending"
        await failure(app, "charger_pending", action, {"charger_id": charger.identity})
        frame = await point.request("Heartbeat", {})
        assert frame[0] in (3, 4)
        assert point.calls.empty()


@pytest.mark.parametrize("status", ["Faulted", "Unavailable", "Reserved"])
async def test_start_at_a_connector_out_of_service(site: Site, status: str) -> None:
    async with scene(site) as s:
        error = {"errorCode": "GroundFailure"} if status == "Faulted" else {}
        await s.point.status(1, status, **error)
        await failure(s.app, "connector_unavailable", "start_charging", {"charger_id": s.identity})
        await nothing_asked(s.point)
        await s.point.status(1, "Available")
        await begin(s)


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
async def test_start_at_a_charger_out_of_service_as_a_whole(site: Site, status: str) -> None:
    async with scene(site) as s:
        await s.point.status(0, status)
        await failure(s.app, "connector_unavailable", "start_charging", {"charger_id": s.identity})
        await nothing_asked(s.point)


async def test_start_under_maintenance_says_why(site: Site) -> None:
    station = make_station(is_under_maintenance=True, maintenance_reason="New cables on Monday")
    async with scene(site, station=station) as s:
        answer = await failure(s.app, "connector_unavailable", "start_charging", {"charger_id": s.identity})
        assert "New cables on Monday" in answer["message"]
        await nothing_asked(s.point)


@pytest.mark.parametrize("status", ["Charging", "SuspendedEV", "SuspendedEVSE"])
async def test_start_at_a_connector_where_somebody_charges_by_card(site: Site, status: str) -> None:
    async with scene(site) as s:
        await s.point.status(1, status)
        await failure(s.app, "connector_busy", "start_charging", {"charger_id": s.identity})
        await nothing_asked(s.point)


@pytest.mark.parametrize("status", ["Preparing", "Finishing"])
async def test_start_with_the_cable_in_the_car_already(site: Site, status: str) -> None:
    async with scene(site) as s:
        await s.point.status(1, status)
        await begin(s)


async def test_start_at_a_connector_that_is_another_users(site: Site) -> None:
    async with scene(site) as s, wire.app(site.app_url, token_of(make_user())) as other:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        await failure(other, "connector_busy", "start_charging", {"charger_id": s.identity})
        await s.point.answer(message_id, {"status": "Accepted"})
        await s.app.until(request_id=1)
        await failure(other, "connector_busy", "start_charging", {"charger_id": s.identity})
        await nothing_asked(s.point)
        elsewhere = {"charger_id": s.identity, "connector_id": 2}
        await other.send({"action": "start_charging", "data": elsewhere, "request_id": 2})
        await s.point.accepts("RemoteStartTransaction")
        assert (await other.until(request_id=2))["data"]["success"] is True


async def test_two_who_start_at_the_same_moment_are_told_apart(site: Site) -> None:
    """Exactly one RemoteStart goes out (E34)."""
    async with scene(site) as s, wire.app(site.app_url, token_of(make_user())) as other:
        start = {"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1}
        await asyncio.gather(s.app.send(start), other.send(start))
        await s.point.accepts("RemoteStartTransaction")
        answers = [(await app.until(request_id=1))["data"] for app in (s.app, other)]
        assert sorted(answer["success"] for answer in answers) == [False, True]
        assert next(a for a in answers if not a["success"])["code"] == "connector_busy"
        await nothing_asked(s.point)


async def test_a_double_tap_is_one_start(site: Site) -> None:
    """From two sockets of the user, before and after the charger's answer (E34)."""
    async with scene(site) as s, wire.app(site.app_url, token_of(s.user)) as tablet:
        start = {"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1}
        await asyncio.gather(s.app.send(start), tablet.send(start))
        await s.point.accepts("RemoteStartTransaction")
        first, second = [(await app.until(request_id=1))["data"] for app in (s.app, tablet)]
        assert first == second
        assert first["success"] is True
        assert await s.app.act("start_charging", {"charger_id": s.identity}) == first
        await nothing_asked(s.point)


async def test_second_start_of_a_user_elsewhere(site: Site) -> None:
    async with scene(site) as s:
        await begin(s)
        async with scene(site, user=s.user) as elsewhere:
            for place, connector in ((elsewhere, 1), (s, 2)):
                data = {"charger_id": place.identity, "connector_id": connector}
                await failure(s.app, "active_session_exists", "start_charging", data)
            await nothing_asked(elsewhere.point)


async def test_limit_of_sessions_is_a_setting(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(MAX_ACTIVE_SESSIONS_PER_USER=2)
    site = Site(server, server)
    async with scene(site, connectors=3) as s:
        first = await begin(s, connector=1)
        second = await begin(s, connector=2)
        third = {"charger_id": s.identity, "connector_id": 3}
        await failure(s.app, "active_session_exists", "start_charging", third)
        await end(s, first)
        state = await s.app.until(type="active_session_update")
        assert state["has_active_session"] is True  # the other one is still there
        assert state["data"]["session_id"] == second.session_id
        await s.point.status(3, "Unavailable")  # and its charger is still the user's
        await s.app.until(type="charger_update", charger_id=s.identity)
        await begin(s, connector=1)
        async with wire.app(site.app_url, token_of(s.user)) as tablet:
            assert (await tablet.until(type="active_session_update"))["has_active_session"] is True


@pytest.mark.parametrize(
    "answer", [{"status": "Rejected"}, {"status": "Faulted"}, {}, {"status": 5}], ids=lambda a: str(a)
)
async def test_start_the_charger_refuses(site: Site, answer: dict[str, Any]) -> None:
    async with scene(site) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        await s.point.answer(message_id, answer)
        data = (await s.app.until(request_id=1))["data"]
        assert (data["success"], data["code"]) == (False, "charger_rejected")
        error = await s.app.whenever(event="session_error")
        assert error["data"]["code"] == "charger_rejected"
        assert error["transaction_id"] is None
        await begin(s)  # the connector and the user are free again


async def test_start_the_charger_answers_with_an_error(site: Site) -> None:
    async with scene(site) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        await s.point.send([4, message_id, "NotSupported", "no remote start here", {}])
        data = (await s.app.until(request_id=1))["data"]
        assert (data["success"], data["code"]) == (False, "charger_rejected")


async def test_start_the_charger_does_not_answer_is_unknown_and_may_still_begin(site: Site) -> None:
    """E32: not called failed, and what begins later is still this user's."""
    async with scene(site) as s:
        begun = time.monotonic()
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        answer = (await s.app.until(request_id=1))["data"]
        assert time.monotonic() - begun < 4  # COMMAND_TIMEOUT_S is 3
        assert (answer["success"], answer["code"]) == (False, "charger_timeout")
        assert "unknown" in answer["message"]
        assert Command.objects.get(pk=message_id).status == "unknown"
        transaction = await s.point.start(id_tag=asked["idTag"], at=at())
        started = await s.app.until(event="session_started")
        assert started["transaction_id"] == transaction
    assert ChargingSession.objects.get(transaction_id=transaction).user == s.user


async def test_start_that_is_accepted_but_never_plugged_in_ends_and_frees_the_connector(site: Site) -> None:
    """E31. START_TIMEOUT_S is 5, SWEEP_INTERVAL_S 1."""
    async with scene(site) as s, wire.app(site.app_url, token_of(make_user())) as other:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        await s.point.accepts("RemoteStartTransaction")
        answer = (await s.app.until(request_id=1))["data"]
        assert answer["success"] is True
        await failure(other, "connector_busy", "start_charging", {"charger_id": s.identity})
        error = await s.app.until(event="session_error")
        assert error["session_id"] == answer["session_id"]
        assert error["data"]["code"] == "charger_timeout"
        assert "plugged in" in error["data"]["message"]
        assert (await s.app.until(type="active_session_update"))["has_active_session"] is False
        assert (await s.app.act("get_active_session"))["session"] is None
        await other.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 2})
        await s.point.accepts("RemoteStartTransaction")
        assert (await other.until(request_id=2))["data"]["success"] is True


# --- stop_charging ---


async def test_stop_answers_with_figures(site: Site) -> None:
    station = make_station()
    make_tariff(stations=[station], price_per_kwh="0.50", price_per_session="1")
    async with scene(site, station=station) as s:
        charge = await begin(s, meter=1000)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=3500)
        await s.app.until(event="meter_value")
        await s.app.send({"action": "stop_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        message_id, asked = await s.point.asked("RemoteStopTransaction")
        assert asked == {"transactionId": charge.transaction_id}
        assert await s.app.quiet(0.2, request_id=1)
        await s.point.answer(message_id, {"status": "Accepted"})
        answer = (await s.app.until(request_id=1))["data"]
        assert answer.pop("message")
        assert 0 <= answer.pop("duration") < 10
        assert answer == {
            "success": True,
            "session_id": charge.session_id,
            "charger_id": s.identity,
            "connector_id": 1,
            "message_id": message_id,
            "transaction_id": charge.transaction_id,
            "status": "stopping",
            "energy_delivered": 2.5,
            "cost": 2.25,
            "cost_currency": "EUR",
        }
        await end(s, charge)


async def test_stop_without_a_charger_finds_the_users_session(site: Site) -> None:
    async with scene(site) as s:
        charge = await begin(s)
        await s.app.send({"action": "stop_charging", "request_id": 1})
        await s.point.accepts("RemoteStopTransaction")
        answer = (await s.app.until(request_id=1))["data"]
        assert (answer["session_id"], answer["charger_id"]) == (charge.session_id, s.identity)
        assert (answer["energy_delivered"], answer["cost"], answer["cost_currency"]) == (None, None, None)


async def test_stop_where_nothing_runs(site: Site) -> None:
    async with scene(site) as s:
        await failure(s.app, "no_active_session", "stop_charging")
        await failure(s.app, "no_active_session", "stop_charging", {"charger_id": s.identity})
        await failure(s.app, "not_found", "stop_charging", {"charger_id": "NOWHERE"})


async def test_stop_at_another_charger_than_ones_own(site: Site) -> None:
    elsewhere = make_charger()
    async with scene(site) as s:
        await begin(s)
        await failure(s.app, "no_active_session", "stop_charging", {"charger_id": elsewhere.identity})
        await nothing_asked(s.point)


async def test_a_stranger_cannot_stop_a_session_nor_learn_of_it(site: Site) -> None:
    """E48: the answer is the same whether somebody charges there or not."""
    stranger, idle = make_operator(), make_online_charger()
    async with scene(site) as s, wire.app(site.app_url, token_of(stranger)) as app:
        await begin(s)
        in_use = await failure(app, "no_active_session", "stop_charging", {"charger_id": s.identity})
        assert in_use == await failure(
            app, "no_active_session", "stop_charging", {"charger_id": idle.identity}
        )
        await failure(app, "no_active_session", "stop_charging")
        assert (await app.act("get_active_session"))["session"] is None
        await nothing_asked(s.point)
        assert (await s.app.act("get_active_session"))["session"]["status"] == "active"


async def test_stop_of_a_start_that_has_not_begun_calls_it_off(site: Site) -> None:
    async with scene(site) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        asked = await s.point.accepts("RemoteStartTransaction")
        started = (await s.app.until(request_id=1))["data"]
        answer = await s.app.act("stop_charging", {"charger_id": s.identity})
        assert answer["success"] is True
        assert answer["session_id"] == started["session_id"]
        assert (answer["status"], answer["transaction_id"]) == ("failed", None)
        assert (await s.app.act("get_active_session"))["session"] is None
        assert [m["data"]["code"] for m in s.app.passed if m.get("event") == "session_error"] == ["cancelled"]
        # The driver plugs in all the same: the charger begins, and is told to end it.
        transaction = await s.point.start(id_tag=asked["idTag"], at=at())
        assert await s.point.accepts("RemoteStopTransaction") == {"transactionId": transaction}


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, None])
async def test_stop_the_charger_does_not_obey_leaves_the_session_running(
    site: Site, answer: dict[str, Any] | None
) -> None:
    """None: it does not answer at all (COMMAND_TIMEOUT_S is 3)."""
    async with scene(site) as s:
        charge = await begin(s)
        await s.app.send({"action": "stop_charging", "request_id": 1})
        message_id, _ = await s.point.asked("RemoteStopTransaction")
        if answer:
            await s.point.answer(message_id, answer)
        data = (await s.app.until(request_id=1))["data"]
        assert (data["success"], data["code"]) == (
            False,
            "charger_rejected" if answer else "charger_timeout",
        )
        session = (await s.app.act("get_active_session"))["session"]
        assert (session["session_id"], session["status"]) == (charge.session_id, "active")
        await s.app.send({"action": "stop_charging", "request_id": 2})
        async with asyncio.timeout(wire.TIMEOUT_S):
            while (frame := await s.point.calls.get())[2] == "TriggerMessage":  # what is it doing? (E35)
                await s.point.answer(frame[1], {"status": "Rejected"})
        assert frame[2] == "RemoteStopTransaction"
        await s.point.answer(frame[1], {"status": "Accepted"})
        assert (await s.app.until(request_id=2))["data"]["success"] is True


async def test_stop_at_a_charger_that_is_offline(site: Site) -> None:
    async with scene(site) as s:
        charge = await begin(s)
        await s.point.socket.close()
        await _until_offline(s.charger)
        await failure(s.app, "charger_offline", "stop_charging")
        session = (await s.app.act("get_active_session"))["session"]
        assert (session["session_id"], session["status"]) == (charge.session_id, "active")


async def test_stop_after_the_end_finds_nothing(site: Site) -> None:
    async with scene(site) as s:
        await end(s, await begin(s))
        await failure(s.app, "no_active_session", "stop_charging", {"charger_id": s.identity})


# --- get_charger_status ---


async def test_charger_status_of_a_connected_charger(site: Site) -> None:
    station = make_station(name="Harbour", address="Pier 1", latitude=52.5, longitude=4.25)
    async with scene(site, station=station, connectors=4, vendor="ACME", model="Fast 2") as s:
        await s.point.status(4, "Faulted", errorCode="GroundFailure")
        await s.point.status(3, "Preparing")
        answer = await s.app.act("get_charger_status", {"charger_id": s.identity})
        times = [connector.pop("updated_at") for connector in answer["connectors"]]
        times += [connector.pop("since") for connector in answer["connectors"]]
        assert all(times)
        assert answer.pop("last_seen")
        assert answer.pop("status_at")
        answer.pop("vendor"), answer.pop("model")  # as the charger said at boot
        assert answer == {
            "success": True,
            "charger_id": s.identity,
            "status": "available",
            "connected": True,
            "connectors": [
                {"connector_id": 1, "status": "Available", "error_code": None, "stuck": None},
                {"connector_id": 2, "status": "Available", "error_code": None, "stuck": None},
                {"connector_id": 3, "status": "Preparing", "error_code": None, "stuck": None},
                {"connector_id": 4, "status": "Faulted", "error_code": "GroundFailure", "stuck": None},
            ],
            "total_connectors": 4,
            "available_connectors": 2,
            "display": "2/4",
            "is_under_maintenance": False,
            "station": {
                "station_id": station.pk,
                "name": "Harbour",
                "location": {"latitude": 52.5, "longitude": 4.25, "address": "Pier 1"},
                "is_under_maintenance": False,
                "maintenance_reason": None,
            },
        }
        for number in (1, 2):
            await s.point.status(number, "Charging")
        answer = await s.app.act("get_charger_status", {"charger_id": s.identity})
        assert (answer["status"], answer["display"]) == ("in_use", "0/4")


async def test_charger_status_of_one_that_was_never_seen_is_null_where_unknown(site: Site) -> None:
    charger = make_charger(station=None, connectors=1, status="")
    async with wire.app(site.app_url, token_of(make_user())) as app:
        answer = await app.act("get_charger_status", {"charger_id": charger.identity})
        assert answer == {
            "success": True,
            "charger_id": charger.identity,
            "status": "unavailable",
            "status_at": None,
            "connected": False,
            "last_seen": None,
            "connectors": [
                {
                    "connector_id": 1,
                    "status": None,
                    "error_code": None,
                    "since": None,
                    "updated_at": None,
                    "stuck": None,
                }
            ],
            "total_connectors": 1,
            "available_connectors": 0,
            "display": None,
            "is_under_maintenance": False,
            "station": None,
            "vendor": None,
            "model": None,
        }


@pytest.mark.parametrize("registration", ["Pending", "Rejected", None])
async def test_charger_that_is_not_in_service_is_not_found(site: Site, registration: str | None) -> None:
    identity = make_charger(registration=registration).identity if registration else "NOWHERE"
    async with wire.app(site.app_url, token_of(make_user())) as app:
        await failure(app, "not_found", "get_charger_status", {"charger_id": identity})
        await failure(app, "not_found", "subscribe", {"charger_ids": [identity]})


# --- get_active_session ---


async def test_active_session_from_nothing_to_the_end(site: Site) -> None:
    station = make_station(address="Pier 1")
    make_tariff(stations=[station], price_per_kwh="0.40")
    async with scene(site, station=station) as s:

        async def current() -> Any:
            answer = await s.app.act("get_active_session")
            assert answer["success"] is True
            return answer["session"]

        assert await current() is None
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        pending = await current()
        assert pending["status"] == "pending"
        assert pending["charger_id"] == s.identity
        assert (pending["transaction_id"], pending["start_time"], pending["meter_start"]) == (
            None,
            None,
            None,
        )
        assert (pending["energy_delivered"], pending["cost"], pending["power"]) == (None, None, None)
        await s.point.answer(message_id, {"status": "Accepted"})
        started = (await s.app.until(request_id=1))["data"]
        transaction = await s.point.start(id_tag=asked["idTag"], meter=1000, at="2026-03-01T10:00:00Z")
        await s.point.meter(
            transaction=transaction,
            at="2026-03-01T10:30:00Z",
            energy=5200,
            Power_Active_Import=7400,
            Voltage=230.5,
            Current_Import=32,
            SoC=40,
        )
        active = await current()
        for name in ("requested_at", "duration"):
            assert active.pop(name)
        assert active == {
            "session_id": started["session_id"],
            "transaction_id": transaction,
            "charger_id": s.identity,
            "connector_id": 1,
            "station_id": station.pk,
            "station_name": station.name,
            "station_address": "Pier 1",
            "status": "active",
            "message_id": message_id,
            "id_tag": asked["idTag"],
            "start_time": "2026-03-01T10:00:00Z",
            "stop_time": None,
            "stop_reason": None,
            "meter_start": 1000,
            "meter_stop": None,
            "energy_delivered": 4.2,
            "power": 7.4,
            "voltage": 230.5,
            "current": 32.0,
            "charge_percentage": 40.0,
            "time_remaining": None,
            "cost": 1.68,
            "cost_currency": "EUR",
            "error_code": None,
            "error_message": None,
            "stale": False,
        }
        await s.app.send({"action": "stop_charging", "request_id": 2})
        await s.point.accepts("RemoteStopTransaction")
        await s.app.until(request_id=2)
        assert (await current())["status"] == "stopping"
        await s.point.stop(transaction=transaction, meter=6000, at="2026-03-01T11:00:00Z")
        assert await current() is None


async def test_active_session_at_a_charger_that_is_offline_is_stale(site: Site) -> None:
    """E49: from the database, before the charger is back."""
    async with scene(site) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2000)
        await s.point.socket.close()
        await _until_offline(s.charger)
        session = (await s.app.act("get_active_session"))["session"]
        assert (session["stale"], session["status"], session["energy_delivered"]) == (True, "active", 1.0)
        async with wire.app(site.app_url, token_of(s.user)) as other:
            state = await other.until(type="active_session_update")
            assert state["has_active_session"] is True
            assert state["data"]["stale"] is True
        async with wire.charger(site.charger_url, s.identity) as again:
            await again.call("Heartbeat")
            assert (await s.app.act("get_active_session"))["session"]["stale"] is False


# --- list_chargers ---


async def listed(app: wire.App, **wish: Any) -> list[str]:
    answer = await app.act("list_chargers", wish)
    assert answer["success"] is True, answer
    return [charger["charger_id"] for charger in answer["chargers"]]


async def test_list_by_station_and_status(site: Site) -> None:
    station = make_station()
    make_charger()  # elsewhere
    offline = make_charger(station=station)
    make_charger(station=station, registration="Pending")
    busy = make_online_charger(station=station, connectors=1, status="Charging")
    free = make_online_charger(station=station, connectors=2)
    make_online_charger(station=station, connectors=1, status="Faulted")
    here = {"station_id": station.pk}
    async with wire.app(site.app_url, token_of(make_user())) as app:
        everything = await listed(app, **here)
        assert everything == sorted(everything)
        assert len(everything) == 4
        assert await listed(app, **here, status="available") == [free.identity]
        assert await listed(app, **here, status="in_use") == [busy.identity]
        unavailable = await listed(app, **here, status="unavailable")
        assert len(unavailable) == 2
        assert offline.identity in unavailable
        assert await listed(app, station_id=2**62) == []
        one = (await app.act("list_chargers", {**here, "status": "available"}))["chargers"][0]
        again = await app.act("get_charger_status", {"charger_id": free.identity})
        again.pop("success")
        assert one == again  # the same form everywhere


async def test_list_by_distance(site: Site) -> None:
    """At the other end of the world, where no other test has a station; across the date line, too."""
    here = make_station(latitude=-54.0, longitude=179.99)
    beyond = make_station(latitude=-54.0, longitude=-179.99)  # 1.3 km to the east
    far = make_station(latitude=-54.0, longitude=179.0)
    nowhere = make_station()
    chargers = [make_charger(station=station) for station in (here, beyond, far, nowhere)]
    near, across, distant, _ = [charger.identity for charger in chargers]
    async with wire.app(site.app_url, token_of(make_user())) as app:
        point = {"latitude": -54.0, "longitude": 179.99}
        assert await listed(app, near={**point, "radius_km": 1}) == [near]
        assert await listed(app, near={**point, "radius_km": 2}) == [near, across]
        assert await listed(app, near=point) == [near, across]  # 10 km unless told otherwise
        assert await listed(app, near={**point, "radius_km": 100}) == [near, across, distant]


async def test_list_in_pages(site: Site) -> None:
    station = make_station()
    for number in range(5):
        make_online_charger(station=station, connectors=1, status="Charging" if number % 2 else "Available")
    async with wire.app(site.app_url, token_of(make_user())) as app:
        whole = await listed(app, station_id=station.pk)
        assert len(whole) == 5
        for status in (None, "available"):
            wish = {"station_id": station.pk, "limit": 2, "status": status}
            pages, cursor = [], None
            for _ in range(4):
                answer = await app.act("list_chargers", {**wish, "cursor": cursor})
                page = [charger["charger_id"] for charger in answer["chargers"]]
                assert 0 < len(page) <= 2
                pages += page
                cursor = answer["next_cursor"]
                if cursor is None:
                    break
            assert cursor is None
            assert pages == (whole if status is None else whole[::2])
        exact = await app.act("list_chargers", {"station_id": station.pk, "limit": 5})
        assert exact["next_cursor"] is None  # full to the brim, and no more


# --- subscribe, unsubscribe ---


async def test_subscriptions_add_up_and_are_told(site: Site) -> None:
    station = make_station()
    one, two = make_charger(station=station), make_charger()
    async with wire.app(site.app_url, token_of(make_user())) as app:

        async def change(action: str, **wish: Any) -> Any:
            answer = await app.act(action, wish)
            assert answer["success"] is True, answer
            return answer["subscribed"]

        nothing = {"all": False, "charger_ids": [], "station_ids": [], "bbox": None}
        assert await change("subscribe") == nothing
        assert await change("subscribe", charger_ids=[one.identity]) == {
            **nothing,
            "charger_ids": [one.identity],
        }
        both = await change("subscribe", charger_ids=[two.identity, one.identity], station_ids=[station.pk])
        assert both == {
            **nothing,
            "charger_ids": [one.identity, two.identity],
            "station_ids": [station.pk],
        }
        assert (await change("subscribe", all=True))["all"] is True
        assert (await change("unsubscribe", charger_ids=[one.identity]))["charger_ids"] == [two.identity]
        assert await change("unsubscribe", all=True, charger_ids=[two.identity]) == {
            **nothing,
            "station_ids": [station.pk],
        }
        await failure(app, "not_found", "subscribe", {"charger_ids": [one.identity, "NOWHERE"]})
        await failure(app, "not_found", "subscribe", {"station_ids": [2**60]})
        assert await change("subscribe") == {**nothing, "station_ids": [station.pk]}  # nothing half done


@pytest.mark.parametrize("by", ["charger", "station", "all", "each of them"])
async def test_subscriber_hears_each_event_once_and_none_after_unsubscribing(site: Site, by: str) -> None:
    async with scene(site) as s:
        assert s.charger.station_id
        wishes: dict[str, dict[str, Any]] = {
            "charger": {"charger_ids": [s.identity]},
            "station": {"station_ids": [s.charger.station_id]},
            "all": {"all": True},
        }
        wishes["each of them"] = {k: v for wish in list(wishes.values()) for k, v in wish.items()}
        await s.app.act("subscribe", wishes[by])
        await s.point.status(1, "Finishing")
        assert await s.app.quiet(0.3, type="none such")
        told = [
            m["type"] for m in s.app.passed if m.get("charger_id") == s.identity and "Finishing" in str(m)
        ]
        assert told == ["charger_update", "charger_status_update"]
        await s.app.act("unsubscribe", wishes[by])
        await s.point.status(1, "Available")
        assert await s.app.quiet(0.3, charger_id=s.identity)
