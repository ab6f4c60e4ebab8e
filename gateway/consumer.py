"""The base of both sockets: a Channels consumer without a thread hop and a task per message.

Channels' own dispatch closes old database connections in a thread before every message, five times the cost of
the message itself. Our services run in gateway.db's pool, which looks after its connections, so here a message
goes straight from the socket to its handler. One further task brings what the channel layer has for us.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from channels.layers import get_channel_layer

from chargers.words import Words
from gateway import counters, logs, returning

logger = logging.getLogger(__name__)

Message = dict[str, Any]

TRY_AGAIN_LATER, AGAIN = 1013, Words("Try again later")
STUCK_S = 20

live: set["SocketConsumer"] = set()
"""Every socket of this process, from its handshake to its end."""
turns_away = False
"""Whether new sockets are refused: this process is about to leave (gateway.draining)."""


class SocketConsumer(AsyncConsumer):
    """Subclasses give `connect`, `receive`, `disconnect` and one method per kind of layer message.

    `leaves_late`: when the process leaves, these are closed after the others.
    """

    leaves_late = False
    role = ""  # what its kind is called in figures

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self.groups: set[str] = set()
        self.is_open = False
        self.is_handling = True  # its handshake
        self.busy_since = 0.0  # with one message of the layer (monotonic clock), 0 if with none

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.scope, self.base_send = scope, send
        logs.begin()
        if turns_away:
            counters.refused[self.role, "draining"] += 1
            await self._turn_away(receive, self.refuse(503, AGAIN, [returning.header(AGAIN)]))
            return
        live.add(self)
        try:
            await self._live(receive)
        finally:
            live.discard(self)

    async def _turn_away(
        self, receive: Callable[[], Awaitable[Message]], word: Coroutine[Any, Any, None]
    ) -> None:
        await receive()  # its connect
        await word
        while (await receive())["type"] != "websocket.disconnect":
            pass
        await asyncio.sleep(0.05)  # uvicorn takes a refusal for unfinished until its line is closed

    async def _live(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self.channel_layer: Any = get_channel_layer(self.channel_layer_alias)
        self.channel_name: str = await self.channel_layer.new_channel()  # also while the bus is away
        pump = asyncio.create_task(self._pump())
        code = 1011  # what it ends with unless the socket says otherwise: a fault of ours, or of the server's stop
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                self.is_handling = True
                if message["type"] == "websocket.receive":
                    await self.receive(message.get("text"), message.get("bytes"))
                elif message["type"] == "websocket.connect":
                    await self.connect()
                    # Read by now; a socket lives for days, and needs neither their room nor the secrets in them.
                    self.scope["headers"], self.scope["query_string"] = [], b""
                self.is_handling = False
            code = message.get("code", 1005)
        except StopConsumer:
            code = 1000
        finally:
            counters.closed[self.role, str(code) if code in counters.CLOSE_CODES else counters.OTHER] += 1
            await _ended({pump})
            try:
                await self._end(code)
            finally:
                await self._leave_all()
                await self._forget_channel()

    def is_at_work(self) -> bool:
        """Whether something is under way here that has still to be answered."""
        return self.is_handling or bool(self.tasks)

    async def _end(self, code: int) -> None:
        self.is_open = False
        await _ended(self.tasks)
        await self.disconnect(code)

    async def _pump(self) -> None:
        while True:
            self.busy_since = 0.0
            message = await self.channel_layer.receive(self.channel_name)
            self.busy_since = time.monotonic()
            handler = getattr(self, get_handler_name(message), None)
            try:
                if handler is None:
                    logger.error("no handler for layer message %s", message["type"])
                else:
                    await handler(message)
            except (
                OSError
            ):  # the server's way to say that the client is gone; the end of the socket is on its way
                logger.debug("layer message %s came too late", message["type"])
            except Exception:  # one bad message must not deafen the socket
                logger.exception("layer message %s failed", message["type"])

    # --- for subclasses ---

    async def connect(self) -> None:
        raise NotImplementedError

    async def receive(self, text: str | None, data: bytes | None) -> None:
        raise NotImplementedError

    async def disconnect(self, code: int) -> None:
        raise NotImplementedError

    async def accept(self, subprotocol: str | None = None) -> None:
        await self.base_send({"type": "websocket.accept", "subprotocol": subprotocol})
        self.is_open = True

    async def send_text(self, text: str) -> None:
        """As `_hand_over`, which would cost each message a coroutine more."""
        if self.is_open:
            try:
                await self.base_send({"type": "websocket.send", "text": text})
            except (OSError, RuntimeError) as error:
                self._is_gone(error)

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code and, where the server can, a reason a person can read.

        Daphne cannot (ASGI has reasons since 2.3), and knows only 1000 and the private codes: there 1008 is 4008.
        """
        if self.is_open:
            self.is_open = False
            if code != 1000 and self.scope.get("asgi", {}).get("spec_version", "2.0") < "2.3":
                code += 3000
            await self._hand_over({"type": "websocket.close", "code": code, "reason": reason})

    async def _hand_over(self, message: Message) -> None:
        """Give the server a message for the peer. A peer that is gone is no fault: the disconnect is on its way."""
        try:
            await self.base_send(message)
        except (OSError, RuntimeError) as error:  # uvicorn: it left; uvicorn closed it for want of a pong
            self._is_gone(error)

    def _is_gone(self, error: Exception) -> None:
        self.is_open = False
        logger.debug("not sent: %s", error)

    async def refuse(self, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """Answer the handshake with an HTTP error; a server without that extension answers 403."""
        if "websocket.http.response" in self.scope.get("extensions", {}):
            start = {
                "type": "websocket.http.response.start",
                "status": status,
                "headers": [(b"content-type", b"text/plain; charset=utf-8"), *(headers or [])],
            }
            await self.base_send(start)
            await self.base_send({"type": "websocket.http.response.body", "body": text.encode()})
        else:
            await self.base_send({"type": "websocket.close"})

    def keep(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run beside the reading of frames; kept, its failure logged, cancelled when the socket ends."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a socket's task failed", exc_info=error)

    async def join(self, group: str) -> None:
        if group not in self.groups:
            self.groups.add(group)
            try:
                await self.channel_layer.group_add(group, self.channel_name)
            except BaseException:
                self.groups.discard(group)
                raise

    async def leave(self, group: str) -> None:
        if group in self.groups:
            self.groups.discard(group)
            await self.channel_layer.group_discard(group, self.channel_name)

    async def _leave_all(self) -> None:
        for group in list(self.groups):
            try:
                await self.leave(group)
            except Exception as error:  # the bus is down; it has forgotten us already
                logger.warning("leaving %s: %s", group, error)

    async def _forget_channel(self) -> None:
        if forget := getattr(self.channel_layer, "forget", None):  # our own layers have it
            try:
                await forget(self.channel_name)
            except Exception as error:  # as above
                logger.warning("forgetting %s: %s", self.channel_name, error)

    def is_stuck(self) -> bool:
        """Whether its client has not taken a message for long. What waits meanwhile is bounded, and kept elsewhere."""
        return 0 < self.busy_since < time.monotonic() - STUCK_S

    async def queue_overflow(self, message: Message) -> None:
        """More waited for this client than it reads: it reconnects and gets the state as it is."""
        await self.close(TRY_AGAIN_LATER, Words("Too slow"))


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel until they have ended. Once is not enough: before Python 3.12 `wait_for`, which redis-py uses, loses a
    cancellation that comes together with its result, and the socket would never be given up."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=1)
