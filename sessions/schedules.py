"""What limit holds when: charging profiles stacked and combined into one schedule (OCPP 1.6 §3.13). Pure.

Where the specification leaves a choice:
- A profile whose schedule says nothing at a moment (not begun, or over) steps aside for the next lower stack level
  (errata 3.43), and where no TxProfile says anything TxDefaultProfiles do.
- A connector's own TxDefaultProfile stands for the whole charger's of the same stack level, whatever it says.
- What has no start of its own counts from the start of charging; where nothing charges, as if it began then.
- Watts are the total, amperes are per phase: W = A × 230 V × phases, 3 phases where none are given (§7.12).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from itertools import groupby
from math import ceil
from typing import NamedTuple

CHARGE_POINT_MAX, TX_DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"
CYCLES = {"Daily": timedelta(days=1), "Weekly": timedelta(days=7)}
LINE_VOLTAGE_V = 230
USUAL_PHASES = 3
_TENTH = Decimal("0.1")


class Limit(NamedTuple):
    """So much and no more: `rate` in the schedule's unit, at most one decimal."""

    rate: Decimal
    phases: int | None = None

    def converted(self, unit: str, to: str) -> "Limit":
        """In the other unit, rounded down to what OCPP can say."""
        if unit == to:
            return self
        factor = LINE_VOLTAGE_V * (self.phases or USUAL_PHASES)
        rate = self.rate * factor if to == "W" else self.rate / factor
        return self._replace(rate=rate.quantize(_TENTH, ROUND_DOWN))


class Period(NamedTuple):
    """From `start_s` seconds after the schedule's begin until the next period; None is no limit."""

    start_s: int
    limit: Limit | None


class Profile(NamedTuple):
    """A charging profile with its one schedule. `recurrency` is empty unless it recurs."""

    purpose: str
    connector_number: int
    unit: str
    periods: Sequence[Period]
    stack_level: int = 0
    recurrency: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    starts_at: datetime | None = None
    duration_s: int | None = None

    def limit_at(self, at: datetime, *, charging_since: datetime) -> Limit | None:
        """What it says at this moment; None if nothing."""
        if (self.valid_from and at < self.valid_from) or (self.valid_to and at >= self.valid_to):
            return None
        elapsed = at - (self.starts_at or charging_since)
        if elapsed < timedelta(0):
            return None
        if self.recurrency:
            elapsed %= CYCLES[self.recurrency]
        elapsed_s = elapsed.total_seconds()
        if self.duration_s is not None and elapsed_s >= self.duration_s:
            return None
        begun = [period for period in self.periods if period.start_s <= elapsed_s]
        return begun[-1].limit if begun else None

    def changes(
        self, begins_at: datetime, ends_at: datetime, *, charging_since: datetime
    ) -> Iterator[datetime]:
        """All moments of this span, and perhaps some others, at which what it says may change."""
        yield from (at for at in (self.valid_from, self.valid_to) if at)
        offsets = [timedelta(seconds=period.start_s) for period in self.periods]
        if self.duration_s is not None:
            offsets.append(timedelta(seconds=self.duration_s))
        start = self.starts_at or charging_since
        cycle = CYCLES.get(self.recurrency)
        if cycle and begins_at > start:
            start += (begins_at - start) // cycle * cycle
        while True:
            # A date beyond the calendar's end is beyond this span too.
            yield from (start + offset for offset in offsets if offset < ends_at - start)
            if cycle is None or start + cycle >= ends_at:
                return
            start += cycle


def composite(
    profiles: Iterable[Profile],
    *,
    connector_number: int,
    unit: str,
    begins_at: datetime,
    duration_s: int,
    charging_since: datetime | None = None,
) -> list[Period]:
    """What a connector may take from `begins_at` on, for so many seconds, exact at each second.

    Of the whole charger (connector 0) only what is set for it as a whole: what its connectors make of their
    own limits depends on who charges.
    """
    relevant = _relevant(profiles, connector_number)
    since = charging_since or begins_at
    ends_at = begins_at + timedelta(seconds=duration_s)
    moments = {at for profile in relevant for at in profile.changes(begins_at, ends_at, charging_since=since)}
    seconds = {0} | {ceil((at - begins_at).total_seconds()) for at in moments if begins_at < at < ends_at}
    periods = [
        Period(second, _limit(relevant, unit, begins_at + timedelta(seconds=second), since))
        for second in sorted(seconds)
        if second < duration_s
    ]
    return [next(same) for _, same in groupby(periods, key=lambda period: period.limit)]


def _relevant(profiles: Iterable[Profile], connector_number: int) -> list[Profile]:
    """What counts at this connector, the highest stack level first."""
    profiles = list(profiles)
    own = [profile for profile in profiles if profile.connector_number == connector_number]
    shared = [profile for profile in profiles if profile.connector_number == 0 and connector_number != 0]
    if connector_number == 0:
        own = [profile for profile in own if profile.purpose == CHARGE_POINT_MAX]
    replaced = {profile.stack_level for profile in own if profile.purpose == TX_DEFAULT}
    shared = [
        profile for profile in shared if profile.purpose != TX_DEFAULT or profile.stack_level not in replaced
    ]
    return sorted([*own, *shared], key=lambda profile: -profile.stack_level)


def _limit(profiles: Sequence[Profile], unit: str, at: datetime, charging_since: datetime) -> Limit | None:
    """The least of what the charger as a whole and the transaction may take."""

    def said(purpose: str) -> Limit | None:
        for profile in profiles:
            if profile.purpose == purpose:
                if limit := profile.limit_at(at, charging_since=charging_since):
                    return limit.converted(profile.unit, unit)
        return None

    limits = [limit for limit in (said(CHARGE_POINT_MAX), said(TX) or said(TX_DEFAULT)) if limit]
    if not limits:
        return None
    phases = [limit.phases for limit in limits if limit.phases is not None]
    return Limit(min(limit.rate for limit in limits), min(phases, default=None))
