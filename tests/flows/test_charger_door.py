"""The chargers' door: who gets in, who owns the charger, and how its presence is known."""

import asyncio
import base64
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.db.models import F
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chargers.events import utcnow
from chargers.models import Charger, Command
from chargers.passwords import hash_password
from tests import wire
from tests.charge import at, begin, scene
from tests.conftest import Site
from tests.factories import make_charger, make_user, token_of, unique
from tests.server_process import ServerProcess
from tests.wire import eventually

NORMAL, PROTOCOL_ERROR = 1000, 1002


@pytest.fixture(scope="module")
def impatient(committed: None) -> Iterator[ServerProcess]:
    """A server that pings often and looks often who is still there, but gives commands all the time they want."""
    server = ServerProcess(
        WS_PING_INTERVAL_S=1, WS_PING_TIMEOUT_S=1, PRESENCE_INTERVAL_S=1, COMMAND_TIMEOUT_S=40
    )
    yield server
    server.stop()


class RawCharger:
    """A charger's socket by hand, for what no library does: it reads nothing, and answers neither ping nor close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, text: str) -> None:
        data = text.encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self.writer.write(b"\x81" + size + bytes(4) + data)  # masked with zeros
        await self.writer.drain()


@asynccontextmanager
async def raw_charger(url: str, identity: str) -> AsyncIterator[RawCharger]:
    address = urlsplit(url)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that what is not read soon fills it
    line.setblocking(False)
    await asyncio.get_running_loop().sock_connect(line, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=line, limit=1024)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /ocpp/{identity} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"101" in head, head
    try:
        yield RawCharger(reader, writer)
    finally:
        writer.transport.abort()


async def status_of(url: str, path: str, **options: Any) -> int:
    """The HTTP status a handshake gets: 101, or a refusal's."""
    try:
        async with connect(
            f"{url}{path}",
            subprotocols=["ocpp1.6"],  # type: ignore[list-item]
            proxy=None,
            close_timeout=2,
            **options,
        ):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def basic(user: bytes | str, password: bytes | str) -> dict[str, str]:
    pair = [part.encode() if isinstance(part, str) else part for part in (user, password)]
    return {"Authorization": f"Basic {base64.b64encode(b':'.join(pair)).decode()}"}


def is_online(charger: Charger) -> bool:
    return Charger.objects.get(pk=charger.pk).is_connected


# --- who owns the charger ---


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same process", "other process"])
async def test_the_newest_socket_gets_the_next_command_and_the_old_ones_close_changes_nothing(
    site: Site, elsewhere: bool
) -> None:
    """E1, E2. With STACK=real the other process is one."""
    async with scene(site) as s:
        assert (await s.app.act("subscribe", {"charger_ids": [s.identity]}))["success"]
        async with wire.charger(site.app_url if elsewhere else site.charger_url, s.identity) as newer:
            await newer.call("Heartbeat")
            assert await s.point.closed() == (NORMAL, "A newer connection of this charger took over")
            await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}})
            await newer.accepts("RemoteStartTransaction")
            answer = await s.app.until(type="response", action="start_charging")
            assert answer["data"]["success"] is True
            assert is_online(s.charger)
        # Only the close of the owner is news.
        offline = await s.app.until(type="charger_update", event="status_changed")
        assert offline["data"]["status"] == "Offline"
        assert not [m for m in s.app.passed if m.get("event") == "status_changed"]
        assert not is_online(s.charger)


async def test_what_a_superseded_socket_still_says_no_longer_counts(site: Site) -> None:
    """E2"""
    charger = make_charger()
    async with raw_charger(site.charger_url, charger.identity) as old:
        await eventually(lambda: is_online(charger))
        epoch = Charger.objects.get(pk=charger.pk).epoch
        async with wire.charger(site.app_url, charger.identity) as newer:
            await newer.status(1, "Charging")
            assert Charger.objects.get(pk=charger.pk).epoch == epoch + 1
            async with asyncio.timeout(wire.TIMEOUT_S):
                await old.reader.readuntil(b"took over")  # it is told, and stays all the same
            await old.send(
                '[2,"late","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Faulted"}]'
            )
            await newer.call("Heartbeat")
            assert charger.connectors.get(number=1).status == "Charging"
            assert is_online(charger)


async def test_many_sockets_of_one_charger_at_once_leave_one_that_works(site: Site) -> None:
    """E1: some open two after a reset, and redial as soon as one is closed."""
    charger, user = make_charger(), make_user()
    async with wire.app(site.app_url, token_of(user)) as app:
        dials = [wire.charger(site.charger_url, charger.identity) for _ in range(8)]
        points = await asyncio.gather(*(dial.__aenter__() for dial in dials))
        await eventually(lambda: sum(point.socket.close_code is None for point in points) == 1)
        (owner,) = [point for point in points if point.socket.close_code is None]
        await app.send({"action": "start_charging", "data": {"charger_id": charger.identity}})
        await owner.accepts("RemoteStartTransaction")
        assert (await app.until(type="response"))["data"]["success"] is True
        for dial in dials:
            await dial.__aexit__(None, None, None)
    await eventually(lambda: not is_online(charger))


async def test_a_command_that_waits_for_its_turn_goes_out_on_the_newest_socket(site: Site) -> None:
    """E1: what was sent on the old one has an unknown end; what was not is sent once, on the new one."""
    async with scene(site) as s, wire.app(site.app_url, token_of(make_user())) as other:
        for app, connector in ((s.app, 1), (other, 2)):
            wish = {"charger_id": s.identity, "connector_id": connector}
            await app.send({"action": "start_charging", "data": wish})
            await eventually(Command.objects.filter(charger=s.charger, params__connector_id=connector).exists)
        _, asked = await s.point.asked("RemoteStartTransaction")
        assert asked["connectorId"] == 1
        async with wire.charger(site.charger_url, s.identity) as newer:
            _, asked = await newer.asked("RemoteStartTransaction")
            assert asked["connectorId"] == 2
            answer = await s.app.until(type="response")
            assert answer["data"]["code"] == "charger_timeout"
            assert newer.calls.empty()
        assert s.point.calls.empty()


async def test_a_charger_whose_server_died_is_taken_by_another_at_once(
    start_server: Callable[..., ServerProcess], site: Site
) -> None:
    """E3"""
    doomed = start_server()
    charger, user = make_charger(), make_user()
    async with wire.charger(doomed.ws, charger.identity) as point:
        await point.ready()
        doomed.kill()
        await point.closed()
    assert is_online(charger)  # nobody has noticed
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.call("Heartbeat")
        async with wire.app(site.app_url, token_of(user)) as app:
            await app.send({"action": "start_charging", "data": {"charger_id": charger.identity}})
            await point.accepts("RemoteStartTransaction")
            assert (await app.until(type="response"))["data"]["success"] is True


# --- presence ---


async def test_the_presence_of_a_charger_whose_server_died_heals(
    start_server: Callable[..., ServerProcess], impatient: ServerProcess
) -> None:
    """E3: within three times PRESENCE_INTERVAL_S, and what was asked of it ends."""
    doomed = start_server(PRESENCE_INTERVAL_S=1)
    charger, user = make_charger(), make_user()
    async with wire.charger(doomed.ws, charger.identity) as point:
        await point.ready()
        async with wire.app(doomed.ws, token_of(user)) as app:
            await app.send({"action": "start_charging", "data": {"charger_id": charger.identity}})
            await point.asked("RemoteStartTransaction")
            doomed.kill()
    async with wire.app(impatient.ws, token_of(make_user())) as app:
        await app.act("subscribe", {"charger_ids": [charger.identity]})
        offline = await app.until(type="charger_update", charger_id=charger.identity)
        assert offline["data"]["status"] == "Offline"
    assert not is_online(charger)
    command = Command.objects.get(charger=charger)
    assert (command.status, command.error) == ("unknown", "charger_offline")


async def test_a_charger_that_answers_no_ping_is_offline_and_what_it_was_asked_has_ended(
    impatient: ServerProcess,
) -> None:
    """E4"""
    charger, user = make_charger(), make_user()
    async with (
        raw_charger(impatient.ws, charger.identity),
        wire.app(impatient.ws, token_of(user)) as app,
    ):
        await eventually(lambda: is_online(charger))
        await app.act("subscribe", {"charger_ids": [charger.identity]})
        began = time.monotonic()
        await app.send({"action": "start_charging", "data": {"charger_id": charger.identity}})
        offline = await app.until(type="charger_update", charger_id=charger.identity)
        assert (offline["event"], offline["data"]["status"]) == ("status_changed", "Offline")
        assert (await app.until(type="charger_status_update"))["status"] == "unavailable"
        heard = [*app.passed]
        if not [m for m in heard if m["type"] == "response" and m["action"] == "start_charging"]:
            heard.append(await app.until(type="response", action="start_charging"))
        (answer,) = [m["data"] for m in heard if m.get("action") == "start_charging"]
        assert (answer["success"], answer["code"]) == (False, "charger_timeout")
        assert time.monotonic() - began < 3.5  # by the ping; the sweep would need longer
    assert not is_online(charger)
    command = Command.objects.get(charger=charger)
    assert (command.status, command.error) == ("unknown", "charger_offline")


async def test_a_charger_that_talks_but_never_reads_is_offline_too(impatient: ServerProcess) -> None:
    """E4: the ping that gets no answer waits behind a full line; that line must end all the same."""
    charger = make_charger()
    async with raw_charger(impatient.ws, charger.identity) as point:
        await eventually(lambda: is_online(charger))

        async def flood() -> None:
            number = 0
            while True:
                number += 1
                await point.send(f'[2,"{number:0>250}","NoSuchThing{"x" * 50}",{{}}]')

        flooding = asyncio.create_task(flood())
        await eventually(lambda: not is_online(charger), timeout_s=20)
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


async def test_a_quiet_charger_that_answers_pings_stays_online(impatient: ServerProcess) -> None:
    """E5: OCPP-J §5.3; its Heartbeat interval is five minutes, the limit here is three seconds."""
    charger, user = make_charger(), make_user()
    async with (
        wire.charger(impatient.ws, charger.identity) as point,
        wire.app(impatient.ws, token_of(user)) as app,
    ):
        assert (await point.boot())["interval"] == 300
        await app.act("subscribe", {"charger_ids": [charger.identity]})
        assert await app.quiet(4.5, type="charger_update")
        charger.refresh_from_db()
        assert charger.is_connected
        assert charger.last_seen_at and (utcnow() - charger.last_seen_at).total_seconds() < 2
        await app.send({"action": "start_charging", "data": {"charger_id": charger.identity}})
        await point.accepts("RemoteStartTransaction")
        assert (await app.until(type="response", action="start_charging"))["data"]["success"] is True


async def test_a_living_socket_that_was_taken_for_dead_gets_its_charger_back(
    impatient: ServerProcess,
) -> None:
    """E5: after a stalled process or a database that was away, a sweep may be faster than the confirmation."""
    charger, user = make_charger(), make_user()
    async with wire.charger(impatient.ws, charger.identity) as point:
        await point.ready()
        async with wire.app(impatient.ws, token_of(user)) as app:
            await app.act("subscribe", {"charger_ids": [charger.identity]})
            Charger.objects.filter(pk=charger.pk).update(channel_name="")
            await eventually(lambda: is_online(charger))
            assert (await app.until(type="charger_update"))["data"]["previous_status"] == "Offline"
            await app.send({"action": "start_charging", "data": {"charger_id": charger.identity}})
            await point.accepts("RemoteStartTransaction")
    await eventually(lambda: not is_online(charger))


async def test_a_socket_that_never_heard_of_its_successor_ends_all_the_same(impatient: ServerProcess) -> None:
    """E2: the bus was away when the charger connected elsewhere."""
    charger = make_charger()
    async with wire.charger(impatient.ws, charger.identity) as point:
        await point.ready()
        Charger.objects.filter(pk=charger.pk).update(channel_name="specific.else", epoch=F("epoch") + 1)
        assert (await point.closed())[0] == NORMAL
    assert Charger.objects.get(pk=charger.pk).channel_name == "specific.else"


# --- identities ---


@pytest.mark.parametrize(
    "name",
    [
        "RDAM 123",
        "a/b",
        "50%",
        "%20",
        "sp*t:1+2@x;y=z&w,~!$'()",
        "Zürich-★",
        "ladestation",
        "?question#hash",
    ],
)
async def test_a_percent_encoded_identity_is_decoded_and_matched(site: Site, name: str) -> None:
    """E6"""
    charger = make_charger(identity=unique(name))
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.call("Heartbeat")
        assert is_online(charger)


async def test_an_identity_may_have_the_longest_length_and_a_slash_behind_it(site: Site) -> None:
    """E6"""
    charger = make_charger(identity=unique("L" * 230).ljust(255, "x"))
    assert len(charger.identity) == 255
    for path in (f"/ocpp/{charger.identity}", f"/ocpp/{charger.identity}/", f"/ocpp/{charger.identity}?a=/b"):
        assert await status_of(site.charger_url, path) == 101


@pytest.mark.parametrize(
    "path",
    [
        "/ocpp/nobody-knows-me",
        "/ocpp/",
        "/ocpp",
        "/ocpp//",
        "/ocpp/%20",
        "/ocpp/%00",
        "/ocpp/CP%0A",
        "/ocpp/CP%0d%0aX-Header:%201",
        "/ocpp/%ff%fe",
        "/ocpp/%",
        "/ocpp/%zz",
        "/ocpp/..%2f..%2fetc",
        "/ocpp/" + "x" * 256,
        "/ocpp/" + "x" * 4000,
    ],
)
async def test_an_unknown_identity_gets_404(site: Site, path: str) -> None:
    """E6"""
    assert await status_of(site.charger_url, path) == 404


async def test_case_counts_in_an_identity(site: Site) -> None:
    charger = make_charger(identity=unique("lower").lower())
    assert await status_of(site.charger_url, f"/ocpp/{charger.identity.upper()}") == 404


async def test_a_rejected_charger_gets_404(site: Site) -> None:
    charger = make_charger(registration="Rejected")
    assert await status_of(site.charger_url, f"/ocpp/{charger.identity}") == 404


async def test_a_stranger_waits_in_the_inbox_until_an_operator_accepts_it(
    start_server: Callable[..., ServerProcess],
) -> None:
    """E20: a pending charger is sent neither a start nor a stop."""
    server = start_server(UNKNOWN_CHARGERS="inbox")
    identity, user = unique("STRANGER 1"), make_user()
    async with wire.charger(server.ws, identity) as point, wire.app(server.ws, token_of(user)) as app:
        assert (await point.boot())["status"] == "Pending"
        answer = await app.act("start_charging", {"charger_id": identity})
        assert (answer["success"], answer["code"]) == (False, "charger_pending")
        # One that lost its acceptance in mid-session is not stopped either.
        charger = Charger.objects.get(identity=identity)
        Charger.objects.filter(pk=charger.pk).update(registration="Accepted")
        assert (await point.boot())["status"] == "Accepted"
        await app.send({"action": "start_charging", "data": {"charger_id": identity}})
        asked = await point.accepts("RemoteStartTransaction")
        await point.start(id_tag=asked["idTag"], at=at())
        Charger.objects.filter(pk=charger.pk).update(registration="Pending")
        answer = await app.act("stop_charging", {})
        assert (answer["success"], answer["code"]) == (False, "charger_pending")
        await point.call("Heartbeat")
        assert point.calls.empty()


# --- versions ---


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ocpp1.6"], "ocpp1.6"),
        (["ocpp2.0.1", "ocpp1.6", "ocpp1.5"], "ocpp1.6"),
        (["ocpp1.6", "ocpp2.0.1"], "ocpp1.6"),
    ],
)
async def test_the_first_version_of_the_charger_that_we_speak_is_spoken(
    site: Site, offered: list[str], chosen: str
) -> None:
    """E7"""
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity, subprotocols=offered) as point:
        assert point.socket.subprotocol == chosen
        await point.boot()
    assert Charger.objects.get(pk=charger.pk).ocpp_version == chosen


@pytest.mark.parametrize("offered", [["ocpp2.0.1"], ["ocpp1.5", "soap"], ["OCPP1.6"], None])
async def test_without_a_common_version_the_handshake_is_completed_and_the_socket_closed(
    site: Site, offered: list[str] | None
) -> None:
    """E7: OCPP-J §3.2. What the charger spoke on an earlier connection does not count."""
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.boot()
    await eventually(lambda: not is_online(charger))
    url = f"{site.charger_url}/ocpp/{charger.identity}"
    async with connect(url, subprotocols=offered, proxy=None) as line:  # type: ignore[arg-type]
        assert line.subprotocol is None
        await line.wait_closed()
        assert line.close_code == PROTOCOL_ERROR
        assert "ocpp1.6" in (line.close_reason or "")
    assert not is_online(charger)


# --- passwords ---

SPECIFICATION_KEY = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")  # as in OCPP-J §6.2.2


@pytest.mark.parametrize(
    "password",
    [
        b"plain-password",
        b"with:colons::in-it:",
        "pässwörd-✓".encode(),
        SPECIFICATION_KEY,
        bytes(20),
        b":" * 20,
    ],
)
async def test_a_password_is_compared_by_its_bytes(site: Site, password: bytes) -> None:
    """E8"""
    charger = make_charger(password_hash=hash_password(password))
    async with wire.charger(site.charger_url, charger.identity, password=password) as point:
        await point.boot()
    path = f"/ocpp/{charger.identity}"
    for wrong in (password + b"x", b"x" + password, password[:10] + b"x", b"x"):
        headers = basic(charger.identity, wrong)
        assert await status_of(site.charger_url, path, additional_headers=headers) == 401


async def test_an_identity_with_colons_has_its_password_behind_them(site: Site) -> None:
    """E8"""
    charger = make_charger(identity=unique("urn:cp:"), password_hash=hash_password("a:secret"))
    async with wire.charger(site.charger_url, charger.identity, password="a:secret") as point:
        await point.boot()
    path = f"/ocpp/{quote(charger.identity)}"
    for user, password in (("urn", charger.identity[4:] + ":b:secret"), ("urn:cp", "a:secret")):
        headers = basic(user, password)
        assert await status_of(site.charger_url, path, additional_headers=headers) == 401


@pytest.mark.parametrize("has_password", [True, False])
async def test_the_user_must_be_the_charger(site: Site, has_password: bool) -> None:
    """E9: even where the password is right, or none is needed."""
    charger = make_charger(password_hash=hash_password("right-password") if has_password else "")
    other = make_charger(password_hash=hash_password("right-password"))
    path = f"/ocpp/{charger.identity}"
    for user in (
        other.identity,
        charger.identity.lower(),
        "",
        charger.identity + "x",
        "x" + charger.identity,
    ):
        headers = basic(user, "right-password")
        assert await status_of(site.charger_url, path, additional_headers=headers) == 401
    headers = basic(charger.identity, "right-password")
    assert await status_of(site.charger_url, path, additional_headers=headers) == 101


@pytest.mark.parametrize("header", [None, "Basic", "Basic ====", "Basic !!!", "Bearer abc", "Basic YWJj", ""])
async def test_a_charger_with_a_password_does_not_get_in_without(site: Site, header: str | None) -> None:
    """E10: what has authenticated once is not let in with less."""
    charger = make_charger(password_hash=hash_password("right-password"))
    headers = {} if header is None else {"Authorization": header}
    assert await status_of(site.charger_url, f"/ocpp/{charger.identity}", additional_headers=headers) == 401
    assert not is_online(charger)


async def test_a_wrong_password_does_not_disturb_the_socket_that_is_there(site: Site) -> None:
    async with scene(site, password_hash="") as s:
        charge = await begin(s)
        Charger.objects.filter(pk=s.charger.pk).update(password_hash=hash_password("right-password"))
        headers = basic(s.identity, "wrong-password")
        path = f"/ocpp/{s.identity}"
        assert await status_of(site.charger_url, path, additional_headers=headers) == 401
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2000)
        assert (await s.app.until(event="meter_value"))["data"]["energy_delivered"] == 1.0
