"""OCPP-J's remote procedure calls on one connection: CALL, CALLRESULT, CALLERROR. No Django, no domain in here.

Incoming frames are handled in order, and answered even while a CALL of ours is open. Of ours one is open at a
time; the others queue (OCPP-J 1.6 §4.1.1).
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from time import time
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import orjson

from gateway.ocpp.schemas import validator

logger = logging.getLogger(__name__)

CALL, CALLRESULT, CALLERROR = 2, 3, 4
UNKNOWN_ID = "-1"
REMEMBERED = 16  # answers given and time-outs passed: the other side has one CALL open, so repeats come soon
RIGHTFUL_ID, MAX_ID = 36, 255  # the rule (OCPP-J 1.6 §4.1.4); some use more, and each is kept and echoed

Handler = Callable[[Any], Awaitable[dict[str, Any]]]
Done = Callable[[dict[str, Any] | Exception | None], None]
AtOnce = Callable[[str, str, Done], bool]
Reader = Callable[[str], msgspec.Struct]

_CALL_ID = re.compile(r'\s*\[\s*2\s*,\s*"([^"\\]{1,64})"')
# A CALL up to its payload, where a reader may take over.
_CALL_HEAD = re.compile(r'\[_2_,_"([^"\\\x00-\x1f]{1,36})"_,_"([A-Za-z]+)"_,'.replace("_", r"[ \t\r\n]*"))
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

# How a handler says that it cannot do without what is broken. All else is a fault of ours.
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)


class CallError(Exception):
    """The other side's answer is an error, or ours is to be one."""

    def __init__(self, code: str, description: str = "", details: Any = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code, self.description, self.details = code, description, details if details is not None else {}


class CallTimeout(Exception):
    """No answer in time. One that comes later goes to `on_late`."""


class ConnectionLost(Exception):
    """The connection ended before the answer came."""


class Recorder:
    """Hears of every exchange on a connection and of every rule that is broken there. This one forgets it all."""

    def exchange(
        self,
        direction: str,
        message_id: Any,
        action: str,
        request: str,
        answer: str,
        verdict: str,
        at: float,
        latency_s: float | None,
    ) -> None:
        """A CALL and its answer, as texts. `direction` is `in` or `out`, `at` a Unix time.

        `verdict`: ok, repeat, the code of a CALLERROR, timeout, lost, late, unreadable, unasked, ignored.
        """

    def breach(self, rule: str, action: str, detail: str, frame: str) -> None:
        """A rule was broken; its codes stand in chargers.quirks."""


class Sent(NamedTuple):
    """A CALL of ours, as it went out."""

    action: str
    text: str
    at: float


class Rpc:
    """One connection's conversation.

    handlers   action → coroutine: payload in, payload out; raises CallError. Or give `handler_of`, later
    tolerant   actions whose handler wants to see a payload even where it breaks the schema (E18)
    on_late    called with (message id, payload or CallError) when an answer comes after its time-out (E13)
    recorder   hears of everything that was said
    readers    tolerant actions whose handler takes a payload that is read already: action → how, from its JSON
    send_now   sends without waiting; what `take` answers goes that way

    `at_once`, if it is set, handles what needs no task: (action, payload as JSON, done) → whether it took it. If so it
    calls `done` once, before it returns or later on this loop, with the answer's payload (None: an empty one) or what
    went wrong. What it does not take it leaves as it was, and `receive` handles it.

    `frame` is the one that is being handled, as it came; `heard_at` is when. `is_lenient`: every handler sees its
    payload even where it breaks the schema, as far as it can read it.
    """

    def __init__(
        self,
        *,
        version: str,
        send: Callable[[str], Awaitable[None]],
        handlers: dict[str, Handler] | None = None,
        tolerant: frozenset[str] = frozenset(),
        on_late: Callable[[str, Any], None] = lambda message_id, answer: None,
        recorder: Recorder | None = None,
        readers: Mapping[str, Reader] = MappingProxyType({}),
        send_now: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.version, self.tolerant, self.on_late = version, tolerant, on_late
        self.readers = readers
        self.handlers = handlers or {}
        self.handler_of: Callable[[str], Handler | None] = self.handlers.get
        self.at_once: AtOnce = lambda action, payload, done: False
        self.recorder = recorder or Recorder()
        self.is_lenient = False
        self.heard_at = time()
        self._send, self._send_now = send, send_now
        # Who calls it may be about another connection: the log knows of ours, and so does what the answer leads to.
        self._done_here: Done = partial(copy_context().run, self._done)  # type: ignore[call-arg]  # of overloads
        self._taken: str | None = None  # the id of the CALL that `take` has under way
        self._idle: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        self._open: tuple[str, asyncio.Future[tuple[Any, str]]] | None = None
        self._timed_out: dict[str, Sent] = {}
        self.frame, self._action = "", ""  # what is being handled: frames are, one after the other
        self._judged: tuple[str, ...] = ()
        self._answers: dict[str, tuple[int, str]] = {}  # id → (the CALL's hash, our answer)
        self._closed = False

    # --- frames in ---

    @property
    def is_busy(self) -> bool:
        """Whether a frame that was taken is still to be answered."""
        return self._taken is not None

    async def until_idle(self) -> None:
        """Until what was taken is answered: frames are handled one after the other."""
        if self._taken is not None:
            self._idle = self._idle or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def take(self, text: str) -> bool:
        """Handle a frame without a task, if it is a CALL with nothing unusual about it that can be handled so.

        False: nothing was done, it is for `receive`. So is, on each connection, the first CALL of a tolerant action,
        which is held against the schema. Not to be called while `receive` is at work.
        """
        if self._taken is not None or "\\" in text or (head := _CALL_HEAD.match(text)) is None:
            return False
        message_id, action = head.groups()
        if message_id in self._answers or text[-1] != "]":
            return False
        if action in self.tolerant and action not in self._judged:
            return False
        self.heard_at = time()
        self.frame, self._action, self._taken = text, action, message_id
        try:
            is_taken = self.at_once(action, text[head.end() : -1], self._done_here)
        except Exception:
            logger.exception("handling %s at once failed", action)
            is_taken = self._taken is None  # it was answered
        if not is_taken:
            self._taken = None
        return is_taken

    def _done(self, answer: dict[str, Any] | Exception | None) -> None:
        message_id, self._taken = self._taken, None
        assert message_id is not None  # called once
        if isinstance(answer, Exception):
            verdict, reply = self._failed(message_id, answer)
        else:
            verdict, reply = "ok", orjson.dumps([CALLRESULT, message_id, answer or {}]).decode()
            self._remember(message_id, hash(self.frame), reply)
        self._send_now(reply)
        self._record_in(message_id, reply, verdict)
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    async def receive(self, text: str) -> None:
        """Handle one frame. Whatever it is, the connection goes on (E15)."""
        await self.until_idle()
        self.heard_at = at = time()
        self.frame, self._action = text, ""
        if "\\" in text and "\\u0000" in text:  # one character is looked for much faster
            text = _NUL.sub(r"\1", text)
        try:
            frame = self._read(text) or orjson.loads(text)
        except (orjson.JSONDecodeError, RecursionError):
            await self._refuse_unreadable("Not JSON")
            return
        if not isinstance(frame, list) or not frame:
            await self._refuse_unreadable("Not an array")
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
            self.recorder.exchange("in", "", "", text, "", "ignored", at, None)

    def _read(self, text: str) -> list[Any] | None:
        """A CALL whose payload has a reader and is as that expects it."""
        head = _CALL_HEAD.match(text)
        if head is None or (read := self.readers.get(head[2])) is None or "\\" in text or text[-1] != "]":
            return None
        try:
            return [CALL, head[1], head[2], read(text[head.end() : -1])]
        except (msgspec.DecodeError, RecursionError):
            return None

    def breach(self, rule: str, detail: str) -> None:
        """The frame that is being handled breaks a rule."""
        self.recorder.breach(rule, self._action, detail, self.frame)

    async def _refuse_unreadable(self, why: str) -> None:
        match = _CALL_ID.match(self.frame[:200])
        message_id = match[1] if match else UNKNOWN_ID
        reply = _error_frame(message_id, CallError("FormationViolation", why))
        self.breach("unreadable", why)
        await self._send(reply)
        self._record_in(message_id, reply, "unreadable")

    def _record_in(self, message_id: str | int, reply: str, verdict: str) -> None:
        self.recorder.exchange(
            "in", message_id, self._action, self.frame, reply, verdict, self.heard_at, time() - self.heard_at
        )

    async def _answer(self, frame: list[Any], content: int) -> None:
        given = frame[1] if len(frame) > 1 else None
        message_id: str | int = given if _is_usable(given) else UNKNOWN_ID  # type: ignore[assignment]  # it looked
        try:
            if message_id is not given:
                raise CallError(
                    "FormationViolation", f"The message id is no string of up to {MAX_ID} characters"
                )
            verdict, reply = await self._reply(frame, message_id, content)
        except CallError as error:
            verdict, reply = error.code, _error_frame(message_id, error)
        except asyncio.CancelledError:  # the connection ended meanwhile
            self._record_in(message_id, "", "lost")
            raise
        except ConnectionLost:  # it counts no longer: who says so closes it
            self._record_in(message_id, "", "lost")
            return
        except Exception as error:
            verdict, reply = self._failed(message_id, error)
        await self._send(reply)
        self._record_in(message_id, reply, verdict)

    def _failed(self, message_id: str | int, error: Exception) -> tuple[str, str]:
        """The verdict and the answer where the fault is ours."""
        logger.error("handling %s failed", self._action[:40], exc_info=error)
        failure = CallError("InternalError", "The central system failed; try again")
        return failure.code, _error_frame(message_id, failure)

    async def _reply(self, frame: list[Any], message_id: str | int, content: int) -> tuple[str, str]:
        """The verdict on a CALL, and the frame that answers it. Raises CallError."""
        key = str(message_id)
        if key is not message_id:
            self.breach("message_id_type", f"The message id {key} is a number")
        elif len(key) > RIGHTFUL_ID:
            self.breach("message_id_too_long", f"The message id has {len(key)} characters")
        action = frame[2] if len(frame) > 2 else None
        if not isinstance(action, str):
            raise CallError("FormationViolation", "The action is not a string")
        self._action = action
        if key in self._answers and (told := self._told(key, content)) is not None:
            return "repeat", told
        payload = frame[3] if len(frame) > 3 else None
        if payload is None:
            payload = {}
            self.breach("null_payload", "The payload is null or missing")
        reply = orjson.dumps([CALLRESULT, message_id, await self._handle(action, payload)]).decode()
        self._remember(key, content, reply)
        return "ok", reply

    async def _handle(self, action: str, payload: Any) -> dict[str, Any]:
        handler = self.handler_of(action)
        if handler is None:
            known = validator(self.version, action[:60]) is not None
            raise CallError("NotSupported" if known else "NotImplemented", f"{action[:60]} is not for us")
        if isinstance(payload, msgspec.Struct):
            if action not in self._judged:
                with suppress(orjson.JSONDecodeError):  # nested more deeply than it reads
                    self._broken_rule(action, orjson.loads(self.frame)[3])
            return await handler(payload)
        if not isinstance(payload, dict):
            raise CallError("FormationViolation", "The payload is not an object")
        broken = self._broken_rule(action, payload)
        if broken is None or action in self.tolerant:
            return await handler(payload)
        if not self.is_lenient:
            raise broken
        try:
            return await handler(payload)
        except _UNREADABLE as error:  # it needs what is broken: then the charger hears what that is
            logger.info("%s cannot be read without what breaks the schema: %r", action, error)
            raise broken from error

    def _broken_rule(self, action: str, payload: dict[str, Any]) -> CallError | None:
        """The first broken rule of the schema that handlers do not do without.

        Tolerant actions are looked at once on a connection, to have it on record: a charger errs always or never.
        """
        if action in self.tolerant:
            if action in self._judged:
                return None
            self._judged += (action,)
        schema = validator(self.version, action)
        assert schema is not None  # every handler is of an action of the version
        if schema.is_valid(payload):
            return None
        forgiven = None
        try:
            errors = list(schema.iter_errors(payload))
        except ValueError as too_deep:  # to be looked through
            self.breach("schema", str(too_deep))
            return None if action in self.tolerant else CallError("FormationViolation", str(too_deep))
        for error in errors:
            keyword = str(error.schema_path[-1]) if error.schema_path else ""
            path = "/".join(str(part) for part in error.instance_path)
            words = f"{path}: {error.message}".lstrip(": ")
            if keyword not in _FORGIVEN and action not in self.tolerant:
                self.breach("wrong_type" if keyword == "type" else "schema", words)
                return CallError(_VIOLATIONS.get(keyword, "PropertyConstraintViolation"), words)
            forgiven = forgiven or words
        self.breach("forgiven", forgiven or "")
        return None

    def _remember(self, key: str, content: int, reply: str) -> None:
        self._answers[key] = (content, reply)
        if len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]

    def _told(self, key: str, content: int) -> str | None:
        """Told twice on this connection: the same answer, and nothing done again (E14).

        An id used for something else is a mistake of the charger's; a fact about money is heard all the same.
        """
        told, reply = self._answers[key]
        if told == content:
            return reply
        self.breach("message_id_reused", f"The message id {key} was used for another call already")
        if self._action in self.tolerant:
            return None
        raise CallError("FormationViolation", "This message id was used for another call already")

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
        future: asyncio.Future[tuple[Any, str]] = asyncio.get_running_loop().create_future()
        sent = Sent(action, orjson.dumps([CALL, message_id, action, payload]).decode(), time())
        self._open = (message_id, future)
        text, verdict = "", "lost"
        try:
            async with asyncio.timeout(timeout_s):  # a peer that does not read holds up the sending, too
                await self._send(sent.text)
                answer, text = await future
            verdict = answer.code if isinstance(answer, CallError) else "ok"
        except TimeoutError:
            verdict = "timeout"
            self._timed_out[message_id] = sent
            if len(self._timed_out) > REMEMBERED:
                del self._timed_out[next(iter(self._timed_out))]
            raise CallTimeout from None
        except OSError as error:  # the server's way to say that the other side is gone
            raise ConnectionLost from error
        finally:
            self._open = None
            self._record_out(message_id, sent, text, verdict)
        if isinstance(answer, CallError):
            raise answer
        return answer

    def _record_out(self, message_id: str, sent: Sent, answer: str, verdict: str) -> None:
        latency_s = time() - sent.at if answer else None
        self.recorder.exchange("out", message_id, sent.action, sent.text, answer, verdict, sent.at, latency_s)

    def _settle(self, message_id: Any, answer: Any) -> None:
        if self._open and self._open[0] == message_id:
            if not self._open[1].done():
                self._open[1].set_result((answer, self.frame))
        elif isinstance(message_id, str) and (sent := self._timed_out.pop(message_id, None)):
            logger.info("a late answer to %s", message_id)
            self._record_out(message_id, sent, self.frame, "late")
            self.on_late(message_id, answer)
        else:
            logger.info("an answer to nothing we asked: %.40r", message_id)
            self.breach("unasked", f"An answer to {message_id!r:.40}")
            self.recorder.exchange("in", message_id, "", self.frame, "", "unasked", self.heard_at, None)

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


def _is_usable(message_id: Any) -> bool:
    if isinstance(message_id, str):
        return len(message_id) <= MAX_ID
    return isinstance(message_id, int) and not isinstance(message_id, bool)
