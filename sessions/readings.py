"""The one shape of a meter reading, in Wh, W, A, V and %, and what can be told from readings. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from chargers.words import Words


class Reading(msgspec.Struct, kw_only=True, frozen=True):
    """What a meter showed at one moment; None where it did not say.

    `energy_wh` is the register (import, total since ever), not the session's share.
    `sampled_values` is what the charger sent, as JSON: as objects, those of all the readings that wait for their
    commit would not fit into the processor's caches.
    """

    measured_at: datetime
    received_at: datetime
    context: str = ""
    energy_wh: int | None = None
    power_w: float | None = None
    current_a: float | None = None
    voltage_v: float | None = None
    soc_percent: float | None = None
    sampled_values: bytes = b"null"


def newest(readings: Iterable[Reading]) -> Reading | None:
    """One reading with the newest known value of each quantity; chargers often spread them over several."""
    ordered = sorted(readings, key=lambda reading: reading.measured_at, reverse=True)
    if len(ordered) < 2:
        return ordered[0] if ordered else None

    def first(name: str) -> Any:
        return next((v for r in ordered if (v := getattr(r, name)) is not None), None)

    return msgspec.structs.replace(
        ordered[0],
        **{n: first(n) for n in ("energy_wh", "power_w", "current_a", "voltage_v", "soc_percent")},
    )


def energy_delivered_wh(*, meter_start_wh: int | None, register_wh: int | None) -> int | None:
    """The session's energy; None while either end is unknown, never negative."""
    if meter_start_wh is None or register_wh is None:
        return None
    return max(0, register_wh - meter_start_wh)


def seconds_to_full(
    *, first_soc: float | None, first_at: datetime | None, soc: float | None, at: datetime
) -> int | None:
    """Time until 100 % at the pace so far; None where the car's SoC is unknown or has not risen by 1 % yet."""
    if first_soc is None or first_at is None or soc is None or soc - first_soc < 1:
        return None
    return round((100 - soc) * (at - first_at).total_seconds() / (soc - first_soc))


def duration_display(seconds: int | None) -> str | None:
    """`2hr 15min`, `20 min`: as a person reads it."""
    if seconds is None:
        return None
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}hr {minutes}min" if hours else f"{minutes} min"


def span(seconds: int) -> Words:
    """The same, for readers of all languages."""
    hours, minutes = divmod(seconds // 60, 60)
    if hours:
        return Words("%(hours)shr %(minutes)smin", hours=hours, minutes=minutes)
    return Words("%(minutes)s min", minutes=minutes)


def kwh(energy_wh: int | None) -> float | None:
    return None if energy_wh is None else energy_wh / 1000
