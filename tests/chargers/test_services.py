"""Chargers come, go and report."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from chargers import services
from chargers.events import ALL_CHARGERS, charger_group, station_group, utcnow
from chargers.models import Charger
from tests.factories import make_charger, make_online_charger, unique
from tests.races import begun_and_waiting

pytestmark = pytest.mark.django_db

Published = list[tuple[str, dict[str, Any]]]
OnCommit = DjangoCaptureOnCommitCallbacks


def connect(charger: Charger, channel: str) -> int:
    return services.connect(charger_id=charger.pk, channel_name=channel, ocpp_version="ocpp1.6").epoch


def test_the_newest_socket_owns_the_charger(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    """E1"""
    charger = make_charger()
    with django_capture_on_commit_callbacks(execute=True):
        first, second = connect(charger, "one"), connect(charger, "two")
        services.disconnect(charger_id=charger.pk, channel_name="one")
    charger.refresh_from_db()
    assert (second, charger.channel_name) == (first + 1, "two")
    assert ("one", {"type": "socket.superseded", "epoch": second}) in published


def test_going_offline_is_told_to_all_who_listen(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    """E4"""
    charger = make_online_charger()
    with django_capture_on_commit_callbacks(execute=True):
        services.disconnect(charger_id=charger.pk, channel_name=charger.channel_name)
    updates = [(group, m) for group, m in published if m["type"] == "charger_update"]
    assert {group for group, _ in updates} == {
        charger_group(charger.pk),
        station_group(charger.station_id or 0),
        ALL_CHARGERS,
    }
    assert updates[0][1]["data"]["status"] == "Offline"
    maps = [m for _, m in published if m["type"] == "charger_status_update"]
    assert maps[0]["status"] == "unavailable"


def test_an_older_status_does_not_overwrite_a_newer_one() -> None:
    """E39"""
    charger, now = make_charger(), utcnow()
    report: dict[str, Any] = {"charger_id": charger.pk, "number": 1}
    assert services.record_connector_status(**report, status="Charging", reported_at=now)
    assert not services.record_connector_status(
        **report, status="Preparing", reported_at=now - timedelta(minutes=1)
    )
    assert services.record_connector_status(
        **report, status="Finishing", reported_at=now + timedelta(seconds=1)
    )
    assert charger.connectors.get(number=1).status == "Finishing"


def test_connector_zero_is_the_charger_itself() -> None:
    """E39"""
    charger = make_charger()
    services.record_connector_status(
        charger_id=charger.pk, number=0, status="Faulted", error_code="OtherError"
    )
    charger.refresh_from_db()
    assert (charger.status, charger.error_code) == ("Faulted", "OtherError")
    assert {connector.status for connector in charger.connectors.all()} == {"Available"}


def test_a_connector_nobody_knew_is_written_down_within_reason() -> None:
    charger = make_charger(connectors=0)
    assert services.record_connector_status(charger_id=charger.pk, number=3, status="Available")
    assert not services.record_connector_status(charger_id=charger.pk, number=5000, status="Available")
    assert [c.number for c in charger.connectors.all()] == [3]


def test_an_unchanged_status_is_not_news(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    charger = make_charger()
    with django_capture_on_commit_callbacks(execute=True):
        services.record_connector_status(charger_id=charger.pk, number=1, status="Available")
    assert published == []


@pytest.mark.parametrize("mode", ["reject", "inbox"])
def test_a_stranger_stays_outside_or_waits_in_the_inbox(settings: Settings, mode: str) -> None:
    settings.UNKNOWN_CHARGERS = mode
    identity = unique("STRANGER")
    charger = services.charger_for_handshake(identity)
    if mode == "reject":
        assert charger is None
        assert not Charger.objects.filter(identity=identity).exists()
    else:
        assert charger is not None
        assert charger.registration == "Pending"


def test_a_boot_keeps_what_the_charger_says_of_itself_within_its_columns() -> None:
    charger = services.boot(charger_id=make_charger().pk, details={"vendor": "V" * 200, "model": "M"})
    charger.refresh_from_db()
    assert (charger.vendor, charger.model) == ("V" * 50, "M")
    assert charger.booted_at is not None


def test_presence_is_confirmed_in_one_go() -> None:
    charger = make_online_charger()
    Charger.objects.filter(pk=charger.pk).update(last_seen_at=utcnow() - timedelta(hours=1))
    assert services.confirm_presence({charger.channel_name: charger.pk, "elsewhere": charger.pk}) == [
        "elsewhere"
    ]
    assert services.silent_ones() == []
    charger.refresh_from_db()
    assert charger.is_connected


def test_a_charger_that_is_seen_at_the_last_moment_is_not_released() -> None:
    charger = make_online_charger()
    Charger.objects.filter(pk=charger.pk).update(last_seen_at=utcnow() - timedelta(hours=1))
    (silent,) = services.silent_ones()
    services.confirm_presence({charger.channel_name: charger.pk})
    assert services.disconnect(**silent._asdict()) == []
    charger.refresh_from_db()
    assert charger.is_connected


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_who_confirms_presence_waits_for_a_charger_before_it_holds_a_later_one() -> None:
    """In one order: the rows may lie in any."""
    chargers = [make_online_charger() for _ in range(3)]
    first, *later = chargers
    first.save()  # its row is the last one now
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            Charger.objects.select_for_update().get(pk=first.pk)
            sockets = {each.channel_name: each.pk for each in chargers}
            confirmed = begun_and_waiting(other, lambda: services.confirm_presence(sockets))
            free = Charger.objects.select_for_update(skip_locked=True)
            assert len(free.filter(pk__in=[each.pk for each in later])) == 2
        assert confirmed.result(20) == []
