"""Whatever an app may send: it is answered in words, the socket stays open, and answers keep to their form."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.app_socket import MAX_CONCURRENT_ACTIONS
from gateway.protocol import MAX_MESSAGE_BYTES
from sessions.models import ChargingSession
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, make_user, token_of

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
TIMES = {"timestamp", "server_time", "last_seen", "updated_at", "start_time", "stop_time", "requested_at"}
IDS = {"session_id", "transaction_id", "userId", "connector_id", "station_id"}


@asynccontextmanager
async def visitor(site: Site) -> AsyncIterator[wire.App]:
    async with wire.app(site.app_url, token_of(make_user())) as app:
        await app.until(type="active_session_update")
        yield app


async def still_open(app: wire.App) -> None:
    assert (await app.act("ping"))["success"] is True


async def refused(app: wire.App, message: str | bytes) -> dict[str, Any]:
    """The error that answers a message which could not be read; nothing else comes, and the socket stays open."""
    await app.send(message)
    error = await app.receive()
    assert set(error) == {"type", "message", "code", "timestamp"}
    assert error["type"] == "error"
    assert RFC3339.fullmatch(error["timestamp"])
    assert error["code"] == "invalid_message"
    assert error["message"]
    await still_open(app)
    return error


async def failed(app: wire.App, action: str, data: Any, code: str = "validation_error") -> dict[str, Any]:
    """The `data` of a failure, which has exactly the four fields of section 2."""
    await app.send({"action": action, "data": data})
    answer = await app.until(type="response", action=action)
    assert set(answer) == {"type", "action", "data", "timestamp"}
    assert set(answer["data"]) == {"success", "error", "code", "message"}
    assert answer["data"]["success"] is False
    assert answer["data"]["code"] == code, answer
    assert answer["data"]["error"] and answer["data"]["message"]
    return answer["data"]


# --- what cannot be read ---


@pytest.mark.parametrize(
    "message",
    [
        "",
        " ",
        "hello",
        "{",
        '{"action":"ping"',
        "{'action': 'ping'}",
        '{"action":"ping"} {"action":"ping"}',
        '{"action":"ping","data":{"x":NaN}}',
        "\ufeff" + '{"action":"ping"}',
        "null",
        "true",
        "42",
        '"ping"',
        "[]",
        '[{"action":"ping"}]',
        "{}",
        '{"data":{}}',
        '{"Action":"ping"}',
        '{"action":null}',
        '{"action":5}',
        '{"action":true}',
        '{"action":["ping"]}',
        '{"action":{"name":"ping"}}',
        '{"action":"ping","request_id":1.5}',
        '{"action":"ping","request_id":true}',
        '{"action":"ping","request_id":["1"]}',
        '{"action":"ping","request_id":{}}',
        '{"action":"\\ud800"}',
        '{"action":"ping","request_id":"\\udfff"}',
        "[" * 50_000,
        '{"action":' * 10_000,
        '{"action":"ping","data":' + "[" * 20_000 + "]" * 20_000 + "}",
        "9" * 5_000,
    ],
    ids=lambda message: message[:30] or "empty",
)
async def test_unreadable_message_is_an_error_and_the_socket_stays_open(site: Site, message: str) -> None:
    async with visitor(site) as app:
        await refused(app, message)


async def test_binary_frame_is_an_error_that_says_so(site: Site) -> None:
    async with visitor(site) as app:
        error = await refused(app, b'{"action":"ping"}')
        assert "binary" in error["message"].lower()
        await refused(app, b"\xff\xfe\x00")
        await refused(app, b"")


def ping_of_size(size: int, filler: str = "x") -> str:
    """A valid ping whose text has this many bytes."""
    head, tail = '{"action":"ping","data":{"x":"', '"}}'
    width = len(filler.encode())
    count, rest = divmod(size - len(head) - len(tail), width)
    return head + filler * count + "x" * rest + tail


@pytest.mark.parametrize("filler", ["x", "é", "€", "😀"])
async def test_64_kib_is_served_and_a_byte_more_is_not(site: Site, filler: str) -> None:
    async with visitor(site) as app:
        largest = ping_of_size(MAX_MESSAGE_BYTES, filler)
        assert len(largest.encode()) == 65_536
        await app.send(largest)
        assert (await app.receive())["data"]["success"] is True
        error = await refused(app, ping_of_size(MAX_MESSAGE_BYTES + 1, filler))
        assert "64 KiB" in error["message"]
        await refused(app, ping_of_size(900 * 1024, filler))


async def test_over_1_mib_the_socket_may_be_closed_with_1009(site: Site) -> None:
    async with visitor(site) as app:
        await app.send(ping_of_size(1024 * 1024 + 1))
        code, _ = await app.closed()
        assert code == 1009


async def test_a_message_in_fragments_is_one_message(site: Site) -> None:
    async with visitor(site) as app:
        await app.socket.send(['{"action":', '"ping",', '"request_id":1}'])
        assert (await app.receive())["request_id"] == 1


# --- what can be read but not done ---


@pytest.mark.parametrize(
    "action", ["fly", "", "PING", "ping ", "perform", "__class__", "a\u0000b", "größer", "x" * 50_000]
)
async def test_unknown_action_fails_and_is_named(site: Site, action: str) -> None:
    async with visitor(site) as app:
        failure = await failed(app, action, {}, "unknown_action")
        assert action[:80] in failure["error"]
        await still_open(app)


@pytest.mark.parametrize(
    ("action", "data", "field"),
    [
        ("start_charging", {}, "charger_id"),
        ("start_charging", None, "charger_id"),
        ("start_charging", {"charger_id": None}, "charger_id"),
        ("start_charging", {"charger_id": 1}, "charger_id"),
        ("start_charging", {"charger_id": ""}, "charger_id"),
        ("start_charging", {"charger_id": "x" * 256}, "charger_id"),
        ("start_charging", {"charger_id": "CP\u0000"}, "charger_id"),
        ("start_charging", {"charger_id": ["CP001"]}, "charger_id"),
        ("start_charging", {"charger_id": "CP001", "connector_id": "1"}, "connector_id"),
        ("start_charging", {"charger_id": "CP001", "connector_id": 1.5}, "connector_id"),
        ("start_charging", {"charger_id": "CP001", "connector_id": True}, "connector_id"),
        ("start_charging", {"charger_id": "CP001", "connector_id": None}, "connector_id"),
        ("start_charging", {"charger_id": "CP001", "connector_id": 0}, "connector_id"),
        ("start_charging", {"charger_id": "CP001", "connector_id": -1}, "connector_id"),
        ("start_charging", {"charger_id": "CP001", "connector_id": 10**30}, "connector_id"),
        ("stop_charging", {"charger_id": 7}, "charger_id"),
        ("stop_charging", {"charger_id": "\u0000"}, "charger_id"),
        ("get_charger_status", {}, "charger_id"),
        ("get_charger_status", {"charger_id": "a\u0000"}, "charger_id"),
        ("list_chargers", {"status": "free"}, "status"),
        ("list_chargers", {"station_id": "1"}, "station_id"),
        ("list_chargers", {"station_id": 2**63}, "station_id"),
        ("list_chargers", {"station_id": -(2**70)}, "station_id"),
        ("list_chargers", {"limit": 0}, "limit"),
        ("list_chargers", {"limit": 201}, "limit"),
        ("list_chargers", {"limit": "10"}, "limit"),
        ("list_chargers", {"cursor": 5}, "cursor"),
        ("list_chargers", {"search": "a" * 101}, "search"),
        ("list_chargers", {"search": "\u0000"}, "search"),
        ("list_chargers", {"cursor": "\u0000"}, "cursor"),
        ("list_chargers", {"near": []}, "near"),
        ("list_chargers", {"near": {"latitude": 1}}, "longitude"),
        ("list_chargers", {"near": {"latitude": 91, "longitude": 0}}, "latitude"),
        ("list_chargers", {"near": {"latitude": 0, "longitude": 181}}, "longitude"),
        ("list_chargers", {"near": {"latitude": 0, "longitude": 0, "radius_km": 0}}, "radius_km"),
        ("list_chargers", {"near": {"latitude": 0, "longitude": 0, "radius_km": 1e308}}, "radius_km"),
        ("subscribe", {"charger_ids": "CP001"}, "charger_ids"),
        ("subscribe", {"charger_ids": [1]}, "charger_ids"),
        ("subscribe", {"charger_ids": ["\u0000"]}, "charger_ids"),
        ("subscribe", {"charger_ids": ["x"] * 501}, "charger_ids"),
        ("subscribe", {"station_ids": ["1"]}, "station_ids"),
        ("subscribe", {"station_ids": [2**63]}, "station_ids"),
        ("subscribe", {"all": "yes"}, "all"),
        ("unsubscribe", {"all": 1}, "all"),
    ],
)
async def test_missing_or_wrong_field_fails_and_is_named(
    site: Site, action: str, data: Any, field: str
) -> None:
    async with visitor(site) as app:
        failure = await failed(app, action, data)
        assert field in failure["message"]


@pytest.mark.parametrize("data", [[], "x", 5, True, [{}]])
@pytest.mark.parametrize("action", ["start_charging", "get_active_session", "subscribe", "ping"])
async def test_data_that_is_no_object_fails(site: Site, action: str, data: Any) -> None:
    async with visitor(site) as app:
        await failed(app, action, data)


@pytest.mark.parametrize("action", ["get_active_session", "list_chargers", "ping", "subscribe"])
async def test_data_may_be_null_or_missing_where_nothing_is_required(site: Site, action: str) -> None:
    async with visitor(site) as app:
        for message in ({"action": action, "data": None}, {"action": action}, {"action": action, "data": {}}):
            await app.send(message)
            assert (await app.until(type="response", action=action))["data"]["success"] is True


async def test_unknown_fields_are_passed_over(site: Site) -> None:
    async with visitor(site) as app:
        await app.send({"action": "ping", "data": {"x": {"y": [1]}}, "version": 7, "type": "request"})
        answer = await app.receive()
        assert answer["data"]["success"] is True
        failure = await app.act("get_charger_status", {"charger_id": "NOWHERE", "colour": "red"})
        assert failure["code"] == "not_found"


async def test_text_of_every_script_comes_back_as_it_was(site: Site) -> None:
    async with visitor(site) as app:
        for name in ("Ladesäule", "充电桩", "😀", "\u2028", "a\tb", '"quoted"', "\\", "\x7f", "100%", "*:"):
            failure = await failed(app, "get_charger_status", {"charger_id": name}, "not_found")
            assert name in failure["error"]


# --- request_id ---


@pytest.mark.parametrize(
    "request_id", ["a", "", "😀", "x" * 1000, 0, 1, -5, 2**53, 2**64 - 1, -(2**63), 10**30]
)
async def test_request_id_comes_back_as_it_was(site: Site, request_id: str | int) -> None:
    async with visitor(site) as app:
        for action, data in (
            ("ping", {}),
            ("subscribe", {}),
            ("nonsense", {}),
            ("get_charger_status", {"charger_id": 5}),
        ):
            await app.send({"action": action, "data": data, "request_id": request_id})
            answer = await app.receive()
            assert answer["type"] == "response"
            assert answer["action"] == action
            assert answer["request_id"] == request_id
            assert type(answer["request_id"]) is type(request_id)


@pytest.mark.parametrize("message", ['{"action":"ping"}', '{"action":"ping","request_id":null}'])
async def test_no_request_id_where_none_was_sent(site: Site, message: str) -> None:
    async with visitor(site) as app:
        await app.send(message)
        assert "request_id" not in await app.receive()


# --- many at once ---


async def test_a_slow_charger_holds_up_no_other_action_of_the_socket(site: Site) -> None:
    charger, user = make_charger(), make_user()
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token_of(user)) as app,
    ):
        await point.ready()
        await app.send(
            {"action": "start_charging", "data": {"charger_id": charger.identity}, "request_id": "slow"}
        )
        message_id, _ = await point.asked("RemoteStartTransaction")
        for action in ("ping", "list_chargers", "get_active_session", "subscribe"):
            assert (await app.act(action))["success"] is True
        assert (await app.act("get_charger_status", {"charger_id": charger.identity}))["success"] is True
        assert not [m for m in app.passed if m.get("request_id") == "slow"]
        await point.answer(message_id, {"status": "Accepted"})
        assert (await app.until(request_id="slow"))["data"]["success"] is True


async def test_too_many_actions_at_once_are_rate_limited_and_one_answer_makes_room(site: Site) -> None:
    charger, user = make_charger(connectors=1), make_user()
    identity = charger.identity
    async with (
        wire.charger(site.charger_url, identity) as point,
        wire.app(site.app_url, token_of(user)) as app,
    ):
        await point.ready(1)
        start = {"action": "start_charging", "data": {"charger_id": identity}}
        for number in range(MAX_CONCURRENT_ACTIONS):  # a double tap waits for the first one's answer
            await app.send({**start, "request_id": number})
        message_id, _ = await point.asked("RemoteStartTransaction")
        await app.send({"action": "list_chargers", "request_id": "one too many"})
        answer = (await app.until(request_id="one too many"))["data"]
        assert (answer["success"], answer["code"]) == (False, "rate_limited")
        assert (await app.act("ping"))["success"] is True  # answered at once, so never too many
        await point.answer(message_id, {"status": "Accepted"})
        answers = [await app.until(type="response", action="start_charging") for _ in range(32)]
        assert {answer["request_id"] for answer in answers} == set(range(MAX_CONCURRENT_ACTIONS))
        assert len({answer["data"]["session_id"] for answer in answers}) == 1
        assert (await app.act("list_chargers"))["success"] is True
    assert ChargingSession.objects.filter(user=user).count() == 1


async def test_many_pings_in_one_go_are_all_answered_in_order(site: Site) -> None:
    async with visitor(site) as app:
        for number in range(200):
            await app.send({"action": "ping", "request_id": number})
        assert [(await app.receive())["request_id"] for _ in range(200)] == list(range(200))


# --- forms ---


def fields(message: Any) -> Iterator[tuple[str, Any]]:
    """Every (name, value) of a message, however deep."""
    if isinstance(message, dict):
        yield from message.items()
        message = list(message.values())
    if isinstance(message, list):
        for each in message:
            yield from fields(each)


async def test_times_are_utc_with_z_ids_are_integers_and_message_ids_uuids(site: Site) -> None:
    """In every message of a whole charge, and in the answers of every action."""
    charger, user = make_charger(), make_user()
    identity = charger.identity
    at = "2026-03-01T12:00:00+02:00"  # the charger may have a zone of its own
    async with (
        wire.charger(site.charger_url, identity) as point,
        wire.app(site.app_url, token_of(user)) as app,
    ):
        await point.ready()
        await app.act("subscribe", {"all": False, "charger_ids": [identity]})
        await app.send({"action": "start_charging", "data": {"charger_id": identity}, "request_id": "start"})
        asked = await point.accepts("RemoteStartTransaction")
        await app.until(request_id="start")
        transaction = await point.start(id_tag=asked["idTag"], at=at)
        await point.status(1, "Charging", timestamp=at)
        await point.meter(transaction=transaction, at=at, energy=2000, SoC=40)
        await app.until(event="meter_value")
        for action, data in (
            ("get_charger_status", {"charger_id": identity}),
            ("get_active_session", {}),
            ("list_chargers", {"station_id": charger.station_id}),
            ("ping", {}),
        ):
            await app.send({"action": action, "data": data, "request_id": action})
            await app.until(request_id=action)
        await app.send({"action": "stop_charging", "request_id": "stop"})
        await point.accepts("RemoteStopTransaction")
        await app.until(request_id="stop")
        await point.stop(transaction=transaction, meter=5000, at=at)
        await app.until(type="active_session_update", has_active_session=False)
        texts = app.heard
    seen: set[str] = set()
    for message in map(json.loads, texts):
        assert RFC3339.fullmatch(message["timestamp"])
        for name, value in fields(message):
            if value is None:
                continue
            seen.add(name)
            if name in TIMES:
                assert RFC3339.fullmatch(value), (name, value)
            elif name in IDS:
                assert type(value) is int, (name, value)
            elif name == "message_id":
                assert str(uuid.UUID(value)) == value
            elif name == "charger_id":
                assert value == identity
    assert seen >= {*TIMES, *IDS, "message_id", "charger_id"}


async def test_no_answer_is_lost_when_the_client_sends_and_closes(site: Site) -> None:
    """The server is none the worse for a client that leaves in the middle of its actions."""
    before = len(site.apps.log)
    user = make_user()
    for _ in range(5):
        async with wire.app(site.app_url, token_of(user)) as app:
            for _ in range(20):
                await app.send({"action": "list_chargers"})
    async with wire.app(site.app_url, token_of(user)) as app:
        for _ in range(20):
            await app.send({"action": "list_chargers"})
        app.socket.transport.abort()
    await asyncio.sleep(0.3)
    assert "Traceback" not in site.apps.log[before:]
