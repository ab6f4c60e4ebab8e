"""Secrets stay out of the logs; ids get in."""

import asyncio
import contextvars
import json
import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.test import RequestFactory

from gateway import logs
from gateway.db import in_db
from gateway.logs import HideSecrets, JsonFormatter, without_secrets
from tests import wire
from tests.factories import make_charger, make_user, token_of
from tests.gateway.test_api import call_now

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    "text",
    [
        f"GET /?token={JWT}&x=1",
        f"Authorization: Bearer {JWT}",
        "authorization: basic Q1AwMDE6c2VjcmV0",
        f"something that holds {JWT} by the way",
        "/ws/?token=short-secret HTTP/1.1",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(text: str) -> None:
    hidden = without_secrets(text)
    assert "[hidden]" in hidden
    for secret in (JWT, "Q1AwMDE6c2VjcmV0", "short-secret"):
        assert secret not in hidden


def test_what_is_no_secret_stays() -> None:
    assert (
        without_secrets("charger CP001 refused: unknown identity")
        == "charger CP001 refused: unknown identity"
    )


def test_the_filter_sees_arguments_too() -> None:
    record = logging.LogRecord(
        "x", logging.INFO, __file__, 1, "url %s from %s", (f"/?token={JWT}", "a"), None
    )
    assert HideSecrets().filter(record)
    assert JWT not in record.getMessage()
    assert record.getMessage().endswith("from a")


def logged(*arguments: Any, **options: Any) -> str:
    """What a handler with the filter writes."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(HideSecrets())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("of this test")
    logger.addHandler(handler)
    logger.error(*arguments, **options)
    return stream.getvalue()


def test_a_traceback_keeps_no_secret_either() -> None:
    try:
        raise ValueError(f"cannot open ws://host/?token={JWT}")
    except ValueError as error:
        text = logged("failed", exc_info=error)
    assert "Traceback" in text
    assert "ValueError: cannot open ws://host/?token=[hidden]" in text
    assert JWT not in text


def test_arguments_that_do_not_fit_fail_nobody_and_tell_nothing() -> None:
    text = logged("%d sockets", f"?token={JWT}")
    assert text.startswith("ERROR %d sockets")
    assert JWT not in text


def test_every_handler_of_the_settings_hides_secrets() -> None:
    handlers: Any = settings.LOGGING["handlers"]
    assert handlers
    for handler in handlers.values():
        assert "secrets" in handler["filters"]


# --- as JSON, with the ids a line is about ---


def as_json(*arguments: Any, **options: Any) -> dict[str, Any]:
    """The object that a handler as the settings have it writes."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(HideSecrets())
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("of this test")
    logger.addHandler(handler)
    logger.error(*arguments, **options)
    [line] = stream.getvalue().splitlines()
    return json.loads(line)


def test_a_line_of_json_tells_when_where_what_and_about_whom() -> None:
    def lines() -> dict[str, Any]:
        logs.begin(user_id=7)
        logs.about(charger="CP 1\n")
        return as_json("%d sockets\nare open", 3)

    line = contextvars.Context().run(lines)
    assert datetime.fromisoformat(line.pop("time")).utcoffset() == timedelta(0)
    assert line == {
        "level": "ERROR",
        "logger": "of this test",
        "message": "3 sockets\nare open",
        "user_id": 7,
        "charger": "CP 1\n",
    }


def test_a_line_of_json_has_its_traceback_and_no_secret() -> None:
    def lines() -> dict[str, Any]:
        logs.begin(request_id=f"token={JWT}")
        try:
            raise ValueError(f"cannot open ws://host/?token={JWT}")
        except ValueError as error:
            return as_json("failed with %s", JWT, exc_info=error)

    line = contextvars.Context().run(lines)
    assert "Traceback" in line["exception"]
    assert line["request_id"] == "token=[hidden]"
    assert JWT not in str(line)


@pytest.mark.parametrize("odd", ["\udcff", 2**80, b"\xff", "x" * 1000])
def test_what_others_sent_fails_no_line(odd: Any) -> None:
    def lines() -> dict[str, Any]:
        logs.begin(charger=odd)
        return as_json("heard %s", odd)

    line = contextvars.Context().run(lines)
    assert line["message"].startswith("heard ")
    assert len(line["charger"]) <= 2 * logs.MAX_ID


async def test_what_a_task_is_about_is_known_to_its_database_threads_and_to_no_other_task() -> None:
    async def conversation(name: str) -> tuple[Any, Any, Any]:
        logs.begin(charger=name)

        async def command() -> Any:
            logs.also(command_id=f"of {name}")
            return (await in_db(as_json, "x"))["command_id"]

        logs.about(user_id=1)
        of_command = await asyncio.create_task(command())
        line = await in_db(as_json, "x")
        return line["charger"], of_command, line.get("command_id")

    first, second = await asyncio.gather(conversation("A"), conversation("B"))
    assert first == ("A", "of A", None)
    assert second == ("B", "of B", None)


async def test_a_server_writes_json_about_users_chargers_commands_and_requests(
    start_server: Callable[..., Any],
) -> None:
    server = start_server(LOG_FORMAT="json", COMMAND_TIMEOUT_S=1, LOG_LEVEL="DEBUG")
    charger, user = make_charger(), make_user()
    token = token_of(user)
    async with wire.charger(server.ws, charger.identity) as point, wire.app(server.ws, token) as app:
        await point.ready()
        await app.send(
            {"action": "start_charging", "data": {"charger_id": charger.identity}, "request_id": "r-1"}
        )
        message_id, _ = await point.asked("RemoteStartTransaction")
        await app.until(request_id="r-1")  # too late for the charger
        await point.answer(message_id, {"status": "Accepted"})
        await point.call("Heartbeat")
    await asyncio.to_thread(call_now, server.http, "GET", "/nowhere", headers={"X-Request-ID": "proxy-1"})
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    late = next(line for line in lines if line["message"] == f"a late answer to {message_id}")
    assert (late["charger"], late["logger"]) == (charger.identity, "gateway.ocpp.rpc")
    assert any(line.get("request_id") == "proxy-1" for line in lines)
    # Asyncio and the libraries say much in DEBUG; nothing of it is a secret.
    assert token not in server.log
    assert not [line for line in server.log.splitlines() if line.startswith("Traceback")]


def test_a_request_keeps_the_id_of_the_proxy_if_it_is_one() -> None:
    requests = RequestFactory()
    assert logs._id_of(requests.get("/", headers={"X-Request-ID": "a-1.b"})) == "a-1.b"
    for odd in ("", "a b", "x" * 65, "ä", '"}'):
        assert re.fullmatch("[0-9a-f]{32}", logs._id_of(requests.get("/", headers={"X-Request-ID": odd})))
