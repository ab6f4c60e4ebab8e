"""Connectors that are in use for long without charging."""

from datetime import timedelta
from typing import Any

import pytest

from chargers import services, stuck
from chargers.availability import availability
from chargers.events import utcnow
from chargers.models import Charger
from tests.factories import make_charger, make_online_charger

pytestmark = pytest.mark.django_db


def report(charger: Charger, number: int, status: str, *, ago_s: float = 0) -> None:
    at = utcnow() - timedelta(seconds=ago_s)
    assert services.record_connector_status(
        charger_id=charger.pk, number=number, status=status, reported_at=at
    )


def states(charger: Charger) -> list[tuple[Any, Any]]:
    fresh = Charger.objects.get(pk=charger.pk)
    return [(state.status, state.stuck) for state in availability(fresh).connector_status]


def test_what_stays_in_preparing_or_finishing_is_said_to_be_stuck_once(
    settings: Any,
    published: list[tuple[str, dict[str, Any]]],
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.STUCK_AFTER_S = 900
    charger = make_online_charger(connectors=3, status="")
    report(charger, 1, "Preparing", ago_s=1000)
    report(charger, 1, "Preparing", ago_s=10)  # said again: it has been so for as long
    report(charger, 2, "Finishing", ago_s=1000)
    report(charger, 3, "Finishing", ago_s=800)
    gone = make_charger(connectors=1)
    report(gone, 1, "Preparing", ago_s=1000)
    with django_capture_on_commit_callbacks(execute=True):
        assert (stuck.sweep(), stuck.sweep()) == (2, 0)
    assert states(charger) == [
        ("Preparing", "not_started"),
        ("Finishing", "not_unplugged"),
        ("Finishing", None),
    ]
    data = availability(Charger.objects.get(pk=charger.pk))
    assert (data.station_status, data.connectors_in_use) == ("in_use", 3)  # its place is taken
    assert states(gone) == [("Offline", None)]
    told = [body for group, body in published if group == f"charger.{charger.pk}"]
    assert [body["type"] for body in told] == ["charger_status_update"] * 2
    assert told[-1]["data"]["connector_status"][1]["stuck"] == "not_unplugged"
    report(charger, 1, "Available")
    report(charger, 1, "Preparing")
    assert states(charger)[0] == ("Preparing", None)


def test_every_status_has_its_age_and_that_of_a_silent_charger_is_offline() -> None:
    long_ago, later = utcnow() - timedelta(hours=3), utcnow() - timedelta(hours=1)
    charger = make_online_charger(connectors=2, status="", connected_at=long_ago)
    report(charger, 1, "Available", ago_s=7200)
    report(charger, 1, "Available", ago_s=60)
    charger = Charger.objects.get(pk=charger.pk)
    data = availability(charger)
    first, second = data.connector_status
    assert first.since and first.updated_at and first.updated_at - first.since > timedelta(hours=1)
    assert (second.status, second.since, second.updated_at) == (None, None, None)
    assert data.status_at == first.since
    assert data.last_seen == charger.last_seen_at
    charger.channel_name, charger.disconnected_at = "", later
    data = availability(charger)
    first, second = data.connector_status
    assert (first.status, first.since, data.status_at) == ("Offline", later, later)
    assert second.status is None
    assert (data.station_status, data.connected, data.available_connectors) == ("unavailable", False, 0)
