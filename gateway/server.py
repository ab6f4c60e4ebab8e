"""Runs the ASGI application under uvicorn, with the settings the sockets want."""

import asyncio
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import CommandError

from gateway import draining, tls
from gateway.handshakes import Http
from gateway.tls import TlsSocket

# Above the app protocol's 64 KiB, so that a large message is answered rather than cut off; above it, close 1009.
MAX_FRAME_BYTES = 1024 * 1024


def config(*, host: str, port: int) -> uvicorn.Config:
    """uvicorn as measured: no compression (36 KiB a socket), pings on every socket, no access log (it has tokens)."""
    return uvicorn.Config(
        settings.ASGI_APPLICATION.rpartition(".")[0] + ":application",
        host=host,
        port=port,
        http=Http,
        ws=TlsSocket,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=settings.WS_PING_INTERVAL_S,
        ws_ping_timeout=settings.WS_PING_TIMEOUT_S,
        ws_per_message_deflate=False,
        interface="asgi3",
        timeout_graceful_shutdown=20,
        backlog=4096,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # whose word counts is gateway.proxies' to say, whatever the server
    )


def listening_socket(host: str, port: int) -> socket.socket:
    """The port, taken before anything else is begun. CommandError, in words, if somebody else has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Sockets accepted here inherit it. A client that reads nothing has a full line: what ends it, the ping's
        # time-out, waits behind what it does not read, for ever (E4).
        patience_s = settings.WS_PING_INTERVAL_S + settings.WS_PING_TIMEOUT_S
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_s * 1000)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else "is not ours to open"
            raise CommandError(f"Port {port} {why}. Choose another one: PORT={port + 1}") from error
        raise CommandError(f"Cannot listen on {host}:{port}: {error}") from error
    listener.listen(4096)
    listener.setblocking(False)
    return listener


class Server(uvicorn.Server):
    """uvicorn's server, on a second port with TLS if it is given one; it calls back once it serves."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], Any] = lambda: None,
        *,
        tls_listener: socket.socket | None = None,
    ) -> None:
        super().__init__(config)
        self.on_started = on_started
        self.tls_listener = tls_listener
        self.renewal: asyncio.Task[None] | None = None
        self.signals: list[int] = []
        self.hurried = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        draining.reset()
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.tls_listener is not None:
            await self._serve_tls(self.tls_listener)
        _settle_in()
        self.on_started()

    async def _serve_tls(self, listener: socket.socket) -> None:
        loop, context = asyncio.get_running_loop(), tls.context()

        def protocol() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            )

        backlog = self.config.backlog
        self.servers.append(await loop.create_server(protocol, sock=listener, ssl=context, backlog=backlog))
        self.renewal = asyncio.create_task(tls.keep_fresh(context))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins to drain, a second hurries it, a third breaks it off.

        They are not raised again at the end, as uvicorn does it: who was asked to leave, and left, exits with 0.
        """
        self.signals.append(sig)
        if len(self.signals) == 2 and self.loop is not None:
            self.loop.call_soon_threadsafe(self.hurried.set)
        self.should_exit, self.force_exit = True, len(self.signals) > 2

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.renewal is not None:
            self.renewal.cancel()
        # No load balancer has to notice where somebody presses Ctrl-C.
        notice_s = settings.DRAIN_NOTICE_S if self.signals[:1] == [signal.SIGTERM] else 0
        await draining.drain(notice_s=notice_s, over=self.hurried)
        # Closed before the other side has read our last words, a line may take them with it.
        await draining.until(lambda: not self._websockets(), over=self.hurried)
        await super().shutdown(sockets)

    def _websockets(self) -> list[Any]:
        return [line for line in self.server_state.connections if isinstance(line, TlsSocket)]


def _settle_in() -> None:
    """Python's own settings for a process that has loaded everything and now serves many."""
    # What is loaded stays. Without this the collector looks through it again and again, a quarter of all time under
    # load; and there is little else for it to find, so it comes less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    # A thread that comes back from the database waits at most this long for the busy event loop (5 ms otherwise).
    sys.setswitchinterval(0.0005)
