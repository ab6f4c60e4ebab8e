"""The end of what nobody will answer, and of what has been kept for long enough: one process at a time looks for it."""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from chargers import campaigns, certificates, commands, stuck, wire_log
from chargers import retention as chargers_retention
from chargers import services as charger_services
from chargers.events import utcnow
from chargers.words import Words
from sessions import (
    client_refs,
    driver_reservations,
    feed,
    ledger,
    local_lists,
    queries,
    reservations,
    retention,
    unheard,
    watching,
)
from sessions.models import ChargingSession
from sessions.services import charger_disconnected, finish_command

logger = logging.getLogger(__name__)

Status = ChargingSession.Status

# Kept with the session, and told to its driver in the language of each phone.
_NOT_IN_TIME = Words("Charging did not begin in time; was the car plugged in?")


def _end_commands() -> int:
    """Those of chargers whose process died, and those that have waited too long.

    Each charger in a transaction of its own: nobody waits for all of them, and none for us while we wait for it.
    """
    count = sum(charger_disconnected(**silent._asdict()) for silent in charger_services.silent_ones())
    for command in commands.overdue_commands():
        status, error = commands.without_answer(command)
        count += finish_command(command.pk, status=status, error=error) is not None
    return count


def _end_overdue_starts() -> int:
    """Accepted (or unknown) starts whose transaction never began: nobody plugged in (E31)."""
    limit = utcnow() - timedelta(seconds=settings.START_TIMEOUT_S)
    overdue = ChargingSession.objects.filter(status=Status.PENDING, requested_at__lt=limit).filter(
        Q(start_command=None) | Q(start_command__finished_at__isnull=False)
    )
    count = 0
    for pk in list(overdue.values_list("pk", flat=True)):
        with transaction.atomic():
            candidates = ChargingSession.objects.select_for_update(of=("self",)).filter(
                pk=pk, status=Status.PENDING
            )
            for session in queries.with_relations(candidates):
                ledger.fail(
                    session,
                    code="charger_timeout",
                    message=_NOT_IN_TIME,
                )
                count += 1
    return count


PARTS: dict[str, Callable[[], int]] = {
    "commands": _end_commands,
    "starts": _end_overdue_starts,
    "unheard": unheard.sweep,
    "reservations": reservations.sweep,
    "reminders": driver_reservations.remind,
    "watches": watching.sweep,
    "stuck": stuck.sweep,
    "local_lists": local_lists.sweep,
    "campaigns": campaigns.sweep,
}
"""What ends by time. Each is safe to run anywhere, any number of times, and returns how many there were."""

TIDYING: dict[str, Callable[[], int]] = {
    "renewals": certificates.renew_expiring,
    "messages": wire_log.prune,
    "readings": retention.sweep,
    "feed": feed.forget,
    "client_refs": client_refs.forget,
    "old_commands": chargers_retention.forget_commands,
    "security_events": chargers_retention.forget_security_events,
}
"""What has been kept for long enough, and need not be looked for as often."""


def sweep() -> dict[str, int]:
    """All parts at once: how many of each. One that fails keeps no other from its work, and raises at the end."""
    counts: dict[str, int] = {}
    failure: Exception | None = None
    for name, part in (PARTS | TIDYING).items():
        try:
            counts[name] = part()
        except (OperationalError, InterfaceError):  # the database is away, for the others too
            raise
        except Exception as error:
            logger.exception("the sweep of %s failed", name)
            failure = failure or error
    if failure is not None:
        raise failure
    return counts
