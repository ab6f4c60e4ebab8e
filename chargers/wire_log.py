"""The wire log: what was said on the wire, and the rules that were broken there. Many rows at a time, and pruned.

Nothing else depends on it: it may be late, or have gaps.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from chargers.events import utcnow
from chargers.models import Breach, Charger, OcppCall
from chargers.partitions import Part, Partitioned
from chargers.passwords import HIDDEN, KEYS, is_key
from chargers.quirks import RULES

# Longer frames are cut: the log is to be read, and a GetConfiguration's answer of 40 keys has some 4,000.
MAX_FRAME = 16 * 1024
CUT = "… [{} more characters]"

# Nine frames of ten, which name no configuration key: to look through them would cost more than all the rest.
_MEASURED = frozenset({"MeterValues", "Heartbeat"})

# By days, since they are kept for some weeks: each day one is dropped, and no row outlives its time by more than a day.
CALLS = Partitioned("chargers_ocppcall", "at", by="day", ahead=3)

PRUNE_BATCH, PRUNE_BATCHES = 2000, 10  # a sweep's share: small enough to hold up nobody

# charger, direction, message id, action, request, answer, verdict, Unix time, latency in s. A tuple and no more: one is
# made for each message.
Row = tuple[int, str, Any, str, str, str, str, float, float | None]

_COLUMNS = {
    "charger_id": "bigint",
    "direction": "text",
    "message_id": "text",
    "action": "text",
    "request": "text",
    "answer": "text",
    "verdict": "text",
    "at": "timestamptz",
    "latency_ms": "float8",
}
_NAMES = ", ".join(_COLUMNS)
# Put together from the names above alone.
_COPY = f"COPY chargers_ocppcall ({_NAMES}) FROM STDIN"
_INSERT = f"INSERT INTO chargers_ocppcall ({_NAMES}) SELECT " + (  # noqa: S608
    ", ".join(f"json_extract(value, '$[{number}]')" for number in range(len(_COLUMNS)))
    + " FROM json_each(%s)"
)


def record(rows: Iterable[Row]) -> None:
    """Add the exchanges, their secrets masked."""
    prepared = [_prepared(row) for row in rows]
    if connection.vendor == "postgresql":
        _copy(prepared)
        return
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [orjson.dumps(prepared).decode()])


def _copy(rows: list[tuple[Any, ...]]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")  # a crash may cost the last moment's rows
        with connection.wrap_database_errors, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)


def _prepared(row: Row) -> tuple[Any, ...]:
    charger_id, direction, message_id, action, request, answer, verdict, at, latency_s = row
    if action not in _MEASURED or len(request) > MAX_FRAME:
        request, answer = kept(request, answer)
    return (
        charger_id,
        direction,
        without_nul(str(message_id))[:255],
        without_nul(action)[:60],
        request,
        answer,
        verdict[:40],
        _timestamp(at),
        None if latency_s is None else round(latency_s * 1000, 3),
    )


def _timestamp(at: float) -> str:
    # Both databases read this as UTC: PostgreSQL's session is in UTC, SQLite's columns hold it without a zone.
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(" ")


def without_nul(text: str) -> str:
    """No text of PostgreSQL can hold it."""
    return text.replace("\0", "") if "\0" in text else text


def kept(*texts: str) -> list[str]:
    """Texts of one exchange as they are stored: no secrets, no NUL, and not without end."""
    if any(map(_may_hold_secret, texts)):
        texts = _masked(texts)
    return [
        text if len(text) <= MAX_FRAME and "\0" not in text else _cut(without_nul(text)) for text in texts
    ]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_FRAME else text[:MAX_FRAME] + CUT.format(len(text) - MAX_FRAME)


# --- secrets: values of the keys that chargers.passwords names; certificates' private keys never travel ---

_ESCAPED = re.compile(r"\\u00([0-7][0-9a-fA-F])")


def _may_hold_secret(text: str) -> bool:
    if "\\u00" in text:
        text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    lowered = text.lower()
    return any(name in lowered for name in KEYS)


def _masked(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts without the values of secret keys, wherever they stand; an error's words may repeat them."""
    hidden: list[str] = []
    frames = [_mask_frame(text, hidden) if _may_hold_secret(text) else text for text in texts]
    for value in hidden:
        frames = [frame.replace(value, HIDDEN) for frame in frames]
    return tuple(frames)


def _mask_frame(frame: str, hidden: list[str]) -> str:
    """One that cannot be read is left out as a whole."""
    try:
        content = orjson.loads(frame)
        return orjson.dumps(content).decode() if _mask(content, hidden) else frame
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return f"{HIDDEN} a text that is not JSON and may hold a password"


def _mask(content: Any, hidden: list[str]) -> bool:
    """Hide secrets in place and gather them; whether there were any."""
    if isinstance(content, list):
        return any([_mask(each, hidden) for each in content])
    if not isinstance(content, dict):
        return False
    found = False
    for name, value in content.items():
        if ((name == "value" and _is_secret(content.get("key"))) or _is_secret(name)) and value:
            if isinstance(value, str) and len(value) >= 4:  # a shorter one would be found in too many words
                hidden.append(value)
            content[name], found = HIDDEN, True
        elif _mask(value, hidden):
            found = True
    return found


def _is_secret(name: Any) -> bool:
    return isinstance(name, str) and is_key(name)


class Broken(NamedTuple):
    """A rule that a charger broke, so many times since it was last written."""

    charger_id: int
    rule: str
    action: str
    detail: str
    frame: str
    times: int
    first_at: float
    last_at: float


def record_breaches(breaches: Iterable[Broken]) -> None:
    """Count them; of each the first keeps its example."""
    known = list(breaches)
    there = set(
        Charger.objects.filter(pk__in={each.charger_id for each in known}).values_list("pk", flat=True)
    )
    for each in known:
        if each.charger_id in there:
            _count(each)


def _count(each: Broken) -> None:
    frame, detail = kept(each.frame, each.detail)
    first_at, last_at = (datetime.fromtimestamp(at, UTC) for at in (each.first_at, each.last_at))
    breach, is_new = Breach.objects.get_or_create(
        charger_id=each.charger_id,
        rule=each.rule,
        action=each.action,
        defaults={
            "detail": detail[:255],
            "frame": frame,
            "remedy": RULES[each.rule].remedy,
            "count": each.times,
            "first_at": first_at,
            "last_at": last_at,
        },
    )
    if not is_new:
        Breach.objects.filter(pk=breach.pk).update(count=F("count") + each.times, last_at=last_at)


# --- what is too old, or too much ---


def prune() -> int:
    """Delete what is older than WIRE_LOG_DAYS, or beyond the newest WIRE_LOG_ROWS; how many rows, or parts with all of
    theirs.

    What is beyond is told by the keys, which grow by one: counting a large table would take longer than the rest.
    """
    CALLS.make_ahead()
    oldest_at = utcnow() - timedelta(days=settings.WIRE_LOG_DAYS)
    newest = OcppCall.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    beyond = newest - settings.WIRE_LOG_ROWS
    dropped = sum(CALLS.drop(part) for part in _overdue(oldest_at, beyond))
    return dropped + _in_batches(lambda: _prune_old(oldest_at)) + _in_batches(lambda: _prune_beyond(beyond))


def _overdue(oldest_at: datetime, beyond: int) -> list[Part]:
    """The parts of which no row is kept. One that is not over yet stays, since rows are written to it."""
    now = utcnow()
    return [
        part
        for part in CALLS.parts()
        if part.end <= oldest_at or (part.end < now and _newest(part) <= beyond)
    ]


def _newest(part: Part) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) FROM {part.name}")  # noqa: S608
        return int(cursor.fetchone()[0])


def _in_batches(delete_some: Callable[[], int]) -> int:
    deleted = 0
    for _ in range(PRUNE_BATCHES):
        deleted += (batch := delete_some())
        if batch < PRUNE_BATCH:
            break
    return deleted


def _prune_old(oldest_at: datetime) -> int:
    """Where parts are dropped, only what is in none."""
    deleted = 0
    for table in CALLS.remainders(oldest_at):
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE at < %s ORDER BY at LIMIT %s)",  # noqa: S608
                [oldest_at, PRUNE_BATCH],
            )
            deleted += cursor.rowcount
    return deleted


def _prune_beyond(beyond: int) -> int:
    rows = OcppCall.objects.filter(pk__lte=beyond).order_by("pk").values_list("pk", "at")[:PRUNE_BATCH]
    if not (found := list(rows)):
        return 0
    times = [at for _, at in found]  # named, so that other parts are not looked into
    overdue = OcppCall.objects.filter(pk__in=[pk for pk, _ in found], at__range=(min(times), max(times)))
    return overdue.delete()[0]
