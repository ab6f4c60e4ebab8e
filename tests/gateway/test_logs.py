"""Secrets stay out of the logs."""

import logging

import pytest

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
