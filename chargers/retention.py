"""How long commands and security events are kept. Both are few beside readings and messages: rows are deleted, a share
at each sweep.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from chargers.events import utcnow
from chargers.models import OF_SESSIONS, Command, SecurityEvent

BATCH = 1000


def forget_commands() -> int:
    """Delete those that ended COMMANDS_DAYS ago. What began or ended a session stays with it."""
    if not settings.COMMANDS_DAYS:
        return 0
    limit = utcnow() - timedelta(days=settings.COMMANDS_DAYS)
    ended = Command.objects.filter(finished_at__lt=limit).exclude(action__in=OF_SESSIONS)
    return _delete_some(ended.order_by("finished_at"))


def forget_security_events() -> int:
    """Delete those that came SECURITY_EVENTS_DAYS ago."""
    if not settings.SECURITY_EVENTS_DAYS:
        return 0
    limit = utcnow() - timedelta(days=settings.SECURITY_EVENTS_DAYS)
    return _delete_some(SecurityEvent.objects.filter(received_at__lt=limit).order_by("received_at"))


def _delete_some(rows: QuerySet[Any]) -> int:
    pks = list(rows.values_list("pk", flat=True)[:BATCH])
    if not pks:
        return 0
    rows.model._default_manager.filter(pk__in=pks).delete()
    return len(pks)
