"""What anyone with an account may see of chargers. Those that are not accepted are the operators' business."""

from datetime import datetime
from math import asin, cos, radians, sin, sqrt

from django.db.models import Q, QuerySet

from chargers.availability import OUT_OF_SERVICE, Word, availability, location, position
from chargers.cells import Box
from chargers.models import Charger, Connector, ConnectorStatus

__all__ = ["availability", "distance_km", "location", "page", "visible"]

EARTH_RADIUS_KM = 6371.0088


def visible() -> QuerySet[Charger]:
    """Accepted chargers, with what `availability` wants."""
    return (
        Charger.objects.filter(registration=Charger.Registration.ACCEPTED)
        .select_related("station")
        .prefetch_related("connectors")
    )


def changed_since(at: datetime) -> QuerySet[Charger]:
    """Those whose availability, of themselves or of a connector, was told or changed since then."""
    of_itself = Q(connected_at__gte=at) | Q(disconnected_at__gte=at) | Q(status_at__gte=at)
    told = Connector.objects.filter(Q(status_at__gte=at) | Q(stuck_at__gte=at))
    return visible().filter(of_itself | Q(pk__in=told.values("charger")))


def free_connectors() -> QuerySet[Connector]:
    """Those that are free for whoever comes, as `availability` has it."""
    usable = Connector.objects.filter(charger__registration=Charger.Registration.ACCEPTED)
    usable = usable.exclude(charger__channel_name="").exclude(charger__status__in=OUT_OF_SERVICE)
    in_service = Q(charger__station=None) | Q(charger__station__is_under_maintenance=False)
    return usable.filter(in_service, status=ConnectorStatus.AVAILABLE)


def within(box: Box) -> Q:
    """Chargers in an area of the map."""
    west, east = Q(station__longitude__gte=box.west), Q(station__longitude__lte=box.east)
    across = west & east if box.west <= box.east else west | east
    return Q(station__latitude__range=(box.south, box.north)) & across


def page(
    *,
    status: Word | None = None,
    station_id: int | None = None,
    near: tuple[float, float, float] | None = None,
    box: Box | None = None,
    search: str = "",
    limit: int = 50,
    after: str = "",
) -> tuple[list[Charger], str | None]:
    """Up to `limit` chargers by identity, and the cursor of the next page or None.

    `near` is (latitude, longitude, radius in km). The status is derived from connectors, so it is sieved here.
    """
    chargers = visible().order_by("identity")
    if station_id is not None:
        chargers = chargers.filter(station_id=station_id)
    if near is not None:
        chargers = _around(chargers, *near)
    if box is not None:
        chargers = chargers.filter(within(box))
    for word in search.split():
        chargers = chargers.filter(_named(word))
    found: list[Charger] = []
    while len(found) <= limit:
        batch = list(chargers.filter(identity__gt=after)[: 2 * limit])
        for charger in batch:
            if _fits(charger, status, near):
                found.append(charger)
        if len(batch) < 2 * limit:
            break
        after = batch[-1].identity
    rest = found[limit:]
    found = found[:limit]
    return found, found[-1].identity if rest else None


def _named(word: str) -> Q:
    return (
        Q(identity__icontains=word) | Q(station__name__icontains=word) | Q(station__address__icontains=word)
    )


def _fits(charger: Charger, status: Word | None, near: tuple[float, float, float] | None) -> bool:
    if near is not None:
        at = position(charger.station)
        if at is None or distance_km(near[0], near[1], *at) > near[2]:
            return False
    return status is None or availability(charger).station_status == status


def _around(
    chargers: QuerySet[Charger], latitude: float, longitude: float, radius_km: float
) -> QuerySet[Charger]:
    """A coarse sieve the database can do: degrees of latitude. Longitude wraps, so `_fits` decides it."""
    degrees = radius_km / 111.0
    return chargers.filter(station__latitude__range=(latitude - degrees, latitude + degrees))


def distance_km(latitude_a: float, longitude_a: float, latitude_b: float, longitude_b: float) -> float:
    """Great-circle distance."""
    a, b = radians(latitude_a), radians(latitude_b)
    half = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians(longitude_b - longitude_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0, half)))


def counts() -> dict[str, int]:
    """Chargers of the installation by state: connected, offline, pending, and by what a map would show."""
    chargers = list(visible())
    words = [availability(charger).station_status for charger in chargers]
    return {
        "total": len(chargers),
        "connected": sum(charger.is_connected for charger in chargers),
        "offline": sum(not charger.is_connected for charger in chargers),
        "pending": Charger.objects.filter(registration=Charger.Registration.PENDING).count(),
        "available": words.count("available"),
        "in_use": words.count("in_use"),
        "unavailable": words.count("unavailable"),
    }
