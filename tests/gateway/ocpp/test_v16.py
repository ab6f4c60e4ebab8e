"""OCPP 1.6's words: what ours become, and what its answers mean. The conversations are in tests/flows."""

from typing import Any

import pytest

from chargers.models import Command
from gateway.ocpp import v16
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


@pytest.mark.parametrize(("action", "params", "said", "payload"), SPOKEN)
def test_our_commands_in_ocpps_words(
    action: str, params: dict[str, Any], said: str, payload: dict[str, Any]
) -> None:
    assert v16.spoken(Command(action=action, params=params)) == (said, payload)
    schema = validator("ocpp1.6", said)
    assert schema is not None and schema.is_valid(payload)


def test_every_command_there_is_can_be_said() -> None:
    assert {action for action, *_ in SPOKEN} == set(v16.OUTGOING)
    assert {outgoing.action for outgoing in v16.OUTGOING.values()} <= messages("ocpp1.6")


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


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        (5.4, 5),
        ("5.6", 6),
        (" 5 ", 5),
        (-1, -1),
        (0, 0),
        (None, None),
        ("", None),
        ("five", None),
        ([], None),
        ({}, None),
        (float("nan"), None),
        ("NaN", None),
        ("Infinity", None),
        (1e300, None),
        (2**63, None),
        ("9" * 400, None),
    ],
)
def test_whole_numbers_are_read_as_they_are_meant(value: Any, number: int | None) -> None:
    """E18"""
    assert v16._integer(value) == number
