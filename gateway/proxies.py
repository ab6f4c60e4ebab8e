"""What stands in front: what a trusted proxy says of a client counts as if the client were at our own door.

From a trusted proxy, X-Forwarded-Proto is the scheme, X-Forwarded-For the address, and CLIENT_CERTIFICATE_HEADER the
client's certificate; all that follows reads the scope and knows of no proxy. From anyone else these headers are words.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote_to_bytes

from asgiref.sync import markcoroutinefunction
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.conf import settings

Scope = dict[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

_SCHEMES = {"http": ("http", "https"), "websocket": ("ws", "wss")}  # without and with TLS
_PEM = serialization.Encoding.PEM
MAX_CERTIFICATE = 20_000  # bytes of the header


def behind_proxies(app: App) -> App:
    """The application, seeing its clients as they are on the other side of our proxies."""

    def application(scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        return app(seen_through(scope) if scope["type"] in _SCHEMES else scope, receive, send)

    return markcoroutinefunction(application)  # without one more coroutine for as long as a connection lives


def seen_through(scope: Scope) -> Scope:
    """The scope with what a trusted proxy says of the client; as it is from any other peer."""
    if not settings.TRUSTED_PROXIES or not is_trusted(address_of(scope)):
        return scope
    headers = scope["headers"]
    seen = dict(scope)
    if protocol := _last(headers, b"x-forwarded-proto"):
        seen["scheme"] = _SCHEMES[scope["type"]][protocol in ("https", "wss")]
    if client := _client(headers):
        seen["client"] = (client, 0)
    if name := certificate_header():
        given = [value for key, value in headers if key == name]
        if len(given) == 1:  # of two, one is the client's own
            seen["headers"] = [(key, value) for key, value in headers if key != name]
            seen["extensions"] = {**scope.get("extensions", {}), "tls": _tls(given[0])}
    return seen


def is_trusted(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in settings.TRUSTED_PROXIES)


def address_of(scope: Scope) -> str:
    """The peer's address; an IPv4 address that came over an IPv6 socket as itself."""
    return _plain(str((scope.get("client") or ("",))[0]))


def address_in(request: Any) -> str:
    """The same of an HTTP request, Django's or DRF's. What a client writes into X-Forwarded-For does not count."""
    return _plain(request.META.get("REMOTE_ADDR") or "")


@lru_cache(maxsize=10_000)
def _plain(host: str) -> str:
    try:
        ip = ip_address(host)
    except ValueError:
        return ""
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def certificate_header() -> bytes:
    return settings.CLIENT_CERTIFICATE_HEADER.strip().lower().encode()


def _client(headers: list[tuple[bytes, bytes]]) -> str:
    """The last address that is not a proxy's own: those before it are what the client says of itself."""
    for value in reversed(_values(headers, b"x-forwarded-for")):
        try:
            ip_address(value)
        except ValueError:
            return ""
        if not is_trusted(value):
            return value
    return ""


def _last(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    return next(iter(reversed(_values(headers, name))), "").lower()


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    joined = b",".join(value for key, value in headers if key == name).decode("latin-1")
    return [part.strip() for part in joined.split(",") if part.strip()]


def _tls(value: bytes) -> dict[str, Any]:
    """As the ASGI TLS extension has it. The proxy's word that it checked the issuer is not asked for: we check it."""
    certificate = certificate_from(value)
    chain = [certificate.public_bytes(_PEM).decode()] if certificate else []
    return {"client_cert_chain": chain, "client_cert_error": None, "server_cert": None}


def certificate_from(value: bytes) -> x509.Certificate | None:
    """URL-encoded PEM (nginx: $ssl_client_escaped_cert), or `:base64 of DER:` (RFC 9440). None from anything else."""
    text = value.strip()[:MAX_CERTIFICATE]
    try:
        if text.startswith(b":"):
            return x509.load_der_x509_certificate(base64.b64decode(text.strip(b":"), validate=True))
        return x509.load_pem_x509_certificate(unquote_to_bytes(text))
    except (ValueError, binascii.Error):
        return None
