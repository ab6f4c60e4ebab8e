"""uvicorn's WebSocket, whose pings the consumer behind it may turn off, or answer for where no pong comes."""

from collections.abc import Callable
from typing import Any

from websockets.http11 import Request

from gateway.frames import QuickFrames


class PingedSocket(QuickFrames):
    """`silence_s`, if set, tells for how long nothing was heard: a frame since the ping is as good as its pong."""

    silence_s: Callable[[], float] | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # its handshake was one; the consumer has not begun yet
            self.scope["state"]["line"] = self

    def meet(self, target: bytes, headers: list[tuple[bytes, bytes]], answer: bytes) -> None:
        super().meet(target, headers, answer)
        self.scope["state"]["line"] = self

    def send_pings(self, wanted: bool) -> None:
        """From now on, or from the handshake on; a socket is pinged unless told otherwise."""
        was_wanted = self.ping_interval is not None
        self.ping_interval = self.config.ws_ping_interval if wanted else None
        if not wanted:
            self.stop_keepalive()
        elif not was_wanted and self.handshake_complete:
            self.start_keepalive()

    def keepalive_timeout(self) -> None:
        silence_s = self.silence_s() if self.silence_s else None
        if silence_s is None or silence_s >= (self.ping_timeout or 0):
            super().keepalive_timeout()
            return
        self.pong_timer = None
        self.pending_ping_payload = None
        assert self.ping_interval is not None  # it was just sent one
        delay = max(0.0, self.ping_interval - silence_s)
        self.ping_timer = self.loop.call_later(delay, self.send_keepalive_ping)


def line_of(scope: dict[str, Any]) -> PingedSocket | None:
    """The socket behind a consumer; None under a server other than ours."""
    return scope.get("state", {}).get("line")
