"""“Tell me when it is free”."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from chargers import queries as charger_queries
from chargers import services as charger_services
from chargers.availability import word_for
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Charger, Connector
from sessions import services, watching
from sessions.models import FeedEntry, Reservation, Watch
from tests.factories import make_charger, make_online_charger, make_session, make_station, make_user

pytestmark = pytest.mark.django_db


def report(charger: Charger, number: int, status: str) -> None:
    assert charger_services.record_connector_status(charger_id=charger.pk, number=number, status=status)
    services.connector_reported(charger_id=charger.pk, number=number, status=status)


def heard(user: User) -> list[str]:
    return [
        body
        for body in FeedEntry.objects.filter(user=user).order_by("seq").values_list("body", flat=True)
        if '"charger_free"' in body
    ]


def fails(code: str, **wish: Any) -> None:
    with pytest.raises(DomainError) as error:
        watching.watch(**wish)
    assert error.value.code == code


def test_whoever_waits_is_told_once_of_a_connector_that_becomes_free() -> None:
    station = make_station()
    charger = make_online_charger(station=station, status="Charging")
    of_connector, of_charger, of_station, of_other = (make_user() for _ in range(4))
    watching.watch(user=of_connector, identity=charger.identity, connector_number=2)
    watching.watch(user=of_charger, identity=charger.identity)
    watching.watch(user=of_station, station_id=station.pk)
    watching.watch(user=of_other, identity=charger.identity, connector_number=1)
    for status in ("Finishing", "Available", "Available"):
        report(charger, 2, status)
    watching.sweep()
    for user in (of_connector, of_charger, of_station):
        [body] = heard(user)
        assert f'"charger_id":"{charger.identity}","connector_id":2' in body
        assert watching.states_of(user.pk) == []
    assert heard(of_other) == []
    assert len(watching.states_of(of_other.pk)) == 1


def test_two_that_see_it_at_once_tell_it_once() -> None:
    charger = make_online_charger(connectors=1, status="Charging")
    user = make_user()
    watch, _ = watching.watch(user=user, identity=charger.identity)
    assert watch is not None
    connector = charger.connectors.get()
    Connector.objects.update(status="Available")
    assert watching._tell(watch, connector)
    assert not watching._tell(watch, connector)  # another process, with the same row in its hands
    assert len(heard(user)) == 1


def test_what_is_free_already_needs_no_watch() -> None:
    charger = make_online_charger()
    user = make_user()
    make_session(charger=charger)  # on connector 1
    assert watching.watch(user=user, identity=charger.identity) == (None, charger.connectors.get(number=2))
    assert not Watch.objects.filter(user=user).exists()
    watch, free = watching.watch(user=user, identity=charger.identity, connector_number=1)
    assert watch is not None
    assert free is None


@pytest.mark.parametrize("reason", ["offline", "maintenance", "reserved", "session", "whole"])
def test_a_connector_is_not_free_for_other_reasons_and_its_end_is_told_by_the_sweep(reason: str) -> None:
    station = make_station(is_under_maintenance=reason == "maintenance")
    make = make_charger if reason == "offline" else make_online_charger
    charger = make(
        station=station,
        connectors=1,
        status="Preparing",
        connected_at=utcnow() - timedelta(hours=1),
        **({"status_at": utcnow()} if reason == "whole" else {}),
    )
    connector = charger.connectors.get()
    user = make_user()
    if reason == "reserved":
        Reservation.objects.create(
            charger=charger,
            connector=connector,
            id_tag="X",
            state="active",
            expires_at=utcnow() + timedelta(hours=1),
        )
    elif reason == "session":
        make_session(charger=charger, status="pending")
    elif reason == "whole":
        Charger.objects.filter(pk=charger.pk).update(status="Faulted")
    watching.watch(user=user, identity=charger.identity)
    report(charger, 1, "Available")
    watching.sweep()
    assert heard(user) == []
    charger.connectors.update(status_at=utcnow())
    if reason == "reserved":
        Reservation.objects.update(state="expired")
    elif reason == "session":
        charger.sessions.update(status="failed")
    station.is_under_maintenance = False
    station.save()
    Charger.objects.filter(pk=charger.pk).update(channel_name="specific.x", status="Available")
    watching.sweep()
    watching.sweep()
    assert len(heard(user)) == 1


def test_what_a_charger_said_before_it_was_gone_is_not_believed_at_once() -> None:
    charger = make_charger(connectors=1)
    user = make_user()
    watching.watch(user=user, identity=charger.identity)
    now = utcnow()
    charger.connectors.update(status_at=now - timedelta(hours=2))
    Charger.objects.filter(pk=charger.pk).update(channel_name="specific.x", connected_at=now)
    watching.sweep()
    assert heard(user) == []
    Charger.objects.filter(pk=charger.pk).update(connected_at=now - watching.SETTLE - timedelta(seconds=1))
    watching.sweep()
    assert len(heard(user)) == 1


def test_watches_are_counted_renewed_ended_and_expire(settings: Any) -> None:
    settings.MAX_WATCHES_PER_USER = 1
    user, stranger = make_user(), make_user()
    first, second = make_online_charger(status="Charging"), make_online_charger(status="Charging")
    watch, _ = watching.watch(user=user, identity=first.identity)
    assert watch is not None
    again, _ = watching.watch(user=user, identity=first.identity)
    assert again == watch
    fails("too_many_watches", user=user, identity=second.identity)
    with pytest.raises(DomainError) as error:
        watching.unwatch(user=stranger, watch_id=watch.pk)
    assert error.value.code == "not_found"
    watching.unwatch(user=user, watch_id=watch.pk)
    watching.unwatch(user=user, watch_id=watch.pk)
    watch, _ = watching.watch(user=user, identity=second.identity)
    Watch.objects.filter(pk=watch.pk).update(expires_at=utcnow())  # type: ignore[union-attr]
    report(second, 1, "Available")
    watching.sweep()
    assert heard(user) == []
    for free in (first, second):
        watching.watch(user=user, identity=free.identity)
    Watch.objects.update(ended_at=utcnow() - watching.FORGET_AFTER - timedelta(days=1))
    watching.sweep()
    assert not Watch.objects.filter(user=user).exists()


def test_a_wish_names_one_place_that_one_may_see() -> None:
    user = make_user()
    pending = make_charger(registration="Pending")
    charger = make_online_charger()
    fails("validation_error", user=user)
    fails("validation_error", user=user, identity=charger.identity, station_id=charger.station_id)
    fails("validation_error", user=user, station_id=charger.station_id, connector_number=1)
    fails("not_found", user=user, identity=pending.identity)
    fails("not_found", user=user, station_id=pending.station_id)
    fails("not_found", user=user, identity=charger.identity, connector_number=9)


def test_the_database_finds_the_same_connectors_free() -> None:
    station = make_station(is_under_maintenance=True)
    make_online_charger(station=station)
    make_online_charger(station=None)
    make_online_charger(registration="Pending")
    make_charger()
    for status in ("Charging", "Faulted", "", "Available"):
        make_online_charger(status=status)
    broken = make_online_charger()
    Charger.objects.filter(pk=broken.pk).update(status="Unavailable")
    expected = {
        connector.pk
        for connector in Connector.objects.select_related("charger__station")
        if word_for(connector.charger, connector) == "available"
    }
    assert set(charger_queries.free_connectors().values_list("pk", flat=True)) == expected
    assert len(expected) == 4
