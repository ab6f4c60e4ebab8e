"""Smart charging of a simulated charger: stacked profiles, the limit that follows, and the answers about them.

The limits are pure functions of the profiles and a time (OCPP 1.6 §3.13); outlets ask for theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.ocpp.simulated_line import Answer, Payload, Refusal
from gateway.ocpp.simulated_operations import Operation, choice, status
from gateway.ocpp.simulated_outlet import VOLTAGE_V, Transaction
from gateway.ocpp.simulated_reservations import moment

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger

MAX, DEFAULT, TRANSACTION = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"
RECURRING = {"Daily": timedelta(days=1), "Weekly": timedelta(days=7)}
MOST_STACK_LEVEL, MOST_PROFILES, MOST_PERIODS = 9, 20, 24


@dataclass(frozen=True)
class Installed:
    """A profile where it was set; `transaction` for one that lives as long as that."""

    number: int
    profile: Payload
    transaction: Transaction | None = None

    @property
    def purpose(self) -> str:
        return str(self.profile["chargingProfilePurpose"])

    @property
    def level(self) -> int:
        return int(self.profile["stackLevel"])

    @property
    def schedule(self) -> Payload:
        schedule: Payload = self.profile["chargingSchedule"]
        return schedule

    def started_at(self, now: datetime, transaction_at: datetime | None) -> datetime | None:
        """When the present run of the schedule began; None where it has none yet."""
        kind = self.profile["chargingProfileKind"]
        if kind == "Relative" or "startSchedule" not in self.schedule:
            return transaction_at
        start = moment(self.schedule["startSchedule"])
        if kind == "Recurring":
            start += (
                (now - start)
                // RECURRING[self.profile.get("recurrencyKind", "Daily")]
                * RECURRING[self.profile.get("recurrencyKind", "Daily")]
            )
        return start

    def limit_w(self, now: datetime, transaction_at: datetime | None, phases: int) -> float | None:
        """What it allows at that time; None where it says nothing about it."""
        profile, schedule = self.profile, self.schedule
        if "validFrom" in profile and now < moment(profile["validFrom"]):
            return None
        if "validTo" in profile and now >= moment(profile["validTo"]):
            return None
        start = self.started_at(now, transaction_at)
        if start is None or now < start:
            return None
        elapsed_s = (now - start).total_seconds()
        if elapsed_s >= schedule.get("duration", float("inf")):
            return None
        begun = [p for p in schedule["chargingSchedulePeriod"] if p["startPeriod"] <= elapsed_s]
        if not begun:
            return None
        period = max(begun, key=lambda each: each["startPeriod"])
        if schedule["chargingRateUnit"] == "W":
            return float(period["limit"])
        return float(period["limit"]) * VOLTAGE_V * min(period.get("numberPhases", 3), phases)

    def turns(self, now: datetime, transaction_at: datetime | None) -> Iterator[datetime]:
        """Moments at which what it allows may change."""
        yield from (moment(self.profile[key]) for key in ("validFrom", "validTo") if key in self.profile)
        start = self.started_at(now, transaction_at)
        if start is None:
            return
        again = RECURRING[self.profile.get("recurrencyKind", "Daily")]
        runs = (start, start + again) if self.profile["chargingProfileKind"] == "Recurring" else (start,)
        for run in runs:
            for period in self.schedule["chargingSchedulePeriod"]:
                yield run + timedelta(seconds=period["startPeriod"])
            if "duration" in self.schedule:
                yield run + timedelta(seconds=self.schedule["duration"])


class Profiles:
    """All profiles of a charger."""

    def __init__(self) -> None:
        self.installed: list[Installed] = []

    def put(self, number: int, profile: Payload, transaction: Transaction | None = None) -> bool:
        """The same id, or the same level and purpose at the same place, is replaced (§5.16); False if full."""
        new = Installed(number, profile, transaction)
        others = [
            each
            for each in self.installed
            if each.profile["chargingProfileId"] != profile["chargingProfileId"]
            and (each.number, each.purpose, each.level) != (number, new.purpose, new.level)
        ]
        if len(others) >= MOST_PROFILES:
            return False
        self.installed = [*others, new]
        return True

    def clear(self, **wanted: Any) -> bool:
        """Remove the profiles that agree with everything wanted; False if there were none."""
        matching = [
            each
            for each in self.installed
            if all(wanted[name] in (None, value) for name, value in self._marks(each).items())
        ]
        self.installed = [each for each in self.installed if each not in matching]
        return bool(matching)

    def ended(self, transaction: Transaction) -> None:
        self.installed = [each for each in self.installed if each.transaction is not transaction]

    def limit_w(
        self, number: int, transaction: Transaction | None, phases: int, now: datetime
    ) -> float | None:
        """What a connector may draw: the transaction's own profile before the default, and never above the most."""
        transaction_at = transaction.began_at if transaction else None
        of_tx = [e for e in self.installed if e.transaction is not None and e.transaction is transaction]
        here = [e for e in self.installed if e.purpose == DEFAULT and e.number == number]
        default = [e for e in self.installed if e.purpose == DEFAULT and e.number == 0]
        most = [e for e in self.installed if e.purpose == MAX]
        own = next(
            (
                w
                for group in (of_tx, here, default)
                if (w := leading(group, now, transaction_at, phases)) is not None
            ),
            None,
        )
        limits = [w for w in (own, leading(most, now, transaction_at, phases)) if w is not None]
        return min(limits, default=None)

    def turns(self, now: datetime, until: datetime, transaction: Transaction | None) -> list[datetime]:
        """When limits may change between two moments, in order."""
        transaction_at = transaction.began_at if transaction else None
        moments = {turn for each in self.installed for turn in each.turns(now, transaction_at)}
        return sorted(turn for turn in moments if now < turn < until)

    def _marks(self, each: Installed) -> dict[str, object]:
        return {
            "profile_id": each.profile["chargingProfileId"],
            "number": each.number,
            "purpose": each.purpose,
            "level": each.level,
        }


def leading(
    group: list[Installed], now: datetime, transaction_at: datetime | None, phases: int
) -> float | None:
    """The limit of the highest level that says anything about now (§3.13.2)."""
    for each in sorted(group, key=lambda each: -each.level):
        if (limit := each.limit_w(now, transaction_at, phases)) is not None:
            return limit
    return None


# Answers


def set_charging_profile(charger: SimulatedCharger, payload: Payload) -> Answer:
    number, profile = payload["connectorId"], payload["csChargingProfiles"]
    purpose = checked(profile)
    belongs = {MAX: number == 0, DEFAULT: True, TRANSACTION: number != 0}[purpose]
    if not belongs or number not in (0, *charger.connectors):
        return status("Rejected")
    transaction = None
    if purpose == TRANSACTION:
        transaction = charger.connectors[number].transaction
        named = profile.get("transactionId")
        if transaction is None or named not in (None, transaction.transaction_id):
            return status("Rejected")  # only a running transaction can have one (§5.16)
    charger.count_energy()
    if not charger.profiles.put(number, profile, transaction):
        return status("Rejected")
    return status("Accepted", charger.obey_profiles)


def checked(profile: Payload) -> str:
    """The purpose of a profile that has all it must have; Refusal otherwise."""
    try:
        purpose = choice(profile["chargingProfilePurpose"], (MAX, DEFAULT, TRANSACTION))
        choice(profile["chargingProfileKind"], ("Absolute", "Recurring", "Relative"))
        schedule = profile["chargingSchedule"]
        choice(schedule["chargingRateUnit"], ("A", "W"))
        periods = schedule["chargingSchedulePeriod"]
        fits = 0 <= profile["stackLevel"] <= MOST_STACK_LEVEL and 0 < len(periods) <= MOST_PERIODS
        if not fits or periods[0]["startPeriod"] != 0 or any(p["limit"] < 0 for p in periods):
            raise Refusal("PropertyConstraintViolation", "stackLevel or chargingSchedulePeriod")
        int(profile["chargingProfileId"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal("FormationViolation", f"csChargingProfiles: {error!r}"[:255]) from error
    return purpose


def clear_charging_profile(charger: SimulatedCharger, payload: Payload) -> Answer:
    """An id says it all; without one, whatever agrees with the rest (§5.4)."""
    charger.count_energy()
    cleared = charger.profiles.clear(
        profile_id=payload.get("id"),
        number=None if "id" in payload else payload.get("connectorId"),
        purpose=None if "id" in payload else payload.get("chargingProfilePurpose"),
        level=None if "id" in payload else payload.get("stackLevel"),
    )
    return status("Accepted", charger.obey_profiles) if cleared else status("Unknown")


def get_composite_schedule(charger: SimulatedCharger, payload: Payload) -> Answer:
    """What is allowed from now on, for one connector or, as 0, for all of them together (§5.7)."""
    number, now = payload["connectorId"], datetime.now(UTC).replace(microsecond=0)
    unit = choice(payload.get("chargingRateUnit", "W"), ("A", "W"))
    if number and number not in charger.connectors:
        return status("Rejected")
    end = now + timedelta(seconds=payload["duration"])
    transaction = charger.connectors[number].transaction if number else None
    periods: list[Payload] = []
    for at in (now, *charger.profiles.turns(now, end, transaction)):
        limit = charger.allowed_w(number, at)
        if unit == "A":
            limit /= VOLTAGE_V * charger.phases
        period: Payload = {"startPeriod": round((at - now).total_seconds()), "limit": round(limit, 1)}
        if not periods or periods[-1]["limit"] != period["limit"]:
            periods.append(period)
    text = now.isoformat().replace("+00:00", "Z")
    schedule = {
        "duration": payload["duration"],
        "startSchedule": text,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods,
    }
    return Answer(
        {"status": "Accepted", "connectorId": number, "scheduleStart": text, "chargingSchedule": schedule}
    )


OPERATIONS = {
    "ClearChargingProfile": Operation(
        clear_charging_profile,
        {},
        {"id": int, "connectorId": int, "chargingProfilePurpose": str, "stackLevel": int},
    ),
    "GetCompositeSchedule": Operation(
        get_composite_schedule, {"connectorId": int, "duration": int}, {"chargingRateUnit": str}
    ),
    "SetChargingProfile": Operation(set_charging_profile, {"connectorId": int, "csChargingProfiles": dict}),
}
