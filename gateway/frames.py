"""uvicorn's WebSocket, with a short way for what nearly every message is: one text frame, whole, in one piece.

websockets' parser takes a generator step for each part of a frame, and uvicorn a queue made for many readers: together
more than all the rest of a message. Everything else goes their way: fragments, control frames, binary, broken frames,
a frame that arrives in parts, and what follows it until a frame ends where the data does.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from websockets.frames import apply_mask
from websockets.protocol import State

from gateway.handshakes import QuickHandshake

WHOLE_TEXT = 0x81  # FIN and the opcode of text
MASKED, EXTENDED = 0x80, 126
MAX_SHORT = 0xFFFF


class QuickFrames(QuickHandshake):
    """`max_size` of the configuration holds on either way.

    `listener`, where the consumer sets one, is offered each such frame here and now, with no task's turn in between.
    What it does not take (it says False) goes through the queue, and so does all that comes behind it.
    """

    listener: Callable[[str], bool] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue: Arrived = Arrived(self.loop)  # type: ignore[assignment]  # what uvicorn puts into a queue
        self.writable: Writable = Writable()  # type: ignore[assignment]  # likewise
        self.is_between_frames = False

    def data_received(self, data: bytes) -> None:
        if self.is_between_frames and (text := self._whole_text(data)) is not None:
            self._take(text)
            return
        super().data_received(data)
        self.is_between_frames = self._is_between_frames()

    def _is_between_frames(self) -> bool:
        """Whether the parser waits for the first byte of a message."""
        conn = self.conn
        return (
            self.handshake_complete
            and conn.state is State.OPEN
            and conn.parser_exc is None
            and conn.current_size is None
            and not conn.extensions
            and _innermost(conn.parser).__name__ == "at_eof"
        )

    def _whole_text(self, data: bytes) -> str | None:
        size = len(data)
        if size < 6 or data[0] != WHOLE_TEXT or self.conn.state is not State.OPEN:
            return None
        length, begin = data[1] - MASKED, 6
        if length == EXTENDED:
            length, begin = data[2] << 8 | data[3], 8
            if length < EXTENDED:
                return None
        elif not 0 <= length < EXTENDED:
            return None
        if size != begin + length or length > (self.conn.max_message_size or length):
            return None
        try:
            return apply_mask(data[begin:], data[begin - 4 : begin]).decode()
        except UnicodeDecodeError:
            return None

    def _take(self, text: str) -> None:
        if self.queue.empty():
            if self.listener is not None and self.listener(text):
                return
        elif not self.read_paused:  # one may wait; more hold up the sender
            self.read_paused = True
            self.transport.pause_reading()
        self.queue.put_nowait({"type": "websocket.receive", "text": text})

    async def receive(self) -> Any:
        """As uvicorn has it, in one coroutine."""
        arrived = self.queue
        while arrived.empty():
            await arrived.next()
        message = arrived.pop()
        if self.read_paused and arrived.empty():
            self.read_paused = False
            self.transport.resume_reading()
        return message

    async def send(self, message: Any) -> None:
        text = message.get("text")
        if text is not None and message["type"] == "websocket.send" and self.try_send(text):
            return
        await super().send(message)
        if message["type"] == "websocket.accept":
            # The handshake is over; what is left of a slow one is as large as all the rest.
            self.request = self.response = None  # type: ignore[assignment]
            self.is_between_frames = self._is_between_frames()

    def takes_more(self) -> bool:
        """Whether what is sent can be handed to the line now: it is open, and its other side reads."""
        return (
            self.conn.state is State.OPEN
            and not self.conn.extensions
            and not self.disconnected
            and self.writable.is_set()
        )

    def try_send(self, text: str) -> bool:
        """Hand a text to the line; False where it has to wait, or is too long for a short frame, and nothing is sent.

        Raises RuntimeError where the line was just lost.
        """
        if not self.takes_more():
            return False
        frame = _frame_of(text)
        if frame is not None:
            self.transport.write(frame)
        return frame is not None

    def try_send_all(self, texts: Sequence[str]) -> bool:
        """The same of several, in one piece: all or none."""
        if not self.takes_more():
            return False
        frames = [frame for text in texts if (frame := _frame_of(text)) is not None]
        if len(frames) < len(texts):
            return False
        self.transport.write(b"".join(frames))
        return True


def _frame_of(text: str) -> bytes | None:
    """One whole text frame, unmasked; None for what is too long for a short one."""
    payload = text.encode()
    length = len(payload)
    if length < EXTENDED:
        return bytes((WHOLE_TEXT, length)) + payload
    if length <= MAX_SHORT:
        return bytes((WHOLE_TEXT, EXTENDED, length >> 8, length & 0xFF)) + payload
    return None


def _innermost(generator: Any) -> Any:
    """What a generator waits for, down the chain of `yield from`."""
    while (inner := generator.gi_yieldfrom) is not None:
        generator = inner
    return generator


class Writable:
    """An asyncio.Event that is set, most of the time, and takes no room then."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None

    def is_set(self) -> bool:
        return self._event is None

    def set(self) -> None:
        if self._event is not None:
            self._event.set()
            self._event = None

    def clear(self) -> None:
        if self._event is None:
            self._event = asyncio.Event()

    async def wait(self) -> None:
        if self._event is not None:
            await self._event.wait()


class Arrived:
    """Messages for the one task that reads them."""

    __slots__ = ("_loop", "_messages", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._messages: list[Any] = []  # few at a time; a deque alone is half a kilobyte
        self._waiter: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        return not self._messages

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        if (waiter := self._waiter) is not None and not waiter.done():
            waiter.set_result(None)

    def next(self) -> "asyncio.Future[None]":
        """Done when there is a message, or the reader gave up."""
        self._waiter = self._loop.create_future()
        return self._waiter

    def pop(self) -> Any:
        """The oldest message; there must be one."""
        return self._messages.pop(0)
