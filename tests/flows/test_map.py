"""Looking at an area of the map, and waiting for a free connector, from the phone."""

from typing import Any

from chargers.models import Station
from tests import wire
from tests.charge import scene
from tests.conftest import Site
from tests.factories import make_charger, make_station, make_user, token_of

BERLIN = {"south": 52.4, "west": 13.2, "north": 52.6, "east": 13.6}
FIJI = {"south": -18.5, "west": 179.5, "north": -16.5, "east": -179.5}


def station_at(latitude: float, longitude: float) -> Station:
    return make_station(latitude=latitude, longitude=longitude)


def identities(answer: dict[str, Any]) -> set[str]:
    return {charger["charger_id"] for charger in answer["chargers"]}


async def test_an_area_of_the_map_is_answered_as_it_is_and_then_told_of(site: Site) -> None:
    """The state first, then what changes in it, and nothing of what is around it."""
    near = make_charger(station=station_at(52.65, 13.4))  # in a cell of the area, and not in it
    async with (
        scene(site, station=station_at(52.5, 13.4)) as s,
        wire.charger(site.charger_url, near.identity) as beside,
    ):
        answer = await s.app.act("subscribe", {"bbox": BERLIN})
        assert answer["subscribed"]["bbox"] == BERLIN
        assert s.identity in identities(answer)
        assert near.identity not in identities(answer)
        [state] = [each for each in answer["chargers"] if each["charger_id"] == s.identity]
        status = await s.app.act("get_charger_status", {"charger_id": s.identity})
        assert state == {name: value for name, value in status.items() if name != "success"}
        assert state["status_at"]
        listed = await s.app.act("list_chargers", {"bbox": BERLIN, "limit": 200})
        assert identities(listed) == identities(answer)
        assert s.charger.station
        for words in (
            s.identity,
            s.identity.lower(),
            f" {s.identity[-3:]}  {s.charger.station.name.lower()} ",
        ):
            found = await s.app.act("list_chargers", {"bbox": BERLIN, "limit": 200, "search": words})
            assert identities(found) == {s.identity}
        nothing = {"limit": 200, "search": f"{s.identity} {near.identity}"}
        assert identities(await s.app.act("list_chargers", nothing)) == set()

        await beside.status(1, "Charging")
        await s.point.status(1, "Preparing")
        update = await s.app.until(type="charger_status_update")
        assert (update["charger_id"], update["data"]["display"]) == (s.identity, "1/2")
        assert not [each for each in s.app.passed if each.get("charger_id") == near.identity]

        # Named as well, it is told, once.
        both = {"charger_ids": [near.identity, s.identity]}
        assert identities(await s.app.act("subscribe", both)) == set(both["charger_ids"])
        await beside.status(1, "Finishing")
        assert (await s.app.until(type="charger_status_update"))["charger_id"] == near.identity
        await s.point.status(1, "Charging")
        assert (await s.app.until(type="charger_status_update"))["charger_id"] == s.identity
        await s.app.act("unsubscribe", both)

        # Another area takes the place of the one before; null ends it.
        elsewhere = await s.app.act("subscribe", {"bbox": FIJI})
        assert s.identity not in identities(elsewhere)
        await s.point.status(2, "Preparing")
        ended = await s.app.act("unsubscribe", {"bbox": None})
        assert ended["subscribed"]["bbox"] is None
        s.app.passed.clear()
        await s.point.status(2, "Available")
        await s.app.act("ping")
        assert [each for each in s.app.passed if each["type"] == "charger_status_update"] == []


async def test_an_area_may_cross_the_180th_meridian_and_not_be_too_large(site: Site) -> None:
    async with scene(site, station=station_at(-17.8, -179.9)) as s:
        other_side = make_charger(station=station_at(-17.8, 179.9))
        outside = make_charger(station=station_at(-17.8, 178.0))
        for action in ("subscribe", "list_chargers"):
            found = identities(await s.app.act(action, {"bbox": FIJI}))
            assert {s.identity, other_side.identity} <= found
            assert outside.identity not in found
        await s.point.status(1, "Preparing")
        assert (await s.app.until(type="charger_status_update"))["charger_id"] == s.identity
        for area in (
            {"south": -90, "west": -180, "north": 90, "east": 180},
            {**BERLIN, "south": 53},
            {**BERLIN, "west": 181},
            {"south": 1},
        ):
            answer = await s.app.act("subscribe", {"bbox": area})
            assert (answer["success"], answer["code"]) == (False, "validation_error")


async def test_a_silent_charger_is_offline_and_not_what_it_last_said(site: Site) -> None:
    async with scene(site, connectors=1) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        await s.point.socket.close()
        update = await s.app.until(type="charger_status_update")
        [connector] = update["data"]["connector_status"]
        assert (update["data"]["connected"], connector["status"]) == (False, "Offline")
        assert connector["since"] == update["data"]["status_at"] > connector["updated_at"]
        listed = await s.app.act("list_chargers", {"station_id": s.charger.station_id})
        [charger] = listed["chargers"]
        assert charger["connectors"] == [connector]
        assert (charger["status"], charger["last_seen"]) == ("unavailable", update["data"]["last_seen"])


async def test_who_waits_for_a_connector_is_told_when_it_is_free(site: Site) -> None:
    async with (
        scene(site, connectors=1) as s,
        wire.app(site.app_url, token_of(make_user())) as stranger,
    ):
        wish = {"charger_id": s.identity, "connector_id": 1}
        free = await s.app.act("watch", wish)
        assert (free["free"], free["watch"], free["connector_id"]) == (True, None, 1)
        await s.point.status(1, "Charging")
        waiting = await s.app.act("watch", wish)
        assert (waiting["free"], waiting["charger_id"]) == (False, None)
        watch = waiting["watch"]
        assert (await s.app.act("get_watches"))["watches"] == [watch]
        assert (await stranger.act("unwatch", {"watch_id": watch["watch_id"]}))["code"] == "not_found"
        assert (await stranger.act("get_watches"))["watches"] == []
        await s.point.status(1, "Available")
        note = await s.app.until(type="notification")
        assert note["data"] == {"kind": "charger_free", "charger_id": s.identity, "connector_id": 1}
        assert note["seq"] > 0
        assert (await s.app.act("get_watches"))["watches"] == []
        await s.point.status(1, "Charging")
        waiting = await s.app.act("watch", {"station_id": s.charger.station_id})
        watch_id = waiting["watch"]["watch_id"]
        assert (await s.app.act("unwatch", {"watch_id": watch_id}))["watches"] == []
        await s.point.status(1, "Available")
        assert await s.app.quiet(0.2, type="notification")
