"""`manage.py seed_demo`: what the demo begins with. Safe to run again; refused outside the demo."""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from chargers.models import Charger, Connector, Station
from sessions.models import IdTag, Tariff

CHARGERS = {"CP001": 2, "CP002": 1}  # and their connectors
ID_TAG = "DEMOTAG1"


class Command(BaseCommand):
    help = "Create the demo's users, station, chargers, id tag and tariff."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--chargers", type=int, default=len(CHARGERS), help="how many, if more than two")

    def handle(self, *args: Any, chargers: int, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("The demo's users have known passwords; they are made with DEMO=1 only.")
        seed(max(len(CHARGERS), chargers))


def connectors_of(count: int) -> dict[str, int]:
    """Identity → connectors of so many chargers; further ones than the two have two connectors."""
    identities = [f"CP{number:03}" for number in range(1, count + 1)]
    return {identity: CHARGERS.get(identity, 2) for identity in identities}


@transaction.atomic
def seed(chargers: int) -> None:
    operator = _user("operator", is_staff=True, is_superuser=True)
    driver = _user("driver")
    _user("driver2")
    station, _ = Station.objects.get_or_create(
        name="Demo Station",
        defaults={"address": "1 Market Square, Utrecht", "latitude": 52.0907, "longitude": 5.1214},
    )
    for identity, connectors in connectors_of(chargers).items():
        charger, _ = Charger.objects.get_or_create(identity=identity, defaults={"station": station})
        for number in range(1, connectors + 1):
            Connector.objects.get_or_create(charger=charger, number=number)
    IdTag.objects.get_or_create(value=ID_TAG, defaults={"user": driver, "note": "The demo driver's card"})
    Tariff.objects.get_or_create(
        name="Demo tariff",
        defaults={
            "currency": "EUR",
            "price_per_kwh": Decimal("0.49"),
            "price_per_minute": Decimal("0.02"),
            "price_per_session": Decimal("0.50"),
            "is_default": True,
        },
    )
    assert operator.is_staff  # the admin is the operator's


def _user(username: str, **fields: Any) -> Any:
    user, created = get_user_model().objects.get_or_create(username=username, defaults=fields)
    if created:
        user.set_password(username)
        user.save()
    return user
