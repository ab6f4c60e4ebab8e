"""uvicorn's way from HTTP to a WebSocket, cut short for the handshake that nearly every client sends.

uvicorn writes the request it has read down again for websockets to read it once more, which then keeps it for as long
as the connection lives. Here what HTTP's parser found is used as it is. Every other handshake (a header twice or
missing, a key that is none, anything very long) goes uvicorn's way, and is answered as websockets answers it.
"""

from base64 import b64encode
from binascii import Error, a2b_base64
from hashlib import sha1
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import Protocol, State

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_NEEDED = frozenset({b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version"})
_SUBPROTOCOL = b"sec-websocket-protocol"
# websockets refuses more of them, or longer ones; and so it is to stay.
MAX_HEADERS, MAX_LINE = 100, 8000
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)


class Http(HttpToolsProtocol):
    """uvicorn's HTTP, handing over what it has read."""

    def handle_websocket_upgrade(self) -> None:
        answer = _answer_to(self)
        if answer is None:
            super().handle_websocket_upgrade()
            return
        self.connections.discard(self)
        socket = self.ws_protocol_class(  # type: ignore[call-arg, misc]
            config=self.config, server_state=self.server_state, app_state=self.app_state, _loop=self.loop
        )
        assert isinstance(socket, QuickHandshake)  # the configuration's
        socket.take_over(self)
        socket.meet(self.url, self.headers, answer)
        self.transport.set_protocol(socket)


def _answer_to(http: HttpToolsProtocol) -> bytes | None:
    """The value of Sec-WebSocket-Accept; None for a handshake that is not as they all are."""
    found: dict[bytes, bytes] = {}
    for name, value in http.headers:
        if len(value) > MAX_LINE:
            return None
        if name in _NEEDED:
            if name in found:
                return None
            found[name] = value
    if (
        len(found) != len(_NEEDED)
        or len(http.headers) > MAX_HEADERS
        or len(http.url) > MAX_LINE
        or not http.url.isascii()
        or http.scope["method"] != "GET"
        or http.scope["http_version"] != "1.1"
        or found[b"upgrade"].lower() != b"websocket"
        or found[b"connection"].lower() not in (b"upgrade", b"keep-alive, upgrade")
        or found[b"sec-websocket-version"] != b"13"
    ):
        return None
    key = found[b"sec-websocket-key"]
    try:
        if len(a2b_base64(key, strict_mode=True)) != 16:
            return None
    except Error:
        return None
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


class QuickHandshake(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which can also begin with a request that is read and checked."""

    answer: bytes | None = None

    def take_over(self, http: Http) -> None:
        """As `connection_made`, with the addresses as they were found: to ask again is a dozen system calls."""
        self.connections.add(self)
        self.transport, self.server, self.client = http.transport, http.server, http.client
        self.scheme = "wss" if http.scheme == "https" else "ws"

    def meet(self, target: bytes, headers: list[tuple[bytes, bytes]], answer: bytes) -> None:
        """As `data_received` with the bytes of that request; what follows them is frames."""
        self.answer = answer
        self.conn.parser = Protocol.parse(self.conn)
        next(self.conn.parser)
        self.handshake_initiated = True
        raw_path, _, query = target.partition(b"?")
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": headers,
            "subprotocols": [
                token.strip().decode("latin-1")
                for name, value in headers
                if name == _SUBPROTOCOL
                for token in value.split(b",")
            ],
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    async def send(self, message: Any) -> None:
        if self.answer is None or message["type"] != "websocket.accept" or self.disconnected:
            await super().send(message)
            return
        lines = [_SWITCHING, self.answer]
        for name, value in (*self.default_headers, *message.get("headers", ())):
            lines += (b"\r\n", name, b": ", value)
        if subprotocol := message.get("subprotocol"):
            lines += (b"\r\nSec-WebSocket-Protocol: ", subprotocol.encode("latin-1"))
        lines.append(b"\r\n\r\n")
        self.answer = None
        if not self.transport.is_closing():
            self.handshake_complete = True
            self.conn.state = State.OPEN
            self.transport.write(b"".join(lines))
            self.start_keepalive()
