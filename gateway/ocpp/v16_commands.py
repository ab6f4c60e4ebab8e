"""Our commands in the words of OCPP 1.6 and its security whitepaper, there and back, and what the answers mean.

Under a word's parameters stand OCPP's names for them; what is nested (a profile, a list, a log) is as OCPP has it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from chargers import commands
from chargers.models import Command
from gateway.ocpp.rpc import CallError
from gateway.ocpp.schemas import validator

VERSION = "ocpp1.6"

Verdict = Callable[[dict[str, Any]], bool]


class Outgoing(NamedTuple):
    """How one of our words is said in 1.6: the action, OCPP's name of each parameter, which answers mean accepted."""

    action: str
    names: dict[str, str]
    accepted: Verdict

    def payload(self, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters under OCPP's names, those that are given."""
        return {theirs: params[ours] for ours, theirs in self.names.items() if params.get(ours) is not None}

    def params(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The way back: a payload that fits the schema, under our names."""
        return {ours: payload[theirs] for ours, theirs in self.names.items() if theirs in payload}


def _status_in(*words: str) -> Verdict:
    return lambda answer: answer.get("status") in words


def _any(answer: dict[str, Any]) -> bool:
    return True


_accepted = _status_in("Accepted")
_retrying = {"retries": "retries", "retry_interval_s": "retryInterval"}

OUTGOING: dict[str, Outgoing] = {
    commands.REMOTE_START: Outgoing(
        "RemoteStartTransaction",
        {"connector_id": "connectorId", "id_tag": "idTag", "profile": "chargingProfile"},
        _accepted,
    ),
    commands.REMOTE_STOP: Outgoing("RemoteStopTransaction", {"transaction_id": "transactionId"}, _accepted),
    commands.UNLOCK_CONNECTOR: Outgoing(
        "UnlockConnector", {"connector_id": "connectorId"}, _status_in("Unlocked")
    ),
    commands.RESET: Outgoing("Reset", {"type": "type"}, _accepted),
    commands.CHANGE_AVAILABILITY: Outgoing(
        "ChangeAvailability",
        {"connector_id": "connectorId", "type": "type"},
        _status_in("Accepted", "Scheduled"),
    ),
    commands.GET_CONFIGURATION: Outgoing("GetConfiguration", {"keys": "key"}, _any),
    commands.CHANGE_CONFIGURATION: Outgoing(
        "ChangeConfiguration", {"key": "key", "value": "value"}, _status_in("Accepted", "RebootRequired")
    ),
    commands.CLEAR_CACHE: Outgoing("ClearCache", {}, _accepted),
    commands.TRIGGER_MESSAGE: Outgoing(
        "TriggerMessage", {"message": "requestedMessage", "connector_id": "connectorId"}, _accepted
    ),
    commands.DATA_TRANSFER: Outgoing(
        "DataTransfer", {"vendor_id": "vendorId", "message_id": "messageId", "data": "data"}, _accepted
    ),
    commands.UPDATE_FIRMWARE: Outgoing(
        "UpdateFirmware", {"location": "location", "retrieve_at": "retrieveDate", **_retrying}, _any
    ),
    commands.GET_DIAGNOSTICS: Outgoing(
        "GetDiagnostics",
        {"location": "location", "oldest_at": "startTime", "latest_at": "stopTime", **_retrying},
        _any,
    ),
    commands.GET_LOCAL_LIST_VERSION: Outgoing("GetLocalListVersion", {}, _any),
    commands.SEND_LOCAL_LIST: Outgoing(
        "SendLocalList",
        {"version": "listVersion", "entries": "localAuthorizationList", "update_type": "updateType"},
        _accepted,
    ),
    commands.RESERVE_NOW: Outgoing(
        "ReserveNow",
        {
            "connector_id": "connectorId",
            "expires_at": "expiryDate",
            "id_tag": "idTag",
            "parent_id_tag": "parentIdTag",
            "reservation_id": "reservationId",
        },
        _accepted,
    ),
    commands.CANCEL_RESERVATION: Outgoing(
        "CancelReservation", {"reservation_id": "reservationId"}, _accepted
    ),
    commands.SET_CHARGING_PROFILE: Outgoing(
        "SetChargingProfile", {"connector_id": "connectorId", "profile": "csChargingProfiles"}, _accepted
    ),
    commands.CLEAR_CHARGING_PROFILE: Outgoing(
        "ClearChargingProfile",
        {
            "profile_id": "id",
            "connector_id": "connectorId",
            "purpose": "chargingProfilePurpose",
            "stack_level": "stackLevel",
        },
        _accepted,
    ),
    commands.GET_COMPOSITE_SCHEDULE: Outgoing(
        "GetCompositeSchedule",
        {"connector_id": "connectorId", "duration_s": "duration", "unit": "chargingRateUnit"},
        _accepted,
    ),
    commands.EXTENDED_TRIGGER_MESSAGE: Outgoing(
        "ExtendedTriggerMessage", {"message": "requestedMessage", "connector_id": "connectorId"}, _accepted
    ),
    commands.GET_LOG: Outgoing(
        "GetLog",
        {"log_type": "logType", "request_id": "requestId", "log": "log", **_retrying},
        _status_in("Accepted", "AcceptedCanceled"),
    ),
    commands.CERTIFICATE_SIGNED: Outgoing(
        "CertificateSigned", {"certificate_chain": "certificateChain"}, _accepted
    ),
    commands.INSTALL_CERTIFICATE: Outgoing(
        "InstallCertificate",
        {"certificate_type": "certificateType", "certificate": "certificate"},
        _accepted,
    ),
    commands.DELETE_CERTIFICATE: Outgoing(
        "DeleteCertificate", {"certificate_hash_data": "certificateHashData"}, _accepted
    ),
    commands.GET_INSTALLED_CERTIFICATE_IDS: Outgoing(
        "GetInstalledCertificateIds", {"certificate_type": "certificateType"}, _accepted
    ),
    commands.SIGNED_UPDATE_FIRMWARE: Outgoing(
        "SignedUpdateFirmware",
        {"request_id": "requestId", "firmware": "firmware", **_retrying},
        _status_in("Accepted", "AcceptedCanceled"),
    ),
}
_WORDS = {outgoing.action: word for word, outgoing in OUTGOING.items()}


def spoken(command: Command) -> tuple[str, dict[str, Any]]:
    """The command as (action, payload). Raises CallError where 1.6 has no such word, or its schema forbids it."""
    outgoing = OUTGOING.get(command.action)
    if outgoing is None:
        raise CallError("NotImplemented", f"{command.action} is not part of OCPP 1.6")
    payload = outgoing.payload(command.params)
    check(outgoing.action, payload)
    return outgoing.action, payload


def check(action: str, payload: Any) -> None:
    """Raise CallError, naming the place, where a payload breaks the official schema of the action."""
    schema = validator(VERSION, action)
    assert schema is not None  # every word is said with an action of the version
    for error in schema.iter_errors(payload):
        path = "/".join(str(part) for part in error.instance_path)
        raise CallError("FormationViolation", f"{path}: {error.message}".lstrip(": "))


def understood(action: str, payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The way back from OCPP's words: our word and its parameters. Raises CallError as `spoken` does."""
    word = _WORDS.get(action)
    if word is None:
        raise CallError("NotImplemented", f"{action[:60]} is not something to ask of a charger")
    check(action, payload)
    return word, OUTGOING[word].params(payload)


def outcome(action: str, answer: Any) -> tuple[str, Any, str]:
    """What an answer to one of our commands means: (status, answer, error)."""
    if isinstance(answer, CallError):
        error = f"{answer.code}: {answer.description}"
        return (
            Command.Status.REJECTED,
            {"errorCode": answer.code, "errorDescription": answer.description},
            error,
        )
    if not isinstance(answer, dict):
        return Command.Status.REJECTED, answer, "The answer is not an object"
    accepted = OUTGOING[action].accepted(answer)
    return (Command.Status.ACCEPTED if accepted else Command.Status.REJECTED), answer, ""
