"""MeterValues as nearly every charger sends them, at half the price: typed, straight from the frame's text.

Whatever is unusual in a message (an unknown field or word, a number that is none, a time without zone) is for
gateway.ocpp.sampled_values, which reads anything; what is read here is read there the same.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from chargers.clock import judged
from gateway.ocpp.sampled_values import combined, meaning
from gateway.ocpp.times import parsed
from sessions.readings import Reading

# Words of a closed list are decoded to one string each, whose hash is known: the rest of the cost is in that.
Context = Literal[
    "",
    "Interruption.Begin",
    "Interruption.End",
    "Other",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
]
Measurand = Literal[
    "Current.Export",
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Export.Interval",
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Interval",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Import.Register",
    "Frequency",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "RPM",
    "SoC",
    "Temperature",
    "Voltage",
]
Phase = Literal["", "L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
Unit = Literal[
    "",
    "%",
    "A",
    "Celcius",
    "Celsius",
    "Fahrenheit",
    "K",
    "Percent",
    "V",
    "VA",
    "W",
    "Wh",
    "kVA",
    "kW",
    "kWh",
    "kvar",
    "kvarh",
    "var",
    "varh",
]


class SampledValue(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    value: str
    measurand: Measurand = "Energy.Active.Import.Register"
    context: Context = ""
    format: Literal["", "Raw"] = ""  # signed data is no number
    phase: Phase = ""
    location: Literal["", "Body", "Cable", "EV", "Inlet", "Outlet"] = ""
    unit: Unit = ""


class MeterValue(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    timestamp: str
    sampledValue: list[SampledValue]


class MeterValues(msgspec.Struct, forbid_unknown_fields=True):
    """The payload of a MeterValues. Its values stay as they came: so they are stored."""

    connectorId: int
    meterValue: list[msgspec.Raw]
    transactionId: int | None = None


read = msgspec.json.Decoder(MeterValues).decode
"""The payload from its JSON. Raises msgspec.DecodeError or RecursionError where it is not that plain."""

_value = msgspec.json.Decoder(MeterValue).decode


class Unusual(Exception):
    """Something for the way for everything."""


def plain_readings(values: list[msgspec.Raw], *, received_at: datetime) -> list[Reading] | None:
    """The readings; None where anything is unusual."""
    try:
        readings = [_reading(raw, received_at) for raw in values]
    except (msgspec.DecodeError, ValueError, Unusual):  # ValueError is of `float`
        return None
    return readings


_meanings: dict[tuple[str, ...], Any] = {}


def _unusual() -> None:
    raise Unusual


def _reading(raw: msgspec.Raw, received_at: datetime) -> Reading:
    value = _value(raw)
    if not value.sampledValue:
        raise Unusual
    totals: dict[str, float] = {}
    phases: dict[str, dict[str, float]] = {}
    context: str = ""
    for sample in value.sampledValue:
        context = context or sample.context
        kind = (sample.measurand, sample.unit, sample.phase, sample.location)
        try:
            meant = _meanings[kind]
        except KeyError:  # at most as many as the lists above allow
            meant = _meanings[kind] = meaning(*kind)
        if meant is None:
            continue
        field, factor, conductor = meant
        number = float(sample.value)
        if factor is None or not -1e15 < number < 1e15:
            raise Unusual
        if conductor is None:
            totals.setdefault(field, number * factor)
        elif conductor:
            phases.setdefault(field, {})[conductor] = number * factor
    measured_at = parsed(value.timestamp, on_zoneless=_unusual)
    fields = combined(totals, phases)
    if "energy_wh" in fields:
        fields["energy_wh"] = round(fields["energy_wh"])
    return Reading(
        measured_at=judged(measured_at, received_at=received_at),
        received_at=received_at,
        context=context,
        sampled_values=bytes(raw),
        **fields,
    )
