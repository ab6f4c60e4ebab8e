"""The resource API: who sees what, filters, order, and the number of queries."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from chargers.availability import availability
from chargers.models import Charger, Connector
from gateway.resources.rows import of_word
from sessions import queries
from sessions.models import ChargingSession, MeterReading
from tests.factories import (
    make_charger,
    make_online_charger,
    make_operator,
    make_session,
    make_station,
    make_user,
    unique,
)

pytestmark = pytest.mark.django_db

STARTED_AT = datetime(2025, 1, 29, 12, 0, tzinfo=UTC)
_digests = itertools.count()


def as_user(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def driver() -> APIClient:
    return as_user(make_user())


@pytest.fixture
def operator() -> APIClient:
    return as_user(make_operator())


def get(client: APIClient, path: str, **query: Any) -> Any:
    response = client.get(path, query)
    assert response.status_code == 200, response.content
    return response.json()


def status_of(client: APIClient, path: str, **query: Any) -> tuple[int, str]:
    """Status and code of a failure, which must have the one shape."""
    response = client.get(path, query)
    body = response.json()
    assert body.keys() == {"success", "error", "code", "message"}
    return response.status_code, body["code"]


def ids(page: Any, name: str = "id") -> list[Any]:
    return [row[name] for row in page["results"]]


def make_reading(session: ChargingSession, seconds: int, **values: Any) -> MeterReading:
    at = STARTED_AT + timedelta(seconds=seconds)
    return MeterReading.objects.create(
        session=session,
        charger=session.charger,
        connector_number=1,
        measured_at=at,
        received_at=at,
        sampled_values=[],
        digest=next(_digests),
        **values,
    )


# --- chargers ---


def test_driver_sees_accepted_chargers_and_operators_all(driver: APIClient, operator: APIClient) -> None:
    station = make_station()
    accepted = make_charger(station=station)
    pending = make_charger(station=station, registration="Pending")
    assert ids(get(driver, "/api/chargers/", station=station.pk), "charger_id") == [accepted.identity]
    both = ids(get(operator, "/api/chargers/", station=station.pk), "charger_id")
    assert set(both) == {accepted.identity, pending.identity}
    assert get(operator, f"/api/chargers/{pending.identity}/")["registration"] == "Pending"
    assert status_of(driver, f"/api/chargers/{pending.identity}/") == (404, "not_found")
    assert status_of(driver, f"/api/chargers/{unique('NONE')}/") == (404, "not_found")


def test_charger_is_found_by_its_identity_only(operator: APIClient) -> None:
    assert status_of(operator, f"/api/chargers/{make_charger().pk}/") == (404, "not_found")


def test_charger_shows_its_state_and_null_for_what_is_unknown(driver: APIClient) -> None:
    station = make_station()
    charger = make_online_charger(station=station, vendor="Acme")
    charger.connectors.filter(number=2).update(status="Charging")
    row = get(driver, f"/api/chargers/{charger.identity}/")
    assert row["status"] == "available"
    assert row["connected"] is True
    assert row["display"] == "1/2"
    assert (row["vendor"], row["model"], row["ocpp_status"]) == ("Acme", None, None)
    assert [connector["status"] for connector in row["connectors"]] == ["Available", "Charging"]
    assert row["last_seen_at"].endswith("Z")
    assert (row["station_id"], row["station_name"]) == (station.pk, station.name)


def test_charger_without_a_station_is_shown(driver: APIClient) -> None:
    row = get(driver, f"/api/chargers/{make_charger(station=None).identity}/")
    assert (row["station_id"], row["station_name"]) == (None, None)


def test_what_is_for_operators_is_null_for_drivers(driver: APIClient, operator: APIClient) -> None:
    charger = make_charger(serial_number="S1", firmware_version="1.2")
    path = f"/api/chargers/{charger.identity}/"
    seen, unseen = get(operator, path), get(driver, path)
    assert seen.keys() == unseen.keys()
    assert (seen["serial_number"], seen["firmware_version"]) == ("S1", "1.2")
    assert (unseen["serial_number"], unseen["firmware_version"]) == (None, None)


def test_chargers_are_filtered_by_connection_and_registration(operator: APIClient) -> None:
    station = make_station()
    online, offline = make_online_charger(station=station), make_charger(station=station)
    pending = make_charger(station=station, registration="Pending")

    def found(**query: Any) -> set[str]:
        return set(ids(get(operator, "/api/chargers/", station=station.pk, **query), "charger_id"))

    assert found(connected="true") == {online.identity}
    assert found(connected="false") == {offline.identity, pending.identity}
    assert found(registration="Pending") == {pending.identity}


def test_status_filter_says_the_same_as_availability(operator: APIClient) -> None:
    """Every combination of what decides it: the database's word and the domain's must be one."""
    station, closed = make_station(), make_station(is_under_maintenance=True)
    statuses = ["", "Available", "Charging", "Faulted"]
    for channel, place, own, registration in itertools.product(
        ["", "c"], [station, closed, None], ["", "Available", "Unavailable"], ["Accepted", "Pending"]
    ):
        charger = Charger.objects.create(
            identity=unique("W"), channel_name=channel, station=place, status=own, registration=registration
        )
        for number in (1, 2):
            word = statuses[(charger.pk // (1 if number == 1 else 4)) % 4]
            Connector.objects.create(charger=charger, number=number, status=word)
    for first, second in itertools.product(statuses, statuses):
        charger = Charger.objects.create(identity=unique("W"), channel_name="c", station=station)
        Connector.objects.create(charger=charger, number=1, status=first)
        Connector.objects.create(charger=charger, number=2, status=second)
    Charger.objects.create(identity=unique("W"), channel_name="c")  # without any connector
    words = {charger.identity: availability(charger).station_status for charger in Charger.objects.all()}
    assert set(words.values()) == {"available", "in_use", "unavailable"}
    for word in ("available", "in_use", "unavailable"):
        expected = {identity for identity, own in words.items() if own == word}
        assert set(of_word(Charger.objects.all(), word).values_list("identity", flat=True)) == expected
        listed = get(operator, "/api/chargers/", status=word, page_size=500)
        assert set(ids(listed, "charger_id")) == expected


@pytest.mark.parametrize("query", [{"status": "green"}, {"station": "x"}, {"registration": "Maybe"}])
def test_wrong_filter_is_a_validation_error(driver: APIClient, query: dict[str, str]) -> None:
    assert status_of(driver, "/api/chargers/", **query) == (400, "validation_error")


# --- stations ---


def test_station_shows_its_chargers_and_totals(driver: APIClient) -> None:
    station = make_station(address="", latitude=52.1, longitude=5.1)
    charger = make_online_charger(station=station)
    make_charger(station=station, registration="Pending")
    row = get(driver, f"/api/stations/{station.pk}/")
    assert (row["display"], row["total_connectors"], row["available_connectors"]) == ("2/2", 2, 2)
    assert row["chargers"] == [
        {"charger_id": charger.identity, "status": "available", "connected": True, "display": "2/2"}
    ]
    assert (row["address"], row["latitude"]) == (None, 52.1)


def test_driver_sees_no_station_without_an_accepted_charger(driver: APIClient, operator: APIClient) -> None:
    empty, waiting = make_station(), make_station()
    make_charger(station=waiting, registration="Pending")
    for station in (empty, waiting):
        assert status_of(driver, f"/api/stations/{station.pk}/") == (404, "not_found")
        assert get(operator, f"/api/stations/{station.pk}/")["id"] == station.pk


def test_stations_are_filtered_by_part_of_their_name(driver: APIClient) -> None:
    name = unique("Harbour ")
    station = make_station(name=name)
    make_charger(station=station)
    make_charger()
    assert ids(get(driver, "/api/stations/", name=name[2:].lower())) == [station.pk]


# --- sessions ---


def test_driver_sees_own_sessions_and_others_are_not_found() -> None:
    user = make_user()
    own, other = make_session(user=user), make_session(user=make_user())
    nobodys = make_session(user=None)
    driver, operator = as_user(user), as_user(make_operator())
    assert ids(get(driver, "/api/sessions/")) == [own.pk]
    assert get(driver, f"/api/sessions/{own.pk}/")["id"] == own.pk
    missing = driver.get("/api/sessions/999999999/").json()
    for session in (other, nobodys):
        for path in (f"/api/sessions/{session.pk}/", f"/api/sessions/{session.pk}/meter-values/"):
            assert status_of(driver, path) == (404, "not_found")
            assert driver.get(path).json() == missing  # as if there were none
    assert set(ids(get(operator, "/api/sessions/"))) == {own.pk, other.pk, nobodys.pk}


def test_driver_cannot_widen_the_view_by_a_filter() -> None:
    other = make_user()
    make_session(user=other)
    assert get(as_user(make_user()), "/api/sessions/", user=other.pk)["count"] == 0


def test_ended_session_shows_its_totals_with_units_and_money_as_a_number() -> None:
    user = make_user()
    session = make_session(
        user=user,
        status="completed",
        started_at=STARTED_AT,
        stopped_at=STARTED_AT + timedelta(minutes=30),
        meter_stop_wh=4500,
        energy_wh=3500,
        currency="EUR",
        price_per_kwh="0.4900",
        price_per_minute="0",
        price_per_session="0",
        cost="1.720",
        stop_reason="Remote",
    )
    row = get(as_user(user), f"/api/sessions/{session.pk}/")
    assert (row["energy_wh"], row["energy_kwh"], row["duration_s"]) == (3500, 3.5, 1800)
    assert (row["cost"], row["currency"], row["price_per_kwh"]) == (1.72, "EUR", 0.49)
    assert (row["started_at"], row["stopped_at"]) == ("2025-01-29T12:00:00Z", "2025-01-29T12:30:00Z")
    assert (row["power_w"], row["measured_at"], row["error_code"]) == (None, None, None)


def test_times_are_in_utc_whatever_the_admins_time_zone_is(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Amsterdam"
    user = make_user()
    session = make_session(user=user, started_at=STARTED_AT)
    assert get(as_user(user), f"/api/sessions/{session.pk}/")["started_at"] == "2025-01-29T12:00:00Z"


def test_running_session_shows_what_the_socket_shows() -> None:
    user = make_user()
    session = make_session(
        user=user,
        started_at=STARTED_AT,
        currency="EUR",
        price_per_kwh="0.5",
        price_per_minute="0",
        price_per_session="1",
    )
    make_reading(session, 10, energy_wh=1500, power_w=7400.0, soc_percent=40.0)
    make_reading(session, 20, energy_wh=3000)
    state = queries.state_of(ChargingSession.objects.get(pk=session.pk))
    for row in (
        get(as_user(user), f"/api/sessions/{session.pk}/"),
        get(as_user(user), "/api/sessions/")["results"][0],
    ):
        assert (row["energy_wh"], row["energy_kwh"]) == (2000, state.energy_delivered)
        assert (row["power_w"], row["soc_percent"]) == (7400.0, state.charge_percentage)
        assert row["cost"] == float(state.cost or -1) == 2.0
        assert row["measured_at"] == "2025-01-29T12:00:20Z"
        assert row["stale"] is state.stale is True


def test_sessions_are_filtered() -> None:
    operator, user = as_user(make_operator()), make_user()
    old = make_session(user=user, status="completed", started_at=STARTED_AT)
    new = make_session(started_at=STARTED_AT + timedelta(days=1))
    pending = make_session(status="pending", started_at=None)

    def found(**query: Any) -> set[int]:
        return set(ids(get(operator, "/api/sessions/", **query)))

    assert found(status="completed") == {old.pk}
    assert found(status=["completed", "pending"]) == {old.pk, pending.pk}
    assert found(charger=new.charger.identity) == {new.pk}
    assert found(station=new.charger.station_id) == {new.pk}
    assert found(user=user.pk) == {old.pk}
    assert found(transaction_id=old.transaction_id) == {old.pk}
    assert found(started_after="2025-01-30T00:00:00Z") == {new.pk}
    assert found(started_before="2025-01-30T00:00:00+00:00") == {old.pk}
    assert status_of(operator, "/api/sessions/", started_after="yesterday") == (400, "validation_error")
    assert status_of(operator, "/api/sessions/", charger="a\x00b") == (400, "validation_error")


def test_sessions_are_ordered_and_equal_ones_keep_their_place() -> None:
    operator = as_user(make_operator())
    sessions = [make_session(started_at=STARTED_AT) for _ in range(3)]
    ChargingSession.objects.update(created_at=STARTED_AT)
    keys = [session.pk for session in sessions]
    assert ids(get(operator, "/api/sessions/")) == keys[::-1]
    assert ids(get(operator, "/api/sessions/", ordering="started_at")) == keys
    pages = [get(operator, "/api/sessions/", page=page, page_size=1) for page in (1, 2, 3)]
    assert [ids(page) for page in pages] == [[key] for key in keys[::-1]]
    assert pages[0]["count"] == 3
    assert pages[0]["previous"] is None
    assert "page=2" in pages[0]["next"]
    assert status_of(operator, "/api/sessions/", page=4, page_size=1) == (404, "not_found")


# --- meter values ---


def test_meter_values_are_ordered_in_both_units() -> None:
    user = make_user()
    session = make_session(user=user, started_at=STARTED_AT)
    make_reading(session, 20, energy_wh=3000, power_w=7400.0)
    make_reading(session, 10, energy_wh=None, voltage_v=231.5)
    make_reading(make_session(), 15, energy_wh=9)
    path = f"/api/sessions/{session.pk}/meter-values/"
    first, second = get(as_user(user), path)["results"]
    assert first["measured_at"] == "2025-01-29T12:00:10Z"
    assert (first["register_wh"], first["register_kwh"], first["energy_wh"]) == (None, None, None)
    assert first["voltage_v"] == 231.5
    assert (second["register_wh"], second["register_kwh"]) == (3000, 3.0)
    assert (second["energy_wh"], second["energy_kwh"], second["power_w"]) == (2000, 2.0, 7400.0)
    newest_first = get(as_user(user), path, ordering="-measured_at")["results"]
    assert newest_first == [second, first]
    later = get(as_user(user), path, measured_after="2025-01-29T12:00:15Z")["results"]
    assert later == [second]


# --- all of them ---


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/api/stations/", "/api/chargers/", "/api/sessions/", "/api/commands/"])
def test_nothing_can_be_written(operator: APIClient, method: str, path: str) -> None:
    response = getattr(operator, method)(path)
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


def test_page_size_has_a_limit(operator: APIClient) -> None:
    assert get(operator, "/api/chargers/", page_size=10_000)["results"] is not None
    for _ in range(3):
        make_charger()
    assert len(get(operator, "/api/chargers/", page_size=2)["results"]) == 2


def _grow_stations() -> None:
    station = make_station()
    for _ in range(2):
        make_online_charger(station=station)


def _grow_chargers() -> None:
    make_online_charger()


def _grow_sessions() -> None:
    running, ended = make_session(), make_session(status="completed", energy_wh=5)
    for session in (running, ended):
        for seconds in range(8):
            make_reading(session, seconds, energy_wh=1000 + seconds, soc_percent=40.0 + seconds)


@pytest.mark.parametrize(
    ("path", "grow"),
    [
        ("/api/stations/", _grow_stations),
        ("/api/chargers/", _grow_chargers),
        ("/api/chargers/?status=available&ordering=-last_seen_at", _grow_chargers),
        ("/api/sessions/", _grow_sessions),
    ],
)
def test_page_costs_the_same_queries_however_long_it_is(
    operator: APIClient, path: str, grow: Callable[[], None]
) -> None:
    def queries_for(rows: int) -> tuple[int, int]:
        for _ in range(rows):
            grow()
        with CaptureQueriesContext(
            connection,
        ) as captured:
            page = get(operator, path)
        return len(captured), page["count"]

    (few, short), (many, long) = queries_for(1), queries_for(6)
    assert long > short
    assert few == many <= 5


def test_meter_values_cost_the_same_queries_however_many(operator: APIClient) -> None:
    session = make_session()
    counts = []
    for rows in (1, 20):
        for second in range(rows):
            make_reading(session, second + 100 * rows, energy_wh=second)
        with CaptureQueriesContext(connection) as captured:
            get(operator, f"/api/sessions/{session.pk}/meter-values/")
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 3
