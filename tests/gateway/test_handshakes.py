"""The short way of a WebSocket's handshake: whatever a client sends is answered, and seen, as by uvicorn's own way."""

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.handshakes import MAX_HEADERS, MAX_LINE, Http
from gateway.pings import PingedSocket
from tests.gateway.test_frames import Line, frame, quiet

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
USUAL = ("Upgrade: websocket", "Connection: Upgrade", KEY, "Sec-WebSocket-Version: 13")


class SwitchingLine(Line):
    protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


async def answered(kind: type[HttpToolsProtocol], head: bytes) -> tuple[list[bytes], dict[str, Any], bytes]:
    """The answer's lines, sorted and without its date; the scope; and what is said back to a frame."""
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(dict(scope))
        await receive()
        if scope["path"] == "/refused":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        await send({"type": "websocket.send", "text": (await receive()).get("text", "")})

    config = uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,
        ws=PingedSocket,
        ws_per_message_deflate=False,
        log_config=None,
    )
    config.load()
    line = SwitchingLine()
    http = kind(config=config, server_state=ServerState(), app_state={})
    http.connection_made(line)
    http.data_received(head)
    await quiet()
    written = line.written
    if written.startswith(b"HTTP/1.1 101"):
        line.protocol.data_received(frame(b"hello"))
        await quiet()
    lines = written.split(b"\r\n")
    scope = scopes[0] if scopes else {}
    assert (scope.pop("state", {}).pop("line", None) is not None) == bool(scopes)
    line.protocol.connection_lost(None)
    await quiet()
    words = [each.lower() for each in lines if not each.lower().startswith(b"date:")]
    return sorted(words), scope, line.written[len(written) :]


@pytest.mark.parametrize(
    ("target", "headers", "is_quick"),
    [
        ("/?token=a.b-c&x=%20", USUAL, True),
        ("/ocpp/CP%2F1%C3%A9", (*USUAL, "Sec-WebSocket-Protocol: ocpp1.6, ocpp2.0.1"), True),
        ("/", (*USUAL, "Sec-WebSocket-Protocol: b", "Sec-WebSocket-Protocol: a"), True),
        ("/refused", USUAL, True),
        ("/", ("upgrade: WebSocket", "connection: keep-alive, Upgrade", *USUAL[2:]), True),
        ("/", ("Upgrade: websocket", "Connection: Upgrade, HTTP2-Settings", *USUAL[2:]), False),
        ("/", (*USUAL, KEY), False),
        ("/", (*USUAL[:2], "Sec-WebSocket-Key: short", USUAL[3]), False),
        ("/", (*USUAL[:2], f"{KEY}?", USUAL[3]), False),
        ("/", (*USUAL[:2], USUAL[3]), False),
        ("/", (*USUAL[:3], "Sec-WebSocket-Version: 12"), False),
        ("/", (*USUAL, *(f"X-{number}: 1" for number in range(MAX_HEADERS))), False),
        ("/", (*USUAL, *(f"X-{number}: 1" for number in range(200))), False),
        ("/", (*USUAL, f"X: {'y' * (MAX_LINE + 1)}"), False),
        (f"/{'y' * (2 * MAX_LINE)}", USUAL, False),
    ],
)
async def test_a_handshake_is_answered_as_uvicorn_does(
    target: str, headers: tuple[str, ...], is_quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "\r\n".join((f"GET {target} HTTP/1.1", "Host: here", *headers, "", "")).encode()
    met: list[bytes] = []
    meet = PingedSocket.meet

    def watched(self: PingedSocket, *said: Any) -> None:
        met.append(said[0])
        meet(self, *said)

    monkeypatch.setattr(PingedSocket, "meet", watched)
    expected = await answered(HttpToolsProtocol, head)
    assert not met
    assert await answered(Http, head) == expected
    assert bool(met) == is_quick
    assert expected[0]  # it was answered


async def test_a_post_is_no_handshake() -> None:
    head = "\r\n".join(("POST / HTTP/1.1", "Host: here", *USUAL, "", "")).encode()
    assert await answered(Http, head) == await answered(HttpToolsProtocol, head)
