"""Group commit: what many chargers send at once is written at once, committed, and only then acknowledged.

There is no timer: while one batch is being written the next one gathers, so a lone message waits for its own
commit only and a flood makes large batches by itself.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection, connections

from gateway.counters import Histogram
from gateway.db import call_service
from sessions.metering import Metering, record_readings

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Done = Callable[[Exception | None], None]

# Small enough that some chargers are answered, and speak again, while the messages of others are written.
MAX_BATCH = 200
MAX_WAITING = 5000
MANY = MAX_BATCH // 4

batches = Histogram((1, 2, 5, 10, 20, 50, 100, MAX_BATCH))
commit_durations = Histogram()


class GroupCommitWriter(Generic[Item]):
    """Hands batches of items to `write`, in order of arrival, in threads of its own.

    One batch at a time; with more `lanes`, another beside it where many wait: the database syncs one while the next is
    made ready.
    """

    def __init__(self, write: Callable[[list[Item]], None], *, lanes: int = 1) -> None:
        self.write = write
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[tuple[Item, Done]] = deque()
        self.outside: deque[asyncio.Future[None]] = deque()  # those for whom there was no place
        self.threads = [ThreadPoolExecutor(1, thread_name_prefix="writer") for _ in range(lanes)]
        self.idle = list(self.threads)
        self.flushing: set[asyncio.Task[None]] = set()
        self.is_gathering = False  # a batch whose turn comes in a moment

    async def add(self, item: Item) -> None:
        """Return once the item is committed; raise what kept it from being.

        Where too many wait, it waits for a place; its charger's socket is not read meanwhile: TCP tells the charger.
        """
        if len(self.waiting) >= MAX_WAITING:
            place: asyncio.Future[None] = self.loop.create_future()
            self.outside.append(place)
            await place
        future: asyncio.Future[None] = self.loop.create_future()
        self.waiting.append((item, partial(_settle, future)))
        self._flush_what_is_due()
        await future

    def put(self, item: Item, done: Done) -> bool:
        """As `add`, without a task that waits: `done` is called with None, or what kept the item from being stored.

        False where too many wait: then it is not taken.
        """
        if len(self.waiting) >= MAX_WAITING:
            return False
        self.waiting.append((item, done))
        self._flush_what_is_due()
        return True

    def _flush_what_is_due(self) -> None:
        if self.idle and not self.is_gathering and len(self.waiting) >= (MANY if self.flushing else 1):
            self.is_gathering = True
            self.flushing.add(self.loop.create_task(self._flush(self.idle.pop())))

    async def _flush(self, thread: ThreadPoolExecutor) -> None:
        """One batch: what has gathered when its turn comes."""
        batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), MAX_BATCH))]
        self.is_gathering = False
        self._let_in()
        self._flush_what_is_due()
        begun = self.loop.time()
        errors: list[Exception | None] = [RuntimeError("this process ends")] * len(batch)
        try:
            errors = await self.loop.run_in_executor(thread, self._write, [item for item, _ in batch])
        except Exception as error:  # the thread has ended, with the process: nobody is to wait for it
            errors = [error] * len(batch)
        finally:  # also where this task is cancelled
            self.idle.append(thread)
            self.flushing.discard(asyncio.current_task())
            _tell(batch, errors)
            self._flush_what_is_due()
        batches.add(len(batch))
        commit_durations.add(self.loop.time() - begun)

    def _let_in(self) -> None:
        for _ in range(min(len(self.outside), MAX_WAITING - len(self.waiting))):
            if not (place := self.outside.popleft()).done():
                place.set_result(None)

    def _write(self, items: list[Item]) -> list[Exception | None]:
        """Write all at once; if that fails each on its own, so that a bad one spoils no other.

        A database that is away fails all at once: asked for each, it would keep the next batches waiting.
        """
        try:
            call_service(self.write, items)
            return [None] * len(items)
        except Exception as error:
            if len(items) == 1 or isinstance(error, OperationalError | InterfaceError):
                logger.exception("%d meter values were not written", len(items))
                return [error] * len(items)
        return [result for item in items for result in self._write([item])]

    async def stop(self) -> None:
        """Write what waits, then end the threads."""
        while self.flushing:
            await asyncio.wait(self.flushing)
        for thread in self.threads:
            await self.loop.run_in_executor(thread, connections.close_all)
            thread.shutdown()


def _tell(batch: list[tuple[Item, Done]], errors: list[Exception | None]) -> None:
    for (_, done), failure in zip(batch, errors, strict=True):
        try:
            done(failure)
        except Exception:  # the others wait to hear of theirs
            logger.exception("who waited for a commit failed on hearing of it")


def _settle(future: "asyncio.Future[None]", failure: Exception | None) -> None:
    if not future.done():
        future.set_exception(failure) if failure else future.set_result(None)


_writer: GroupCommitWriter[Metering] | None = None


def writer() -> GroupCommitWriter[Any]:
    """This process's writer of meter readings."""
    global _writer
    if _writer is None or _writer.loop is not asyncio.get_running_loop():
        # SQLite has one writer, whoever asks.
        _writer = GroupCommitWriter(record_readings, lanes=2 if connection.vendor == "postgresql" else 1)
    return _writer


def waiting() -> int:
    """Messages that wait for their commit. From any thread."""
    return len(_writer.waiting) if _writer is not None else 0


async def stop_writer() -> None:
    global _writer
    if _writer is not None:
        current, _writer = _writer, None
        await current.stop()
