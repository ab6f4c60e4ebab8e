"""The charger's end of an OCPP-J connection: frames, one own CALL at a time; an outbox that outlives it."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson
from websockets.exceptions import ConnectionClosed

log = logging.getLogger(__name__)

Payload = dict[str, Any]
Direction = Literal["out", "in"]

CALL, CALLRESULT, CALLERROR = 2, 3, 4
GONE = (OSError, EOFError, ConnectionClosed)
"""What a connection raises when it is over."""


class Connection(Protocol):
    """Anything that carries text both ways, such as a websockets connection or a pair of queues."""

    async def send(self, text: str, /) -> None: ...

    async def recv(self) -> str | bytes: ...


class CallFailed(Exception):
    """An own CALL got no result."""


class ConnectionLost(CallFailed):
    """The connection ended before the answer came; nobody knows whether the other side acted on the CALL."""


class CallTimedOut(CallFailed):
    """No answer within the time-out; one that comes later is ignored."""


class CallRefused(CallFailed):
    """The answer was a CALLERROR."""


class Refusal(Exception):
    """Raised by whoever answers a CALL to answer with a CALLERROR instead."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description


@dataclass(frozen=True)
class Answer:
    """The payload of a CALLRESULT, and what to do once it has been sent."""

    payload: Payload
    then: Callable[[], object] | None = None


Answerer = Callable[[str, Payload], Answer | None]
"""Answers a CALL by action and payload; None means silence."""


class Line:
    """One connection. Its message ids count from 1, as OCPP-J §4.1.4 allows and many chargers do."""

    def __init__(
        self, connection: Connection, *, answer: Answerer, on_frame: Callable[[Direction, str], None]
    ) -> None:
        self._connection = connection
        self._answer = answer
        self._on_frame = on_frame
        self._message_ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Payload]] = {}
        self._hung_up = asyncio.Event()
        self.heard = False

    async def converse(self, deliver: Callable[["Line"], Any], live: Callable[["Line"], Any]) -> None:
        """Read until the other side or `hang_up` ends the connection, and its two companions with it."""
        tasks = [asyncio.ensure_future(each) for each in (self._read(), deliver(self), live(self))]
        tasks.append(asyncio.ensure_future(self._hung_up.wait()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def hang_up(self) -> None:
        self._hung_up.set()

    def new_message_id(self) -> str:
        return str(next(self._message_ids))

    async def call(self, message_id: str, action: str, payload: Payload, *, timeout_s: float) -> Payload:
        """Send a CALL and wait for its result; raises CallFailed. The caller keeps to one at a time."""
        answer = self._waiting[message_id] = asyncio.get_running_loop().create_future()
        try:
            await self._send([CALL, message_id, action, payload])
            async with asyncio.timeout(timeout_s):  # wait_for may lose a cancellation before Python 3.12
                return await answer
        except GONE as error:
            # TimeoutError is an OSError too, but a quiet connection is not a lost one.
            failure = CallTimedOut if isinstance(error, TimeoutError) else ConnectionLost
            raise failure(action) from error
        finally:
            del self._waiting[message_id]

    async def _send(self, frame: list[Any]) -> None:
        text = orjson.dumps(frame).decode()
        self._on_frame("out", text)
        await self._connection.send(text)

    async def _read(self) -> None:
        try:
            while True:
                text = await self._connection.recv()
                self.heard = True
                await self._take(text if isinstance(text, str) else text.decode(errors="replace"))
        except GONE as error:
            log.debug("connection ended: %r", error)

    async def _take(self, text: str) -> None:
        self._on_frame("in", text)
        match decoded(text):
            case [2, str(message_id), *rest]:
                await self._take_call(message_id, rest)
            case [3, str(message_id), payload]:
                self._settle(message_id, payload if isinstance(payload, dict) else {})
            case [4, str(message_id), *rest]:
                self._settle(message_id, CallRefused(*rest))
            case _:
                log.warning("ignored a frame that is no OCPP-J message: %.200s", text)

    async def _take_call(self, message_id: str, rest: list[Any]) -> None:
        try:
            action, payload = call_parts(rest)
            answer = self._answer(action, payload)
        except Refusal as refusal:
            await self._send([CALLERROR, message_id, refusal.code, refusal.description, {}])
            return
        if answer is None:
            return
        await self._send([CALLRESULT, message_id, answer.payload])
        if answer.then is not None:
            answer.then()

    def _settle(self, message_id: str, outcome: Payload | CallRefused) -> None:
        answer = self._waiting.get(message_id)
        if answer is None or answer.done():
            log.info("an answer to no open CALL of ours: %s", message_id)
        elif isinstance(outcome, CallRefused):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


def decoded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def call_parts(rest: list[Any]) -> tuple[str, Payload]:
    """Action and payload of a CALL; a null payload counts as an empty one (OCPP-J §4.2.1)."""
    match rest:
        case [str(action), dict(payload)]:
            return action, payload
        case [str(action), None]:
            return action, {}
    raise Refusal("FormationViolation", "a CALL is [2, messageId, action, payload]")


@dataclass(eq=False)
class Message:
    """An own CALL on its way; `kept` survives a lost connection, `early` may go before acceptance."""

    action: str
    payload: Callable[[], Payload]
    answered: Callable[[Payload], None]
    failed: Callable[[CallFailed], None]
    kept: bool = False
    early: bool = False
    failures: int = 0
    message_id: str = ""
    sent_on: Line | None = None
    """The connection on which it went last, under that id."""
    not_before: float = 0.0


class Outbox:
    """Own CALLs in their order; transaction-related ones are kept until delivered (OCPP 1.6 §3.7)."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def kept(self) -> int:
        """How many transaction-related messages wait to be delivered."""
        return sum(message.kept for message in self._messages)

    @property
    def is_empty(self) -> bool:
        return not self._messages

    def add(self, message: Message) -> None:
        self._messages.append(message)
        self.wake()

    def add_first(self, messages: Iterable[Message]) -> None:
        self._messages.extendleft(reversed(list(messages)))
        self.wake()

    def remove(self, message: Message) -> None:
        self._messages.remove(message)
        self._taken.set()
        self.wake()

    def postpone(self, message: Message, wait_s: float) -> None:
        """Do not offer a message again before `wait_s` seconds have passed."""
        loop = asyncio.get_running_loop()
        message.not_before = loop.time() + wait_s
        loop.call_at(message.not_before + 0.01, self.wake)  # the loop may call a hair too early

    def wake(self) -> None:
        """Have `next` look again, because something it depends on has changed."""
        self._changed.set()

    async def empty(self) -> None:
        """Wait until nothing is left to send."""
        while self._messages:
            self._taken.clear()
            await self._taken.wait()

    def drop_unkept(self) -> None:
        """The connection is gone: what is no fact about a transaction is old news at the next one."""
        dropped = [message for message in self._messages if not message.kept]
        self._messages = deque(message for message in self._messages if message.kept)
        for message in dropped:
            message.failed(ConnectionLost(message.action))

    async def next(self, *, accepted: Callable[[], bool]) -> Message:
        """The first message that may go now; it stays in the outbox until `remove`."""
        while (message := self._due(accepted())) is None:
            self._changed.clear()
            await self._changed.wait()
        return message

    def _due(self, accepted: bool) -> Message | None:
        now = asyncio.get_running_loop().time()
        kept_may_go = accepted
        for message in self._messages:
            if message.kept:
                # One that waits for its next attempt holds back the kept ones behind it, nothing else (§3.7).
                kept_may_go = kept_may_go and message.not_before <= now
                if kept_may_go:
                    return message
            elif accepted or message.early:
                return message
        return None
