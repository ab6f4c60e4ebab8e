"""TriggerMessage and ExtendedTriggerMessage: what may be asked for, of whom."""

from collections.abc import AsyncIterator

import pytest

from chargers.commands import send_command
from chargers.errors import ChargerAccepted, NotFound
from chargers.models import Charger, Command
from gateway.errors import HTTP_STATUS
from sessions.operations import perform
from tests import wire
from tests.factories import make_charger
from tests.server_here import server_here
from tests.wire import FakeCharger, eventually

SAID = {"trigger_message": "TriggerMessage", "extended_trigger_message": "ExtendedTriggerMessage"}


@pytest.fixture(scope="module")
async def here(committed: None) -> AsyncIterator[str]:
    async with server_here() as url:
        yield url


def of(point: FakeCharger) -> Charger:
    return Charger.objects.get(identity=point.identity)


async def hears_nothing(point: FakeCharger) -> bool:
    """Nothing was sent: what is asked for next is the first that comes."""
    send_command(charger=of(point), action="clear_cache", params={})
    await point.accepts("ClearCache")
    return point.calls.empty()


@pytest.mark.parametrize("word", SAID)
async def test_an_accepted_charger_is_not_asked_to_boot(here: str, word: str) -> None:
    """E44: by no door, neither as a command of the API nor from the operators' pages."""
    async with wire.charger(here, make_charger().identity) as point:
        await point.ready()
        for say in (perform, send_command):
            with pytest.raises(ChargerAccepted) as caught:
                say(charger=of(point), action=word, params={"message": "BootNotification"})
            assert caught.value.code == "charger_accepted"
        assert not Command.objects.filter(charger=of(point), action=word).exists()
        assert await hears_nothing(point)


@pytest.mark.parametrize(("word", "action"), SAID.items())
async def test_a_pending_charger_may_be_asked_to_boot(here: str, word: str, action: str) -> None:
    """E44, §4.2: that is how it hears at once that it is accepted."""
    async with wire.charger(here, make_charger(registration="Pending").identity) as point:
        assert (await point.boot())["status"] == "Pending"
        command = perform(charger=of(point), action=word, params={"message": "BootNotification"})
        assert await point.accepts(action) == {"requestedMessage": "BootNotification"}
        await eventually(Command.objects.filter(pk=command.pk, status="accepted").exists)


@pytest.mark.parametrize(("word", "action"), SAID.items())
async def test_a_connector_must_be_one_of_the_chargers(here: str, word: str, action: str) -> None:
    async with wire.charger(here, make_charger().identity) as point:
        await point.ready()
        for number in (3, -1, 10**12):
            with pytest.raises(NotFound):
                perform(
                    charger=of(point),
                    action=word,
                    params={"message": "StatusNotification", "connector_id": number},
                )
        for number in (0, 2):  # 0 is the charger itself (§5.17)
            perform(
                charger=of(point),
                action=word,
                params={"message": "StatusNotification", "connector_id": number},
            )
            assert await point.accepts(action) == {
                "requestedMessage": "StatusNotification",
                "connectorId": number,
            }
        assert await hears_nothing(point)


async def test_a_charger_that_told_of_no_connectors_may_have_any(here: str) -> None:
    async with wire.charger(here, make_charger(connectors=0).identity) as point:
        await point.boot()
        perform(
            charger=of(point), action="trigger_message", params={"message": "MeterValues", "connector_id": 7}
        )
        assert (await point.accepts("TriggerMessage"))["connectorId"] == 7


@pytest.mark.parametrize("status", ["Rejected", "NotImplemented"])
async def test_a_charger_may_refuse_or_not_know_the_message(here: str, status: str) -> None:
    async with wire.charger(here, make_charger().identity) as point:
        await point.ready()
        command = perform(charger=of(point), action="trigger_message", params={"message": "MeterValues"})
        message_id, _ = await point.asked("TriggerMessage")
        await point.answer(message_id, {"status": status})
        await eventually(Command.objects.filter(pk=command.pk, status="rejected").exists)


def test_the_refusal_is_a_conflict_to_clients() -> None:
    assert HTTP_STATUS[ChargerAccepted.code] == 409
