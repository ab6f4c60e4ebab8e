"""Phones that come in together are looked up together, and each finds what it would have found alone."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chargers.events import utcnow
from gateway import actions, arrivals, auth
from gateway.arrivals import Arrival, arrival_of
from gateway.auth import Claims, Refused
from gateway.together import NothingFound, together
from sessions import metering, queries
from sessions.metering import Metered, Metering
from sessions.models import ChargingSession
from sessions.readings import Reading
from tests.factories import make_session, make_user, token_of

pytestmark = pytest.mark.django_db(transaction=True)


def claims_of(user: Any) -> Claims:
    return auth.claims_of(token_of(user))


def reads(session: ChargingSession, *registers: int | None, **values: Any) -> None:
    for minute, energy_wh in enumerate(registers):
        at = utcnow() - timedelta(minutes=len(registers) - minute)
        reading = Reading(measured_at=at, received_at=at, energy_wh=energy_wh, sampled_values=b"[]", **values)
        metering.record_readings([Metering(Metered(session.charger_id, 1, session), [reading])])


def test_many_states_are_read_at_once_and_each_is_as_if_read_alone() -> None:
    began = {"started_at": utcnow() - timedelta(hours=1)}
    running = make_session(user=make_user(), **began)
    reads(running, *range(1000, 1900, 100), power_w=7400.0)
    spread = make_session(user=make_user(), **began)
    reads(spread, 2000, None, None, soc_percent=40.0)
    suspect = make_session(user=make_user(), **began)
    reads(suspect, 1500, 900_000_000)
    quiet, ended = make_session(user=make_user()), make_session(user=make_user(), status="completed")
    filling = [make_session(user=make_user(), **began) for _ in range(2)]
    for number, session in enumerate(filling):
        reads(session, *[None] * 7, soc_percent=20.0)
        reads(session, None, soc_percent=30.0 + number)
    sessions = [running, spread, suspect, quiet, ended, *filling]
    with CaptureQueriesContext(connection) as together:
        states = queries.states_of(sessions)
    for session in sessions:
        alone = queries.state_of(session)
        assert states[session.pk].energy_delivered == alone.energy_delivered
        assert states[session.pk].power == alone.power
        assert states[session.pk].charge_percentage == alone.charge_percentage
        assert states[session.pk].time_remaining == alone.time_remaining
    assert states[running.pk].energy_delivered == 0.8
    assert states[spread.pk].energy_delivered == 1.0
    assert states[suspect.pk].energy_delivered == 0.5
    assert None not in {states[session.pk].time_remaining for session in filling}
    if connection.vendor == "postgresql":  # the newest readings, and where states of charge began
        assert len(together) == 2


async def test_who_comes_at_once_is_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    look_up = arrivals._arrivals

    def counted(claims: list[Claims]) -> dict[Claims, Arrival]:
        batches.append(len(claims))
        return look_up(claims)

    monkeypatch.setattr(arrivals, "_arrivals", counted)
    users = await asyncio.to_thread(lambda: [make_user() for _ in range(6)])
    session = await asyncio.to_thread(lambda: make_session(user=users[1]))
    claims = await asyncio.to_thread(lambda: [claims_of(user) for user in users])
    await asyncio.to_thread(users[2].delete)
    found = await asyncio.gather(*map(arrival_of, claims), return_exceptions=True)
    assert sum(batches) == 6 and len(batches) <= 2
    for user, arrival in zip(users, found, strict=True):
        if user is users[2]:
            assert isinstance(arrival, Refused)
            continue
        assert not isinstance(arrival, BaseException), arrival
        assert arrival[0] == user
        state, watched = arrival[1].session, arrival[1].watched
        assert (state.session_id if state else None) == (session.pk if user is users[1] else None)
        assert watched == ([f"charger.{session.charger_id}"] if user is users[1] else [])


async def test_what_many_ask_at_once_is_asked_of_the_database_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The active session."""
    asked: list[list[int]] = []
    look_up = queries.situations_of

    def counted(user_ids: list[int]) -> Any:
        asked.append(user_ids)
        return look_up(user_ids)

    monkeypatch.setattr(queries, "situations_of", counted)
    users = await asyncio.to_thread(lambda: [make_user() for _ in range(6)])
    session = await asyncio.to_thread(lambda: make_session(user=users[1]))
    answers: list[Any] = await asyncio.gather(
        *(actions.perform(user, "get_active_session", msgspec.Raw(b"{}")) for user in users)
    )
    assert [each.session and each.session.session_id for each in answers] == [None, session.pk, *[None] * 4]
    assert sum(map(len, asked)) == 6 and len(asked) <= 2


def test_a_session_that_ends_while_it_is_looked_up_is_active_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user()
    session = make_session(user=user)
    with_relations = queries.with_relations

    def meanwhile(sessions: Any) -> Any:
        ChargingSession.objects.filter(pk=session.pk).update(status="completed")
        return with_relations(sessions)

    monkeypatch.setattr(queries, "with_relations", meanwhile)
    assert queries.situations_of([user.pk]) == {user.pk: (None, [])}


async def test_what_goes_wrong_with_one_is_not_the_others() -> None:
    def look_up(numbers: list[int]) -> dict[int, float]:
        return {number: 6 / number for number in numbers if number < 4}

    found = await asyncio.gather(
        *(together(look_up, number) for number in (3, 0, 2, 9)), return_exceptions=True
    )
    assert (found[0], found[2]) == (2, 3)
    assert [type(found[1]), type(found[3])] == [ZeroDivisionError, NothingFound]


async def test_a_database_that_fails_is_told_to_all_and_the_next_are_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = await asyncio.to_thread(make_user)
    claims = await asyncio.to_thread(claims_of, user)
    with monkeypatch.context() as broken:
        broken.setattr(auth, "users_for", lambda claims: 1 / 0)
        found = await asyncio.gather(*(arrival_of(claims) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in found] == [ZeroDivisionError] * 3
    assert (await arrival_of(claims))[0] == user
