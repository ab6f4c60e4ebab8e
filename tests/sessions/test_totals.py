"""Totals from facts, without a database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.pricing import Price
from sessions.totals import Doubt, Facts, Limit, Register, Totals, Verdict, totals

T0 = datetime(2026, 3, 1, 10, tzinfo=UTC)
PRICE = Price("EUR", Decimal("0.50"), Decimal("0.10"), Decimal("1"))
LIMIT = Limit(22_000, timedelta(minutes=1))


def moment(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def registers(*points: tuple[float, int]) -> list[Register]:
    """(minutes after the start, Wh)."""
    return [Register(moment(minutes), wh) for minutes, wh in points]


def of(*points: tuple[float, int], **facts: Any) -> Totals:
    """The totals of a session that began at 100 kWh and, unless told otherwise, ended an hour later 10 kWh above it."""
    values = {
        "price": PRICE,
        "started_at": T0,
        "meter_start_wh": 100_000,
        "stop_at": moment(60),
        "meter_stop_wh": 110_000,
        "registers": registers(*points),
        "last_seen_at": moment(points[-1][0]) if points else T0,
        "limit": LIMIT,
        **facts,
    }
    return totals(Facts(**values))


def flags(found: Totals) -> list[str]:
    return [doubt.flag for doubt in found.doubts]


def test_what_the_stop_says_minus_what_the_start_says_is_the_energy() -> None:
    """E38"""
    assert of((30, 105_000)) == Totals(10_000, moment(60), Decimal("12.00"))


def test_one_wild_reading_between_two_ends_that_fit_changes_nothing() -> None:
    """E38"""
    for wild in (0, 100_010_000_000, 99_000):
        assert of((10, 102_000), (20, wild), (30, 105_000)) == of()


@pytest.mark.parametrize(
    ("stop_wh", "reason"),
    [
        (10, "The register fell from 100.000 kWh at the start to 0.010 kWh at the stop"),
        (100_000, "The stop's register, 100.000 kWh, is below what the last readings showed"),
        (
            100_000_000,
            "The register rose from 100.000 kWh to 100000.000 kWh in 1:00:00, more than 22 kW can deliver",
        ),
        (None, "The stop has no register"),
    ],
)
def test_a_stop_that_cannot_be_right_leaves_the_energy_to_the_readings(
    stop_wh: int | None, reason: str
) -> None:
    """E38"""
    found = of((20, 104_000), (40, 108_000), meter_stop_wh=stop_wh)
    assert found.energy_wh == 8000
    assert found.doubts == (Doubt("suspect", reason, "the readings support 8.000 kWh"),)


def test_without_readings_a_stop_that_cannot_be_right_leaves_the_energy_unknown() -> None:
    """E38"""
    found = of(meter_stop_wh=10)
    assert (found.energy_wh, found.cost, flags(found)) == (None, Decimal("7.00"), ["suspect"])
    assert found.doubts[0].upshot == "no readings tell the energy"


def test_a_register_reset_in_the_midst_counts_on_from_zero() -> None:
    """E38: a reboot with a register that is not kept"""
    found = of((20, 105_000), (30, 500), (40, 3000), meter_stop_wh=6000)
    assert (found.energy_wh, flags(found)) == (5000 + 6000, ["suspect"])


def test_a_single_low_value_is_no_reset() -> None:
    found = of((20, 105_000), (30, 106_000), meter_stop_wh=300)
    assert found.energy_wh == 6000


def test_a_start_that_was_wrong_leaves_the_energy_to_the_readings_and_the_stop() -> None:
    """E38: the first reading lies below meterStart"""
    found = of((1, 5_000_000), (30, 5_006_000), meter_start_wh=9_000_000, meter_stop_wh=5_009_000)
    assert (found.energy_wh, flags(found)) == (9000, ["suspect"])


def test_a_meter_that_tells_the_sessions_energy_is_understood() -> None:
    """E38: its start is that of a register for life"""
    found = of((10, 2000), (30, 6000), meter_stop_wh=9000)
    assert (found.energy_wh, flags(found)) == (9000, ["suspect"])


def test_a_register_that_comes_back_goes_on_from_where_it_was() -> None:
    """E38"""
    found = of(
        (10, 102_000), (20, 999_000_000), (21, 999_000_000), (30, 105_000), (31, 105_100), stop_at=None
    )
    assert found.energy_wh == 5100


def test_a_clock_set_back_in_the_midst_counts_no_watt_hour_twice() -> None:
    """E38: what was measured last stands first, two hours before the start"""
    told = (1, 100_100), (2, 100_200), (-118, 100_250), (-117, 100_500)
    found = of(*sorted(told), stop_at=None, meter_stop_wh=None)
    assert found.energy_wh == 500


def test_registers_rounded_differently_are_no_fault() -> None:
    assert of((59, 110_040)) == of()


def test_a_session_whose_stop_was_not_told_ends_with_what_was_last_heard_of_it() -> None:
    """E29, E36"""
    found = of((20, 104_000), (40, 108_000), stop_at=None, meter_stop_wh=None)
    assert found == Totals(8000, moment(40), Decimal("9.00"))
    assert of(stop_at=None, meter_stop_wh=None) == Totals(None, T0, Decimal("1.00"))


def test_of_a_session_without_a_start_the_readings_tell_what_they_can() -> None:
    """E26"""
    found = of((58, 109_000), started_at=None, meter_start_wh=None)
    assert (found.energy_wh, found.stopped_at, found.doubts) == (1000, moment(60), ())
    assert of(started_at=None, meter_start_wh=None).energy_wh is None


def test_a_stop_before_the_start_lasts_no_time() -> None:
    """E41"""
    found = of(stop_at=moment(-120), meter_stop_wh=100_200)
    assert (found.energy_wh, found.stopped_at, flags(found)) == (200, T0, ["clock"])


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict(energy_wh=4000), Totals(4000, moment(60), Decimal("9.00"))),
        (Verdict(cost=Decimal(3)), Totals(10_000, moment(60), Decimal(3))),
        (Verdict(stopped_at=moment(30)), Totals(10_000, moment(30), Decimal("9.00"))),
        (Verdict(is_void=True), Totals(10_000, moment(60), Decimal(0))),
        (Verdict(cost=Decimal(3), is_void=True), Totals(10_000, moment(60), Decimal(0))),
    ],
)
def test_what_a_person_decided_comes_first(verdict: Verdict, expected: Totals) -> None:
    assert of(verdict=verdict) == expected


def test_money_beyond_any_column_is_not_reckoned() -> None:
    dear = PRICE._replace(per_session=Decimal(10) ** 9)
    assert of(price=dear).cost is None


minutes = st.floats(-100, 200, allow_nan=False)
wild_registers = st.one_of(st.integers(99_000, 125_000), st.integers(-(10**15), 10**15))


@given(
    st.lists(st.tuples(minutes, wild_registers), max_size=12),
    st.none() | wild_registers,
    st.none() | wild_registers,
    st.none() | minutes.map(moment),
)
def test_whatever_the_meter_says_the_totals_are_sane(
    points: list[tuple[float, int]], start: int | None, stop: int | None, stop_at: datetime | None
) -> None:
    """E38"""
    points.sort()
    found = of(*points, meter_start_wh=start, meter_stop_wh=stop, stop_at=stop_at)
    assert found.stopped_at >= T0
    assert found.energy_wh is None or found.energy_wh >= 0
    assert found.cost is not None and found.cost >= 0
    if stop_at is None and found.energy_wh is not None:
        # No more than the connector can have delivered from the first value to the last, and each value's own slack.
        hours = (max(m for m, _ in [*points, (0, 0)]) - min(m for m, _ in [*points, (0, 0)])) / 60
        assert found.energy_wh <= LIMIT.power_w * 2 * (hours + (len(points) + 1) / 60)


rises = st.lists(st.integers(0, 1500), min_size=1, max_size=30)


@given(rises, st.integers(0, 10**9), st.data())
def test_a_true_register_counts_to_the_watt_hour_whatever_stands_between(
    steps: list[int], start: int, data: st.DataObject
) -> None:
    """E38: readings each five minutes, at most 18 kW; some single ones are wild"""
    wh, points = start, []
    for number, step in enumerate(steps, start=1):
        wh += step
        is_wild = number % 3 == 2 and data.draw(st.booleans())
        points.append((5.0 * number, data.draw(wild_registers) if is_wild else wh))
    ended = moment(5.0 * len(steps) + 1)
    found = of(*points, meter_start_wh=start, meter_stop_wh=wh, stop_at=ended)
    assert (found.energy_wh, flags(found)) == (wh - start, [])
