"""What a user is told, numbered and kept, so that no phone misses it on a bad line (E46).

The message is committed with the fact it tells of. The bus only brings it sooner: a socket that did not hear a number
finds it here.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from chargers import bus, words
from chargers.among import Among
from chargers.events import UserEvent, encoder, user_group, utcnow
from sessions.models import FeedEntry, UserFeed

BATCH = 5000  # a sweep's share

_NEXT = """INSERT INTO charging_userfeed (user_id, seq) VALUES (%s, 1)
ON CONFLICT (user_id) DO UPDATE SET seq = charging_userfeed.seq + 1 RETURNING seq"""


class Missed(NamedTuple):
    """A message from the store, as it is on the bus."""

    seq: int
    message: dict[str, Any]


@transaction.atomic
def tell(user_id: int, event: UserEvent, **hints: Any) -> None:
    """Number the event, keep it, and send it to the user's sockets on commit. `hints` are for the sockets; `words` is
    one: what its sentences are made of, for readers of other languages."""
    if sentences := words.found_in(event):
        hints["words"] = sentences
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [user_id])
        (seq,) = cursor.fetchone()
    body = encoder.encode(msgspec.structs.replace(event, seq=seq)).decode()
    FeedEntry.objects.create(user_id=user_id, seq=seq, body=body, hints=hints)
    bus.send_on_commit([bus.to_group(user_group(user_id), _message(seq, body, hints))])


def _message(seq: int, body: str, hints: dict[str, Any]) -> dict[str, Any]:
    return {"type": "event", "seq": seq, "body": body, **hints}


def newest(user_ids: Collection[int]) -> dict[int, int]:
    """The number of the newest message of each user who was ever told anything."""
    return dict(UserFeed.objects.filter(Among("pk", user_ids)).values_list("pk", "seq"))


def newest_since(since: datetime) -> dict[int, int]:
    """The same, of those who were told something since then."""
    told = FeedEntry.objects.filter(created_at__gte=since).values_list("user_id").order_by()
    return dict(told.annotate(newest=Max("seq")))


def missed(user_id: int, *, after: int, until: int) -> list[Missed] | None:
    """The messages numbered `after` < seq <= `until`, in order; None if they are not all kept any more."""
    if not 0 <= until - after <= settings.REPLAY_MESSAGES:
        return None
    rows = FeedEntry.objects.filter(user_id=user_id, seq__gt=after, seq__lte=until).order_by("seq")
    found = [
        Missed(seq, _message(seq, body, hints))
        for seq, body, hints in rows.values_list("seq", "body", "hints")
    ]
    return found if len(found) == until - after else None


def forget() -> int:
    """Delete what is older than phones may ask for; how many messages that were."""
    limit = utcnow() - timedelta(minutes=settings.REPLAY_MINUTES)
    old = FeedEntry.objects.filter(created_at__lt=limit).order_by("created_at")
    return FeedEntry.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:BATCH])).delete()[0]
