"""What habits make of a message that a simulated charger sends: pure, a payload in and another one out."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Any

from gateway.ocpp.simulated_faults import Faults
from gateway.ocpp.simulated_line import Payload

ENERGY = "Energy.Active.Import.Register"
LOCAL = timezone(timedelta(hours=5, minutes=30))


def with_habits(faults: Faults, action: str, payload: Payload) -> Payload | None:
    """The payload as this charger sends it."""
    for name, change in HABITS.items():
        if faults.has(name):
            payload = change(action, deepcopy(payload))
    return None if not payload and faults.has("null_payload") else payload


def samples(payload: Payload) -> Iterator[dict[str, Any]]:
    for name in ("meterValue", "transactionData"):
        for value in payload.get(name, []):
            yield from value["sampledValue"]


def change_times(payload: Any, change: Callable[[datetime], str]) -> Any:
    if isinstance(payload, list):
        return [change_times(each, change) for each in payload]
    if not isinstance(payload, dict):
        return payload
    return {
        name: change(datetime.fromisoformat(value)) if name == "timestamp" else change_times(value, change)
        for name, value in payload.items()
    }


def kwh(action: str, payload: Payload) -> Payload:
    for sample in samples(payload):
        if sample["measurand"] == ENERGY:
            sample |= {"value": f"{int(sample['value']) / 1000:.3f}", "unit": "kWh"}
    return payload


def kwh_without_unit(action: str, payload: Payload) -> Payload:
    for sample in samples(payload):
        if sample["measurand"] == ENERGY and sample.get("unit") == "Wh":
            sample["value"] = f"{int(sample['value']) / 1000:.3f}"
            del sample["unit"]
    return payload


def padded_tags(action: str, payload: Payload) -> Payload:
    return payload | ({"idTag": payload["idTag"] + " \u0000\u0003"} if "idTag" in payload else {})


def other_case(action: str, payload: Payload) -> Payload:
    return payload | ({"idTag": payload["idTag"].lower()} if "idTag" in payload else {})


def no_zone(action: str, payload: Payload) -> Payload:
    changed: Payload = change_times(
        payload, lambda at: at.replace(tzinfo=None).isoformat(timespec="milliseconds")
    )
    return changed


def local_zone(action: str, payload: Payload) -> Payload:
    changed: Payload = change_times(
        payload, lambda at: at.astimezone(LOCAL).isoformat(timespec="microseconds")
    )
    return changed


def odd_measurands(action: str, payload: Payload) -> Payload:
    for value in payload.get("meterValue", []):
        value["sampledValue"].append({"value": "50.0", "measurand": "Frequency", "unit": "Hz"})
        value["sampledValue"].append({"value": "", "measurand": "RPM.Fan"})
    if "meterValue" in payload:
        payload["meterValue"].append({"timestamp": payload["meterValue"][0]["timestamp"], "sampledValue": []})
    return payload


def one_meter_value(action: str, payload: Payload) -> Payload:
    if payload.get("meterValue"):
        payload["meterValue"] = payload["meterValue"][0]
    return payload


def numbers_as_text(action: str, payload: Payload) -> Payload:
    """Where a refusal would lose a fact; a StatusNotification that breaks the rules may well be refused."""
    if action not in ("MeterValues", "StartTransaction", "StopTransaction"):
        return payload
    values = payload.get("meterValue", [])
    for value in [values] if isinstance(values, dict) else values:
        for sample in value["sampledValue"]:
            sample["value"] = float(sample["value"]) if sample["value"] else 0
    return {name: str(value) if isinstance(value, int) else value for name, value in payload.items()}


def long_texts(action: str, payload: Payload) -> Payload:
    if action == "BootNotification":
        payload["chargePointModel"] += " with a name that is longer than a name may be"
    if action == "StatusNotification":
        payload["info"] = "all is well, and it takes many words to say how well it is " * 2
    return payload


HABITS: dict[str, Callable[[str, Payload], Payload]] = {
    "kwh": kwh,
    "kwh_without_unit": kwh_without_unit,
    "padded_tags": padded_tags,
    "other_case": other_case,
    "no_zone": no_zone,
    "local_zone": local_zone,
    "odd_measurands": odd_measurands,
    "one_meter_value": one_meter_value,
    "numbers_as_text": numbers_as_text,
    "long_texts": long_texts,
}
"""In this order: what changes the form of a list comes after what changes its parts."""
