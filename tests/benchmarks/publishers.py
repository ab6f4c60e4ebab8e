"""Who publishes: a process of its own, on the processors of the load, that does it as a server process does.

    python -m tests.benchmarks.publishers evcharge|hub GROUPS

GROUPS is a file with one group per line. Takes commands on its input and answers each with a line of JSON:

    publish RATE SECONDS     so many events a second, to each group in turn
    flood COUNT BYTES        so many events of that size to the first group, as fast as the bus takes them
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Protocol

EVCHARGE, HUB = "evcharge", "hub"
LENGTH = 300  # of an event's text, about what a session's update has


class Publisher:
    """The measurement's end of that process."""

    def __init__(self, kind: str, groups: Sequence[str], **environment: str) -> None:
        self.groups = tempfile.NamedTemporaryFile("w", prefix="evcharge-bench-")  # noqa: SIM115
        self.groups.write("".join(f"{group}\n" for group in groups))
        self.groups.flush()
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, kind, self.groups.name],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.sent()  # it is ready

    def publish(self, per_s: float, seconds: float) -> None:
        """Begin; `sent` waits for its end."""
        self._tell(f"publish {per_s} {seconds}")

    def flood(self, count: int, size: int) -> None:
        self._tell(f"flood {count} {size}")

    def _tell(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def sent(self) -> int:
        """How many were published, when all are."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the publisher ended; the reason stands above")
        return int(json.loads(line)["sent"])

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate(timeout=30)  # closes its input, and so ends it
        self.groups.close()


# --- the process ---


class Way(Protocol):
    """How an event gets on the bus: `post` may return before it is there, `push` does not."""

    def post(self, group: str, length: int) -> None: ...

    def push(self, group: str, length: int) -> Awaitable[None]: ...


def _evcharge() -> Way:
    import django

    django.setup()
    from channels.layers import get_channel_layer

    from chargers import bus
    from chargers.events import Event, envelopes_for

    class Pushed(Event, kw_only=True, frozen=True, tag="benchmark"):
        ts: int
        padding: str

    def envelope(group: str, length: int) -> bus.Envelope:
        return envelopes_for(Pushed(ts=_now_us(), padding="x" * length), [group])[0]

    class Bus:
        def __init__(self) -> None:
            bus.attach()
            self.layer: Any = get_channel_layer()

        def post(self, group: str, length: int) -> None:
            bus.post([envelope(group, length)])

        async def push(self, group: str, length: int) -> None:
            _, address, message = envelope(group, length)
            await self.layer.group_send(address, message)

    return Bus()


def _hub() -> Way:
    from redis.asyncio import BlockingConnectionPool, Redis

    class Redises:
        def __init__(self) -> None:
            pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=20)
            self.redis = Redis(connection_pool=pool)
            self.tasks: set[asyncio.Task[None]] = set()

        def post(self, group: str, length: int) -> None:
            task = asyncio.ensure_future(self.push(group, length))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        async def push(self, group: str, length: int) -> None:
            await self.redis.publish(group, json.dumps({"ts": _now_us(), "padding": "x" * length}))

    return Redises()


def _now_us() -> int:
    return time.monotonic_ns() // 1000


async def _publish(way: Way, groups: Sequence[str], per_s: float, seconds: float) -> int:
    began, total = time.monotonic(), max(1, round(per_s * seconds))
    for number in range(total):
        if (early := began + number / per_s - time.monotonic()) > 0:
            await asyncio.sleep(early)
        way.post(groups[number % len(groups)], LENGTH)
    await asyncio.sleep(0.1)  # the last of them leaves
    return total


async def _flood(way: Way, group: str, count: int, length: int) -> int:
    for _ in range(count):
        await way.push(group, length)
    return count


async def serve(kind: str, groups: Sequence[str]) -> None:
    way = _evcharge() if kind == EVCHARGE else _hub()
    await way.push("benchmark.nobody", 1)  # the connection is open
    print('{"sent": 0}', flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, first, second = line.split()
        if command == "publish":
            sent = await _publish(way, groups, float(first), float(second))
        else:
            sent = await _flood(way, groups[0], int(first), int(second))
        print(json.dumps({"sent": sent}), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.argv[1], Path(sys.argv[2]).read_text().split()))
