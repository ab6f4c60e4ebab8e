"""What one app socket hears of chargers: by identity, by station, by an area of the map, or all of them."""

import asyncio
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q

from chargers import cells
from chargers import queries as charger_queries
from chargers.cells import Box, Position
from chargers.errors import NotFound
from chargers.events import ALL_CHARGERS, charger_group, station_group
from chargers.models import Charger, Station
from chargers.words import Words
from gateway import protocol
from gateway.actions import box_of, charger_state
from gateway.consumer import Message, SocketConsumer
from gateway.db import in_db
from gateway.errors import ValidationFailed

MAX_STATES = 500

# What the client calls it: the name of the field, and its value.
Label = tuple[str, Any]


class Subscriptions:
    """Of one socket. Changes of them are made one after the other (`changing`)."""

    def __init__(self, socket: SocketConsumer) -> None:
        self.socket = socket
        self.chosen: dict[str, Label] = {}  # by group
        self.box: Box | None = None
        self.cells: set[str] = set()
        self.changing = asyncio.Lock()
        self.waiting: list[Message] | None = None  # while the state is read, what comes after it

    def wants(self, message: Message) -> bool:
        """Of what is told in a cell of the map, what happened in the area that is looked at."""
        return "at" not in message or (self.box is not None and self.box.holds(Position(*message["at"])))

    async def add(self, wish: protocol.Subscribe) -> protocol.Subscribed:
        """Join first and read then, so that what is not in the states comes as an event. `changing` is the caller's."""
        box, covering = area_of(wish.bbox)
        groups = await in_db(_groups_of, wish)
        await asyncio.gather(*(self.socket.join(group) for group in [*groups, *covering]))
        self.chosen.update(groups)
        if box is not None:
            await self._look_at(box, covering)
        states = await in_db(_states, wish, box)
        return protocol.Subscribed(
            subscribed=self._summary(),
            chargers=states[:MAX_STATES],
            complete=len(states) <= MAX_STATES and not wish.all,
        )

    async def remove(self, wish: protocol.Unsubscribe, *, needed: set[str]) -> protocol.Unsubscribed:
        """`needed`: groups the socket is in for other reasons, too."""
        async with self.changing:
            for group in await in_db(_groups_of, wish):
                self.chosen.pop(group, None)
                if group not in needed:
                    await self.socket.leave(group)
            if wish.bbox is not False:
                await self._look_at(None, set())
        return protocol.Unsubscribed(subscribed=self._summary())

    async def _look_at(self, box: Box | None, covering: set[str]) -> None:
        left, self.box, self.cells = self.cells - covering, box, covering
        for group in left:
            await self.socket.leave(group)

    def _summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = {"all": False, "charger_ids": [], "station_ids": []}
        for kind, value in self.chosen.values():
            if kind == "all":
                summary["all"] = True
            else:
                summary[kind].append(value)
        return {**summary, "bbox": self.box._asdict() if self.box else None}


def area_of(area: protocol.BoundingBox | None) -> tuple[Box | None, set[str]]:
    """The box, and the groups of the cells that cover it."""
    if area is None:
        return None, set()
    box = box_of(area)
    covering = cells.groups_of(box)
    if covering is None:
        raise ValidationFailed(Words("The area is too large to be told of every change in it: zoom in"))
    return box, covering


def _groups_of(wish: protocol.Subscribe | protocol.Unsubscribe) -> dict[str, Label]:
    """Raises NotFound for what does not exist."""
    groups: dict[str, Label] = {}
    if wish.all:
        groups[ALL_CHARGERS] = ("all", True)
    accepted = Charger.objects.filter(registration=Charger.Registration.ACCEPTED)
    known = dict(accepted.filter(identity__in=wish.charger_ids).values_list("identity", "pk"))
    for identity in wish.charger_ids:
        if identity not in known:
            raise NotFound(Words("There is no charger %(charger)s", charger=identity))
        groups[charger_group(known[identity])] = ("charger_ids", identity)
    stations = set(Station.objects.filter(pk__in=wish.station_ids).values_list("pk", flat=True))
    for station_id in wish.station_ids:
        if station_id not in stations:
            raise NotFound(Words("There is no station %(station)s", station=station_id))
        groups[station_group(station_id)] = ("station_ids", station_id)
    return groups


def _states(wish: protocol.Subscribe, box: Box | None) -> list[protocol.ChargerState]:
    """What was named as it is now, at most one more than is told."""
    named = []
    if wish.charger_ids:
        named.append(Q(identity__in=wish.charger_ids))
    if wish.station_ids:
        named.append(Q(station_id__in=wish.station_ids))
    if box is not None:
        named.append(charger_queries.within(box))
    if not named:
        return []
    chargers = charger_queries.visible().filter(reduce(or_, named)).order_by("identity")
    return [charger_state(charger) for charger in chargers[: MAX_STATES + 1]]
