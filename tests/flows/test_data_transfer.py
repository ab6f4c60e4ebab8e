"""DataTransfer from chargers: vendors' functions, and what a charger hears where there is none or it fails."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chargers.models import Charger
from gateway.ocpp import data_transfer
from gateway.ocpp.data_transfer import ACCEPTED, REJECTED, Answer, Message, vendor
from gateway.ocpp.schemas import validator
from tests import wire
from tests.factories import make_charger
from tests.server_here import server_here
from tests.wire import FakeCharger

VENDOR = "com.example.charge"
heard: list[Message] = []


def echo(message: Message) -> Answer:
    heard.append(message)
    return ACCEPTED, message.data


def refuses(message: Message) -> Answer:
    return REJECTED, {"reason": "not today"}


def fails_half_way(message: Message) -> Answer:
    Charger.objects.filter(pk=message.charger_id).update(serial_number="half")
    raise RuntimeError("the vendor's document was wrong")


def says_nonsense(message: Message) -> Answer:
    return "Perhaps", None


@pytest.fixture(scope="module")
async def here(committed: None) -> AsyncIterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_transfer, "_functions", {})
        vendor(VENDOR, "Echo")(echo)
        vendor(VENDOR, "Refuses")(refuses)
        vendor(VENDOR, "Fails")(fails_half_way)
        vendor(VENDOR, "Nonsense")(says_nonsense)
        vendor("com.example.any")(echo)
        async with server_here() as url:
            yield url


@pytest.fixture
async def point(here: str) -> AsyncIterator[FakeCharger]:
    heard.clear()
    async with wire.charger(here, make_charger().identity) as point:
        yield await point.ready()


async def transfer(point: FakeCharger, **payload: Any) -> dict[str, Any]:
    """A DataTransfer; its answer must be one the official schema knows."""
    answer = await point.call("DataTransfer", payload)
    schema = validator("ocpp1.6", "DataTransferResponse")
    assert schema is not None and schema.is_valid(answer), answer
    return answer


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"a":[1,2]}', {"a": [1, 2]}),
        ("plain text", "plain text"),
        ("", ""),
        ("{broken", "{broken"),
        ("7", 7),
        (None, None),
        ("nul \x00 and ✓", "nul  and ✓"),  # which no database could keep
    ],
)
async def test_a_vendors_function_hears_text_or_json_and_answers(
    point: FakeCharger, text: str | None, data: Any
) -> None:
    answer = await transfer(
        point, vendorId=VENDOR, messageId="Echo", **({} if text is None else {"data": text})
    )
    [message] = heard
    assert message.data == data
    assert message.text == (None if text is None else text.replace("\x00", ""))
    assert answer == {"status": "Accepted"} | ({} if text is None else {"data": message.text})
    assert message.charger_id == Charger.objects.get(identity=point.identity).pk


async def test_ids_are_known_without_regard_to_case(point: FakeCharger) -> None:
    """They are CiStrings (§6.15)."""
    assert (await transfer(point, vendorId=VENDOR.upper(), messageId="eCHO"))["status"] == "Accepted"


async def test_a_function_may_refuse_with_data(point: FakeCharger) -> None:
    answer = await transfer(point, vendorId=VENDOR, messageId="Refuses")
    assert answer == {"status": "Rejected", "data": '{"reason":"not today"}'}


async def test_unknown_vendor_and_unknown_message(point: FakeCharger) -> None:
    """§4.3; without data."""
    assert await transfer(point, vendorId="org.nobody", data="x") == {"status": "UnknownVendorId"}
    assert await transfer(point, vendorId=VENDOR, messageId="Other") == {"status": "UnknownMessageId"}
    assert await transfer(point, vendorId=VENDOR) == {"status": "UnknownMessageId"}


async def test_a_function_without_message_id_hears_all_of_its_vendor(point: FakeCharger) -> None:
    for message_id in ({}, {"messageId": "This"}, {"messageId": ""}):
        assert (await transfer(point, vendorId="com.example.any", **message_id))["status"] == "Accepted"
    assert [message.message_id for message in heard] == ["", "This", ""]


@pytest.mark.parametrize("message_id", ["Fails", "Nonsense"])
async def test_a_failing_function_is_logged_and_the_charger_hears_rejected(
    point: FakeCharger, message_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Never a CALLERROR; and nothing of what it did stays."""
    with caplog.at_level(logging.ERROR, logger="gateway.ocpp.data_transfer"):
        assert await transfer(point, vendorId=VENDOR, messageId=message_id) == {"status": "Rejected"}
    assert any(message_id in record.getMessage() and record.exc_info for record in caplog.records)
    assert Charger.objects.get(identity=point.identity).serial_number == ""
    await point.call("Heartbeat")


def test_two_functions_for_one_message_are_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_transfer, "_functions", {})
    vendor("com.example", "A")(echo)
    with pytest.raises(AssertionError):
        vendor("COM.EXAMPLE", "a")(refuses)
