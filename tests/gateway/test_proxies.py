"""Whose word about a client counts."""

from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

import pytest
from pytest_django import Settings

from gateway import proxies
from gateway.proxies import seen_through
from tests.certificates import Authority

FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.0.0.2"}


@pytest.fixture(autouse=True)
def trusted(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    settings.CLIENT_CERTIFICATE_HEADER = "X-Client-Certificate"


def scope(peer: str | None, headers: dict[str, str] | None = None, kind: str = "websocket") -> dict[str, Any]:
    return {
        "type": kind,
        "scheme": "ws" if kind == "websocket" else "http",
        "client": (peer, 5) if peer is not None else None,
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in (headers or FORWARDED).items()
        ],
    }


@pytest.mark.parametrize(("kind", "scheme"), [("websocket", "wss"), ("http", "https")])
@pytest.mark.parametrize("peer", ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1"])
def test_a_trusted_proxy_tells_of_the_client(peer: str, kind: str, scheme: str) -> None:
    seen = seen_through(scope(peer, kind=kind))
    assert seen["scheme"] == scheme
    assert seen["client"][0] == "203.0.113.9"  # behind our proxies; what stands before it the client made up


@pytest.mark.parametrize("peer", ["192.0.2.1", "11.0.0.1", "", None, "/run/socket"])
def test_nobody_else_does(peer: str | None) -> None:
    given = scope(peer)
    assert seen_through(given) == given


@pytest.mark.parametrize(
    ("protocol", "scheme"), [("https", "wss"), ("HTTPS", "wss"), ("http", "ws"), ("http, https", "wss")]
)
def test_the_last_word_is_our_proxys(protocol: str, scheme: str) -> None:
    assert seen_through(scope("10.0.0.1", {"X-Forwarded-Proto": protocol}))["scheme"] == scheme


def test_an_address_that_is_none_is_not_taken() -> None:
    assert seen_through(scope("10.0.0.1", {"X-Forwarded-For": "1.2.3.4, unknown"}))["client"][0] == "10.0.0.1"


def test_the_certificate_is_taken_out_of_its_header() -> None:
    pem = Authority().pem
    seen = seen_through(scope("10.0.0.1", {"X-Client-Certificate": quote(pem)}))
    assert seen["extensions"]["tls"]["client_cert_chain"] == [pem]
    assert seen["headers"] == []


@pytest.mark.parametrize("value", ["", "nonsense", ":!!!:", "::", "%ff%fe", "-----BEGIN CERTIFICATE-----"])
def test_what_is_no_certificate_is_none(value: str) -> None:
    assert proxies.certificate_from(value.encode()) is None
