"""Times as chargers write them."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo


def parsed(
    text: object, *, zone: tzinfo = UTC, on_zoneless: Callable[[], object] | None = None
) -> datetime | None:
    """An aware UTC time, or None where the text means none.

    No zone is `zone`, by itself UTC (OCPP 1.6 §3.15, E41); `on_zoneless` hears of it.
    """
    if not isinstance(text, str) or ":" not in text:  # a date alone is no time
        return None
    try:
        at = datetime.fromisoformat(text.strip().upper())
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        if on_zoneless is not None:
            on_zoneless()
        return at.replace(tzinfo=zone).astimezone(UTC)
    except (OverflowError, ValueError):
        return None
