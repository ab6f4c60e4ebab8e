"""A wish sent twice is done once: by its name, for a day."""

import threading
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from pytest_django import Settings

from chargers.errors import ChargerOffline, ConnectorBusy
from chargers.events import utcnow
from chargers.models import Charger, Command
from sessions import client_refs, driver_reservations, services, sweeping
from sessions.errors import InvalidParameter
from sessions.models import ChargingSession, ClientRef, Reservation
from tests.factories import make_charger, make_online_charger, make_session, make_user, unique

KEYS = 200


def start(user: User, charger: Charger, number: int = 1, **more: Any) -> services.Requested:
    return services.request_start(user=user, identity=charger.identity, connector_number=number, **more)


def refs() -> list[str]:
    return list(ClientRef.objects.values_list("ref", flat=True))


@pytest.mark.django_db
def test_the_same_ref_is_the_same_start_whatever_became_of_it() -> None:
    """E34"""
    charger, user = make_online_charger(), make_user()
    first = start(user, charger, client_ref="tap")
    assert start(user, charger, client_ref="tap") == first
    assert first.command is not None
    services.finish_command(first.command.pk, status=Command.Status.REJECTED)
    again = start(user, charger, client_ref="tap")
    assert (again.session.pk, again.session.status) == (first.session.pk, "failed")
    assert charger.commands.count() == 1
    another = start(user, charger, client_ref="another tap")
    assert another.session.pk != first.session.pk
    assert start(make_user(), charger, 2, client_ref="tap").session.pk not in (
        first.session.pk,
        another.session.pk,
    )


@pytest.mark.django_db
def test_a_stop_of_the_same_ref_is_the_same_stop_after_the_end_too() -> None:
    user, charger = make_user(), make_online_charger()
    session = make_session(user=user, charger=charger)
    first = services.request_stop(user=user, client_ref="stop")
    ChargingSession.objects.filter(pk=session.pk).update(status="completed")
    again = services.request_stop(user=user, client_ref="stop")
    assert (again.session.pk, again.command) == (session.pk, first.command)
    assert charger.commands.count() == 1


@pytest.mark.django_db
def test_a_reservation_of_the_same_ref_is_the_same_one_when_it_is_over_too() -> None:
    user, charger = make_user(), make_online_charger()
    until = utcnow() + timedelta(minutes=20)
    reserve: Any = partial(
        driver_reservations.reserve, user=user, identity=charger.identity, expires_at=until, client_ref="keep"
    )
    first = reserve()
    assert reserve() == first
    services.finish_command(first.command.pk, status=Command.Status.REJECTED)
    again = reserve()
    assert (again.pk, again.state) == (first.pk, "rejected")
    assert charger.commands.count() == 1
    with pytest.raises(InvalidParameter, match="This client_ref was used for another request"):
        reserve(expires_at=until + timedelta(minutes=1))
    another = reserve(client_ref="keep another")
    assert another.pk != first.pk
    Reservation.objects.update(command=None)  # as of one so old that its command is forgotten
    assert reserve(client_ref="found") == reserve(client_ref="found") == another


@pytest.mark.django_db
def test_another_request_of_the_same_ref_is_refused() -> None:
    charger, user = make_online_charger(), make_user()
    start(user, charger, client_ref="tap")
    for other in (
        lambda: start(user, charger, 2, client_ref="tap"),
        lambda: start(user, make_online_charger(), client_ref="tap"),
        lambda: services.request_stop(user=user, client_ref="tap"),
    ):
        with pytest.raises(InvalidParameter, match="This client_ref was used for another request") as refused:
            other()
        assert refused.value.code == "validation_error"
    assert ChargingSession.objects.filter(user=user).count() == 1


@pytest.mark.django_db
def test_what_was_refused_before_it_began_leaves_no_ref() -> None:
    user, charger = make_user(), make_online_charger()
    start(make_user(), charger)
    for refusal, where in ((ChargerOffline, make_charger()), (ConnectorBusy, charger)):
        with pytest.raises(refusal):
            start(user, where, client_ref="tap")
    assert refs() == []
    assert start(user, charger, 2, client_ref="tap").session.status == "pending"


@pytest.mark.django_db
def test_a_ref_lasts_a_day(settings: Settings) -> None:
    charger, user = make_online_charger(), make_user()
    first = start(user, charger, client_ref="tap")
    services.request_stop(user=user)
    age = timedelta(hours=settings.CLIENT_REF_HOURS, seconds=1)
    ClientRef.objects.update(created_at=utcnow() - age)
    second = start(user, charger, client_ref="tap")
    assert second.session.pk != first.session.pk
    assert sweeping.sweep()["client_refs"] == 0
    ClientRef.objects.update(created_at=utcnow() - age)
    assert sweeping.sweep()["client_refs"] == 1
    assert refs() == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer: nobody races")
def test_taps_in_the_same_moment_are_one_session_each(committed: None) -> None:
    """E34: two connections name the same wish in the same moment, again and again; a third is refused in between
    and leaves the name to them. What is begun is a session and no more: flows/test_double_taps.py has the servers.
    """
    charger, user = make_charger(), make_user()
    prefix = unique("tap")
    meeting = threading.Barrier(2)
    got: list[list[int]] = [[], []]

    def begin() -> client_refs.Requested:
        session = ChargingSession.objects.create(charger=charger, user_id=user.pk, id_tag=prefix)
        return client_refs.Requested(session, None)

    def refuse() -> client_refs.Requested:
        begin()
        raise ConnectorBusy

    def tap(mine: list[int]) -> None:
        try:
            for number in range(KEYS):
                meeting.wait(30)
                if number % 10 == 0 and mine is got[0]:
                    with suppress(ConnectorBusy):  # not where the other was first
                        client_refs.once(user=user, ref=f"{prefix}.{number}", wish=number, act=refuse)
                requested = client_refs.once(user=user, ref=f"{prefix}.{number}", wish=number, act=begin)
                assert requested.session is not None
                mine.append(requested.session.pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=tap, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got[0]) == len(set(got[0])) == KEYS
    assert got[0] == got[1]
    assert ChargingSession.objects.filter(charger=charger).count() == KEYS
