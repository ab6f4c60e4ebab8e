"""What is left of readings as sessions grow old, and that their totals do not change by it."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from chargers.events import utcnow
from sessions import accounts, ledger, meter_store, queries, retention, reviews
from sessions.models import ChargingSession, MeterReading
from sessions.readings import Reading
from sessions.retention import READINGS
from tests.factories import make_charger, make_operator, make_session

pytestmark = pytest.mark.django_db

Kept = ChargingSession.Kept
PRICE = {
    "currency": "EUR",
    "price_per_kwh": Decimal("0.50"),
    "price_per_minute": Decimal("0.02"),
    "price_per_session": Decimal("1"),
}


@pytest.fixture(autouse=True)
def retained(settings: Any) -> None:
    settings.METER_READINGS_FULL_DAYS, settings.METER_READINGS_THINNED_MINUTES = 90, 15
    settings.METER_READINGS_DAYS = 0


def store(session: ChargingSession, *points: tuple[float, int | None]) -> None:
    """Readings of (minutes after the start, Wh)."""
    assert session.started_at
    readings = [
        Reading(
            measured_at=(at := session.started_at + timedelta(minutes=minutes)),
            received_at=at,
            energy_wh=wh,
            power_w=11_000.0,
            sampled_values=str(number).encode(),
        )
        for number, (minutes, wh) in enumerate(points)
    ]
    meter_store.insert(
        [
            meter_store.row(
                session_id=session.pk, charger_id=session.charger_id, connector_number=1, reading=reading
            )
            for reading in readings
        ]
    )


def at_day(days_ago: float) -> datetime:
    return utcnow() - timedelta(days=days_ago)


def ended(days_ago: float, *points: tuple[float, int | None]) -> ChargingSession:
    """A session of an hour that ended so long ago, with 1 kWh at the start; its stop was never told."""
    session = make_session(started_at=at_day(days_ago) - timedelta(hours=1), **PRICE)
    store(session, *points)
    ledger.end_unheard(session, flag="closed", reason="told so")
    return session


def stopped(
    days_ago: float, *points: tuple[float, int | None], stop_wh: int | None = 9000
) -> ChargingSession:
    """One with a stop of its own."""
    stop_at = at_day(days_ago)
    session = make_session(started_at=stop_at - timedelta(hours=1), **PRICE)
    store(session, *points)
    return ledger.stop_session(
        charger_id=session.charger_id,
        transaction_id=session.transaction_id,
        meter_stop_wh=stop_wh,
        reported_at=stop_at,
        reported=stop_at.isoformat(),
        reason="Local",
    )


def every_minute(wh: int = 8000, start: int = 1000) -> list[tuple[float, int | None]]:
    return [(minute, start + wh * minute // 60) for minute in range(1, 60)]


def totals_of(session: ChargingSession) -> tuple[Any, ...]:
    session.refresh_from_db()
    return session.energy_wh, session.cost, session.stopped_at, session.review, session.flags


def test_an_old_session_keeps_its_first_and_last_readings_and_one_in_a_while() -> None:
    session = stopped(91, *every_minute())
    before = totals_of(session)
    assert retention.sweep() == 59 - 6
    left = session.readings.order_by("measured_at").values_list("measured_at", flat=True)
    assert [round((at - session.started_at).total_seconds() / 60) for at in left] == [1, 16, 31, 46, 58, 59]  # type: ignore[operator]
    assert totals_of(session) == before
    assert session.readings_kept == Kept.THINNED
    assert accounts.differences(session) == {}
    assert retention.sweep() == 0


def test_a_session_that_ended_lately_or_runs_or_waits_for_a_person_keeps_all() -> None:
    lately = stopped(89, *every_minute())
    running = make_session(started_at=utcnow() - timedelta(days=200))
    store(running, *every_minute())
    waiting = stopped(91, *every_minute(), stop_wh=500)
    assert waiting.review == "waiting"
    assert retention.sweep() == 0
    assert {each.readings.count() for each in (lately, running, waiting)} == {59}


def test_it_can_be_turned_off(settings: Any) -> None:
    settings.METER_READINGS_FULL_DAYS = 0
    stopped(400, *every_minute())
    assert retention.sweep() == 0


def test_what_marks_a_moment_or_is_suspect_is_kept() -> None:
    session = stopped(91, *every_minute())
    marked = session.readings.order_by("measured_at")[20]
    suspect = session.readings.order_by("measured_at")[33]
    MeterReading.objects.filter(pk=marked.pk).update(context="Interruption.Begin")
    MeterReading.objects.filter(pk=suspect.pk).update(is_suspect=True)
    retention.sweep()
    assert session.readings.filter(pk__in=[marked.pk, suspect.pk]).count() == 2


@pytest.mark.parametrize("seed", range(5))
def test_totals_reckoned_from_what_is_left_are_the_same(seed: int, settings: Any) -> None:
    """E38: with registers that jump, fall, are reset, are missing, or are rounded, and stops that cannot be right."""
    settings.METER_READINGS_THINNED_MINUTES = 10
    rng = random.Random(seed)
    for _ in range(4):
        wh, points = 1000, []
        for minute in range(1, 60):
            wh += rng.choice((0, 100, 133, 150, -40, 180))
            if rng.random() < 0.03:
                wh = rng.choice((0, wh + 900_000, max(0, wh - 5000)))
            points.append((minute, wh if rng.random() > 0.2 else None))
        session = stopped(91, *points, stop_wh=rng.choice((wh, None, 0, wh + 10_000_000, wh - 3000)))
        session.review = rng.choice(("accepted", ""))  # a person has looked, or nothing was odd
        session.save()
        before = totals_of(session)
        retention.sweep()
        assert totals_of(session) == before
        assert session.readings_kept == Kept.THINNED
        assert accounts.differences(session) == {}


def test_where_the_totals_would_change_nothing_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """E38"""
    session = ended(91, *every_minute())
    ChargingSession.objects.update(review="accepted")
    monkeypatch.setattr("sessions.thinning.kept", lambda points, **_: {points[0].pk})
    assert retention.sweep() == 0
    assert session.readings.count() == 59
    session.refresh_from_db()
    assert session.readings_kept == Kept.THINNED  # it is not looked at each time


def test_a_stop_told_after_the_thinning_counts() -> None:
    """E27"""
    session = ended(91, *every_minute())
    retention.sweep()
    stop_at = session.started_at + timedelta(hours=1)  # type: ignore[operator]
    facts = {"transaction_id": session.transaction_id, "meter_stop_wh": 9500, "reported_at": stop_at}
    ledger.stop_session(charger_id=session.charger_id, reported="then", **facts)  # type: ignore[arg-type]
    session.refresh_from_db()
    assert (session.energy_wh, session.stopped_at) == (8500, stop_at)


# --- forgotten ---


def test_readings_go_after_their_time_and_the_totals_stay(settings: Any) -> None:
    settings.METER_READINGS_DAYS = 400
    old, young = ended(460, *every_minute()), ended(380, *every_minute())
    before = totals_of(old)
    assert before[0] == 7866
    retention.sweep()
    assert not old.readings.exists()
    assert young.readings.count() == 6
    assert totals_of(old) == before
    assert old.readings_kept == Kept.NONE


def test_sessions_without_readings_are_reckoned_to_what_they_were(
    settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """E38: also where a stop could not be right and the readings had settled it."""
    settings.METER_READINGS_DAYS = 400
    unheard, odd = ended(460, *every_minute()), stopped(460, *every_minute(), stop_wh=500)
    reviews.accept(session=odd, decided_by=make_operator())
    before = totals_of(unheard), totals_of(odd)
    assert before[1][0] == 7866
    retention.sweep()
    assert not MeterReading.objects.exists()
    call_command("recompute", "--write")
    assert "2 sessions reckoned, 0 differ" in capsys.readouterr().out
    assert (totals_of(unheard), totals_of(odd)) == before


def test_a_person_may_still_decide_about_a_session_without_readings(settings: Any) -> None:
    settings.METER_READINGS_DAYS = 400
    session, operator = ended(460, *every_minute()), make_operator()
    retention.sweep()
    reviews.void(session=session, decided_by=operator, reason="goodwill")
    session.refresh_from_db()
    assert (session.energy_wh, session.cost) == (7866, Decimal(0))
    reviews.correct(session=session, decided_by=operator, reason="no", energy_wh=1000)
    session.refresh_from_db()
    assert session.energy_wh == 1000
    assert session.cost == Decimal("1.5") + Decimal("0.02") * Decimal(59)
    assert accounts.differences(session) == {}


def test_readings_of_no_session_go_when_others_are_thinned() -> None:
    charger = make_charger()
    for days, told in ((91, 91), (91, 0), (89, 89)):
        reading = Reading(
            measured_at=at_day(days), received_at=at_day(told), energy_wh=days, sampled_values=b"[]"
        )
        row = meter_store.row(session_id=None, charger_id=charger.pk, connector_number=0, reading=reading)
        meter_store.insert([row | {"digest": told}])
    assert retention.sweep() == 1
    assert set(MeterReading.objects.values_list("energy_wh", flat=True)) == {89, 91}  # told late: not yet


# --- in parts ---

in_parts = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has parts")


def part_of(reading: MeterReading) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM charging_meterreading WHERE id = %s", [reading.pk]
        )
        return str(cursor.fetchone()[0])


@in_parts
def test_a_month_is_dropped_as_a_whole(settings: Any) -> None:
    settings.METER_READINGS_DAYS = 400
    month = READINGS.begin_of(at_day(500))
    session = ended((utcnow() - month).days - 3, *every_minute())
    READINGS.make(month)
    assert part_of(session.readings.all()[0]) == READINGS.name_of(month)
    before = totals_of(session)
    retention.sweep()  # it is written on the sessions …
    assert session.readings.exists()
    retention.sweep()  # … and then they go
    assert not session.readings.exists()
    assert READINGS.name_of(month) not in {part.name for part in READINGS.parts()}
    assert totals_of(session) == before
    assert accounts.differences(session) == {}


@in_parts
def test_readings_of_a_session_that_is_not_over_outlive_their_month(settings: Any) -> None:
    settings.METER_READINGS_DAYS = 400
    month = READINGS.begin_of(at_day(500))
    READINGS.make(month)
    zombie = make_session(started_at=month + timedelta(days=3))
    store(zombie, *every_minute())
    retention.sweep()
    assert zombie.readings.count() == 59
    assert part_of(zombie.readings.all()[0]) == READINGS.default
    assert [part for part in READINGS.parts() if part.begin == month] == []
    assert queries.newest_reading(zombie).energy_wh == 8866  # type: ignore[union-attr]
    ledger.end_unheard(zombie, flag="closed", reason="at last")
    ChargingSession.objects.filter(pk=zombie.pk).update(review="accepted")
    retention.sweep()
    assert not zombie.readings.exists()
