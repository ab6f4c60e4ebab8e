"""A charger made of PyPI's `ocpp`, which checks every message of both sides against the official schemas.

python charger.py URL IDENTITY CARD: charges once by itself, then does what it is asked until its input ends.
"""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


def now() -> str:
    return datetime.now(UTC).isoformat()


class Charger(ChargePoint):
    meter = 1000
    transaction_id = 0

    async def say(self, request: Any) -> Any:
        return await self.call(request, suppress=False)

    async def status(self, status: str, connector: int = 1) -> None:
        await self.say(call.StatusNotification(connector, "NoError", status))

    async def boot(self) -> None:
        answer = await self.say(call.BootNotification(charge_point_vendor="PyPI", charge_point_model="ocpp"))
        assert answer.status == "Accepted"
        for connector in (0, 1):
            await self.status("Available", connector)

    async def begin(self, id_tag: str) -> None:
        await self.status("Preparing")
        answer = await self.say(call.StartTransaction(1, id_tag, self.meter, now()))
        self.transaction_id = answer.transaction_id
        await self.status("Charging")
        self.meter += 1500
        sample = {"value": str(self.meter), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        values = [{"timestamp": now(), "sampledValue": [sample]}]
        await self.say(call.MeterValues(1, values, self.transaction_id))

    async def end(self, reason: str) -> None:
        await self.say(call.StopTransaction(self.meter, now(), self.transaction_id, reason))
        await self.status("Available")

    @on(Action.remote_start_transaction)
    def on_remote_start(self, **_: Any) -> Any:
        return call_result.RemoteStartTransaction("Accepted")

    @after(Action.remote_start_transaction)
    async def after_remote_start(self, id_tag: str, **_: Any) -> None:
        await self.begin(id_tag)

    @on(Action.remote_stop_transaction)
    def on_remote_stop(self, **_: Any) -> Any:
        return call_result.RemoteStopTransaction("Accepted")

    @after(Action.remote_stop_transaction)
    async def after_remote_stop(self, **_: Any) -> None:
        await self.end("Remote")

    @on(Action.reset)
    def on_reset(self, **_: Any) -> Any:
        return call_result.Reset("Accepted")

    @after(Action.reset)
    async def after_reset(self, **_: Any) -> None:
        await self.boot()

    @on(Action.get_configuration)
    def on_get_configuration(self, **_: Any) -> Any:
        key = {"key": "HeartbeatInterval", "readonly": False, "value": "300"}
        return call_result.GetConfiguration([key])

    @on(Action.change_configuration)
    def on_change_configuration(self, **_: Any) -> Any:
        return call_result.ChangeConfiguration("Accepted")

    @on(Action.update_firmware)
    def on_update_firmware(self, **_: Any) -> Any:
        return call_result.UpdateFirmware()

    @after(Action.update_firmware)
    async def after_update_firmware(self, **_: Any) -> None:
        for status in ("Downloading", "Downloaded", "Installing", "Installed"):
            await self.say(call.FirmwareStatusNotification(status))

    @on(Action.get_local_list_version)
    def on_get_local_list_version(self, **_: Any) -> Any:
        return call_result.GetLocalListVersion(0)

    @on(Action.send_local_list)
    def on_send_local_list(self, **_: Any) -> Any:
        return call_result.SendLocalList("Accepted")

    @on(Action.reserve_now)
    def on_reserve_now(self, **_: Any) -> Any:
        return call_result.ReserveNow("Accepted")

    @on(Action.cancel_reservation)
    def on_cancel_reservation(self, **_: Any) -> Any:
        return call_result.CancelReservation("Accepted")

    @on(Action.set_charging_profile)
    def on_set_charging_profile(self, **_: Any) -> Any:
        return call_result.SetChargingProfile("Accepted")

    @on(Action.clear_charging_profile)
    def on_clear_charging_profile(self, **_: Any) -> Any:
        return call_result.ClearChargingProfile("Accepted")

    @on(Action.trigger_message)
    def on_trigger_message(self, **_: Any) -> Any:
        return call_result.TriggerMessage("Accepted")


async def main(url: str, identity: str, card: str) -> None:
    async with connect(f"{url}/{identity}", subprotocols=[Subprotocol("ocpp1.6")], proxy=None) as socket:
        charger = Charger(identity, socket)
        listening = asyncio.create_task(charger.start())
        await charger.boot()
        await charger.say(call.Heartbeat())
        await charger.say(call.Authorize(card))
        await charger.begin(card)
        await charger.end("Local")
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        listening.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
