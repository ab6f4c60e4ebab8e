"""The same wish sent twice is done once (E34): by the name its app gave it, for a day.

The first writes the name in the transaction that begins what it asks for. A second one, on whatever process, waits
there for the end of that transaction: where it was undone, nothing had begun, and the second is judged anew.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from chargers.events import utcnow
from chargers.models import Command
from chargers.words import Words
from sessions.errors import InvalidParameter
from sessions.models import ChargingSession, ClientRef

BATCH = 5000  # a sweep's share

_TAKE = """INSERT INTO charging_clientref (user_id, ref, wish_digest, created_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (user_id, ref) DO UPDATE SET wish_digest = excluded.wish_digest, created_at = excluded.created_at,
    session_id = NULL, command_id = NULL
WHERE charging_clientref.created_at < %s RETURNING id"""


class Requested(NamedTuple):
    """What a wish began: a command, none where none was needed, and the session it is about, if about one."""

    session: ChargingSession | None
    command: Command | None


def digest(wish: Any) -> str:
    """What tells one wish from another; keyed, since a wish may be for a new password."""
    return salted_hmac(
        "sessions.client_refs", json.dumps(wish, sort_keys=True), algorithm="sha256"
    ).hexdigest()


@transaction.atomic
def once(*, user: AbstractBaseUser, ref: str | None, wish: Any, act: Callable[[], Requested]) -> Requested:
    """What `act` begins, or, where the user's wish of this name has begun, what that began.

    Raises InvalidParameter where the name is another wish's, and what `act` raises; then the name is free again.
    """
    if not ref:
        return act()
    mine = ClientRef.objects.filter(user_id=user.pk, ref=ref)
    if _is_ours(user.pk, ref, digest(wish)):
        requested = act()
        mine.update(session=requested.session, command=requested.command)
        return requested
    row = mine.select_related("session", "command").get()
    if row.wish_digest != digest(wish):
        raise InvalidParameter(
            Words("This client_ref was used for another request"),
            detail="The same client_ref or Idempotency-Key is the same request; take a new one for another",
        )
    return Requested(row.session, row.command)


def _is_ours(user_id: int, ref: str, wish_digest: str) -> bool:
    """Take the name, if it is free or old. Who else takes it at this moment waits for the end of our transaction."""
    times = [connection.ops.adapt_datetimefield_value(at) for at in (utcnow(), _limit())]
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [user_id, ref, wish_digest, *times])
        return cursor.fetchone() is not None


def _limit() -> datetime:
    return utcnow() - timedelta(hours=settings.CLIENT_REF_HOURS)


def forget() -> int:
    """Delete what is older than anybody repeats; how many names that were."""
    old = ClientRef.objects.filter(created_at__lt=_limit()).order_by("created_at")
    return ClientRef.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:BATCH])).delete()[0]
