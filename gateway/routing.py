"""WebSocket paths: `/ocpp/<identity>` is for chargers, `/` and `/ws/` for apps, anything else is not there."""

from channels.routing import URLRouter
from django.urls import re_path

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


websockets = URLRouter(
    [
        re_path(r"^ocpp/.+$", ChargerSocket.as_asgi()),  # the identity is read from the raw path
        re_path(r"^(ws/?)?$", AppSocket.as_asgi()),
        re_path(r"", Nowhere.as_asgi()),
    ]
)
