"""The simulated charger in conversation with a scripted central system, in memory and over real WebSockets."""

import asyncio
import base64
import contextlib
import http
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from gateway.management.commands.simulate import Command, Display, simulate
from gateway.ocpp.simulated_car import SimulatedCar
from gateway.ocpp.simulator import SimulatedCharger, dial

from .scripted_central import NOW, Payload, ScriptedCentral, conversation, sampled

QUICK: dict[str, Any] = {
    "meter_interval_s": 0.03,
    "speed": 5_000,
    "battery_wh": 10_000_000,
    "boot_retry_s": 0.03,
    "retry_interval_s": 0.03,
}


@pytest.fixture
def central() -> ScriptedCentral:
    return ScriptedCentral()


@contextlib.asynccontextmanager
async def booted(central: ScriptedCentral, **options: Any) -> AsyncIterator[SimulatedCharger]:
    """A charger that has booted and reported its statuses; everything up to then is skipped."""
    charger = SimulatedCharger("CP001", **(QUICK | options))
    async with conversation(charger, central):
        await central.next_status(len(charger.connectors), "Available")
        central.skip()
        yield charger
    await charger.close()


async def start(central: ScriptedCentral, charger: SimulatedCharger, number: int = 1) -> int:
    """A transaction that runs; returns its id."""
    await charger.plug_in(number)
    await charger.present_tag(number, "TAG1")
    await charger.until(lambda it: it.connectors[number].transaction_id)
    await central.next("StartTransaction")
    await central.next_status(number, charger.status(number))
    return charger.connectors[number].transaction_id or 0


def statuses(central: ScriptedCentral, number: int) -> list[str]:
    reports = [payload for action, payload in central.heard if action == "StatusNotification"]
    return [payload["status"] for payload in reports if payload["connectorId"] == number]


# Registration


async def test_boots_and_then_reports_the_charger_and_every_connector(central: ScriptedCentral) -> None:
    """Errata 3.22."""
    async with booted(central, connectors=2, firmware_version="9.9"):
        (first, about), *rest = central.heard
        assert (first, about["firmwareVersion"]) == ("BootNotification", "9.9")
        reports = [(action, payload["connectorId"], payload["status"]) for action, payload in rest]
        assert reports == [("StatusNotification", number, "Available") for number in (0, 1, 2)]


async def test_while_pending_it_answers_but_sends_only_boots_and_what_is_triggered(
    central: ScriptedCentral,
) -> None:
    """§4.2."""
    central.replies["BootNotification"] = {"status": "Pending", "currentTime": NOW, "interval": 1}
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Pending")
        assert (await central.ask("GetConfiguration", {"key": ["NumberOfConnectors"]}))["configurationKey"]
        start = {"idTag": "A", "connectorId": 1}
        assert await central.ask("RemoteStartTransaction", start) == {"status": "Rejected"}
        assert await charger.present_tag(1, "A") is False
        assert [action for action, _ in central.heard] == ["BootNotification"]
        trigger = {"requestedMessage": "StatusNotification", "connectorId": 1}
        assert await central.ask("TriggerMessage", trigger) == {"status": "Accepted"}
        await central.next_status(1, "Available")
        central.replies["BootNotification"] = {"status": "Accepted", "currentTime": NOW, "interval": 300}
        assert await central.ask("TriggerMessage", {"requestedMessage": "BootNotification"}) == {
            "status": "Accepted"
        }
        await charger.until(lambda it: it.registration == "Accepted")
    await charger.close()


async def test_pending_charger_boots_again_after_the_interval_it_was_given(central: ScriptedCentral) -> None:
    central.replies["BootNotification"] = {"status": "Pending", "currentTime": NOW, "interval": 1}
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central):
        await central.next("BootNotification")
        with pytest.raises(TimeoutError):
            await central.next("BootNotification", timeout_s=0.7)
        await central.next("BootNotification", timeout_s=3)


async def test_rejected_charger_is_silent_until_it_boots_again(central: ScriptedCentral) -> None:
    """§4.2: while Rejected it does not even answer."""
    central.replies["BootNotification"] = {"status": "Rejected", "currentTime": NOW, "interval": 0}
    charger = SimulatedCharger("CP001", **QUICK | {"boot_retry_s": 0.3})
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Rejected")
        central.send([2, "unanswered", "ClearCache", {}])
        await central.next("BootNotification")
        central.replies["BootNotification"] = {"status": "Accepted", "currentTime": NOW, "interval": 300}
        await central.next("BootNotification")
        await charger.until(lambda it: it.registration == "Accepted")
        assert await central.ask("ClearCache") == {"status": "Accepted"}


@pytest.mark.parametrize("reply", [("InternalError", "no"), None, {}])
async def test_boot_without_a_usable_answer_is_repeated(central: ScriptedCentral, reply: Any) -> None:
    central.replies["BootNotification"] = reply
    charger = SimulatedCharger("CP001", **QUICK, call_timeout_s=0.03)
    async with conversation(charger, central):
        for _ in range(3):
            await central.next("BootNotification")
        assert {action for action, _ in central.heard} == {"BootNotification"}


async def test_heartbeats_at_the_interval_of_the_boot_answer_and_at_once_at_a_new_one(
    central: ScriptedCentral,
) -> None:
    async with booted(central) as charger:
        assert charger.settings["HeartbeatInterval"] == "300"
        change = {"key": "heartbeatinterval", "value": "1"}
        assert await central.ask("ChangeConfiguration", change) == {"status": "Accepted"}
        await central.next("Heartbeat", timeout_s=4)


# Remote start and stop


async def test_remote_start_with_an_obedient_driver(central: ScriptedCentral) -> None:
    async with booted(central, auto_plug_s=0.02, auto_unplug_s=0.02) as charger:
        request = {"connectorId": 1, "idTag": "TAG1"}
        assert await central.ask("RemoteStartTransaction", request) == {"status": "Accepted"}
        await central.next_status(1, "Preparing")
        begin = await central.next("StartTransaction", "Authorize")
        assert begin["idTag"] == "TAG1"
        assert begin["meterStart"] > 0
        await central.next_status(1, "Charging")
        values = await central.next("MeterValues")
        assert (values["connectorId"], values["transactionId"]) == (1, 1)
        assert await central.ask("RemoteStopTransaction", {"transactionId": 1}) == {"status": "Accepted"}
        end = await central.next("StopTransaction")
        assert (end["transactionId"], end["reason"]) == (1, "Remote")
        assert end["meterStop"] > begin["meterStart"]
        await central.next_status(1, "Finishing")
        await central.next_status(1, "Available")
        assert charger.connectors[1].transaction_id is None


async def test_remote_start_waits_for_the_cable(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await central.ask("RemoteStartTransaction", {"connectorId": 2, "idTag": "TAG1"})
        await central.next_status(2, "Preparing")
        assert not central.unread("StartTransaction")
        await charger.plug_in(2)
        assert (await central.next("StartTransaction"))["connectorId"] == 2


async def test_remote_start_without_a_cable_ends_at_connection_time_out(central: ScriptedCentral) -> None:
    """E31: no StartTransaction ever comes, and the connector is free again."""
    async with booted(central, connection_timeout_s=0.05, auto_plug_s=0.5) as charger:
        await central.ask("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await central.next_status(1, "Preparing")
        await central.next_status(1, "Available")
        assert charger.connectors[1].free
        await charger.plug_in(1)
        await central.next_status(1, "Preparing")
        assert not central.unread("StartTransaction")


async def test_new_connection_time_out_takes_effect_at_once(central: ScriptedCentral) -> None:
    async with booted(central, connection_timeout_s=60):
        await central.ask("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await central.next_status(1, "Preparing")
        await central.ask("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "0"})
        await central.next_status(1, "Available")


async def test_remote_start_is_rejected_where_no_car_can_charge(central: ScriptedCentral) -> None:
    async with booted(central, connectors=3) as charger:
        await start(central, charger, 1)
        await charger.set_fault(2)
        await central.ask("ChangeAvailability", {"connectorId": 3, "type": "Inoperative"})
        for number in (0, 1, 2, 3, 4):
            request = {"connectorId": number, "idTag": "TAG1"}
            assert await central.ask("RemoteStartTransaction", request) == {"status": "Rejected"}
        assert await central.ask("RemoteStartTransaction", {"idTag": "TAG1"}) == {"status": "Rejected"}


async def test_second_remote_start_on_a_promised_connector_is_rejected(central: ScriptedCentral) -> None:
    async with booted(central):
        request = {"connectorId": 1, "idTag": "TAG1"}
        assert await central.ask("RemoteStartTransaction", request) == {"status": "Accepted"}
        assert await central.ask("RemoteStartTransaction", request) == {"status": "Rejected"}


async def test_remote_start_without_a_connector_takes_the_one_with_a_car(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await charger.plug_in(2)
        assert await central.ask("RemoteStartTransaction", {"idTag": "TAG1"}) == {"status": "Accepted"}
        assert (await central.next("StartTransaction"))["connectorId"] == 2


async def test_remote_start_on_a_connector_that_is_finishing_begins_anew(central: ScriptedCentral) -> None:
    """§4.9, F2: the car stayed plugged in."""
    async with booted(central, auto_unplug_s=0.1) as charger:
        await start(central, charger)
        await charger.stop_locally(1)
        await central.next_status(1, "Finishing")
        await central.ask("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG2"})
        await central.next_status(1, "Preparing")
        await central.next_status(1, "Charging")
        await asyncio.sleep(0.15)  # the driver's plan to unplug is off
        assert charger.status(1) == "Charging"


async def test_authorize_remote_tx_requests_is_honoured(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await central.ask("ChangeConfiguration", {"key": "AuthorizeRemoteTxRequests", "value": "true"})
        central.replies["Authorize"] = {"idTagInfo": {"status": "Blocked"}}
        await charger.plug_in(1)
        await central.ask("RemoteStartTransaction", {"connectorId": 1, "idTag": "BAD"})
        assert (await central.next("Authorize"))["idTag"] == "BAD"
        await charger.until(lambda it: it.connectors[1].free)
        central.replies["Authorize"] = {"idTagInfo": {"status": "Accepted"}}
        await central.ask("RemoteStartTransaction", {"connectorId": 1, "idTag": "GOOD"})
        assert (await central.next("StartTransaction"))["idTag"] == "GOOD"


async def test_remote_stop_of_an_unknown_transaction_is_rejected(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        transaction_id = await start(central, charger)
        wrong = {"transactionId": transaction_id + 1}
        assert await central.ask("RemoteStopTransaction", wrong) == {"status": "Rejected"}
        assert charger.status(1) == "Charging"


# The driver at the charger


async def test_tag_is_authorized_and_the_same_tag_stops(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await charger.plug_in(1)
        await central.next_status(1, "Preparing")
        assert await charger.present_tag(1, "TAG1")
        assert (await central.next("Authorize")) == {"idTag": "TAG1"}
        await central.next("StartTransaction")
        await central.next_status(1, "Charging")
        assert await charger.present_tag(1, "tag1")
        end = await central.next("StopTransaction", "Authorize")
        assert (end["reason"], end["idTag"]) == ("Local", "tag1")


async def test_refused_tag_charges_nothing(central: ScriptedCentral) -> None:
    central.replies["Authorize"] = {"idTagInfo": {"status": "Invalid"}}
    async with booted(central) as charger:
        assert await charger.present_tag(1, "TAG1") is False
        await charger.plug_in(1)
        assert charger.status(1) == "Preparing"
        assert not central.unread("StartTransaction")


async def test_tag_of_the_same_parent_stops_a_transaction_and_a_stranger_does_not(
    central: ScriptedCentral,
) -> None:
    """E40."""
    parents = {"MINE": "FAMILY", "HERS": "FAMILY", "THEIRS": "OTHERS"}

    def info(request: Payload) -> Payload:
        return {"status": "Accepted", "parentIdTag": parents[request["idTag"]]}

    central.replies["Authorize"] = lambda request: {"idTagInfo": info(request)}
    central.replies["StartTransaction"] = lambda request: {"transactionId": 5, "idTagInfo": info(request)}
    async with booted(central) as charger:
        await charger.plug_in(1)
        await charger.present_tag(1, "MINE")
        await charger.until(lambda it: it.connectors[1].transaction_id == 5)
        assert await charger.present_tag(1, "THEIRS") is False
        assert await charger.present_tag(1, "HERS") is True
        assert (await central.next("StopTransaction"))["idTag"] == "HERS"


async def test_plugged_in_car_without_a_tag_ends_in_finishing(central: ScriptedCentral) -> None:
    """Errata 3.20: not in Available, where the next driver's tag would pay for it."""
    async with booted(central, connection_timeout_s=0.05) as charger:
        await charger.plug_in(1)
        await central.next_status(1, "Preparing")
        await central.next_status(1, "Finishing")
        await charger.unplug(1)
        await central.next_status(1, "Available")


async def test_pulling_the_cable_ends_the_transaction(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await start(central, charger)
        await charger.unplug(1)
        assert (await central.next("StopTransaction"))["reason"] == "EVDisconnected"
        await central.next_status(1, "Available")


async def test_pulling_the_cable_suspends_if_so_configured(central: ScriptedCentral) -> None:
    """§4.9: SuspendedEV, with the reason as info."""
    async with booted(central) as charger:
        change = {"key": "StopTransactionOnEVSideDisconnect", "value": "false"}
        await central.ask("ChangeConfiguration", change)
        await start(central, charger)
        await charger.unplug(1)
        assert (await central.next_status(1, "SuspendedEV"))["info"] == "EV side disconnected"
        await charger.plug_in(1)
        await central.next_status(1, "Charging")
        assert not [action for action, _ in central.heard if action == "StopTransaction"]


async def test_fault_ends_the_transaction_and_what_was_before_comes_back(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await start(central, charger)
        await charger.set_fault(1, "OverCurrentFailure")
        assert (await central.next_status(1, "Faulted"))["errorCode"] == "OverCurrentFailure"
        assert (await central.next("StopTransaction"))["reason"] == "Other"
        await charger.clear_fault(1)
        assert (await central.next_status(1, "Finishing"))["errorCode"] == "NoError"


async def test_fault_may_only_take_the_power_away(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await start(central, charger)
        await charger.set_fault(1, ends_transaction=False)
        await central.next_status(1, "Faulted")
        register_wh = charger.connectors[1].register_wh
        await asyncio.sleep(0.03)
        assert charger.connectors[1].register_wh == register_wh
        await charger.clear_fault(1)
        await central.next_status(1, "Charging")


async def test_fault_of_the_controller_is_reported_for_connector_0(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await charger.set_fault(0, "InternalError")
        assert (await central.next_status(0, "Faulted"))["errorCode"] == "InternalError"
        assert charger.status(1) == "Available"
        await charger.clear_fault(0)
        await central.next_status(0, "Available")


@pytest.mark.parametrize(("stops", "status"), [("true", "Finishing"), ("false", "SuspendedEVSE")])
async def test_start_that_the_central_system_does_not_accept(
    central: ScriptedCentral, stops: str, status: str
) -> None:
    """Errata 3.17."""
    central.replies["StartTransaction"] = {"transactionId": 9, "idTagInfo": {"status": "Blocked"}}
    async with booted(central) as charger:
        await central.ask("ChangeConfiguration", {"key": "StopTransactionOnInvalidId", "value": stops})
        await charger.plug_in(1)
        await charger.present_tag(1, "TAG1")
        await charger.until(lambda it: it.status(1) == status)
        assert charger.connectors[1].power_w == 0
        if stops == "true":
            assert (await central.next("StopTransaction"))["reason"] == "DeAuthorized"


# Meter values


async def test_meter_values_hold_every_configured_measurand(central: ScriptedCentral) -> None:
    async with booted(central, max_power_w=7_400, soc_percent=40) as charger:
        await start(central, charger)
        (value,) = (await central.next("MeterValues"))["meterValue"]
        assert {each["context"] for each in value["sampledValue"]} == {"Sample.Periodic"}
        units = {each["measurand"]: each["unit"] for each in value["sampledValue"]}
        assert units == {
            "Energy.Active.Import.Register": "Wh",
            "Power.Active.Import": "W",
            "Current.Import": "A",
            "Voltage": "V",
            "SoC": "Percent",
        }
        values = sampled(value)
        assert 7_200 < int(values["Power.Active.Import"]) <= 7_400
        assert float(values["Current.Import"]) == pytest.approx(
            int(values["Power.Active.Import"]) / 230, abs=0.1
        )
        assert values["SoC"] == "40"


async def test_three_phases_are_each_reported(central: ScriptedCentral) -> None:
    """§3.16.3."""
    async with booted(central, max_power_w=22_000) as charger:
        await start(central, charger)
        values = sampled((await central.next("MeterValues"))["meterValue"][0])
        currents = [float(values[f"Current.Import{phase}"]) for phase in ("L1", "L2", "L3")]
        assert sum(currents) * 230 == pytest.approx(int(values["Power.Active.Import"]), rel=0.01)
        assert {"VoltageL1-N", "VoltageL2-N", "VoltageL3-N"} <= values.keys()


async def test_chosen_measurands_only_and_unknown_ones_refused(central: ScriptedCentral) -> None:
    """§3.16.4."""
    async with booted(central) as charger:
        key = "MeterValuesSampledData"
        for wrong in ("Temperature", "SoC,Nonsense"):
            change = {"key": key, "value": wrong}
            assert await central.ask("ChangeConfiguration", change) == {"status": "Rejected"}
        await central.ask("ChangeConfiguration", {"key": key, "value": "SoC, Voltage"})
        await start(central, charger)
        values = sampled((await central.next("MeterValues"))["meterValue"][0])
        assert values.keys() == {"SoC", "Voltage"}


async def test_new_sample_interval_takes_effect_in_the_running_transaction(central: ScriptedCentral) -> None:
    async with booted(central, meter_interval_s=300) as charger:
        await start(central, charger)
        await central.ask("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "1"})
        await central.next("MeterValues", timeout_s=4)
        await central.ask("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "0"})
        with pytest.raises(TimeoutError):
            await central.next("MeterValues", timeout_s=1.2)


async def test_full_car_suspends_and_its_register_stands_still(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await charger.plug_in(1, SimulatedCar(battery_wh=2_000, soc_percent=95))
        await charger.present_tag(1, "TAG1")
        await central.next_status(1, "Preparing")
        await central.next_status(1, "Charging")
        await central.next_status(1, "SuspendedEV")
        await central.next("MeterValues")
        values = sampled((await central.next("MeterValues"))["meterValue"][0])
        assert (values["Power.Active.Import"], values["SoC"]) == ("0", "100")
        register_wh = charger.connectors[1].register_wh
        await asyncio.sleep(0.03)
        assert charger.connectors[1].register_wh == register_wh


async def test_register_rises_from_transaction_to_transaction_and_connection_to_connection(
    central: ScriptedCentral,
) -> None:
    """Errata 3.9: the register of the meter, not one that begins at 0 with every transaction."""
    charger = SimulatedCharger("CP001", **QUICK)
    registers_wh: list[int] = []
    for _ in range(2):
        async with conversation(charger, central):
            await charger.until(lambda it: it.registration == "Accepted")
            for _ in range(2):
                await charger.plug_in(1)
                await charger.present_tag(1, "TAG1")
                registers_wh.append((await central.next("StartTransaction"))["meterStart"])
                await central.next("MeterValues")
                await charger.unplug(1)
                registers_wh.append((await central.next("StopTransaction"))["meterStop"])
    assert registers_wh == sorted(registers_wh)
    assert all(registers_wh[i] < registers_wh[i + 1] for i in range(0, 8, 2))
    await charger.close()


async def test_stop_transaction_brings_first_and_last_values_if_so_configured(
    central: ScriptedCentral,
) -> None:
    """Errata 3.14 and §3.16.5."""
    async with booted(central) as charger:
        for data, expected in (("Energy.Active.Import.Register", 2), ("", 0)):
            await central.ask("ChangeConfiguration", {"key": "StopTxnSampledData", "value": data})
            await start(central, charger)
            await charger.unplug(1)
            end = await central.next("StopTransaction")
            values = end.get("transactionData", [])
            assert len(values) == expected
            if values:
                last = values[-1]["sampledValue"][0]
                assert (last["context"], int(last["value"])) == ("Transaction.End", end["meterStop"])


# Other requests


async def test_unlock_finishes_the_transaction_first(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await start(central, charger)
        assert await central.ask("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
        assert (await central.next("StopTransaction"))["reason"] == "UnlockCommand"
        assert await central.ask("UnlockConnector", {"connectorId": 2}) == {"status": "Unlocked"}
        assert await central.ask("UnlockConnector", {"connectorId": 3}) == {"status": "NotSupported"}


async def test_soft_reset_stops_first_then_boots(central: ScriptedCentral) -> None:
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central) as talk:
        await charger.until(lambda it: it.registration == "Accepted")
        await start(central, charger)
        assert await central.ask("Reset", {"type": "Soft"}) == {"status": "Accepted"}
        assert (await central.next("StopTransaction"))["reason"] == "SoftReset"
        await asyncio.wait_for(talk, 1)
    central.skip()
    async with conversation(charger, central):
        await central.next("BootNotification")
        await central.next_status(1, "Finishing")
    assert [action for action, _ in central.heard].count("StopTransaction") == 1
    await charger.close()


async def test_hard_reset_delivers_the_stop_after_the_boot(central: ScriptedCentral) -> None:
    """Errata 3.36."""
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central) as talk:
        await charger.until(lambda it: it.registration == "Accepted")
        await start(central, charger)
        await central.ask("Reset", {"type": "Hard"})
        await asyncio.wait_for(talk, 1)
    central.skip()
    async with conversation(charger, central):
        end = await central.next("StopTransaction")
        assert end["reason"] == "HardReset"
    actions = [action for action, _ in central.heard]
    assert actions.count("StopTransaction") == 1
    assert actions.index("StopTransaction") > actions.index("BootNotification", 1)
    await charger.close()


async def test_unavailable_survives_a_reset(central: ScriptedCentral) -> None:
    """§5.2."""
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central) as talk:
        await charger.until(lambda it: it.registration == "Accepted")
        await central.ask("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        await central.ask("Reset", {"type": "Hard"})
        await asyncio.wait_for(talk, 1)
    central.skip()
    async with conversation(charger, central):
        await central.next_status(1, "Unavailable")


async def test_change_availability_is_scheduled_while_a_transaction_runs(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await start(central, charger)
        inoperative = {"connectorId": 0, "type": "Inoperative"}
        assert await central.ask("ChangeAvailability", inoperative) == {"status": "Scheduled"}
        await central.next_status(2, "Unavailable")
        assert (charger.status(0), charger.status(1)) == ("Available", "Charging")
        await charger.stop_locally(1)
        await central.next("StopTransaction")
        await central.next_status(1, "Unavailable")
        await central.next_status(0, "Unavailable")
        assert await central.ask("ChangeAvailability", inoperative) == {"status": "Accepted"}
        operative = {"connectorId": 0, "type": "Operative"}
        assert await central.ask("ChangeAvailability", operative) == {"status": "Accepted"}
        await central.next_status(0, "Available")
        await charger.until(lambda it: it.status(1) == "Preparing")  # its car is still there
        unknown = {"connectorId": 7, "type": "Operative"}
        assert await central.ask("ChangeAvailability", unknown) == {"status": "Rejected"}


async def test_get_configuration_reports_known_and_unknown_keys(central: ScriptedCentral) -> None:
    async with booted(central, connectors=2):
        everything = await central.ask("GetConfiguration")
        values = {each["key"]: each for each in everything["configurationKey"]}
        assert values["NumberOfConnectors"] == {"key": "NumberOfConnectors", "readonly": True, "value": "2"}
        assert "AuthorizationKey" not in values
        some = await central.ask("GetConfiguration", {"key": ["heartbeatinterval", "Nonsense"]})
        assert [each["key"] for each in some["configurationKey"]] == ["HeartbeatInterval"]
        assert some["unknownKey"] == ["Nonsense"]


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("MeterValueSampleInterval", "15", "Accepted"),
        ("MeterValueSampleInterval", "-1", "Rejected"),
        ("ConnectionTimeOut", "soon", "Rejected"),
        ("AuthorizeRemoteTxRequests", "maybe", "Rejected"),
        ("NumberOfConnectors", "3", "Rejected"),
        ("WebSocketPingInterval", "30", "RebootRequired"),
        ("WebSocketPingInterval", "-5", "Rejected"),
        ("Nonsense", "1", "NotSupported"),
        ("AuthorizationKey", "00ff", "Accepted"),
        ("AuthorizationKey", "no hex", "Rejected"),
        ("AuthorizationKey", "00" * 21, "Rejected"),
    ],
)
async def test_change_configuration(central: ScriptedCentral, key: str, value: str, status: str) -> None:
    async with booted(central) as charger:
        before = charger.settings[key] if charger.settings.name(key) else None
        assert await central.ask("ChangeConfiguration", {"key": key, "value": value}) == {"status": status}
        if before is not None:
            taken = status in ("Accepted", "RebootRequired")
            assert charger.settings[key] == (value if taken else before)


async def test_clear_cache_forgets_tags_known_to_be_good(central: ScriptedCentral) -> None:
    async def authorizes() -> int:
        await charger.plug_in(1)
        assert await charger.present_tag(1, "TAG1")
        await charger.until(lambda it: it.connectors[1].transaction_id)
        await charger.unplug(1)
        await central.next("StopTransaction")
        return [action for action, _ in central.heard].count("Authorize")

    async with booted(central) as charger:
        await central.ask("ChangeConfiguration", {"key": "LocalPreAuthorize", "value": "true"})
        assert await authorizes() == 1
        assert await authorizes() == 1
        assert await central.ask("ClearCache") == {"status": "Accepted"}
        assert await authorizes() == 2
        await central.ask("ChangeConfiguration", {"key": "AuthorizationCacheEnabled", "value": "false"})
        assert await central.ask("ClearCache") == {"status": "Rejected"}


@pytest.mark.parametrize(
    "action",
    ["Heartbeat", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "StatusNotification"],
)
async def test_triggered_message_follows_its_answer(central: ScriptedCentral, action: str) -> None:
    """§5.17."""
    async with booted(central):
        assert await central.ask("TriggerMessage", {"requestedMessage": action}) == {"status": "Accepted"}
        await central.next(action)


async def test_triggered_meter_values_come_with_and_without_a_transaction(central: ScriptedCentral) -> None:
    async with booted(central, meter_interval_s=0) as charger:
        transaction_id = await start(central, charger)
        await central.ask("TriggerMessage", {"requestedMessage": "MeterValues"})
        charging, idle = await central.next("MeterValues"), await central.next("MeterValues")
        assert (charging["connectorId"], charging["transactionId"]) == (1, transaction_id)
        assert idle["connectorId"] == 2
        assert "transactionId" not in idle
        assert {each["context"] for each in idle["meterValue"][0]["sampledValue"]} == {"Trigger"}


async def test_triggers_it_cannot_serve(central: ScriptedCentral) -> None:
    async with booted(central):
        for trigger, status in (
            ({"requestedMessage": "BootNotification"}, "Rejected"),  # errata 3.35: already accepted
            ({"requestedMessage": "SignChargePointCertificate"}, "NotImplemented"),
            ({"requestedMessage": "MeterValues", "connectorId": 9}, "Rejected"),
            ({"requestedMessage": "StatusNotification", "connectorId": 9}, "Rejected"),
        ):
            assert await central.ask("TriggerMessage", trigger) == {"status": status}


async def test_status_of_all_connectors_is_triggered_without_a_number(central: ScriptedCentral) -> None:
    async with booted(central, connectors=2):
        await central.ask("TriggerMessage", {"requestedMessage": "StatusNotification"})
        for number in (0, 1, 2):
            assert (await central.next("StatusNotification"))["connectorId"] == number


async def test_unknown_vendor_and_unknown_action(central: ScriptedCentral) -> None:
    async with booted(central):
        assert await central.ask("DataTransfer", {"vendorId": "x"}) == {"status": "UnknownVendorId"}
        assert await central.ask("MakeCoffee") == "NotImplemented"
        mine = {"vendorId": "evcharge", "data": "echo"}
        assert await central.ask("DataTransfer", mine) == {"status": "Accepted", "data": "echo"}


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("RemoteStartTransaction", {}, "FormationViolation"),
        ("RemoteStartTransaction", {"idTag": 5}, "FormationViolation"),
        ("RemoteStartTransaction", {"idTag": "A", "extra": 1}, "FormationViolation"),
        ("RemoteStartTransaction", {"idTag": "A" * 21}, "PropertyConstraintViolation"),
        ("RemoteStopTransaction", {"transactionId": "1"}, "FormationViolation"),
        ("UnlockConnector", {"connectorId": True}, "FormationViolation"),
        ("Reset", {"type": "Gentle"}, "PropertyConstraintViolation"),
        ("ClearCache", [], "FormationViolation"),
    ],
)
async def test_bad_payload_is_answered_with_a_call_error(
    central: ScriptedCentral, action: str, payload: Any, code: str
) -> None:
    async with booted(central):
        assert await central.ask(action, payload) == code


async def test_frames_that_are_no_messages_are_ignored(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        assert central.pipe is not None
        for text in (
            "",
            "{",
            "[]",
            "7",
            '[9,"x","y",{}]',
            "[2]",
            '[3,"unknown",{}]',
            '[4,"unknown"]',
            "[" * 50_000,
        ):
            central.pipe.deliver(text)
        assert await central.ask("ClearCache") == {"status": "Accepted"}
        assert charger.online


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ([2, "odd", "ClearCache", None], {"status": "Accepted"}),  # OCPP-J §4.2.1: null counts as empty
        ([2, "odd"], "FormationViolation"),
        ([2, "odd", 5, {}], "FormationViolation"),
        ([2, "odd", "ClearCache", {}, 1], "FormationViolation"),
    ],
)
async def test_odd_calls_are_answered(central: ScriptedCentral, frame: list[Any], expected: Any) -> None:
    async with booted(central):
        assert await central.ask_frame(frame, "ClearCache") == expected


# One CALL at a time, and what happens to those without an answer


async def test_never_more_than_one_own_call_is_open(central: ScriptedCentral) -> None:
    """OCPP-J §4.1.1."""
    async with booted(central) as charger:
        await asyncio.gather(start(central, charger, 1), charger.plug_in(2), charger.present_tag(2, "TAG2"))
        await central.next("MeterValues")
        assert central.most_open_calls == 1


async def test_answers_while_its_own_call_is_open(central: ScriptedCentral) -> None:
    """OCPP-J §4.1.1, note."""
    async with booted(central) as charger:
        central.replies["Authorize"] = None
        presenting = asyncio.create_task(charger.present_tag(1, "TAG1"))
        await central.next("Authorize")
        assert await central.ask("ClearCache") == {"status": "Accepted"}
        assert not presenting.done()
        central.reply(central.open_calls[0], {"idTagInfo": {"status": "Accepted"}})
        assert await presenting


async def test_late_answer_is_not_taken_for_the_next_call(central: ScriptedCentral) -> None:
    async with booted(central, call_timeout_s=0.05) as charger:
        central.replies["Authorize"] = None
        assert await charger.present_tag(1, "TAG1") is False
        (late,) = central.open_calls
        presenting = asyncio.create_task(charger.present_tag(1, "TAG2"))
        assert (await central.next("Authorize"))["idTag"] == "TAG1"
        assert (await central.next("Authorize"))["idTag"] == "TAG2"
        central.reply(late, {"idTagInfo": {"status": "Accepted"}})
        assert await presenting is False


async def test_transaction_message_is_repeated_unchanged_after_an_error(central: ScriptedCentral) -> None:
    """§3.7.1; E21: the same StartTransaction under a new message id."""
    async with booted(central) as charger:
        good = central.replies["StartTransaction"]
        central.replies["StartTransaction"] = ("InternalError", "database is down")
        await charger.plug_in(1)
        await charger.present_tag(1, "TAG1")
        first = await central.next("StartTransaction")
        central.replies["StartTransaction"] = good
        assert await central.next("StartTransaction") == first
        await charger.until(lambda it: it.connectors[1].transaction_id == 1)


async def test_start_that_is_never_taken_is_discarded_and_its_followers_say_minus_one(
    central: ScriptedCentral,
) -> None:
    """Errata 3.18 (E25): attempts as configured, each after a longer wait; then transactionId -1."""
    central.replies["StartTransaction"] = ("InternalError", "")
    async with booted(central) as charger:
        await charger.plug_in(1)
        await charger.present_tag(1, "TAG1")
        values = await central.next("MeterValues")
        assert values["transactionId"] == -1
        assert [action for action, _ in central.heard].count("StartTransaction") == 3
        await charger.stop_locally(1)
        assert (await central.next("StopTransaction"))["transactionId"] == -1


async def test_other_messages_do_not_wait_for_a_repeated_one(central: ScriptedCentral) -> None:
    """§3.7: only transaction-related messages keep their order among themselves."""
    async with booted(central, retry_interval_s=60) as charger:
        central.replies["StartTransaction"] = ("InternalError", "")
        await charger.plug_in(1)
        await charger.present_tag(1, "TAG1")
        await central.next_status(1, "Preparing")
        await central.next_status(1, "Charging")
        await central.ask("TriggerMessage", {"requestedMessage": "Heartbeat"})
        await central.next("Heartbeat")
        assert not [action for action, _ in central.heard if action == "MeterValues"]


# Without a connection


async def test_transaction_messages_survive_a_lost_connection_in_their_order(
    central: ScriptedCentral,
) -> None:
    """§3.7, E28: original timestamps, one id for all that follow, no history of statuses, no second boot."""
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
        await central.next_status(2, "Available")
    assert not charger.online
    await charger.plug_in(1)
    assert await charger.present_tag(1, "UNKNOWN")
    assert charger.connectors[1].transaction_id is None
    await charger.until(lambda it: it.kept_messages >= 3)
    await charger.stop_locally(1)
    await asyncio.sleep(0.05)
    central.skip()
    async with conversation(charger, central):
        await charger.until(lambda it: it.kept_messages == 0)
        kept = [each for each in central.heard[central._unread :] if each[0] != "StatusNotification"]
        actions = [action for action, _ in kept]
        assert actions[0] == "StartTransaction"
        assert actions[-1] == "StopTransaction"
        assert set(actions[1:-1]) == {"MeterValues"}
        assert {payload["transactionId"] for _, payload in kept[1:]} == {1}
        at = [payload.get("timestamp") or payload["meterValue"][0]["timestamp"] for _, payload in kept]
        assert at == sorted(at)
        assert datetime.fromisoformat(at[-1]) > datetime.fromisoformat(at[0])
        assert [(each["connectorId"], each["status"]) for each in central.unread("StatusNotification")] == [
            (1, "Finishing")
        ]
    await charger.close()


async def test_message_whose_answer_was_lost_is_sent_again(central: ScriptedCentral) -> None:
    """E21: whether the first one arrived, the charger cannot know."""
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
        good = central.replies["StartTransaction"]
        central.replies["StartTransaction"] = None
        await charger.plug_in(1)
        await charger.present_tag(1, "TAG1")
        first = await central.next("StartTransaction")
    central.replies["StartTransaction"] = good
    async with conversation(charger, central):
        assert await central.next("StartTransaction") == first
        await charger.until(lambda it: it.connectors[1].transaction_id == 1)
    await charger.close()


async def test_running_transaction_goes_on_over_a_reconnect(central: ScriptedCentral) -> None:
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
        transaction_id = await start(central, charger)
    central.skip()
    await asyncio.sleep(0.08)
    async with conversation(charger, central):
        assert (await central.next("MeterValues", "BootNotification"))["transactionId"] == transaction_id
        stop = {"transactionId": transaction_id}
        assert await central.ask("RemoteStopTransaction", stop) == {"status": "Accepted"}
        await central.next("StopTransaction")
    await charger.close()


async def test_charger_that_boots_on_every_connection_delivers_after_the_boot(
    central: ScriptedCentral,
) -> None:
    charger = SimulatedCharger("CP001", **QUICK, boot_on_reconnect=True)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
        await start(central, charger)
    await charger.stop_locally(1)
    central.skip()
    async with conversation(charger, central):
        await central.next("StopTransaction")
    actions = [action for action, _ in central.heard]
    assert actions.index("StopTransaction") > actions.index("BootNotification", 1)
    await charger.close()


async def test_offline_a_tag_known_to_be_bad_does_not_charge(central: ScriptedCentral) -> None:
    """§3.5."""
    central.replies["Authorize"] = lambda request: {
        "idTagInfo": {"status": "Blocked" if request["idTag"] == "BAD" else "Accepted"}
    }
    charger = SimulatedCharger("CP001", **QUICK)
    assert await charger.present_tag(1, "EARLY") is False  # never accepted: charges no one (§4.2.1)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
        assert await charger.present_tag(1, "BAD") is False
    assert await charger.present_tag(1, "BAD") is False
    charger.settings["AllowOfflineTxForUnknownId"] = "false"
    assert await charger.present_tag(1, "UNKNOWN") is False
    await charger.close()


async def test_authorize_in_flight_when_the_connection_goes_is_decided_offline(
    central: ScriptedCentral,
) -> None:
    central.replies["Authorize"] = None
    charger = SimulatedCharger("CP001", **QUICK)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
        presenting = asyncio.create_task(charger.present_tag(1, "TAG1"))
        await central.next("Authorize")
    assert await presenting is True
    await charger.close()


async def test_two_chargers_made_alike_have_the_same_register(central: ScriptedCentral) -> None:
    one, same, other = (SimulatedCharger("CP001", seed=seed) for seed in (1, 1, 2))
    assert one.connectors[1].register_wh == same.connectors[1].register_wh
    assert one.connectors[1].register_wh != other.connectors[1].register_wh
    assert one.connectors[1].register_wh != one.connectors[2].register_wh


# Over the network


class NetworkCentral:
    """The scripted central system behind a real WebSocket server, one charger at a time."""

    def __init__(self) -> None:
        self.script = ScriptedCentral()
        self.requests: list[Request] = []
        self.connection: ServerConnection | None = None
        self.refuse: http.HTTPStatus | None = None

    async def serve(self, port: int = 0, **options: Any) -> Server:
        options = {"subprotocols": ["ocpp1.6"]} | options
        return await serve(self._talk, "127.0.0.1", port, process_request=self._look, **options)

    def _look(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return connection.respond(self.refuse, "") if self.refuse else None

    async def _talk(self, connection: ServerConnection) -> None:
        outbox: asyncio.Queue[str] = asyncio.Queue()
        self.script.attach(outbox.put_nowait)
        self.connection = connection
        sending = asyncio.create_task(self._send(connection, outbox))
        with contextlib.suppress(Exception):
            async for text in connection:
                assert isinstance(text, str)
                self.script.take(text)
        sending.cancel()

    async def _send(self, connection: ServerConnection, outbox: asyncio.Queue[str]) -> None:
        while True:
            await connection.send(await outbox.get())


@contextlib.asynccontextmanager
async def dialling(charger: SimulatedCharger, port: int) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(dial(charger, f"ws://127.0.0.1:{port}/", redial_s=0.02, redial_most_s=0.1))
    try:
        yield task
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


async def test_dials_with_encoded_identity_subprotocol_and_raw_password() -> None:
    """OCPP-J §3.1.1, §6.2.2 (E6, E8): the example key of the specification is no text."""
    network = NetworkCentral()
    key = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
    charger = SimulatedCharger("RDAM 123/4", password=key, **QUICK)
    async with await network.serve() as server, dialling(charger, port_of(server)):
        await charger.until(lambda it: it.registration == "Accepted")
    (request,) = network.requests
    assert request.path == "/ocpp/RDAM%20123%2F4"
    assert request.headers["Sec-WebSocket-Protocol"] == "ocpp1.6"
    scheme, credentials = request.headers["Authorization"].split()
    assert (scheme, base64.b64decode(credentials)) == ("Basic", b"RDAM 123/4:" + key)


async def test_comes_back_after_the_server_was_gone_and_delivers_what_it_kept() -> None:
    network = NetworkCentral()
    script = network.script
    charger = SimulatedCharger("CP001", auto_plug_s=0.01, **QUICK)
    server = await network.serve()
    port = port_of(server)
    async with dialling(charger, port):
        await charger.until(lambda it: it.registration == "Accepted")
        await script.ask("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await script.next("MeterValues")
        server.close()
        await server.wait_closed()
        await charger.until(lambda it: not it.online)
        await charger.until(lambda it: it.kept_messages >= 2)
        await charger.stop_locally(1)
        await charger.plug_in(2)
        assert await charger.present_tag(2, "TAG2")
        script.skip()
        async with await network.serve(port):
            end = await script.next("StopTransaction")
            begin = await script.next("StartTransaction")
            assert (end["transactionId"], begin["idTag"]) == (1, "TAG2")
            await charger.until(lambda it: it.connectors[2].transaction_id == 2)
    assert [action for action, _ in script.heard].count("BootNotification") == 1


async def test_reset_redials_and_boots() -> None:
    network = NetworkCentral()
    charger = SimulatedCharger("CP001", **QUICK)
    async with await network.serve() as server, dialling(charger, port_of(server)):
        await charger.until(lambda it: it.registration == "Accepted")
        await network.script.ask("Reset", {"type": "Soft"})
        await network.script.next("BootNotification")
        await network.script.next("BootNotification")
        assert len(network.requests) == 2


async def test_dropped_connection_stays_away_as_long_as_asked() -> None:
    network = NetworkCentral()
    charger = SimulatedCharger("CP001", **QUICK)
    async with await network.serve() as server, dialling(charger, port_of(server)):
        await charger.until(lambda it: it.registration == "Accepted")
        await charger.drop_connection(away_s=0.3)
        await charger.until(lambda it: not it.online)
        await asyncio.sleep(0.2)
        assert not charger.online
        await charger.until(lambda it: it.online)


async def test_keeps_dialling_with_growing_pauses_when_refused_or_misunderstood() -> None:
    """OCPP-J errata 3.3 (404) and §3.2 (a server without our subprotocol)."""
    network = NetworkCentral()
    network.refuse = http.HTTPStatus.NOT_FOUND
    charger = SimulatedCharger("CP001", **QUICK)
    server = await network.serve()
    port = port_of(server)
    async with dialling(charger, port):
        async with server:
            await asyncio.sleep(0.5)
            assert 2 <= len(network.requests) <= 12
        network.refuse = None
        async with await network.serve(port, subprotocols=None):
            await asyncio.sleep(0.2)
            assert not charger.online
        async with await network.serve(port):
            await charger.until(lambda it: it.registration == "Accepted")


async def test_cancelled_dial_closes_the_connection_and_leaves_nothing_running() -> None:
    network = NetworkCentral()
    charger = SimulatedCharger("CP001", **QUICK)
    async with await network.serve() as server:
        before = asyncio.all_tasks()
        async with dialling(charger, port_of(server)):
            await charger.until(lambda it: it.registration == "Accepted")
            await charger.plug_in(1)
            await charger.present_tag(1, "TAG1")
        assert network.connection is not None
        await network.connection.wait_closed()
        assert network.connection.close_code == 1000
        async with asyncio.timeout(2):
            while asyncio.all_tasks() - before:
                await asyncio.sleep(0.01)


async def test_on_frame_shows_the_conversation_both_ways() -> None:
    central = ScriptedCentral()
    seen: list[tuple[str, str, Any]] = []

    def on_frame(identity: str, direction: str, text: str) -> None:
        seen.append((identity, direction, json.loads(text)))

    async with booted(central, on_frame=on_frame):
        assert [(identity, direction, frame[0]) for identity, direction, frame in seen[:2]] == [
            ("CP001", "out", 2),
            ("CP001", "in", 3),
        ]


# On the screen


def options(*arguments: str) -> dict[str, Any]:
    return vars(Command().create_parser("manage.py", "simulate").parse_args(arguments))


def shown(*frames: tuple[str, list[Any]]) -> list[str]:
    """What the screen says about frames of CP001, without the time."""
    screen = io.StringIO()
    display = Display(Console(file=screen, width=200, soft_wrap=True))
    for direction, frame in frames:
        display.show("CP001", "out" if direction == ">" else "in", json.dumps(frame))
    return [line[9:] for line in screen.getvalue().splitlines()]


def test_screen_has_a_line_per_message_and_none_for_an_empty_answer() -> None:
    value = {"timestamp": NOW, "sampledValue": [{"value": "7"}, {"value": "230", "unit": "V"}]}
    assert shown(
        (">", [2, "1", "MeterValues", {"connectorId": 1, "meterValue": [value]}]),
        ("<", [3, "1", {}]),
        ("<", [2, "a", "Reset", {"type": "Soft"}]),
        (">", [3, "a", {"status": "Accepted"}]),
        (">", [2, "2", "Authorize", {"idTag": "[bold]T"}]),
        ("<", [4, "2", "InternalError", "sorry", {}]),
    ) == [
        "CP001 → MeterValues connectorId=1 values=7 Wh, 230 V",
        "CP001 ← Reset type=Soft",
        "CP001 → Reset status=Accepted",
        "CP001 → Authorize idTag=[bold]T",
        "CP001 ← Authorize InternalError sorry",
    ]


def test_screen_survives_a_frame_that_is_no_message() -> None:
    display = Display(Console(file=(screen := io.StringIO())))
    for text in ("{", "7", "[]", "[2]", '[2,"x"]', '[3,"x"]', '[2,"x",{},null]', '[3,["x"],{}]', '[4,"x",7]'):
        display.show("CP001", "in", text)
    assert "CP001 ←" in screen.getvalue()


async def test_command_runs_chargers_with_a_driver_who_comes_back() -> None:
    network, screen = NetworkCentral(), io.StringIO()
    async with await network.serve() as server:
        chosen = options(
            "--url", f"ws://127.0.0.1:{port_of(server)}", "--tag", "DEMOTAG1", "--charge-minutes", "0.1",
            "--speed", "100", "--meter-interval", "0.02", "--identity", "CP007",
        )  # fmt: skip
        running = asyncio.create_task(simulate(Console(file=screen, width=200), chosen))
        assert (await network.script.next("StartTransaction"))["idTag"] == "DEMOTAG1"
        await network.script.next("MeterValues")
        await network.script.next("StopTransaction")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert network.requests[0].path == "/ocpp/CP007"
    assert "CP007 → BootNotification" in screen.getvalue()
