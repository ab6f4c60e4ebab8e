"""Who comes in, looked up many at a time: after a deploy or an outage all phones dial at once.

While some are being looked up the next gather, and where they come in a crowd a moment longer: a look-up of many costs
little more than one of few. A lone phone waits for its own only.
"""

import asyncio
from collections.abc import Collection
from typing import NamedTuple

from django.contrib.auth.models import User

from chargers.events import charger_group
from gateway import auth
from gateway.auth import Claims, Refused
from gateway.db import in_db
from sessions import driver_reservations, feed, queries
from sessions.events import ReservationState, SessionState

MAX_BATCH = 200
CROWD, GATHERING_S = 5, 0.03


class Situation(NamedTuple):
    """How things are for a user: the session, the open reservations, the groups of the chargers to watch, and the
    number of the newest message. Whatever was told up to it is in the state."""

    session: SessionState | None
    reservations: list[ReservationState]
    watched: list[str]
    seq: int


Arrival = tuple[User, Situation]


async def arrival_of(claims: Claims) -> Arrival:
    """The token's user, and the state to begin with. Raises Refused."""
    return await _lookup().add(claims)


def situations_of(user_ids: Collection[int]) -> dict[int, Situation]:
    newest = feed.newest(user_ids)  # first: what is told from now on comes after the state
    found = queries.situations_of(user_ids)
    reserved = driver_reservations.open_states_of(*user_ids)
    return {
        user_id: Situation(
            state, reserved[user_id], [charger_group(each) for each in charger_ids], newest.get(user_id, 0)
        )
        for user_id, (state, charger_ids) in found.items()
    }


def _arrivals(claims: list[Claims]) -> dict[Claims, Arrival]:
    users = auth.users_for(claims)
    situations = situations_of({user.pk for user in users.values()})
    return {claim: (user, situations[user.pk]) for claim, user in users.items()}


class _Lookup:
    """Of one event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiting: list[tuple[Claims, asyncio.Future[Arrival]]] = []
        self.looking: asyncio.Task[None] | None = None

    async def add(self, claims: Claims) -> Arrival:
        future: asyncio.Future[Arrival] = self.loop.create_future()
        self.waiting.append((claims, future))
        if self.looking is None:
            self.looking = self.loop.create_task(self._look())
        return await future

    async def _look(self) -> None:
        try:
            while self.waiting:
                batch, self.waiting = self.waiting[:MAX_BATCH], self.waiting[MAX_BATCH:]
                try:
                    found: dict[Claims, Arrival] | Exception = await in_db(
                        _arrivals, [claims for claims, _ in batch]
                    )
                except Exception as error:  # the database is away: for all of them
                    found = error
                for claims, future in batch:
                    if not future.done():
                        _settle(future, found, claims)
                if len(batch) >= CROWD and len(self.waiting) < MAX_BATCH:
                    await asyncio.sleep(GATHERING_S)
        finally:
            self.looking = None


def _settle(
    future: asyncio.Future[Arrival], found: dict[Claims, Arrival] | Exception, claims: Claims
) -> None:
    if isinstance(found, Exception):
        future.set_exception(found)
    elif claims in found:
        future.set_result(found[claims])
    else:
        future.set_exception(Refused(auth.INVALID_TOKEN))


_current: _Lookup | None = None


def _lookup() -> _Lookup:
    global _current
    if _current is None or _current.loop is not asyncio.get_running_loop():
        _current = _Lookup()
    return _current
