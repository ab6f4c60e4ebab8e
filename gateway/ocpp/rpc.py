"""OCPP-J's remote procedure calls on one connection: CALL, CALLRESULT, CALLERROR. No Django, no domain in here.

Incoming frames are handled in order, and answered even while a CALL of ours is open. Of ours one is open at a
time; the others queue (OCPP-J 1.6 §4.1.1).
"""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from gateway.ocpp.schemas import validator

logger = logging.getLogger(__name__)

CALL, CALLRESULT, CALLERROR = 2, 3, 4
UNKNOWN_ID = "-1"
REMEMBERED = 16  # answers given and time-outs passed: the other side has one CALL open, so repeats come soon
MAX_ID = 255  # the rule is 36 (OCPP-J 1.6 §4.1.4); some use more, and each is kept and echoed

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_CALL_ID = re.compile(r'\s*\[\s*2\s*,\s*"([^"\\]{1,64})"')
# Firmware pads texts with NUL, which no text of a database can hold. Not part of an escaped backslash.
_NUL = re.compile(r"((?<!\\)(?:\\\\)*)\\u0000")

# Which CALLERROR a broken rule of the schema gets (OCPP-J 1.6 §4.2.3, spelled as 1.6 spells them, E16).
_VIOLATIONS = {
    "type": "TypeConstraintViolation",
    "required": "OccurenceConstraintViolation",
    "minItems": "OccurenceConstraintViolation",
}
# Rules that the handlers do without: a charger with a long name or one field too many is not locked out for it.
_FORGIVEN = {"additionalProperties", "format", "maxLength"}


class CallError(Exception):
    """The other side's answer is an error, or ours is to be one."""

    def __init__(self, code: str, description: str = "", details: Any = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code, self.description, self.details = code, description, details if details is not None else {}


class CallTimeout(Exception):
    """No answer in time. One that comes later goes to `on_late`."""


class ConnectionLost(Exception):
    """The connection ended before the answer came."""


class Rpc:
    """One connection's conversation.

    handlers   action → coroutine: payload in, payload out; raises CallError
    tolerant   actions whose handler wants to see a payload even where it breaks the schema (E18)
    on_late    called with (message id, payload or CallError) when an answer comes after its time-out (E13)
    """

    def __init__(
        self,
        *,
        version: str,
        send: Callable[[str], Awaitable[None]],
        handlers: dict[str, Handler],
        tolerant: frozenset[str] = frozenset(),
        on_late: Callable[[str, Any], None] = lambda message_id, answer: None,
    ) -> None:
        self.version, self.handlers, self.tolerant, self.on_late = version, handlers, tolerant, on_late
        self._send = send
        self._turn = asyncio.Lock()
        self._open: tuple[str, asyncio.Future[Any]] | None = None
        self._timed_out: OrderedDict[str, None] = OrderedDict()
        self._answers: OrderedDict[str, tuple[int, str]] = OrderedDict()  # id → (the CALL's hash, our answer)
        self._closed = False

    # --- frames in ---

    async def receive(self, text: str) -> None:
        """Handle one frame. Whatever it is, the connection goes on (E15)."""
        if "\\u0000" in text:
            text = _NUL.sub(r"\1", text)
        try:
            frame = orjson.loads(text)
        except (orjson.JSONDecodeError, RecursionError):
            await self._refuse_unreadable(text, "Not JSON")
            return
        if not isinstance(frame, list) or not frame:
            await self._refuse_unreadable(text, "Not an array")
            return
        kind = frame[0]
        if kind == CALL:
            await self._answer(frame, hash(text))
        elif kind == CALLRESULT and len(frame) >= 2:
            payload = frame[2] if len(frame) > 2 else None
            self._settle(frame[1], {} if payload is None else payload)  # null is empty, too (§4.2.2)
        elif kind == CALLERROR and len(frame) >= 2:
            self._settle(frame[1], _error_from(frame))
        else:  # OCPP-J 1.6 §4.1.3: a message type that is not known is ignored
            logger.info("ignored a frame of message type %.40r", kind)

    async def _refuse_unreadable(self, text: str, why: str) -> None:
        match = _CALL_ID.match(text[:200])
        await self._send_error(match[1] if match else UNKNOWN_ID, CallError("FormationViolation", why))

    async def _answer(self, frame: list[Any], content: int) -> None:
        message_id = frame[1] if len(frame) > 1 else UNKNOWN_ID
        if not isinstance(message_id, str | int) or isinstance(message_id, bool):
            await self._send_error(
                UNKNOWN_ID, CallError("FormationViolation", "The message id is not a string")
            )
            return
        key = str(message_id)
        if len(key) > MAX_ID:
            await self._send_error(UNKNOWN_ID, CallError("FormationViolation", "The message id is too long"))
            return
        action = frame[2] if len(frame) > 2 else None
        if not isinstance(action, str):
            await self._send_error(message_id, CallError("FormationViolation", "The action is not a string"))
            return
        if key in self._answers and await self._repeat(message_id, action, content):
            return
        payload = frame[3] if len(frame) > 3 and frame[3] is not None else {}
        try:
            reply = orjson.dumps([CALLRESULT, message_id, await self._handle(action, payload)]).decode()
        except CallError as error:
            reply = _error_frame(message_id, error)
        except Exception:
            logger.exception("handling %s failed", action[:40])
            reply = _error_frame(
                message_id, CallError("InternalError", "The central system failed; try again")
            )
        else:
            self._remember(key, content, reply)
        await self._send(reply)

    async def _handle(self, action: str, payload: Any) -> dict[str, Any]:
        handler = self.handlers.get(action)
        if handler is None:
            known = validator(self.version, action[:60]) is not None
            raise CallError("NotSupported" if known else "NotImplemented", f"{action[:60]} is not for us")
        if not isinstance(payload, dict):
            raise CallError("FormationViolation", "The payload is not an object")
        schema = validator(self.version, action)
        assert schema is not None  # every handler is of an action of the version
        if action not in self.tolerant and not schema.is_valid(payload):
            _check_what_matters(schema, payload)
        return await handler(payload)

    def _remember(self, key: str, content: int, reply: str) -> None:
        self._answers[key] = (content, reply)
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)

    async def _repeat(self, message_id: str | int, action: str, content: int) -> bool:
        """Told twice on this connection: the same answer, and nothing done again (E14). True if that was all.

        An id used for something else is a mistake of the charger's; a fact about money is heard all the same.
        """
        told, reply = self._answers[str(message_id)]
        if told == content:
            await self._send(reply)
            return True
        if action in self.tolerant:
            return False
        await self._send_error(
            message_id, CallError("FormationViolation", "This message id was used for another call already")
        )
        return True

    async def _send_error(self, message_id: str | int, error: CallError) -> None:
        await self._send(_error_frame(message_id, error))

    # --- our CALLs ---

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for our turn to send a CALL; within it, `call` may be used."""
        async with self._turn:
            if self._closed:
                raise ConnectionLost
            yield

    async def call(self, message_id: str, action: str, payload: dict[str, Any], *, timeout_s: float) -> Any:
        """Send a CALL within our turn and return the payload of its answer.

        Raises CallError, CallTimeout, ConnectionLost.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._open = (message_id, future)
        try:
            async with asyncio.timeout(timeout_s):  # a peer that does not read holds up the sending, too
                await self._send(orjson.dumps([CALL, message_id, action, payload]).decode())
                answer = await future
        except TimeoutError:
            self._timed_out[message_id] = None
            if len(self._timed_out) > REMEMBERED:
                self._timed_out.popitem(last=False)
            raise CallTimeout from None
        except OSError as error:  # the server's way to say that the other side is gone
            raise ConnectionLost from error
        finally:
            self._open = None
        if isinstance(answer, CallError):
            raise answer
        return answer

    def _settle(self, message_id: Any, answer: Any) -> None:
        if self._open and self._open[0] == message_id:
            if not self._open[1].done():
                self._open[1].set_result(answer)
        elif isinstance(message_id, str) and message_id in self._timed_out:
            del self._timed_out[message_id]
            logger.info("a late answer to %s", message_id)
            self.on_late(message_id, answer)
        else:
            logger.info("an answer to nothing we asked: %.40r", message_id)

    def close(self) -> None:
        """The connection ended: whoever waits for an answer hears of it."""
        self._closed = True
        if self._open and not self._open[1].done():
            self._open[1].set_exception(ConnectionLost())


def _error_from(frame: list[Any]) -> CallError:
    code, description, details = (*frame[2:5], None, None, None)[:3]
    return CallError(str(code or "GenericError")[:50], str(description or "")[:255], details)


def _error_frame(message_id: str | int, error: CallError) -> str:
    return orjson.dumps([CALLERROR, message_id, error.code, error.description[:255], error.details]).decode()


def _check_what_matters(schema: Any, payload: dict[str, Any]) -> None:
    """Raise CallError for the first broken rule of those that are not forgiven."""
    for error in schema.iter_errors(payload):
        keyword = str(error.schema_path[-1]) if error.schema_path else ""
        if keyword not in _FORGIVEN:
            path = "/".join(str(part) for part in error.instance_path)
            code = _VIOLATIONS.get(keyword, "PropertyConstraintViolation")
            raise CallError(code, f"{path}: {error.message}".lstrip(": "))
