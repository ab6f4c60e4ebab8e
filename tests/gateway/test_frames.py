"""The short way of a WebSocket's frames: whatever arrives, in whatever pieces, it is as uvicorn's own way has it."""

import asyncio
import struct
from typing import Any

import pytest
import uvicorn
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Opcode, apply_mask

from gateway.frames import Arrived, QuickFrames

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MAX_SIZE = 70_000


class Line(asyncio.Transport):
    """What a server writes, and whether it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.reads, self.is_closed, self.pauses = b"", True, False, 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.reads = False
        self.pauses += 1

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


class Conversation:
    """A client's bytes given to a protocol, and what the application behind it hears; texts it says back."""

    def __init__(self, kind: type[WebSocketsSansIOProtocol]) -> None:
        self.heard: list[dict[str, Any]] = []
        self.may_read = asyncio.Event()
        self.may_read.set()
        config = uvicorn.Config(
            self.app,
            interface="asgi3",
            proxy_headers=False,
            ws_max_size=MAX_SIZE,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            log_config=None,
        )
        config.load()
        self.line = Line()
        self.protocol = kind(config=config, server_state=ServerState(), app_state={})
        self.protocol.connection_made(self.line)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await self.may_read.wait()
            message = await receive()
            self.heard.append(message)
            if message["type"] == "websocket.disconnect":
                return
            try:
                await send({"type": "websocket.send", "text": message.get("text") or "bytes"})
            except OSError:
                return

    async def say(self, *pieces: bytes) -> "Conversation":
        self.protocol.data_received(HANDSHAKE)
        for piece in pieces:
            await quiet()
            if self.line.is_closed or self.protocol.conn.reader.eof:
                break
            self.protocol.data_received(piece)
        await quiet()
        return self

    async def end(self) -> "Conversation":
        self.protocol.connection_lost(None)
        await quiet()
        return self


async def quiet() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


def frame(
    payload: bytes, opcode: int = Opcode.TEXT, *, fin: bool = True, mask: bytes = b"\x01\x02\x03\x04"
) -> bytes:
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
    return head + mask + apply_mask(payload, mask)


texts = st.one_of(
    st.text(max_size=40),
    st.integers(120, 130).map("x".__mul__),
    st.integers(65_530, 65_540).map("é".__mul__),
    st.just("y" * (MAX_SIZE + 1)),
)
whole = texts.map(lambda text: frame(text.encode()))
frames = st.one_of(
    whole,
    whole,
    st.tuples(st.binary(max_size=9), st.binary(max_size=9)).map(
        lambda parts: frame(b"a" + parts[0], fin=False) + frame(b"b", Opcode.PING) + frame(b"c", Opcode.CONT)
    ),
    st.binary(max_size=20).map(frame),  # not always UTF-8
    st.binary(max_size=20).map(lambda data: frame(data, Opcode.BINARY)),
    st.binary(max_size=20).map(lambda data: frame(data, Opcode.PONG)),
    st.just(frame(struct.pack("!H", 1000) + b"bye", Opcode.CLOSE)),
    st.sampled_from([frame(b"begun", fin=False), frame(b"ended", Opcode.CONT)]),
    st.just(b"\x81\xfe\x00\x05" + b"\0\0\0\0short"),  # longer than it need be
    st.binary(min_size=1, max_size=12),
)


FIRST = frame(b"first")


@given(messages=st.lists(frames, max_size=6), cuts=st.lists(st.integers(0, 200), max_size=6))
@example(messages=[FIRST, frame(b"begun", fin=False), frame(b"text")], cuts=[])
@example(messages=[FIRST, frame(b"in parts"), frame(b"text")], cuts=[20, 2])
@example(
    messages=[FIRST, frame(b"hello", mask=b"\x81\x83\0\0"), frame(b"text")], cuts=[20, 2]
)  # as if a frame began
@example(messages=[FIRST, frame(b"two") + frame(b"at once")], cuts=[])
@example(messages=[FIRST, frame(struct.pack("!H", 1000), Opcode.CLOSE), frame(b"text")], cuts=[])
@settings(max_examples=150, deadline=None)
def test_anything_in_any_pieces_is_heard_and_answered_as_by_uvicorn_itself(
    messages: list[bytes], cuts: list[int]
) -> None:
    """Pieces are the frames themselves, and what cuts make of them."""
    pieces = list(messages)
    for number, cut in enumerate(cuts):
        if number < len(pieces):
            piece = pieces[number]
            pieces[number : number + 1] = [part for part in (piece[:cut], piece[cut:]) if part]

    async def both() -> tuple[Any, Any]:
        ours, theirs = (Conversation(kind) for kind in (QuickFrames, WebSocketsSansIOProtocol))
        for each in (ours, theirs):
            await (await each.say(*pieces)).end()
        return (ours.heard, ours.line.written), (theirs.heard, theirs.line.written)

    ours, theirs = asyncio.run(both())
    assert ours == theirs


async def test_a_whole_text_does_not_pass_through_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = await Conversation(QuickFrames).say(frame(b"one"))
    monkeypatch.setattr(talk.protocol.conn, "receive_data", pytest.fail)
    monkeypatch.setattr(talk.protocol.conn, "send_text", pytest.fail)
    talk.protocol.data_received(frame(b"two"))
    await quiet()
    assert [message["text"] for message in talk.heard] == ["one", "two"]
    assert talk.line.written.endswith(b"\x81\x03one\x81\x03two")
    monkeypatch.undo()
    await talk.end()


async def test_a_reader_behind_holds_up_the_sender() -> None:
    talk = await Conversation(QuickFrames).say(FIRST)
    talk.may_read.clear()
    for text in (b"read", b"waits", b"waits, too"):
        talk.protocol.data_received(frame(text))
        await quiet()
    reads = [talk.line.reads]
    talk.may_read.set()
    await quiet()
    assert [*reads, talk.line.reads] == [False, True]
    assert [message["text"] for message in talk.heard] == ["first", "read", "waits", "waits, too"]
    await talk.end()


async def test_what_the_line_cannot_take_waits() -> None:
    talk = await Conversation(QuickFrames).say(frame(b"1"))
    talk.protocol.pause_writing()
    talk.protocol.data_received(frame(b"2"))
    await quiet()
    assert not talk.line.written.endswith(b"\x81\x012")
    talk.protocol.resume_writing()
    await quiet()
    assert talk.line.written.endswith(b"\x81\x012")
    await talk.end()


async def test_what_arrives_outlives_a_reader_that_is_cancelled() -> None:
    arrived = Arrived(asyncio.get_running_loop())

    async def read() -> Any:
        while arrived.empty():
            await arrived.next()
        return arrived.pop()

    reader = asyncio.create_task(read())
    await quiet()
    arrived.put_nowait("kept")
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await read() == "kept"
    assert arrived.empty()


async def test_a_listener_takes_what_it_will_and_never_overtakes() -> None:
    talk = await Conversation(QuickFrames).say(FIRST)
    offered: list[str] = []

    def listen(text: str) -> bool:
        offered.append(text)
        return text.startswith("mine")

    talk.protocol.listener = listen  # type: ignore[attr-defined]
    for text in (b"mine 1", b"not 2", b"mine 3", b"x" * 70, b"mine " + b"y" * 66_000):
        talk.protocol.data_received(frame(text))
    assert offered == ["mine 1", "not 2"]  # behind one that waits, all do
    await quiet()
    talk.protocol.data_received(frame(b"mine 4"))
    talk.protocol.data_received(frame(b"mine 5", fin=False))
    talk.protocol.data_received(frame(b"", Opcode.CONT))
    await quiet()
    assert offered == ["mine 1", "not 2", "mine 4"]  # what comes in pieces goes uvicorn's way
    heard = [message["text"][:6] for message in talk.heard]
    assert heard == ["first", "not 2", "mine 3", "xxxxxx", "mine y", "mine 5"]
    await talk.end()


async def test_what_can_be_sent_at_once_is_and_nothing_of_what_cannot() -> None:
    talk = await Conversation(QuickFrames).say(FIRST)
    protocol = talk.protocol
    assert isinstance(protocol, QuickFrames)
    before = len(talk.line.written)
    assert protocol.takes_more() and protocol.try_send("now")
    assert talk.line.written[before:] == b"\x81\x03now"
    assert not protocol.try_send("z" * 65_536)
    protocol.pause_writing()
    assert not protocol.takes_more() and not protocol.try_send("later")
    protocol.resume_writing()
    await talk.end()
    assert not protocol.takes_more() and not protocol.try_send("too late")
    assert talk.line.written[before:] == b"\x81\x03now"
