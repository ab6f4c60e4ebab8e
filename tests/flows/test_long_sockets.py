"""Tokens on sockets that stay open for hours: refreshed in time, ended at once, on every process (E45)."""

import asyncio
import time
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from gateway import logins
from gateway.auth import tokens_for
from tests import wire
from tests.conftest import Site
from tests.factories import make_operator, make_user, token_of
from tests.flows.test_app_door import POLICY_VIOLATION, REVOKED_WITHIN_S
from tests.server_process import ServerProcess


async def show(app: wire.App, token: str) -> dict[str, object]:
    return await app.act("refresh_token", {"token": token})


async def test_a_socket_outlives_its_first_token_and_ends_with_its_last(site: Site) -> None:
    """E45"""
    user = make_user()
    async with wire.app(site.app_url, token_of(user, life_s=4)) as app:
        assert [(await app.receive())["type"] for _ in range(3)] == [
            "connected",
            "active_session_update",
            "token_expiring",  # it has less to live than the warning takes
        ]
        last = token_of(user, life_s=9)
        answer = await show(app, last)
        assert answer["success"] is True
        warning = await app.whenever(type="token_expiring", expires_at=answer["expires_at"])
        assert warning["expires_at"].endswith("Z")
        assert await app.quiet(4.5, type="closing")  # the first one's end has passed
        assert (await app.act("ping"))["success"] is True
        assert await app.closed(9 + REVOKED_WITHIN_S) == (POLICY_VIOLATION, "Token expired")


async def test_a_token_that_does_not_count_changes_nothing(site: Site) -> None:
    user = make_user()
    access, refresh = tokens_for(user)
    ended = logins.begin(user)
    logins.log_out(ended)
    async with wire.app(site.app_url, access) as app:
        for token, code in [
            (token_of(make_user()), "forbidden"),
            ("nonsense", "validation_error"),
            ("", "validation_error"),
            (refresh, "validation_error"),
            (token_of(user, life_s=-1), "validation_error"),
            (str(ended.access_token), "validation_error"),
        ]:
            answer = await show(app, token)
            assert (answer["success"], answer["code"]) == (False, code)
            assert not token or token not in str(answer)
        assert (await app.act("refresh_token"))["code"] == "validation_error"
        assert (await app.act("ping"))["success"] is True


async def test_an_ended_log_in_closes_its_sockets_on_every_process(site: Site) -> None:
    """E45"""
    user, stranger = make_user(), make_user()
    (access, refresh), (other, _) = tokens_for(user), tokens_for(user)
    async with (
        wire.app(site.app_url, access) as here,
        wire.app(site.charger_url, access) as there,
        wire.app(site.charger_url, token_of(user, life_s=600)) as refreshed,
        wire.app(site.app_url, other) as stays,
        wire.app(site.charger_url, token_of(stranger)) as strangers,
    ):
        sockets = [here, there, refreshed, stays, strangers]
        for app in sockets:
            await app.until(type="active_session_update")
        assert (await show(refreshed, access))["success"] is True
        status, _ = await asyncio.to_thread(site.apps.post, "/api/auth/logout/", {"refresh": refresh})
        assert status == 200
        ended = (POLICY_VIOLATION, "Invalid authentication token")
        begun = time.monotonic()
        assert [await app.closed(REVOKED_WITHIN_S) for app in (here, there, refreshed)] == [ended] * 3
        assert time.monotonic() - begun < REVOKED_WITHIN_S
        async with wire.app(site.charger_url, access) as again:
            assert await again.closed() == ended
        for app in (stays, strangers):
            assert (await app.act("ping"))["success"] is True
        wish = {"refresh": str(logins.begin(user)), "everywhere": True}
        status, _ = await asyncio.to_thread(site.apps.post, "/api/auth/logout/", wish)
        assert status == 200
        assert await stays.closed(REVOKED_WITHIN_S) == ended
        assert (await strangers.act("ping"))["success"] is True


@pytest.mark.embedded_only
async def test_a_token_shown_on_the_socket_is_written_nowhere(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(LOG_LEVEL="DEBUG")
    user: User = make_operator()
    token, foreign = tokens_for(user)[0], token_of(make_user())
    async with wire.app(server.ws, token_of(user)) as app:
        assert (await show(app, token))["success"] is True
        assert (await show(app, foreign))["code"] == "forbidden"
        await app.send(f'{{"action":"refresh_token","data":{{"token":"{token}"')
        assert "Not JSON" in (await app.until(type="error"))["message"]
        assert token not in "".join(app.heard)
    metrics = server.get("/metrics")[1]
    server.stop()
    for secret in (token, foreign):
        assert secret.rpartition(".")[2] not in server.log + metrics
    assert "eyJ" not in server.log
