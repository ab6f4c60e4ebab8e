"""After an outage of the bus: what was not heard is looked up in the database, on the sockets as they are.

Nothing that counts is on the bus alone. A socket that missed a message gets the state as it is now, and a command
that nobody could be told of ends at once instead of at its time-out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from channels.layers import get_channel_layer

from chargers import availability
from chargers import queries as charger_queries
from chargers.bus import Envelope
from chargers.errors import ChargerUnreachable
from chargers.events import envelopes_for
from chargers.services import audience
from gateway.db import in_db
from gateway.layers import RedisLayer
from sessions import services

logger = logging.getLogger(__name__)

GATHER_S = 0.2  # every process may tell of the same outage
SLOW_CLOCKS = timedelta(minutes=10)  # what chargers tell bears their own time


class Resync:
    """`works` are called one after the other with the time since which something may have been missed."""

    def __init__(self, *works: Callable[[datetime], Awaitable[None]]) -> None:
        self.works = works
        self.since: datetime | None = None
        self.arrived = asyncio.Event()
        self.endings: set[asyncio.Task[None]] = set()
        layer = get_channel_layer()
        if isinstance(layer, RedisLayer):
            layer.on_return = self.due

    def due(self, since: datetime) -> None:
        self.since = min(since, self.since or since)
        self.arrived.set()

    async def run(self) -> None:
        while True:
            await self.arrived.wait()
            await asyncio.sleep(GATHER_S)
            since, self.since = self.since, None
            self.arrived.clear()
            assert since is not None  # it came with the word that something arrived
            for work in self.works:
                try:
                    await work(since)
                except Exception:  # the database may be away, too; sockets that are closed by that come back
                    logger.exception("after an outage of the bus")

    def lost(self, envelopes: list[Envelope]) -> None:
        """Messages that could not be sent: the commands among them will not be, either (E47)."""
        ids = [message["id"] for _, _, message in envelopes if message["type"] == "command.ready"]
        if ids:
            task = asyncio.create_task(_give_up(ids))
            self.endings.add(task)
            task.add_done_callback(self.endings.discard)


async def _give_up(command_ids: list[str]) -> None:
    for command_id in command_ids:
        try:
            await in_db(services.abandon_command, command_id, error=ChargerUnreachable.code)
        except Exception:  # the sweep ends it
            logger.exception("command %s could not be ended", command_id)


async def retell_chargers(since: datetime) -> None:
    """The state of chargers that changed since then, to whoever of this process subscribed to them."""
    layer = get_channel_layer()
    if isinstance(layer, RedisLayer):
        await layer.deliver_here(await in_db(_changed, since - SLOW_CLOCKS))


def _changed(since: datetime) -> list[Envelope]:
    return [
        envelope
        for charger in charger_queries.changed_since(since)
        for envelope in envelopes_for(
            availability.status_update(charger),
            audience(charger),
            at=availability.position(charger.station),
        )
    ]
