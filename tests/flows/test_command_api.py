"""Operators' commands over REST, from the request to the charger and back, whichever process the charger is in."""

import asyncio
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission, User

from chargers.models import Charger, Command
from gateway.ocpp.v16_commands import OUTGOING
from sessions.models import Decision
from tests import wire
from tests.certificates import Authority
from tests.charge import at
from tests.conftest import Site
from tests.factories import (
    make_charger,
    make_id_tag,
    make_online_charger,
    make_operator,
    make_user,
    token_of,
    unique,
)
from tests.flows.test_commands_out import OBEYS
from tests.gateway.test_api import Answer, assert_failure, call
from tests.operators import permission
from tests.wire import FakeCharger, eventually

RESET: dict[str, Any] = {"action": "Reset", "payload": {"type": "Soft"}}
SECRET = "5EC2E7" * 6  # an AuthorizationKey


def path_of(identity: str) -> str:
    return f"/api/chargers/{quote(identity, safe='')}/commands/"


async def ask(site: Site, identity: str, body: Any, *, user: User | None = None) -> Answer:
    token = token_of(user or make_operator())
    return await call(site, "POST", path_of(identity), token=token, body=body)


async def look(site: Site, path: str) -> Any:
    answer = await call(site, "GET", path, token=token_of(make_operator()))
    assert answer.status == 200, answer
    return answer.body


@pytest.fixture
async def point(site: Site) -> Any:
    async with wire.charger(site.charger_url, make_charger().identity) as point:
        yield await point.ready()


async def heard_nothing(point: FakeCharger) -> None:
    """A round trip makes sure that no CALL is still under way."""
    await point.call("Heartbeat")
    assert point.calls.empty()


# --- on its way ---


async def test_command_is_on_its_way_and_its_row_tells_how_it_goes_on(site: Site, point: FakeCharger) -> None:
    operator = make_operator()
    answer = await ask(site, point.identity, RESET, user=operator)
    assert answer.status == 202
    row = answer.body
    assert (row["charger_id"], row["action"], row["payload"]) == (point.identity, "Reset", {"type": "Soft"})
    assert row["state"] in ("queued", "sent")
    assert (row["requested_by"], row["requester"]) == (operator.pk, operator.username)
    assert (row["answer"], row["error"], row["finished_at"], row["duration_ms"]) == (None, None, None, None)
    assert answer.headers["Location"] == f"/api/commands/{row['id']}/"
    message_id, payload = await point.asked("Reset")
    assert (message_id, payload) == (row["id"], {"type": "Soft"})
    await point.answer(message_id, {"status": "Accepted"})
    await eventually(lambda: Command.objects.get(pk=message_id).is_finished)
    ended = await look(site, answer.headers["Location"])
    assert (ended["state"], ended["answer"]) == ("accepted", {"status": "Accepted"})
    assert ended["created_at"] <= ended["sent_at"] <= ended["finished_at"]
    assert ended["duration_ms"] >= 0
    listed = await look(site, path_of(point.identity))
    assert listed["results"] == [ended]


# --- waiting ---


@pytest.mark.parametrize("wait", [True, 2.5, 100])
@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
async def test_who_waits_gets_the_chargers_answer(
    site: Site, point: FakeCharger, wait: Any, status: str
) -> None:
    asking = asyncio.create_task(ask(site, point.identity, {**RESET, "wait": wait}))
    message_id, _ = await point.asked("Reset")
    await point.answer(message_id, {"status": status})
    answer = await asking
    assert answer.status == 200
    assert (answer.body["id"], answer.body["state"]) == (message_id, status.lower())
    assert answer.body["answer"] == {"status": status}


async def test_an_error_of_the_charger_is_its_answer(site: Site, point: FakeCharger) -> None:
    asking = asyncio.create_task(ask(site, point.identity, {**RESET, "wait": True}))
    message_id, _ = await point.asked("Reset")
    await point.send([4, message_id, "NotSupported", "Never heard of it", {}])
    answer = await asking
    assert (answer.status, answer.body["state"]) == (200, "rejected")
    assert answer.body["error"] == "NotSupported: Never heard of it"


async def test_a_wait_that_ends_first_leaves_the_command_to_go_on(site: Site, point: FakeCharger) -> None:
    answer = await ask(site, point.identity, {**RESET, "wait": 0.1})
    assert answer.status == 202
    message_id, _ = await point.asked("Reset")
    assert message_id == answer.body["id"]
    await point.answer(message_id, {"status": "Accepted"})
    await eventually(lambda: Command.objects.get(pk=message_id).status == "accepted")


async def test_a_charger_that_never_answers_ends_the_wait_as_timed_out(
    site: Site, point: FakeCharger
) -> None:
    answer = await ask(site, point.identity, {**RESET, "wait": True})
    assert (answer.status, answer.body["state"], answer.body["error"]) == (
        200,
        "timed_out",
        "charger_timeout",
    )


# --- safe to send twice ---


async def test_the_same_message_id_is_the_same_command(site: Site, point: FakeCharger) -> None:
    body = {**RESET, "message_id": str(uuid.uuid4())}
    first, second = await asyncio.gather(*(ask(site, point.identity, body) for _ in range(2)))
    assert (first.status, second.status) == (202, 202)
    assert first.body["id"] == second.body["id"] == body["message_id"]
    message_id, _ = await point.asked("Reset")
    assert message_id == body["message_id"]
    waiting = asyncio.create_task(ask(site, point.identity, {**body, "wait": True}))
    await point.answer(message_id, {"status": "Accepted"})
    answer = await waiting
    assert (answer.status, answer.body["answer"]) == (200, {"status": "Accepted"})
    late = await ask(site, point.identity, body)
    assert (late.status, late.body) == (200, answer.body)
    await heard_nothing(point)


async def test_a_password_sent_twice_is_sent_once(site: Site, point: FakeCharger) -> None:
    """Though the row forgets it, it is still told from another one."""
    wish = {"action": "ChangeConfiguration", "payload": {"key": "AuthorizationKey", "value": SECRET}}
    body = {**wish, "message_id": str(uuid.uuid4()), "wait": True}
    asking = asyncio.create_task(ask(site, point.identity, body))
    assert await point.accepts("ChangeConfiguration") == wish["payload"]
    answer = await asking
    assert answer.status == 200
    assert answer.body["payload"] == {"key": "AuthorizationKey", "value": "[hidden]"}
    assert (await ask(site, point.identity, body)).body == answer.body
    other = {**body, "payload": {"key": "AuthorizationKey", "value": SECRET[::-1]}}
    assert_failure(await ask(site, point.identity, other), "message_id_used", 409)
    await heard_nothing(point)


@pytest.mark.parametrize(
    "change", [{"payload": {"type": "Hard"}}, {"action": "ClearCache", "payload": {}}, {"identity": True}]
)
async def test_a_message_id_used_for_something_else_is_refused(
    site: Site, point: FakeCharger, change: dict[str, Any]
) -> None:
    body = {**RESET, "message_id": str(uuid.uuid4())}
    await ask(site, point.identity, body)
    await point.accepts("Reset")
    another = make_online_charger().identity if change.pop("identity", False) else point.identity
    assert_failure(await ask(site, another, {**body, **change}), "message_id_used", 409)
    await heard_nothing(point)


# --- what cannot be sent ---


@pytest.mark.parametrize("message_id", [None, "6c9ee4f6-6f3d-4d4c-9a7c-3f0a36d3f1c5"])
async def test_a_charger_that_is_not_connected_is_asked_nothing_later_either(
    site: Site, message_id: str | None
) -> None:
    charger = make_charger()
    body = {**RESET, "wait": True, "message_id": message_id}
    assert_failure(await ask(site, charger.identity, body), "charger_offline", 409)
    assert not Command.objects.filter(charger=charger).exists()
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        await heard_nothing(point)


async def test_a_start_at_a_charger_that_is_not_accepted(site: Site) -> None:
    charger = make_charger(registration="Pending")
    body = {"action": "RemoteStartTransaction", "payload": {"idTag": "TAG"}}
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.boot()
        assert_failure(await ask(site, charger.identity, body), "charger_pending", 409)
        asking = asyncio.create_task(ask(site, charger.identity, {**RESET, "wait": True}))
        await point.accepts("Reset")
        assert (await asking).status == 200


async def test_an_accepted_charger_is_not_asked_to_boot(site: Site, point: FakeCharger) -> None:
    """E44"""
    for action in ("TriggerMessage", "ExtendedTriggerMessage"):
        body = {"action": action, "payload": {"requestedMessage": "BootNotification"}}
        assert_failure(await ask(site, point.identity, body), "charger_accepted", 409)
    await heard_nothing(point)


async def test_unknown_charger(site: Site) -> None:
    assert_failure(await ask(site, unique("NONE"), RESET), "not_found", 404)
    assert_failure(await ask(site, str(make_online_charger().pk), RESET), "not_found", 404)


INVALID: list[tuple[Any, str, str]] = [
    ({"action": "Reset", "payload": {}}, "validation_error", '"type" is a required property'),
    ({"action": "Reset"}, "validation_error", '"type" is a required property'),
    ({"action": "Reset", "payload": {"type": "Warm"}}, "validation_error", "type: "),
    ({"action": "Reset", "payload": {"type": "Hard", "now": True}}, "validation_error", "now"),
    ({"action": "Reset", "payload": []}, "validation_error", "$.payload"),
    ({"action": "Reset", "payload": {"type": "Hard"}, "wait": -1}, "validation_error", "$.wait"),
    ({"action": "Reset", "payload": {"type": "Hard"}, "wait": "yes"}, "validation_error", "$.wait"),
    ({"action": "Reset", "payload": {"type": "Hard"}, "params": {}}, "validation_error", "params"),
    ({"action": "Reset", "payload": {"type": "Hard"}, "message_id": "1"}, "validation_error", "$.message_id"),
    ({"payload": {}}, "validation_error", "action"),
    ([], "validation_error", "object"),
    (b"", "validation_error", "action"),
    (b"{", "invalid_message", "JSON"),
    (b'{"action": "Reset", "wait": 1e999}', "invalid_message", "JSON"),
    (b"[" * 30_000, "invalid_message", "JSON"),
    ({"action": "BootNotification", "payload": {}}, "unknown_action", "BootNotification"),
    ({"action": "reset", "payload": {"type": "Hard"}}, "unknown_action", "reset"),
    (
        {
            "action": "SetChargingProfile",
            "payload": {
                "connectorId": 1,
                "csChargingProfiles": {
                    "chargingProfileId": 1,
                    "stackLevel": "high",
                    "chargingProfilePurpose": "TxDefaultProfile",
                    "chargingProfileKind": "Absolute",
                    "chargingSchedule": {
                        "chargingRateUnit": "A",
                        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}],
                    },
                },
            },
        },
        "validation_error",
        "csChargingProfiles/stackLevel",
    ),
    (
        {"action": "DataTransfer", "payload": {"vendorId": "acme", "data": "a\0b"}},
        "validation_error",
        "payload/data",
    ),
    (
        {"action": "RemoteStopTransaction", "payload": {"transactionId": 10**30}},
        "validation_error",
        "transactionId",
    ),
]


@pytest.mark.parametrize(("body", "code", "place"), INVALID)
async def test_what_is_not_valid_is_refused_with_its_place_and_leaves_no_row(
    site: Site, body: Any, code: str, place: str
) -> None:
    charger = make_online_charger()
    answer = await ask(site, charger.identity, body)
    assert_failure(answer, code, 400)
    assert place in answer.body["error"] + answer.body["message"]
    assert not Command.objects.filter(charger=charger).exists()


async def test_a_charger_of_another_version_hears_nothing_in_this_one(site: Site) -> None:
    charger = make_online_charger(ocpp_version="ocpp2.0.1")
    answer = await ask(site, charger.identity, RESET)
    assert_failure(answer, "action_not_supported", 409)
    assert "ocpp2.0.1" in answer.body["message"]
    assert not Command.objects.filter(charger=charger).exists()


# --- who may ---


async def test_each_word_has_a_permission_of_its_own(site: Site, point: FakeCharger) -> None:
    staff = make_user(is_staff=True)
    staff.user_permissions.add(permission("chargers.send_clear_cache"))
    refused = await ask(site, point.identity, RESET, user=staff)
    assert_failure(refused, "forbidden", 403)
    assert "chargers.send_reset" in refused.body["message"]
    allowed = await ask(site, point.identity, {"action": "ClearCache"}, user=staff)
    assert allowed.status == 202
    await point.accepts("ClearCache")
    await heard_nothing(point)


async def test_one_permission_allows_every_word(site: Site, point: FakeCharger) -> None:
    staff = make_user(is_staff=True)
    staff.user_permissions.add(permission("chargers.send_command"))
    assert (await ask(site, point.identity, RESET, user=staff)).status == 202
    await point.accepts("Reset")


async def test_every_word_has_its_permission(committed: None) -> None:
    names = {f"send_{word}" for word in OUTGOING} | {"send_command"}
    kept = Permission.objects.filter(content_type__app_label="chargers", codename__startswith="send_")
    assert set(kept.values_list("codename", flat=True)) == names


async def test_drivers_and_strangers_may_not(site: Site) -> None:
    charger, driver = make_online_charger(), make_user()
    driver.user_permissions.add(permission("chargers.send_command"))
    assert_failure(await ask(site, charger.identity, RESET, user=driver), "forbidden", 403)
    stranger = await call(site, "POST", path_of(charger.identity), body=RESET)
    assert_failure(stranger, "authentication_failed", 401)
    assert not Command.objects.filter(charger=charger).exists()


# --- identities ---


@pytest.mark.parametrize("name", ["a/b", "RDAM 123", "50%", "Zürich", "a:b*c", "x/commands", "%2F", "a?b#c"])
async def test_any_printable_identity_can_be_asked(site: Site, name: str) -> None:
    """E6"""
    charger = make_charger(identity=f"{unique('')}{name}")
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        asking = asyncio.create_task(ask(site, charger.identity, {**RESET, "wait": True}))
        await point.accepts("Reset")
        answer = await asking
        assert (answer.status, answer.body["charger_id"]) == (200, charger.identity)
    listed = await look(site, path_of(charger.identity))
    assert [row["id"] for row in listed["results"]] == [answer.body["id"]]


# --- every message of 1.6 and its security whitepaper ---

_AUTHORITY = Authority()
_PROFILE: dict[str, Any] = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
    },
}
PAYLOADS: dict[str, dict[str, Any]] = {
    "RemoteStartTransaction": {"connectorId": 1, "idTag": "TAG"},
    "RemoteStopTransaction": {"transactionId": 1},
    "UnlockConnector": {"connectorId": 1},
    "Reset": {"type": "Hard"},
    "ChangeAvailability": {"connectorId": 0, "type": "Operative"},
    "GetConfiguration": {"key": ["HeartbeatInterval"]},
    "ChangeConfiguration": {"key": "HeartbeatInterval", "value": "60"},
    "ClearCache": {},
    "TriggerMessage": {"requestedMessage": "Heartbeat"},
    "DataTransfer": {"vendorId": "acme", "messageId": "m", "data": "x"},
    "UpdateFirmware": {"location": "https://example.com/fw.bin", "retrieveDate": "2030-01-01T00:00:00Z"},
    "GetDiagnostics": {"location": "https://example.com/upload"},
    "GetLocalListVersion": {},
    "SendLocalList": {"listVersion": 1, "updateType": "Full", "localAuthorizationList": []},
    "ReserveNow": {
        "connectorId": 1,
        "expiryDate": "2099-01-01T00:00:00Z",
        "idTag": "TAG",
        "reservationId": 0,
    },
    "CancelReservation": {"reservationId": 1},
    "SetChargingProfile": {"connectorId": 1, "csChargingProfiles": _PROFILE},
    "ClearChargingProfile": {"connectorId": 1},
    "GetCompositeSchedule": {"connectorId": 1, "duration": 600},
    "ExtendedTriggerMessage": {"requestedMessage": "Heartbeat"},
    "GetLog": {
        "logType": "SecurityLog",
        "requestId": 1,
        "log": {"remoteLocation": "https://example.com/upload"},
    },
    "GetInstalledCertificateIds": {"certificateType": "CentralSystemRootCertificate"},
    "InstallCertificate": {
        "certificateType": "CentralSystemRootCertificate",
        "certificate": _AUTHORITY.pem,
    },
    "CertificateSigned": {"certificateChain": _AUTHORITY.issue("CP").pem},
    "DeleteCertificate": {
        "certificateHashData": {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": "a1",
            "issuerKeyHash": "b2",
            "serialNumber": "01",
        }
    },
    "SignedUpdateFirmware": {
        "requestId": 1,
        "firmware": {
            "location": "https://example.com/fw.bin",
            "retrieveDateTime": "2030-01-01T00:00:00Z",
            "signingCertificate": "-----BEGIN CERTIFICATE-----",
            "signature": "c2ln",
        },
    },
}


def test_every_message_is_tested() -> None:
    assert PAYLOADS.keys() == {outgoing.action for outgoing in OUTGOING.values()}


@pytest.mark.parametrize("action", PAYLOADS)
async def test_every_message_reaches_the_charger_in_its_own_words(
    site: Site, point: FakeCharger, action: str
) -> None:
    body = {"action": action, "payload": PAYLOADS[action], "wait": True}
    asking = asyncio.create_task(ask(site, point.identity, body))
    message_id, payload = await point.asked(action)
    word = next(word for word, outgoing in OUTGOING.items() if outgoing.action == action)
    await point.answer(message_id, OBEYS[word])
    answer = await asking
    assert (answer.status, answer.body["state"]) == (200, "accepted"), answer
    assert (answer.body["action"], answer.body["payload"], answer.body["answer"]) == (
        action,
        payload,
        OBEYS[word],
    )


async def test_a_reservation_is_written_with_its_command(site: Site, point: FakeCharger) -> None:
    payload = {"connectorId": 1, "expiryDate": "2099-01-01T00:00:00Z", "idTag": "TAG", "reservationId": 0}
    body = {"action": "ReserveNow", "payload": payload, "wait": True}
    asking = asyncio.create_task(ask(site, point.identity, body))
    sent = await point.accepts("ReserveNow")
    answer = await asking
    assert (answer.status, answer.body["payload"]) == (200, sent)
    rows = await look(site, f"/api/chargers/{point.identity}/reservations/")
    (row,) = rows["results"]
    assert (row["id"], row["state"], row["id_tag"]) == (sent["reservationId"], "active", "TAG")
    assert (row["connector_id"], row["command_id"]) == (1, answer.body["id"])


# --- secrets ---


async def test_keys_that_hold_a_password_are_shown_nowhere(site: Site, point: FakeCharger) -> None:
    change = {"action": "ChangeConfiguration", "payload": {"key": "authorizationkey", "value": SECRET}}
    told = await ask(site, point.identity, change)
    assert (told.status, told.body["payload"]["value"]) == (202, "[hidden]")
    await point.accepts("ChangeConfiguration")
    asking = asyncio.create_task(
        ask(site, point.identity, {"action": "GetConfiguration", "payload": {}, "wait": True})
    )
    message_id, _ = await point.asked("GetConfiguration")
    keys = [
        {"key": "AuthorizationKey", "readonly": False, "value": SECRET},
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
    ]
    await point.answer(message_id, {"configurationKey": keys})
    read = await asking
    assert [entry["value"] for entry in read.body["answer"]["configurationKey"]] == ["[hidden]", "300"]
    await eventually(lambda: Command.objects.get(pk=told.body["id"]).is_finished)
    shown = [
        await look(site, path_of(point.identity)),
        await look(site, "/api/commands/?page_size=500"),
        await look(site, f"/api/commands/{told.body['id']}/"),
        await look(site, f"/api/commands/{message_id}/"),
        await look(site, f"/api/chargers/{point.identity}/configuration/"),
    ]
    assert SECRET not in str(shown)
    assert SECRET not in str(list(Command.objects.filter(charger__identity=point.identity).values()))
    assert SECRET not in str(Charger.objects.filter(identity=point.identity).values())


# --- closing by hand ---


async def test_a_stale_transaction_is_closed_by_hand_and_stays_closed(site: Site, point: FakeCharger) -> None:
    operator = make_operator()
    transaction = await point.start(id_tag=make_id_tag().value, meter=1000, at=at(-60))
    await point.meter(transaction=transaction, at=at(), energy=3500)
    await point.socket.close()
    path = f"/api/chargers/{point.identity}/transactions/"
    (row,) = (await look(site, path))["results"]
    assert (row["transaction_id"], row["status"]) == (transaction, "active")

    async def close() -> Answer:
        body = {"reason": "The charger was replaced"}
        return await call(site, "POST", f"{path}{transaction}/close/", token=token_of(operator), body=body)

    closed = await close()
    assert closed.status == 200, closed
    assert (closed.body["status"], closed.body["energy_wh"]) == ("completed", 2500)
    assert closed.body["stopped_at"] is not None
    assert (await look(site, path))["results"] == [closed.body]
    decision = Decision.objects.get(session_id=closed.body["session_id"])
    assert (decision.verdict, decision.decided_by) == ("closed", operator)
    assert decision.reason == "The charger was replaced"
    assert_failure(await close(), "session_not_running", 409)
    assert Decision.objects.filter(session_id=closed.body["session_id"]).count() == 1
