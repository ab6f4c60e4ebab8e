"""Fair use at the app's door: who asks too much is told for how long, who is sent away when to come back."""

import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import InvalidStatus

from gateway import returning
from tests import wire
from tests.factories import make_user, token_of
from tests.server_process import ServerProcess
from tests.wire import eventually

pytestmark = pytest.mark.embedded_only  # counts are each process's own

ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}


@pytest.fixture(scope="module")
def strict(committed: None) -> Iterator[ServerProcess]:
    server = ServerProcess(
        MESSAGES_PER_SECOND=1,
        LOOKS_PER_SECOND=1,
        ORDERS_PER_MINUTE=2,
        MAX_SOCKETS_PER_USER=2,
        MAX_SOCKETS_PER_ADDRESS=3,
        REQUESTS_PER_ADDRESS=2,
        MAX_APP_SOCKETS=6,
        TRUSTED_PROXIES="127.0.0.1",
    )
    yield server
    if server.process.poll() is None:
        server.stop()


async def test_too_much_is_answered_with_the_seconds_to_wait_and_the_socket_stays_open(
    strict: ServerProcess,
) -> None:
    async with wire.app(strict.ws, token_of(make_user())) as app:
        await app.until(type="active_session_update")
        answers = [await app.act("stop_charging") for _ in range(4)]
        assert [answer["code"] for answer in answers[:2]] == ["no_active_session"] * 2
        assert list(answers[3]) == ["success", "error", "code", "message", "retry_after"]
        assert answers[3]["code"] == "rate_limited"
        assert 0 < answers[3]["retry_after"] <= 30
        for _ in range(12):
            await app.send({"action": "ping"})
        refused = await app.receive()
        while refused["data"]["success"]:
            refused = await app.receive()
        assert (refused["action"], refused["data"]["code"]) == ("ping", "rate_limited")


async def test_sockets_are_counted_by_user_and_address_and_the_newest_is_sent_away(
    strict: ServerProcess,
) -> None:
    user = make_user()
    async with wire.app(strict.ws, token_of(user)) as one, wire.app(strict.ws, token_of(user)) as two:
        for app in (one, two):
            await app.until(type="active_session_update")
        async with wire.app(strict.ws, token_of(user)) as third:
            assert await third.closed() == (1008, "Too many connections")
            word = third.passed[-1]
            assert (word["type"], word["code"], word["last_seq"]) == ("closing", 1008, None)
            assert word["retry_after"] > 0
        assert (await one.act("ping"))["success"] is True
    others = [token_of(make_user()) for _ in range(4)]
    async with (
        wire.app(strict.ws, others[0], additional_headers=ELSEWHERE) as a,
        wire.app(strict.ws, others[1], additional_headers=ELSEWHERE) as b,
        wire.app(strict.ws, others[2], additional_headers=ELSEWHERE) as c,
    ):
        for app in (a, b, c):
            await app.until(type="connected")
        async with wire.app(strict.ws, others[3], additional_headers=ELSEWHERE) as fourth:
            assert await fourth.closed() == (1008, "Too many connections")
        async with wire.app(strict.ws, others[3]) as elsewhere:
            await elsewhere.until(type="connected")
    async with wire.app(strict.ws, token_of(user)) as again:  # the places were given back
        await again.until(type="connected")


async def test_an_address_that_dials_or_asks_too_often_is_429(strict: ServerProcess) -> None:
    headers = {"X-Forwarded-For": "203.0.113.10"}

    async def dial() -> int:
        try:
            async with wire.app(strict.ws, None, additional_headers=headers):
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code if "Retry-After" in refusal.response.headers else 0

    statuses = [await dial()]
    while statuses[-1] == 101 and len(statuses) < 200:
        statuses.append(await dial())
    assert statuses[-1] == 429
    assert len(statuses) > 10  # its burst
    assert strict.get("/health/live")[0] == 200


async def test_who_is_sent_away_comes_back_at_times_of_their_own(strict: ServerProcess) -> None:
    async with AsyncExitStack() as running:
        inside: list[wire.App] = []
        while True:
            app = await running.enter_async_context(wire.app(strict.ws, token_of(make_user())))
            if (word := await app.receive())["type"] == "closing":
                break
            inside.append(app)
        assert (word["reason"], word["last_seq"]) == ("Server at capacity", None)
        assert 5 <= word["retry_after"] <= 20
        assert await app.closed() == (1008, "Server at capacity")
        strict.process.send_signal(signal.SIGTERM)
        assert {await app.closed() for app in inside} == {(1012, "Service restart")}
        words = [app.passed[-1] for app in inside]
        assert {(word["type"], word["code"], word["reason"], word["last_seq"]) for word in words} == {
            ("closing", 1012, "Service restart", 0)
        }
        waits = [word["retry_after"] for word in words]
        assert all(0.5 <= wait <= 2.5 for wait in waits)
    await eventually(lambda: strict.process.poll() is not None, 30)


def test_waits_are_drawn_by_lot_and_longer_for_a_crowd() -> None:
    waits = {returning.wait_s("Service restart", crowd=30_000) or 0 for _ in range(200)}
    assert len(waits) > 20
    assert 2.5 < max(waits) <= 30.5
    assert returning.wait_s("Token expired") is None
    name, value = returning.header("Try again later")
    assert (name, 2 <= int(value) <= 12) == (b"retry-after", True)
