"""What a simulated charger says when asked: a function per OCPP 1.6 operation, and their table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from gateway.ocpp import (
    simulated_certificates,
    simulated_firmware,
    simulated_lists,
    simulated_profiles,
    simulated_reservations,
)
from gateway.ocpp.simulated_connector import Connector
from gateway.ocpp.simulated_line import Answer, Payload, Refusal
from gateway.ocpp.simulated_operations import Operation, choice, status

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger


def answer_call(charger: SimulatedCharger, action: str, payload: Payload) -> Answer | None:
    """Answer a CALL, or raise Refusal; None, which is silence, as long as the charger is Rejected (§4.2)."""
    if charger.registration == "Rejected":
        return None
    operation = OPERATIONS.get(action)
    if operation is None:
        raise Refusal("NotImplemented", action)
    operation.check(payload)
    return operation.answer(charger, payload)


# Transactions


def remote_start(charger: SimulatedCharger, payload: Payload) -> Answer:
    """While Pending there is nothing to start (§4.2). A charging profile has to be the transaction's (§5.11)."""
    id_tag, profile = payload["idTag"], payload.get("chargingProfile")
    if len(id_tag) > 20:
        raise Refusal("PropertyConstraintViolation", "idTag is longer than 20")
    connector = chosen_connector(charger.connectors.values(), payload.get("connectorId"))
    if charger.registration != "Accepted" or connector is None or not connector.free:
        return status("Rejected")
    is_other_profile = profile is not None and profile.get("chargingProfilePurpose") != "TxProfile"
    if is_other_profile or not connector.admits(id_tag):
        return status("Rejected")
    return status("Accepted", partial(connector.claim_later, id_tag, profile))


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
    """Its own vendor's data comes back as it went; no other vendor is known."""
    if payload["vendorId"] != charger.about["chargePointVendor"]:
        return status("UnknownVendorId")
    return Answer({"status": "Accepted"} | ({"data": payload["data"]} if "data" in payload else {}))


# Messages on demand


def trigger_message(charger: SimulatedCharger, payload: Payload) -> Answer:
    """The answer goes before the message it promises (§5.17)."""
    trigger = TRIGGERS.get(payload["requestedMessage"])
    return status("NotImplemented") if trigger is None else trigger(charger, payload.get("connectorId"))


def extended_trigger_message(charger: SimulatedCharger, payload: Payload) -> Answer:
    """The security whitepaper's own trigger (§5.2 there): it knows a certificate and a log besides."""
    trigger = EXTENDED_TRIGGERS.get(payload["requestedMessage"])
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


def trigger_heartbeat(charger: SimulatedCharger, number: int | None) -> Answer:
    """It says nothing about a connector; a number is to be ignored then (§5.17)."""
    return status("Accepted", partial(charger.uplink.post, "Heartbeat", {}, early=True))


def trigger_diagnostics_status(charger: SimulatedCharger, number: int | None) -> Answer:
    return status("Accepted", charger.maintenance.tell_diagnostics)


def trigger_firmware_status(charger: SimulatedCharger, number: int | None) -> Answer:
    return status("Accepted", charger.maintenance.tell_firmware)


def trigger_signed_firmware_status(charger: SimulatedCharger, number: int | None) -> Answer:
    return status("Accepted", charger.maintenance.tell_signed_firmware)


def trigger_log_status(charger: SimulatedCharger, number: int | None) -> Answer:
    return status("Accepted", charger.maintenance.tell_log)


def trigger_sign_certificate(charger: SimulatedCharger, number: int | None) -> Answer:
    return status("Accepted", charger.ask_for_certificate)


Trigger = Callable[["SimulatedCharger", int | None], Answer]

TRIGGERS: dict[str, Trigger] = {
    "BootNotification": trigger_boot,
    "DiagnosticsStatusNotification": trigger_diagnostics_status,
    "FirmwareStatusNotification": trigger_firmware_status,
    "Heartbeat": trigger_heartbeat,
    "MeterValues": trigger_meter_values,
    "StatusNotification": trigger_status,
}

EXTENDED_TRIGGERS: dict[str, Trigger] = {
    "BootNotification": trigger_boot,
    "FirmwareStatusNotification": trigger_signed_firmware_status,
    "Heartbeat": trigger_heartbeat,
    "LogStatusNotification": trigger_log_status,
    "MeterValues": trigger_meter_values,
    "SignChargePointCertificate": trigger_sign_certificate,
    "StatusNotification": trigger_status,
}


# The table


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
    "ExtendedTriggerMessage": Operation(
        extended_trigger_message, {"requestedMessage": str}, {"connectorId": int}
    ),
    "UnlockConnector": Operation(unlock, {"connectorId": int}),
    **simulated_certificates.OPERATIONS,
    **simulated_firmware.OPERATIONS,
    **simulated_lists.OPERATIONS,
    **simulated_profiles.OPERATIONS,
    **simulated_reservations.OPERATIONS,
}
