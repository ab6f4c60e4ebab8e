"""A charger on the stage: booted, with cards that may charge and cards that may not, and an operator who commands."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from chargers.events import utcnow
from chargers.models import Charger, Command, Connector
from gateway.ocpp.schemas import validator
from sessions.models import ChargingSession, IdTag
from tests import wire
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_charger, make_id_tag, make_operator, make_user, token_of
from tests.wire import eventually


class Stage:
    """One charger and everybody around it."""

    def __init__(self, site: Site, charger: Charger, point: wire.FakeCharger) -> None:
        self.site, self.charger, self.point = site, charger, point
        self.token = token_of(make_operator())
        self.card = make_id_tag(user=make_user())

    # --- the operator ---

    def post(self, action: str, payload: dict[str, Any]) -> int:
        """Ask for a command; the HTTP status."""
        request = urllib.request.Request(
            f"{self.site.http}/api/chargers/{quote(self.charger.identity, safe='')}/commands/",
            json.dumps({"action": action, "payload": payload}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=wire.TIMEOUT_S) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.code}: {error.read().decode()}") from error

    async def asks(self, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> Command:
        """Send a command; the charger hears it in OCPP's words and gives this answer. The command when it has ended."""
        assert await asyncio.to_thread(self.post, action, payload) == 202
        message_id, heard = await self.hears(action)
        assert {name: heard.get(name) for name in payload} == payload
        await self.point.answer(message_id, answer)
        return await self.ended(message_id)

    async def ended(self, message_id: str) -> Command:
        await eventually(lambda: Command.objects.get(pk=message_id).is_finished)
        return Command.objects.get(pk=message_id)

    async def hears(self, action: str) -> tuple[str, dict[str, Any]]:
        """The central system's next CALL, which must be this one and fit the official schema."""
        message_id, payload = await self.point.asked(action)
        schema = validator("ocpp1.6", action)
        assert schema is not None and schema.is_valid(payload), payload
        return message_id, payload

    # --- the charger ---

    async def authorize(self, tag: str) -> str:
        return (await self.point.call("Authorize", {"idTag": tag}))["idTagInfo"]["status"]

    async def begins(self, *, connector: int = 1, tag: str = "", meter: int = 1000, **more: Any) -> int:
        """StartTransaction by a card that may charge, and Charging; the transaction id."""
        answer = await self.start(connector=connector, tag=tag, meter=meter, **more)
        assert answer["idTagInfo"]["status"] == "Accepted"
        await self.point.status(connector, "Charging")
        return answer["transactionId"]

    async def start(
        self, *, connector: int = 1, tag: str = "", meter: int = 1000, **more: Any
    ) -> dict[str, Any]:
        payload = {
            "connectorId": connector,
            "idTag": tag or self.card.value,
            "meterStart": meter,
            "timestamp": at(),
            **more,
        }
        return await self.point.call("StartTransaction", payload)

    async def ends(self, transaction: int, *, meter: int = 5000, **more: Any) -> dict[str, Any]:
        return await self.point.stop(transaction=transaction, meter=meter, at=at(), **more)

    async def reboots(self) -> None:
        """Boot again and say that everything is free."""
        await self.point.ready(2)

    # --- what is stored ---

    def session(self, transaction: int) -> ChargingSession:
        return ChargingSession.objects.get(transaction_id=transaction)

    def connector(self, number: int = 1) -> Connector:
        return Connector.objects.get(charger=self.charger, number=number)

    def stored(self) -> Charger:
        return Charger.objects.get(pk=self.charger.pk)


@asynccontextmanager
async def stage(site: Site, **fields: Any) -> AsyncIterator[Stage]:
    """A charger with two connectors, accepted, booted, everything available."""
    charger = make_charger(**fields)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready(2)
        yield Stage(site, charger, point)


def card_that_is(status: str) -> str:
    """A card for which the central system must answer this status."""
    if status == "Invalid":
        return "NOBODY-KNOWS-IT"
    fields: dict[str, Any] = {"Accepted": {}, "Blocked": {"is_blocked": True}}.get(status, {})
    if status == "Expired":
        fields = {"expires_at": utcnow() - timedelta(days=1)}
    tag: IdTag = make_id_tag(**fields)
    return tag.value
