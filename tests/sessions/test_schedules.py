"""Profiles stacked and combined: what holds at each second, against a reckoning that goes second by second."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessions.schedules import Limit, Period, Profile, composite

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAX, DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def limit(rate: float | str, phases: int | None = None) -> Limit:
    return Limit(Decimal(str(rate)), phases)


def profile(purpose: str = DEFAULT, *rates: float, connector: int = 1, **more: Any) -> Profile:
    """One with a period of ten seconds for each of the rates, from noon on."""
    periods = [Period(10 * i, limit(rate)) for i, rate in enumerate(rates or (16,))]
    return Profile(
        **{
            "purpose": purpose,
            "connector_number": connector,
            "unit": "A",
            "periods": periods,
            "starts_at": NOON,
            **more,
        }
    )


def schedule(
    *profiles: Profile, duration_s: int = 60, begins: float = 0, **more: Any
) -> list[tuple[int, float | None]]:
    options: dict[str, Any] = {"connector_number": 1, "unit": "A", **more}
    periods = composite(profiles, begins_at=after(begins), duration_s=duration_s, **options)
    return [(period.start_s, float(period.limit.rate) if period.limit else None) for period in periods]


# --- one profile ---


def test_without_profiles_there_is_no_limit() -> None:
    assert schedule() == [(0, None)]


def test_periods_follow_one_another_and_the_last_one_stays() -> None:
    assert schedule(profile(DEFAULT, 16, 10, 6)) == [(0, 16), (10, 10), (20, 6)]


def test_equal_neighbours_are_one_period() -> None:
    assert schedule(profile(DEFAULT, 16, 16, 6, 6)) == [(0, 16), (20, 6)]


def test_a_duration_ends_the_last_period_and_cuts_what_is_longer() -> None:
    assert schedule(profile(DEFAULT, 16, 10, 6, duration_s=15)) == [(0, 16), (10, 10), (15, None)]


def test_a_schedule_that_has_not_begun_limits_nothing() -> None:
    assert schedule(profile(starts_at=after(30))) == [(0, None), (30, 16)]


def test_a_schedule_under_way_is_met_in_its_middle() -> None:
    assert schedule(profile(DEFAULT, 16, 10), begins=5) == [(0, 16), (5, 10)]


def test_validity_has_a_beginning_and_an_end_that_is_not_part_of_it() -> None:
    valid = profile(valid_from=after(10), valid_to=after(20))
    assert schedule(valid) == [(0, None), (10, 16), (20, None)]


def test_without_a_start_it_counts_from_the_start_of_charging_else_from_now() -> None:
    relative = profile(TX, 16, 10, starts_at=None)
    assert schedule(relative, charging_since=after(-5)) == [(0, 16), (5, 10)]
    assert schedule(relative, begins=100) == [(0, 16), (10, 10)]


def test_a_daily_profile_restarts_every_24_hours_at_its_own_time() -> None:
    """Errata 3.78: not at midnight. What is longer than the day is never reached (errata 3.44)."""
    day = 24 * 3600
    daily = profile(recurrency="Daily", periods=[Period(0, limit(6)), Period(day + 10, limit(32))])
    assert schedule(daily, duration_s=3 * day) == [(0, 6)]
    nights = profile(recurrency="Daily", duration_s=3600)
    assert schedule(nights, begins=-3600, duration_s=day + 3 * 3600) == [
        (0, None),
        (3600, 16),
        (7200, None),
        (3600 + day, 16),
        (7200 + day, None),
    ]


def test_a_weekly_profile_restarts_on_its_weekday() -> None:
    week = 7 * 24 * 3600
    weekly = profile(recurrency="Weekly", duration_s=10)
    assert schedule(weekly, begins=2 * week - 10, duration_s=60) == [(0, None), (10, 16), (20, None)]


# --- stacks ---


def test_the_highest_stack_level_prevails() -> None:
    assert schedule(profile(DEFAULT, 32, stack_level=1), profile(DEFAULT, 6)) == [(0, 32)]


def test_a_profile_that_is_over_or_not_valid_steps_aside_for_the_next_lower() -> None:
    """Errata 3.43"""
    base = profile(DEFAULT, 6)
    assert schedule(base, profile(DEFAULT, 32, stack_level=1, duration_s=20)) == [(0, 32), (20, 6)]
    assert schedule(base, profile(DEFAULT, 32, stack_level=1, valid_to=after(5))) == [(0, 32), (5, 6)]


def test_a_profile_without_duration_on_top_never_falls_back() -> None:
    """Errata 3.7"""
    top = profile(DEFAULT, 32, stack_level=1)
    assert schedule(profile(DEFAULT, 6), top, duration_s=365 * 24 * 3600) == [(0, 32)]


def test_a_transactions_profile_overrules_the_default_one() -> None:
    """§3.13.1, whatever their stack levels."""
    assert schedule(profile(DEFAULT, 6, stack_level=5), profile(TX, 32)) == [(0, 32)]
    assert schedule(profile(DEFAULT, 6), profile(TX, 32, duration_s=10)) == [(0, 32), (10, 6)]


def test_the_whole_charger_and_the_transaction_together_allow_the_least() -> None:
    """§3.13.3"""
    whole = profile(MAX, 20, 8, connector=0)
    assert schedule(whole, profile(TX, 16)) == [(0, 16), (10, 8)]
    assert schedule(whole) == [(0, 20), (10, 8)]


def test_a_default_for_all_connectors_is_replaced_at_the_one_that_has_its_own() -> None:
    """§3.13.1, per stack level; also while its own says nothing."""
    everywhere, here = profile(DEFAULT, 6, connector=0), profile(DEFAULT, 16, duration_s=10)
    assert schedule(everywhere, here) == [(0, 16), (10, None)]
    assert schedule(everywhere, here, connector_number=2) == [(0, 6)]
    assert schedule(profile(DEFAULT, 6, connector=0, stack_level=1), here) == [(0, 6)]


def test_another_connectors_profiles_do_not_count_here() -> None:
    assert schedule(profile(TX, 6, connector=2), profile(DEFAULT, 8, connector=2)) == [(0, None)]


def test_of_the_whole_charger_only_its_own_limit_is_known() -> None:
    whole, default = profile(MAX, 20, connector=0), profile(DEFAULT, 6, connector=0)
    assert schedule(whole, default, connector_number=0) == [(0, 20)]


# --- units ---


@pytest.mark.parametrize(
    ("given", "unit", "to", "becomes"),
    [
        (limit(16), "A", "W", limit("11040.0")),  # three phases where none are given (§7.12)
        (limit(16, 1), "A", "W", limit("3680.0", 1)),
        (limit(11000), "W", "A", limit("15.9")),  # never more than was allowed
        (limit(7400, 2), "W", "A", limit("16.0", 2)),
        (limit(16, 1), "A", "A", limit(16, 1)),
    ],
)
def test_amperes_per_phase_and_watts_in_all(given: Limit, unit: str, to: str, becomes: Limit) -> None:
    assert given.converted(unit, to) == becomes


def test_limits_in_different_units_are_compared_in_the_one_asked_for() -> None:
    whole = profile(MAX, 5000, connector=0, unit="W")
    mine = profile(TX, periods=[Period(0, limit(16, 1))])
    assert schedule(whole, mine, unit="W") == [(0, 3680)]
    assert composite([whole, mine], connector_number=1, unit="A", begins_at=NOON, duration_s=9) == [
        Period(0, Limit(Decimal("7.2"), 1))
    ]


# --- any ---

SPAN_S = 120
offsets = st.integers(-90, SPAN_S + 90) | st.floats(-90, SPAN_S, allow_nan=False)
moments = st.none() | offsets.map(after)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    recurrency = draw(st.sampled_from(["", "", "Daily", "Weekly"]))
    starts = sorted({0, *draw(st.lists(st.integers(1, 90), max_size=4))})
    start: datetime | None = after(draw(offsets)) if recurrency else draw(moments)
    if recurrency and start:  # in an earlier cycle, so that this span meets a restart
        start -= timedelta(days=draw(st.integers(0, 3)) * (7 if recurrency == "Weekly" else 1))
    purpose = draw(st.sampled_from([MAX, DEFAULT, TX]))
    limits = st.builds(
        Limit,
        st.integers(0, 400).map(lambda tenths: Decimal(tenths) / 10),
        st.sampled_from([None, 1, 3]),
    )
    return Profile(
        purpose=purpose,
        connector_number=0
        if purpose == MAX
        else draw(st.sampled_from([1, 2] if purpose == TX else [0, 1, 2])),
        unit=draw(st.sampled_from("AW")),
        periods=[Period(start_s, draw(limits)) for start_s in starts],
        stack_level=draw(st.integers(0, 3)),
        recurrency=recurrency,
        valid_from=draw(moments),
        valid_to=draw(moments),
        starts_at=start,
        duration_s=draw(st.none() | st.integers(1, 150)),
    )


def place(each: Profile) -> tuple[str, int, int]:
    return each.purpose, each.connector_number, each.stack_level


def at_second(stack: Sequence[Profile], at: datetime, unit: str, since: datetime) -> Limit | None:
    """As a person would: the book's rules one after the other, for this moment and connector 1."""

    def says(each: Profile) -> Limit | None:
        if each.valid_from is not None and each.valid_from > at:
            return None
        if each.valid_to is not None and each.valid_to <= at:
            return None
        begin = each.starts_at or since
        days = {"Daily": 1, "Weekly": 7}.get(each.recurrency)
        while days and begin + timedelta(days=days) <= at:
            begin += timedelta(days=days)
        if at < begin or (each.duration_s is not None and at >= begin + timedelta(seconds=each.duration_s)):
            return None
        found = None
        for period in each.periods:
            if begin + timedelta(seconds=period.start_s) <= at:
                found = period.limit
        if found is None or each.unit == unit:
            return found
        watts_per_ampere = 230 * (found.phases or 3)
        if unit == "W":
            return Limit(found.rate * watts_per_ampere, found.phases)
        tenths = int(found.rate * 10 / watts_per_ampere)
        return Limit(Decimal(tenths) / 10, found.phases)

    def prevailing(purpose: str) -> Limit | None:
        for level in (3, 2, 1, 0):
            here = [each for each in stack if (each.purpose, each.stack_level) == (purpose, level)]
            for number in (1, 0):
                if mine := [each for each in here if each.connector_number == number]:
                    if (said := says(mine[0])) is not None:
                        return said
                    break
        return None

    transaction = prevailing(TX)
    if transaction is None:
        transaction = prevailing(DEFAULT)
    both = [each for each in (prevailing(MAX), transaction) if each is not None]
    if not both:
        return None
    phases = [each.phases for each in both if each.phases]
    return Limit(min(each.rate for each in both), min(phases) if phases else None)


@given(
    st.lists(profiles(), max_size=6, unique_by=place),
    st.sampled_from("AW"),
    st.none() | offsets.map(after),
)
@example([profile(DEFAULT, 6, recurrency="Daily", starts_at=after(-86400.5), duration_s=3)], "A", None)
def test_any_second_of_the_schedule_is_as_reckoned_by_hand(
    stack: list[Profile], unit: str, since: datetime | None
) -> None:
    periods = composite(
        stack, connector_number=1, unit=unit, begins_at=NOON, duration_s=SPAN_S, charging_since=since
    )
    assert periods[0].start_s == 0
    assert all(0 < period.start_s < SPAN_S for period in periods[1:])
    assert all(one.limit != other.limit for one, other in pairwise(periods))
    for second in range(SPAN_S):
        holds = next(period.limit for period in reversed(periods) if period.start_s <= second)
        assert holds == at_second(stack, after(second), unit, since or NOON), second
