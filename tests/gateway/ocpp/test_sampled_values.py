"""Sampled values as chargers send them → what the meter showed (E37)."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargers.quirks import NONE, Quirks
from gateway.ocpp.sampled_values import readings_from
from sessions.readings import Reading

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
AT = "2026-03-01T09:59:30Z"


def read(*samples: Any, at: Any = AT) -> Reading:
    (reading,) = readings_from([{"timestamp": at, "sampledValue": list(samples)}], received_at=NOW)
    return reading


def sample(measurand: str | None = None, value: Any = "0", **more: Any) -> dict[str, Any]:
    return {"value": value, **({"measurand": measurand} if measurand else {}), **more}


ENERGY = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"


NO_NUMBERS: list[Any] = ["", "abc", "NaN", "nan", "Infinity", "-inf", "1e300", "12,5", None, [], {}, "0x10"]


@pytest.mark.parametrize(
    ("samples", "energy_wh"),
    [
        ([sample(value="1234")], 1234),  # no measurand is the register, no unit is Wh
        ([sample(value="1234", unit="Wh")], 1234),
        ([sample(value="1.234", unit="kWh")], 1234),
        ([sample(ENERGY, "1234")], 1234),
        ([sample(ENERGY, "1.5", unit="kWh")], 1500),
        ([sample(ENERGY, "0")], 0),
        ([sample(ENERGY, "-3")], -3),  # what it said; judged later
        ([sample(ENERGY, "1234.5678")], 1235),
        ([sample(ENERGY, "0.0004", unit="kWh")], 0),
        ([sample(ENERGY, " 12 ")], 12),
        ([sample(ENERGY, "1.5e3")], 1500),
        ([sample(ENERGY, 1234)], 1234),  # a number where a text belongs
        ([sample(ENERGY, 1234.6)], 1235),
        ([sample(measurand="", value="5", unit="", phase="", location="")], 5),
        # phases: a value without one is the total, whatever its place in the list
        ([sample(ENERGY, "9", phase="L1"), sample(ENERGY, "30")], 30),
        ([sample(ENERGY, "30"), sample(ENERGY, "9", phase="L1")], 30),
        ([sample(ENERGY, str(n), phase=f"L{n}") for n in (1, 2, 3)], 6),
        ([sample(ENERGY, str(n), phase=f"L{n}-N", unit="kWh") for n in (1, 2, 3)], 6000),
        ([sample(ENERGY, "7", phase="L1")], 7),
        ([sample(ENERGY, "7", phase="L1-L2"), sample(ENERGY, "7", phase="N")], None),
        # places: the outlet's, which is what no place means
        ([sample(ENERGY, "5", location="Outlet")], 5),
        ([sample(ENERGY, "99", location="Inlet"), sample(ENERGY, "5", location="Outlet")], 5),
        ([sample(ENERGY, "99", location="Inlet"), sample(ENERGY, "5")], 5),
        ([sample(ENERGY, "99", location="Inlet")], None),
        ([sample(ENERGY, "99", location="Body")], None),
        # what is no number, or a wrong unit
        *[([sample(ENERGY, value)], None) for value in NO_NUMBERS],
        ([sample(ENERGY, "5", unit="Hz")], None),
        ([sample(ENERGY, "5", unit="Celsius")], None),
        ([sample(ENERGY, "abc"), sample(ENERGY, "5")], 5),  # the good one of two
        ([sample(ENERGY, "1234567890", format="SignedData"), sample(ENERGY, "5")], 5),
        # what is no energy register
        ([sample("Energy.Active.Export.Register", "5")], None),
        ([sample("Energy.Active.Import.Interval", "5")], None),
        ([sample("Energy.Reactive.Import.Register", "5", unit="varh")], None),
        ([sample("Vendor.Something", "5", unit="furlong")], None),
    ],
)
def test_the_energy_register(samples: list[Any], energy_wh: int | None) -> None:
    """E37"""
    assert read(*samples).energy_wh == energy_wh


@pytest.mark.parametrize(
    ("samples", "field", "value"),
    [
        ([sample(POWER, "7400")], "power_w", 7400),
        ([sample(POWER, "7.4", unit="kW")], "power_w", 7400),
        ([sample(POWER, "2400", phase=f"L{n}") for n in (1, 2, 3)], "power_w", 7200),
        ([sample(POWER, "1", phase="L1", unit="kW"), sample(POWER, "9")], "power_w", 9),
        ([sample("Current.Import", "16")], "current_a", 16),
        ([sample("Current.Import", "16", phase=f"L{n}") for n in (1, 2)], "current_a", 32),
        ([sample("Voltage", "230.5", unit="V")], "voltage_v", 230.5),
        ([sample("Voltage", str(v), phase=f"L{n}-N") for n, v in ((1, 229), (2, 231))], "voltage_v", 230),
        ([sample("SoC", "42", unit="Percent")], "soc_percent", 42),
        ([sample("SoC", "42", location="EV")], "soc_percent", 42),
        ([sample("Power.Offered", "11000")], "power_w", None),
        ([sample("Power.Factor", "0.98")], "power_w", None),
        ([sample("Temperature", "35", unit="Celsius"), sample("SoC", "42")], "soc_percent", 42),
        ([sample("Frequency", "50.01", unit="Hz"), sample(POWER, "5")], "power_w", 5),
    ],
)
def test_power_current_voltage_and_charge(samples: list[Any], field: str, value: float | None) -> None:
    """E37: measurands and units nobody knows ('Hz') spoil nothing (errata 3.84)"""
    assert getattr(read(*samples), field) == value


def test_one_message_with_everything() -> None:
    reading = read(
        sample(ENERGY, "12.5", unit="kWh", context="Sample.Periodic", location="Outlet"),
        sample(POWER, "7.2", unit="kW"),
        sample("Current.Import", "31.3"),
        sample("Voltage", "230"),
        sample("SoC", "55"),
    )
    assert (reading.energy_wh, reading.power_w, reading.current_a) == (12_500, 7200, 31.3)
    assert (reading.voltage_v, reading.soc_percent, reading.context) == (230, 55, "Sample.Periodic")


def test_what_the_charger_sent_is_kept_as_it_came() -> None:
    sent = {"timestamp": AT, "sampledValue": [sample(ENERGY, "12.5", unit="kWh", colour="green")]}
    (reading,) = readings_from([sent], received_at=NOW)
    assert json.loads(reading.sampled_values) == sent


def test_single_objects_instead_of_lists_are_read() -> None:
    """E37"""
    value = {"timestamp": AT, "sampledValue": sample(ENERGY, "5")}
    for meter_values in (value, [value], {**value, "sampledValue": [sample(ENERGY, "5")]}):
        assert [r.energy_wh for r in readings_from(meter_values, received_at=NOW)] == [5]


def test_several_values_keep_their_order_and_times() -> None:
    values = [
        {"timestamp": f"2026-03-01T09:0{minute}:00Z", "sampledValue": [sample(ENERGY, str(minute))]}
        for minute in (3, 1, 2)
    ]
    found = readings_from(values, received_at=NOW)
    assert [r.energy_wh for r in found] == [3, 1, 2]
    assert [r.measured_at.minute for r in found] == [3, 1, 2]


@pytest.mark.parametrize(
    "meter_values",
    [
        None,
        [],
        {},
        "text",
        5,
        [None],
        [[]],
        ["text"],
        [{}],
        [{"timestamp": AT}],
        [{"timestamp": AT, "sampledValue": None}],
        [{"timestamp": AT, "sampledValue": []}],
        [{"timestamp": AT, "sampledValue": "5"}],
    ],
)
def test_what_holds_no_values_gives_none(meter_values: Any) -> None:
    assert readings_from(meter_values, received_at=NOW) == []


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "text",
        [],
        {},
        {"value": "5", "measurand": ["x"]},
        {"value": "5", "measurand": {"a": 1}},
        {"value": "5", "unit": ["Wh"]},
        {"value": "5", "unit": {}, "location": {}},
        {"value": "5", "location": ["Inlet"]},
        {"value": "5", "phase": ["L1"]},
        {"value": "5", "phase": {"L1": 1}},
        {"value": "5", "measurand": 5},
        {"value": "5", "context": {"a": 1}, "measurand": "x"},
    ],
)
def test_garbage_among_the_samples_spoils_no_other(odd: Any) -> None:
    """E18, E37"""
    assert read(odd, sample(ENERGY, "7")).energy_wh == 7


@pytest.mark.parametrize(
    ("text", "measured_at"),
    [
        (AT, NOW - timedelta(seconds=30)),
        ("2026-03-01T10:59:30+01:00", NOW - timedelta(seconds=30)),
        ("2026-03-01T09:59:30", NOW - timedelta(seconds=30)),
        ("2026-03-01T03:00:00Z", NOW - timedelta(hours=7)),  # a replay
        ("2026-03-01T10:00:10Z", NOW + timedelta(seconds=10)),  # a clock that is a little ahead
        ("2026-03-01T12:00:00Z", NOW),  # one that is wrong
        ("1970-01-01T00:00:10Z", NOW),
        ("garbage", NOW),
        (None, NOW),
        ({}, NOW),
    ],
)
def test_the_time_is_the_chargers_unless_it_cannot_be(text: Any, measured_at: datetime) -> None:
    """E41"""
    reading = read(sample(ENERGY, "5"), at=text)
    assert (reading.measured_at, reading.received_at) == (measured_at, NOW)
    assert json.loads(reading.sampled_values)["timestamp"] == text


# --- quirks, and what is noted ---


def noted(*samples: Any, quirks: Quirks = NONE, at: Any = AT) -> tuple[Reading, list[str]]:
    rules: list[str] = []
    values = {"timestamp": at, "sampledValue": list(samples)}
    (reading,) = readings_from(
        values, received_at=NOW, quirks=quirks, breach=lambda rule, detail: rules.append(rule)
    )
    return reading, rules


def test_a_profiles_factors_come_on_top_of_the_unit() -> None:
    quirks = Quirks(energy_factor=1000, power_factor=0.5)
    reading, rules = noted(sample(ENERGY, "2"), sample(POWER, "3", unit="kW"), quirks=quirks)
    assert (reading.energy_wh, reading.power_w) == (2000, 1500)
    assert rules == []


@pytest.mark.parametrize(
    ("measurand", "rule"),
    [(ENERGY, "energy_unit_unknown"), (POWER, "power_unit_unknown"), ("Voltage", "unit_unknown")],
)
def test_a_unit_that_nobody_knows_is_noted(measurand: str, rule: str) -> None:
    reading, rules = noted(sample(measurand, "2", unit="furlong"))
    assert (reading.energy_wh, reading.power_w, reading.voltage_v) == (None, None, None)
    assert rules == [rule]


def test_a_unit_that_nobody_knows_is_the_factors_own() -> None:
    reading, _ = noted(sample(ENERGY, "2", unit="MWh"), quirks=Quirks(energy_factor=1e6))
    assert reading.energy_wh == 2_000_000


def test_a_unit_of_a_measurand_that_we_do_not_read_is_no_matter() -> None:
    assert noted(sample("Frequency", "50", unit="Hz"), sample(ENERGY, "1", unit="Wh"))[1] == []


def test_a_time_without_a_zone_is_the_profiles_and_noted() -> None:
    """E41"""
    reading, rules = noted(
        sample(value="1"), at="2026-03-01T10:59:30", quirks=Quirks(zone=ZoneInfo("Europe/Berlin"))
    )
    assert reading.measured_at == datetime(2026, 3, 1, 9, 59, 30, tzinfo=UTC)
    assert rules == ["timezone_missing"]


# --- anything at all ---

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SAMPLES = st.fixed_dictionaries(
    {},
    optional={
        "value": st.floats().map(str) | st.integers().map(str) | ANYTHING,
        "measurand": st.sampled_from([ENERGY, POWER, "Voltage", "SoC", "Current.Import"]) | ANYTHING,
        "unit": st.sampled_from(["Wh", "kWh", "W", "kW", "VA", "A", "V", "%", "Hz"]) | ANYTHING,
        "phase": st.sampled_from(["L1", "L2", "L3", "L1-N", "N"]) | ANYTHING,
        "location": st.sampled_from(["Outlet", "Inlet"]) | ANYTHING,
        "format": ANYTHING,
        "context": ANYTHING,
    },
)
METER_VALUES = st.fixed_dictionaries(
    {},
    optional={"timestamp": st.datetimes().map(str) | ANYTHING, "sampledValue": st.lists(SAMPLES) | ANYTHING},
)
QUIRKS = st.builds(
    Quirks, energy_factor=st.floats(1e-6, 1e6), power_factor=st.floats(1e-6, 1e6), zone=st.just(UTC)
)


@settings(deadline=None)
@given(st.lists(METER_VALUES, max_size=3) | ANYTHING, st.just(NONE) | QUIRKS)
def test_whatever_a_meter_says_only_sane_numbers_are_read(meter_values: Any, quirks: Quirks) -> None:
    """E37: never an exception; finite numbers, a whole number of Wh, an aware time, and JSON that can be stored."""
    for reading in readings_from(meter_values, received_at=NOW, quirks=quirks):
        quantities = (reading.power_w, reading.current_a, reading.voltage_v, reading.soc_percent)
        assert all(each is None or math.isfinite(each) for each in quantities)
        assert reading.energy_wh is None or abs(reading.energy_wh) < 2**63
        assert reading.measured_at.tzinfo is not None
        json.loads(reading.sampled_values)
