"""Times as chargers write them (E41)."""

from datetime import UTC, datetime, timedelta

import pytest

from chargers.clock import as_text
from gateway.ocpp.times import parsed

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-01T10:00:00Z", TEN),
        ("2026-03-01T10:00:00", TEN),  # no zone is UTC
        ("2026-03-01T10:00Z", TEN),
        ("2026-03-01 10:00:00Z", TEN),
        ("2026-03-01t10:00:00z", TEN),
        (" 2026-03-01T10:00:00Z\t", TEN),
        ("20260301T10:00:00Z", TEN),
        ("2026-03-01T12:30:00+02:30", TEN),
        ("2026-03-01T12:00:00+0200", TEN),
        ("2026-03-01T12:00:00+02", TEN),
        ("2026-02-28T22:00:00-12:00", TEN),
        ("2026-03-01T10:00:00.5Z", TEN + timedelta(milliseconds=500)),
        ("2026-03-01T10:00:00,5Z", TEN + timedelta(milliseconds=500)),
        ("2026-03-01T10:00:00.123456789Z", TEN + timedelta(microseconds=123456)),
        ("1970-01-01T00:00:10Z", datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)),  # judged elsewhere
        ("2099-01-01T00:00:00Z", datetime(2099, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_means_a_time_is_understood(text: str, at: datetime) -> None:
    """E41"""
    found = parsed(text)
    assert found == at
    assert found is not None and found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        5,
        1_772_359_200,
        True,
        [],
        {"time": "2026-03-01T10:00:00Z"},
        "1772359200",
        "now",
        "2026-03-01",  # a day is no time
        "10:00:00",
        "2026-13-01T10:00:00Z",
        "2026-03-01T25:00:00Z",
        "0000-00-00T00:00:00Z",
        "2026-03-01T10:00:00 Europe/Berlin",
        "0001-01-01T00:00:00+14:00",  # before there were years
        "9999-12-31T23:59:59-14:00",
        "2026-03-01T10:00:00Z" * 100,
    ],
)
def test_what_means_no_time_is_none(text: object) -> None:
    """E41"""
    assert parsed(text) is None


def test_our_times_are_utc_with_z_and_understood_by_ourselves() -> None:
    text = as_text(datetime.now(UTC))
    assert text.endswith("Z") and "+" not in text
    at = parsed(text)
    assert at is not None and abs(datetime.now(UTC) - at) < timedelta(seconds=5)
