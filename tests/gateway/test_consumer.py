"""What every socket does, whoever is behind it."""

import asyncio
from typing import Any

import pytest

from gateway.consumer import SocketConsumer
from gateway.inbox import MAX_WAITING


class Socket(SocketConsumer):
    """Its layer messages `stubborn` swallow the cancellation, as redis-py does under Python 3.11."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Any] = []

    async def connect(self) -> None:
        await self.accept()

    async def receive(self, text: str | None, data: bytes | None) -> None:
        self.keep(self.swallow())

    async def disconnect(self, code: int) -> None:
        self.log.append(("disconnect", code))

    async def stubborn(self, message: dict[str, Any]) -> None:
        await self.swallow()

    async def broken(self, message: dict[str, Any]) -> None:
        raise RuntimeError("one bad message")

    async def gone(self, message: dict[str, Any]) -> None:
        raise ConnectionResetError

    async def say(self, message: dict[str, Any]) -> None:
        await self.send_text("…")

    async def note(self, message: dict[str, Any]) -> None:
        self.log.append("noted")

    async def swallow(self) -> None:
        self.log.append("begun")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.log.append("swallowed")
        await asyncio.sleep(0)


class Server:
    """The ASGI side of one socket."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.events.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self.socket({"type": "websocket"}, self.events.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def layer(self, kind: str) -> None:
        while not self.sent:
            await asyncio.sleep(0.01)
        await self.socket.channel_layer.send(self.socket.channel_name, {"type": kind})

    async def logged(self, word: Any) -> None:
        async with asyncio.timeout(5):
            while word not in self.socket.log:
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        self.events.put_nowait({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(5):
            await self.task
        coroutines = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
        assert not [name for name in coroutines if name.startswith(("SocketConsumer.", "Socket."))]


async def test_a_socket_ends_though_what_it_waits_for_swallows_the_cancellation() -> None:
    """E4: it hung for ever, its charger online and its server unable to stop"""
    server = Server()
    await server.layer("stubborn")
    await server.logged("begun")
    await server.end()
    assert server.socket.log == ["begun", "swallowed", ("disconnect", 1001)]


async def test_the_tasks_a_socket_keeps_end_with_it() -> None:
    server = Server()
    server.events.put_nowait({"type": "websocket.receive", "text": "x"})
    await server.logged("begun")
    await server.end()
    assert server.socket.log == ["begun", "swallowed", ("disconnect", 1001)]
    assert server.socket.tasks == set()


async def test_one_bad_layer_message_does_not_deafen_a_socket() -> None:
    server = Server()
    for kind in ("broken", "gone", "unheard.of", "note"):
        await server.layer(kind)
    await server.logged("noted")
    await server.end()


def opened(spec_version: str | None, error: Exception | None = None) -> tuple[Socket, list[dict[str, Any]]]:
    """A socket in mid-connection, and what its server is handed; with an error the server refuses to take it."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if error is not None:
            raise error

    socket = Socket()
    socket.scope = {"asgi": {"spec_version": spec_version} if spec_version else {"version": "3.0"}}
    socket.base_send = send
    socket.is_open = True
    return socket, sent


@pytest.mark.parametrize(
    ("spec_version", "code", "closed_with"),
    [("2.4", 1008, 1008), ("2.3", 1013, 1013), (None, 1008, 4008), (None, 1002, 4002), (None, 1000, 1000)],
)
async def test_a_server_without_reasons_gets_a_code_it_can_send(
    spec_version: str | None, code: int, closed_with: int
) -> None:
    """Daphne closes with 1000 and 3000–4999 only."""
    socket, sent = opened(spec_version)
    await socket.close(code, "Because")
    await socket.close(code, "Because")  # once
    await socket.send_text("too late")
    assert sent == [{"type": "websocket.close", "code": closed_with, "reason": "Because"}]


@pytest.mark.parametrize("error", [ConnectionResetError(), RuntimeError("Unexpected ASGI message")])
async def test_a_peer_that_is_gone_is_no_fault(error: Exception) -> None:
    socket, sent = opened("2.4", error)
    await socket.send_text("one")
    await socket.send_text("two")
    assert [message["text"] for message in sent] == ["one"]
    assert not socket.is_open


async def test_a_socket_that_takes_nothing_for_too_long_is_told_so_and_closed() -> None:
    """What it missed it gets as the state of things when it comes back."""
    socket, sent = opened("2.4")
    socket.is_open = False
    taking = asyncio.Event()
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    events.put_nowait({"type": "websocket.connect"})

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            await taking.wait()
        sent.append(message)

    task = asyncio.create_task(socket(socket.scope, events.get, send))
    while not socket.is_open:
        await asyncio.sleep(0.01)
    for _ in range(MAX_WAITING + 50):
        await socket.channel_layer.send(socket.channel_name, {"type": "say"})
    await asyncio.sleep(0.3)  # with Redis they are still on their way
    taking.set()
    async with asyncio.timeout(5):
        while sent[-1]["type"] != "websocket.close":
            await asyncio.sleep(0.01)
    assert (sent[-1]["code"], sent[-1]["reason"]) == (1013, "Too slow")
    assert len(sent) < MAX_WAITING
    events.put_nowait({"type": "websocket.disconnect", "code": 1013})
    await task


@pytest.mark.parametrize("kind", ["note", "stubborn"])
async def test_nothing_of_a_socket_stays_in_the_layer(kind: str) -> None:
    """Not even of one that ended while it was at work on a message."""
    server = Server()
    await server.layer(kind)
    await server.logged("noted" if kind == "note" else "begun")
    layer, name = server.socket.channel_layer, server.socket.channel_name
    of_loop = layer if hasattr(layer, "channels") else layer.hub
    assert name in of_loop.channels
    await server.end()
    assert name not in of_loop.channels
