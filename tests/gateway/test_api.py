"""The REST twins and the operators' calls, over HTTP against a server, with a charger on the wire."""

import asyncio
import http.client
import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from chargers.models import Command
from gateway.errors import HTTP_STATUS
from sessions.models import ChargingSession
from tests import wire
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_charger, make_operator, make_station, make_user, token_of, unique


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Any  # whatever the case of their names

    @property
    def data(self) -> Any:
        return self.body["data"]


def call_now(
    base: str,
    method: str,
    path: str,
    *,
    token: str | None = None,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request, its path as it stands; the answer's body decoded if it is JSON."""
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if raw is not None:
        sent["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=20)
    try:
        connection.request(method, path, raw, {**sent, **(headers or {})})
        response = connection.getresponse()
        content = response.read()
        kind = response.headers.get_content_type()
        decoded = json.loads(content) if kind == "application/json" else content.decode()
        return Answer(response.status, decoded, response.headers)
    finally:
        connection.close()


async def call(site: Site, method: str, path: str, **options: Any) -> Answer:
    return await asyncio.to_thread(call_now, site.http, method, path, **options)


def assert_failure(answer: Answer, code: str, status: int | None = None) -> None:
    """The one shape of failures, with the status of its code."""
    assert (answer.status, answer.body["code"]) == (status or HTTP_STATUS[code], code), answer
    more = {"retry_after"} if code == "rate_limited" else set()
    assert answer.body.keys() == {"success", "error", "code", "message"} | more
    assert answer.body["success"] is False
    assert answer.body["error"]
    assert answer.body["message"]


# --- start and stop ---


async def test_start_and_stop_do_what_the_socket_does(site: Site) -> None:
    charger, user = make_charger(), make_user()
    token = token_of(user)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        wish = {"charger_id": charger.identity, "connector_id": 1}
        starting = asyncio.create_task(call(site, "POST", "/api/charging/start", token=token, body=wish))
        asked = await point.accepts("RemoteStartTransaction")
        started = await starting
        assert started.status == 200
        assert started.body["success"] is True
        assert "success" not in started.data
        assert started.data["charger_id"] == charger.identity
        assert started.data["transaction_id"] is None
        command = Command.objects.get(pk=started.data["message_id"])
        assert command.status == "accepted"

        transaction = await point.start(id_tag=asked["idTag"], meter=1000, at=at())
        await point.meter(transaction=transaction, at=at(), energy=3500)
        active = await call(site, "GET", "/api/charging/session/active", token=token)
        assert active.data["session"]["session_id"] == started.data["session_id"]
        assert active.data["session"]["energy_delivered"] == 2.5

        stopping = asyncio.create_task(call(site, "POST", "/api/charging/stop", token=token, body={}))
        await point.accepts("RemoteStopTransaction")
        stopped = await stopping
        assert stopped.status == 200
        assert stopped.data["transaction_id"] == transaction
        assert stopped.data["energy_delivered"] == 2.5
        await point.stop(transaction=transaction, meter=5000, at=at())
        assert (await call(site, "GET", "/api/charging/session/active", token=token)).data == {
            "session": None
        }


async def test_stop_without_a_body_ends_the_session_wherever_it_is(site: Site) -> None:
    answer = await call(site, "POST", "/api/charging/stop", token=token_of(make_user()))
    assert_failure(answer, "no_active_session", 404)


async def test_refused_start_is_409_with_the_chargers_refusal(site: Site) -> None:
    charger, token = make_charger(), token_of(make_user())
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        wish = {"charger_id": charger.identity}
        starting = asyncio.create_task(call(site, "POST", "/api/charging/start", token=token, body=wish))
        message_id, _ = await point.asked("RemoteStartTransaction")
        await point.answer(message_id, {"status": "Rejected"})
        assert_failure(await starting, "charger_rejected", 409)


async def test_silent_charger_is_504_after_the_command_time_out(site: Site) -> None:
    charger, token = make_charger(), token_of(make_user())
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        wish = {"charger_id": charger.identity}
        assert_failure(
            await call(site, "POST", "/api/charging/start", token=token, body=wish), "charger_timeout", 504
        )


async def test_waiting_start_holds_up_no_other_request(site: Site) -> None:
    charger, token = make_charger(), token_of(make_user())
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        wish = {"charger_id": charger.identity}
        starting = asyncio.create_task(call(site, "POST", "/api/charging/start", token=token, body=wish))
        message_id, _ = await point.asked("RemoteStartTransaction")
        path = f"/api/charging/charger/{charger.identity}/status"
        answers = await asyncio.gather(*(call(site, "GET", path, token=token) for _ in range(10)))
        assert [answer.status for answer in answers] == [200] * 10
        assert not starting.done()
        await point.answer(message_id, {"status": "Accepted"})
        assert (await starting).status == 200


async def test_reasons_not_to_start_have_fitting_statuses(site: Site) -> None:
    token = token_of(make_user())

    async def start(**data: Any) -> Answer:
        return await call(site, "POST", "/api/charging/start", token=token, body=data)

    assert_failure(await start(charger_id=unique("NONE")), "not_found")
    assert_failure(await start(charger_id=make_charger().identity), "charger_offline")
    pending = make_charger(registration="Pending")
    assert_failure(await start(charger_id=pending.identity), "charger_pending")
    assert_failure(await start(), "validation_error")
    assert_failure(await start(charger_id=""), "validation_error")
    assert_failure(await start(charger_id="CP1", connector_id="one"), "validation_error")
    assert_failure(await start(charger_id="CP\x00"), "validation_error")


@pytest.mark.parametrize(
    "body",
    [b"{", b"not json", b'{"charger_id": "\xff"}', b"[" * 50_000, b'{"a":' + b'"' + b"x" * 70_000 + b'"}'],
    ids=["cut off", "words", "not UTF-8", "deeply nested", "above 64 KiB"],
)
async def test_body_that_cannot_be_read_is_invalid_message(site: Site, body: bytes) -> None:
    answer = await call(site, "POST", "/api/charging/start", token=token_of(make_user()), body=body)
    assert_failure(answer, "invalid_message", 400)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"CP001"'])
async def test_body_that_is_no_object_is_a_validation_error(site: Site, body: bytes) -> None:
    answer = await call(site, "POST", "/api/charging/start", token=token_of(make_user()), body=body)
    assert_failure(answer, "validation_error", 400)


@pytest.mark.parametrize(
    "body", [b'{"charger_id": "\\ud800"}', b'{"charger_id": 1e999}', b'{"connector_id": NaN}']
)
async def test_odd_values_are_refused_and_no_fault(site: Site, body: bytes) -> None:
    answer = await call(site, "POST", "/api/charging/start", token=token_of(make_user()), body=body)
    assert answer.status in (400, 404), answer
    assert_failure(answer, answer.body["code"], answer.status)


async def test_form_is_not_taken_for_json(site: Site) -> None:
    answer = await call(
        site,
        "POST",
        "/api/charging/start",
        token=token_of(make_user()),
        body=b"charger_id=CP001",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert_failure(answer, "invalid_message", 415)


# --- looking ---


async def test_charger_status_has_the_same_data_as_on_the_socket(site: Site) -> None:
    charger, user = make_charger(), make_user()
    path = f"/api/charging/charger/{charger.identity}/status"
    over_rest = (await call(site, "GET", path, token=token_of(user))).data
    async with wire.app(site.app_url, token_of(user)) as app:
        on_socket = await app.act("get_charger_status", {"charger_id": charger.identity})
    assert on_socket.pop("success") is True
    assert over_rest == on_socket


@pytest.mark.parametrize("identity", ["A/B", "é ü", "50%", "a+b", "x/", "#1?", "status", "a:b*c", "/status"])
async def test_identity_may_hold_any_character(site: Site, identity: str) -> None:
    charger = make_charger(identity=unique("") + identity)
    encoded = quote(charger.identity, safe="")
    driver, operator = token_of(make_user()), token_of(make_operator())
    twin = await call(site, "GET", f"/api/charging/charger/{encoded}/status", token=driver)
    assert twin.data["charger_id"] == charger.identity
    status = await call(site, "GET", f"/api/chargers/{encoded}/status/", token=operator)
    assert status.data["charger_id"] == charger.identity
    if not identity.endswith("/status"):  # decoded, the two paths are the same one
        detail = await call(site, "GET", f"/api/chargers/{encoded}/", token=driver)
        assert detail.body["charger_id"] == charger.identity


async def test_unprintable_identity_is_not_found(site: Site) -> None:
    for path in ("/api/chargers/a%00b/", "/api/charging/charger/%00/status", "/api/chargers/a%0Ab/status"):
        assert_failure(await call(site, "GET", path, token=token_of(make_operator())), "not_found")


async def test_chargers_are_listed_and_paged(site: Site) -> None:
    token = token_of(make_user())
    station = make_station()
    first, *rest = sorted(make_charger(station=station).identity for _ in range(3))
    page = await call(site, "GET", f"/api/charging/chargers?station_id={station.pk}&limit=1", token=token)
    assert [charger["charger_id"] for charger in page.data["chargers"]] == [first]
    query = f"?station_id={station.pk}&cursor={page.data['next_cursor']}"
    page = await call(site, "GET", f"/api/charging/chargers/{query}", token=token)
    assert [charger["charger_id"] for charger in page.data["chargers"]] == rest
    assert page.data["next_cursor"] is None


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=0", "status=green", "latitude=52", "station_id=" + "9" * 40]
)
async def test_wrong_query_is_a_validation_error(site: Site, query: str) -> None:
    answer = await call(site, "GET", f"/api/charging/chargers?{query}", token=token_of(make_user()))
    assert_failure(answer, "validation_error")


# --- the socket's message over REST ---


async def test_message_is_answered_as_on_the_socket(site: Site) -> None:
    charger = make_charger()
    message = {"action": "get_charger_status", "data": {"charger_id": charger.identity}, "request_id": "r1"}
    answer = await call(site, "POST", "/api/websocket/message", token=token_of(make_user()), body=message)
    assert answer.status == 200
    assert answer.body.keys() == {"type", "action", "data", "timestamp", "request_id"}
    assert (answer.body["type"], answer.body["action"]) == ("response", "get_charger_status")
    assert answer.body["request_id"] == "r1"
    assert answer.data["success"] is True
    assert answer.data["charger_id"] == charger.identity


async def test_failed_message_has_the_sockets_shape_and_a_status(site: Site) -> None:
    token = token_of(make_user())
    failing: list[tuple[dict[str, Any], str]] = [
        ({"action": "get_charger_status", "data": {"charger_id": unique("NONE")}}, "not_found"),
        ({"action": "stop_charging", "data": None}, "no_active_session"),
        ({"action": "dance", "data": {}}, "unknown_action"),
        ({"action": "subscribe", "data": {"all": True}}, "unknown_action"),
        ({"action": "start_charging", "data": {"charger_id": 7}}, "validation_error"),
    ]
    for message, code in failing:
        answer = await call(site, "POST", "/api/websocket/message", token=token, body=message)
        assert answer.status == HTTP_STATUS[code]
        assert (answer.body["type"], answer.body["action"]) == ("response", message["action"])
        assert answer.data.keys() == {"success", "error", "code", "message"}
        assert answer.data["code"] == code


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"action": 1}', b'{"data": {}}'])
async def test_message_without_an_action_is_invalid(site: Site, body: bytes) -> None:
    answer = await call(site, "POST", "/api/websocket/message", token=token_of(make_user()), body=body)
    assert_failure(answer, "invalid_message")


# --- for other back ends ---


async def test_operator_starts_and_stops_for_an_id_tag(site: Site) -> None:
    charger, token = make_charger(), token_of(make_operator())
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        wish = {"charger_id": charger.identity, "id_tag": "card7", "connector_id": 2}
        starting = asyncio.create_task(
            call(site, "POST", "/api/charging/remote_start", token=token, body=wish)
        )
        asked = await point.accepts("RemoteStartTransaction")
        assert (asked["idTag"], asked["connectorId"]) == ("CARD7", 2)
        started = await starting
        assert started.status == 200
        assert started.data["charger_id"] == charger.identity
        assert started.data["status"] == "accepted"
        assert started.data["answer"] == {"status": "Accepted"}

        transaction = await point.start(connector=2, id_tag=asked["idTag"], at=at())
        wish = {"transaction_id": transaction}
        stopping = asyncio.create_task(
            call(site, "POST", "/api/charging/remote_stop/", token=token, body=wish)
        )
        asked = await point.accepts("RemoteStopTransaction")
        assert asked["transactionId"] == transaction
        assert (await stopping).data["action"] == "remote_stop"


async def test_operator_calls_off_a_start_that_has_not_begun(site: Site) -> None:
    charger, user = make_charger(), make_user()
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        wish = {"charger_id": charger.identity}
        starting = asyncio.create_task(
            call(site, "POST", "/api/charging/start", token=token_of(user), body=wish)
        )
        await point.accepts("RemoteStartTransaction")
        assert (await starting).status == 200
        answer = await call(
            site, "POST", "/api/charging/remote_stop", token=token_of(make_operator()), body=wish
        )
        assert answer.status == 200
        assert (answer.data["charger_id"], answer.data["message_id"]) == (charger.identity, None)
        assert ChargingSession.objects.get(user=user).status == "failed"


async def test_operators_calls_fail_in_the_same_shape(site: Site) -> None:
    token = token_of(make_operator())
    offline = make_charger().identity
    for path, body, code in [
        ("remote_start", {"charger_id": unique("NONE"), "id_tag": "T"}, "not_found"),
        ("remote_start", {"charger_id": offline, "id_tag": "T"}, "charger_offline"),
        ("remote_start", {"charger_id": offline}, "validation_error"),
        ("remote_start", {"charger_id": offline, "id_tag": "  "}, "validation_error"),
        ("remote_stop", {}, "validation_error"),
        ("remote_stop", {"transaction_id": 10**30}, "validation_error"),
        ("remote_stop", {"transaction_id": 2**62}, "not_found"),
        ("remote_stop", {"charger_id": offline}, "not_found"),
    ]:
        assert_failure(await call(site, "POST", f"/api/charging/{path}", token=token, body=body), code)


async def test_driver_may_not_call_what_is_for_operators(site: Site) -> None:
    token, charger = token_of(make_user()), make_charger()
    for method, path in [
        ("POST", "/api/charging/remote_start"),
        ("POST", "/api/charging/remote_stop"),
        ("GET", f"/api/chargers/{charger.identity}/status"),
        ("GET", "/api/commands/"),
        ("GET", "/stats"),
    ]:
        assert_failure(await call(site, method, path, token=token), "forbidden", 403)


async def test_operator_sees_a_charger_nobody_has_accepted(site: Site) -> None:
    charger = make_charger(registration="Pending")
    path = f"/api/chargers/{charger.identity}/status"
    answer = await call(site, "GET", path, token=token_of(make_operator()))
    assert answer.body["success"] is True
    assert answer.data["charger_id"] == charger.identity


# --- doors ---


async def test_token_over_http_opens_the_socket(site: Site) -> None:
    user = make_user(password="s3cret-enough")
    credentials = {"username": user.username, "password": "s3cret-enough"}
    answer = await call(site, "POST", "/api/token/", body=credentials)
    async with wire.app(site.app_url, answer.body["access"]) as app:
        assert (await app.receive())["userId"] == user.pk


PATHS = [
    ("POST", "/api/charging/start"),
    ("POST", "/api/charging/stop"),
    ("GET", "/api/charging/session/active"),
    ("GET", "/api/charging/charger/CP/status"),
    ("GET", "/api/charging/chargers"),
    ("POST", "/api/charging/remote_start"),
    ("POST", "/api/charging/remote_stop"),
    ("POST", "/api/websocket/message"),
    ("GET", "/api/chargers"),
    ("GET", "/api/chargers/CP"),
    ("GET", "/api/chargers/CP/status"),
    ("GET", "/api/stations"),
    ("GET", "/api/sessions"),
    ("GET", "/api/sessions/1"),
    ("GET", "/api/sessions/1/meter-values"),
    ("GET", "/api/commands"),
]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_every_door_wants_a_token_with_and_without_a_slash(
    site: Site, method: str, path: str, slash: str
) -> None:
    answer = await call(site, method, path + slash)
    assert_failure(answer, "authentication_failed", 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    answer = await call(site, method, path + slash, token="not.a.token")
    assert_failure(answer, "authentication_failed", 401)


async def test_disabled_user_is_nobody(site: Site) -> None:
    user = make_user()
    token = token_of(user)
    user.is_active = False
    user.save()
    assert_failure(await call(site, "GET", "/api/charging/chargers", token=token), "authentication_failed")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/charging/dance/", "/api/sessions/x/"]
)
async def test_unknown_path_is_404_in_json(site: Site, method: str, path: str) -> None:
    assert_failure(await call(site, method, path), "not_found", 404)


async def test_wrong_method_is_405_in_json(site: Site) -> None:
    answer = await call(site, "GET", "/api/charging/start", token=token_of(make_user()))
    assert_failure(answer, "method_not_allowed", 405)
    assert "POST" in answer.headers["Allow"]


async def test_database_that_is_away_is_503(start_server: Callable[..., Any]) -> None:
    user = make_user()
    server = start_server(DATABASE_URL="sqlite:////nowhere/db.sqlite3", REDIS_URL="")

    async def ask(method: str, path: str, **options: Any) -> Answer:
        return await asyncio.to_thread(call_now, server.http, method, path, **options)

    for path in ("/api/charging/chargers", "/api/sessions/", "/api/charging/session/active"):
        assert_failure(await ask("GET", path, token=token_of(user)), "unavailable", 503)
    credentials = {"username": "u", "password": "p"}
    assert_failure(await ask("POST", "/api/token/", body=credentials), "unavailable", 503)


async def test_bus_that_is_away_is_503_where_it_is_needed(start_server: Callable[..., Any]) -> None:
    server = start_server(REDIS_URL="redis://127.0.0.1:1/0")
    elsewhere = make_charger(channel_name="specific.another!1")
    token, wish = token_of(make_user()), {"charger_id": elsewhere.identity}

    async def ask(method: str, path: str, **options: Any) -> Answer:
        return await asyncio.to_thread(call_now, server.http, method, path, token=token, **options)

    assert_failure(await ask("POST", "/api/charging/start", body=wish), "unavailable", 503)
    assert (await ask("GET", "/api/charging/session/active")).status == 200
    ready = await ask("GET", "/health")
    assert (ready.status, ready.body["status"], ready.body["database"]) == (200, "degraded", "ok")


def test_unforeseen_fault_is_500_without_its_trace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, admin_client: Any
) -> None:
    from gateway import health

    def broken() -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(health, "figures", broken)
    response = admin_client.get("/stats")
    assert response.status_code == 500
    body = response.json()
    assert (body["success"], body["code"]) == (False, "internal_error")
    assert "secret" not in response.content.decode()
    assert "a secret of ours" in caplog.text  # the log has it
