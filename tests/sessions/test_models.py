"""The database's last word: what no race and no bug may write."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from chargers.events import utcnow
from chargers.models import Connector
from sessions.models import ChargingSession, MeterReading
from tests.factories import make_charger, make_session, make_tariff, make_user

pytestmark = pytest.mark.django_db


def refuses(write: Callable[[], Any]) -> bool:
    try:
        with transaction.atomic():
            write()
    except IntegrityError:
        return True
    return False


@pytest.mark.parametrize("status", ["pending", "active", "stopping"])
def test_one_open_session_a_connector(status: str) -> None:
    charger = make_charger()
    make_session(charger=charger, status="completed")
    make_session(charger=charger, status=status)
    assert refuses(lambda: make_session(charger=charger))
    make_session(charger=charger, connector=charger.connectors.get(number=2))


def test_one_open_session_a_users_place() -> None:
    user = make_user()
    make_session(user=user, user_place=0)
    assert refuses(lambda: make_session(user=user, user_place=0))
    make_session(user=user, user_place=1)
    make_session(user=user)
    make_session(user=user)


def test_transaction_ids_are_unique() -> None:
    session = make_session()
    assert refuses(lambda: make_session(transaction_id=session.transaction_id))


def test_a_running_session_has_a_transaction() -> None:
    session = make_session(status="pending")
    rows = ChargingSession.objects.filter(pk=session.pk)
    assert refuses(lambda: rows.update(status="active"))


def test_one_session_a_reported_start() -> None:
    """E21"""
    charger = make_charger()
    start = {
        "charger": charger,
        "id_tag": "CARD",
        "start_reported": "2026-05-01T12:00:00Z",
        "status": "completed",
    }
    make_session(**start)
    assert refuses(lambda: make_session(**start))


def test_energy_is_not_negative() -> None:
    assert refuses(lambda: make_session(energy_wh=-1))


def test_a_reading_is_stored_once() -> None:
    session = make_session()
    values = {
        "session": session,
        "charger": session.charger,
        "connector_number": 1,
        "measured_at": utcnow(),
        "received_at": utcnow(),
        "sampled_values": [],
        "digest": 1,
    }
    MeterReading.objects.create(**values)
    assert refuses(lambda: MeterReading.objects.create(**values))


def test_one_default_tariff_and_no_negative_price() -> None:
    make_tariff(is_default=True)
    assert refuses(lambda: make_tariff(is_default=True))
    assert refuses(lambda: make_tariff(price_per_kwh=-1))


def test_a_connector_is_there_once_and_counts_from_one() -> None:
    charger = make_charger(connectors=1)
    assert refuses(lambda: Connector.objects.create(charger=charger, number=1))
    assert refuses(lambda: Connector.objects.create(charger=charger, number=0))
