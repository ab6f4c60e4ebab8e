"""Which clock to believe: the charger's, unless it cannot be right; and how we tell it the time."""

from datetime import UTC, datetime, timedelta

from django.conf import settings

# No charger that speaks OCPP-J is older; an earlier time is a clock that was never set (often 1970 or 2000).
EARLIEST = datetime(2012, 1, 1, tzinfo=UTC)


def as_text(at: datetime) -> str:
    """A time as OCPP has it."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def judged(reported_at: datetime | None, *, received_at: datetime) -> datetime:
    """The charger's time where it is possible, else the time of receipt.

    The past is believed: chargers replay what happened while they were offline (OCPP 1.6 §3.7).
    """
    if reported_at is None or reported_at < EARLIEST:
        return received_at
    if reported_at <= received_at:  # nearly always, and much cheaper to ask
        return reported_at
    if reported_at > received_at + timedelta(seconds=settings.CLOCK_SKEW_TOLERANCE_S):
        return received_at
    return reported_at


def is_late(happened_at: datetime, *, received_at: datetime) -> bool:
    """Whether this is news from the past, to be recorded but not announced as happening now."""
    return received_at - happened_at > timedelta(seconds=settings.LATE_AFTER_S)
