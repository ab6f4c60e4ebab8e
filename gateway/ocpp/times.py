"""Times as chargers write them."""

from datetime import UTC, datetime


def parsed(text: object) -> datetime | None:
    """An aware UTC time, or None where the text means none. No zone is UTC (OCPP 1.6 §3.15, E41)."""
    if not isinstance(text, str) or ":" not in text:  # a date alone is no time
        return None
    try:
        at = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        return None
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def now_text() -> str:
    """The time now, as OCPP wants it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
