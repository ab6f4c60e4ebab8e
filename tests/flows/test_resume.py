"""A phone on a bad line: what it missed it gets, in order and once, or the state as it is (E46)."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from chargers.events import Notification, utcnow
from sessions import feed
from sessions.models import ChargingSession, FeedEntry, UserFeed
from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site, stack
from tests.factories import make_charger, make_user, token_of

ENDINGS = ["session_stopped", "session_completed"]
ENDED = {*ENDINGS, "session_error"}
CUTS = 100


@asynccontextmanager
async def dial(url: str, token: str, last_seq: Any = None) -> AsyncIterator[wire.App]:
    path_and_token = token if last_seq is None else f"{token}&last_seq={last_seq}"
    async with wire.app(url, path_and_token) as app:
        yield app


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    """Of those that are kept: a tick has the number of the message before it, as the state has."""
    return [
        message["seq"]
        for message in messages
        if "seq" in message
        and message["type"] not in ("connected", "resync")
        and message.get("event") != "meter_value"
    ]


async def test_what_was_missed_comes_in_order_after_the_state(site: Site) -> None:
    """E46"""
    async with scene(site) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2000)
        tick = await s.app.until(event="meter_value")
        await s.app.socket.close()
        await end_unheard(s.point, charge.transaction_id)
        token = token_of(s.user)
        async with dial(site.charger_url, token, tick["seq"]) as app:
            connected, state = await app.receive(), await app.receive()
            assert (connected["type"], connected["resume"], connected["seq"]) == (
                "connected",
                "replayed",
                tick["seq"],
            )
            assert (state["type"], state["has_active_session"], state["seq"]) == (
                "active_session_update",
                False,
                tick["seq"],
            )
            completed = await app.until(event="session_completed")
            missed = [message for message in app.passed if message["type"] == "session_update"]
            assert [message["event"] for message in [*missed, completed]] == ENDINGS
            last = await app.until(type="active_session_update")
            kept = numbers([*app.passed, completed, last])
            assert sorted(kept) == list(range(tick["seq"] + 1, tick["seq"] + 1 + len(kept)))
        async with dial(site.app_url, token, last["seq"]) as app:
            assert (await app.receive())["resume"] == "replayed"
            await app.receive()
            assert (await app.act("ping"))["success"] is True
            assert app.passed == []  # nothing twice


async def end_unheard(point: wire.FakeCharger, transaction_id: int) -> None:
    await point.stop(transaction=transaction_id, meter=5000, at=at(), reason="Local")


@pytest.mark.parametrize("last_seq", ["99", "-1", "x", "", "1"])
async def test_what_is_kept_no_more_is_said_and_the_state_shown(site: Site, last_seq: str) -> None:
    """E46"""
    user = make_user()
    for number in range(3):
        feed.tell(user.pk, Notification(title=str(number), message=""))
    FeedEntry.objects.filter(user=user, seq=2).delete()
    async with dial(site.app_url, token_of(user), last_seq) as app:
        connected, resync, state = [await app.receive() for _ in range(3)]
        assert (connected["resume"], connected["seq"]) == ("resync", 3)
        assert (resync["type"], resync["seq"]) == ("resync", 3)
        assert (state["type"], state["has_active_session"]) == ("active_session_update", False)
        if last_seq == "99":  # once is enough: nothing brings it, it is looked for
            feed.tell(user.pk, Notification(title="next", message=""))
            assert (await app.until(20, type="notification"))["seq"] == 4


async def test_what_the_bus_did_not_bring_is_found(site: Site) -> None:
    """E46: on the same socket, in its place"""
    async with scene(site) as s:
        lost = FeedEntry(user=s.user, seq=1, body='{"type":"notification","title":"lost","seq":1}')
        lost.save()
        UserFeed.objects.create(user=s.user, seq=1)
        charge = await begin(s)
        await end(s, charge)
        kept = numbers(s.app.passed)
        assert kept[:4] == [1, 2, 3, 4]
        assert sum(message.get("title") == "lost" for message in s.app.passed) == 1


async def test_old_messages_are_forgotten(committed: None) -> None:
    user = make_user()
    feed.tell(user.pk, Notification(title="old", message=""))
    FeedEntry.objects.filter(user=user).update(created_at=utcnow() - timedelta(hours=2))
    feed.tell(user.pk, Notification(title="new", message=""))
    feed.forget()
    assert feed.missed(user.pk, after=0, until=2) is None
    assert [seq for seq, _ in feed.missed(user.pk, after=1, until=2) or []] == [2]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(2 if stack() == "embedded" else 1))  # the other: test_bus_away.py
async def test_a_phone_cut_off_at_every_point_knows_in_the_end_what_the_ledger_knows(
    site: Site, seed: int
) -> None:
    """E46: it dials either process in turn"""
    assert "failed" not in await lose_the_line(site, random.Random(seed))


Trouble = Callable[["Phone"], Coroutine[Any, Any, None]]


async def lose_the_line(site: Site, dice: random.Random, trouble: Trouble | None = None) -> list[str]:
    """A phone whose line is cut all the time while its user charges: in the end it knows what the ledger knows, each
    ending once and in order. `trouble` is made beside it; the states of the sessions there were."""
    user, charger = make_user(), make_charger()
    phone = Phone(site, token_of(user), dice)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        async with (
            asyncio.TaskGroup() as tasks
        ):  # where one of them fails, nobody waits for what it would have done
            cutting, serving = tasks.create_task(phone.live()), tasks.create_task(serve(point))
            trouble_made = tasks.create_task(trouble(phone)) if trouble else None
            while phone.cuts < CUTS or (trouble_made and not trouble_made.done()):
                await charge(site, user, point)
            phone.is_over = True
            await cutting
            serving.cancel()
        await phone.catch_up(feed.newest([user.pk])[user.pk])
    assert phone.kept == list(range(1, len(phone.kept) + 1))
    sessions = {each.pk: each for each in ChargingSession.objects.filter(user=user).order_by("pk")}
    endings = {"completed": ENDINGS, "failed": ["session_error"]}
    told = [(each["session_id"], each["event"]) for each in phone.heard if each.get("event") in ENDED]
    assert told == [(key, event) for key, each in sessions.items() for event in endings[each.status]]
    for message in phone.heard:
        if message.get("event") == "session_completed":
            session = sessions[message["session_id"]]
            assert message["data"]["energy_delivered"] == (session.energy_wh or 0) / 1000
            assert message["data"]["cost"] == (None if session.cost is None else float(session.cost))
    assert phone.state is not None and phone.state["has_active_session"] is False
    return [each.status for each in sessions.values()]


async def charge(site: Site, user: Any, point: wire.FakeCharger) -> None:
    """A whole charge, by a second phone of the same user; none, if the bus is away."""
    async with wire.app(site.app_url, token_of(user)) as app:
        answer = await app.act("start_charging", {"charger_id": point.identity})
        if answer["success"]:
            await app.whenever(event="session_completed", session_id=answer["session_id"])
        else:
            assert answer["code"] == "unavailable", answer


async def serve(point: wire.FakeCharger) -> None:
    """Accept each start, charge a little, and stop."""
    while True:
        _, message_id, action, wish = await point.calls.get()
        assert action == "RemoteStartTransaction"
        await point.answer(message_id, {"status": "Accepted"})
        transaction = await point.start(id_tag=wish["idTag"], meter=1000, at=at())
        for number in range(3):
            await point.meter(transaction=transaction, at=at(), energy=1000 + number)
        await end_unheard(point, transaction)


class Phone:
    """It loses its line again and again, and knows the number of the last message it heard."""

    def __init__(self, site: Site, token: str, dice: random.Random) -> None:
        self.urls, self.token, self.dice = (site.app_url, site.charger_url), token, dice
        self.last_seq = self.cuts = 0
        self.is_over = False
        self.kept: list[int] = []
        self.heard: list[dict[str, Any]] = []
        self.state: dict[str, Any] | None = None

    async def live(self) -> None:
        while not self.is_over:
            await self.listen(messages=self.dice.randrange(8), seconds=self.dice.choice([0, 0.01, 0.1]))
            self.cuts += 1

    async def catch_up(self, until: int) -> None:
        while self.last_seq < until:
            await self.listen(messages=500, seconds=0.3)

    async def listen(self, *, messages: int, seconds: float) -> None:
        url = self.urls[self.cuts % 2]
        async with dial(url, self.token, self.last_seq) as app:
            try:
                for number in range(messages):
                    # Where it waits at all, for its greeting and the state as long as it takes: on a slow machine it
                    # would fall behind by more than is kept.
                    is_greeting = seconds > 0 and number < 2
                    self.hear(await app.receive(wire.TIMEOUT_S if is_greeting else seconds))
            except TimeoutError:
                pass
            if self.dice.random() < 0.5:
                app.socket.transport.abort()

    def hear(self, message: dict[str, Any]) -> None:
        assert message["type"] != "resync"
        is_state = message["type"] == "active_session_update"
        if is_state:
            self.state = message
        if message.get("seq", 0) > self.last_seq:
            assert message["seq"] == self.last_seq + 1
            self.last_seq = message["seq"]
            self.kept.append(message["seq"])
            self.heard.append(message)
