"""The quick way of meter values: it reads what is plain, and reads it as the way for everything does."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ocpp import plain_values
from gateway.ocpp.plain_values import plain_readings
from gateway.ocpp.sampled_values import readings_from
from sessions.readings import Reading

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
WORDS = {
    "measurand": [*get_args(plain_values.Measurand), "Energy", "", None],
    "context": [*get_args(plain_values.Context), "Odd", None],
    "format": ["Raw", "SignedData", "", None],
    "phase": [*get_args(plain_values.Phase), "L4", None],
    "location": ["Body", "Cable", "EV", "Inlet", "Outlet", "", "Roof", None],
    "unit": [*get_args(plain_values.Unit), "MWh", "wh", None],
}
numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.decimals(min_value=-(10**9), max_value=10**9, places=3).map(str),
    st.integers(0, 10**20).map(str),
    st.sampled_from(
        ["", "1_000", " 12 ", "12.", ".5", "1e400", "nan", "-0", "007", "0x10", "+3", "٣", "Infinity"]
    ),
    st.floats(-1e6, 1e6),
    st.integers(-5, 5),
    st.none(),
)
samples = st.fixed_dictionaries(
    {"value": numbers}, optional={name: st.sampled_from(words) for name, words in WORDS.items()}
)
times = st.one_of(
    st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.isoformat() + "Z"),
    st.sampled_from(
        ["2026-11-01T10:00:00", "2026-11-01", "1970-01-01T00:00:00Z", "now", "2026-11-01T10:00:00+02:00", 5]
    ),
)
values = st.fixed_dictionaries(
    {"timestamp": times, "sampledValue": st.one_of(st.lists(samples, max_size=4), samples)},
    optional={"more": st.sampled_from(["ä", 1.50, {"deep": [1, {}]}, "\ud7ff"])},
)


def plainly(values: list[dict[str, Any]], **dumps: Any) -> list[Reading] | None:
    text = json.dumps({"connectorId": 1, "meterValue": values}, ensure_ascii=False, **dumps)
    return plain_readings(plain_values.read(text).meterValue, received_at=NOW)


@given(st.lists(values, max_size=3))
def test_what_it_reads_is_read_the_same_by_the_way_for_everything(values: list[dict[str, Any]]) -> None:
    breaches: list[str] = []
    theirs = readings_from(values, received_at=NOW, breach=lambda rule, detail: breaches.append(rule))
    ours = plainly(values)
    if ours is None:
        return
    assert breaches == []
    kept = [msgspec.structs.replace(each, sampled_values=b"") for each in ours]
    assert kept == [msgspec.structs.replace(each, sampled_values=b"") for each in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert orjson.loads(mine.sampled_values) == orjson.loads(other.sampled_values)


def sample(**words: Any) -> dict[str, Any]:
    return {"value": "1000", **words}


def value(*samples: dict[str, Any], timestamp: Any = "2026-11-01T11:59:00Z") -> dict[str, Any]:
    return {"timestamp": timestamp, "sampledValue": list(samples)}


@pytest.mark.parametrize("dumps", [{}, {"separators": (",", ":")}])
def test_usual_message_is_read(dumps: dict[str, Any]) -> None:
    readings = plainly(
        [
            value(
                sample(context="Sample.Periodic", measurand="Energy.Active.Import.Register", unit="kWh"),
                *(
                    sample(
                        value="16.5", measurand="Current.Import", phase=f"L{n}", unit="A", location="Outlet"
                    )
                    for n in (1, 2, 3)
                ),
                sample(value="0055", measurand="SoC", unit="Percent", format="Raw"),
                sample(value="40", measurand="Temperature", unit="Celsius"),
            )
        ],
        **dumps,
    )
    assert readings is not None
    (reading,) = readings
    assert (reading.energy_wh, reading.current_a, reading.soc_percent) == (1_000_000, 49.5, 55)
    assert reading.context == "Sample.Periodic"
    assert reading.measured_at == datetime(2026, 11, 1, 11, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "unusual",
    [
        value(sample(unit="MWh")),
        value(sample(vendor=1)),
        {**value(sample()), "vendor": [[[]]]},
        value(sample(measurand="Energy")),
        value(sample(format="SignedData")),
        value(sample(value="n/a")),
        value(sample(value="1e20")),
        value(sample(phase=None)),
        value(sample(), timestamp="2026-11-01T11:59:00"),
        value(sample(), timestamp=None),
        value(),
        {"timestamp": "2026-11-01T11:59:00Z", "sampledValue": sample()},
    ],
)
def test_anything_unusual_is_left_to_the_way_for_everything(unusual: dict[str, Any]) -> None:
    assert plainly([value(sample()), unusual]) is None
