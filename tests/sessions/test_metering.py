"""Where meter values go, and what the driver's app gets of them."""

import json
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from chargers.events import user_group, utcnow
from sessions import queries
from sessions.events import MeterValue
from sessions.metering import Metered, Metering, metered, record_readings, tick
from sessions.models import ChargingSession, MeterReading
from sessions.readings import Reading
from tests.factories import make_charger, make_session, make_user

pytestmark = pytest.mark.django_db


def reading(**values: Any) -> Reading:
    at = values.pop("at", None) or utcnow()
    return Reading(
        measured_at=at,
        received_at=utcnow(),
        sampled_values=json.dumps({"timestamp": str(at)}).encode(),
        **values,
    )


def told(where: Metered, readings: list[Reading]) -> MeterValue:
    newest = where.newest_of(readings)
    return tick(where, newest, good_wh=where.good_wh, newest_at=where.newest_at).data


def test_values_go_to_the_session_of_their_transaction() -> None:
    session = make_session()
    found = metered(charger_id=session.charger_id, connector_number=1, transaction_id=session.transaction_id)
    assert (found.session_id, found.connector_number) == (session.pk, 1)


def test_values_without_a_transaction_go_to_what_runs_on_the_connector() -> None:
    session = make_session()
    found = metered(charger_id=session.charger_id, connector_number=1, transaction_id=None)
    assert found.session_id == session.pk
    assert metered(charger_id=session.charger_id, connector_number=2, transaction_id=None).session_id is None


@pytest.mark.parametrize("transaction_id", [-1, 0, 987654321])
def test_values_of_a_transaction_we_never_named_go_to_the_open_one_and_are_flagged(
    transaction_id: int,
) -> None:
    """E25"""
    session = make_session()
    found = metered(charger_id=session.charger_id, connector_number=1, transaction_id=transaction_id)
    session.refresh_from_db()
    assert (found.session_id, session.flags) == (session.pk, ["reconciled"])


def stopped_and_next(**first: Any) -> tuple[ChargingSession, ChargingSession]:
    """One that ran from five minutes ago until three ago, and the one that began at its connector a minute ago."""
    now = utcnow()
    began, ended = now - timedelta(minutes=5), now - timedelta(minutes=3)
    told = {"stopped_at": ended, "stop_told_at": ended, "stop_reported": "then", "meter_stop_wh": 2000}
    charger = make_charger()
    values = {"status": "completed", "started_at": began, "energy_wh": 1000, **told, **first}
    ended_one = make_session(charger=charger, **values)
    return ended_one, make_session(
        charger=charger, started_at=now - timedelta(minutes=1), meter_start_wh=2000
    )


def found_for(session: ChargingSession, minutes_ago: float, transaction_id: int | None = -1) -> int | None:
    """The session that values measured then are taken for."""
    value = reading(energy_wh=1500, at=utcnow() - timedelta(minutes=minutes_ago))
    return metered(
        charger_id=session.charger_id,
        connector_number=1,
        transaction_id=transaction_id,
        readings=[value],
        frame="[2]",
    ).session_id


@pytest.mark.parametrize("transaction_id", [None, -1, 0, 987654321])
def test_nameless_values_from_before_the_open_session_are_of_the_one_that_ran_then(
    transaction_id: int | None,
) -> None:
    """E25: told out of order"""
    ended, running = stopped_and_next()
    assert found_for(running, 4, transaction_id) == ended.pk
    for session in (ended, running):
        session.refresh_from_db()
    is_named = transaction_id is not None
    assert (ended.flags, ended.review) == ((["reconciled"], "waiting") if is_named else ([], ""))
    assert (running.flags, running.review) == ([], "")
    assert [oddity.frame for oddity in ended.oddities.all()] == (["[2]"] if is_named else [])


def test_the_newest_of_the_values_says_when_they_were_measured() -> None:
    _, running = stopped_and_next()
    now = utcnow()
    values = [reading(at=now), reading(at=now - timedelta(minutes=4))]
    found = metered(charger_id=running.charger_id, connector_number=1, transaction_id=-1, readings=values)
    assert found.session_id == running.pk


@pytest.mark.parametrize("minutes_ago", [0, 0.9, 1.1, 2, 6])
def test_nameless_values_of_when_nothing_else_ran_are_of_the_open_one(minutes_ago: float) -> None:
    """E25: its own time, about its start, between the two, before both"""
    ended, running = stopped_and_next()
    assert found_for(running, minutes_ago) == running.pk
    ended.refresh_from_db()
    assert ended.flags == []


def test_a_session_whose_stop_was_not_told_may_have_run_until_the_next_one() -> None:
    """E29, E30: its end is the last that was heard of it"""
    ended, running = stopped_and_next(stop_told_at=None, stop_reported="", meter_stop_wh=None)
    assert found_for(running, 2) == ended.pk


def test_another_connectors_session_is_not_the_one_that_ran_then() -> None:
    charger = make_charger()
    other = charger.connectors.get(number=2)
    make_session(charger=charger, connector=other, started_at=utcnow() - timedelta(minutes=5))
    running = make_session(charger=charger, started_at=utcnow() - timedelta(minutes=1))
    assert found_for(running, 4) == running.pk


@pytest.mark.parametrize("begun", [{"flags": ["clock"]}, {"started_at": None}])
def test_a_start_without_a_time_says_nothing_of_what_was_measured_before(begun: dict[str, Any]) -> None:
    """E41"""
    _, running = stopped_and_next()
    ChargingSession.objects.filter(pk=running.pk).update(**begun)
    assert found_for(running, 4) == running.pk


def test_what_is_remembered_of_a_number_is_not_for_values_from_before() -> None:
    ended, running = stopped_and_next()
    now, before = [reading()], [reading(at=utcnow() - timedelta(minutes=4))]
    open_one = metered(charger_id=running.charger_id, connector_number=1, transaction_id=-1, readings=now)
    past = metered(charger_id=running.charger_id, connector_number=1, transaction_id=-1, readings=before)
    nowhere = metered(charger_id=running.charger_id, connector_number=2, transaction_id=-1, readings=now)
    assert past.session_id == ended.pk
    assert open_one.is_for(-1, now) and open_one.is_for(None, [*now, *before])
    assert not open_one.is_for(-1, before) and not open_one.is_for(None, before)
    assert open_one.is_for(running.transaction_id, before)
    assert past.is_for(ended.transaction_id, now) and not past.is_for(-1, before)
    assert all(nowhere.is_for(number, now) for number in (None, -1))


def test_the_main_meters_values_belong_to_no_session() -> None:
    """E37"""
    session = make_session()
    assert metered(charger_id=session.charger_id, connector_number=0, transaction_id=None).session_id is None


def test_values_of_another_chargers_transaction_are_not_taken_for_it() -> None:
    other = make_session()
    charger = make_charger()
    found = metered(charger_id=charger.pk, connector_number=1, transaction_id=other.transaction_id)
    assert found.session_id is None


def test_readings_are_stored_once_and_announced(
    published: list[tuple[str, dict[str, Any]]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    user = make_user()
    session = make_session(user=user)
    where = metered(charger_id=session.charger_id, connector_number=1, transaction_id=session.transaction_id)
    value = reading(energy_wh=1500, power_w=7400.0)
    with django_capture_on_commit_callbacks(execute=True):
        record_readings([Metering(where, [value]), Metering(where, [value])])
    row = MeterReading.objects.get(session=session)
    assert (row.energy_wh, row.power_w, row.sampled_values) == (
        1500,
        7400.0,
        json.loads(value.sampled_values),
    )
    assert row.measured_at == value.measured_at
    group, message = published[0]
    assert (group, message["event"], message["data"]["energy_delivered"]) == (
        user_group(user.pk),
        "meter_value",
        0.5,
    )


def test_values_after_the_end_are_stored_and_not_announced(
    published: list[tuple[str, dict[str, Any]]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    """E30"""
    at = utcnow()
    ending = {"meter_stop_wh": 1600, "energy_wh": 600, "stop_reported": "now", "stop_told_at": at}
    session = make_session(user=make_user(), status="completed", started_at=at, stopped_at=at, **ending)
    where = metered(charger_id=session.charger_id, connector_number=1, transaction_id=session.transaction_id)
    with django_capture_on_commit_callbacks(execute=True):
        record_readings([Metering(where, [reading(energy_wh=1500)])])
    session.refresh_from_db()
    assert session.readings.count() == 1
    assert session.status == "completed"
    assert published == []


def test_a_tick_has_what_the_meter_said_and_null_for_the_rest() -> None:
    session = make_session(user=make_user(), started_at=utcnow() - timedelta(minutes=75))
    where = metered(charger_id=session.charger_id, connector_number=1, transaction_id=session.transaction_id)
    data = told(where, [reading(power_w=3600.0)])
    assert (data.power, data.output_power, data.charging_duration_display) == (3.6, 3.6, "1hr 15min")
    unknown = (
        "energy_delivered",
        "meter_value",
        "voltage",
        "current",
        "charge_percentage",
        "time_remaining",
        "cost",
    )
    assert [getattr(data, name) for name in unknown] == [None] * len(unknown)


def test_time_remaining_is_told_once_the_pace_is_known() -> None:
    start = utcnow() - timedelta(minutes=30)
    session = make_session(user=make_user(), started_at=start)
    where = metered(charger_id=session.charger_id, connector_number=1, transaction_id=session.transaction_id)
    assert told(where, [reading(soc_percent=40.0, at=start)]).time_remaining is None
    data = told(where, [reading(soc_percent=60.0, at=start + timedelta(minutes=30))])
    assert (data.time_remaining, data.time_remaining_display) == (3600, "1hr 0min")


@pytest.mark.parametrize(
    ("minutes", "registers", "suspect"),
    [
        ([1, 2, 3], [2000, 1500, 2500], [False, True, False]),  # backwards
        ([1, 2, 3], [2000, 90_000_000, 2500], [False, True, False]),  # a jump
        ([1, 2, 3], [500, 600, 1500], [True, True, False]),  # below the start
        ([1, 3, 2], [2000, 3000, 2500], [False, False, False]),  # out of order
        ([1, 3, 2], [2000, 3000, 3500], [False, False, True]),
        ([1, 600, 601], [2000, 3_000_000, 3_000_100], [False, False, False]),  # ten hours without a word
    ],
)
def test_a_register_that_cannot_be_right_is_stored_as_suspect(
    minutes: list[int], registers: list[int], suspect: list[bool]
) -> None:
    """E38: judged by the last good one, whichever process heard it"""
    begun = utcnow() - timedelta(hours=12)
    session = make_session(started_at=begun, meter_start_wh=1000)
    for minute, energy_wh in zip(minutes, registers, strict=True):
        where = metered(charger_id=session.charger_id, connector_number=1, transaction_id=session.pk)
        value = reading(energy_wh=energy_wh, at=begun + timedelta(minutes=minute))
        record_readings([Metering(where, [value])])
        record_readings([Metering(where, [value])])  # the same again is judged the same
    found = session.readings.order_by("pk").values_list("is_suspect", flat=True)
    assert list(found) == suspect


def test_after_nothing_but_suspect_registers_the_last_good_one_is_shown() -> None:
    """E38: a register reset in mid-session"""
    session = make_session(started_at=utcnow() - timedelta(hours=1), meter_start_wh=1000)
    where = metered(charger_id=session.charger_id, connector_number=1, transaction_id=session.pk)
    for number, energy_wh in enumerate([3000, *range(0, 100, 10)]):
        at = utcnow() - timedelta(minutes=50 - number)
        record_readings([Metering(where, [reading(energy_wh=energy_wh, at=at, power_w=float(number))])])
    newest = queries.newest_reading(session)
    assert newest is not None
    assert (newest.energy_wh, newest.power_w) == (3000, 10.0)
    state = queries.state_of(session)
    assert (state.energy_delivered, state.power) == (2.0, 0.01)
