"""Which readings of an ended session are enough: for its totals, and to see its course. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from sessions.totals import Limit, Register

QUANTITIES = ("energy_wh", "power_w", "current_a", "voltage_v", "soc_percent")
# What chargers send all the time; any other context marks a moment, such as the begin, the end or an interruption.
_PERIODIC = frozenset({"", "Sample.Periodic", "Sample.Clock"})


class Point(NamedTuple):
    """What counts of a stored reading."""

    pk: int
    measured_at: datetime
    context: str
    is_suspect: bool
    energy_wh: int | None
    power_w: float | None
    current_a: float | None
    voltage_v: float | None
    soc_percent: float | None


def kept(points: Sequence[Point], *, limit: Limit, every: timedelta) -> set[int]:
    """The keys of those to keep, of points in order of time.

    The first and the last two of each quantity, one of each in `every`, what marks a moment, what is suspect, and both
    sides of every fall of the register and of every rise that cannot be.
    """
    return {
        *(point.pk for point in points if point.is_suspect or point.context not in _PERIODIC),
        *(
            pk
            for name in QUANTITIES
            for pk in _samples([p for p in points if getattr(p, name) is not None], every)
        ),
        *_turns([point for point in points if point.energy_wh is not None], limit),
        *(point.pk for point in (*points[:1], *points[-1:])),
    }


def _samples(points: Sequence[Point], every: timedelta) -> Iterator[int]:
    last_at: datetime | None = None
    for point in points[:-2]:
        if last_at is None or point.measured_at - last_at >= every:
            last_at = point.measured_at
            yield point.pk
    yield from (point.pk for point in points[-2:])


def _turns(points: Sequence[Point], limit: Limit) -> Iterator[int]:
    """Registers that do not simply go on from one to the next; and the one after, which says what became of it."""
    for number, (before, after) in enumerate(pairwise(points)):
        if _is_plain(before, after, limit):
            continue
        yield from (point.pk for point in points[number : number + 3])


def _is_plain(before: Point, after: Point, limit: Limit) -> bool:
    assert (
        before.energy_wh is not None and after.energy_wh is not None
    )  # only those with a register are compared
    first, second = (Register(point.measured_at, point.energy_wh or 0) for point in (before, after))
    return first.wh <= second.wh and limit.allows(first, second)
