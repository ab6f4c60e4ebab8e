"""Clients over real sockets: an app as a phone has it, and a charger that says exactly what a test wants."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

TIMEOUT_S = 10


class App:
    """An app's socket. Messages that a wait passes over stay in `passed`, in order; `heard` is all it got, as text."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.passed: list[dict[str, Any]] = []
        self.heard: list[str] = []

    async def _next(self) -> dict[str, Any]:
        text = await self.socket.recv()
        assert isinstance(text, str)  # this protocol has no binary frames
        self.heard.append(text)
        return json.loads(text)

    async def send(self, message: Any) -> None:
        await self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            return await self._next()

    async def until(self, timeout_s: float = TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """The next message with these values at its top level."""
        async with asyncio.timeout(timeout_s):
            while True:
                message = await self._next()
                if all(message.get(name) == value for name, value in fields.items()):
                    return message
                self.passed.append(message)

    async def whenever(self, **fields: Any) -> dict[str, Any]:
        """The message with these values, come already or still to come."""
        for message in self.passed:
            if all(message.get(name) == value for name, value in fields.items()):
                return message
        return await self.until(**fields)

    async def act(self, action: str, data: Any = None, **more: Any) -> dict[str, Any]:
        """Perform an action; returns the `data` of its answer."""
        request_id = uuid.uuid4().hex
        await self.send({"action": action, "data": data or {}, "request_id": request_id, **more})
        return (await self.until(request_id=request_id))["data"]

    async def closed(self, timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
        """Wait for the server to close; returns its code and reason."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self.passed.append(await self._next())
        except ConnectionClosed as error:
            return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")

    async def quiet(self, seconds: float, **fields: Any) -> bool:
        """Whether nothing with these values comes for so long."""
        try:
            await self.until(seconds, **fields)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def app(url: str, token: str | None, *, path: str = "/", **options: Any) -> AsyncIterator[App]:
    query = f"?token={token}" if token is not None else ""
    options.setdefault("close_timeout", 1)  # a client with much unread does not get to the server's answer
    async with connect(
        f"{url}{path}{query}", proxy=None, compression=None, max_size=None, **options
    ) as socket:
        yield App(socket)


class FakeCharger:
    """A charger's socket, by hand. Calls from the server wait in `calls` until the test answers them."""

    def __init__(self, socket: ClientConnection, identity: str) -> None:
        self.socket, self.identity = socket, identity
        self.calls: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.answers: dict[Any, asyncio.Future[list[Any]]] = {}
        self.other: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    self.calls.put_nowait(frame)
                elif (future := self.answers.pop(frame[1], None)) and not future.done():
                    future.set_result(frame)
                else:
                    self.other.put_nowait(frame)
        except ConnectionClosed:
            pass
        for future in self.answers.values():
            if not future.done():
                future.set_exception(ConnectionError("the socket ended before the answer came"))

    async def send(self, frame: Any) -> None:
        text = frame if isinstance(frame, str | bytes) else json.dumps(frame, separators=(",", ":"))
        await self.socket.send(text)

    async def request(self, action: str, payload: Any, *, message_id: Any = None) -> list[Any]:
        """Send a CALL; returns the whole answering frame, CALLRESULT or CALLERROR."""
        message_id = message_id or uuid.uuid4().hex
        future = self.answers[message_id] = asyncio.get_running_loop().create_future()
        await self.send([2, message_id, action, payload])
        async with asyncio.timeout(TIMEOUT_S):
            return await future

    async def call(self, action: str, payload: Any | None = None) -> dict[str, Any]:
        """Send a CALL that must succeed; returns the payload of its answer."""
        frame = await self.request(action, payload if payload is not None else {})
        assert frame[0] == 3, frame
        return frame[2]

    async def boot(self) -> dict[str, Any]:
        return await self.call("BootNotification", {"chargePointVendor": "Test", "chargePointModel": "Fake"})

    async def status(self, connector: int, status: str = "Available", **more: Any) -> None:
        payload = {"connectorId": connector, "status": status, "errorCode": "NoError", **more}
        await self.call("StatusNotification", payload)

    async def ready(self, connectors: int = 2) -> "FakeCharger":
        """Boot and report every connector free."""
        await self.boot()
        for number in range(connectors + 1):
            await self.status(number)
        return self

    async def asked(self, action: str, timeout_s: float = TIMEOUT_S) -> tuple[str, dict[str, Any]]:
        """The server's next CALL, which must be this one: its message id and payload."""
        async with asyncio.timeout(timeout_s):
            frame = await self.calls.get()
        assert frame[2] == action, frame
        return frame[1], frame[3]

    async def answer(self, message_id: str, payload: Any) -> None:
        await self.send([3, message_id, payload])

    async def accepts(self, action: str, **more: Any) -> dict[str, Any]:
        """Be asked for something and accept it; returns what was asked."""
        message_id, payload = await self.asked(action)
        await self.answer(message_id, {"status": "Accepted", **more})
        return payload

    async def start(self, *, connector: int = 1, id_tag: str, meter: int = 1000, at: str) -> int:
        """StartTransaction; returns the transaction id."""
        payload = {"connectorId": connector, "idTag": id_tag, "meterStart": meter, "timestamp": at}
        return (await self.call("StartTransaction", payload))["transactionId"]

    async def meter(self, *, transaction: int | None, at: str, connector: int = 1, **values: Any) -> None:
        """MeterValues; energy in Wh, and further sampled values by measurand with dots as underscores."""
        sampled = [{"value": str(values.pop("energy"))}] if "energy" in values else []
        sampled += [{"measurand": name.replace("_", "."), "value": str(v)} for name, v in values.items()]
        payload: dict[str, Any] = {
            "connectorId": connector,
            "meterValue": [{"timestamp": at, "sampledValue": sampled}],
        }
        if transaction is not None:
            payload["transactionId"] = transaction
        await self.call("MeterValues", payload)

    async def stop(self, *, transaction: int, meter: int, at: str, **more: Any) -> dict[str, Any]:
        payload = {"transactionId": transaction, "meterStop": meter, "timestamp": at, **more}
        return await self.call("StopTransaction", payload)

    async def closed(self, timeout_s: float = TIMEOUT_S) -> tuple[int | None, str]:
        """Wait for the server to close; returns its code and reason."""
        async with asyncio.timeout(timeout_s):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason or ""


@asynccontextmanager
async def charger(
    url: str,
    identity: str,
    *,
    password: str | bytes | None = None,
    user: str | None = None,
    subprotocols: list[str] | None = None,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[FakeCharger]:
    headers = dict(headers or {})
    if password is not None:
        secret = password.encode() if isinstance(password, str) else password
        credentials = (user or identity).encode() + b":" + secret
        headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    async with connect(
        f"{url}/ocpp/{quote(identity, safe='')}",
        subprotocols=[Subprotocol(name) for name in (["ocpp1.6"] if subprotocols is None else subprotocols)]
        or None,
        additional_headers=headers,
        proxy=None,
        compression=None,
        close_timeout=2,
        **options,
    ) as socket:
        fake = FakeCharger(socket, identity)
        try:
            yield fake
        finally:
            fake.reader.cancel()


async def eventually(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
    """What the condition gives once that is true: some rows are written a moment after the answer."""
    async with asyncio.timeout(timeout_s):
        while not (found := condition()):
            await asyncio.sleep(0.02)
    return found
