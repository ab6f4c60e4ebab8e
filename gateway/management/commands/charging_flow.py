"""`manage.py charging_flow TOKEN [CHARGER_ID] [URL]`: one charge from a phone's side, step by step."""

import asyncio
import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.json import JSON
from rich.text import Text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

ANSWER_TIMEOUT_S = 40


class FlowFailed(Exception):
    """A step did not go as it should."""


class Command(BaseCommand):
    help = (
        "Connect, start charging, wait, stop, disconnect. Shows each message; exit status 1 if a step fails."
    )
    requires_system_checks = ()  # they load every page of the site: twice the time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("token")
        parser.add_argument("charger_id", nargs="?", default="CP001")
        parser.add_argument("url", nargs="?", default=f"ws://localhost:{settings.PORT}")
        parser.add_argument("--connector", type=int, default=1)
        parser.add_argument("--seconds", type=float, default=5, help="how long to charge")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        try:
            asyncio.run(Flow(console, options).run())
        except FlowFailed as failure:
            console.print(Text(f"✗ {failure}", style="bold red"))
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)


class Flow:
    """The conversation; `latest` is the last tick, for the summary."""

    def __init__(self, console: Console, options: dict[str, Any]) -> None:
        self.console, self.options = console, options
        self.pushed: list[str] = []

    async def run(self) -> None:
        url = self.options["url"]
        self.step(1, f"Connect to {url}")
        try:
            async with connect(f"{url}?token={self.options['token']}", proxy=None) as socket:
                await self.converse(socket)
        except ConnectionClosed as error:
            reason = error.rcvd.reason if error.rcvd else "the connection was lost"
            raise FlowFailed(f"The server closed the socket: {reason}") from error
        except (OSError, ValueError, WebSocketException) as error:  # ValueError: not a URL
            raise FlowFailed(f"No connection to {url}: {error}") from error
        self.console.print("[bold green]✓ Test complete[/]")

    async def converse(self, socket: ClientConnection) -> None:
        await self.until(socket, "connected")
        charger_id, connector = self.options["charger_id"], self.options["connector"]
        self.step(2, f"Start charging at {charger_id}, connector {connector}")
        started = await self.act(
            socket, "start_charging", {"charger_id": charger_id, "connector_id": connector}
        )
        self.step(3, f"Charge for {self.options['seconds']:g} s")
        await self.listen(socket, self.options["seconds"])
        self.step(4, "Stop charging")
        stopped = await self.act(socket, "stop_charging", {"charger_id": charger_id})
        if stopped["session_id"] != started["session_id"]:
            raise FlowFailed("Another session was stopped than was started")
        if not isinstance(stopped["transaction_id"], int):
            raise FlowFailed("The session had not begun: no transaction id")
        if "session_completed" not in self.pushed:
            await self.until(socket, "session_completed")
        self.step(5, "Disconnect")

    def step(self, number: int, text: str) -> None:
        self.console.print(Text(f"\n{number}. {text}", style="bold"))

    async def act(self, socket: ClientConnection, action: str, data: dict[str, Any]) -> dict[str, Any]:
        message = {"action": action, "data": data}
        self.console.print("[cyan]→[/]", JSON(json.dumps(message), indent=None))
        await socket.send(json.dumps(message))
        answer = (await self.until(socket, action))["data"]
        if not answer["success"]:
            raise FlowFailed(f"{action}: {answer['error']} ({answer['code']})")
        return answer

    async def until(self, socket: ClientConnection, what: str) -> dict[str, Any]:
        """Show messages until the one of this type, event or action."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while True:
                    message = self.show(await socket.recv())
                    if what in (message["type"], message.get("event"), message.get("action")):
                        return message
        except TimeoutError:
            raise FlowFailed(f"No {what} within {ANSWER_TIMEOUT_S} s") from None

    async def listen(self, socket: ClientConnection, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self.show(await socket.recv())
        except TimeoutError:
            return

    def show(self, text: str | bytes) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(text)
        self.pushed.append(str(message.get("event")))
        self.console.print("[green]←[/]", JSON(json.dumps(message), indent=None))
        return message
