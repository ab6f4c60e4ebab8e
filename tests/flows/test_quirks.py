"""Chargers with quirks: with the profile that mends them all comes right, and without it the breach is on record."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from chargers.models import Breach, Charger, QuirkProfile
from sessions.models import ChargingSession
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, unique
from tests.flows.test_charge import now
from tests.server_process import ServerProcess
from tests.wire import FakeCharger, eventually


def mended(charger: Charger, **fields: Any) -> QuirkProfile:
    """A profile for this charger alone."""
    return QuirkProfile.objects.create(name=unique("Quirk "), identity_pattern=charger.identity, **fields)


async def broken(charger: Charger, rule: str) -> Breach:
    return await eventually(lambda: Breach.objects.filter(charger=charger, rule=rule).first())


@asynccontextmanager
async def connected(site: Site, charger: Charger, **options: Any) -> AsyncIterator[FakeCharger]:
    async with wire.charger(site.charger_url, charger.identity, **options) as point:
        yield await point.ready()


def session_of(charger: Charger) -> ChargingSession:
    return ChargingSession.objects.get(charger=charger)


async def charge(
    point: FakeCharger, *, start: int, readings: list[int], stop: int, tag: str = "CARD"
) -> None:
    begun = datetime.now(UTC) - timedelta(hours=1)
    transaction = await point.start(id_tag=tag, meter=start, at=begun.isoformat())
    for number, wh in enumerate(readings):
        at = begun + timedelta(minutes=10 * (number + 1))
        await point.meter(transaction=transaction, at=at.isoformat(), energy=wh, Power_Active_Import=7)
    await point.stop(transaction=transaction, meter=stop, at=(begun + timedelta(minutes=50)).isoformat())


# --- messages ---


async def test_a_broken_schema_is_refused_and_noted_and_read_with_a_lenient_profile(site: Site) -> None:
    charger = make_charger(status="")
    odd = {"connectorId": "2", "status": "Charging"}
    async with connected(site, charger) as point:
        assert (await point.request("StatusNotification", odd))[0] == 4
        breach = await broken(charger, "schema" if "errorCode" not in odd else "")
        assert (breach.action, breach.remedy) == ("StatusNotification", "is_lenient")
        mended(charger, is_lenient=True)
        await point.boot()  # from here on
        assert (await point.request("StatusNotification", odd))[0] == 3
        assert charger.connectors.get(number=2).status == "Charging"
        unreadable = await point.request("StatusNotification", {"connectorId": 2})
        assert (unreadable[0], unreadable[2]) == (4, "OccurenceConstraintViolation")


async def test_an_id_tag_is_cut_where_its_rubbish_begins(site: Site) -> None:
    """E40"""
    charger = make_charger()
    mended(charger, id_tag_trim="-;")
    tag = unique("TAG")
    async with connected(site, charger) as point:
        await charge(point, start=0, readings=[], stop=10, tag=f"{tag}-1F00000000000000000000")
    assert session_of(charger).id_tag == tag
    assert (await broken(charger, "id_tag_too_long")).remedy == "id_tag_trim"


async def test_times_without_a_zone_are_the_profiles(site: Site) -> None:
    """E41"""
    charger = make_charger()
    async with connected(site, charger) as point:
        await point.start(id_tag="CARD", at="2026-01-10T12:00:00")
        assert session_of(charger).started_at == datetime(2026, 1, 10, 12, tzinfo=UTC)
        assert (await broken(charger, "timezone_missing")).remedy == "timezone"
    away = make_charger()
    mended(away, timezone="America/New_York")
    async with connected(site, away) as point:
        await point.start(id_tag="CARD", at="2026-01-10T12:00:00")
    assert session_of(away).started_at == datetime(2026, 1, 10, 17, tzinfo=UTC)


async def test_the_answer_to_a_start_may_wait_but_the_transaction_is_stored(site: Site) -> None:
    """E22"""
    charger = make_charger()
    mended(charger, start_answer_delay_ms=1500)
    async with connected(site, charger) as point:
        answer = asyncio.create_task(point.start(id_tag="CARD", at=now()))
        session = await eventually(lambda: ChargingSession.objects.filter(charger=charger).first())
        assert not answer.done()
        assert await answer == session.transaction_id


# --- the meter ---


async def test_kilowatt_hours_called_watt_hours_are_put_right(site: Site) -> None:
    """E37"""
    charger = make_charger()
    mended(charger, energy_factor=1000, power_factor=1000)
    async with connected(site, charger) as point:
        await charge(point, start=361, readings=[362, 364], stop=366)
    session = session_of(charger)
    assert (session.meter_start_wh, session.meter_stop_wh, session.energy_wh) == (361_000, 366_000, 5000)
    readings = session.readings.order_by("measured_at")
    assert [(each.energy_wh, each.power_w) for each in readings] == [(362_000, 7000), (364_000, 7000)]


@pytest.mark.parametrize(
    ("start", "readings", "stop"),
    [
        (0, [2000, 4000], 5000),  # all begin at 0
        (800_000, [2000, 4000], 5000),  # the start is told by a register that does not
        (800_000, [2000, 4000], 805_000),  # both ends are
        (3000, [2000, 4000], 5000),  # such a register of a new charger
    ],
)
async def test_a_register_that_begins_anew_each_session_gives_the_right_energy(
    site: Site, start: int, readings: list[int], stop: int
) -> None:
    charger = make_charger()
    mended(charger, register="session")
    async with connected(site, charger) as point:
        await charge(point, start=start, readings=readings, stop=stop)
        session = session_of(charger)
        assert (session.energy_wh, session.flags) == (5000, session.flags)
        assert "suspect" not in session.flags
        registers = list(session.readings.order_by("measured_at").values_list("energy_wh", flat=True))
        assert registers == [start + 2000, start + 4000]
        again = {
            "transactionId": session.transaction_id,
            "meterStop": stop,
            "timestamp": session.stop_reported,
        }
        await point.call("StopTransaction", again)  # E27
    session.refresh_from_db()
    assert session.energy_wh == 5000
    assert not session.oddities.filter(flag="second_stop").exists()


@pytest.mark.parametrize("start", [0, 800_000])
async def test_such_a_register_is_noticed(site: Site, start: int) -> None:
    charger = make_charger()
    async with connected(site, charger) as point:
        await charge(point, start=0, readings=[], stop=5000)
        await point.start(id_tag="CARD", meter=start, at=now())
        await point.meter(
            transaction=ChargingSession.objects.get(charger=charger, status="active").pk, at=now(), energy=10
        )
    assert (await broken(charger, "register_per_session")).remedy == "register"


async def test_an_unknown_unit_is_noted_and_with_a_factor_it_is_that_factors(site: Site) -> None:
    charger = make_charger()
    sample = {"value": "2", "unit": "MWh"}
    payload = {"connectorId": 1, "meterValue": [{"timestamp": now(), "sampledValue": [sample]}]}
    async with connected(site, charger) as point:
        await point.call("MeterValues", payload)
        assert (await broken(charger, "energy_unit_unknown")).remedy == "energy_factor"
        mended(charger, energy_factor=1e6)
        await point.boot()
        await point.call("MeterValues", {**payload, "connectorId": 2})
    stored = charger.readings.order_by("connector_number").values_list("energy_wh", flat=True)
    assert list(stored) == [None, 2_000_000]


# --- the connection ---


@pytest.mark.parametrize("offered", [[], ["ocpp9.9"]])
async def test_no_known_subprotocol_is_closed_and_spoken_by_default_where_a_profile_says_so(
    site: Site, offered: list[str]
) -> None:
    """E7"""
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity, subprotocols=offered) as point:
        assert (await point.closed())[0] == 1002
    assert (await broken(charger, "subprotocol_missing")).remedy == "default_subprotocol"
    mended(charger, default_subprotocol="ocpp1.6")
    async with wire.charger(site.charger_url, charger.identity, subprotocols=offered) as point:
        assert point.socket.subprotocol is None
        assert (await point.boot())["status"] == "Accepted"


def deaf(point: FakeCharger) -> list[bytes]:
    """From now on it answers no pings; returns those that it gets."""
    pings: list[bytes] = []
    protocol = point.socket.protocol
    send_frame = protocol.send_frame

    def send_all_but_pongs(frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            pings.append(bytes(frame.data))
        else:
            send_frame(frame)

    protocol.send_frame = send_all_but_pongs  # type: ignore[method-assign]
    return pings


@pytest.fixture
def impatient(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server(WS_PING_INTERVAL_S=1, WS_PING_TIMEOUT_S=1, HEARTBEAT_INTERVAL_S=1)


async def test_a_charger_that_answers_no_ping_stays_while_it_speaks_and_is_noted(
    impatient: ServerProcess,
) -> None:
    """E4"""
    charger = make_charger()
    async with wire.charger(impatient.ws, charger.identity, ping_interval=None) as point:
        pings = deaf(point)
        await point.boot()
        while len(pings) < 3:
            await point.call("Heartbeat")
            await asyncio.sleep(0.2)
        await point.call("Heartbeat")
        assert (await broken(charger, "pings_unanswered")).remedy == "no_pings"
        assert (await point.closed())[0] == 1011  # silent, too


async def test_a_charger_that_is_not_to_be_pinged_is_not_and_ends_only_when_nothing_is_heard(
    impatient: ServerProcess,
) -> None:
    charger = make_charger()
    mended(charger, no_pings=True)
    async with wire.charger(impatient.ws, charger.identity, ping_interval=None) as point:
        pings = deaf(point)
        await point.boot()
        code, reason = await point.closed(timeout_s=20)
        assert (code, reason) == (1000, "Nothing was heard for too long")
        assert pings == []
    await eventually(lambda: not Charger.objects.get(pk=charger.pk).is_connected)
