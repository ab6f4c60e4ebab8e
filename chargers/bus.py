"""The way up: messages on the channel layer, sent after commit, from any thread. Hints only: rows are the memory.

A server process attaches its event loop once; from then on everything posted in the process goes through one
task, in order and many at a time. A process without a server (a management command) sends directly.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

logger = logging.getLogger(__name__)

# (group or channel, message). A group is marked by the first member.
Envelope = tuple[bool, str, dict[str, Any]]

MAX_WAITING = 20_000


def to_group(group: str, message: dict[str, Any]) -> Envelope:
    """An envelope for every member of a group; `message["type"]` names the consumer's method."""
    return True, group, message


def to_channel(channel: str, message: dict[str, Any]) -> Envelope:
    """An envelope for one consumer."""
    return False, channel, message


def send_on_commit(envelopes: Iterable[Envelope]) -> None:
    """Send once the current transaction is committed (at once without one). A dead bus never undoes the write."""
    if batch := list(envelopes):
        transaction.on_commit(
            lambda: post(batch), robust=True
        )  # Django names it if it fails: a partial has no name


def post(envelopes: list[Envelope]) -> None:
    """Send now, from any thread, without waiting for it."""
    if _publisher is not None:
        _publisher.post(envelopes)
    else:
        async_to_sync(_deliver)(envelopes)


async def _deliver(envelopes: list[Envelope]) -> None:
    layer = get_channel_layer()
    try:
        if many := getattr(layer, "deliver", None):
            await many(envelopes)
            return
        for is_group, address, message in envelopes:
            await (layer.group_send if is_group else layer.send)(address, message)
    except (
        Exception
    ) as error:  # the bus is down: what matters is in the database, clients read it on reconnect
        logger.warning("bus: %d messages not sent: %s", len(envelopes), error)


class _Publisher:
    """Drains what all threads post, in order; while one batch is on its way the next one gathers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: deque[Envelope] = deque(maxlen=MAX_WAITING)
        self.arrived = asyncio.Event()
        self.task = loop.create_task(self._drain())

    def post(self, envelopes: list[Envelope]) -> None:
        self.loop.call_soon_threadsafe(self._add, envelopes)

    def _add(self, envelopes: list[Envelope]) -> None:
        self.waiting.extend(envelopes)
        self.arrived.set()

    async def _drain(self) -> None:
        while True:
            await self.arrived.wait()
            self.arrived.clear()
            while self.waiting:
                batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), 500))]
                await _deliver(batch)


_publisher: _Publisher | None = None


def attach() -> Callable[[], None]:
    """Route this process's messages through the running event loop; returns what undoes it."""
    global _publisher
    publisher = _publisher = _Publisher(asyncio.get_running_loop())

    def detach() -> None:
        global _publisher
        publisher.task.cancel()
        if _publisher is publisher:
            _publisher = None

    return detach
