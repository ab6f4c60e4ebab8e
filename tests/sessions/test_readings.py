"""What can be told from readings."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sessions.readings import Reading, duration_display, energy_delivered_wh, newest, seconds_to_full

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def reading(minutes: int, **values: Any) -> Reading:
    at = NOON + timedelta(minutes=minutes)
    return Reading(measured_at=at, received_at=at, **values)


def test_the_newest_of_each_quantity_counts_whatever_the_order() -> None:
    merged = newest(
        [reading(2, power_w=50.0), reading(1, energy_wh=10, power_w=70.0), reading(0, energy_wh=5)]
    )
    assert merged is not None
    assert (merged.measured_at, merged.energy_wh, merged.power_w) == (NOON + timedelta(minutes=2), 10, 50.0)


def test_nothing_is_newest_of_nothing() -> None:
    assert newest([]) is None


@pytest.mark.parametrize(
    ("start", "register", "expected"), [(100, 350, 250), (100, 90, 0), (None, 350, None), (100, None, None)]
)
def test_energy_is_the_difference_never_negative_and_unknown_stays_unknown(
    start: int | None, register: int | None, expected: int | None
) -> None:
    assert energy_delivered_wh(meter_start_wh=start, register_wh=register) == expected


def test_time_to_full_follows_the_pace_so_far() -> None:
    half_hour = NOON + timedelta(minutes=30)
    assert seconds_to_full(first_soc=40, first_at=NOON, soc=60, at=half_hour) == 3600


@pytest.mark.parametrize(("first", "now"), [(None, 50), (50, None), (50, 50.5), (50, 40)])
def test_time_to_full_is_not_guessed(first: float | None, now: float | None) -> None:
    assert seconds_to_full(first_soc=first, first_at=NOON, soc=now, at=NOON + timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 min"), (1200, "20 min"), (8100, "2hr 15min"), (3600, "1hr 0min"), (None, None)],
)
def test_durations_read_as_people_say_them(seconds: int | None, text: str | None) -> None:
    assert duration_display(seconds) == text
