"""Every command we can send, from its row over the wire to the row's end.

The server is in this process, so that a test can send what no door offers yet; sockets and database are real.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chargers.commands import send_command
from chargers.models import Charger, Command
from gateway.ocpp.schemas import validator
from gateway.ocpp.v16_commands import OUTGOING
from sessions.models import ChargingSession
from tests import wire
from tests.charge import at
from tests.factories import make_charger, make_operator, token_of, unique
from tests.gateway.ocpp.test_v16_commands import SPOKEN
from tests.server_here import server_here
from tests.wire import eventually

WISHES: dict[str, dict[str, Any]] = {
    **{action: params for action, params, *_ in SPOKEN},
    "get_configuration": {"keys": ["HeartbeatInterval"]},
    "change_configuration": {"key": "HeartbeatInterval", "value": "60"},
}
# What a charger that obeys answers, and one that does not; where it cannot say no, an answer nobody knows.
OBEYS: dict[str, dict[str, Any]] = {
    **{action: {"status": "Accepted"} for action in WISHES},
    "unlock_connector": {"status": "Unlocked"},
    "get_configuration": {
        "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]
    },
}
REFUSES: dict[str, dict[str, Any]] = {
    **{action: {"status": "Rejected"} for action in WISHES},
    "unlock_connector": {"status": "UnlockFailed"},
}
for _always in ("get_configuration", "update_firmware", "get_diagnostics", "get_local_list_version"):
    del REFUSES[_always]


@pytest.fixture(scope="module")
async def here(committed: None) -> AsyncIterator[str]:
    """Where the server of this process listens."""
    async with server_here(COMMAND_TIMEOUT_S=2) as url:
        yield url


@pytest.fixture
async def point(here: str) -> AsyncIterator[wire.FakeCharger]:
    async with wire.charger(here, make_charger().identity) as point:
        yield await point.ready()


def send(point: wire.FakeCharger, action: str, **params: Any) -> uuid.UUID:
    charger = Charger.objects.get(identity=point.identity)
    return send_command(charger=charger, action=action, params=params or WISHES[action]).pk


async def asked(point: wire.FakeCharger, action: str) -> str:
    """Be asked for it, in the words of OCPP 1.6, with a payload that the official schema takes; its message id."""
    said = OUTGOING[action].action
    message_id, payload = await point.asked(said)
    schema = validator("ocpp1.6", said)
    assert schema is not None and schema.is_valid(payload), payload
    return message_id


async def ended(command_id: uuid.UUID) -> Command:
    await eventually(lambda: Command.objects.get(pk=command_id).is_finished)
    return Command.objects.get(pk=command_id)


def test_every_word_is_tested() -> None:
    assert set(WISHES) == set(OUTGOING)


@pytest.mark.parametrize("action", WISHES)
async def test_a_command_that_is_accepted(point: wire.FakeCharger, action: str) -> None:
    command_id = send(point, action)
    message_id = await asked(point, action)
    assert message_id == str(command_id)
    running = Command.objects.get(pk=command_id)
    assert (running.status, running.is_finished) == ("sent", False)
    await point.answer(message_id, OBEYS[action])
    command = await ended(command_id)
    assert (command.status, command.answer, command.error) == ("accepted", OBEYS[action], "")
    assert command.sent_at and command.finished_at and command.sent_at <= command.finished_at


@pytest.mark.parametrize("action", REFUSES)
async def test_a_command_that_is_rejected(point: wire.FakeCharger, action: str) -> None:
    command_id = send(point, action)
    await point.answer(await asked(point, action), REFUSES[action])
    command = await ended(command_id)
    assert (command.status, command.answer, command.error) == ("rejected", REFUSES[action], "")


@pytest.mark.parametrize("action", WISHES)
async def test_a_command_that_is_answered_with_an_error(point: wire.FakeCharger, action: str) -> None:
    command_id = send(point, action)
    await point.send([4, await asked(point, action), "NotSupported", "not here", {}])
    command = await ended(command_id)
    assert (command.status, command.error) == ("rejected", "NotSupported: not here")
    assert command.answer == {"errorCode": "NotSupported", "errorDescription": "not here"}


async def test_commands_that_are_not_answered(here: str) -> None:
    """E32: a start may have worked, so its end is unknown. All at once, each at a charger of its own (E11)."""
    dials = [wire.charger(here, make_charger().identity) for _ in WISHES]
    points = [await dial.__aenter__() for dial in dials]
    await asyncio.gather(*(point.call("Heartbeat") for point in points))
    commands = {action: send(point, action) for action, point in zip(WISHES, points, strict=True)}
    for action, point in zip(WISHES, points, strict=True):
        await asked(point, action)
    for action, command_id in commands.items():
        command = await ended(command_id)
        status = "unknown" if action == "remote_start" else "timed_out"
        assert (command.status, command.answer, command.error) == (status, None, "charger_timeout")
    # And the truth, when it comes at last (E13).
    for action, point in zip(WISHES, points, strict=True):
        await point.answer(str(commands[action]), OBEYS[action])
        await eventually(Command.objects.filter(pk=commands[action], status="accepted").exists)
    for dial in dials:
        await dial.__aexit__(None, None, None)


@pytest.mark.parametrize("answer", [None, "Accepted", [], {}, {"status": {}}, {"status": "Perhaps"}])
async def test_an_answer_that_is_none_accepts_nothing(point: wire.FakeCharger, answer: Any) -> None:
    command_id = send(point, "reset")
    await point.answer(await asked(point, "reset"), answer)
    command = await ended(command_id)
    assert (command.status, command.answer) == ("rejected", {} if answer is None else answer)
    await point.call("Heartbeat")


async def test_a_configuration_that_was_read_or_changed_is_remembered(point: wire.FakeCharger) -> None:
    command_id = send(point, "get_configuration")
    answer: dict[str, Any] = {
        "configurationKey": [
            {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
            {"key": "AuthorizationKey", "readonly": False},
            {"readonly": True},
            "odd",
            {"key": ["odd"]},
        ],
        "unknownKey": ["Nothing"],
    }
    await point.answer(await asked(point, "get_configuration"), answer)
    assert (await ended(command_id)).status == "accepted"
    charger = Charger.objects.get(identity=point.identity)
    assert charger.configuration == {"HeartbeatInterval": "300", "AuthorizationKey": ""}
    command_id = send(point, "change_configuration")
    await point.answer(await asked(point, "change_configuration"), {"status": "RebootRequired"})
    assert (await ended(command_id)).status == "accepted"
    charger.refresh_from_db()
    assert charger.configuration["HeartbeatInterval"] == "60"


@pytest.mark.parametrize("keys", ["odd", {"key": "A"}, 5, None])
async def test_a_configuration_that_is_none_ends_the_command_all_the_same(
    point: wire.FakeCharger, keys: Any
) -> None:
    command_id = send(point, "get_configuration")
    await point.answer(await asked(point, "get_configuration"), {"configurationKey": keys})
    assert (await ended(command_id)).status == "accepted"


async def test_a_word_that_ocpp_1_6_does_not_have_is_not_sent(point: wire.FakeCharger) -> None:
    command_id = send(point, "set_variables", variable="x")
    command = await ended(command_id)
    assert (command.status, command.answer) == ("failed", None)
    assert command.error == "not sent: set_variables is not part of OCPP 1.6"
    await point.call("Heartbeat")
    assert point.calls.empty()


async def test_what_the_schema_forbids_is_not_sent(point: wire.FakeCharger) -> None:
    """A row written by other means than the API: the charger has refused nothing."""
    command_id = send(point, "reset", type="Warm")
    command = await ended(command_id)
    assert (command.status, command.answer) == ("failed", None)
    assert command.error.startswith('not sent: type: "Warm" is not one of')
    await point.call("Heartbeat")
    assert point.calls.empty()


async def test_a_message_that_comes_twice_sends_its_command_once(point: wire.FakeCharger) -> None:
    from channels.layers import get_channel_layer

    command_id = send(point, "clear_cache")
    channel = Charger.objects.get(identity=point.identity).channel_name
    for _ in range(3):
        await get_channel_layer().send(channel, {"type": "command.ready", "id": str(command_id)})
    await point.answer(await asked(point, "clear_cache"), {"status": "Accepted"})
    assert (await ended(command_id)).status == "accepted"
    await point.call("Heartbeat")
    await asyncio.sleep(0.1)
    assert point.calls.empty()


async def test_commands_go_out_in_the_order_in_which_they_were_given(point: wire.FakeCharger) -> None:
    """E11"""
    ids = [send(point, "trigger_message", message="Heartbeat") for _ in range(5)]
    for command_id in ids:
        message_id = await asked(point, "trigger_message")
        assert message_id == str(command_id)
        assert point.calls.empty()
        await point.answer(message_id, {"status": "Accepted"})
    for command_id in ids:
        assert (await ended(command_id)).status == "accepted"


async def test_an_operator_starts_with_a_card_and_stops_over_rest(here: str, point: wire.FakeCharger) -> None:
    """The former CMS API; the transaction is the card's."""
    import json
    import urllib.request

    operator = make_operator()

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            here.replace("ws", "http", 1) + path,
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {token_of(operator)}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read())

    tag = unique("CARD")
    body = {"charger_id": point.identity, "id_tag": tag.lower(), "connector_id": 2}
    starting = asyncio.create_task(asyncio.to_thread(post, "/api/charging/remote_start", body))
    wanted = await point.accepts("RemoteStartTransaction")
    assert wanted == {"connectorId": 2, "idTag": tag}
    assert (await starting)["success"] is True
    transaction = await point.start(connector=2, id_tag=wanted["idTag"], at=at())
    body = {"transaction_id": transaction}
    stopping = asyncio.create_task(asyncio.to_thread(post, "/api/charging/remote_stop", body))
    assert await point.accepts("RemoteStopTransaction") == {"transactionId": transaction}
    assert (await stopping)["success"] is True
    await point.stop(transaction=transaction, meter=2000, at=at(), reason="Remote")
    assert ChargingSession.objects.get(transaction_id=transaction).status == "completed"
