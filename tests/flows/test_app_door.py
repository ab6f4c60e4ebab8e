"""The app's door: who gets in, by which URL, who is sent away with which words, and who has to leave later."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.auth import tokens_for
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, make_operator, make_user, token_of
from tests.server_process import ServerProcess

POLICY_VIOLATION = 1008
# What section 1 of the protocol promises for a token that is revoked or runs out while the socket is open.
REVOKED_WITHIN_S = 5


async def greeting(app: wire.App, user: User) -> None:
    """The two messages every socket begins with, in their order."""
    hello = await app.receive()
    assert hello["type"] == "connected"
    assert hello["userId"] == user.pk
    assert type(hello["userId"]) is int
    assert hello["timestamp"].endswith("Z")
    state = await app.receive()
    assert state["type"] == "active_session_update"
    assert state["has_active_session"] is False
    assert state["data"] is None


async def refusal(url: str, token: str | None, **options: Any) -> tuple[int, str]:
    """Code and reason of a socket that got nothing else; the handshake must have been completed."""
    async with wire.app(url, token, **options) as app:
        code, reason = await app.closed()
        assert [message for message in app.passed if message["type"] != "closing"] == []
        return code, reason


# --- ways in ---


@pytest.mark.parametrize("path", ["/", "", "/ws/", "/ws"])
async def test_token_in_the_url_opens_the_socket(site: Site, path: str) -> None:
    user = make_user()
    async with wire.app(site.app_url, token_of(user), path=path) as app:
        await greeting(app, user)


@pytest.mark.parametrize("path", ["/", "/ws/"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_token_in_the_authorization_header_opens_the_socket(site: Site, path: str, scheme: str) -> None:
    user = make_user()
    headers = {"Authorization": f"{scheme} {token_of(user)}"}
    async with wire.app(site.app_url, None, path=path, additional_headers=headers) as app:
        await greeting(app, user)


@pytest.mark.parametrize("origin", [None, "null", "https://elsewhere.example", "http://localhost:3000"])
async def test_any_origin_and_none_is_let_in(site: Site, origin: str | None) -> None:
    user = make_user()
    async with wire.app(site.app_url, token_of(user), origin=origin) as app:
        await greeting(app, user)


async def test_a_user_may_have_several_sockets(site: Site) -> None:
    user = make_user()
    token = token_of(user)
    async with wire.app(site.app_url, token) as phone, wire.app(site.app_url, token) as tablet:
        await greeting(phone, user)
        await greeting(tablet, user)


async def test_a_client_that_offers_a_subprotocol_gets_in_without_one(site: Site) -> None:
    user = make_user()
    async with wire.app(site.app_url, token_of(user), subprotocols=["json"]) as app:
        await greeting(app, user)
        assert app.socket.subprotocol is None


@pytest.mark.parametrize(
    "path", ["/nowhere", "/ws/extra", "/wsx", "/api/charging/chargers", "/ocpp", "/ocpp/"]
)
async def test_a_path_without_a_socket_is_404(site: Site, path: str) -> None:
    with pytest.raises(InvalidStatus) as error:
        async with connect(f"{site.app_url}{path}?token={token_of(make_user())}", proxy=None):
            pass
    assert error.value.response.status_code == 404


# --- refusals ---


@pytest.mark.parametrize("query", ["", "?token=", "?other=1"])
async def test_no_token(site: Site, query: str) -> None:
    assert await refusal(site.app_url, None, path=f"/{query}") == (
        POLICY_VIOLATION,
        "Authentication required",
    )


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
async def test_an_authorization_header_of_another_kind_is_no_token(site: Site, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {token_of(make_user())}".strip()}
    assert await refusal(site.app_url, None, additional_headers=headers) == (
        POLICY_VIOLATION,
        "Authentication required",
    )


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "a.b.c",
        "..",
        "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoiMSIsInRva2VuX3R5cGUiOiJhY2Nlc3MifQ.",  # `alg: none`
        "%C3%A9%F0%9F%98%80",
        "%00",
        "x" * 6000,
    ],
)
async def test_bad_token(site: Site, token: str) -> None:
    assert await refusal(site.app_url, token) == (POLICY_VIOLATION, "Invalid authentication token")


async def test_token_signed_by_somebody_else(site: Site) -> None:
    head, claims, signature = token_of(make_user()).split(".")
    forged = f"{head}.{claims}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    assert await refusal(site.app_url, forged) == (POLICY_VIOLATION, "Invalid authentication token")


async def test_expired_token(site: Site) -> None:
    token = token_of(make_user(), life_s=-1)
    assert await refusal(site.app_url, token) == (POLICY_VIOLATION, "Token expired")
    headers = {"Authorization": f"Bearer {token}"}
    assert await refusal(site.app_url, None, additional_headers=headers) == (
        POLICY_VIOLATION,
        "Token expired",
    )


async def test_refresh_token_is_no_access_token(site: Site) -> None:
    _, refresh = tokens_for(make_user())
    assert await refusal(site.app_url, refresh) == (POLICY_VIOLATION, "Invalid authentication token")


async def test_token_of_a_disabled_user(site: Site) -> None:
    user = make_user()
    token = token_of(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert await refusal(site.app_url, token) == (POLICY_VIOLATION, "Invalid authentication token")


async def test_token_of_a_deleted_user(site: Site) -> None:
    user = make_user()
    token = token_of(user)
    user.delete()
    assert await refusal(site.app_url, token) == (POLICY_VIOLATION, "Invalid authentication token")


async def test_token_from_before_the_password_was_changed(site: Site) -> None:
    user = make_user()
    token = token_of(user)
    user.set_password("another-s3cret")
    user.save()
    assert await refusal(site.app_url, token) == (POLICY_VIOLATION, "Invalid authentication token")
    async with wire.app(site.app_url, token_of(user)) as app:
        await greeting(app, user)


async def test_what_a_refused_client_sends_is_not_served(site: Site) -> None:
    async with wire.app(site.app_url, "nonsense") as app:
        with suppress(wire.ConnectionClosed):  # it may have been sent away already
            await app.send({"action": "ping"})
        assert await app.closed() == (POLICY_VIOLATION, "Invalid authentication token")
        assert app.passed == []


# --- capacity, pings ---


@pytest.fixture(scope="module")
def strict(committed: None) -> Iterator[ServerProcess]:
    """One app socket at a time, and a second for a ping's answer."""
    server = ServerProcess(MAX_APP_SOCKETS=1, WS_PING_INTERVAL_S=1, WS_PING_TIMEOUT_S=1)
    yield server
    server.stop()


@asynccontextmanager
async def first_in(server: ServerProcess, token: str) -> AsyncIterator[wire.App]:
    """The one socket of the strict server; the one of the test before may still be going."""
    async with asyncio.timeout(wire.TIMEOUT_S):
        while True:
            async with wire.app(server.ws, token) as app:
                try:
                    await app.until(type="connected")
                except wire.ConnectionClosed:
                    await asyncio.sleep(0.1)
                    continue
                yield app
                return


async def test_full_server_says_so_and_has_room_again_later(strict: ServerProcess) -> None:
    token = token_of(make_user())
    async with first_in(strict, token) as app:
        assert await refusal(strict.ws, token) == (POLICY_VIOLATION, "Server at capacity")
        assert (await app.act("ping"))["success"] is True
    async with first_in(strict, token):
        pass


async def test_clients_that_come_at_once_do_not_overrun_the_capacity(strict: ServerProcess) -> None:
    token = token_of(make_user())
    async with first_in(strict, token):
        pass

    async def first_word() -> str:
        async with wire.app(strict.ws, token) as app:
            hello = await app.receive()
            word = hello["reason"] if hello["type"] == "closing" else hello["type"]
            await asyncio.sleep(0.5)  # until all have been answered
            return word

    await asyncio.sleep(0.3)
    words = await asyncio.gather(*(first_word() for _ in range(12)))
    assert sorted(words) == ["Server at capacity"] * 11 + ["connected"]


async def test_client_that_answers_pings_stays(strict: ServerProcess) -> None:
    async with first_in(strict, token_of(make_user())) as app:
        await asyncio.sleep(3.5)
        assert (await app.act("ping"))["success"] is True


async def test_client_that_answers_no_ping_is_closed(strict: ServerProcess) -> None:
    async with first_in(strict, token_of(make_user())) as app:
        app.socket.transport.pause_reading()  # the pings arrive at a dead phone
        await asyncio.sleep(2.5)
        app.socket.transport.resume_reading()
        code, _ = await app.closed(1)
        assert code == 1011


# --- sent away later (E45) ---


async def test_socket_is_closed_when_its_token_expires(site: Site) -> None:
    async with wire.app(site.app_url, token_of(make_user(), life_s=3)) as app:
        await app.until(type="active_session_update")
        begun = time.monotonic()
        assert await app.closed(3 + REVOKED_WITHIN_S) == (POLICY_VIOLATION, "Token expired")
        assert time.monotonic() - begun > 1  # not before its time


async def test_socket_of_a_disabled_or_deleted_user_is_closed_and_hears_nothing_more(site: Site) -> None:
    disabled, deleted, charger = make_user(), make_user(), make_charger()
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token_of(disabled)) as one,
        wire.app(site.app_url, token_of(deleted)) as two,
    ):
        await point.ready()
        for app in (one, two):
            await app.act("subscribe", {"charger_ids": [charger.identity]})
        User.objects.filter(pk=disabled.pk).update(is_active=False)  # no signal, no save()
        deleted.delete()
        for app in (one, two):
            assert await app.closed(REVOKED_WITHIN_S) == (POLICY_VIOLATION, "Invalid authentication token")
        await point.status(1, "Preparing")
        for app in (one, two):
            with pytest.raises(wire.ConnectionClosed):
                await app.receive(1)


async def test_changed_password_closes_the_sockets_of_before_and_no_others(site: Site) -> None:
    user = make_user()
    async with wire.app(site.app_url, token_of(user)) as before:
        await before.until(type="active_session_update")
        user.set_password("another-s3cret")
        user.save()
        async with wire.app(site.app_url, token_of(user)) as after:
            await after.until(type="active_session_update")
            assert await before.closed(REVOKED_WITHIN_S) == (
                POLICY_VIOLATION,
                "Invalid authentication token",
            )
            assert await after.quiet(0.5)
            assert (await after.act("ping"))["success"] is True


# --- secrets ---


async def test_no_token_reaches_the_log(site: Site, start_server: Callable[..., ServerProcess]) -> None:
    """Whatever way it came, and whatever became of it; at the most talkative level, too."""
    server = start_server(LOG_LEVEL="DEBUG")
    user = make_operator()
    good, refresh = tokens_for(user)
    expired = token_of(user, life_s=-1)
    for token in (good, refresh, expired, "secret-nonsense"):
        async with wire.app(server.ws, token) as app:
            await app.receive() if token == good else await app.closed()
        headers = {"Authorization": f"Bearer {token}"}
        async with wire.app(server.ws, None, path="/ws/", additional_headers=headers) as app:
            await app.receive() if token == good else await app.closed()
        with pytest.raises(InvalidStatus):
            async with connect(f"{server.ws}/nowhere?token={token}", proxy=None):
                pass
        for path in ("/health", "/nowhere", "/stats", "/api/charging/chargers"):
            server.get(f"{path}?token={token}")
    server.stop()
    for token in (good, refresh, expired, "secret-nonsense"):
        assert token not in server.log
        assert token.rpartition(".")[2] not in server.log
    assert "eyJ" not in server.log + site.apps.log + site.chargers.log
