"""The paths whose instructions are counted, each run some times and then more often: the difference is theirs alone.

    python -m tests.benchmarks.hot_paths MARKS      (under valgrind; tests.benchmarks.instructions does it)

Frames go into the real consumers and answers come out, as under a server, but all in one thread: nothing that a clock
or another thread decides is counted. Needs a migrated database.
"""

import asyncio
import ctypes
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from tests.benchmarks import messages

FEW, MANY = 10, 40
PATIENCE_S = 30
WARM_UP = 100  # Python adapts its bytecode to what it meets; then caches are filled, too

Path = Callable[[int], Awaitable[None]]


def reference() -> object:
    """What all else is compared with: plain Python, which costs as much as this Python makes it cost."""
    counts: dict[str, int] = {}
    for number in range(500):
        word = f"k{number % 50}"
        counts[word] = counts.get(word, 0) + number
    return sorted(counts.items(), key=lambda item: item[1])


class Line:
    """The other side of a consumer: says what it is given, and keeps what it hears. A charger's has it for its line."""

    listener: Callable[[str], bool] | None = None
    silence_s: Callable[[], float] | None = None

    def __init__(self, path: str, *, query: str = "", subprotocols: tuple[str, ...] = ()) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.heard: list[str] = []
        self.scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [],
            "client": ("127.0.0.1", 40000),
            "subprotocols": list(subprotocols),
            "extensions": {},
            "state": {"line": self},
        }

    def send_pings(self, wanted: bool) -> None: ...

    def takes_more(self) -> bool:
        return True

    def try_send(self, text: str) -> bool:
        self._keep(text)
        return True

    def try_send_all(self, texts: Sequence[str]) -> bool:
        for text in texts:
            self._keep(text)
        return True

    async def hear(self, message: dict[str, Any]) -> None:
        self._keep(message.get("text") or "")

    def _keep(self, text: str) -> None:
        """What is counted must be what was meant: the failure of a path is cheap, or dear."""
        if text.startswith(messages.CALL_FAILED) or messages.ACTION_FAILED in text:
            raise RuntimeError(f"an answer that counts for nothing: {text}")
        self.heard.append(text)

    async def say(self, frames: list[str]) -> None:
        """Say them all and wait for as many answers."""
        expected = len(self.heard) + len(frames)
        for frame in frames:
            if self.listener is None or not self.listener(frame):
                self.incoming.put_nowait({"type": "websocket.receive", "text": frame})
        await self.until(expected)

    async def until(self, count: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(self.heard) < count:
                    await asyncio.sleep(0)
        except TimeoutError:
            heard = f"{len(self.heard)} of {count} answers came, the last {self.heard[-1]}"
            raise RuntimeError(f"{self.scope['path']}: {heard}") from None


@asynccontextmanager
async def connected(line: Line, greetings: int) -> AsyncIterator[None]:
    """The line, with the project's own consumer at its end that has accepted and greeted it."""
    from gateway.routing import websockets

    consumer = asyncio.create_task(websockets(line.scope, line.incoming.get, line.hear))
    line.incoming.put_nowait({"type": "websocket.connect"})
    await line.until(greetings)
    yield
    line.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await consumer


def _charge() -> Any:
    """A driver, and a session that runs."""
    from django.contrib.auth.models import User

    from tests.factories import make_session, unique

    user = User.objects.create(username=unique("driver"), password="!bench")
    return user, make_session(user=user, user_place=0)


def _encode(rows: list[dict[str, Any]]) -> None:
    from sessions import meter_store

    meter_store.parameters(rows, "postgresql")


def _without_database_and_clock() -> None:
    """Rows are made and left; nothing is written beside, published, or done later in a thread."""
    from chargers import bus
    from gateway.ocpp import wire_log
    from gateway.ocpp.writer import GroupCommitWriter
    from sessions import meter_store

    def at_once(self: Any, item: Any, done: Any) -> bool:
        self.write([item])
        done(None)
        return True

    async def in_turn(self: Any, item: Any) -> None:
        self.write([item])

    assert callable(GroupCommitWriter.add)
    assert callable(GroupCommitWriter.put)
    assert callable(meter_store.insert)
    assert callable(bus.post)
    GroupCommitWriter.add = in_turn  # type: ignore[method-assign]
    GroupCommitWriter.put = at_once  # type: ignore[method-assign]
    meter_store.insert = _encode
    bus.post = lambda envelopes: None
    wire_log._log = wire_log.WireLog(lambda rows: None, lambda breaches: None, interval_s=3600)


async def count(marks: Any, paths: dict[str, Path]) -> None:
    for path in paths.values():
        await path(WARM_UP)
    gc.collect()
    gc.disable()
    marks.begin()
    for name, path in paths.items():
        for times in (FEW, MANY):
            marks.zero()
            await path(times)
            marks.dump(f"{name} {times}".encode())


async def main(marks: Any) -> None:
    from channels.layers import get_channel_layer

    from chargers.events import Notification, envelopes_for, user_group, utcnow
    from gateway import auth

    user, session = await asyncio.to_thread(_charge)
    token = auth.tokens_for(user)[0]
    _without_database_and_clock()
    layer: Any = get_channel_layer()
    numbers = iter(range(10_000, 1 << 30))  # registers, too, so above the start's

    def frames(text: str, times: int) -> list[str]:
        made = []
        for number in (next(numbers) for _ in range(times)):
            at = (utcnow() + timedelta(milliseconds=number)).isoformat(timespec="milliseconds")
            made.append(
                text.replace(messages.NUMBER, f"{number:08d}").replace(
                    messages.TIME, at.replace("+00:00", "Z")
                )
            )
        return made

    meter_values = json.loads(messages.meter_values().replace(messages.SOCKET, "000000"))
    meter_values[3]["transactionId"] = session.transaction_id
    report = json.dumps(meter_values, separators=(",", ":"))

    app = Line("/", query=f"token={token}")
    charger = Line(f"/ocpp/{session.charger.identity}", subprotocols=("ocpp1.6",))
    async with connected(app, 3), connected(charger, 1):

        async def plain(times: int) -> None:
            for _ in range(times):
                reference()

        async def token_check(times: int) -> None:
            for _ in range(times):
                auth._verified.__wrapped__(token)

        async def action(times: int) -> None:
            await app.say(frames(messages.action("ping"), times))

        async def event(times: int) -> None:
            expected = len(app.heard) + times
            for _ in range(times):
                notice = Notification(title="Benchmark", message="One of many")
                for _, group, message in envelopes_for(notice, [user_group(user.pk)]):
                    await layer.group_send(group, message)
            await app.until(expected)

        async def heartbeat(times: int) -> None:
            await charger.say(frames(messages.heartbeat(), times))

        async def meter(times: int) -> None:
            await charger.say(frames(report, times))

        await count(
            marks,
            {
                "reference": plain,
                "token check": token_check,
                "app action": action,
                "event forwarded": event,
                "Heartbeat": heartbeat,
                "MeterValues": meter,
            },
        )


if __name__ == "__main__":
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # what has a thread elsewhere is done in this one
    import django

    django.setup()
    asyncio.run(main(ctypes.CDLL(sys.argv[1])))
