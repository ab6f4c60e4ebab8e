"""The deployment of docs/deploy.md by hand: two processes, a proxy with TLS, PostgreSQL and Valkey."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from chargers.models import Charger, ConnectionRefusal
from chargers.passwords import hash_password
from sessions.models import ChargingSession
from tests import wire
from tests.certificates import Authority, client_context
from tests.charge import Scene, at, begin
from tests.conftest import stack
from tests.deploy.proxies import PROXIES, HAProxy, Keys, Proxy
from tests.factories import make_charger, make_user, token_of, unique
from tests.server_process import ServerProcess
from tests.wire import eventually

pytestmark = [
    pytest.mark.skipif(stack() != "real", reason="SQLite and a bus in memory are for one process"),
    pytest.mark.timeout(120),  # servers are started again and again
]

PASSWORD = "a-chargers-own-password"
ELSEWHERE = "127.0.0.9"  # a client's address, while 127.0.0.1 is the proxy's


class Place(NamedTuple):
    """An installation as docs/deploy.md makes it."""

    folder: Path
    keys: Keys
    settings: dict[str, Any]
    processes: list[ServerProcess]
    proxy: Proxy

    def tls(self, files: tuple[str, str] | None = None) -> ssl.SSLContext:
        return client_context(self.keys.ca, files)

    def restart(self, number: int) -> None:
        """As an upgrade does it: told to leave, waited for, started again at the same port."""
        port = self.processes[number].port
        assert self.processes[number].stop() == 0
        self.processes[number] = ServerProcess(
            "manage.py", "serve", "--port", str(port), port=port, **self.settings
        )


@pytest.fixture(scope="module")
def installation(committed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Everything but the proxy."""
    keys = Keys.made_in(tmp_path_factory.mktemp("keys"))
    settings: dict[str, Any] = {
        "HTTPS": "true",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "TRUSTED_PROXIES": "127.0.0.1",
        "CLIENT_CERTIFICATE_HEADER": "Client-Cert",
        "TLS_CLIENT_CA": keys.ca_file,
        "MIN_SECURITY_PROFILE": 2,
        "PROCESSES": 2,
        "DRAIN_NOTICE_S": 1,
        "DRAIN_S": 1,
    }
    processes = [ServerProcess(**settings) for _ in range(2)]
    yield {"keys": keys, "settings": settings, "processes": processes}
    for process in processes:
        process.stop()


@pytest.fixture(scope="module", params=PROXIES)
def place(
    request: pytest.FixtureRequest, installation: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("proxy")
    folder.chmod(0o755)  # nginx's workers are another user
    ports = [process.port for process in installation["processes"]]
    proxy = PROXIES[request.param](folder, installation["keys"], ports)
    proxy.start()
    yield Place(folder, proxy=proxy, **installation)
    proxy.stop()


def ask(place: Place, path: str, data: Any = None, *, url: str = "", **headers: str) -> tuple[int, Any, Any]:
    """(status, headers, body) through the proxy, or of another URL; a redirect is an answer like any other."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=place.tls()), Stay
    )
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request((url or place.proxy.http) + path, body, headers)
    if body:
        request.add_header("Content-Type", "application/json")
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def sockets_of(process: ServerProcess, role: str) -> int:
    """How many sockets the process has, as the scraper inside the network sees it."""
    status, text = process.get("/metrics")
    assert status == 200, text
    wanted = f'evcharge_ws_connections{{role="{role}"}} '
    return int(float(next(line for line in text.splitlines() if line.startswith(wanted)).rpartition(" ")[2]))


@asynccontextmanager
async def dialled(place: Place, charger: Charger, **options: Any) -> AsyncIterator[wire.FakeCharger]:
    """The charger, through the proxy, with its password over TLS."""
    options.setdefault("password", PASSWORD)
    options.setdefault("ssl", place.tls())
    async with wire.charger(place.proxy.ws, charger.identity, **options) as point:
        yield point


async def status_of(place: Place, charger: Charger, **options: Any) -> int:
    try:
        async with dialled(place, charger, **options) as point:
            await point.call("Heartbeat")
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def guarded_charger(**fields: Any) -> Charger:
    return make_charger(password_hash=hash_password(PASSWORD.encode()), **fields)


def used(charger: Charger) -> int:
    return Charger.objects.get(pk=charger.pk).used_security_profile


# --- a charge ---


async def test_a_charge_from_log_in_to_end_over_two_processes(place: Place) -> None:
    """And nothing secret in any log."""
    user, charger = make_user(), guarded_charger()
    login = {"username": user.username, "password": "s3cret-enough"}
    status, headers, body = await asyncio.to_thread(ask, place, "/api/token/", login)
    assert status == 200, body
    assert "max-age" in headers["Strict-Transport-Security"]  # the server knows that it was TLS
    token = json.loads(body)["access"]
    async with (
        dialled(place, charger) as point,
        wire.app(place.proxy.ws, token, ssl=place.tls()) as app,
    ):
        await point.ready()
        await app.until(type="active_session_update")
        assert used(charger) == 2
        # Least connections: one has the charger, the other the phone.
        held = [[sockets_of(process, role) for role in ("chargers", "apps")] for process in place.processes]
        assert sorted(held) == [[0, 1], [1, 0]]
        scene = Scene(charger, user, point, app)
        charge = await begin(scene)
        await point.meter(transaction=charge.transaction_id, at=at(), energy=3000)
        update = await app.until(event="meter_value")
        assert update["session_id"] == charge.session_id
        await app.send({"action": "stop_charging", "data": {}, "request_id": "stop"})
        await point.accepts("RemoteStopTransaction")
        assert (await app.until(request_id="stop"))["data"]["success"] is True
        await point.stop(transaction=charge.transaction_id, meter=5000, at=at(), reason="Remote")
        assert (await app.whenever(event="session_completed"))["session_id"] == charge.session_id
    await eventually(lambda: f"/ocpp/{charger.identity}" in place.proxy.log)
    written = place.proxy.log + "".join(process.log for process in place.processes)
    for secret in (token, token.split(".")[2], "token=", PASSWORD, "s3cret-enough"):
        assert secret not in written


async def test_identities_arrive_as_the_charger_spelled_them(place: Place) -> None:
    """E6"""
    charger = guarded_charger(identity=unique("a/b c%é"))
    assert await status_of(place, charger) == 101


# --- who is believed ---


async def test_a_chargers_certificate_gets_through(place: Place) -> None:
    charger = guarded_charger(security_profile=3)
    own = place.keys.ca.issue(charger.identity)
    files = own.save(place.folder, unique("own"))
    assert await status_of(place, charger, password=None, ssl=place.tls(files)) == 101
    await eventually(lambda: used(charger) == 3)
    assert await status_of(place, charger) == 403


async def test_a_strangers_certificate_does_not(place: Place) -> None:
    charger = guarded_charger(security_profile=3)
    stranger = Authority("Stranger").issue(charger.identity).save(place.folder, unique("stranger"))
    try:  # nginx leaves the judging to the server, HAProxy ends the handshake
        assert await status_of(place, charger, password=None, ssl=place.tls(stranger)) == 403
    except (ssl.SSLError, OSError, EOFError, ConnectionClosed, InvalidMessage):
        assert isinstance(place.proxy, HAProxy)
    assert used(charger) == 0


async def test_what_a_client_says_of_itself_does_not_count(place: Place) -> None:
    charger = guarded_charger(security_profile=3)
    own = place.keys.ca.issue(charger.identity)
    forged = {
        "X-Forwarded-For": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "Client-Cert": quote(own.pem),
    }
    # Without a certificate on the line, whatever a header holds.
    assert await status_of(place, charger, local_addr=(ELSEWHERE, 0), headers=forged) == 403
    rows = ConnectionRefusal.objects.filter(charger=charger).values_list("reason", "address")
    assert list(rows) == [("no_certificate", ELSEWHERE)]


async def test_without_tls_there_is_only_the_way_to_tls(place: Place) -> None:
    plain = f"http://127.0.0.1:{place.proxy.plain_port}"
    status, headers, _ = await asyncio.to_thread(
        ask, place, "/api/token/", url=plain, **{"X-Forwarded-Proto": "https", "Host": "localhost"}
    )
    assert status == 308
    assert headers["Location"] == "https://localhost/api/token/"


async def test_around_the_proxy_its_word_does_not_count(place: Place) -> None:
    charger = guarded_charger()
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    with pytest.raises(InvalidStatus) as refused:
        async with wire.charger(
            place.processes[0].ws,
            charger.identity,
            password=PASSWORD,
            local_addr=(ELSEWHERE, 0),
            headers=headers,
        ):
            pass
    assert refused.value.response.status_code == 403
    rows = ConnectionRefusal.objects.filter(charger=charger).values_list("reason", "address")
    assert list(rows) == [("not_encrypted", ELSEWHERE)]


# --- probes ---


async def test_what_can_be_asked_from_outside(place: Place) -> None:
    paths = {"/health": 200, "/health/live": 200, "/admin/login/": 200, "/metrics": 404, "/metrics/": 404}
    assert {path: (await asyncio.to_thread(ask, place, path))[0] for path in paths} == paths


# --- restarts ---


class Phone:
    """An app as apps are: it dials again when its socket ends, and says up to where it has heard."""

    def __init__(self, place: Place, user: User) -> None:
        self.place, self.token = place, token_of(user)
        self.heard: list[dict[str, Any]] = []
        self.closes: list[int] = []
        self.seq: int | None = None

    async def live(self) -> None:
        while True:
            try:
                resumed = "" if self.seq is None else f"&last_seq={self.seq}"
                path = f"/?token={self.token}{resumed}"
                async with wire.app(self.place.proxy.ws, None, path=path, ssl=self.place.tls()) as app:
                    while True:
                        self.heard.append(await app.receive(timeout_s=60))
                        self.seq = self.heard[-1].get("seq", self.seq)
            except ConnectionClosed as end:
                self.closes.append(end.rcvd.code if end.rcvd else 1006)
            except (InvalidStatus, OSError):
                await asyncio.sleep(0.1)

    def all(self, **fields: Any) -> list[dict[str, Any]]:
        return [each for each in self.heard if all(each.get(name) == value for name, value in fields.items())]


async def redial(place: Place, charger: Charger, until: AsyncExitStack) -> wire.FakeCharger:
    """As chargers do: again and again."""
    async with asyncio.timeout(20):
        while True:
            with suppress(InvalidStatus, OSError):
                return await until.enter_async_context(dialled(place, charger))
            await asyncio.sleep(0.1)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_rolling_restart_goes_unnoticed(place: Place) -> None:
    """In mid-charge, first the phone's process, then the charger's; the driver sees one charge, to its end."""
    user, charger = make_user(), guarded_charger()
    phone, bearer = Phone(place, user), {"Authorization": f"Bearer {token_of(user)}"}
    async with AsyncExitStack() as open_sockets:
        point = await redial(place, charger, open_sockets)
        await point.ready()
        its_process = next(i for i, each in enumerate(place.processes) if sockets_of(each, "chargers"))
        phones_life = asyncio.create_task(phone.live())
        open_sockets.push_async_callback(ended, phones_life)
        await eventually(lambda: phone.all(type="active_session_update"))
        assert sockets_of(place.processes[1 - its_process], "apps") == 1

        wish = {"charger_id": charger.identity, "connector_id": 1}
        start = asyncio.create_task(asyncio.to_thread(ask, place, "/api/charging/start", wish, **bearer))
        asked = await point.accepts("RemoteStartTransaction")
        status, _, body = await start
        assert status == 200, body
        session_id = ChargingSession.objects.get(charger=charger).pk
        transaction = await point.start(id_tag=asked["idTag"], at=at())

        phone.heard.clear()
        await asyncio.to_thread(place.restart, 1 - its_process)
        greeting = await eventually(lambda: phone.all(type="active_session_update", has_active_session=True))
        assert greeting[0]["data"]["session_id"] == session_id
        await point.meter(transaction=transaction, at=at(), energy=3000)
        await eventually(lambda: phone.all(event="meter_value", session_id=session_id))

        restart = asyncio.create_task(asyncio.to_thread(place.restart, its_process))
        await point.closed()
        point = await redial(place, charger, open_sockets)
        await restart
        await point.meter(transaction=transaction, at=at(), energy=4000)
        await point.stop(transaction=transaction, meter=5000, at=at(), reason="Local")
        await eventually(lambda: phone.all(event="session_completed"))
    assert [each["session_id"] for each in phone.all(event="session_completed")] == [session_id]
    assert phone.closes
    assert set(phone.closes) == {1012}
    session = ChargingSession.objects.get(charger=charger)
    assert (session.pk, session.status, session.energy_wh) == (session_id, "completed", 4000)
    assert "token=" not in place.proxy.log
