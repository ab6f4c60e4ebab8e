"""Frames over a real socket: whatever a charger sends, it is answered and its line goes on."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from websockets.exceptions import ConnectionClosed

from chargers.events import utcnow
from chargers.models import Charger, Command
from gateway.ocpp.schemas import validator
from sessions.models import ChargingSession, MeterReading
from tests import wire
from tests.charge import at, begin, scene
from tests.conftest import Site, stack
from tests.factories import make_charger, make_user, token_of
from tests.server_process import ServerProcess
from tests.wire import eventually

START = {"connectorId": 1, "idTag": "CARD", "meterStart": 100}


@pytest.fixture(scope="module")
def hasty(committed: None) -> Iterator[ServerProcess]:
    """A server that gives a charger two seconds for an answer."""
    server = ServerProcess(COMMAND_TIMEOUT_S=2, START_TIMEOUT_S=60)
    yield server
    server.stop()


@asynccontextmanager
async def charger_of(site: Site) -> AsyncIterator[wire.FakeCharger]:
    async with wire.charger(site.charger_url, make_charger().identity) as point:
        yield point


async def next_frame(point: wire.FakeCharger) -> list[Any]:
    async with asyncio.timeout(wire.TIMEOUT_S):
        return await point.other.get()


def start_wish(scene: Any, connector: int = 1) -> dict[str, Any]:
    return {
        "action": "start_charging",
        "data": {"charger_id": scene.identity, "connector_id": connector},
        "request_id": connector,
    }


# --- what a charger may send ---

NESTED = '[2,"id","Heartbeat",' + "[" * 50_000 + "]" * 50_000 + "]"
HUGE = '[2,"id","Heartbeat",{"a":' + "9" * 5000 + "}]"


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ("no JSON at all", [4, "-1", "FormationViolation"]),
        ("", [4, "-1", "FormationViolation"]),
        ('[2,"id","Heartbeat",{', [4, "id", "FormationViolation"]),
        ("[]", [4, "-1", "FormationViolation"]),
        ("{}", [4, "-1", "FormationViolation"]),
        ("null", [4, "-1", "FormationViolation"]),
        ('[2,"id"]', [4, "id", "FormationViolation"]),
        ('[2,"id","Heartbeat",[]]', [4, "id", "FormationViolation"]),
        (NESTED, [4, "id", "FormationViolation"]),
        (HUGE, [4, "id", "FormationViolation"]),
        ('[2,"id","Teleport",{}]', [4, "id", "NotImplemented"]),
        ('[2,"id","GetConfiguration",{}]', [4, "id", "NotSupported"]),
        ('[2,"id","DataTransfer",{}]', [4, "id", "OccurenceConstraintViolation"]),
        ('[2,"id","DataTransfer",{"vendorId":5}]', [4, "id", "TypeConstraintViolation"]),
        ('[2,"id","FirmwareStatusNotification",{"status":"x"}]', [4, "id", "PropertyConstraintViolation"]),
        ('[2,null,"Heartbeat",{}]', [4, "-1", "FormationViolation"]),
        ('[2,["id"],"Heartbeat",{}]', [4, "-1", "FormationViolation"]),
        (b"\x00\x01\xff", [4, "-1", "FormationViolation"]),
    ],
)
async def test_a_bad_call_gets_its_error_and_the_socket_stays(
    site: Site, frame: str | bytes, answer: list[Any]
) -> None:
    """E15, E16: the spellings are OCPP 1.6's own"""
    async with charger_of(site) as point:
        await point.send(frame)
        error = await next_frame(point)
        assert error[:3] == answer
        assert len(error) == 5 and isinstance(error[3], str) and error[4] == {}
        await point.call("Heartbeat")


@pytest.mark.parametrize("payload", ["", ",null", ",{}"])
async def test_a_call_without_payload_has_an_empty_one(site: Site, payload: str) -> None:
    """E15"""
    async with charger_of(site) as point:
        await point.send(f'[2,"id","Heartbeat"{payload}]')
        frame = await next_frame(point)
        assert frame[:2] == [3, "id"] and "currentTime" in frame[2]


async def test_binary_frames_are_read_as_text(site: Site) -> None:
    async with charger_of(site) as point:
        await point.send(b'[2,"id","Heartbeat",{}]')
        assert (await next_frame(point))[:2] == [3, "id"]


async def test_what_is_no_message_type_or_answers_nothing_is_ignored(site: Site) -> None:
    """E15: OCPP-J §4.1.3"""
    async with charger_of(site) as point:
        for frame in (
            [7, "id", "Heartbeat", {}],
            ["2", "id"],
            [None],
            [3, "nothing", {}],
            [4, "nothing"],
            [3],
            [4, None],
        ):
            await point.send(frame)
        await point.call("Heartbeat")
        assert point.other.empty()


async def test_an_id_that_is_a_number_comes_back_as_one(site: Site) -> None:
    async with charger_of(site) as point:
        assert (await point.request("Heartbeat", {}, message_id=4711))[:2] == [3, 4711]


async def test_every_answer_is_what_the_official_schema_says(site: Site) -> None:
    async with charger_of(site) as point:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}),
            ("Heartbeat", {}),
            ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
            ("Authorize", {"idTag": "CARD"}),
            ("StartTransaction", {**START, "timestamp": at()}),
            (
                "MeterValues",
                {"connectorId": 1, "meterValue": [{"timestamp": at(), "sampledValue": [{"value": "101"}]}]},
            ),
            ("StopTransaction", {"transactionId": 1, "meterStop": 200, "timestamp": at(), "idTag": "CARD"}),
            ("DataTransfer", {"vendorId": "V"}),
            ("DiagnosticsStatusNotification", {"status": "Idle"}),
            ("FirmwareStatusNotification", {"status": "Idle"}),
        ]
        for action, payload in calls:
            answer = await point.call(action, payload)
            schema = validator("ocpp1.6", f"{action}Response")
            assert schema is not None and schema.is_valid(answer), (action, answer)


async def test_a_frame_over_a_mebibyte_ends_the_socket_and_the_next_one_works(site: Site) -> None:
    async with scene(site) as s:
        await s.point.send('[2,"id","DataTransfer",{"vendorId":"V","data":"' + "x" * 1_000_000 + '"}]')
        assert (await next_frame(s.point))[:2] == [3, "id"]
        await s.point.send('[2,"id","DataTransfer",{"vendorId":"V","data":"' + "x" * 1_100_000 + '"}]')
        assert (await s.point.closed())[0] == 1009
        await eventually(lambda: not Charger.objects.get(pk=s.charger.pk).is_connected)
        async with wire.charger(site.charger_url, s.identity) as point:
            await point.call("Heartbeat")


async def test_text_that_is_no_utf8_ends_only_that_socket(site: Site) -> None:
    async with charger_of(site) as point:
        await point.socket.send(b"\xff\xfe", text=True)
        assert (await point.closed())[0] == 1007
        async with wire.charger(site.charger_url, point.identity) as again:
            await again.call("Heartbeat")


async def test_a_flood_is_answered_in_order_and_holds_nobody_up(site: Site) -> None:
    """Frames wait in the charger's own line while one is handled."""
    async with charger_of(site) as loud, charger_of(site) as calm:
        flood = asyncio.create_task(
            wire_all(loud, [f'[2,"{number}","Teleport",{{}}]' for number in range(3000)])
        )
        for _ in range(20):
            async with asyncio.timeout(2):
                await calm.call("Heartbeat")
        await flood
        answers = [await next_frame(loud) for _ in range(3000)]
        assert [frame[1] for frame in answers] == [str(number) for number in range(3000)]


async def wire_all(point: wire.FakeCharger, frames: list[str]) -> None:
    for frame in frames:
        await point.send(frame)


async def test_nul_bytes_are_no_reason_to_refuse(site: Site) -> None:
    """PostgreSQL holds none, and firmware pads with them."""
    async with charger_of(site) as point:
        boot = {"chargePointVendor": "V\0\0", "chargePointModel": "M\0", "chargePointSerialNumber": "\0"}
        await point.call("BootNotification", boot)
        charger = Charger.objects.get(identity=point.identity)
        assert (charger.vendor, charger.model, charger.serial_number) == ("V", "M", "")
        start = await point.call(
            "StartTransaction", {**START, "idTag": "CARD\0\0\0", "timestamp": "2026-01-01T10:00:00Z\0"}
        )
        value = {"timestamp": at(), "sampledValue": [{"value": "200\0", "context": "\0", "odd\0": "\0"}]}
        await point.call(
            "MeterValues",
            {"connectorId": 1, "transactionId": start["transactionId"], "meterValue": [value]},
        )
        session = ChargingSession.objects.get(transaction_id=start["transactionId"])
        assert session.id_tag == "CARD"
        assert [reading.energy_wh for reading in session.readings.all()] == [200]


# --- facts about money are never refused ---

ODD_STARTS: list[Any] = [
    None,
    {},
    {"connectorId": 1},
    {**START, "timestamp": "never"},
    {**START, "timestamp": None},
    {**START, "connectorId": "1", "meterStart": "100", "timestamp": 5},
    {**START, "connectorId": -1},
    {**START, "connectorId": 0},
    {**START, "connectorId": 10**12},
    {**START, "meterStart": 1e300},
    {**START, "meterStart": -5},
    {**START, "meterStart": None},
    {**START, "idTag": None},
    {**START, "idTag": ["CARD"]},
    {**START, "idTag": "x" * 500},
    {**START, "reservationId": "none", "colour": {"deep": [1, {}]}},
]


@pytest.mark.parametrize("payload", ODD_STARTS)
async def test_an_odd_start_is_confirmed_with_a_transaction_of_its_own(site: Site, payload: Any) -> None:
    """E18: refused, it would be told again and then thrown away (OCPP 1.6 §4.8)"""
    async with charger_of(site) as point:
        answer = await point.call("StartTransaction", payload)
        assert answer["transactionId"] > 0
        assert answer["idTagInfo"]["status"] in ("Invalid", "Accepted")
        session = ChargingSession.objects.get(transaction_id=answer["transactionId"])
        assert session.status == "active"
        # What follows is stored with it.
        value = {"timestamp": at(), "sampledValue": [{"value": "200"}]}
        await point.call(
            "MeterValues", {"transactionId": answer["transactionId"], "connectorId": 1, "meterValue": [value]}
        )
        await point.call(
            "StopTransaction", {"transactionId": answer["transactionId"], "meterStop": 300, "timestamp": at()}
        )
        session.refresh_from_db()
        assert (session.status, session.meter_stop_wh) == ("completed", 300)
        assert session.readings.count() == 1


@pytest.mark.parametrize(
    ("oddity", "flags"),
    [
        ({"meterStop": None}, ["suspect"]),
        ({"meterStop": "many"}, ["suspect"]),
        ({"meterStop": "300"}, []),
        ({"meterStop": 300.4}, []),
        ({"timestamp": None}, ["clock"]),
        ({"timestamp": "yesterday"}, ["clock"]),
        ({"reason": "BecauseIWantedTo"}, []),
        ({"reason": 5}, []),
        ({"idTag": "x" * 500}, []),
        ({"idTag": {"a": 1}}, []),
        ({"transactionData": "none"}, []),
        ({"transactionData": [None, {"sampledValue": [[], {"value": {}}]}]}, []),
        ({"colour": "green"}, []),
    ],
)
async def test_an_odd_stop_is_confirmed_and_ends_its_transaction(
    site: Site, oddity: dict[str, Any], flags: list[str]
) -> None:
    """E18"""
    async with charger_of(site) as point:
        transaction = await point.start(id_tag="CARD", meter=100, at=at())
        stop = {"transactionId": transaction, "meterStop": 300, "timestamp": at(), **oddity}
        await point.call("StopTransaction", stop)
        session = ChargingSession.objects.get(transaction_id=transaction)
        assert (session.status, session.flags) == ("completed", flags)
        assert session.energy_wh == (None if "suspect" in flags else 200)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"connectorId": "one"},
        {"connectorId": -7, "meterValue": []},
        {"connectorId": 10**12, "meterValue": [{}]},
        {"connectorId": 1, "meterValue": "none"},
        {"connectorId": 1, "meterValue": [{"timestamp": "x", "sampledValue": [{"value": [], "unit": {}}]}]},
        {"connectorId": 1, "transactionId": "x", "meterValue": {"sampledValue": {"value": 5}}},
        {"connectorId": 1, "transactionId": 1e300, "meterValue": [{"sampledValue": [{"value": 1e300}]}]},
    ],
)
async def test_odd_meter_values_are_confirmed(site: Site, payload: Any) -> None:
    """E18"""
    async with charger_of(site) as point:
        assert await point.call("MeterValues", payload) == {}
        await point.call("Heartbeat")


@pytest.mark.parametrize("payload", [{}, None, {"idTag": "x" * 500}, {"idTag": 5}, {"idTag": "nobody"}])
async def test_a_tag_that_is_none_is_invalid_and_no_error(site: Site, payload: Any) -> None:
    """E40: too long a tag is tolerated inbound"""
    async with charger_of(site) as point:
        assert await point.call("Authorize", payload) == {"idTagInfo": {"status": "Invalid"}}


async def test_meter_values_before_any_boot_are_taken_after_a_plain_reconnect(site: Site) -> None:
    """E19: OCPP-J §5.4, a reconnect needs no BootNotification"""
    async with charger_of(site) as point:
        await point.meter(transaction=None, at=at(), energy=5)
        assert MeterReading.objects.filter(charger__identity=point.identity).count() == 1


# --- the same id again ---


async def test_a_repeated_id_gets_the_stored_answer_and_nothing_is_done_again(site: Site) -> None:
    """E14"""
    async with charger_of(site) as point:
        payload = {**START, "timestamp": at()}
        first = await point.request("StartTransaction", payload, message_id="same")
        # A fact of its own, so that doing it again would show.
        await point.call("StartTransaction", {**payload, "idTag": "OTHER"})
        assert await point.request("StartTransaction", payload, message_id="same") == first
        assert ChargingSession.objects.filter(charger__identity=point.identity).count() == 2
        beat = await point.request("Heartbeat", {}, message_id="beat")
        assert await point.request("Heartbeat", {}, message_id="beat") == beat


async def test_an_id_of_an_earlier_connection_is_a_new_one(site: Site) -> None:
    """E14: counters begin at 1 again after a reboot"""
    async with charger_of(site) as point:
        beat = await point.request("Heartbeat", {}, message_id="1")
    async with wire.charger(site.charger_url, point.identity) as point:
        await asyncio.sleep(0.005)
        assert await point.request("Heartbeat", {}, message_id="1") != beat
        answer = await point.request("DataTransfer", {"vendorId": "V"}, message_id="1")
        assert answer[:3] == [4, "1", "FormationViolation"]


# --- our CALLs ---


async def test_one_command_at_a_time_goes_to_a_charger_and_others_do_not_wait(site: Site) -> None:
    """E11: OCPP-J §4.1.1, errata-J 3.4"""
    async with (
        scene(site) as s,
        wire.app(site.app_url, token_of(make_user())) as second,
        scene(site) as elsewhere,
    ):
        await s.app.send(start_wish(s))
        first_id, _ = await s.point.asked("RemoteStartTransaction")
        await second.send(start_wish(s, connector=2))
        queued = await eventually(lambda: Command.objects.filter(charger=s.charger, status="queued").first())
        assert queued.params["connector_id"] == 2
        await begin(elsewhere)  # another charger: all of it while this one is silent
        assert s.point.calls.empty()
        await s.point.answer(first_id, {"status": "Accepted"})
        assert (await s.point.accepts("RemoteStartTransaction"))["connectorId"] == 2
        assert (await s.app.until(type="response"))["data"]["success"] is True
        assert (await second.until(type="response"))["data"]["success"] is True


async def test_the_second_command_goes_out_after_an_error_too(site: Site) -> None:
    """E11"""
    async with scene(site) as s, wire.app(site.app_url, token_of(make_user())) as second:
        await s.app.send(start_wish(s))
        first_id, _ = await s.point.asked("RemoteStartTransaction")
        await second.send(start_wish(s, connector=2))
        await s.point.send([4, first_id, "InternalError", "it hurts", {}])
        answer = (await s.app.until(type="response"))["data"]
        assert (answer["success"], answer["code"]) == (False, "charger_rejected")
        await s.point.accepts("RemoteStartTransaction")
        assert (await second.until(type="response"))["data"]["success"] is True


async def test_a_call_of_the_charger_is_answered_while_ours_is_open(site: Site) -> None:
    """E12: a charger may ask back for the tag before it answers the start"""
    async with scene(site) as s:
        await s.app.send(start_wish(s))
        message_id, asked = await s.point.asked("RemoteStartTransaction")
        await s.point.status(1, "Preparing")
        authorized = await s.point.call("Authorize", {"idTag": asked["idTag"]})
        assert authorized == {"idTagInfo": {"status": "Accepted"}}
        assert await s.app.quiet(0.1, type="response")
        await s.point.answer(message_id, {"status": "Accepted"})
        assert (await s.app.until(type="response"))["data"]["success"] is True


async def test_a_late_answer_settles_its_own_command_and_not_the_next(hasty: ServerProcess) -> None:
    """E13"""
    charger, user = make_charger(), make_user()
    async with (
        wire.charger(hasty.ws, charger.identity) as point,
        wire.app(hasty.ws, token_of(user)) as app,
        wire.app(hasty.ws, token_of(make_user())) as second,
    ):
        await point.ready()
        wish = {"charger_id": charger.identity}
        await app.send({"action": "start_charging", "data": wish})
        first_id, _ = await point.asked("RemoteStartTransaction")
        answer = (await app.until(type="response"))["data"]
        assert (answer["success"], answer["code"]) == (False, "charger_timeout")
        assert Command.objects.get(pk=first_id).status == "unknown"
        await second.send({"action": "start_charging", "data": {**wish, "connector_id": 2}})
        second_id, _ = await point.asked("RemoteStartTransaction")
        await point.answer(first_id, {"status": "Rejected"})
        # The first user's start has failed after all; the second one's is still open.
        failed = await app.until(type="session_update", event="session_error")
        assert failed["data"]["code"] == "charger_rejected"
        assert Command.objects.get(pk=first_id).status == "rejected"
        assert Command.objects.get(pk=second_id).status == "sent"
        await point.answer(second_id, {"status": "Accepted"})
        assert (await second.until(type="response"))["data"]["success"] is True


async def test_a_command_given_up_in_the_queue_is_never_sent(hasty: ServerProcess) -> None:
    """E11: behind a charger that never answers; its caller hears of it in time, and nothing happens afterwards"""
    charger = make_charger()
    async with (
        wire.charger(hasty.ws, charger.identity) as point,
        wire.app(hasty.ws, token_of(make_user())) as app,
        wire.app(hasty.ws, token_of(make_user())) as second,
    ):
        await point.ready()
        wish = {"charger_id": charger.identity}
        await app.send({"action": "start_charging", "data": wish})
        await point.asked("RemoteStartTransaction")
        # As when the socket's process stands still until the caller has given up.
        Command.objects.filter(charger=charger).update(created_at=utcnow())
        await second.send({"action": "start_charging", "data": {**wish, "connector_id": 2}})
        queued = await eventually(lambda: Command.objects.filter(charger=charger, status="queued").first())
        Command.objects.filter(pk=queued.pk).update(status="failed", finished_at=utcnow())
        assert (await app.until(type="response"))["data"]["code"] == "charger_timeout"
        await point.call("Heartbeat")
        assert await quiet(point, 0.3)
        assert Command.objects.get(pk=queued.pk).status == "failed"


async def quiet(point: wire.FakeCharger, seconds: float) -> bool:
    try:
        await asyncio.wait_for(point.calls.get(), seconds)
    except TimeoutError:
        return True
    return False


async def test_commands_under_way_when_the_socket_drops_end_at_once(site: Site) -> None:
    """E4: one sent, one waiting; neither reaches the charger when it comes back"""
    async with (
        wire.app(site.app_url, token_of(make_user())) as app,
        wire.app(site.app_url, token_of(make_user())) as second,
    ):
        charger = make_charger()
        async with wire.charger(site.charger_url, charger.identity) as point:
            await point.ready()
            for client, connector in ((app, 1), (second, 2)):
                wish = {"charger_id": charger.identity, "connector_id": connector}
                await client.send({"action": "start_charging", "data": wish})
                await eventually(
                    Command.objects.filter(charger=charger, params__connector_id=connector).exists
                )
            await point.asked("RemoteStartTransaction")
        answer = (await app.until(1.5, type="response"))["data"]
        assert answer["code"] == "charger_timeout"  # it may have heard it
        answer = (await second.until(1.5, type="response"))["data"]
        assert answer["code"] == "charger_offline"
        commands = {c.params["connector_id"]: c for c in Command.objects.filter(charger=charger)}
        assert (commands[1].status, commands[2].status) == ("unknown", "failed")
        async with wire.charger(site.charger_url, charger.identity) as point:
            await point.call("Heartbeat")
            assert await quiet(point, 0.2)


# --- a database that is away for a moment ---


@pytest.mark.skipif(stack() != "embedded", reason="the lock of SQLite")
async def test_a_locked_database_is_waited_for(site: Site) -> None:
    """E17"""
    async with charger_of(site) as point:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM charging_meterreading WHERE false")  # takes the one write lock
            starting = asyncio.create_task(point.start(id_tag="CARD", at=at()))
            await asyncio.sleep(0.5)
            assert not starting.done()
        assert await starting > 0


@pytest.mark.skipif(stack() != "real", reason="connections of PostgreSQL")
async def test_lost_database_connections_are_replaced_without_an_error(site: Site) -> None:
    """E17: the database was restarted"""
    async with charger_of(site) as point:
        transaction_id = await point.start(id_tag="CARD", at=at())
        await point.meter(transaction=transaction_id, at=at(), energy=2000)
        for number in range(3):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'process'"
                )
                assert cursor.fetchall()
            await point.meter(transaction=transaction_id, at=at(), energy=2001 + number)
            await point.status(1, "Charging")
        await point.stop(transaction=transaction_id, meter=3000, at=at())


@pytest.mark.skipif(stack() != "real", reason="row locks of PostgreSQL")
async def test_a_deadlock_is_retried_and_not_told(site: Site) -> None:
    """E17"""
    async with charger_of(site) as point:
        charger = Charger.objects.get(identity=point.identity)
        with transaction.atomic(), connection.cursor() as cursor:
            # The server takes the charger's row and then waits for the table; we wait for the charger's row.
            cursor.execute(
                "SET LOCAL deadlock_timeout = '20s'"
            )  # so that the server's side is the one to give up
            cursor.execute("LOCK TABLE charging_chargingsession IN EXCLUSIVE MODE")
            starting = asyncio.create_task(point.start(id_tag="CARD", at=at()))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(_wait_for_row, cursor, charger.pk)
        assert await starting > 0


def _wait_for_row(cursor: Any, charger_id: int) -> None:
    cursor.execute("SELECT 1 FROM chargers_charger WHERE id = %s FOR UPDATE", [charger_id])


async def test_a_failing_handler_answers_internal_error_and_the_socket_stays(site: Site) -> None:
    for _ in range(3):
        async with charger_of(site) as point:
            charger = Charger.objects.get(identity=point.identity)
            charger.delete()  # behind everybody's back
            try:
                boot = {"chargePointVendor": "V", "chargePointModel": "M"}
                frame = await point.request("BootNotification", boot)
                assert frame[:1] + frame[2:3] == [4, "InternalError"]
                frame = await point.request("StartTransaction", {**START, "timestamp": at()})
                assert frame[:1] + frame[2:3] == [4, "InternalError"]
                await point.call("Heartbeat")
                return
            except (ConnectionError, ConnectionClosed):
                # Presence, confirmed in this very moment, found that the charger is nobody's.
                continue
    pytest.fail("the socket ended each time")


async def test_our_ids_are_uuids_and_our_frames_compact(site: Site) -> None:
    async with scene(site) as s:
        s.point.reader.cancel()
        await asyncio.gather(s.point.reader, return_exceptions=True)
        await s.app.send(start_wish(s))
        async with asyncio.timeout(wire.TIMEOUT_S):
            text = str(await s.point.socket.recv())
        frame = json.loads(text)
        assert text == json.dumps(frame, separators=(",", ":"))
        assert str(uuid.UUID(frame[1])) == frame[1]
