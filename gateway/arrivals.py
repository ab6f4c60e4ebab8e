"""Who comes in, looked up many at a time: after a deploy or an outage all phones dial at once."""

from collections.abc import Collection
from typing import NamedTuple

from django.contrib.auth.models import User

from chargers.events import charger_group
from gateway import auth
from gateway.auth import Claims, Refused
from gateway.together import NothingFound, together
from sessions import driver_reservations, feed, queries
from sessions.events import ReservationState, SessionState


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
    try:
        return await together(_arrivals, claims)
    except NothingFound:
        raise Refused(auth.INVALID_TOKEN) from None


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
