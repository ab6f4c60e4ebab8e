"""One conversation that both published clients have with a real server, over a line that is cut."""

import asyncio
from datetime import datetime
from typing import Any, assert_type
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from evcharge_client import EvCharge, EvChargeError
from evcharge_client.protocol import ActiveSessionUpdate
from rest_framework_simplejwt.tokens import RefreshToken

from chargers.events import Notification
from gateway import returning
from sessions import feed
from sessions.models import FeedEntry, UserFeed
from tests.charge import at
from tests.clients.phones import PHONES, Phone, tunnel
from tests.conftest import Site
from tests.factories import make_charger, make_station, make_tariff, make_user, token_of
from tests.server_here import server_here
from tests.wire import charger

PASSWORD = "s3cret-enough"


def numbered(phone: Phone, after: int) -> list[tuple[int, str]]:
    """What came with numbers of its own, in order: neither ticks nor the state after a connect."""
    started = next(number for number, each in enumerate(phone.heard) if each.get("seq", 0) > after)
    found: list[tuple[int, str]] = []
    for each in phone.heard[started:]:
        seq = each.get("seq", 0)
        if each["type"] not in ("connected", "resync") and seq > (found[-1][0] if found else after):
            found.append((seq, each.get("event", each["type"])))
    return found


@pytest.mark.parametrize("name", PHONES)
async def test_a_charge_on_a_bad_line(site: Site, name: str) -> None:
    """E45–E47: a published client misses nothing, hears nothing twice, and starts once."""
    user, station = make_user(password=PASSWORD), make_station()
    row = make_charger(connectors=1, station=station)
    offline = make_charger(connectors=1)
    make_tariff(stations=[station])
    async with (
        charger(site.charger_url, row.identity) as box,
        tunnel(site.apps.port) as (line, url),
        PHONES[name]() as phone,
    ):
        await box.ready(1)
        wrong = await phone.refused(phone.do("login", url=url, username=user.username, password="wrong"))
        assert (wrong.code, wrong.status) == ("authentication_failed", 401)
        await phone.do("login", url=url, username=user.username, password=PASSWORD)
        await phone.do("open", url=url)
        await phone.until(type="active_session_update", has_active_session=False)
        first = await phone.do("last_seq")

        # what there is, and what is not
        listed = await phone.act("list_chargers", station_id=station.pk)
        assert [each["charger_id"] for each in listed["chargers"]] == [row.identity]
        assert (await phone.act("subscribe", charger_ids=[row.identity]))["subscribed"]["charger_ids"]
        failures: list[tuple[str, dict[str, Any], str]] = [
            ("get_charger_status", {"charger_id": "nowhere"}, "not_found"),
            ("start_charging", {"charger_id": offline.identity}, "charger_offline"),
            ("start_charging", {"charger_id": 7}, "validation_error"),
            ("stop_charging", {}, "no_active_session"),
        ]
        for action, data, code in failures:
            assert (await phone.refused(phone.act(action, **data))).code == code

        # a tap whose answer the line loses, and two more, by somebody who does not know what became of it
        tap = asyncio.create_task(phone.act("start_charging", charger_id=row.identity, timeout_s=1))
        message_id, wish = await box.asked("RemoteStartTransaction")
        line.cut()
        await box.answer(message_id, {"status": "Accepted"})
        transaction = await box.start(id_tag=wish["idTag"], at=at())
        assert (await phone.refused(tap)).code == "timeout"
        taps = [asyncio.create_task(phone.act("start_charging", charger_id=row.identity)) for _ in range(2)]
        line.mend()
        one, other = await asyncio.gather(*taps)
        assert one["session_id"] == other["session_id"]
        started = await phone.until(type="session_update", event="session_started")
        assert started["transaction_id"] == transaction

        # a tick has the number of what came before it
        await box.meter(transaction=transaction, energy=2500, at=at(1))
        tick = await phone.until(type="session_update", event="meter_value")
        assert tick["data"]["energy_delivered"] == 1.5 and tick["seq"] <= await phone.do("last_seq")

        # a stop whose answer the line loses is asked again
        stop = asyncio.create_task(phone.act("stop_charging"))
        message_id, _ = await box.asked("RemoteStopTransaction")
        line.cut()
        heard = len(phone.heard)
        await box.answer(message_id, {"status": "Accepted"})
        line.mend()
        assert (await stop)["session_id"] == one["session_id"]
        assert (await phone.until(after=heard, type="connected"))["resume"] == "replayed"

        # subscriptions come back with the line
        await phone.until(after=heard, type="subscribed")
        await box.status(1, "SuspendedEV")
        await phone.until(after=heard, type="charger_update", event="connector_status_changed")

        # the end comes while nobody is there
        line.cut()
        await box.stop(transaction=transaction, meter=3000, at=at(2), reason="Remote")
        line.mend()
        ended = await phone.until(type="session_update", event="session_completed")
        assert ended["data"]["energy_delivered"] == 2.0
        await phone.until(type="active_session_update", has_active_session=False, after=len(phone.heard) - 1)
        events = numbered(phone, first)
        assert [seq for seq, _ in events] == list(range(first + 1, await phone.do("last_seq") + 1))
        story = [event for _, event in events if event.startswith("session_")]
        assert story == ["session_started", "session_stopped", "session_completed"]
        assert [
            event for each in phone.heard if (event := each.get("event", "")).startswith("session_")
        ] == story

        history = (await phone.do("sessions"))["results"]
        assert [(each["id"], each["status"]) for each in history] == [(one["session_id"], "completed")]

        assert await phone.do("receipt", session=one["session_id"]) == [one["session_id"], "%PDF"]

        # an answer that does not come in time
        line.cut()
        assert (await phone.refused(phone.act("ping", timeout_s=0.2))).code == "timeout"


@pytest.mark.embedded_only
@pytest.mark.parametrize("name", PHONES)
async def test_who_is_sent_away_or_has_missed_too_much(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E46: `closing` and `resync`. It comes back no sooner than it is told, and goes on from the number it is told."""
    monkeypatch.setitem(returning.WAITS_S, "Server at capacity", (0.6, 0.0))  # longer than it waits by itself
    user = make_user()
    async with tunnel(site.apps.port) as (line, url), PHONES[name]() as phone:
        async with server_here(MAX_APP_SOCKETS=0) as full:
            line.target = urlsplit(full).port or 0
            opening = asyncio.create_task(phone.do("open", url=url, token=token_of(user)))
            closing = await phone.until(type="closing", code=1008, last_seq=None)
            settings.MAX_APP_SOCKETS = 10
            await opening
            connected = await phone.until(type="connected")
            assert waited_s(closing, connected) >= closing["retry_after"] == 0.6
            feed.tell(user.pk, Notification(title="while it serves", message=""))
            await phone.until(type="notification", seq=1)
            line.target = site.apps.port
        closing = await phone.until(type="closing", code=1012, last_seq=1)  # the server has left
        connected = await phone.until(type="connected", after=phone.heard.index(closing))
        assert waited_s(closing, connected) >= closing["retry_after"]
        assert (connected["resume"], connected["seq"]) == ("replayed", 1)

        for kept, told in (("forgotten", 3), ("put back", 1)):  # forward, and as after a restored backup
            line.cut()
            heard = len(phone.heard)
            FeedEntry.objects.filter(user=user).delete()
            UserFeed.objects.filter(user=user).update(seq=told)
            line.mend()
            resync = await phone.until(type="resync", after=heard)
            assert resync["seq"] == told, kept
            await phone.until(type="active_session_update", after=phone.heard.index(resync), seq=told)
            assert await phone.do("last_seq") == told
        line.cut()
        feed.tell(user.pk, Notification(title="after it", message=""))
        heard = len(phone.heard)
        line.mend()
        assert (await phone.until(type="notification", seq=2))["title"] == "after it"
        assert (await phone.until(type="connected", after=heard))["resume"] == "replayed"
        assert await phone.do("last_seq") == 2


@pytest.mark.embedded_only
async def test_the_python_client_types_what_it_hears_by_name(site: Site) -> None:
    """mypy looks at this one, too."""
    ev = EvCharge(site.http, token=token_of(make_user()), proxy=None)
    states: list[ActiveSessionUpdate] = []
    everything: list[str] = []
    end = [
        ev.on("active_session_update", states.append),
        ev.on("event", lambda message: everything.append(message["type"])),
    ]
    first = asyncio.create_task(ev.once("active_session_update", where=lambda state: state["data"] is None))
    async with ev:
        assert_type(await first, ActiveSessionUpdate)
        assert [state["has_active_session"] for state in states] == [False]
        assert everything == ["connected", "active_session_update"]
        for off in end:
            off()
        await ev.subscribe(all=True)
        with pytest.raises(EvChargeError, match=r"No session_update\.meter_value in time"):
            await ev.once("session_update.meter_value", timeout_s=0.01)
    assert everything == ["connected", "active_session_update"]


def waited_s(sent_away: dict[str, Any], came_back: dict[str, Any]) -> float:
    moments = [datetime.fromisoformat(message["timestamp"]) for message in (sent_away, came_back)]
    return (moments[1] - moments[0]).total_seconds()


@pytest.mark.embedded_only
@pytest.mark.parametrize("name", PHONES)
async def test_a_token_that_is_refused(site: Site, name: str) -> None:
    """One that cannot be had anew ends the client; one that can is, once."""
    user = make_user(password=PASSWORD)
    async with PHONES[name]() as phone:
        for token in ("nonsense", token_of(user, life_s=-1)):
            assert (await phone.refused(phone.do("open", url=site.http, token=token))).code == "refused"
        assert (await phone.refused(phone.act("ping"))).code == "closed"

        await phone.do("login", url=site.http, username=user.username, password=PASSWORD)
        await phone.do("open", url=site.http)
        fresh = token_of(user)
        assert (await phone.act("refresh_token", token=fresh))["expires_at"]

        # one that ends soon is replaced on the open line
        soon = token_of(user, life_s=45)
        await phone.do("tokens", tokens={"access": soon, "refresh": str(RefreshToken.for_user(user))})
        await phone.do("open", url=site.http)
        await phone.until(type="token_expiring")
        async with asyncio.timeout(10):
            while await phone.do("access") == soon:
                await asyncio.sleep(0.02)
        assert (await phone.act("ping"))["success"]

        # who has logged out is out
        await phone.do("logout")
        assert (await phone.refused(phone.do("open", url=site.http))).code == "refused"

        # its life in it is a lie: refused, refreshed, connected
        refresh = str(RefreshToken.for_user(user))
        await phone.do("tokens", tokens={"access": fresh[:-4] + "AAAA", "refresh": refresh})
        await phone.do("open", url=site.http)
        assert (await phone.act("ping"))["success"]
        await phone.do("tokens", tokens={"access": fresh[:-4] + "AAAA", "refresh": "nonsense"})
        wrong = await phone.refused(phone.do("open", url=site.http))
        assert wrong.code in ("authentication_failed", "refused")
