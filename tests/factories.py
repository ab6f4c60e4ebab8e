"""Rows for tests: say only what the test is about. Names are unique, since flows share one database."""

import functools
import itertools
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken

from chargers.events import utcnow
from chargers.models import Charger, Connector, Station
from gateway.auth import tokens_for
from sessions.models import ChargingSession, IdTag, Tariff

_run = uuid.uuid4().hex[:6].upper()
_count = itertools.count(1)


def unique(prefix: str) -> str:
    return f"{prefix}{_run}{next(_count)}"


# A third of a second each: the same password gets the same hash.
hashed = functools.cache(make_password)


def make_user(**fields: Any) -> User:
    fields.setdefault("username", unique("user").lower())
    return User.objects.create(password=hashed(fields.pop("password", "s3cret-enough")), **fields)


def make_operator(**fields: Any) -> User:
    return make_user(is_staff=True, is_superuser=True, **fields)


def make_station(**fields: Any) -> Station:
    fields.setdefault("name", unique("Station "))
    return Station.objects.create(**fields)


def make_tariff(**fields: Any) -> Tariff:
    stations = fields.pop("stations", [])
    values = {"name": unique("Tariff "), "currency": "EUR", "price_per_kwh": Decimal("0.50")}
    tariff = Tariff.objects.create(**{**values, **fields})
    tariff.stations.set(stations)
    return tariff


def make_charger(*, connectors: int = 2, status: str = "Available", **fields: Any) -> Charger:
    """A charger with its connectors, in a station unless `station=None` is given; offline until it dials in."""
    fields.setdefault("identity", unique("CP"))
    if "station" not in fields:
        fields["station"] = make_station()
    charger = Charger.objects.create(**fields)
    for number in range(1, connectors + 1):
        Connector.objects.create(charger=charger, number=number, status=status)
    return charger


def make_online_charger(**fields: Any) -> Charger:
    """A charger whose socket is said to be at a channel nobody reads: for tests without a wire."""
    return make_charger(channel_name=unique("specific."), last_seen_at=utcnow(), **fields)


def make_id_tag(**fields: Any) -> IdTag:
    fields.setdefault("value", unique("TAG"))
    return IdTag.objects.create(**fields)


def make_session(**fields: Any) -> ChargingSession:
    """A running session on connector 1 of a charger of its own."""
    charger = fields.pop("charger", None) or make_charger()
    values: dict[str, Any] = {
        "charger": charger,
        "connector": fields.pop("connector", None) or charger.connectors.get(number=1),
        "id_tag": unique("TAG"),
        "status": "active",
        "started_at": utcnow(),
        "meter_start_wh": 1000,
        **fields,
    }
    transaction_id = values.pop("transaction_id", None)
    status = values.pop("status")
    session = ChargingSession.objects.create(**values, status="pending")
    if status not in ("pending", "failed"):
        session.transaction_id = transaction_id or session.pk
    session.status = status
    session.save()
    return session


def token_of(user: User, *, life_s: float | None = None) -> str:
    """An access token; one that lives `life_s` seconds from now (negative: it has expired)."""
    if life_s is None:
        return tokens_for(user)[0]
    token = AccessToken.for_user(user)
    token.set_exp(lifetime=timedelta(seconds=life_s))
    return str(token)
