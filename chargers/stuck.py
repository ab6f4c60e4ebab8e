"""Connectors that stay in Preparing or Finishing: nobody started, or a car that is done was not unplugged."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from chargers import availability
from chargers.events import utcnow
from chargers.models import Charger, Connector
from chargers.services import publish_of


def sweep() -> int:
    """Mark what is stuck for longer than STUCK_AFTER_S, once, and tell whoever watches. How many there were."""
    found = _overdue().exclude(charger__channel_name="").values_list("pk", "charger_id")
    marked = [charger_id for pk, charger_id in found if _mark(pk, charger_id)]
    return len(marked)


def _overdue() -> QuerySet[Connector]:
    limit = utcnow() - timedelta(seconds=settings.STUCK_AFTER_S)
    return Connector.objects.filter(
        status__in=list(availability.STUCK), status_since__lt=limit, stuck_at=None
    )


@transaction.atomic
def _mark(connector_id: int, charger_id: int) -> bool:
    if not _overdue().filter(pk=connector_id).update(stuck_at=utcnow()):
        return False  # it changed meanwhile, or another process was faster
    charger = Charger.objects.select_related("station").get(pk=charger_id)
    publish_of(charger, availability.status_update(charger))
    return True
