"""A charging profile as a row, as OCPP's object and as what schedules.py reckons with; and what must hold of one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, NamedTuple

from chargers.models import Charger
from chargers.services import MAX_CONNECTORS
from sessions import schedules
from sessions.errors import InvalidProfile
from sessions.models import ChargingProfile

Kind = ChargingProfile.Kind

# What the columns hold; OCPP itself sets no bounds.
MAX_SECONDS = 2**31 - 1
MAX_STACK_LEVEL = 2**15 - 1
MAX_RATE = 10**8

_UNITS = {"current": "A", "a": "A", "power": "W", "w": "W"}


# --- there and back ---


def from_ocpp(charger: Charger, connector_number: Any, profile: Any) -> ChargingProfile:
    """The row, not saved, of what a client asks for in OCPP's words. Its id is not taken over: the row's key is the id.

    Raises InvalidProfile where it cannot be read; whether it makes sense is `check`'s to say.
    """
    try:
        schedule = profile["chargingSchedule"]
        return ChargingProfile(
            charger=charger,
            connector_number=int(connector_number),
            purpose=ChargingProfile.Purpose(profile["chargingProfilePurpose"]),
            stack_level=int(profile["stackLevel"]),
            kind=Kind(profile["chargingProfileKind"]),
            recurrency=ChargingProfile.Recurrency(recurs)
            if (recurs := profile.get("recurrencyKind"))
            else "",
            valid_from=_moment(profile.get("validFrom")),
            valid_to=_moment(profile.get("validTo")),
            starts_at=_moment(schedule.get("startSchedule")),
            duration_s=_whole(schedule.get("duration")),
            unit=ChargingProfile.Unit(schedule["chargingRateUnit"]),
            min_rate=_rate(schedule.get("minChargingRate")),
            periods=[_period(period) for period in schedule["chargingSchedulePeriod"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, InvalidOperation) as error:
        raise InvalidProfile("The charging profile could not be read", detail=str(error)) from error


def _period(period: dict[str, Any]) -> dict[str, Any]:
    read = {"start_s": int(period["startPeriod"]), "limit": float(period["limit"])}
    phases = _whole(period.get("numberPhases"))
    return read if phases is None else {**read, "phases": phases}


def _moment(text: str | None) -> datetime | None:
    """To the second: no charger keeps to less, and what is sent and what is stored are the same."""
    if text is None:
        return None
    at = datetime.fromisoformat(text).replace(microsecond=0)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _rate(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def as_ocpp(row: ChargingProfile) -> dict[str, Any]:
    """What is sent: `csChargingProfiles` of SetChargingProfile, `chargingProfile` of RemoteStartTransaction."""
    schedule = {
        "duration": row.duration_s,
        "startSchedule": _text(row.starts_at),
        "chargingRateUnit": row.unit,
        "chargingSchedulePeriod": [
            _given(startPeriod=period["start_s"], limit=period["limit"], numberPhases=period.get("phases"))
            for period in row.periods
        ],
        "minChargingRate": None if row.min_rate is None else float(row.min_rate),
    }
    return _given(
        chargingProfileId=row.pk,
        transactionId=row.session.transaction_id if row.session else None,
        stackLevel=row.stack_level,
        chargingProfilePurpose=row.purpose,
        chargingProfileKind=row.kind,
        recurrencyKind=row.recurrency or None,
        validFrom=_text(row.valid_from),
        validTo=_text(row.valid_to),
        chargingSchedule=_given(**schedule),
    )


def _text(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def as_profile(row: ChargingProfile) -> schedules.Profile:
    return schedules.Profile(
        purpose=row.purpose,
        connector_number=row.connector_number,
        unit=row.unit,
        periods=[
            schedules.Period(
                period["start_s"], schedules.Limit(Decimal(str(period["limit"])), period.get("phases"))
            )
            for period in row.periods
        ],
        stack_level=row.stack_level,
        recurrency=row.recurrency,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        starts_at=row.starts_at,
        duration_s=row.duration_s,
    )


# --- what must hold ---


class Capabilities(NamedTuple):
    """What a charger said it can take (OCPP 1.6 §9.4), as far as its configuration was read; None: it did not say."""

    max_stack_level: int | None
    max_periods: int | None
    max_installed: int | None
    units: frozenset[str]


def capabilities(charger: Charger) -> Capabilities:
    def number(key: str) -> int | None:
        text = str(charger.configuration.get(key, "")).strip()
        return int(text) if text.isdecimal() and len(text) < 10 else None

    words = (
        str(charger.configuration.get("ChargingScheduleAllowedChargingRateUnit", "")).casefold().split(",")
    )
    units = frozenset(_UNITS[word.strip()] for word in words if word.strip() in _UNITS)
    return Capabilities(
        max_stack_level=number("ChargeProfileMaxStackLevel"),
        max_periods=number("ChargingScheduleMaxPeriods"),
        max_installed=number("MaxChargingProfilesInstalled"),
        units=units or frozenset(ChargingProfile.Unit.values),
    )


def check(row: ChargingProfile) -> None:
    """Raise InvalidProfile with all that is wrong beyond what the schema sees, for any charger and for this one."""
    if problems := [*_senseless(row), *_bad_periods(row.periods), *_beyond(row, capabilities(row.charger))]:
        raise InvalidProfile(detail="; ".join(problems))


def _senseless(row: ChargingProfile) -> Iterator[str]:
    if not 0 <= row.connector_number <= MAX_CONNECTORS:
        yield f"the connector is not between 0 and {MAX_CONNECTORS}"
    if not 0 <= row.stack_level <= MAX_STACK_LEVEL:
        yield f"the stack level is not between 0 and {MAX_STACK_LEVEL}"
    if row.purpose == ChargingProfile.Purpose.CHARGE_POINT_MAX and row.connector_number != 0:
        yield "a ChargePointMaxProfile is for connector 0"
    if row.kind == Kind.RECURRING:
        if not row.recurrency:
            yield "a recurring profile needs a recurrencyKind"
        if row.starts_at is None:
            yield "a recurring profile needs a startSchedule: it restarts at the same time"
    elif row.recurrency:
        yield "only a recurring profile has a recurrencyKind"
    if row.kind == Kind.RELATIVE and row.starts_at is not None:
        yield "a relative profile has no startSchedule"
    if row.valid_from and row.valid_to and row.valid_from >= row.valid_to:
        yield "validFrom is not before validTo"
    if row.duration_s is not None and not 0 < row.duration_s <= MAX_SECONDS:
        yield f"the duration is not between 1 and {MAX_SECONDS} seconds"
    if row.min_rate is not None and not _sayable(row.min_rate):
        yield "minChargingRate is not a number from 0 on with at most one decimal"


def _bad_periods(periods: list[dict[str, Any]]) -> Iterator[str]:
    starts = [period["start_s"] for period in periods]
    if not starts or starts[0] != 0:
        yield "the first period does not start at 0"
    if any(later <= earlier for earlier, later in pairwise(starts)):
        yield "the periods' starts do not rise"
    if starts and starts[-1] > MAX_SECONDS:
        yield f"a period starts after {MAX_SECONDS} seconds"
    if not all(_sayable(Decimal(str(period["limit"]))) for period in periods):
        yield "a limit is not a number from 0 on with at most one decimal"
    if any(period.get("phases") not in (None, 1, 2, 3) for period in periods):
        yield "a period has other than 1, 2 or 3 phases"


def _sayable(rate: Decimal) -> bool:
    return rate.is_finite() and 0 <= rate <= MAX_RATE and rate == round(rate, 1)


def _beyond(row: ChargingProfile, can: Capabilities) -> Iterator[str]:
    if can.max_stack_level is not None and row.stack_level > can.max_stack_level:
        yield f"the charger's highest stack level is {can.max_stack_level}"
    if can.max_periods is not None and len(row.periods) > can.max_periods:
        yield f"the charger takes at most {can.max_periods} periods"
    if row.unit not in can.units:
        yield f"the charger wants limits in {' or '.join(sorted(can.units))}"
