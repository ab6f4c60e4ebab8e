"""The database of the benchmark: drivers, each charging at a charger of their own, and some who are not charging.

Import after django.setup().
"""

from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction

from chargers.events import user_group, utcnow
from chargers.models import Charger, Connector, Station
from gateway.auth import tokens_for
from sessions.models import ChargingSession
from tests.benchmarks import messages


class Drivers:
    """As many as were asked for so far, with running sessions whose transactions the load generator knows by number."""

    def __init__(self) -> None:
        self.users: list[User] = []
        self.idle: list[User] = []
        self.station = Station.objects.create(name="Benchmark", address="1 Long Road")

    def first(self, count: int) -> list[User]:
        if count > len(self.users):
            self._add(range(len(self.users), count))
        return self.users[:count]

    def apps(self, count: int) -> list[str]:
        """Request targets of their phones."""
        return _targets(self.first(count))

    def idle_apps(self, count: int) -> list[str]:
        """Request targets of phones whose drivers are not charging."""
        if count > len(self.idle):
            self.idle += _users("idle", range(len(self.idle), count))
        return _targets(self.idle[:count])

    def chargers(self, count: int, *, first: int = 0) -> list[str]:
        """Request targets of their chargers, from that number on."""
        self.first(first + count)
        return [f"/ocpp/{messages.IDENTITY.format(number)}" for number in range(first, first + count)]

    def groups(self, count: int) -> list[str]:
        """Where their events go."""
        return [user_group(user.pk) for user in self.first(count)]

    @transaction.atomic
    def _add(self, numbers: range) -> None:
        users = _users("driver", numbers)
        chargers = Charger.objects.bulk_create(
            Charger(identity=messages.IDENTITY.format(n), station=self.station) for n in numbers
        )
        connectors = Connector.objects.bulk_create(
            Connector(charger=charger, number=1, status="Charging") for charger in chargers
        )
        ChargingSession.objects.bulk_create(
            ChargingSession(
                user=user,
                user_place=0,
                charger=charger,
                connector=connector,
                id_tag=f"BENCH{number}",
                status=ChargingSession.Status.ACTIVE,
                transaction_id=messages.FIRST_TRANSACTION + number,
                started_at=utcnow(),
                meter_start_wh=0,
                currency="EUR",
                price_per_kwh=Decimal("0.50"),
                price_per_minute=Decimal("0.02"),
                price_per_session=Decimal(1),
            )
            for number, user, charger, connector in zip(numbers, users, chargers, connectors, strict=True)
        )
        self.users += users


def _users(name: str, numbers: range) -> list[User]:
    """With a password that nobody can type; made once, since hashing 500 takes a minute."""
    return User.objects.bulk_create(User(username=f"{name}{n}", password="!bench") for n in numbers)


def _targets(users: list[User]) -> list[str]:
    return [f"/?token={tokens_for(user)[0]}" for user in users]
