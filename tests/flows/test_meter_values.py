"""Meter values over the wire: what becomes of them in the rows and on the phone, and whose clock counts."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from chargers.events import utcnow
from chargers.models import Charger
from gateway.ocpp.rpc import Rpc
from sessions.models import ChargingSession, MeterReading
from tests import wire
from tests.charge import at, begin, scene
from tests.conftest import Site
from tests.factories import make_charger, unique
from tests.server_here import server_here

TOLERANCE = timedelta(seconds=10)


def values(
    transaction: int | None, *samples: Any, connector: int = 1, timestamp: Any = None
) -> dict[str, Any]:
    payload: dict[str, Any] = {"connectorId": connector}
    stamp = at() if timestamp is None else timestamp
    payload["meterValue"] = [{"timestamp": stamp, "sampledValue": list(samples)}]
    if transaction is not None:
        payload["transactionId"] = transaction
    return payload


def register(value: Any, **more: Any) -> dict[str, Any]:
    return {"value": value, "measurand": "Energy.Active.Import.Register", **more}


def is_now(moment: datetime | None) -> bool:
    return moment is not None and abs(utcnow() - moment) < TOLERANCE


@pytest.mark.parametrize(
    ("samples", "kwh"),
    [
        ([{"value": "3000"}], 2.0),
        ([register("3.0", unit="kWh")], 2.0),
        ([register("1000", phase=f"L{n}", unit="Wh") for n in (1, 2, 3)], 2.0),
        ([register("1000", phase="L1"), register("3000", location="Outlet")], 2.0),
        ([register("99999", location="Inlet"), register("3000")], 2.0),
        ([register(3000), {"value": "50.02", "measurand": "Frequency", "unit": "Hz"}], 2.0),
        ([register("3000"), {"value": "1", "measurand": "Vendor.Mood", "unit": "smiley"}], 2.0),
        ([register("99999", location="Inlet")], None),
        ([register("NaN")], None),
    ],
)
async def test_the_register_of_the_outlet_in_whatever_shape_is_the_sessions_energy(
    site: Site, samples: list[Any], kwh: float | None
) -> None:
    """E37"""
    async with scene(site) as s:
        charge = await begin(s, meter=1000)
        await s.point.call("MeterValues", values(charge.transaction_id, *samples))
        tick = await s.app.until(event="meter_value")
        assert tick["data"]["energy_delivered"] == kwh
        (reading,) = MeterReading.objects.filter(session_id=charge.session_id)
        assert reading.sampled_values["sampledValue"] == samples


async def test_a_single_object_instead_of_a_list_is_read(site: Site) -> None:
    """E37"""
    async with scene(site) as s:
        charge = await begin(s, meter=1000)
        payload = values(charge.transaction_id, register("3000"))
        payload["meterValue"] = {**payload["meterValue"][0], "sampledValue": register("3000")}
        await s.point.call("MeterValues", payload)
        assert (await s.app.until(event="meter_value"))["data"]["energy_delivered"] == 2.0


@pytest.mark.parametrize("with_number", [False, True])
async def test_values_of_connector_zero_are_kept_and_are_no_sessions(site: Site, with_number: bool) -> None:
    """E37: the main meter's register is not the outlet's (errata 3.16)"""
    async with scene(site) as s:
        charge = await begin(s, meter=1000)
        number = charge.transaction_id if with_number else None
        await s.point.call("MeterValues", values(number, register("987654"), connector=0))
        await s.point.call("MeterValues", values(charge.transaction_id, register("3000")))
        assert (await s.app.until(event="meter_value"))["data"]["energy_delivered"] == 2.0
        main = MeterReading.objects.get(charger=s.charger, connector_number=0)
        assert (main.energy_wh, main.session) == (987654, None)
        await s.point.stop(transaction=charge.transaction_id, meter=0, at=at())  # its register is lost
        session = ChargingSession.objects.get(pk=charge.session_id)
        assert (session.energy_wh, session.flags) == (2000, ["suspect"])


async def test_values_without_a_session_are_kept(site: Site) -> None:
    async with wire.charger(site.charger_url, make_charger().identity) as point:
        for number in (None, -1, 987654321):
            await point.call("MeterValues", values(number, register("5"), timestamp=at(-(number or 0) % 60)))
        readings = MeterReading.objects.filter(charger__identity=point.identity)
        assert [reading.session for reading in readings] == [None] * 3


async def test_values_told_again_are_stored_once(site: Site) -> None:
    async with scene(site) as s:
        charge = await begin(s)
        payload = values(charge.transaction_id, register("2000"))
        for _ in range(3):
            await s.point.call("MeterValues", payload)
        assert MeterReading.objects.filter(session_id=charge.session_id).count() == 1


async def test_what_a_charger_says_all_day_takes_the_short_way_and_is_heard_the_same(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is usual needs no task; what is not, goes the way of everything else."""
    taken: list[bool] = []
    take = Rpc.take

    def watched(rpc: Rpc, text: str) -> bool:
        taken.append(take(rpc, text))
        return taken[-1]

    monkeypatch.setattr(Rpc, "take", watched)
    async with server_here() as url, scene(SimpleNamespace(app_url=url, charger_url=url)) as s:
        assert not any(taken)  # it booted, and told the state of its connectors
        charge = await begin(s, meter=1000)
        taken.clear()
        for energy in ("2000", "2001", "2002"):
            await s.point.call("MeterValues", values(charge.transaction_id, register(energy)))
        assert taken == [False, True, True]  # the first is held against the schema, and its session is read
        assert is_now(datetime.fromisoformat((await s.point.call("Heartbeat"))["currentTime"]))
        taken.clear()
        await s.point.call("MeterValues", values(charge.transaction_id, register(3000, mood="good")))
        zoneless = at().removesuffix("Z")
        await s.point.call("MeterValues", values(charge.transaction_id, register("3001"), timestamp=zoneless))
        await s.point.call("MeterValues", values(-1, register("3002")))
        assert taken == [False, False, False]
        await s.point.stop(transaction=charge.transaction_id, meter=4000, at=at())
        taken.clear()
        for energy in ("3900", "3901"):  # of one that has ended: it is reckoned again
            await s.point.call("MeterValues", values(charge.transaction_id, register(energy)))
        assert taken == [False, False]
    readings = MeterReading.objects.filter(session_id=charge.session_id).order_by("pk")
    assert [each.energy_wh for each in readings] == [2000, 2001, 2002, 3000, 3001, 3002, 3900, 3901]


async def test_one_is_not_heard_quickly_before_it_is_accepted(committed: None) -> None:
    """E19"""
    async with server_here() as url:
        charger = make_charger(registration=Charger.Registration.PENDING)
        async with wire.charger(url, charger.identity) as point:
            assert (await point.request("Heartbeat", {}))[:1] == [4]


async def test_values_of_the_next_session_do_not_go_to_the_last(site: Site) -> None:
    """What the socket remembers of a connector ends with the transaction."""
    async with scene(site) as s:
        first = await begin(s, meter=1000)
        await s.point.meter(transaction=None, at=at(), energy=1500)
        await s.point.stop(transaction=first.transaction_id, meter=2000, at=at())
        second = await begin(s, meter=2000)
        await s.point.meter(transaction=None, at=at(), energy=2600)
        s.app.passed.clear()
        tick = await s.app.until(event="meter_value")
        assert (tick["session_id"], tick["data"]["energy_delivered"]) == (second.session_id, 0.6)
        assert MeterReading.objects.filter(session_id=first.session_id).count() == 1


async def test_nameless_values_told_after_the_next_start_are_of_the_session_before(site: Site) -> None:
    """E25, E30: by when they were measured; what the socket remembers of the connector stays the open one's."""
    async with wire.charger(site.charger_url, make_charger().identity) as point:
        first = await point.start(id_tag=unique("CARD"), at=at(-280), meter=1000)
        await point.stop(transaction=first, meter=2000, at=at(-200))
        second = await point.start(id_tag=unique("CARD"), at=at(-100), meter=2000)
        for seconds, wh in ((-90, 2100), (-250, 1500), (-80, 2200), (-240, 1600), (-70, 2300)):
            await point.meter(transaction=-1, at=at(seconds), energy=wh)
        before, now = (ChargingSession.objects.get(transaction_id=number) for number in (first, second))
        registers = [
            list(each.readings.order_by("pk").values_list("energy_wh", flat=True)) for each in (before, now)
        ]
        assert registers == [[1500, 1600], [2100, 2200, 2300]]
        assert not MeterReading.objects.filter(session__in=(before, now), is_suspect=True).exists()
        assert (before.flags, now.flags, before.energy_wh) == (["reconciled"], ["reconciled"], 1000)


async def test_a_register_without_samples_of_energy_leaves_the_energy_unknown(site: Site) -> None:
    async with scene(site) as s:
        charge = await begin(s)
        await s.point.meter(transaction=charge.transaction_id, at=at(), Power_Active_Import=7400, SoC=40)
        data = (await s.app.until(event="meter_value"))["data"]
        assert (data["energy_delivered"], data["power"], data["charge_percentage"]) == (None, 7.4, 40)
        assert data["cost"] is None


# --- clocks ---

STAMPS: list[tuple[Any, datetime | None]] = [
    ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ("2026-03-01T05:00:00.123-05:00", datetime(2026, 3, 1, 10, 0, 0, 123000, tzinfo=UTC)),
    ("2026-03-01T10:00:00.1234567Z", datetime(2026, 3, 1, 10, 0, 0, 123456, tzinfo=UTC)),
    ("2026-03-01T10:00:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ("1970-01-01T00:10:00Z", None),
    ("2000-01-01T00:10:00Z", None),
    ("2099-01-01T00:00:00Z", None),
    ("yesterday", None),
    ("2026-03-01", None),
    ("", None),
    (12345, None),
]


@pytest.mark.parametrize(("stamp", "moment"), STAMPS)
async def test_times_are_the_chargers_where_they_can_be_and_ours_where_not(
    site: Site, stamp: Any, moment: datetime | None
) -> None:
    """E41: start, meter value and stop; None stands for the time of receipt. The text is kept as it came."""

    def fits(found: datetime | None) -> bool:
        return is_now(found) if moment is None else found == moment

    async with wire.charger(site.charger_url, make_charger().identity) as point:
        start = {"connectorId": 1, "idTag": unique("CARD"), "meterStart": 1000, "timestamp": stamp}
        transaction = (await point.call("StartTransaction", start))["transactionId"]
        await point.call("MeterValues", values(transaction, register("1500"), timestamp=stamp))
        stop = {"transactionId": transaction, "meterStop": 2000, "timestamp": stamp}
        await point.call("StopTransaction", stop)
        session = ChargingSession.objects.get(transaction_id=transaction)
        (reading,) = session.readings.all()
        assert fits(session.started_at) and fits(session.stopped_at) and fits(reading.measured_at)
        assert is_now(reading.received_at) and is_now(session.created_at)
        if isinstance(stamp, str):
            assert session.start_reported == stamp
            assert reading.sampled_values["timestamp"] == stamp
            assert not stamp or session.stop_reported == stamp
        assert session.energy_wh == 1000
        assert ("late" in session.flags) is (moment is not None)


async def test_a_clock_that_is_a_little_ahead_is_believed(site: Site) -> None:
    """E41: within CLOCK_SKEW_TOLERANCE_S"""
    async with wire.charger(site.charger_url, make_charger().identity) as point:
        moment = utcnow() + timedelta(seconds=100)
        transaction = await point.start(id_tag=unique("CARD"), at=moment.isoformat())
        assert ChargingSession.objects.get(transaction_id=transaction).started_at == moment


async def test_a_clock_put_right_in_mid_session_makes_no_negative_time(site: Site) -> None:
    """E41"""
    async with wire.charger(site.charger_url, make_charger().identity) as point:
        transaction = await point.start(id_tag=unique("CARD"), at=at(200))
        await point.stop(transaction=transaction, meter=2000, at=at())
        session = ChargingSession.objects.get(transaction_id=transaction)
        assert session.stopped_at == session.started_at
        assert session.flags == ["clock"]


@pytest.mark.parametrize("action", ["MeterValues", "StopTransaction"])
async def test_a_value_that_drags_a_depth_of_brackets_along_is_still_a_value(site: Site, action: str) -> None:
    """E18: JSON may come deeper than it can be written again; the energy in it is a fact all the same."""
    async with scene(site) as s:
        charge = await begin(s, meter=1000)
        nested: Any = []
        for _ in range(300):
            nested = [nested]
        if action == "MeterValues":
            payload = values(charge.transaction_id, register("3000", vendor=nested))
        else:
            data = values(None, register("3000", vendor=nested))["meterValue"]
            payload = {"transactionId": charge.transaction_id, "meterStop": 3000, "timestamp": at()}
            payload["transactionData"] = data
        assert (await s.point.request(action, payload))[0] == 3
        reading = MeterReading.objects.get(session_id=charge.session_id)
        assert reading.energy_wh == 3000
        assert "omitted" in reading.sampled_values
