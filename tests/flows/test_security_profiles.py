"""The chargers' door with TLS, certificates, proxies and passwords, on real sockets."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from chargers import security
from chargers.models import Charger, ConnectionRefusal, SecurityEvent
from chargers.passwords import hash_password
from sessions.models import ChargingSession
from tests import wire
from tests.certificates import Authority, client_context, rsa_key
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_charger, unique
from tests.flows.test_admin_commands import CHARGERS, signed_in
from tests.flows.test_charger_door import basic
from tests.server_process import ServerProcess
from tests.wire import eventually

KEY = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")  # as in OCPP-J §6.2.2
HEADER = "X-Client-Certificate"


class Fort(NamedTuple):
    """A server with TLS, the authority of its certificate, and the one of chargers' certificates."""

    server: ServerProcess
    tls: str
    ca: Authority
    folder: Path

    def context(self, *, certificate: Any = None) -> ssl.SSLContext:
        files = certificate.save(self.folder, unique("client")) if certificate else None
        return client_context(self.ca, files)


@pytest.fixture(scope="module")
def fort(committed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fort]:
    folder, ca = tmp_path_factory.mktemp("fort"), Authority()
    curve = ca.issue("localhost", hosts=("localhost",)).save(folder, "server")
    rsa = ca.issue("localhost", hosts=("localhost",), key=rsa_key()).save(folder, "server-rsa")
    server = ServerProcess(
        "manage.py",
        "serve",
        "--port",
        "0",
        "--tls-port",
        "0",
        TLS_CERTIFICATE=f"{curve[0]},{rsa[0]}",
        TLS_KEY=f"{curve[1]},{rsa[1]}",
        TLS_CLIENT_CA=ca.save(folder, "ca")[0],
    )
    port = server.log.partition(" and https://")[2].partition("/")[0].rpartition(":")[2]
    yield Fort(server, f"wss://localhost:{port}", ca, folder)
    server.stop()


async def status_of(url: str, charger: Charger, **options: Any) -> int:
    """The HTTP status a handshake gets: 101, or a refusal's."""
    try:
        async with wire.charger(url, charger.identity, **options) as point:
            await point.call("Heartbeat")
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def used(charger: Charger) -> int:
    return Charger.objects.get(pk=charger.pk).used_security_profile


def reasons(charger: Charger) -> set[str]:
    return set(ConnectionRefusal.objects.filter(charger=charger).values_list("reason", flat=True))


# --- TLS at our own door ---


async def test_a_charger_rises_from_profile_to_profile_and_never_falls(fort: Fort) -> None:
    """E10, E8: with the key of the book, whose bytes are no text.

    TC_086, TC_087; and TC_083, of which the change of the configuration key is TC_021.
    """
    charger = make_charger(password_hash=hash_password(KEY))
    plain, own = fort.server.ws, fort.ca.issue(charger.identity)
    assert await status_of(plain, charger, password=KEY) == 101
    assert used(charger) == 1
    assert await status_of(fort.tls, charger, password=KEY, ssl=fort.context()) == 101
    assert used(charger) == 2
    assert await status_of(plain, charger, password=KEY) == 403
    assert await status_of(fort.tls, charger, ssl=fort.context(certificate=own)) == 101
    assert used(charger) == 3
    assert await status_of(fort.tls, charger, password=KEY, ssl=fort.context()) == 403
    assert await status_of(plain, charger, password=KEY) == 403
    assert reasons(charger) == {"not_encrypted", "no_certificate"}
    assert await status_of(fort.tls, charger, ssl=fort.context(certificate=own)) == 101


async def test_a_password_with_colons_over_tls(fort: Fort) -> None:
    """E8"""
    charger = make_charger(identity=unique("a:b"), password_hash=hash_password(":with:colons:"))
    context = fort.context()
    assert await status_of(fort.tls, charger, password=":with:colons:", ssl=context) == 101
    assert await status_of(fort.tls, charger, password="with:colons:", ssl=context) == 401


async def test_a_charger_without_anything_still_gets_in(fort: Fort) -> None:
    charger = make_charger()
    assert await status_of(fort.server.ws, charger) == 101
    assert await status_of(fort.tls, charger, ssl=fort.context()) == 101
    assert used(charger) == 0


async def test_anothers_certificate_does_not_open_the_door(fort: Fort) -> None:
    """A00.FR.405"""
    charger, other = make_charger(security_profile=3), make_charger()
    theirs = fort.context(certificate=fort.ca.issue(other.identity))
    assert await status_of(fort.tls, charger, ssl=theirs) == 403
    assert reasons(charger) == {"foreign_certificate"}


async def test_a_certificate_of_an_unknown_authority_ends_the_handshake(fort: Fort) -> None:
    """A00.FR.407"""
    charger = make_charger(security_profile=3)
    stranger = Authority("Stranger").issue(charger.identity)
    with pytest.raises((ssl.SSLError, OSError, EOFError, InvalidMessage)):
        await status_of(fort.tls, charger, ssl=fort.context(certificate=stranger))
    assert used(charger) == 0


@pytest.mark.parametrize(
    "cipher",
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    ],
)
async def test_the_ciphers_of_the_book_are_spoken(fort: Fort, cipher: str) -> None:
    """A00.FR.317"""
    charger = make_charger(password_hash=hash_password(KEY))
    context = fort.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    async with wire.charger(fort.tls, charger.identity, password=KEY, ssl=context) as point:
        line = point.socket.transport.get_extra_info("ssl_object")
        assert line.cipher()[0] == cipher
        assert line.compression() is None


async def test_old_versions_of_tls_are_not_spoken(fort: Fort) -> None:
    """A00.FR.314"""
    charger, context = make_charger(), fort.context()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        await status_of(fort.tls, charger, ssl=context)


async def test_the_floor_of_the_installation_counts_for_all(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(MIN_SECURITY_PROFILE=1)
    bare, guarded = make_charger(), make_charger(password_hash=hash_password(KEY))
    assert await status_of(server.ws, bare) == 403
    assert reasons(bare) == {"no_password_set"}
    assert await status_of(server.ws, guarded, password=KEY) == 101


# --- a proxy's word ---


@pytest.fixture(scope="module")
def behind_proxy(fort: Fort) -> Iterator[ServerProcess]:
    """A server whose proxy is 127.0.0.1, as these tests are."""
    server = ServerProcess(
        TRUSTED_PROXIES="127.0.0.1",
        CLIENT_CERTIFICATE_HEADER=HEADER,
        TLS_CLIENT_CA=str(fort.folder / "ca.pem"),
        HTTPS="true",
    )
    yield server
    server.stop()


def passed_on(certificate: Any = None, *, rfc: bool = False, protocol: str = "https") -> dict[str, str]:
    """What a proxy that ends TLS adds."""
    headers = {"X-Forwarded-Proto": protocol, "X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
    if certificate and rfc:
        der = certificate.certificate.public_bytes(Encoding.DER)
        headers[HEADER] = f":{base64.b64encode(der).decode()}:"
    elif certificate:
        headers[HEADER] = quote(certificate.pem)
    return headers


async def dialled(url: str, charger: Charger, headers: dict[str, str]) -> int:
    try:
        async with connect(
            f"{url}/ocpp/{charger.identity}",
            subprotocols=["ocpp1.6"],  # type: ignore[list-item]
            additional_headers=headers,
            proxy=None,
            close_timeout=2,
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("rfc", [False, True], ids=["nginx", "RFC 9440"])
async def test_a_proxy_that_is_trusted_passes_the_certificate(
    fort: Fort, behind_proxy: ServerProcess, rfc: bool
) -> None:
    charger = make_charger(security_profile=3)
    own = fort.ca.issue(charger.identity)
    assert await dialled(behind_proxy.ws, charger, passed_on(own, rfc=rfc)) == 101
    await eventually(lambda: used(charger) == 3)
    for wrong in (Authority("X").issue(charger.identity), fort.ca.issue("another")):
        assert await dialled(behind_proxy.ws, charger, passed_on(wrong, rfc=rfc)) == 403
    assert reasons(charger) == {"untrusted_certificate", "foreign_certificate"}
    # The client as the proxy saw it, not as it calls itself.
    rows = ConnectionRefusal.objects.filter(charger=charger)
    assert set(rows.values_list("address", flat=True)) == {"203.0.113.9"}


async def test_two_certificates_in_headers_are_one_too_many(fort: Fort, behind_proxy: ServerProcess) -> None:
    charger = make_charger(security_profile=3)
    own = quote(fort.ca.issue(charger.identity).pem)
    async with raw_handshake(
        behind_proxy, charger, [("X-Forwarded-Proto", "https"), (HEADER, own), (HEADER, own)]
    ) as answer:
        assert answer.startswith(b"HTTP/1.1 400 ")


@asynccontextmanager
async def raw_handshake(
    server: ServerProcess, charger: Charger, headers: list[tuple[str, str]]
) -> AsyncIterator[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [
        f"GET /ocpp/{charger.identity} HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: ocpp1.6",
        *(f"{name}: {value}" for name, value in headers),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(wire.TIMEOUT_S):
        yield await reader.readuntil(b"\r\n")
    writer.close()


async def test_a_proxys_word_that_it_was_tls(behind_proxy: ServerProcess) -> None:
    charger = make_charger(password_hash=hash_password(KEY), security_profile=2)
    login = basic(charger.identity, KEY)
    assert await dialled(behind_proxy.ws, charger, {**login, **passed_on()}) == 101
    assert await dialled(behind_proxy.ws, charger, login) == 403
    plain = passed_on(protocol="http")
    assert await dialled(behind_proxy.ws, charger, {**login, **plain}) == 403


async def test_headers_of_anybody_else_are_words(
    fort: Fort, start_server: Callable[..., ServerProcess]
) -> None:
    server = start_server(
        TRUSTED_PROXIES="192.0.2.0/24",
        CLIENT_CERTIFICATE_HEADER=HEADER,
        TLS_CLIENT_CA=str(fort.folder / "ca.pem"),
    )
    charger = make_charger(password_hash=hash_password(KEY), security_profile=2)
    login = basic(charger.identity, KEY)
    assert await dialled(server.ws, charger, {**login, **passed_on()}) == 403
    assert reasons(charger) == {"not_encrypted"}
    forged = passed_on(fort.ca.issue(charger.identity))
    assert await dialled(server.ws, charger, {**login, **forged}) == 400
    rows = ConnectionRefusal.objects.filter(charger=charger)
    assert set(rows.values_list("reason", "address")) == {
        ("not_encrypted", "127.0.0.1"),
        ("forged_header", "127.0.0.1"),
    }


# --- refusals ---


async def test_who_fails_often_is_told_to_wait_in_every_process(site: Site) -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    headers = basic(charger.identity, "wrong")
    for _ in range(security.FREE_ATTEMPTS + 1):
        assert await dialled(site.charger_url, charger, headers) == 401
    ConnectionRefusal.objects.filter(charger=charger).update(slowed_until="2999-01-01T00:00Z")
    for url in (site.charger_url, site.app_url):
        with pytest.raises(InvalidStatus) as caught:
            await wire.charger(url, charger.identity, password=KEY).__aenter__()
        response = caught.value.response
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) > 1
        assert b"AuthorizationKey" in response.body
    ConnectionRefusal.objects.filter(charger=charger).update(slowed_until=None)
    assert await status_of(site.charger_url, charger, password=KEY) == 101
    row = ConnectionRefusal.objects.get(charger=charger)
    assert (row.count, row.streak) == (security.FREE_ATTEMPTS + 3, 0)


async def test_no_common_version_is_a_refusal_too(site: Site) -> None:
    """E7"""
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity, subprotocols=["ocpp2.0.1"]) as point:
        await point.closed()
    assert reasons(charger) == {"no_subprotocol"}


# --- one password after another, with a charger that dies at each step ---


@pytest.mark.parametrize(
    ("answers", "took"),
    [("Accepted", True), ("Rejected", False), ("NotSupported", False), (None, True), (None, False)],
)
async def test_a_charger_that_dies_in_a_change_of_password_is_not_locked_out(
    site: Site, answers: str | None, took: bool
) -> None:
    """A01"""
    charger = make_charger(password_hash=hash_password(KEY))
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity, password=KEY) as point:
        await point.ready()
        await admin.act(CHARGERS, "new_password", charger, confirmed="yes")
        message_id, asked = await point.asked("ChangeConfiguration")
        new = bytes.fromhex(asked["value"])
        if answers:
            await point.answer(message_id, {"status": answers})
            await eventually(lambda: charger.commands.get().is_finished)
        # else it is cut off half way
    right, wrong = (new, KEY) if took else (KEY, new)
    await eventually(lambda: not Charger.objects.get(pk=charger.pk).is_connected)
    assert await status_of(site.charger_url, charger, password=right) == 101
    assert await status_of(site.charger_url, charger, password=wrong) == 401
    assert await status_of(site.charger_url, charger, password=right) == 101
    assert "value" in charger.commands.get().params
    assert asked["value"] not in str(charger.commands.get().params)


async def test_a_server_that_dies_in_a_change_of_password_locks_nobody_out(
    start_server: Callable[..., ServerProcess], site: Site
) -> None:
    charger, doomed = make_charger(password_hash=hash_password(KEY)), start_server()
    admin = await signed_in(Site(doomed, doomed))
    async with wire.charger(doomed.ws, charger.identity, password=KEY) as point:
        await point.ready()
        await admin.act(CHARGERS, "new_password", charger, confirmed="yes")
        _, asked = await point.asked("ChangeConfiguration")
        doomed.kill()
        await point.closed()
    new = bytes.fromhex(asked["value"])
    assert await status_of(site.charger_url, charger, password=new) == 101
    assert await status_of(site.charger_url, charger, password=KEY) == 401


# --- before it is accepted ---


async def test_a_pending_charger_is_heard_of_what_it_was_asked_and_of_money_alone(site: Site) -> None:
    """E19: OCPP-J errata 3.8, OCPP 1.6 §4.2; rule 1 for facts about money."""
    charger = make_charger(registration="Pending")
    async with wire.charger(site.charger_url, charger.identity) as point:
        assert (await point.boot())["status"] == "Pending"
        status = {"connectorId": 1, "status": "Available", "errorCode": "NoError"}
        for action, payload in (
            ("Heartbeat", {}),
            ("StatusNotification", status),
            ("Authorize", {"idTag": "X"}),
            ("SecurityEventNotification", {"type": "ResetOrReboot", "timestamp": at()}),
        ):
            frame = await point.request(action, payload)
            assert frame[:1] + frame[2:3] == [4, "SecurityError"], frame
        transaction = await point.start(id_tag="CARD", at=at())
        await point.meter(transaction=transaction, at=at(), energy=2000)
        await point.stop(transaction=transaction, meter=3000, at=at())
        session = ChargingSession.objects.get(transaction_id=transaction)
        assert (session.meter_start_wh, session.meter_stop_wh) == (1000, 3000)
        admin = await signed_in(site)
        form = {"order-message": "StatusNotification", "order-connector_id": ""}
        await admin.act(CHARGERS, "trigger_message", charger, confirmed="yes", **form)
        await point.accepts("TriggerMessage")
        await point.status(1)
        assert (await point.request("Heartbeat", {}))[0] == 4


async def test_an_accepted_charger_is_heard_on_a_plain_reconnect(site: Site) -> None:
    """E19: OCPP-J §5.4; and one that was accepted meanwhile, once it boots."""
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.call("Heartbeat")
    waiting = make_charger(registration="Pending")
    async with wire.charger(site.charger_url, waiting.identity) as point:
        assert (await point.request("Heartbeat", {}))[0] == 4
        Charger.objects.filter(pk=waiting.pk).update(registration="Accepted")
        assert (await point.boot())["status"] == "Accepted"
        await point.call("Heartbeat")


# --- what chargers notice ---


async def test_a_security_event_told_twice_is_one(site: Site) -> None:
    """A04"""
    charger = make_charger()
    told = {"type": "TamperDetectionActivated", "timestamp": at(), "techInfo": "lid\0"}
    for _ in range(2):
        async with wire.charger(site.charger_url, charger.identity) as point:
            assert await point.call("SecurityEventNotification", told) == {}
    event = SecurityEvent.objects.get(charger=charger)
    assert (event.kind, event.is_critical, event.tech_info) == ("TamperDetectionActivated", True, "lid")
