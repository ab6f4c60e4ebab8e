"""The database of the benchmark: drivers, each charging at a charger of their own. Import after django.setup()."""

from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction

from chargers.events import utcnow
from chargers.models import Charger, Connector, Station
from sessions.models import ChargingSession
from tests.bench import messages


@transaction.atomic
def make_drivers(count: int) -> list[User]:
    """So many drivers, with running sessions whose transactions the load generator knows by number."""
    station = Station.objects.create(name="Benchmark", address="1 Long Road")
    # The password is one that nobody can type; made once, since hashing 500 takes a minute.
    users = User.objects.bulk_create(User(username=f"driver{n}", password="!bench") for n in range(count))
    chargers = Charger.objects.bulk_create(
        Charger(identity=messages.IDENTITY.format(n), station=station) for n in range(count)
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
        for number, (user, charger, connector) in enumerate(zip(users, chargers, connectors, strict=True))
    )
    return users
