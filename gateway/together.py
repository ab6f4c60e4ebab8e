"""Look-ups many at a time: what many ask in one moment the database is asked once.

While some are being looked up the next gather, and where many ask a moment longer: a look-up of many costs little more
than one of few. In calm everybody waits for his own only.
"""

import asyncio
from collections.abc import Callable, Hashable
from contextvars import Context
from typing import Any, Generic, TypeVar

from django.db import InterfaceError, OperationalError

from gateway.db import in_db

MAX_BATCH = 200
CROWD, GATHERING_S = 5, 0.03

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class NothingFound(LookupError):
    pass


async def together(look_up: Callable[[list[Key]], dict[Key, Value]], key: Key) -> Value:
    """What `look_up`, a service, finds for the key. Raises NothingFound, or what it raised."""
    loop = asyncio.get_running_loop()
    current = _current.get(look_up)
    if current is None or current.loop is not loop:
        current = _current[look_up] = _LookUp(loop, look_up)
    return await current.add(key)


class _LookUp(Generic[Key, Value]):
    """Of one event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, look_up: Callable[[list[Key]], dict[Key, Value]]
    ) -> None:
        self.loop, self.look_up = loop, look_up
        self.waiting: list[tuple[Key, asyncio.Future[Value]]] = []
        self.looking: asyncio.Task[None] | None = None

    async def add(self, key: Key) -> Value:
        future: asyncio.Future[Value] = self.loop.create_future()
        self.waiting.append((key, future))
        if self.looking is None:  # in a context of its own: it looks for others, too
            self.looking = self.loop.create_task(self._look(), context=Context())
        return await future

    async def _look(self) -> None:
        try:
            while self.waiting:
                batch, self.waiting = self.waiting[:MAX_BATCH], self.waiting[MAX_BATCH:]
                found = await self._found([key for key, _ in batch])
                for key, future in batch:
                    if not future.done():
                        _settle(future, found.get(key, NothingFound(key)))
                if len(batch) >= CROWD and len(self.waiting) < MAX_BATCH:
                    await asyncio.sleep(GATHERING_S)
        finally:
            self.looking = None

    async def _found(self, keys: list[Key]) -> dict[Key, Value | Exception]:
        """What went wrong with one is not the others'; but where the database is away, it is for all of them."""
        try:
            return dict(await in_db(self.look_up, keys))
        except Exception as error:
            if len(keys) == 1 or isinstance(error, OperationalError | InterfaceError):
                return dict.fromkeys(keys, error)
        return {key: found for each in keys for key, found in (await self._found([each])).items()}


def _settle(future: asyncio.Future[Value], found: Value | Exception) -> None:
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)


_current: dict[Any, _LookUp[Any, Any]] = {}
