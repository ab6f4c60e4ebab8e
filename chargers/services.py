"""What happens to chargers: they come, go, boot, report. Plain, synchronous, atomic; doors call these."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import prefetch_related_objects

from chargers import availability, bus, commands, firmware
from chargers.availability import OFFLINE, position
from chargers.clock import judged
from chargers.errors import Superseded
from chargers.events import (
    ALL_CHARGERS,
    ChargerList,
    ChargerListUpdate,
    ChargerMaintenanceChanged,
    ChargerStatusChanged,
    Event,
    MaintenanceChange,
    StatusChange,
    charger_group,
    publish,
    station_group,
    utcnow,
)
from chargers.models import Charger, Command, Connector, ConnectorStatus, Station

MAX_CONNECTORS = 100
_OWNERSHIP = 0x0CB9  # the namespace of advisory locks by charger
MAX_DETAIL = 50  # what a charger says of itself: the length of those columns


class Ownership(NamedTuple):
    """What a socket holds while it owns a charger; `ended` are the commands that the socket before it had sent."""

    charger: Charger
    epoch: int
    ended: list[Command]


def audience(charger: Charger) -> list[str]:
    """Groups that hear of this charger: nobody, before it is accepted. People who charge at it join its own group."""
    if charger.registration != Charger.Registration.ACCEPTED:
        return []
    groups = [charger_group(charger.pk), ALL_CHARGERS]
    if charger.station_id:
        groups.append(station_group(charger.station_id))
    return groups


def publish_of(charger: Charger, event: Event) -> None:
    """Tell whoever hears of this charger, and whoever looks at its place on the map."""
    if groups := audience(charger):
        publish(event, to=groups, at=position(charger.station))


def charger_for_handshake(identity: str) -> Charger | None:
    """The charger that dials in with this identity, or None where it is unknown and must stay outside.

    With `UNKNOWN_CHARGERS=inbox` a stranger is written down as pending, for an operator to accept.
    """
    charger = Charger.objects.select_related("station").filter(identity=identity).first()
    if charger is None and settings.UNKNOWN_CHARGERS == "inbox" and _has_room_for_strangers():
        charger, _ = Charger.objects.get_or_create(
            identity=identity, defaults={"registration": Charger.Registration.PENDING}
        )
    return charger


def _has_room_for_strangers() -> bool:
    waiting = Charger.objects.filter(registration=Charger.Registration.PENDING)
    return waiting.count() < settings.MAX_UNKNOWN_CHARGERS


@contextmanager
def as_owner(*, charger_id: int, epoch: int) -> Iterator[None]:
    """What is done within is done while that socket owns the charger; Superseded if a newer one does (E2).

    `connect` waits until it is done. So a process that stood still, before or within it, writes nothing after.
    SQLite is for one process, in which the older socket hears of the newer one.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        if _locked_epoch(charger_id, "pg_advisory_xact_lock_shared") not in (
            epoch,
            None,
        ):  # None: it was deleted
            raise Superseded
        yield


def is_owner(*, charger_id: int, epoch: int) -> bool:
    """Whether no newer socket has connected since."""
    return Charger.objects.filter(pk=charger_id, epoch=epoch).exists()


def _locked_epoch(charger_id: int, lock: str) -> int | None:
    """Locked first and read then, in one round trip. An advisory lock, since one of a row would have to be written."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {lock}(%s, %s); SELECT epoch FROM chargers_charger WHERE id = %s",  # noqa: S608
            [_OWNERSHIP, charger_id % 2**31, charger_id],
        )
        cursor.nextset()
        row = cursor.fetchone()
    return row[0] if row else None


@transaction.atomic
def connect(*, charger_id: int, channel_name: str, ocpp_version: str) -> Ownership:
    """Make this socket the charger's owner. The newest wins; the socket before it is told to close (E1, E2).

    What was sent on the older one will not be answered here (OCPP-J §4.1.4); what was not goes out on this one.
    """
    if connection.vendor == "postgresql":
        _locked_epoch(charger_id, "pg_advisory_xact_lock")  # what the older one is at is done first
    charger = Charger.objects.select_for_update(of=("self",)).select_related("station").get(pk=charger_id)
    previous = charger.channel_name
    now = utcnow()
    charger.channel_name = channel_name
    charger.epoch += 1
    charger.ocpp_version = ocpp_version
    charger.connected_at = charger.last_seen_at = now
    charger.save(update_fields=["channel_name", "epoch", "ocpp_version", "connected_at", "last_seen_at"])
    if previous:
        bus.send_on_commit([bus.to_channel(previous, {"type": "socket.superseded", "epoch": charger.epoch})])
    else:
        _announce_status(charger, previous_status=OFFLINE, status=charger.status or None, at=now)
    ended = commands.end_commands_of(charger_id, [Command.Status.SENT])
    for command in charger.commands.filter(status=Command.Status.QUEUED).order_by("created_at"):
        commands.wake(command, channel_name)
    return Ownership(charger, charger.epoch, ended)


@transaction.atomic
def disconnect(
    *, charger_id: int, channel_name: str, not_seen_since: datetime | None = None
) -> list[Command]:
    """Release the charger if it is still this socket's, and was not seen since then; returns the commands that ended
    with it.

    The late close of an older socket finds another owner and changes nothing (E1).
    """
    now = utcnow()
    held = Charger.objects.filter(pk=charger_id, channel_name=channel_name)
    if not_seen_since is not None:
        held = held.filter(last_seen_at__lt=not_seen_since)
    if not held.update(channel_name="", disconnected_at=now, last_seen_at=now):
        return []
    charger = Charger.objects.select_related("station").get(pk=charger_id)
    _announce_status(charger, previous_status=charger.status or None, status=OFFLINE, at=now)
    return commands.end_commands_of(charger_id)


def confirm_presence(sockets: Mapping[str, int]) -> list[str]:
    """The sockets behind these channels (channel name → charger) are alive: their process says so every
    PRESENCE_INTERVAL_S seconds. Returns the channels that no longer own their charger."""
    names = list(sockets)
    owners: set[str] = set()
    for start in range(0, len(names), 500):
        owners |= _seen(names[start : start + 500], sockets)
    return [name for name in names if name not in owners]


@transaction.atomic
def _seen(names: list[str], sockets: Mapping[str, int]) -> set[str]:
    """Those of these channels that own their charger. Locked in one order: of two who write many rows in orders of
    their own, each would wait for the other."""
    owned = Charger.objects.filter(pk__in=[sockets[name] for name in names], channel_name__in=names)
    owned = owned.select_for_update(of=("self",), no_key=True).order_by("pk")
    owners = dict(owned.values_list("channel_name", "pk"))
    Charger.objects.filter(pk__in=owners.values()).update(last_seen_at=utcnow())
    return set(owners)


@transaction.atomic
def reclaim(*, charger_id: int, channel_name: str, epoch: int) -> bool:
    """A living socket was taken for dead, since its process or the database stood still: it owns its charger
    again, unless another connected since. Whether it does."""
    now = utcnow()
    released = Charger.objects.filter(pk=charger_id, channel_name="", epoch=epoch)
    if not released.update(channel_name=channel_name, last_seen_at=now):
        return Charger.objects.filter(pk=charger_id, channel_name=channel_name).exists()
    charger = Charger.objects.select_related("station").get(pk=charger_id)
    _announce_status(charger, previous_status=OFFLINE, status=charger.status or None, at=now)
    return True


class Silent(NamedTuple):
    """A charger whose process has died without a word, as it seems: `disconnect`'s arguments."""

    charger_id: int
    channel_name: str
    not_seen_since: datetime


def silent_ones() -> list[Silent]:
    """Those of which nothing was heard for three rounds of `confirm_presence`."""
    limit = utcnow() - timedelta(seconds=3 * settings.PRESENCE_INTERVAL_S)
    found = Charger.objects.filter(last_seen_at__lt=limit).exclude(channel_name="").order_by("pk")
    return [Silent(pk, name, limit) for pk, name in found.values_list("pk", "channel_name")]


@transaction.atomic
def boot(*, charger_id: int, details: dict[str, str]) -> Charger:
    """Record a boot. `details` maps our column names to what the charger says of itself."""
    charger = Charger.objects.select_for_update().get(pk=charger_id)
    for name, value in details.items():
        setattr(charger, name, value[:MAX_DETAIL])
    charger.booted_at = charger.last_seen_at = utcnow()
    charger.save(update_fields=[*details, "booted_at", "last_seen_at"])
    firmware.booted(charger)
    return charger


_CONNECTOR_REPORT = [
    "status",
    "error_code",
    "status_at",
    "status_since",
    "stuck_at",
    "info",
    "vendor_error_code",
]


@transaction.atomic
def record_connector_status(
    *,
    charger_id: int,
    number: int,
    status: str,
    error_code: str = "",
    info: str = "",
    vendor_error_code: str = "",
    reported_at: datetime | None = None,
) -> bool:
    """Store what a charger says of a connector, or of itself (number 0, E39). False if it was older news.

    `reported_at` is the charger's time; an older one than is stored never overwrites (E28, E39).
    """
    now = utcnow()
    # Not after its receipt: else a clock that was ahead, and is put right, would keep out what comes next.
    at = min(judged(reported_at, received_at=now), now)
    if not 0 <= number <= MAX_CONNECTORS:
        return False
    # `no_key`: rows that point at the charger may be written meanwhile.
    charger = (
        Charger.objects.select_for_update(of=("self",), no_key=True)
        .select_related("station")
        .get(pk=charger_id)
    )
    target: Charger | Connector = charger
    if number > 0:
        target, _ = Connector.objects.get_or_create(charger=charger, number=number)
    if target.status_at and at < target.status_at:
        return False
    previous = target.status
    had_error = target.error_code
    target.status, target.error_code, target.status_at = status, error_code, at
    if isinstance(target, Connector):
        target.info, target.vendor_error_code = info[:255], vendor_error_code[:50]
        if status != previous or target.status_since is None:
            target.status_since, target.stuck_at = at, None
        target.save(update_fields=_CONNECTOR_REPORT)
    else:
        target.save(update_fields=["status", "error_code", "status_at"])
    if (previous, had_error) != (status, error_code):
        _announce_status(
            charger,
            connector_id=number or None,
            previous_status=previous or None,
            status=status,
            error_code=error_code,
            at=at,
        )
    return True


def _announce_status(
    charger: Charger,
    *,
    previous_status: str | None,
    status: str | None,
    at: datetime,
    connector_id: int | None = None,
    error_code: str = "",
) -> None:
    change = StatusChange(
        connector_id=connector_id,
        status=status,
        previous_status=previous_status,
        error_code=error_code or None,
        timestamp=at,
    )
    kind: Literal["connector_status_changed", "status_changed"] = (
        "connector_status_changed" if connector_id else "status_changed"
    )
    publish_of(charger, ChargerStatusChanged(charger_id=charger.identity, event=kind, data=change))
    if status == ConnectorStatus.FAULTED or error_code:
        publish_of(charger, ChargerStatusChanged(charger_id=charger.identity, event="error", data=change))
    publish_of(charger, availability.status_update(charger))


# --- what operators do ---


@transaction.atomic
def set_maintenance(*, station: Station, is_under_maintenance: bool, reason: str = "") -> None:
    """Put a station into maintenance, or back into service, and tell whoever watches its chargers."""
    station.is_under_maintenance = is_under_maintenance
    station.maintenance_reason = reason if is_under_maintenance else ""
    station.save(update_fields=["is_under_maintenance", "maintenance_reason"])
    announce_maintenance(station)


def announce_maintenance(station: Station) -> None:
    change = MaintenanceChange(
        is_under_maintenance=station.is_under_maintenance,
        maintenance_reason=station.maintenance_reason or None,
        timestamp=utcnow(),
    )
    for charger in station.chargers.select_related("station").prefetch_related("connectors"):
        publish_of(charger, ChargerMaintenanceChanged(charger_id=charger.identity, data=change))
        publish_of(charger, availability.status_update(charger))


def announce_added(charger: Charger) -> None:
    prefetch_related_objects([charger], "station")
    station = charger.station
    _announce_list(charger, "added", station, [ALL_CHARGERS, *_groups_of(station)])


def announce_moved(charger: Charger, *, before: Station | None) -> None:
    """It stands at another station, or its station elsewhere: lists replace by identity; who looks at the place where
    it stood (`before`) sees it go."""
    prefetch_related_objects([charger], "station")
    left = _groups_of(before) if before and before.pk != charger.station_id else []
    _announce_list(charger, "removed", before, left)
    announce_added(charger)


def announce_removed(charger: Charger) -> None:
    """Call before the row goes. Its socket, if it has one, is closed."""
    prefetch_related_objects([charger], "station")
    station = charger.station
    _announce_list(charger, "removed", station, [ALL_CHARGERS, *_groups_of(station)])
    if charger.channel_name:
        bus.send_on_commit([bus.to_channel(charger.channel_name, {"type": "charger.removed"})])


def _groups_of(station: Station | None) -> list[str]:
    return [station_group(station.pk)] if station else []


def _announce_list(
    charger: Charger, action: Literal["added", "removed"], station: Station | None, groups: list[str]
) -> None:
    prefetch_related_objects([charger], "connectors")
    listed = availability.listed_station(station, [charger])
    event = ChargerListUpdate(action=action, data=ChargerList(chargers=[listed]))
    publish(event, to=groups, at=position(station))


@transaction.atomic
def accept(charger: Charger) -> None:
    """Let a charger out of the inbox; it learns of it at its next BootNotification, which we cannot force here."""
    charger.registration = Charger.Registration.ACCEPTED
    charger.save(update_fields=["registration"])
    announce_added(charger)
