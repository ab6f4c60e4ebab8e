"""The drivers of a soak: they start and stop by the real app socket, or by card at the charger."""

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from gateway.ocpp.simulator import SimulatedCharger

ANSWER_S = 12.0
LOST = (OSError, ConnectionClosed, WebSocketException, TimeoutError)


@dataclass(frozen=True)
class Claim:
    """What the server told a driver of a start: under which id of a CALL, for which session."""

    user_id: int
    message_id: str
    session_id: int
    charger: str
    connector: int


class AppLine:
    """An app's socket that dials again when it is lost."""

    def __init__(self, url: Callable[[], str], token: Callable[[], Awaitable[str]]) -> None:
        self._url, self._token = url, token
        self._request_ids = itertools.count(1)
        self._socket: ClientConnection | None = None
        self.heard: Counter[str] = Counter()

    async def act(self, action: str, **data: Any) -> dict[str, Any]:
        """The `data` of the answer; raises one of LOST."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._ask(action, data)
        except LOST:
            await self.close()
            raise

    async def _ask(self, action: str, data: dict[str, Any]) -> dict[str, Any]:
        if self._socket is None:
            url = f"{self._url()}/?token={await self._token()}"
            self._socket = await connect(url, proxy=None, compression=None, close_timeout=0.5)
        request_id = next(self._request_ids)
        request = {"action": action, "data": data, "request_id": request_id}
        await self._socket.send(orjson.dumps(request).decode())
        while True:
            message = orjson.loads(await self._socket.recv())
            self.heard[message["type"]] += 1
            if message.get("request_id") == request_id:
                answer: dict[str, Any] = message["data"]
                return answer

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            with contextlib.suppress(*LOST):
                await socket.close()


class Driver:
    """Comes to some charger, charges for some seconds, goes to another one."""

    def __init__(
        self,
        *,
        user_id: int,
        card: str,
        chargers: list[SimulatedCharger],
        line: AppLine,
        chance: random.Random,
        claims: list[Claim],
        outcomes: Counter[str],
    ) -> None:
        self._user_id, self._card = user_id, card
        self._chargers, self._line, self._chance = chargers, line, chance
        self._claims, self._outcomes = claims, outcomes

    async def drive(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._chance.uniform(0.1, 2))
                charger = self._chance.choice(self._chargers)
                number = self._chance.randint(1, len(charger.connectors))
                charge = self._by_app if self._chance.random() < 0.65 else self._by_card
                await charge(charger, number)
        finally:
            await self._line.close()

    async def _by_app(self, charger: SimulatedCharger, number: int) -> None:
        try:
            answer = await self._line.act("start_charging", charger_id=charger.identity, connector_id=number)
        except LOST:
            self._outcomes["start: no answer"] += 1
            await asyncio.sleep(1)
            return
        self._outcomes[f"start: {answer.get('code', 'accepted')}"] += 1
        if not answer["success"]:
            return
        self._claims.append(
            Claim(self._user_id, answer["message_id"], answer["session_id"], charger.identity, number)
        )
        await asyncio.sleep(self._chance.uniform(2, 9))
        if self._chance.random() < 0.7 and await self._stopped():
            return
        await self._leave(charger, number)

    async def _stopped(self) -> bool:
        try:
            answer = await self._line.act("stop_charging")
        except LOST:
            self._outcomes["stop: no answer"] += 1
            return False
        self._outcomes[f"stop: {answer.get('code', 'accepted')}"] += 1
        return bool(answer["success"])

    async def _by_card(self, charger: SimulatedCharger, number: int) -> None:
        if not charger.connectors[number].free:
            return
        card = self._card if self._chance.random() < 0.9 else f"STRANGER{self._chance.randrange(1000)}"
        await charger.plug_in(number)
        if await charger.present_tag(number, card):
            self._outcomes["card: accepted"] += 1
            await asyncio.sleep(self._chance.uniform(2, 9))
            if self._chance.random() < 0.4:
                await charger.present_tag(number, card)
                return
        await self._leave(charger, number)

    async def _leave(self, charger: SimulatedCharger, number: int) -> None:
        if self._chance.random() < 0.3:
            await charger.stop_locally(number)
        else:
            await charger.unplug(number)
