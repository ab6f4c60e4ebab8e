"""All that is kept of one driver, as one JSON document, written piece by piece: nobody's history fills the memory."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from chargers.events import encoder, utcnow
from chargers.models import Command
from sessions import queries, receipts
from sessions.models import ChargingSession, FeedEntry, IdTag, MeterReading, Reservation, Watch

BATCH = 500

_READING = ("measured_at", "energy_wh", "power_w", "current_a", "voltage_v", "soc_percent")


def document(user_id: int) -> Iterator[bytes]:
    """The pieces, in order. Each is one query or a few; between two pieces nothing is held open."""
    user = get_user_model().objects.get(pk=user_id)
    yield b'{"exported_at":' + encoder.encode(utcnow()) + b',"account":' + encoder.encode(_account(user))
    lists: dict[str, tuple[QuerySet[Any], Callable[[Any], Any]]] = {
        "id_tags": (IdTag.objects.filter(user=user), _id_tag),
        "reservations": (Reservation.objects.filter(user=user).select_related("charger"), _reservation),
        "watches": (Watch.objects.filter(user=user), _watch),
        "commands": (Command.objects.filter(requested_by=user).select_related("charger"), _command),
        "messages": (FeedEntry.objects.filter(user=user), lambda entry: msgspec.Raw(entry.body.encode())),
    }
    for name, (rows, shape) in lists.items():
        yield b',"' + name.encode() + b'":['
        yield from _listed(encoder.encode(shape(row)) for row in _batched(rows))
        yield b"]"
    yield b',"sessions":['
    sessions = queries.with_relations(ChargingSession.objects.filter(user=user)).select_related(
        "charger__station", "connector", "user"
    )
    for number, session in enumerate(_batched(sessions)):
        yield b"," * bool(number) + encoder.encode(_session(session))[:-1] + b',"readings":['
        yield from _listed(encoder.encode(reading) for reading in _readings(session))
        yield b"]}"
    yield b"]}"


def _listed(items: Iterator[bytes]) -> Iterator[bytes]:
    """With commas between, many to a piece."""
    piece: list[bytes] = []
    is_first = True
    for item in items:
        piece.append(item)
        if len(piece) == BATCH:
            yield b"," * (not is_first) + b",".join(piece)
            piece, is_first = [], False
    if piece:
        yield b"," * (not is_first) + b",".join(piece)


def _batched(rows: QuerySet[Any]) -> Iterator[Any]:
    rows = rows.order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH]) if len(batch) == BATCH else []


def _readings(session: ChargingSession) -> Iterator[dict[str, Any]]:
    """By time, as their index has them."""
    rows = MeterReading.objects.filter(session=session).order_by("measured_at", "pk")
    batch = list(rows.only(*_READING)[:BATCH])
    while batch:
        for row in batch:
            yield {name: getattr(row, name) for name in _READING}
        last = batch[-1]
        later = Q(measured_at__gt=last.measured_at) | Q(measured_at=last.measured_at, pk__gt=last.pk)
        more = rows.filter(later, measured_at__gte=last.measured_at)
        batch = list(more.only(*_READING)[:BATCH]) if len(batch) == BATCH else []


def _account(user: User) -> dict[str, Any]:
    names = ("username", "email", "first_name", "last_name", "date_joined", "last_login")
    return {"id": user.pk, **{name: getattr(user, name) for name in names}}


def _id_tag(tag: IdTag) -> dict[str, Any]:
    return {name: getattr(tag, name) for name in ("value", "is_blocked", "expires_at", "created_at")}


def _reservation(reservation: Reservation) -> dict[str, Any]:
    names = ("id", "id_tag", "state", "created_at", "expires_at", "ended_at", "session_id")
    return {
        "charger_id": reservation.charger.identity,
        **{name: getattr(reservation, name) for name in names},
    }


def _watch(watch: Watch) -> dict[str, Any]:
    names = ("station_id", "created_at", "expires_at", "ended_at")
    charger = watch.charger.identity if watch.charger else None
    return {"charger_id": charger, **{name: getattr(watch, name) for name in names}}


def _command(command: Command) -> dict[str, Any]:
    names = ("id", "action", "status", "created_at", "sent_at", "finished_at")
    return {"charger_id": command.charger.identity, **{name: getattr(command, name) for name in names}}


def _session(session: ChargingSession) -> dict[str, Any]:
    prices = ("price_per_kwh", "price_per_minute", "price_per_session", "tax_percent", "currency")
    return {
        **msgspec.structs.asdict(queries.state_of(session)),
        "tariff": {name: getattr(session, name) for name in prices},
        "receipt": receipts.receipt_of(session) if receipts.is_due(session) else None,
    }
