"""Sampled values of any OCPP version → readings in Wh, W, A, V and %. Never fails: what is unknown is left out.

Rules (OCPP 1.6 §7.31, §7.43 and errata 3.16, 3.84; E37): a missing measurand is the import register, a missing
unit is Wh; k-units are scaled; values at the inlet and of the body are not the outlet's; a value without a
phase is the total, else phases L1–L3 (or L1-N …) are summed for energy, power and current, averaged for voltage.
A quirk's factor comes on top; with it a unit that we do not know is taken for the factor's own.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from chargers.clock import judged
from chargers.quirks import NONE, Quirks
from gateway.ocpp.times import parsed
from sessions.readings import Reading

ENERGY = "Energy.Active.Import.Register"

# measurand → (field, unit → factor, what a missing unit means, whether phases add up)
_MEASURANDS: dict[str, tuple[str, dict[str, float], str, bool]] = {
    ENERGY: ("energy_wh", {"Wh": 1, "kWh": 1000}, "Wh", True),
    "Power.Active.Import": ("power_w", {"W": 1, "kW": 1000, "VA": 1, "kVA": 1000}, "W", True),
    "Current.Import": ("current_a", {"A": 1}, "A", True),
    "Voltage": ("voltage_v", {"V": 1}, "V", False),
    "SoC": ("soc_percent", {"Percent": 1, "%": 1}, "Percent", False),
}
_OTHER_PLACES = {"Inlet", "Body"}
_PHASES = {"L1": "L1", "L2": "L2", "L3": "L3", "L1-N": "L1", "L2-N": "L2", "L3-N": "L3"}


def meaning(
    measurand: str, unit: str, phase: str, location: str
) -> tuple[str, float | None, str | None] | None:
    """(field, factor, conductor) of a sample; None for what no field is of.

    The factor of a unit that we do not know is None. The conductor is None for a total, "" for none that counts.
    """
    known = _MEASURANDS.get(measurand or ENERGY)
    if known is None or location in _OTHER_PLACES:
        return None
    field, factors, default_unit, _ = known
    return field, factors.get(unit or default_unit), _PHASES.get(phase, "") if phase else None


def _unnoticed(rule: str, detail: str) -> None:
    """Nobody asked for the broken rules."""


def readings_from(
    meter_values: Any,
    *,
    received_at: datetime,
    quirks: Quirks = NONE,
    breach: Callable[[str, str], object] = _unnoticed,
) -> list[Reading]:
    """The readings of a `meterValue` list; some chargers send a single object instead of a list.

    `breach` hears of the rules that are broken: their codes, and what happened in words.
    """
    if isinstance(meter_values, dict):
        meter_values = [meter_values]
    if not isinstance(meter_values, list):
        return []
    return [
        reading
        for value in meter_values
        if isinstance(value, dict) and (reading := _reading(value, received_at, quirks, breach)) is not None
    ]


def _reading(
    meter_value: dict[str, Any], received_at: datetime, quirks: Quirks, breach: Callable[[str, str], object]
) -> Reading | None:
    samples = meter_value.get("sampledValue")
    if isinstance(samples, dict):
        samples = [samples]
    if not isinstance(samples, list) or not samples:
        return None
    totals: dict[str, float] = {}
    phases: dict[str, dict[str, float]] = {}
    context = ""
    for sample in samples:
        if not isinstance(sample, dict):
            continue
        context = context or str(sample.get("context") or "")
        unit = sample.get("unit")
        try:
            if sample.get("format") == "SignedData":
                continue
            meant = meaning(sample.get("measurand"), unit, sample.get("phase"), sample.get("location"))  # type: ignore[arg-type]
        except TypeError:  # a list or an object where a word belongs
            continue
        if meant is None:
            continue
        field, factor, conductor = meant
        if factor is None:
            factor = _factor_of_unknown(field, unit, quirks, breach)
        number = _number(sample.get("value"))
        if factor is None or number is None:
            continue
        if conductor is None:
            totals.setdefault(field, number * factor)
        elif conductor:
            phases.setdefault(field, {})[conductor] = number * factor
    fields = combined(totals, phases)
    if quirks.scales:
        _scale(fields, quirks)
    if "energy_wh" in fields:
        fields["energy_wh"] = round(fields["energy_wh"])
    measured_at = parsed(
        meter_value.get("timestamp"),
        zone=quirks.zone,
        on_zoneless=lambda: breach("timezone_missing", "A reading's time has no zone"),
    )
    return Reading(
        measured_at=judged(measured_at, received_at=received_at),
        received_at=received_at,
        context=context,
        sampled_values=_kept(meter_value),
        **fields,
    )


def _factor_of_unknown(
    field: str, unit: Any, quirks: Quirks, breach: Callable[[str, str], object]
) -> float | None:
    """A unit that we do not know is a breach; with a profile that scales the quantity it is the factor's own unit."""
    rule = {"energy_wh": "energy_unit_unknown", "power_w": "power_unit_unknown"}.get(field, "unit_unknown")
    breach(rule, f"The unit {str(unit)[:40]!r}")
    scaled = {"energy_wh": quirks.energy_factor, "power_w": quirks.power_factor}.get(field, 1)
    return None if scaled == 1 else 1


def _scale(fields: dict[str, Any], quirks: Quirks) -> None:
    for name, factor in (("energy_wh", quirks.energy_factor), ("power_w", quirks.power_factor)):
        if name in fields and (scaled := _number(fields[name] * factor)) is not None:
            fields[name] = scaled
        else:
            fields.pop(name, None)


def _kept(meter_value: dict[str, Any]) -> bytes:
    """What came, as JSON. orjson reads deeper nesting than it writes; that much of it is no reading, the rest is."""
    try:
        return orjson.dumps(meter_value)
    except orjson.JSONEncodeError:
        return b'{"omitted": "nested too deeply to be kept"}'


def combined(totals: dict[str, float], phases: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Each field's value: the total as told, else of its phases."""
    fields: dict[str, Any] = dict(totals)
    for field, by_phase in phases.items():
        if field not in fields:
            total = sum(by_phase.values())
            fields[field] = total if _SUMMED[field] else total / len(by_phase)
    return fields


_SUMMED = {field: adds_up for field, _, _, adds_up in _MEASURANDS.values()}


def _number(value: Any) -> float | None:
    """A finite number, of a sane size, from a number or its text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if -1e15 < number < 1e15 else None
