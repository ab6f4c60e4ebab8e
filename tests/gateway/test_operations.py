"""The operators' API of one charger: who may read, what is shown, filters, order, and the number of queries.

Commands that are really sent are in tests/flows/test_command_api.py.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from chargers import commands
from chargers.errors import DomainError
from chargers.models import (
    Breach,
    Certificate,
    Charger,
    Command,
    FirmwareCampaign,
    FirmwareUpdate,
    LogUpload,
    OcppCall,
    SecurityEvent,
)
from gateway import errors
from gateway.ocpp.v16_commands import OUTGOING
from gateway.operations import words
from sessions.models import ChargingProfile, ChargingSession, LocalList, Reservation
from tests.factories import make_charger, make_online_charger, make_operator, make_session, make_user, unique
from tests.gateway.test_resources import as_user, get, ids, make_reading, status_of
from tests.operators import permission

pytestmark = pytest.mark.django_db

AT = datetime(2025, 1, 29, 12, 0, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


@pytest.fixture
def operator() -> APIClient:
    return as_user(make_operator())


@pytest.fixture
def charger() -> Charger:
    return make_charger()


def path(charger: Charger, name: str) -> str:
    return f"/api/chargers/{quote(charger.identity, safe='')}/{name}/"


def make_command(charger: Charger, **fields: Any) -> Command:
    return Command.objects.create(
        charger=charger, **{"action": "reset", "params": {"type": "Hard"}, **fields}
    )


def make_reservation(charger: Charger, **fields: Any) -> Reservation:
    values = {"id_tag": "TAG", "expires_at": LATER, "connector": charger.connectors.get(number=1), **fields}
    return Reservation.objects.create(charger=charger, **values)


def make_profile(charger: Charger, **fields: Any) -> ChargingProfile:
    values: dict[str, Any] = {
        "connector_number": 0,
        "purpose": "TxDefaultProfile",
        "kind": "Absolute",
        "unit": "A",
        "periods": [{"start_s": 0, "limit": 16.0}],
    }
    return ChargingProfile.objects.create(charger=charger, **{**values, **fields})


def make_certificate(charger: Charger, **fields: Any) -> Certificate:
    values = {"kind": "CentralSystemRootCertificate", "state": "installed", **fields}
    return Certificate.objects.create(charger=charger, **values)


def make_update(charger: Charger, **fields: Any) -> FirmwareUpdate:
    return FirmwareUpdate.objects.create(
        charger=charger, **{"location": "https://example.com/fw.bin", **fields}
    )


def make_upload(charger: Charger, **fields: Any) -> LogUpload:
    values = {"kind": "Diagnostics", "location": "https://example.com/up", **fields}
    return LogUpload.objects.create(charger=charger, **values)


def make_event(charger: Charger, **fields: Any) -> SecurityEvent:
    values = {"kind": unique("Tamper"), "occurred_at": AT, "received_at": AT, **fields}
    return SecurityEvent.objects.create(charger=charger, **values)


def make_breach(charger: Charger, **fields: Any) -> Breach:
    values = {"rule": unique("rule"), "detail": "d", "frame": "[2]", "first_at": AT, "last_at": AT, **fields}
    return Breach.objects.create(charger=charger, **values)


def make_call(charger: Charger, **fields: Any) -> OcppCall:
    values = {
        "direction": "in",
        "message_id": unique("m"),
        "action": "Heartbeat",
        "request": '[2,"m","Heartbeat",{}]',
        "answer": '[3,"m",{}]',
        "verdict": "ok",
        "at": AT,
        "latency_ms": 1.5,
        **fields,
    }
    return OcppCall.objects.create(charger=charger, **values)


def make_transaction(charger: Charger, **fields: Any) -> ChargingSession:
    return make_session(charger=charger, **{"status": "completed", "started_at": AT, **fields})


def _grow_transactions(charger: Charger) -> None:
    make_transaction(charger, energy_wh=5, user=make_user())
    if not charger.sessions.filter(status="active").exists():
        second = charger.connectors.get(number=2)
        make_reading(make_session(charger=charger, connector=second), 5, energy_wh=2000)


def _grow_updates(charger: Charger) -> None:
    campaign = FirmwareCampaign.objects.create(name=unique("C"), location="https://example.com/fw.bin")
    make_update(charger, campaign=campaign, command=make_command(charger, action="update_firmware"))


LISTS: dict[str, Callable[[Charger], Any]] = {
    "commands": lambda charger: make_command(charger, requested_by=make_user()),
    "transactions": _grow_transactions,
    "reservations": lambda charger: make_reservation(
        charger, state="used", user=make_user(), session=make_transaction(charger)
    ),
    "charging-profiles": lambda charger: make_profile(charger, command=make_command(charger)),
    "certificates": make_certificate,
    "firmware-updates": _grow_updates,
    "log-uploads": lambda charger: make_upload(charger, command=make_command(charger)),
    "security-events": make_event,
    "breaches": make_breach,
    "ocpp-messages": make_call,
}
EVERYTHING = [*LISTS, "configuration", "local-list"]


# --- all of them ---


@pytest.mark.parametrize("name", EVERYTHING)
def test_operators_only(charger: Charger, operator: APIClient, name: str) -> None:
    assert status_of(as_user(make_user()), path(charger, name)) == (403, "forbidden")
    assert status_of(APIClient(), path(charger, name)) == (401, "authentication_failed")
    assert get(operator, path(charger, name)) is not None
    assert status_of(operator, f"/api/chargers/{unique('NONE')}/{name}/") == (404, "not_found")


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_nothing_is_written_by_hand(charger: Charger, operator: APIClient, name: str, method: str) -> None:
    assert getattr(operator, method)(path(charger, name)).status_code == 405


@pytest.mark.parametrize("name", LISTS)
def test_a_page_costs_the_same_queries_however_long_it_is(
    charger: Charger, operator: APIClient, name: str
) -> None:
    def queries_for(rows: int) -> tuple[int, int]:
        for _ in range(rows):
            LISTS[name](charger)
        with CaptureQueriesContext(connection) as captured:
            page = get(operator, path(charger, name))
        return len(captured), page["count"]

    (few, short), (many, long) = queries_for(1), queries_for(6)
    assert long > short
    assert few == many <= 4


@pytest.mark.parametrize("name", LISTS)
def test_only_this_chargers_rows_the_newest_first_in_pages(
    charger: Charger, operator: APIClient, name: str
) -> None:
    for _ in range(3):
        LISTS[name](charger)
    LISTS[name](make_charger())
    whole = get(operator, path(charger, name))
    assert whole["count"] == len(whole["results"]) >= 3
    pages = [get(operator, path(charger, name), page=page, page_size=1) for page in (1, 2, 3)]
    assert [page["results"][0] for page in pages] == whole["results"][:3]


@pytest.mark.parametrize("name", ["a/b", "50%", "x/commands", "Zürich 1"])
def test_any_printable_identity_is_found(operator: APIClient, name: str) -> None:
    """E6"""
    charger = make_charger(identity=unique("") + name)
    command = make_command(charger)
    assert ids(get(operator, path(charger, "commands"))) == [str(command.pk)]
    session = make_session(charger=charger)
    url = path(charger, f"transactions/{session.transaction_id}/close")
    assert as_user(make_user(is_staff=True)).post(url, {"reason": "r"}, format="json").status_code == 403


# --- commands ---


def test_command_is_shown_in_ocpps_words(charger: Charger, operator: APIClient) -> None:
    user = make_user()
    command = make_command(
        charger,
        action="change_availability",
        params={"connector_id": 1, "type": "Operative"},
        status="accepted",
        answer={"status": "Scheduled"},
        requested_by=user,
    )
    Command.objects.filter(pk=command.pk).update(
        created_at=AT, sent_at=AT, finished_at=AT + timedelta(milliseconds=1250)
    )
    row = get(operator, f"/api/commands/{command.pk}/")
    assert row == {
        "id": str(command.pk),
        "charger_id": charger.identity,
        "action": "ChangeAvailability",
        "payload": {"connectorId": 1, "type": "Operative"},
        "state": "accepted",
        "answer": {"status": "Scheduled"},
        "error": None,
        "requested_by": user.pk,
        "requester": user.username,
        "created_at": "2025-01-29T12:00:00Z",
        "sent_at": "2025-01-29T12:00:00Z",
        "finished_at": "2025-01-29T12:00:01.250000Z",
        "duration_ms": 1250,
    }
    assert get(operator, path(charger, "commands"))["results"] == [row]
    assert ids(get(operator, "/api/commands/", charger=charger.identity)) == [str(command.pk)]


def test_command_that_no_version_has_is_shown_as_it_is(charger: Charger, operator: APIClient) -> None:
    make_command(charger, action="set_variables", params={"variable": 1})
    (row,) = get(operator, path(charger, "commands"))["results"]
    assert (row["action"], row["payload"]) == ("set_variables", {"variable": 1})


def test_commands_are_for_operators_and_read_only(charger: Charger, operator: APIClient) -> None:
    command, driver = make_command(charger), as_user(make_user())
    for url in ("/api/commands/", f"/api/commands/{command.pk}/"):
        assert status_of(driver, url) == (403, "forbidden")
        assert operator.delete(url).status_code == 405


def test_commands_are_filtered(charger: Charger, operator: APIClient) -> None:
    user = make_user()
    old = make_command(charger, action="reset", status="failed", requested_by=user)
    new = make_command(charger, action="clear_cache", params={})
    Command.objects.filter(pk=old.pk).update(created_at=AT)
    for url in (path(charger, "commands"), f"/api/commands/?charger={charger.identity}"):

        def found(url: str = url, **query: Any) -> list[str]:
            joined = f"{url}{'&' if '?' in url else '?'}"
            return ids(get(operator, joined + "&".join(f"{name}={value}" for name, value in query.items())))

        assert found() == [str(new.pk), str(old.pk)]
        assert found(ordering="created_at") == [str(old.pk), str(new.pk)]
        assert found(action="Reset") == [str(old.pk)]
        assert found(state="queued") == [str(new.pk)]
        assert found(requested_by=user.pk) == [str(old.pk)]
        assert found(created_before="2025-01-30T00:00:00Z") == [str(old.pk)]
        assert found(created_after="2025-01-30T00:00:00Z") == [str(new.pk)]
    both = operator.get(path(charger, "commands") + "?action=Reset&action=ClearCache").json()
    assert both["count"] == 2
    assert status_of(operator, path(charger, "commands"), action="reset") == (400, "validation_error")
    assert status_of(operator, path(charger, "commands"), state="done") == (400, "validation_error")


@pytest.mark.parametrize("key", ["AuthorizationKey", "authorizationKEY"])
def test_passwords_are_hidden_while_they_are_on_their_way(
    charger: Charger, operator: APIClient, key: str
) -> None:
    command = make_command(
        charger, action="change_configuration", params={"key": key, "value": "5EC2E75EC2E7"}
    )
    row = get(operator, f"/api/commands/{command.pk}/")
    assert row["payload"] == {"key": key, "value": "[hidden]"}


def test_every_word_can_be_asked_for_by_its_ocpp_name() -> None:
    assert {words.word_of(action) for action in words.ACTIONS} == set(OUTGOING)


def test_what_operators_pages_ask_for_means_all_it_means_here() -> None:
    """The pages of chargers know nothing of reservations, and still one is written."""
    charger = make_online_charger()
    params = {"connector_id": 1, "id_tag": "TAG", "expires_at": "2099-01-01T00:00:00Z", "reservation_id": 0}
    command = commands.ask(
        charger=charger, action=commands.RESERVE_NOW, params=params, requested_by=make_operator()
    )
    assert Reservation.objects.get(charger=charger).command == command


def test_every_error_of_the_domain_has_a_status() -> None:
    """Else it would be answered as a fault of ours."""

    def codes(kind: type[DomainError]) -> set[str]:
        return {kind.code}.union(*map(codes, kind.__subclasses__()))

    assert codes(DomainError) <= errors.HTTP_STATUS.keys()


# --- transactions ---


def test_transaction_is_shown_as_told_and_as_judged(charger: Charger, operator: APIClient) -> None:
    user = make_user()
    session = make_transaction(
        charger,
        user=user,
        id_tag="CARD",
        id_tag_status="Accepted",
        start_reported="2025-01-29T12:00:00",
        stopped_at=LATER,
        stop_reported="2025-01-29T13:00:00",
        stop_reason="PowerLoss",
        meter_start_wh=1000,
        meter_stop_wh=4500,
        energy_wh=3500,
        cost="1.720",
        currency="EUR",
        flags=["late"],
        review="waiting",
    )
    make_session(charger=charger, status="failed")  # never became a transaction
    assert get(operator, path(charger, "transactions"))["results"] == [
        {
            "transaction_id": session.transaction_id,
            "session_id": session.pk,
            "connector_id": 1,
            "id_tag": "CARD",
            "id_tag_status": "Accepted",
            "user_id": user.pk,
            "status": "completed",
            "started_at": "2025-01-29T12:00:00Z",
            "start_reported": "2025-01-29T12:00:00",
            "stopped_at": "2025-01-29T13:00:00Z",
            "stop_reported": "2025-01-29T13:00:00",
            "stop_reason": "PowerLoss",
            "meter_start_wh": 1000,
            "meter_stop_wh": 4500,
            "energy_wh": 3500,
            "cost": 1.72,
            "currency": "EUR",
            "flags": ["late"],
            "review": "waiting",
        }
    ]


def test_running_transaction_shows_its_energy_so_far(charger: Charger, operator: APIClient) -> None:
    session = make_session(charger=charger, started_at=AT)
    make_reading(session, 10, energy_wh=3000)
    (row,) = get(operator, path(charger, "transactions"))["results"]
    assert (row["status"], row["energy_wh"], row["stopped_at"]) == ("active", 2000, None)


def test_transactions_are_filtered(charger: Charger, operator: APIClient) -> None:
    odd = make_transaction(charger, id_tag="ODD", flags=["late", "recovered"], review="waiting")
    new = make_transaction(
        charger,
        started_at=AT + timedelta(days=1),
        connector=charger.connectors.get(number=2),
        stop_reason="Local",
        flags=["later"],
    )

    def found(**query: Any) -> list[int]:
        return ids(get(operator, path(charger, "transactions"), **query), "transaction_id")

    assert found(flag="late") == [odd.transaction_id]
    assert found(review="waiting") == [odd.transaction_id]
    assert found(id_tag="odd") == [odd.transaction_id]
    assert found(connector_id=2) == [new.transaction_id]
    assert found(transaction_id=new.transaction_id) == [new.transaction_id]
    assert found(stop_reason="Local") == [new.transaction_id]
    assert found(started_after="2025-01-30T00:00:00Z") == [new.transaction_id]
    assert found(started_before="2025-01-30T00:00:00Z") == [odd.transaction_id]
    assert found(status="active") == []
    assert found(ordering="started_at") == [odd.transaction_id, new.transaction_id]


@pytest.mark.parametrize(
    "query",
    [f"transaction_id={10**30}", "flag=%25", "id_tag=%25", "stop_reason=%25"],
)
def test_filters_that_fit_nothing_find_nothing(charger: Charger, operator: APIClient, query: str) -> None:
    make_transaction(charger, flags=["late"])
    assert get(operator, f"{path(charger, 'transactions')}?{query}")["count"] == 0


# --- what the charger has ---


def test_reservation_is_shown_with_its_holder_and_expiry(charger: Charger, operator: APIClient) -> None:
    command, user = make_command(charger, action="reserve_now"), make_user()
    row = make_reservation(charger, user=user, state="active", command=command)
    anywhere = make_reservation(charger, connector=None, state="expired", id_tag="OTHER")
    newest, shown = get(operator, path(charger, "reservations"))["results"]
    assert (newest["id"], newest["connector_id"]) == (anywhere.pk, None)
    assert (shown["id"], shown["connector_id"], shown["id_tag"]) == (row.pk, 1, "TAG")
    assert (shown["user_id"], shown["command_id"]) == (user.pk, str(command.pk))
    assert (shown["expires_at"], shown["state"]) == ("2025-01-29T13:00:00Z", "active")
    assert ids(get(operator, path(charger, "reservations"), state="active")) == [row.pk]
    assert ids(get(operator, path(charger, "reservations"), id_tag="other")) == [anywhere.pk]
    assert ids(get(operator, path(charger, "reservations"), connector_id=1)) == [row.pk]


def test_charging_profile_is_shown_with_its_schedule(charger: Charger, operator: APIClient) -> None:
    row = make_profile(charger, state="active", min_rate="6.0", stack_level=2)
    make_profile(charger, connector_number=1, purpose="TxProfile", state="ended")
    (shown,) = get(operator, path(charger, "charging-profiles"), state="active")["results"]
    assert (shown["id"], shown["connector_id"], shown["stack_level"]) == (row.pk, 0, 2)
    assert (shown["periods"], shown["min_rate"]) == ([{"start_s": 0, "limit": 16.0}], 6.0)
    for query in ({"purpose": "TxDefaultProfile"}, {"connector_id": 0}, {"stack_level": 2}):
        assert ids(get(operator, path(charger, "charging-profiles"), **query)) == [row.pk]


def test_local_list_is_shown_with_what_the_charger_said(charger: Charger, operator: APIClient) -> None:
    empty = get(operator, path(charger, "local-list"))
    assert (empty["version"], empty["state"], empty["entries"], empty["updated_at"]) == (
        0,
        "unknown",
        {},
        None,
    )
    LocalList.objects.create(
        charger=charger,
        version=3,
        reported_version=3,
        state="in_step",
        entries={"TAG": {"status": "Accepted"}},
    )
    LocalList.objects.create(charger=make_charger(), version=9)
    row = get(operator, path(charger, "local-list"))
    assert (row["version"], row["reported_version"], row["state"]) == (3, 3, "in_step")
    assert row["entries"] == {"TAG": {"status": "Accepted"}}


def test_configuration_is_shown_by_key_without_passwords(operator: APIClient) -> None:
    keys = {
        "MeterValueSampleInterval": "60",
        "HeartbeatInterval": "300",
        "AuthorizationKey": "5EC2E7",
        "X": None,
    }
    charger = make_charger(configuration=keys)
    page = get(operator, path(charger, "configuration"))
    assert page["results"] == [
        {"key": "AuthorizationKey", "value": "[hidden]"},
        {"key": "HeartbeatInterval", "value": "300"},
        {"key": "MeterValueSampleInterval", "value": "60"},
        {"key": "X", "value": None},
    ]
    found = get(operator, path(charger, "configuration"), key="interval", page_size=1)
    assert (found["count"], ids(found, "key")) == (2, ["HeartbeatInterval"])


def test_certificates_are_filtered(charger: Charger, operator: APIClient) -> None:
    own = make_certificate(charger, kind="ChargePointCertificate", state="requested", signing_request="PEM")
    root = make_certificate(charger, expires_at=AT)
    assert ids(get(operator, path(charger, "certificates"))) == [root.pk, own.pk]
    (row,) = get(operator, path(charger, "certificates"), kind="ChargePointCertificate")["results"]
    assert (row["signing_request"], row["pem"], row["state"]) == ("PEM", None, "requested")
    assert ids(get(operator, path(charger, "certificates"), state="installed")) == [root.pk]
    assert ids(get(operator, path(charger, "certificates"), expires_before="2026-01-01T00:00:00Z")) == [
        root.pk
    ]


def test_firmware_updates_and_uploads_show_the_chargers_last_word(
    charger: Charger, operator: APIClient
) -> None:
    campaign = FirmwareCampaign.objects.create(name="Spring", location="https://example.com/fw.bin")
    update = make_update(charger, campaign=campaign, state="running", status="Downloading")
    make_update(charger, state="failed", status="InstallationFailed")
    (row,) = get(operator, path(charger, "firmware-updates"), state="running")["results"]
    assert (row["id"], row["campaign"], row["status"]) == (update.pk, "Spring", "Downloading")
    assert ids(get(operator, path(charger, "firmware-updates"), campaign=campaign.pk)) == [update.pk]
    upload = make_upload(charger, status="Uploaded", file_name="log.zip")
    make_upload(charger, kind="SecurityLog")
    (row,) = get(operator, path(charger, "log-uploads"), status="Uploaded")["results"]
    assert (row["id"], row["file_name"], row["kind"]) == (upload.pk, "log.zip", "Diagnostics")
    assert ids(get(operator, path(charger, "log-uploads"), kind="Diagnostics")) == [upload.pk]


def test_security_events_and_breaches_are_filtered(charger: Charger, operator: APIClient) -> None:
    event = make_event(charger, kind="TamperDetectionActivated", is_critical=True, occurred_at=LATER)
    old = make_event(charger)
    assert ids(get(operator, path(charger, "security-events"))) == [event.pk, old.pk]
    for query in ({"kind": event.kind}, {"is_critical": "true"}, {"occurred_after": LATER.isoformat()}):
        assert ids(get(operator, path(charger, "security-events"), **query)) == [event.pk]
    breach = make_breach(charger, rule="schema", action="BootNotification", remedy="is_lenient", count=7)
    make_breach(charger, last_at=LATER)
    for query in ({"rule": "schema"}, {"action": "BootNotification"}, {"remedy": "is_lenient"}):
        (row,) = get(operator, path(charger, "breaches"), **query)["results"]
        assert (row["id"], row["count"], row["frame"]) == (breach.pk, 7, "[2]")


def test_ocpp_messages_are_searched(charger: Charger, operator: APIClient) -> None:
    plain = make_call(charger)
    other = make_call(
        charger,
        direction="out",
        action="Reset",
        verdict="timeout",
        message_id="the-id",
        request='[2,"the-id","Reset",{"type":"Hard"}]',
        answer="",
        at=LATER,
        latency_ms=None,
    )
    found = get(operator, path(charger, "ocpp-messages"))["results"]
    assert [row["id"] for row in found] == [other.pk, plain.pk]
    assert (found[0]["answer"], found[0]["latency_ms"], found[1]["latency_ms"]) == (None, None, 1.5)
    queries: list[dict[str, str]] = [
        {"action": "Reset"},
        {"direction": "out"},
        {"verdict": "timeout"},
        {"message_id": "the-id"},
        {"text": '"hard"'},
        {"after": LATER.isoformat()},
    ]
    for query in queries:
        assert ids(get(operator, path(charger, "ocpp-messages"), **query)) == [other.pk], query
    for query in ({"text": '[3,"m"'}, {"before": LATER.isoformat()}):
        assert ids(get(operator, path(charger, "ocpp-messages"), **query)) == [plain.pk], query


# --- closing ---


def close(client: APIClient, charger: Charger, transaction_id: Any, body: Any = None) -> Any:
    url = path(charger, f"transactions/{transaction_id}/close")
    return client.post(url, {"reason": "It was taken away"} if body is None else body, format="json")


def closer(*names: str) -> APIClient:
    user = make_user(is_staff=True)
    user.user_permissions.set(map(permission, names))
    return as_user(user)


def test_close_needs_its_permission(charger: Charger) -> None:
    session = make_session(charger=charger)
    answer = close(closer("charging.view_chargingsession"), charger, session.transaction_id)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "charging.change_chargingsession" in answer.json()["message"]
    driver = as_user(make_user())
    assert close(driver, charger, session.transaction_id).status_code == 403
    session.refresh_from_db()
    assert session.status == "active"


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": "x" * 256}, {"reason": "a\0b"}, {"reason": 5}]
)
def test_close_needs_a_reason(charger: Charger, operator: APIClient, body: Any) -> None:
    session = make_session(charger=charger)
    answer = close(operator, charger, session.transaction_id, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")


def test_close_finds_this_chargers_transactions_only(charger: Charger, operator: APIClient) -> None:
    other = make_session()
    for transaction_id in (other.transaction_id, 10**18, 10**30):
        answer = close(operator, charger, transaction_id)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
