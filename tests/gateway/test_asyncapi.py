"""The AsyncAPI document against its specification, against the client's guide, and against what a socket says."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from django.conf import settings
from django.test import Client

from chargers import services
from gateway import asyncapi, protocol
from gateway.errors import HTTP_STATUS
from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site
from tests.factories import make_charger, make_station, make_tariff, make_user, token_of

SPECIFICATION = Path(settings.BASE_DIR) / "node_modules/@asyncapi/specs/schemas/3.0.0.json"
DOCUMENT = asyncapi.document()
MESSAGES = DOCUMENT["components"]["messages"]


def validator(name: str) -> Any:
    schema = {**MESSAGES[name]["payload"], "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


VALIDATORS = {name: validator(name) for name in MESSAGES}
FROM_SERVER = [name for name in MESSAGES if not name.endswith(".request")]


def test_document_fits_the_official_schema() -> None:
    specification = json.loads(SPECIFICATION.read_text())
    errors = list(jsonschema_rs.validator_for(specification).iter_errors(DOCUMENT))
    assert not errors, [f"{error.instance_path}: {error.message}" for error in errors]


def test_every_reference_leads_somewhere() -> None:
    def look(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                target = DOCUMENT
                for step in part["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
            for value in part.values():
                look(value)
        elif isinstance(part, list):
            for value in part:
                look(value)

    look(DOCUMENT)


def test_all_actions_pushes_and_events_are_in_it() -> None:
    for action in protocol.ACTIONS:
        assert {f"{action}.request", f"{action}.response"} <= MESSAGES.keys()
        assert action in DOCUMENT["operations"]
    events = {name.partition(".")[2] for name in MESSAGES if name.startswith("session_update.")}
    assert events == {
        "session_started",
        "meter_value",
        "session_stopped",
        "session_completed",
        "session_error",
    }
    events = {name.partition(".")[2] for name in MESSAGES if name.startswith("charger_update.")}
    assert events == {
        "status_changed",
        "connector_status_changed",
        "error",
        "configuration_changed",
        "maintenance_mode",
    }
    assert {"connected", "active_session_update", "charger_status_update", "charger_list_update"} <= (
        MESSAGES.keys()
    )
    assert {"notification", "error", "failure"} <= MESSAGES.keys()


def test_every_error_code_is_explained_with_its_status() -> None:
    assert asyncapi.ERROR_MEANINGS.keys() == HTTP_STATUS.keys()
    assert set(protocol.ERROR_CODES) <= HTTP_STATUS.keys()
    assert DOCUMENT["components"]["schemas"]["Failure"]["properties"]["code"]["enum"] == protocol.ERROR_CODES


@pytest.mark.parametrize("name", MESSAGES)
def test_examples_fit_their_message_and_no_other(name: str) -> None:
    assert MESSAGES[name]["examples"]
    for example in MESSAGES[name]["examples"]:
        others = MESSAGES if name.endswith(".request") else FROM_SERVER
        fitting = [other for other in others if VALIDATORS[other].is_valid(example["payload"])]
        assert fitting == [name]


def test_clients_guide_messages_are_among_the_examples() -> None:
    """The seed's requests to the letter; its answers as part of ours."""
    requests = [
        {"action": "start_charging", "data": {"charger_id": "CP001", "connector_id": 1}},
        {"action": "stop_charging", "data": {"charger_id": "CP001"}},
        {"action": "get_charger_status", "data": {"charger_id": "CP001"}},
        {"action": "get_active_session", "data": {}},
        {"action": "list_chargers", "data": {}},
    ]
    for request in requests:
        examples = [each["payload"] for each in MESSAGES[f"{request['action']}.request"]["examples"]]
        assert request in examples
    started = MESSAGES["start_charging.response"]["examples"][0]["payload"]
    assert started["data"].items() >= {"success": True, "session_id": 123, "charger_id": "CP001"}.items()
    assert started["timestamp"] == "2025-01-29T12:00:00Z"
    stopped = MESSAGES["stop_charging.response"]["examples"][0]["payload"]
    assert stopped["data"].items() >= {"success": True, "session_id": 123, "transaction_id": 456}.items()
    assert {"type", "message", "timestamp"} <= MESSAGES["error"]["examples"][0]["payload"].keys()


def test_document_is_served_and_names_its_server(client: Client) -> None:
    served = client.get("/asyncapi.json", headers={"host": "localhost:1234"}).json()
    assert served["servers"]["here"]["host"] == "localhost:1234"
    assert served == asyncapi.document(host="localhost:1234")


def test_close_reasons_are_those_of_the_protocol() -> None:
    reasons = {(each["code"], each["reason"]) for each in DOCUMENT["channels"]["app"]["x-close-codes"]}
    assert {
        (1008, "Authentication required"),
        (1008, "Invalid authentication token"),
        (1008, "Token expired"),
        (1008, "Server at capacity"),
    } <= reasons


# --- against reality ---


def message_of(text: str) -> str:
    """Which message of the document this is: exactly one, with no field the document does not know."""
    payload = json.loads(text)
    fitting = [name for name in FROM_SERVER if VALIDATORS[name].is_valid(payload)]
    assert len(fitting) == 1, (fitting, payload, _complaints(payload))
    unknown = _unknown(payload, MESSAGES[fitting[0]]["payload"])
    assert not unknown, (fitting[0], unknown)
    return fitting[0]


def _complaints(payload: dict[str, Any]) -> list[str]:
    tag, event = payload["type"], payload.get("event")
    names = [f"{payload.get('action')}.response", "failure"] if tag == "response" else [tag, f"{tag}.{event}"]
    return [
        f"{name}: {error.instance_path} {error.message[:300]}"
        for name in names
        if name in VALIDATORS
        for error in VALIDATORS[name].iter_errors(payload)
    ]


def _unknown(value: Any, schema: Any, path: str = "") -> list[str]:
    """Fields that are sent and not documented."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for options in ("anyOf", "allOf"):
        if options in schema:
            schema = next((each for each in schema[options] if "$ref" in each), {})
            return _unknown(value, schema, path) if schema else []
    if isinstance(value, list):
        return [name for item in value for name in _unknown(item, schema.get("items", {}), f"{path}[]")]
    properties = schema.get("properties")
    if not isinstance(value, dict) or properties is None:
        return []
    found = [f"{path}.{name}" for name in value.keys() - properties.keys()]
    for name in value.keys() & properties.keys():
        found += _unknown(value[name], properties[name], f"{path}.{name}")
    return found


def test_undocumented_field_would_be_noticed() -> None:
    payload = json.loads(json.dumps(MESSAGES["active_session_update"]["examples"][0]["payload"]))
    assert message_of(json.dumps(payload)) == "active_session_update"
    payload["data"]["mileage"] = 7
    with pytest.raises(AssertionError, match="mileage"):
        message_of(json.dumps(payload))


async def test_everything_a_socket_says_is_documented(site: Site) -> None:
    """A whole charge, every action, and failures; each message must be one of the document's."""
    async with scene(site) as stage, wire.app(site.app_url, token_of(make_user())) as watcher:
        make_tariff(stations=[stage.charger.station], price_per_kwh="0.50")
        await watcher.act("subscribe", {"all": True})
        await watcher.act("subscribe", {"station_ids": [stage.charger.station_id]})
        charge = await begin(stage)
        await stage.point.status(1, "Charging")
        await stage.point.meter(
            transaction=charge.transaction_id, at=at(), energy=2500, Power_Active_Import=7400, SoC=40
        )
        await stage.app.until(event="meter_value")
        app = stage.app
        for action, data in [
            ("ping", {}),
            ("get_active_session", {}),
            ("get_charger_status", {"charger_id": stage.identity}),
            ("list_chargers", {"limit": 5}),
            ("list_sessions", {"limit": 5}),
            ("get_session", {"session_id": charge.session_id, "points": 10}),
            ("unsubscribe", {"all": True}),
            ("refresh_token", {"token": token_of(stage.user, life_s=50)}),
        ]:
            assert (await app.act(action, data))["success"] is True
        waiting = await app.act("watch", {"charger_id": stage.identity, "connector_id": 1})
        await app.act("get_watches")
        await app.act("unwatch", {"watch_id": waiting["watch"]["watch_id"]})
        reserve = {"action": "reserve", "data": {"charger_id": stage.identity, "connector_id": 2}}
        await app.send({**reserve, "request_id": 1})
        await stage.point.accepts("ReserveNow")
        reserved = (await app.until(request_id=1))["data"]["reservation"]
        await app.act("get_reservations")
        cancel = {"reservation_id": reserved["reservation_id"]}
        await app.send({"action": "cancel_reservation", "data": cancel, "request_id": 2})
        await stage.point.accepts("CancelReservation")
        await app.until(request_id=2)
        assert (await app.act("start_charging", {"charger_id": stage.identity}))["success"] is False
        assert (await app.act("dance"))["code"] == "unknown_action"
        await app.send("not json")
        await app.until(type="error")
        await app.send({"action": "stop_charging", "data": {}})
        await stage.point.accepts("RemoteStopTransaction")
        await app.until(type="response", action="stop_charging")
        await end(stage, charge)
        await stage.point.status(1, "Available")
        await stage.point.status(2, "Faulted", errorCode="GroundFailure")
        await watcher.until(event="error")

        await app.send({"action": "start_charging", "data": {"charger_id": stage.identity}})
        message_id, _ = await stage.point.asked("RemoteStartTransaction")
        await stage.point.answer(message_id, {"status": "Rejected"})
        await app.until(event="session_error")
        await asyncio.sleep(0.3)
        while not await watcher.quiet(0.3):
            pass
        while not await app.quiet(0.3):
            pass
        said = {message_of(text) for text in [*app.heard, *watcher.heard]}
    assert said >= {
        "connected",
        "active_session_update",
        "session_update.session_started",
        "session_update.meter_value",
        "session_update.session_stopped",
        "session_update.session_completed",
        "session_update.session_error",
        "charger_update.connector_status_changed",
        "charger_update.error",
        "charger_status_update",
        "notification",
        "reservation_update.changed",
        "token_expiring",
        "error",
        "failure",
        *(f"{action}.response" for action in protocol.ACTIONS if action != "subscribe"),
        "subscribe.response",
    }


@pytest.mark.django_db
def test_rare_events_are_documented_too(published: list[tuple[str, dict[str, Any]]], request: Any) -> None:
    """Those that a charge does not bring about, as the services publish them."""
    capture = request.getfixturevalue("django_capture_on_commit_callbacks")
    with capture(execute=True):
        station = make_station()
        charger = make_charger(station=station)
        services.announce_added(charger)
        services.announce_removed(charger)
        services.set_maintenance(station=station, is_under_maintenance=True, reason="New cable")
    said = {message_of(json.dumps(message)) for _, message in published if message.get("type") != "event"}
    assert said >= {"charger_list_update", "charger_update.maintenance_mode", "charger_status_update"}
