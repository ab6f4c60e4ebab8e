"""TLS at our own door: versions and ciphers of the security whitepaper, and the client's certificate in the scope."""

import asyncio
import logging
import os
import ssl
from collections.abc import Coroutine
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.conf import settings

from chargers import authority
from gateway.pings import PingedSocket

logger = logging.getLogger(__name__)

# A00.FR.317, A00.FR.421: the first two lines are what is good, the last what a charger may have instead.
CIPHERS = ":".join(
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305",
        "AES128-GCM-SHA256:AES256-GCM-SHA384",
    ]
)
CHECK_INTERVAL_S = 30
_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def context() -> ssl.SSLContext:
    """TLS 1.2 at least, without compression. A client's certificate is asked for, if there is an authority for it."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(CIPHERS)
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    load_certificates(made)
    if files := authority.trust_files():
        made.verify_mode = ssl.CERT_OPTIONAL
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate authority may stand alone
        for file in files:
            made.load_verify_locations(file)
    return made


def load_certificates(context: ssl.SSLContext) -> None:
    for certificate, key in zip(settings.TLS_CERTIFICATE, settings.TLS_KEY, strict=True):
        context.load_cert_chain(certificate, key)


async def keep_fresh(context: ssl.SSLContext) -> None:
    """Take over certificates that are renewed, for the connections from then on (A00.FR.701: they are short-lived)."""
    seen = _changes()
    while True:
        await asyncio.sleep(CHECK_INTERVAL_S)
        try:
            if (now := _changes()) != seen:
                load_certificates(context)
                seen = now
        except (OSError, ssl.SSLError) as error:  # half written; the next look may find it whole
            logger.warning("the renewed TLS certificate cannot be read: %s", error)


def _changes() -> list[int]:
    return [os.stat(file).st_mtime_ns for file in (*settings.TLS_CERTIFICATE, *settings.TLS_KEY)]


class TlsSocket(PingedSocket):
    """A WebSocket whose scope has the ASGI TLS extension; uvicorn's own has none."""

    def run_asgi(self) -> Coroutine[Any, Any, None]:
        line = self.transport.get_extra_info("ssl_object")
        if line is not None:
            extensions: dict[str, Any] = {**(self.scope.get("extensions") or {}), "tls": _extension(line)}
            self.scope["extensions"] = extensions
        return super().run_asgi()  # no coroutine of ours around it, for as long as the socket lives


def _extension(line: ssl.SSLObject) -> dict[str, Any]:
    """What ASGI's TLS extension tells. The certificate is there only if its issuer was believed."""
    der = line.getpeercert(binary_form=True)
    certificate = x509.load_der_x509_certificate(der) if der else None
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode() if certificate else None
    return {
        "server_cert": None,
        "client_cert_chain": [pem] if pem else [],
        "client_cert_name": certificate.subject.rfc4514_string() if certificate else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(line.version() or ""),
        "cipher_suite": None,
        "evcharge.verified": certificate is not None,
    }
