"""The two connections to one Redis, for as long as the process lives: one listens, the other speaks.

What is to be heard is kept here, so joining works while Redis is away, and it is subscribed anew when Redis is back.
Whether it is there shows by an echo: every second the link says a word on a channel of its own and must hear it. So a
Redis that died, hangs, was cut off or gave way to another is found out in one and the same way.
"""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import hiredis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoPermissionError, ResponseError

from gateway.redis_urls import RedisPlace

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

BEAT_S = 1  # between echoes
PATIENCE_S = 1  # for one echo
CONNECT_S = 2
SHORT_PAUSE_S, LONG_PAUSE_S = 0.05, 0.4  # between tries to connect
NAMES_AT_ONCE = 1000  # in one SUBSCRIBE
GATHERING_S = 0.003
READ_SIZE = 64 * 1024

# One command for all: of each command's answer more work is made than the message was.
_PUBLISH_ALL = "for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end"


class BusAway(ConnectionLost):
    """Redis cannot be reached at the moment."""


class RedisLink:
    """One Redis: `hear` gets (channel, data) of all that comes on the wanted channels, `returned` when it was away."""

    def __init__(
        self,
        place: RedisPlace,
        *,
        prefix: str,
        hear: Callable[[bytes, bytes], None],
        returned: Callable[["RedisLink"], None],
    ) -> None:
        self.place, self.hear, self.returned = place, hear, returned
        self.echo_channel = f"{prefix}:echo:{secrets.token_hex(8)}".encode()
        self.is_up = False
        self.tried = asyncio.Event()  # before that nobody can say that it is away
        self.echoed_at = time.time()  # until then, all we were sent came through
        self.reconnects = 0
        self.wanted: set[bytes] = set()
        self._joining: set[bytes] = set()  # wishes not yet sent
        self._leaving: set[bytes] = set()
        self._changed = asyncio.Event()
        self._confirmations: dict[bytes, list[asyncio.Future[None]]] = {}  # who waits for Redis to have it
        self._echo = asyncio.Event()
        self._trouble = asyncio.Event()
        self._times_up = 0
        self._may_count = place.kind != "cluster"  # a node of one knows its own listeners alone
        self._turn = asyncio.Lock()  # to speak: an answer belongs to the command before it
        self._listening: Any = None
        self._speaking: Any = None
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    # --- what others want ---

    async def subscribe(self, name: bytes) -> None:
        """Hear this channel from now on. Returns once Redis has it, or is away: then it comes when Redis does."""
        if name not in self.wanted:
            self.wanted.add(name)
            if name in self._leaving:
                self._leaving.discard(name)
            else:
                self._joining.add(name)
                if self.is_up:
                    self._expect_confirmation(name)
                    self._changed.set()
        if not self.tried.is_set():
            await self.tried.wait()
        if (waiting := self._confirmations.get(name)) is not None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.append(future)
            await future

    def unsubscribe(self, name: bytes) -> None:
        self.wanted.discard(name)
        if name in self._joining:
            self._joining.discard(name)
            self._confirm(name)
        else:
            self._leaving.add(name)
            self._changed.set()

    def _expect_confirmation(self, name: bytes) -> None:
        self._confirmations.setdefault(name, [])

    def _confirm(self, name: bytes) -> None:
        for future in self._confirmations.pop(name, ()):
            if not future.done():
                future.set_result(None)

    async def publish(self, *pairs: bytes) -> None:
        """Publish channel, data, channel, data … in order. Raises redis' errors; BusAway at once if it is known.

        It has no time-out of its own: where Redis hangs, the echo that does not come ends the connection.
        """
        await self._in_turn(lambda connection: say(connection, *pairs))

    async def listeners(self, names: list[bytes]) -> list[int]:
        """How many listen to each of the channels; 1 where it cannot be asked. Raises as `publish` does."""
        if not self._may_count:
            return [1] * len(names)
        try:
            return await self._in_turn(lambda connection: listeners(connection, names))
        except ResponseError as error:
            logger.info("bus: %s does not say who listens: %s", self.place, error)
            self._may_count = not isinstance(error, NoPermissionError)
            return [1] * len(names)

    async def _in_turn(self, speak: Callable[[Any], Awaitable[Answer]]) -> Answer:
        if not self.tried.is_set():
            await self.tried.wait()
        async with self._turn:
            if not self.is_up:
                raise BusAway(f"the bus at {self.place} is away")
            try:
                return await speak(self._speaking)
            except ResponseError:
                raise  # it answered: nothing is wrong with the line
            except BaseException as error:
                # Its answer may still come, and nobody may take it for the next one's.
                self._trouble.set()
                self.is_up = False
                if isinstance(error, RuntimeError):  # uvloop's way to say that the line was cut
                    raise BusAway(f"the bus at {self.place} is away") from error
                raise

    # --- its life ---

    async def _live(self) -> None:
        pause_s = SHORT_PAUSE_S
        while True:
            is_news = not self.tried.is_set()
            begun = self._times_up
            try:
                await self._serve()
            except Exception as error:
                if self._times_up > begun:
                    is_news, pause_s = True, SHORT_PAUSE_S
                level = logging.WARNING if is_news else logging.DEBUG
                logger.log(level, "bus: %s is away: %s", self.place, _first_cause(error))
            finally:
                await self._disconnect()
            self.tried.set()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))
            pause_s = min(LONG_PAUSE_S, 2 * pause_s)

    async def _serve(self) -> None:
        """Connect, subscribe, and watch, until something fails."""
        address = await self.place.address()
        # Of a Cluster two nodes, so that the echo tells of the way between them as well.
        other = await self.place.address() if self.place.kind == "cluster" else address
        self._listening, self._speaking = self.place.connection(address), self.place.connection(other)
        async with asyncio.timeout(CONNECT_S):
            await self._listening.connect()
            await self._speaking.connect()
        self._trouble.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            await self._expect_echo(self._begin, patience_s=PATIENCE_S + len(self.wanted) / 10_000)
            self._is_back()
            tasks.create_task(self._follow_wishes())
            tasks.create_task(self._watch())

    async def _begin(self) -> None:
        """Subscribe to all there is; the echo comes after the last of it. Two pairs, so that a user who may not EVAL
        is told of it here."""
        self._joining.clear()
        self._leaving.clear()
        await self._send("SUBSCRIBE", [*self.wanted, self.echo_channel])
        await say(self._speaking, *(self.echo_channel, b"") * 2)

    def _is_back(self) -> None:
        was_away = self.tried.is_set()
        self.is_up = True
        self._times_up += 1
        self.tried.set()
        for name in self._joining:  # wishes that came meanwhile
            self._expect_confirmation(name)
        self._changed.set()
        if was_away:
            self.reconnects += 1
            logger.warning("bus: %s is back after %.1f s", self.place, time.time() - self.echoed_at)
            self.returned(self)
        self.echoed_at = time.time()

    async def _disconnect(self) -> None:
        self.is_up = False
        for name in list(self._confirmations):
            self._confirm(name)
        for connection in (self._listening, self._speaking):
            if connection is not None:
                with suppress(Exception):
                    await connection.disconnect(nowait=True)
        self._listening = self._speaking = None

    async def _listen(self) -> None:
        """From the stream itself: redis-py's way to one reply costs several times what the rest of a message does."""
        stream, replies = self._listening._reader, hiredis.Reader(replyError=ResponseError)
        while data := await stream.read(READ_SIZE):
            replies.feed(data)
            while (reply := replies.gets()) is not False:
                if isinstance(reply, Exception):
                    raise reply
                self._take(*reply)
        raise BusAway("it closed the line")

    def _take(self, kind: bytes, channel: bytes, data: Any) -> None:
        if kind == b"message":
            if channel == self.echo_channel:
                self._echo.set()
            else:
                self.hear(channel, data)
        elif kind == b"subscribe":
            self._confirm(channel)

    async def _follow_wishes(self) -> None:
        """Subscribe and unsubscribe: in calm at once, in a storm of sockets many at a time."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            leaving, joining = list(self._leaving), list(self._joining)
            self._leaving.clear()
            self._joining.clear()
            await self._send("UNSUBSCRIBE", leaving)
            await self._send("SUBSCRIBE", joining)
            await asyncio.sleep(GATHERING_S)

    async def _send(self, command: str, names: list[bytes]) -> None:
        for start in range(0, len(names), NAMES_AT_ONCE):
            some = names[start : start + NAMES_AT_ONCE]
            await self._listening.send_command(command, *some, check_health=False)

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._trouble.wait(), BEAT_S)
                raise BusAway("the line is cut")
            await self._expect_echo(lambda: self.publish(self.echo_channel, b""))
            self.echoed_at = time.time()

    async def _expect_echo(
        self, say_it: Callable[[], Awaitable[None]], *, patience_s: float = PATIENCE_S
    ) -> None:
        """In two halves: a process that itself stood still for long has time to read what came meanwhile."""

        async def word_and_echo() -> None:
            self._echo.clear()
            await say_it()
            await self._echo.wait()

        task = asyncio.create_task(word_and_echo())
        try:
            for _ in range(2):
                if (await asyncio.wait({task}, timeout=patience_s / 2))[0]:
                    return task.result()
            raise BusAway("it gives no echo")
        finally:
            task.cancel()


async def say(connection: Any, *pairs: bytes) -> None:
    """Publish channel, data, channel, data … and read the answer."""
    if len(pairs) == 2:
        await connection.send_command("PUBLISH", *pairs, check_health=False)
    else:
        await connection.send_command("EVAL", _PUBLISH_ALL, 0, *pairs, check_health=False)
    await connection.read_response()


async def listeners(connection: Any, names: list[bytes]) -> list[int]:
    await connection.send_command("PUBSUB", "NUMSUB", *names, check_health=False)
    return list((await connection.read_response())[1::2])


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if str(error) else type(error)()  # a time-out has no words
