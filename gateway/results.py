"""Waiting for the end of a command, whichever process the charger is connected to.

The process listens on one channel of its own. A waiter joins the command's group before the command can end
and reads the row afterwards, so no end is missed. The bus only says when to look; every second we look anyway, since
it may be away.
"""

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.layers import get_channel_layer

from chargers.events import command_group
from chargers.models import Command
from gateway.db import in_db

logger = logging.getLogger(__name__)

LOOK_S = 1


class _Results:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.layer: Any = get_channel_layer()
        self.waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.channel = ""
        self.opening = asyncio.Lock()
        self.tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        async with self.opening:
            if not self.tasks:
                self.channel = await self.layer.new_channel()
                self.tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look())]

    async def _listen(self) -> None:
        while True:
            message = await self.layer.receive(self.channel)
            try:
                await self._take(message)
            except Exception:  # the database may be away; without this listening nobody would hear of any end
                logger.exception("layer message %s failed", message["type"])

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "command.done":
            self._set([message["id"]])
        elif message["type"] == "queue.overflow":  # what was dropped, the rows know
            self._set(await in_db(_finished, list(self.waiters)))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if self.waiters:
                try:
                    self._set(await in_db(_finished, list(self.waiters)))
                except Exception as error:  # the database is away: the next look tells
                    logger.warning("looking for the ends of commands: %s", error)

    def _set(self, ids: list[str]) -> None:
        for key in ids:
            for event in self.waiters.get(key, ()):
                event.set()


def _finished(ids: list[str]) -> list[str]:
    ended = Command.objects.filter(pk__in=ids, finished_at__isnull=False)
    return [str(pk) for pk in ended.values_list("pk", flat=True)]


_results: _Results | None = None


def _of_this_loop() -> _Results:
    global _results
    if _results is None or _results.loop is not asyncio.get_running_loop():
        _results = _Results()
    return _results


@asynccontextmanager
async def expecting(command_id: uuid.UUID) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the command has ended. Entered before the command is sent, or its row read."""
    results = _of_this_loop()
    await results.open()
    key, event = str(command_id), asyncio.Event()
    if not results.waiters[key]:
        await results.layer.group_add(command_group(key), results.channel)
    results.waiters[key].add(event)
    try:
        yield event
    finally:
        results.waiters[key].discard(event)
        if not results.waiters[key]:
            del results.waiters[key]
            try:
                await results.layer.group_discard(command_group(key), results.channel)
            except Exception as error:  # the bus is down; that must not spoil an answer that is there
                logger.warning("leaving the group of command %s: %s", key, error)


async def wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether it was set in time."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
