"""WebSocket paths: `/ocpp/<identity>` is for chargers, `/` and `/ws/` for apps, anything else is not there.

Channels' URLRouter would leave every connection a copy of its scope and two coroutines more, for as long as it lives.
"""

import re
from collections.abc import Coroutine
from typing import Any

from asgiref.sync import markcoroutinefunction

from gateway.app_socket import AppSocket
from gateway.consumer import SocketConsumer
from gateway.ocpp.socket import ChargerSocket


class Nowhere(SocketConsumer):
    """A path without a socket: HTTP 404."""

    async def connect(self) -> None:
        await self.refuse(404, "No socket here")

    async def receive(self, text: str | None, data: bytes | None) -> None:
        pass

    async def disconnect(self, code: int) -> None:
        pass


PATHS: list[tuple[re.Pattern[str], type[SocketConsumer]]] = [
    (re.compile(r"ocpp/.+"), ChargerSocket),  # the identity is read from the raw path
    (re.compile(r"(ws/?)?"), AppSocket),
]


def websockets(scope: dict[str, Any], receive: Any, send: Any) -> Coroutine[Any, Any, None]:
    """An ASGI application: the socket of that path."""
    path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
    socket = next((socket for pattern, socket in PATHS if pattern.fullmatch(path)), Nowhere)
    return socket()(scope, receive, send)


markcoroutinefunction(websockets)
