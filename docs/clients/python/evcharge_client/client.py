"""The app socket as a program wants it: answers awaited, events in order and each once, whatever the line does."""

import asyncio
import contextlib
import json
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .api import GetToken
from .errors import EvChargeError, error_of
from .protocol import WITH_CLIENT_REF, Actions, Event, EventName, Listening

FIRST_WAIT_S = 0.5
STEADY_S = 10.0  # a line that held so long was a good one: waits begin small again
SAME_WISH_S = 120.0  # so long after it went unanswered the same start is taken for the same wish
POLICY_VIOLATION = 1008
AT_CAPACITY = re.compile(
    "capacity|too many|try again", re.IGNORECASE
)  # refusals with 1008 not about the token
PASSING = {"network", "unavailable", "rate_limited", "internal_error", "timeout"}  # a later try may mend it
SESSION_ENDS = {"session_completed", "session_error"}
OPEN_RESERVATIONS = {"requested", "active"}
UNNUMBERED = {
    "meter_value",
    "active_session_update",
}  # repeat the number of the one before: nothing is missed with them


class _Pending(NamedTuple):
    text: str
    answer: asyncio.Future[dict[str, Any]]


class EvCharge(Actions, Listening):
    """One user's live line, which comes back by itself: `async with EvCharge(url, token=…) as ev: …`.

    `get_token` is asked with why (`connect`, `refused`, `expiring`), as Login.get_token is. `last_seq` may be
    given to go on from where an earlier run of the program was.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        get_token: GetToken | None = None,
        lang: str | None = None,
        last_seq: int | None = None,
        timeout_s: float = 40.0,
        longest_wait_s: float = 30.0,
        **options: Any,
    ) -> None:
        """Waits between tries grow up to `longest_wait_s`. `options` go to websockets' connect()."""
        self.url, self.token, self.get_token, self.lang = url, token, get_token, lang
        self.timeout_s, self.longest_wait_s, self.options = timeout_s, longest_wait_s, options
        self.last_seq, self.user_id = last_seq, None
        self._socket: ClientConnection | None = None
        self._line: asyncio.Task[None] | None = None
        self._connected: asyncio.Future[None] | None = None
        self._pending: dict[str, _Pending] = {}
        self._refs: dict[str, tuple[str, float]] = {}
        self._listeners: list[Callable[[Any], None]] = []
        self._subscribed: dict[str, Any] | None = None
        self._numbers = 0
        self._renewed = False
        self._retry_after_s = 0.0
        self._asides: set[asyncio.Task[None]] = set()  # what the client asks on its own

    user_id: int | None
    last_seq: int | None

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    async def connect(self) -> None:
        """Returns once connected; raises only where trying again is no use."""
        if self._line is None or self._line.done():
            self._connected = asyncio.get_running_loop().create_future()
            self._line = asyncio.create_task(self._keep_line())
        assert self._connected is not None
        await asyncio.shield(self._connected)

    async def close(self) -> None:
        """For good; what waits for an answer gets EvChargeError `closed`."""
        if self._line is not None:
            self._line.cancel()
            await asyncio.wait([self._line])
        self._end(EvChargeError("closed", "Closed"))

    # --- actions ---

    async def act(
        self, action: str, data: dict[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Any:
        """The answer's data; raises EvChargeError. Waits for a line where there is none, and asks again on the next."""
        data, key = self._with_ref(action, data or {})
        more: dict[str, Any] = {"action": action, "client_ref": data.get("client_ref")}
        if self._line is None or self._line.done():
            raise EvChargeError("closed", "Not connected", **more)
        self._numbers += 1
        number = str(self._numbers)
        text = json.dumps({"action": action, "data": data, "request_id": number})
        pending = self._pending[number] = _Pending(text, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(self.timeout_s if timeout_s is None else timeout_s):
                await self._send(text)
                answer = await pending.answer
        except TimeoutError:
            raise EvChargeError("timeout", "No answer in time", **more) from None
        finally:
            self._pending.pop(number, None)
        if key:
            self._refs.pop(key, None)
        if answer.get("success") is False:
            raise error_of(answer, **more)
        if action in ("subscribe", "unsubscribe"):
            self._subscribed = answer["subscribed"]
        return answer

    def _with_ref(self, action: str, data: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """The data with a `client_ref`: the same one for a wish that is repeated since nothing was heard of it."""
        if action not in WITH_CLIENT_REF:
            return data, None
        key = json.dumps([action, data], sort_keys=True)
        known, until = self._refs.get(key, ("", 0.0))
        ref = data.get("client_ref") or (known if until > time.monotonic() else uuid.uuid4().hex)
        self._refs[key] = (ref, time.monotonic() + SAME_WISH_S)
        return {**data, "client_ref": ref}, key

    async def _send(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):  # it is sent on the next line
                await self._socket.send(text)

    # --- events ---

    def events(self, *names: EventName) -> AsyncIterator[Event]:
        """Messages from this call on: of these types, `type.event`s, or all. Ends when the line is closed."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        return self._from(queue, set(names), self._listen(queue.put_nowait))

    async def _from(
        self, queue: asyncio.Queue[Any], names: set[EventName], off: Callable[[], None]
    ) -> AsyncIterator[Event]:
        try:
            while (message := await queue.get()) is not None:
                if not names or names & _names_of(message):
                    yield message
        finally:
            off()

    def _on(self, name: str, listener: Callable[[Any], object]) -> Callable[[], None]:
        def hear(message: Any) -> None:
            if message is not None and name in _names_of(message):
                listener(message)

        return self._listen(hear)

    def _listen(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        """Calls it with each message, and with None at the end; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def _once(self, name: str, where: Callable[[Any], bool], timeout_s: float | None) -> Any:
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def look(message: Any) -> None:
            if found.done():
                return
            if message is None:
                found.set_exception(EvChargeError("closed", "Closed"))
            elif name in _names_of(message) and where(message):
                found.set_result(message)

        off = self._listen(look)
        try:
            async with asyncio.timeout(timeout_s):
                return await found
        except TimeoutError:
            raise EvChargeError("timeout", f"No {name} in time") from None
        finally:
            off()

    # --- the line ---

    async def _keep_line(self) -> None:
        tries, why = 0, "connect"
        while True:
            begun = time.monotonic()
            try:
                code, reason = await self._hold_line(why)
            except EvChargeError as error:
                if error.code not in PASSING:
                    return self._end(error)
                code, reason, self._retry_after_s = 0, str(error), error.retry_after or 0.0
            if time.monotonic() - begun > STEADY_S:
                tries, self._renewed = 0, False
            if code == POLICY_VIOLATION and not self._retry_after_s and not AT_CAPACITY.search(reason):
                if (
                    self.get_token is None or self._renewed
                ):  # a fresh one that is refused, too, will not get better
                    return self._end(EvChargeError("refused", reason or "Refused"))
                self._renewed, why = True, "refused"
                continue
            why = "connect"
            # Full jitter: after an outage a thousand clients do not come back at once.
            longest = min(self.longest_wait_s, FIRST_WAIT_S * 2**tries)
            await asyncio.sleep(self._retry_after_s + random.random() * longest)
            tries, self._retry_after_s = tries + 1, 0.0

    async def _hold_line(self, why: str) -> tuple[int, str]:
        """One connection, until it ends: the code and reason of its close. websockets' pings tell if it is dead."""
        token = await self.get_token(why) if self.get_token else self.token
        try:
            async with connect(self._address(token or ""), **self.options) as socket:
                try:
                    async for text in socket:
                        await self._receive(socket, text)
                finally:
                    self._socket = None
                return socket.close_code or 1006, socket.close_reason or ""
        except (ConnectionClosed, OSError, TimeoutError, WebSocketException) as error:
            received = error.rcvd if isinstance(error, ConnectionClosed) else None
            return (received.code, received.reason) if received else (1006, str(error))

    def _address(self, token: str) -> str:
        scheme, host, path, query, _ = urlsplit(self.url)
        more = {"token": token, "lang": self.lang, "last_seq": self.last_seq}
        pairs = [*parse_qsl(query), *((name, value) for name, value in more.items() if value is not None)]
        return urlunsplit((scheme.replace("http", "ws"), host, path or "/", urlencode(pairs), ""))

    async def _receive(self, socket: ClientConnection, text: str | bytes) -> None:
        message = json.loads(text)
        if message["type"] == "response":
            pending = self._pending.get(str(message.get("request_id")))
            if pending and not pending.answer.done():
                pending.answer.set_result(message["data"])
            return
        if not self._is_news(message):
            return
        if message["type"] == "connected":
            await self._open(socket, message)
        elif message["type"] == "closing":
            self._retry_after_s = message.get("retry_after") or 0.0
        elif message["type"] == "token_expiring" and self.get_token:
            self._beside(self._renew(self.get_token))
        is_over = (
            message["type"] == "reservation_update" and message["data"]["status"] not in OPEN_RESERVATIONS
        )
        if is_over or message.get("event") in SESSION_ENDS:
            self._refs.clear()  # a start from now on is another one
        self._tell(message)

    def _is_news(self, message: dict[str, Any]) -> bool:
        """Takes note of the number. `connected` and `resync` say where it goes on, even backwards."""
        kind, seq, last = message["type"], message.get("seq"), self.last_seq
        if seq is None:
            return True
        if kind not in ("connected", "resync") and last is not None:
            if seq < last or (seq == last and message.get("event", kind) not in UNNUMBERED):
                return False
        self.last_seq = seq
        return True

    async def _open(self, socket: ClientConnection, message: dict[str, Any]) -> None:
        """What is without an answer is asked again: starts carry their `client_ref`, all else may be repeated."""
        self._socket, self.user_id, self._retry_after_s = socket, message["userId"], 0.0
        if self._connected and not self._connected.done():
            self._connected.set_result(None)
        for pending in list(self._pending.values()):
            await self._send(pending.text)
        if self._subscribed:
            self._beside(self._subscribe_again(self._subscribed))

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    async def _subscribe_again(self, wish: dict[str, Any]) -> None:
        """Events of chargers have no numbers: `subscribed`, of our own, has how they are after a reconnect."""
        with contextlib.suppress(EvChargeError):
            self._tell({"type": "subscribed", **await self.act("subscribe", wish)})

    async def _renew(self, get_token: GetToken) -> None:
        """A charge of six hours is one connection: a fresh token is shown on the open line."""
        with contextlib.suppress(EvChargeError):  # else the server closes, and the next connection asks again
            await self.refresh_token(await get_token("expiring"))

    def _tell(self, message: Any) -> None:
        for listener in list(self._listeners):
            listener(message)

    def _end(self, error: EvChargeError) -> None:
        self._socket = None
        if self._connected and not self._connected.done():
            self._connected.set_exception(error)
            self._connected.exception()  # whoever awaits it hears of it
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(EvChargeError(error.code, str(error)))
        self._tell(None)


def _names_of(message: Any) -> set[str]:
    kind = message["type"]
    return {"event", kind, f"{kind}.{message['event']}"} if "event" in message else {"event", kind}
