"""Wrong passwords: who gives several in a row has to wait, longer each time; at any door for people, in every process.

Counted are a user name at an address, and an address with all its user names. A name alone is not: anybody could lock
anybody out. Whether there is such a user makes no difference.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from chargers.events import utcnow
from gateway.limits import RateLimited
from gateway.models import FailedLogIns

FIRST_S, LONGEST_S = 10, 900
WINDOW = timedelta(hours=1)  # a streak ends when it has been quiet for so long
BATCH = 1000
ANY = ""  # user name


@dataclass
class Attempt:
    """One try to log in."""

    has_failed: bool = True


@contextmanager
def attempt(username: str, address: str) -> Iterator[Attempt]:
    """Around the look at the password. Raises RateLimited, before it, while it would not count."""
    username = username[:150]
    rows = FailedLogIns.objects.filter(address=address, username__in=(username, ANY))
    now = utcnow()
    known = list(rows)
    until = max((row.locked_until for row in known if row.locked_until), default=now)
    if until > now:
        raise RateLimited((until - now).total_seconds(), "Too many attempts to log in")
    this = Attempt()
    yield this
    if this.has_failed:
        _count(username, address, free=settings.LOGIN_FAILURES)
        _count(ANY, address, free=settings.LOGIN_FAILURES_PER_ADDRESS)
    elif known:  # the address keeps its count: who has an account could guess at others' without end
        rows.filter(username=username).exclude(username=ANY).delete()


@transaction.atomic
def _count(username: str, address: str, *, free: int) -> None:
    now = utcnow()
    row, is_new = FailedLogIns.objects.select_for_update().get_or_create(
        username=username, address=address, defaults={"failures": 1, "last_at": now}
    )
    if not is_new:
        row.failures = row.failures + 1 if now - row.last_at < WINDOW else 1
    row.last_at = now
    row.locked_until = now + timedelta(seconds=_wait_s(row.failures - free)) if row.failures >= free else None
    row.save()


def _wait_s(beyond: int) -> float:
    return min(LONGEST_S, FIRST_S * 2 ** min(beyond, 16))


def forget_old() -> int:
    """Forget the streaks that have ended."""
    keys = list(
        FailedLogIns.objects.filter(last_at__lt=utcnow() - WINDOW).values_list("pk", flat=True)[:BATCH]
    )
    return FailedLogIns.objects.filter(pk__in=keys).delete()[0] if keys else 0
