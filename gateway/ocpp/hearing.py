"""What a charger says, read with its quirks in mind: times, tags, registers. Rules that it breaks are noted.

Never fails: what means nothing is None, or empty.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from chargers.quirks import NONE, Quirks
from gateway.ocpp.plain_values import plain_readings
from gateway.ocpp.rpc import CallError, Rpc
from gateway.ocpp.sampled_values import readings_from
from gateway.ocpp.times import parsed
from sessions.metering import Metered
from sessions.readings import Reading
from sessions.registers import lifted

MAX_TEXT, RIGHTFUL_TAG = 64, 20


class Hearing:
    """One connection's. `quirks` may change when the charger has said what it is."""

    def __init__(self, rpc: Rpc, quirks: Quirks = NONE) -> None:
        self.rpc, self.quirks = rpc, quirks
        self._stopped_at_wh: dict[int, int] = {}
        self._running: dict[int, int] = {}  # transaction → connector

    def time(self, value: Any) -> datetime | None:
        return parsed(value, zone=self.quirks.zone, on_zoneless=self._zoneless)

    def _zoneless(self) -> None:
        self.rpc.breach("timezone_missing", "A time has no zone; UTC was taken, or that of its profile")

    def tag(self, value: Any) -> str:
        """An id tag, cut where the rubbish begins. Padding and case are for sessions.id_tags (E40)."""
        tag = text(value)
        if not tag:
            return ""
        if not tag.isprintable():
            self.rpc.breach("id_tag_rubbish", f"The id tag {tag!r} has characters that cannot be printed")
        elif len(tag) > RIGHTFUL_TAG:
            self.rpc.breach("id_tag_too_long", f"The id tag {tag!r} has {len(tag)} characters")
        kept = tag
        for character in self.quirks.id_tag_trim:
            kept = kept.partition(character)[0]
        return kept or tag

    def energy(self, value: Any) -> int | None:
        """A register in Wh."""
        return integer(value, times=self.quirks.energy_factor)

    def readings(self, meter_values: Any, *, received_at: datetime) -> list[Reading]:
        return readings_from(
            meter_values, received_at=received_at, quirks=self.quirks, breach=self.rpc.breach
        )

    def usual_readings(self, values: list[msgspec.Raw], *, received_at: datetime) -> list[Reading] | None:
        """The readings of values that look as they should; None of others."""
        is_usual = not self.quirks.scales and self.quirks.zone is UTC
        return plain_readings(values, received_at=received_at) if is_usual else None

    def plain_readings(self, values: list[msgspec.Raw], *, received_at: datetime) -> list[Reading]:
        """The readings of values that look as they should; those that do not are read as any others."""
        readings = self.usual_readings(values, received_at=received_at)
        if readings is not None:
            return readings
        try:
            return self.readings([orjson.loads(bytes(value)) for value in values], received_at=received_at)
        except orjson.JSONDecodeError as error:  # deeper than it reads
            raise CallError("FormationViolation", "Not JSON") from error

    def of_session(self, readings: list[Reading], metered: Metered, *, is_first: bool) -> list[Reading]:
        """The readings on the register that the session began with; `is_first` of what is heard of it here."""
        start_wh = metered.meter_start_wh if metered.session_id is not None else None
        if not start_wh:
            return readings
        if self.quirks.counts_per_session:
            return lifted(readings, start_wh)
        if is_first and any(each.energy_wh is not None and each.energy_wh < start_wh for each in readings):
            self.rpc.breach("register_per_session", f"A register is below the {start_wh} Wh of the start")
        return readings

    # --- where each transaction's register begins ---

    def began(self, connector: int | None, transaction_id: int | None, meter_start_wh: int | None) -> None:
        """A transaction started: a register at 0 after one that ended above it begins anew each time."""
        if connector is None or transaction_id is None:
            return
        self._running[transaction_id] = connector
        before = self._stopped_at_wh.get(connector, 0)
        if meter_start_wh == 0 and before > 0:
            self.rpc.breach("register_per_session", f"A start at 0 Wh, after a stop at {before} Wh")

    def ended(self, transaction_id: int | None, meter_stop_wh: int | None) -> None:
        connector = self._running.pop(transaction_id or 0, None)
        if connector is not None and meter_stop_wh is not None:
            self._stopped_at_wh[connector] = meter_stop_wh


def integer(value: Any, *, times: float = 1) -> int | None:
    """A whole number from a number or its text; None from anything else."""
    try:
        number = round(float(value) * times)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 2**62 else None


def text(value: Any) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""
