"""Whose clock counts."""

from datetime import UTC, datetime, timedelta

import pytest

from chargers.clock import is_late, judged

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reported", "believed"),
    [
        (NOW - timedelta(days=3), True),  # replayed from when it was offline
        (NOW, True),
        (NOW + timedelta(seconds=200), True),
        (NOW + timedelta(hours=2), False),
        (datetime(1970, 1, 1, tzinfo=UTC), False),
        (datetime(2000, 1, 1, tzinfo=UTC), False),
        (None, False),
    ],
)
def test_the_charger_is_believed_where_it_can_be_right(reported: datetime | None, believed: bool) -> None:
    """E41"""
    assert judged(reported, received_at=NOW) == (reported if believed else NOW)


def test_late_is_what_happened_a_while_ago() -> None:
    """E28"""
    assert is_late(NOW - timedelta(hours=1), received_at=NOW)
    assert not is_late(NOW - timedelta(seconds=10), received_at=NOW)
