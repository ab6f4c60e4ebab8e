"""OCPP 1.6's words: what ours become, and what its answers mean. The conversations are in tests/flows."""

from typing import Any

import pytest

from chargers import commands
from chargers.models import WORDS, Command
from gateway.ocpp import v16_commands as v16
from gateway.ocpp.rpc import CallError
from gateway.ocpp.schemas import messages, validator

SPOKEN: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "remote_start",
        {"connector_id": 1, "id_tag": "EV1"},
        "RemoteStartTransaction",
        {"connectorId": 1, "idTag": "EV1"},
    ),
    ("remote_start", {"connector_id": None, "id_tag": "EV1"}, "RemoteStartTransaction", {"idTag": "EV1"}),
    ("remote_stop", {"transaction_id": 7}, "RemoteStopTransaction", {"transactionId": 7}),
    ("unlock_connector", {"connector_id": 1}, "UnlockConnector", {"connectorId": 1}),
    ("reset", {"type": "Soft"}, "Reset", {"type": "Soft"}),
    (
        "change_availability",
        {"connector_id": 0, "type": "Inoperative"},
        "ChangeAvailability",
        {"connectorId": 0, "type": "Inoperative"},
    ),
    ("get_configuration", {}, "GetConfiguration", {}),
    ("get_configuration", {"keys": ["A", "B"]}, "GetConfiguration", {"key": ["A", "B"]}),
    ("change_configuration", {"key": "A", "value": "1"}, "ChangeConfiguration", {"key": "A", "value": "1"}),
    ("clear_cache", {}, "ClearCache", {}),
    ("trigger_message", {"message": "Heartbeat"}, "TriggerMessage", {"requestedMessage": "Heartbeat"}),
    (
        "trigger_message",
        {"message": "MeterValues", "connector_id": 2},
        "TriggerMessage",
        {"requestedMessage": "MeterValues", "connectorId": 2},
    ),
    ("data_transfer", {"vendor_id": "V"}, "DataTransfer", {"vendorId": "V"}),
    (
        "data_transfer",
        {"vendor_id": "V", "message_id": "M", "data": "{}"},
        "DataTransfer",
        {"vendorId": "V", "messageId": "M", "data": "{}"},
    ),
]

CERTIFICATE = "-----BEGIN CERTIFICATE-----"
HASHES = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a1",
    "issuerKeyHash": "b2",
    "serialNumber": "01",
}
PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
    },
}
AT = "2026-03-01T12:00:00.000Z"
SPOKEN += [
    (
        "update_firmware",
        {"location": "https://f.example/1.bin", "retrieve_at": AT, "retries": 3, "retry_interval_s": 60},
        "UpdateFirmware",
        {"location": "https://f.example/1.bin", "retrieveDate": AT, "retries": 3, "retryInterval": 60},
    ),
    (
        "get_diagnostics",
        {"location": "ftp://f.example/", "oldest_at": AT, "latest_at": AT},
        "GetDiagnostics",
        {"location": "ftp://f.example/", "startTime": AT, "stopTime": AT},
    ),
    ("get_local_list_version", {}, "GetLocalListVersion", {}),
    (
        "send_local_list",
        {
            "version": 2,
            "entries": [{"idTag": "A", "idTagInfo": {"status": "Accepted"}}],
            "update_type": "Full",
        },
        "SendLocalList",
        {
            "listVersion": 2,
            "localAuthorizationList": [{"idTag": "A", "idTagInfo": {"status": "Accepted"}}],
            "updateType": "Full",
        },
    ),
    (
        "reserve_now",
        {"connector_id": 1, "expires_at": AT, "id_tag": "A", "parent_id_tag": "P", "reservation_id": 5},
        "ReserveNow",
        {"connectorId": 1, "expiryDate": AT, "idTag": "A", "parentIdTag": "P", "reservationId": 5},
    ),
    ("cancel_reservation", {"reservation_id": 5}, "CancelReservation", {"reservationId": 5}),
    (
        "set_charging_profile",
        {"connector_id": 1, "profile": PROFILE},
        "SetChargingProfile",
        {"connectorId": 1, "csChargingProfiles": PROFILE},
    ),
    (
        "clear_charging_profile",
        {"profile_id": 1, "connector_id": 1, "purpose": "TxProfile", "stack_level": 0},
        "ClearChargingProfile",
        {"id": 1, "connectorId": 1, "chargingProfilePurpose": "TxProfile", "stackLevel": 0},
    ),
    (
        "get_composite_schedule",
        {"connector_id": 1, "duration_s": 600, "unit": "W"},
        "GetCompositeSchedule",
        {"connectorId": 1, "duration": 600, "chargingRateUnit": "W"},
    ),
    (
        "extended_trigger_message",
        {"message": "SignChargePointCertificate"},
        "ExtendedTriggerMessage",
        {"requestedMessage": "SignChargePointCertificate"},
    ),
    (
        "get_log",
        {"log_type": "SecurityLog", "request_id": 3, "log": {"remoteLocation": "ftp://f.example/"}},
        "GetLog",
        {"logType": "SecurityLog", "requestId": 3, "log": {"remoteLocation": "ftp://f.example/"}},
    ),
    (
        "certificate_signed",
        {"certificate_chain": CERTIFICATE},
        "CertificateSigned",
        {"certificateChain": CERTIFICATE},
    ),
    (
        "install_certificate",
        {"certificate_type": "CentralSystemRootCertificate", "certificate": CERTIFICATE},
        "InstallCertificate",
        {"certificateType": "CentralSystemRootCertificate", "certificate": CERTIFICATE},
    ),
    (
        "delete_certificate",
        {"certificate_hash_data": HASHES},
        "DeleteCertificate",
        {"certificateHashData": HASHES},
    ),
    (
        "get_installed_certificate_ids",
        {"certificate_type": "ManufacturerRootCertificate"},
        "GetInstalledCertificateIds",
        {"certificateType": "ManufacturerRootCertificate"},
    ),
    (
        "signed_update_firmware",
        {
            "request_id": 4,
            "firmware": {
                "location": "https://f.example/1.bin",
                "retrieveDateTime": AT,
                "signingCertificate": CERTIFICATE,
                "signature": "c2ln",
            },
        },
        "SignedUpdateFirmware",
        {
            "requestId": 4,
            "firmware": {
                "location": "https://f.example/1.bin",
                "retrieveDateTime": AT,
                "signingCertificate": CERTIFICATE,
                "signature": "c2ln",
            },
        },
    ),
]


@pytest.mark.parametrize(("action", "params", "said", "payload"), SPOKEN)
def test_our_commands_in_ocpps_words(
    action: str, params: dict[str, Any], said: str, payload: dict[str, Any]
) -> None:
    assert v16.spoken(Command(action=action, params=params)) == (said, payload)
    schema = validator("ocpp1.6", said)
    assert schema is not None and schema.is_valid(payload)
    given = {name: value for name, value in params.items() if value is not None}
    assert v16.understood(said, payload) == (action, given)


def test_every_command_there_is_can_be_said() -> None:
    assert {action for action, *_ in SPOKEN} == set(v16.OUTGOING)
    assert {outgoing.action for outgoing in v16.OUTGOING.values()} <= messages("ocpp1.6")


def test_every_word_has_a_permission_and_a_name() -> None:
    assert set(WORDS) == set(v16.OUTGOING)
    assert {word for word in vars(commands).values() if isinstance(word, str) and word in WORDS} == set(WORDS)


def test_what_breaks_the_schema_does_not_leave() -> None:
    with pytest.raises(CallError, match="connectorId"):
        v16.spoken(Command(action="reserve_now", params={"reservation_id": 1}))
    with pytest.raises(CallError, match="NotImplemented"):
        v16.understood("BootNotification", {})


def test_a_word_of_another_version_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(CallError):
        v16.spoken(Command(action="set_variables", params={}))


ACCEPTED, REJECTED = Command.Status.ACCEPTED, Command.Status.REJECTED


@pytest.mark.parametrize(
    ("action", "answer", "status"),
    [
        ("remote_start", {"status": "Accepted"}, ACCEPTED),
        ("remote_start", {"status": "Rejected"}, REJECTED),
        ("remote_stop", {"status": "Accepted"}, ACCEPTED),
        ("remote_stop", {"status": "Rejected"}, REJECTED),
        ("unlock_connector", {"status": "Unlocked"}, ACCEPTED),
        ("unlock_connector", {"status": "UnlockFailed"}, REJECTED),
        ("unlock_connector", {"status": "NotSupported"}, REJECTED),
        ("reset", {"status": "Accepted"}, ACCEPTED),
        ("reset", {"status": "Rejected"}, REJECTED),
        ("change_availability", {"status": "Accepted"}, ACCEPTED),
        ("change_availability", {"status": "Scheduled"}, ACCEPTED),
        ("change_availability", {"status": "Rejected"}, REJECTED),
        ("get_configuration", {"configurationKey": [{"key": "A", "readonly": True}]}, ACCEPTED),
        ("get_configuration", {}, ACCEPTED),
        ("change_configuration", {"status": "Accepted"}, ACCEPTED),
        ("change_configuration", {"status": "RebootRequired"}, ACCEPTED),
        ("change_configuration", {"status": "NotSupported"}, REJECTED),
        ("clear_cache", {"status": "Accepted"}, ACCEPTED),
        ("clear_cache", {"status": "Rejected"}, REJECTED),
        ("trigger_message", {"status": "Accepted"}, ACCEPTED),
        ("trigger_message", {"status": "NotImplemented"}, REJECTED),
        ("data_transfer", {"status": "Accepted", "data": "x"}, ACCEPTED),
        ("data_transfer", {"status": "UnknownVendorId"}, REJECTED),
        # what is no answer the book knows
        ("reset", {}, REJECTED),
        ("reset", {"status": "accepted"}, REJECTED),
        ("reset", {"status": ["Accepted"]}, REJECTED),
        ("reset", {"status": None, "more": 1}, REJECTED),
    ],
)
def test_what_the_chargers_answer_means(action: str, answer: dict[str, Any], status: str) -> None:
    assert v16.outcome(action, answer) == (status, answer, "")


@pytest.mark.parametrize("answer", ["Accepted", ["Accepted"], 1, True])
def test_an_answer_that_is_no_object_accepts_nothing(answer: Any) -> None:
    for action in v16.OUTGOING:
        status, kept, error = v16.outcome(action, answer)
        assert (status, kept) == (REJECTED, answer)
        assert error


def test_a_callerror_rejects_and_is_kept() -> None:
    status, kept, error = v16.outcome("reset", CallError("NotSupported", "no reset here"))
    assert status == REJECTED
    assert kept == {"errorCode": "NotSupported", "errorDescription": "no reset here"}
    assert error == "NotSupported: no reset here"
