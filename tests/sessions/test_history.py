"""A driver's own sessions by page; charts of few points in which no peak is lost."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from sessions import history
from sessions.errors import InvalidParameter
from sessions.models import ChargingSession, MeterReading
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def read(session: ChargingSession, *rows: dict[str, Any]) -> None:
    MeterReading.objects.bulk_create(
        MeterReading(
            session=session,
            charger=session.charger,
            connector_number=1,
            received_at=AT,
            measured_at=AT + timedelta(seconds=row.pop("s")),
            sampled_values=[],
            digest=number,
            **row,
        )
        for number, row in enumerate(rows)
    )


def test_pages_are_the_users_own_newest_first_and_miss_none() -> None:
    user = make_user()
    mine = [make_session(user=user, status="completed", started_at=AT) for _ in range(5)]
    same_moment = mine[0].created_at
    ChargingSession.objects.filter(pk__in=[each.pk for each in mine]).update(created_at=same_moment)
    other = make_session(user=make_user())
    found, cursor = [], None
    while True:
        page, cursor = history.page(user.pk, history.Wish(), limit=2, cursor=cursor)
        found += [each.pk for each in page]
        if cursor is None:
            break
    assert found == [each.pk for each in reversed(mine)]
    for wrong in (str(other.pk), "x", "9" * 30):
        with pytest.raises(InvalidParameter):
            history.page(user.pk, history.Wish(), limit=2, cursor=wrong)
    later = history.Wish(status="completed", started_after=AT + timedelta(days=1))
    assert history.page(user.pk, later, limit=2) == ([], None)
    there = history.Wish(identity=mine[0].charger.identity, started_before=AT + timedelta(days=1))
    assert [each.pk for each in history.page(user.pk, there, limit=2)[0]] == [mine[0].pk]


def test_chart_keeps_peaks_ends_and_energy_that_never_falls() -> None:
    session = make_session(meter_start_wh=1000)
    rows: list[dict[str, Any]] = [
        {"s": second, "power_w": 7000.0, "energy_wh": 1000 + second} for second in range(0, 6000, 3)
    ]
    rows[777]["power_w"], rows[778]["power_w"], rows[1500]["power_w"] = 150_000.0, 0.0, None
    rows[900].update(energy_wh=999_999_999, is_suspect=True)
    rows[100]["soc_percent"] = 20.0
    read(session, *rows)
    points = history.chart(session, points=100)
    assert 50 <= len(points) <= 100
    assert [point.at for point in points] == sorted({point.at for point in points})
    power = [point.power_kw for point in points if point.power_kw is not None]
    assert (max(power), min(power)) == (150.0, 0.0)
    energy = [point.energy_kwh for point in points if point.energy_kwh is not None]
    assert energy == sorted(energy)
    assert (points[0].at, points[-1].at) == (AT, AT + timedelta(seconds=5997))
    assert (energy[0], energy[-1]) == (0, 5.997)
    assert (points[0].soc, points[-1].soc) == (None, 20.0)
    widest = max(b.at - a.at for a, b in pairwise(points))
    assert widest <= timedelta(seconds=2 * 6000 / 49)


def test_few_readings_are_all_shown_and_one_moment_is_one_point() -> None:
    session = make_session(meter_start_wh=1000)
    read(
        session,
        {"s": 0, "energy_wh": 1000},
        {"s": 0, "power_w": 5000.0},
        {"s": 60, "soc_percent": 40.0},
        {"s": 90, "energy_wh": 1100},
    )
    seen = [(p.energy_kwh, p.power_kw, p.soc) for p in history.chart(session, points=10)]
    assert seen == [(0, 5.0, None), (0, None, 40.0), (0.1, None, 40.0)]
    assert history.chart(make_session(), points=10) == []


def test_many_readings_of_one_moment_are_few_points() -> None:
    session = make_session()
    read(session, *({"s": 0, "power_w": float(number)} for number in range(50)))
    assert len(history.chart(session, points=10)) == 1
