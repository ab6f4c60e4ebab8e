"""A socket's messages from the channel layer: bounded, counted, and read by one."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

MAX_WAITING = 256
# So many wait only for a reader that lags: of each session's ticks it then gets the newest.
LAGGING = 8

Message = dict[str, Any]

# What a socket's consumer gets instead of what it did not read: it closes, and the client comes back to a snapshot.
OVERFLOW: Message = {"type": "queue.overflow"}


@dataclass
class Counters:
    """Since the process began. `coalesced`: ticks that gave way to a newer one; `overflowed`: queues that were full and
    forgot what waited; `undelivered`: messages that could not be published."""

    published: int = 0
    delivered: int = 0
    coalesced: int = 0
    overflowed: int = 0
    undelivered: int = 0


counters = Counters()


class Inbox:
    """A socket's messages, for one reader. A tick takes the place of the one before if that is unread. Full, it
    forgets all and says so: unread it would grow without limit, and what counts is kept elsewhere."""

    __slots__ = ("groups", "messages", "waiting")

    def __init__(self) -> None:
        self.groups: Collection[Any] = ()  # those it is in, so that none remembers it longer than it lives
        self.messages: list[Message] = []  # few at a time; a deque alone is half a kilobyte
        self.waiting: asyncio.Future[None] | None = None

    def enter(self, group: Any) -> None:
        if not isinstance(self.groups, set):  # chargers' are in none
            self.groups = set()
        self.groups.add(group)

    def leave(self, group: Any) -> None:
        if isinstance(self.groups, set):
            self.groups.discard(group)

    def put(self, message: Message) -> None:
        if len(self.messages) >= LAGGING and "tick" in message:
            self._forget_ticks(message["tick"])
        if len(self.messages) >= MAX_WAITING:
            self.messages.clear()
            message = OVERFLOW
            counters.overflowed += 1
        self.messages.append(message)
        counters.delivered += 1
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def _forget_ticks(self, tick: Any) -> None:
        kept = [message for message in self.messages if message.get("tick") != tick]
        counters.coalesced += len(self.messages) - len(kept)
        self.messages = kept

    async def get(self) -> Message:
        while not self.messages:
            self.waiting = asyncio.get_running_loop().create_future()
            try:
                await self.waiting
            finally:
                self.waiting = None
        return self.messages.pop(0)
