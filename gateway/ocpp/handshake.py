"""A charger's handshake: what the line shows of who dials in, and what it is answered. chargers.security judges."""

from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from django.db import transaction

from chargers import security
from chargers.quirks import Quirks, quirks_of
from chargers.security import Admission, Arrival, Refused
from gateway import auth, proxies
from gateway.db import in_db
from sessions import services

MAX_IDENTITY = 255

# What is not here is 403.
_STATUS = {
    "unknown_identity": HTTPStatus.NOT_FOUND,
    "inbox_full": HTTPStatus.NOT_FOUND,
    "rejected": HTTPStatus.NOT_FOUND,
    "no_credentials": HTTPStatus.UNAUTHORIZED,
    "wrong_user": HTTPStatus.UNAUTHORIZED,
    "wrong_password": HTTPStatus.UNAUTHORIZED,
    "forged_header": HTTPStatus.BAD_REQUEST,
}


async def admit(scope: dict[str, Any]) -> tuple[Admission, Quirks]:
    """Who it is and whether it may come in, and what we know of its like. Raises Refused."""
    return await in_db(_admitted, arrival(scope))


def _admitted(arrived: Arrival) -> tuple[Admission, Quirks]:
    admission = security.admit(arrived)
    return admission, quirks_of(admission.charger)


def enter(admission: Admission, *, channel_name: str, ocpp_version: str) -> int:
    """It is in, and its socket owns the charger; returns the epoch. One transaction: a service, for `in_db`."""
    with transaction.atomic():
        ownership = services.charger_connected(
            charger_id=admission.charger.pk, channel_name=channel_name, ocpp_version=ocpp_version
        )
        security.entered(admission, ownership.charger)
    return ownership.epoch


def no_subprotocol(admission: Admission) -> None:
    """The charger is who it says, but we cannot talk to it (E7). A service, for `in_db`."""
    charger, address = admission.charger, admission.arrival.address
    security.record_refusal(
        Refused("no_subprotocol"), identity=charger.identity, address=address, charger=charger
    )


def answer(refusal: Refused) -> tuple[int, str, list[tuple[bytes, bytes]]]:
    """The HTTP answer: (status, text, headers). What an installer reads in the charger's log."""
    if refusal.retry_after_s:
        headers = [(b"retry-after", str(refusal.retry_after_s).encode())]
        return HTTPStatus.TOO_MANY_REQUESTS, refusal.sentence, headers
    status = _STATUS.get(refusal.reason, HTTPStatus.FORBIDDEN)
    headers = []
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Basic realm="chargers"'))
    return status, refusal.sentence, headers


def arrival(scope: dict[str, Any]) -> Arrival:
    """The charger as its handshake shows it."""
    given = auth.basic(scope["headers"])
    tls = scope.get("extensions", {}).get("tls") or {}
    chain = tls.get("client_cert_chain") or []
    header = proxies.certificate_header()
    return Arrival(
        identity=_identity(scope),
        address=proxies.address_of(scope),
        is_encrypted=scope.get("scheme") in ("wss", "https"),
        credentials=None if given is None else b":".join(given),
        certificate=x509.load_pem_x509_certificate(chain[0].encode()) if chain else None,
        is_verified=bool(tls.get("evcharge.verified")),
        has_forged_header=bool(header) and any(name == header for name, _ in scope["headers"]),
    )


def _identity(scope: dict[str, Any]) -> str:
    """The last part of the path, percent-decoded here, so that an encoded slash stays part of it (E6)."""
    raw = scope.get("raw_path")
    path = raw.decode("ascii", errors="replace") if raw else scope["path"]
    encoded = path.split("?")[0].rpartition("/ocpp/")[2].rstrip("/")
    try:
        identity = unquote(encoded, errors="strict") if raw else encoded
    except UnicodeDecodeError:
        return ""
    usable = identity.isprintable() and len(identity) <= MAX_IDENTITY
    return identity if usable else ""
