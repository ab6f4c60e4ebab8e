"""“Tell me when it is free”: watches of connectors, chargers and stations, each ending in one notification.

A free connector is told in the transaction that stored its status. What else makes one free (a charger that is back, an
end of maintenance, of a reservation, of somebody's start) the sweep finds.
"""

from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery

from chargers import queries as charger_queries
from chargers.errors import NotFound
from chargers.events import Notification, utcnow
from chargers.models import Charger, Connector, ConnectorStatus, Station
from chargers.words import Words
from sessions import feed
from sessions.errors import InvalidParameter, TooManyWatches
from sessions.events import WatchState
from sessions.models import ChargingSession, Reservation, Watch

SHARE = 200  # told in one transaction; the sweep tells the rest
SETTLE = timedelta(minutes=1)  # in which a charger that is back says how its connectors are
FORGET_AFTER = timedelta(days=7)


class Wish(NamedTuple):
    """`free`: a connector that is free already; else the watch."""

    watch: Watch | None
    free: Connector | None


@transaction.atomic
def watch(
    *,
    user: AbstractBaseUser,
    identity: str | None = None,
    connector_number: int | None = None,
    station_id: int | None = None,
) -> Wish:
    """Tell the user when there is a free connector. Asked for again it is the same watch, for longer.

    Raises NotFound, InvalidParameter, TooManyWatches.
    """
    # Two wishes of one user come one after the other: they are counted.
    get_user_model().objects.select_for_update(of=("self",), no_key=True).get(pk=user.pk)
    place = _place(identity, connector_number, station_id)
    expires_at = utcnow() + timedelta(hours=settings.WATCH_HOURS)
    wanted = Watch(user_id=user.pk, expires_at=expires_at, **place)
    if free := _free_for(wanted):
        return Wish(None, free)
    mine = open_of(user.pk)
    same = mine.filter(charger=wanted.charger, connector=wanted.connector, station=wanted.station).first()
    if same is not None:
        same.expires_at = expires_at
        same.save(update_fields=["expires_at"])
        return Wish(same, None)
    # One that has expired, and that the sweep has not yet come to, would be in the way.
    Watch.objects.filter(user_id=user.pk, ended_at=None, expires_at__lte=utcnow()).update(
        ended_at=F("expires_at")
    )
    if mine.count() >= settings.MAX_WATCHES_PER_USER:
        raise TooManyWatches
    wanted.save()
    return Wish(wanted, None)


def unwatch(*, user: AbstractBaseUser, watch_id: int) -> None:
    """Raises NotFound. One that has ended stays ended."""
    if not Watch.objects.filter(pk=watch_id, user_id=user.pk).exists():
        raise NotFound(Words("There is no watch %(watch)s", watch=watch_id))
    Watch.objects.filter(pk=watch_id, ended_at=None).update(ended_at=utcnow())


def open_of(user_id: int) -> QuerySet[Watch]:
    return _open().filter(user_id=user_id).order_by("pk")


def states_of(user_id: int) -> list[WatchState]:
    return [state_of(each) for each in open_of(user_id)]


def state_of(watch: Watch) -> WatchState:
    return WatchState(
        watch_id=watch.pk,
        charger_id=watch.charger.identity if watch.charger else None,
        connector_id=watch.connector.number if watch.connector else None,
        station_id=watch.station_id,
        created_at=watch.created_at,
        expires_at=watch.expires_at,
    )


def _open() -> QuerySet[Watch]:
    """Those that may still be told of something."""
    watches = Watch.objects.filter(ended_at=None, expires_at__gt=utcnow())
    return watches.select_related("charger", "connector")


def _place(
    identity: str | None, connector_number: int | None, station_id: int | None
) -> dict[str, Charger | Connector | Station | None]:
    if (identity is None) == (station_id is None) or (connector_number is not None and identity is None):
        raise InvalidParameter(
            Words("Name a charger, or a station"), detail="charger_id (and connector_id), or station_id"
        )
    chargers = charger_queries.visible()
    if station_id is not None:
        station = Station.objects.filter(pk=station_id).first()
        if station is None or not chargers.filter(station=station).exists():
            raise NotFound(Words("There is no station %(station)s", station=station_id))
        return {"station": station}
    charger = chargers.filter(identity=identity).first()
    if charger is None:
        raise NotFound(Words("There is no charger %(charger)s", charger=identity))
    if connector_number is None:
        return {"charger": charger}
    connector = charger.connectors.filter(number=connector_number).first()
    if connector is None:
        values = {"charger": identity, "connector": connector_number}
        raise NotFound(Words("%(charger)s has no connector %(connector)s", **values))
    return {"charger": charger, "connector": connector}


# --- what is free ---


def free_for(user_id: int | OuterRef) -> QuerySet[Connector]:
    """Connectors at which this user could start now: nobody else charges there, is about to, or has reserved it."""
    here = {"connector": OuterRef("pk")}
    in_use = ChargingSession.objects.filter(status__in=ChargingSession.OPEN, **here)
    kept = Reservation.objects.filter(state__in=Reservation.OPEN, **here)
    kept = kept.filter(Q(user=None) | ~Q(user=user_id))
    return charger_queries.free_connectors().filter(~Exists(in_use), ~Exists(kept))


def _free_for(watch: Watch) -> Connector | None:
    connectors = free_for(watch.user_id).select_related("charger").order_by("charger__identity", "number")
    if watch.station:
        return connectors.filter(charger__station=watch.station).first()
    if watch.connector:
        return connectors.filter(pk=watch.connector.pk).first()
    return connectors.filter(charger=watch.charger).first()


# --- telling ---


def connector_reported(*, charger_id: int, number: int, status: str) -> None:
    """A connector is said to be free: whoever waits for that is told, the first comers first."""
    if status != ConnectorStatus.AVAILABLE or not number:
        return
    waiting = _open().filter(Q(charger=charger_id) | Q(station__chargers=charger_id)).order_by("pk")
    waiting = waiting.filter(Q(connector=None) | Q(connector__number=number))
    found = list(waiting[:SHARE])
    if not found:  # of most reports
        return
    with transaction.atomic():
        # In the order of users, as every other teller of many: they are locked one by one.
        for each in sorted(found, key=lambda watch: watch.user_id):
            here = free_for(each.user_id).filter(charger=charger_id)
            if connector := here.filter(number=number).select_related("charger").first():
                _tell(each, connector)


@transaction.atomic
def _tell(watch: Watch, connector: Connector) -> bool:
    """Once; whether it was this."""
    if not Watch.objects.filter(pk=watch.pk, ended_at=None).update(ended_at=utcnow()):
        return False
    charger = connector.charger
    note = Notification(
        title=Words("A connector is free"),
        message=Words(
            "Connector %(connector)s of %(charger)s is free now.",
            connector=connector.number,
            charger=charger.identity,
        ),
        data={"kind": "charger_free", "charger_id": charger.identity, "connector_id": connector.number},
    )
    feed.tell(watch.user_id, note)
    return True


def sweep() -> int:
    """Tell of what became free without a word of its connector; end what nobody waits for any more. How many were told.

    What a charger that has just come back said before it was gone does not count.
    """
    now = utcnow()
    Watch.objects.filter(ended_at=None, expires_at__lte=now).update(ended_at=F("expires_at"))
    Watch.objects.filter(ended_at__lt=now - FORGET_AFTER).delete()
    if not _open().exists():  # of most sweeps
        return 0
    fresh = Q(status_at__gte=F("charger__connected_at")) | Q(charger__connected_at__lt=now - SETTLE)
    free = (
        free_for(OuterRef(OuterRef("user")))
        .filter(fresh)
        .order_by("charger__identity", "number")
        .values("pk")
    )
    of_connector = free.filter(pk=OuterRef("connector"))
    of_charger = free.filter(charger=OuterRef("charger"))
    of_station = free.filter(charger__station=OuterRef("station"))
    told = 0
    for watches, connectors in (
        (_open().filter(connector__isnull=False), of_connector),
        (_open().filter(connector=None, charger__isnull=False), of_charger),
        (_open().filter(station__isnull=False), of_station),
    ):
        waiting = watches.annotate(free=Subquery(connectors[:1])).filter(free__isnull=False)
        pairs = dict(waiting.order_by("pk").values_list("pk", "free")[:SHARE])
        of_pk = Connector.objects.select_related("charger").in_bulk(set(pairs.values()))
        for each in Watch.objects.filter(pk__in=pairs).order_by("pk"):
            told += _tell(each, of_pk[pairs[each.pk]])
    return told
