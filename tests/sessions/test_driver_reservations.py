"""The countdown of a driver's reservation."""

from datetime import timedelta
from typing import Any

import pytest

from chargers.events import utcnow
from sessions import driver_reservations, reservations
from sessions.models import FeedEntry, Reservation
from tests.factories import make_online_charger, make_user

pytestmark = pytest.mark.django_db


def test_a_holder_is_told_at_each_mark_once_and_only_while_it_lasts(settings: Any) -> None:
    settings.RESERVATION_REMINDERS_S = [300, 60]
    user, charger = make_user(), make_online_charger()
    made = driver_reservations.reserve(user=user, identity=charger.identity, minutes=10)

    def told(seconds_left: float) -> int:
        """How often the sweeps of two processes tell of it when so much is left."""
        now = utcnow()
        rows = Reservation.objects.filter(pk=made.pk)
        before = rows.get()
        moved = before.expires_at - now - timedelta(seconds=seconds_left)
        rows.update(
            expires_at=before.expires_at - moved,
            remind_at=before.remind_at - moved if before.remind_at else None,
        )
        count = FeedEntry.objects.filter(user=user, body__contains='"countdown"').count()
        stale = list(rows)
        driver_reservations.remind()
        due = [row for row in stale if row.state == "active" and row.remind_at and row.remind_at <= now]
        assert not any(driver_reservations._remind(row) for row in due)  # another process, a moment later
        return FeedEntry.objects.filter(user=user, body__contains='"countdown"').count() - count

    assert made.remind_at == made.expires_at - timedelta(seconds=300)
    assert told(290) == 0  # the charger has not said that it keeps it
    Reservation.objects.filter(pk=made.pk).update(state="active")
    assert [told(left) for left in (280, 70, 59, 5)] == [1, 0, 1, 0]
    assert Reservation.objects.get(pk=made.pk).remind_at is None
    assert reservations.sweep() == 0
