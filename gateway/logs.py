"""The log: without secrets, whoever writes it; as text for people, or as JSON with the ids of what it is about."""

import logging
import re
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

# A token in a URL, an Authorization header, or any JWT by its looks.
_SECRETS = re.compile(r"(?i)(token=|bearer\s+|basic\s+)[^\s&\"',]+|eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*")

MAX_ID = 64


def without_secrets(text: str) -> str:
    return _SECRETS.sub(lambda match: f"{match[1] or ''}[hidden]", text)


class HideSecrets(logging.Filter):
    """Rewrites a record's message, arguments and traceback included, before it is formatted."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (
            TypeError,
            ValueError,
            KeyError,
        ):  # the caller's arguments do not fit; it must not fail of that
            message = f"{record.msg} {record.args!r}"
            record.msg, record.args = message, None
        hidden = without_secrets(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:  # a formatter takes this text as it is
            record.exc_text = without_secrets(record.exc_text)
        return True


# --- what a line is about: ids, known to the doors and carried along by the task and its database threads ---

_ids: ContextVar[dict[str, Any]] = ContextVar("ids")


def begin(**ids: Any) -> None:
    """From here on this task is about these alone."""
    _ids.set(ids)


def about(**ids: Any) -> None:
    """The whole conversation is about these, too: every task that was begun in it."""
    _ids.get({}).update(ids)


def also(**ids: Any) -> None:
    """This task is about these, too, and the one it came from is not."""
    _ids.set({**_ids.get({}), **ids})


class JsonFormatter(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, the ids that are known, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _ids.get({}).items():
            line[name] = value if isinstance(value, int) else without_secrets(str(value))[:MAX_ID]
        if record.exc_info and not record.exc_text:
            record.exc_text = without_secrets(self.formatException(record.exc_info))
        if record.exc_text:
            line["exception"] = record.exc_text
        return _as_json(line)


def _as_json(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line).decode()
    except (
        TypeError
    ):  # half a surrogate pair, say, or a number beyond 64 bits: what others sent may hold anything
        readable = {
            name: str(value).encode(errors="backslashreplace").decode() for name, value in line.items()
        }
        return orjson.dumps(readable).decode()


# --- how much is written ---

written: defaultdict[str, int] = defaultdict(int)


class CountWritten(logging.Handler):
    """Counts warnings and errors for gateway.metrics. The handler's own lock makes it right in threads."""

    def emit(self, record: logging.LogRecord) -> None:
        written[record.levelname.lower()] += 1


# --- HTTP ---

_USABLE_ID = re.compile(r"[\w.:/+=-]{1,64}", re.ASCII)

Answer = Callable[[HttpRequest], HttpResponseBase]
AsyncAnswer = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class RequestIds:
    """Middleware: each request's lines carry an id, that of the proxy (X-Request-ID) if it gives one."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._answer_later(request)
        begin(request_id=_id_of(request))
        return self.get_response(request)

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        begin(request_id=_id_of(request))
        answer: HttpResponseBase = await self.get_response(request)
        return answer


def _id_of(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if _USABLE_ID.fullmatch(given) else uuid.uuid4().hex
