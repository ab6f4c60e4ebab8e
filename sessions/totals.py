"""Energy, end and cost of an ended session from its stored facts. Pure: the same facts give the same totals, always.

A register only rises, and no faster than the most a connector can deliver (E38). Where the register at the stop
keeps to that it settles the energy; where it does not, the readings do, as far as they agree with one another.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from sessions import pricing
from sessions.pricing import Price

# Two registers of one charger may be rounded differently; this much backwards is no fault.
ROUNDING_WH = 100
# What a column of money can hold; beyond it the energy was nonsense.
MAX_COST = Decimal(10) ** 9


class Register(NamedTuple):
    """What the meter's register showed at one moment."""

    at: datetime
    wh: int


class Limit(NamedTuple):
    """The most a connector delivers, and how far apart two times of its clock may be from what they say."""

    power_w: float
    slack: timedelta

    def allows(self, before: Register, after: Register) -> bool:
        """Whether a register can have gone from one value to the other."""
        seconds = (max(after.at - before.at, timedelta(0)) + self.slack).total_seconds()
        return -ROUNDING_WH <= after.wh - before.wh <= self.power_w * seconds / 3600


class Verdict(NamedTuple):
    """What a person decided; None where the facts still count. A voided session owes nothing."""

    energy_wh: int | None = None
    cost: Decimal | None = None
    stopped_at: datetime | None = None
    is_void: bool = False


class Settled(NamedTuple):
    """What the readings came to, before they were deleted."""

    energy_wh: int | None


class Facts(NamedTuple):
    """All that the totals are made of. `stop_at` None: its end was never told, `last_seen_at` is the last of it.

    `registers` are those of its readings, in order of time; `settled` stands for them where they are kept no more.
    """

    price: Price | None
    started_at: datetime | None
    meter_start_wh: int | None
    stop_at: datetime | None
    meter_stop_wh: int | None
    registers: Sequence[Register]
    last_seen_at: datetime
    limit: Limit
    verdict: Verdict = Verdict()
    settled: Settled | None = None


class Doubt(NamedTuple):
    """A flag, and why, in words; `upshot` is what it comes to by what is known so far."""

    flag: str
    reason: str
    upshot: str = ""


class Totals(NamedTuple):
    energy_wh: int | None
    stopped_at: datetime
    cost: Decimal | None
    doubts: tuple[Doubt, ...] = ()


def totals(facts: Facts) -> Totals:
    """What the session came to. What a person decided comes before what was reckoned."""
    stopped_at, clock = _end(facts)
    energy_wh, suspect = _energy(facts, stopped_at)
    verdict = facts.verdict
    if verdict.stopped_at is not None:
        stopped_at = verdict.stopped_at
    if verdict.energy_wh is not None:
        energy_wh = verdict.energy_wh
    cost = _cost(facts, energy_wh, stopped_at)
    return Totals(energy_wh, stopped_at, cost, tuple(doubt for doubt in (clock, suspect) if doubt))


def _end(facts: Facts) -> tuple[datetime, Doubt | None]:
    end = facts.stop_at or facts.last_seen_at
    if facts.started_at is None or end >= facts.started_at:
        return end, None
    if facts.stop_at is None:
        return facts.started_at, None
    told = f"It stopped at {_moment(end)}, before it started at {_moment(facts.started_at)}"
    return facts.started_at, Doubt("clock", f"{told}; it counts as ended when it started")


def _cost(facts: Facts, energy_wh: int | None, stopped_at: datetime) -> Decimal | None:
    if facts.verdict.is_void:
        return Decimal(0) if facts.price else None
    if facts.verdict.cost is not None:
        return facts.verdict.cost
    seconds = round((stopped_at - facts.started_at).total_seconds()) if facts.started_at else 0
    cost = pricing.cost(facts.price, energy_wh=energy_wh, duration_s=max(0, seconds))
    return cost if cost is None or cost < MAX_COST else None


def _energy(facts: Facts, stopped_at: datetime) -> tuple[int | None, Doubt | None]:
    if facts.settled is not None:
        return facts.settled.energy_wh, None
    start, stop = facts.meter_start_wh, facts.meter_stop_wh
    registers = list(facts.registers)
    if start is not None:
        registers.insert(0, Register(facts.started_at or stopped_at, start))
    if facts.stop_at is None:
        return _risen(registers, facts.limit).wh, None
    if stop is None:
        risen = _risen(registers, facts.limit)
        return risen.wh, Doubt("suspect", "The stop has no register", _by_readings(risen.wh))
    ending = Register(stopped_at, stop)
    registers.append(ending)
    risen = _risen(registers, facts.limit)
    if start is None:  # its beginning was never told, which is flagged already
        return risen.wh, None
    if risen.is_unbroken or _is_plain(registers[0], ending, facts):
        return max(0, stop - start), None
    return risen.wh, Doubt("suspect", _why(registers[0], ending, facts), _by_readings(risen.wh))


def _is_plain(start: Register, stop: Register, facts: Facts) -> bool:
    """Whether the stop's register fits the start's, though a reading between them did not."""
    return facts.limit.allows(start, stop) and not _is_below_the_last(stop, start, facts)


def _is_below_the_last(stop: Register, start: Register, facts: Facts) -> bool:
    """Whether the last possible readings, two where there are two, had counted further than the stop says."""
    possible = [each.wh for each in facts.registers if facts.limit.allows(start, each) and each.at <= stop.at]
    return bool(possible) and min(possible[-2:]) > stop.wh + ROUNDING_WH


def _why(start: Register, stop: Register, facts: Facts) -> str:
    if stop.wh < start.wh:
        return f"The register fell from {_kwh(start.wh)} at the start to {_kwh(stop.wh)} at the stop"
    if not facts.limit.allows(start, stop):
        span = f"from {_kwh(start.wh)} to {_kwh(stop.wh)} in {_span(stop.at - start.at)}"
        return f"The register rose {span}, more than {facts.limit.power_w / 1000:g} kW can deliver"
    return f"The stop's register, {_kwh(stop.wh)}, is below what the last readings showed"


def _by_readings(energy_wh: int | None) -> str:
    return "no readings tell the energy" if energy_wh is None else f"the readings support {_kwh(energy_wh)}"


class _Risen(NamedTuple):
    """`wh` is None where no two registers agree; `is_unbroken`: the last one continues the first one's series."""

    wh: int | None
    is_unbroken: bool


def _risen(registers: Iterable[Register], limit: Limit) -> _Risen:
    """How far the register rose, by all that agree with one another.

    One that cannot follow the last good one stands alone and is passed over, until a second agrees with it: then
    the meter was reset, or another put in, or what seemed good was the fault. A series left is remembered: when the
    register comes back to it, it goes on from there.
    """
    counted, agreed = _Counted(), 0
    left: list[Register] = []
    good: Register | None = None
    odd: Register | None = None
    for register in registers:
        if good is None:
            good = register
            continue
        if limit.allows(good, register):
            counted.add(good.wh, register.wh)
            good = Register(max(good.at, register.at), max(good.wh, register.wh))
            odd, agreed = None, agreed + 1
        elif odd is not None and limit.allows(odd, register):
            left = [*left, good][-4:]
            if _was_reset(odd, left, limit):
                counted.begin_at_zero()
                counted.add(0, odd.wh)
            else:
                counted.add(_base(odd, left, limit), odd.wh)
            counted.add(odd.wh, register.wh)
            good, odd, agreed = Register(register.at, max(odd.wh, register.wh)), None, agreed + 1
        else:
            odd = register
    return _Risen(counted.total_wh if agreed else None, not left and odd is None)


class _Counted:
    """What the register went through, each watt-hour once: where a clock was set back, one stretch is told again among
    the times of another."""

    def __init__(self) -> None:
        self.before_reset = 0
        self.stretches: list[tuple[int, int]] = []

    def add(self, start_wh: int, end_wh: int) -> None:
        if end_wh <= start_wh:
            return
        if self.stretches and self.stretches[-1][1] == start_wh:
            start_wh = self.stretches.pop()[0]
        self.stretches.append((start_wh, end_wh))

    def begin_at_zero(self) -> None:
        """From now on the same numbers are other watt-hours."""
        self.before_reset = self.total_wh
        self.stretches = []

    @property
    def total_wh(self) -> int:
        total, covered = self.before_reset, -1
        for start_wh, end_wh in sorted(self.stretches):
            total += max(0, end_wh - max(start_wh, covered))
            covered = max(covered, end_wh)
        return total


def _base(odd: Register, left: Sequence[Register], limit: Limit) -> int:
    """From where a series counts that began in the midst: a series left before, or itself."""
    return next((end.wh for end in reversed(left) if limit.allows(end, odd)), odd.wh)


def _was_reset(odd: Register, left: Sequence[Register], limit: Limit) -> bool:
    """Whether it counts from zero: it is lower, goes on from none of those before, and fits a beginning at zero."""
    if any(limit.allows(end, odd) for end in left):
        return False
    return odd.wh < left[-1].wh and limit.allows(Register(left[-1].at, 0), odd)


def _kwh(wh: int) -> str:
    return f"{wh / 1000:.3f} kWh"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: timedelta) -> str:
    return str(timedelta(seconds=max(0, round(span.total_seconds()))))
