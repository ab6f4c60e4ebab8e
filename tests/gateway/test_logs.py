"""Secrets stay out of the logs."""

import logging
from io import StringIO
from typing import Any

import pytest
from django.conf import settings

from gateway.logs import HideSecrets, without_secrets

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
