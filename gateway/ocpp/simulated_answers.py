"""What a simulated charger says when asked: a function per OCPP 1.6 operation, and their table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gateway.ocpp.simulated_connector import Connector
from gateway.ocpp.simulated_line import Answer, Payload, Refusal

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger


def answer_call(charger: SimulatedCharger, action: str, payload: Payload) -> Answer | None:
    """Answer a CALL, or raise Refusal; None, which is silence, as long as the charger is Rejected (§4.2)."""
    if charger.registration == "Rejected":
        return None
    operation = OPERATIONS.get(action)
    if operation is None:
        raise Refusal("NotSupported" if action in NOT_SUPPORTED else "NotImplemented", action)
    operation.check(payload)
    return operation.answer(charger, payload)


def status(value: str, then: Callable[[], object] | None = None) -> Answer:
    return Answer({"status": value}, then)


def choice(value: str, allowed: Iterable[str]) -> str:
    if value not in allowed:
        raise Refusal("PropertyConstraintViolation", f"{value!r} is none of {', '.join(allowed)}"[:255])
    return value


# Transactions


def remote_start(charger: SimulatedCharger, payload: Payload) -> Answer:
    """While Pending there is nothing to start (§4.2). A charging profile is ignored (§5.11)."""
    if len(payload["idTag"]) > 20:
        raise Refusal("PropertyConstraintViolation", "idTag is longer than 20")
    connector = chosen_connector(charger.connectors.values(), payload.get("connectorId"))
    if charger.registration != "Accepted" or connector is None or not connector.free:
        return status("Rejected")
    return status("Accepted", partial(connector.claim_later, payload["idTag"]))


def chosen_connector(connectors: Iterable[Connector], number: int | None) -> Connector | None:
    """The connector asked for; without a number a free one, best one with a car."""
    if number is not None:
        return next((each for each in connectors if each.number == number), None)
    free = [connector for connector in connectors if connector.free]
    return min(free, key=lambda connector: (connector.car is None, connector.number), default=None)


def remote_stop(charger: SimulatedCharger, payload: Payload) -> Answer:
    for connector in charger.connectors.values():
        if connector.transaction_id == payload["transactionId"] and charger.registration == "Accepted":
            return status("Accepted", partial(connector.end_if_running, "Remote"))
    return status("Rejected")


def unlock(charger: SimulatedCharger, payload: Payload) -> Answer:
    """An unknown connector is NotSupported (errata 3.85); a running transaction is finished first (§5.18)."""
    connector = charger.connectors.get(payload["connectorId"])
    if connector is None:
        return status("NotSupported")
    connector.end_if_running("UnlockCommand")
    return status("Unlocked")


# The charger itself


def reset(charger: SimulatedCharger, payload: Payload) -> Answer:
    kind = choice(payload["type"], ("Soft", "Hard"))
    return status("Accepted", partial(charger.restart_later, f"{kind}Reset", graceful=kind == "Soft"))


def change_availability(charger: SimulatedCharger, payload: Payload) -> Answer:
    operative = choice(payload["type"], ("Operative", "Inoperative")) == "Operative"
    number = payload["connectorId"]
    asked = [each for each in charger.connectors.values() if number in (0, each.number)]
    if not asked:
        return status("Rejected")
    scheduled = not operative and any(connector.busy for connector in asked)
    then = partial(charger.set_operative, number, operative)
    return status("Scheduled" if scheduled else "Accepted", then)


def get_configuration(charger: SimulatedCharger, payload: Payload) -> Answer:
    known, unknown = charger.settings.read(payload.get("key", []))
    return Answer({"configurationKey": known} | ({"unknownKey": unknown} if unknown else {}))


def change_configuration(charger: SimulatedCharger, payload: Payload) -> Answer:
    key, value = payload["key"], payload["value"]
    if key.casefold() == "authorizationkey":
        # Write-only, and therefore none of the settings (OCPP-J errata 3.10).
        return status("Accepted" if charger.change_password(value) else "Rejected")
    outcome = charger.settings.change(key, value)
    effect = EFFECTS.get(charger.settings.name(key) or "")
    return status(outcome, partial(effect, charger) if effect and outcome == "Accepted" else None)


def sample_afresh(charger: SimulatedCharger) -> None:
    for connector in charger.connectors.values():
        connector.sample_afresh()


def time_preparing_afresh(charger: SimulatedCharger) -> None:
    for connector in charger.connectors.values():
        connector.time_preparing_afresh()


def heartbeat_afresh(charger: SimulatedCharger) -> None:
    charger.uplink.heartbeat_afresh()


EFFECTS: dict[str, Callable[[SimulatedCharger], None]] = {
    "ConnectionTimeOut": time_preparing_afresh,
    "HeartbeatInterval": heartbeat_afresh,
    "MeterValueSampleInterval": sample_afresh,
}
"""Settings that take effect at once by more than being read the next time."""


def clear_cache(charger: SimulatedCharger, payload: Payload) -> Answer:
    """Without a cache the answer is Rejected (errata 3.23)."""
    if not charger.settings.flag("AuthorizationCacheEnabled"):
        return status("Rejected")
    charger.tags.forget()
    return status("Accepted")


def data_transfer(charger: SimulatedCharger, payload: Payload) -> Answer:
    return status("UnknownVendorId")


# Messages on demand


def trigger_message(charger: SimulatedCharger, payload: Payload) -> Answer:
    """The answer goes before the message it promises (§5.17)."""
    trigger = TRIGGERS.get(payload["requestedMessage"])
    return status("NotImplemented") if trigger is None else trigger(charger, payload.get("connectorId"))


def trigger_boot(charger: SimulatedCharger, number: int | None) -> Answer:
    then = charger.uplink.ask_to_boot
    return status("Accepted", then) if charger.uplink.may_boot else status("Rejected")


def trigger_status(charger: SimulatedCharger, number: int | None) -> Answer:
    """Without a number all of them, the charger's own first."""
    numbers = [each for each in (0, *charger.connectors) if number in (None, each)]
    return status("Accepted", partial(charger.uplink.report_now, numbers)) if numbers else status("Rejected")


def trigger_meter_values(charger: SimulatedCharger, number: int | None) -> Answer:
    """There is no main meter, so nothing to tell about connector 0."""
    asked = [each for each in charger.connectors.values() if number in (None, each.number)]

    def send() -> None:
        for connector in asked:
            connector.send_meter_values()

    return status("Accepted", send) if asked else status("Rejected")


def trigger_plain(action: str, payload: Payload, charger: SimulatedCharger, number: int | None) -> Answer:
    """A message that says nothing about a connector; a number is to be ignored then (§5.17)."""
    return status("Accepted", partial(charger.uplink.post, action, payload, early=True))


TRIGGERS: dict[str, Callable[[SimulatedCharger, int | None], Answer]] = {
    "BootNotification": trigger_boot,
    "DiagnosticsStatusNotification": partial(
        trigger_plain, "DiagnosticsStatusNotification", {"status": "Idle"}
    ),
    "FirmwareStatusNotification": partial(trigger_plain, "FirmwareStatusNotification", {"status": "Idle"}),
    "Heartbeat": partial(trigger_plain, "Heartbeat", {}),
    "MeterValues": trigger_meter_values,
    "StatusNotification": trigger_status,
}


# The table


@dataclass(frozen=True)
class Operation:
    """How to answer an action, and which fields its payload must and may have."""

    answer: Callable[[SimulatedCharger, Payload], Answer]
    required: dict[str, type] = field(default_factory=dict)
    optional: dict[str, type] = field(default_factory=dict)

    def check(self, payload: Payload) -> None:
        """JSON has no subclasses, so a type is compared exactly: true is no connectorId."""
        known = self.required | self.optional
        wrong = [name for name, value in payload.items() if type(value) is not known.get(name)]
        missing = [name for name in self.required if name not in payload]
        if wrong or missing:
            raise Refusal("FormationViolation", f"wrong: {wrong}, missing: {missing}"[:255])


OPERATIONS: dict[str, Operation] = {
    "ChangeAvailability": Operation(change_availability, {"connectorId": int, "type": str}),
    "ChangeConfiguration": Operation(change_configuration, {"key": str, "value": str}),
    "ClearCache": Operation(clear_cache),
    "DataTransfer": Operation(data_transfer, {"vendorId": str}, {"messageId": str, "data": str}),
    "GetConfiguration": Operation(get_configuration, {}, {"key": list}),
    "RemoteStartTransaction": Operation(
        remote_start, {"idTag": str}, {"connectorId": int, "chargingProfile": dict}
    ),
    "RemoteStopTransaction": Operation(remote_stop, {"transactionId": int}),
    "Reset": Operation(reset, {"type": str}),
    "TriggerMessage": Operation(trigger_message, {"requestedMessage": str}, {"connectorId": int}),
    "UnlockConnector": Operation(unlock, {"connectorId": int}),
}

NOT_SUPPORTED = {
    "CancelReservation",
    "ClearChargingProfile",
    "GetCompositeSchedule",
    "GetDiagnostics",
    "GetLocalListVersion",
    "ReserveNow",
    "SendLocalList",
    "SetChargingProfile",
    "UpdateFirmware",
}
"""Operations of OCPP 1.6 in profiles this charger does not have (SupportedFeatureProfiles)."""
