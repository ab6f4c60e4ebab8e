"""Server processes of a soak: `manage.py serve` on free ports, killed or asked to leave, and started again."""

import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO, Literal

import redis
from django.conf import settings

Mishap = Literal["kill", "rolling", "redis"]

ROOT = Path(__file__).resolve().parent.parent.parent
START_TIMEOUT_S = 120

# Short times, so that what ends by time ends within the run.
SETTINGS = {
    "COMMAND_TIMEOUT_S": "6",
    "START_TIMEOUT_S": "12",
    "SWEEP_INTERVAL_S": "1",
    "PRESENCE_INTERVAL_S": "3",
    "WS_PING_INTERVAL_S": "5",
    "WS_PING_TIMEOUT_S": "5",
    "HEARTBEAT_INTERVAL_S": "3",
    "DRAIN_NOTICE_S": "1",
    "DRAIN_S": "3",
    "LOG_LEVEL": "WARNING",
}


class ServerProcess:
    """One process; its log, what it said of trouble included, is a file until the end."""

    def __init__(self, log: IO[str], processes: int) -> None:
        self.log = log
        self._said = log.tell()
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--host", "127.0.0.1", "--port", "0"],
            cwd=ROOT,
            env={**os.environ, **SETTINGS, "PROCESSES": str(processes)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.url = ""

    async def ready(self) -> None:
        """Wait until it serves."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while not self.url:
                if self._process.poll() is not None:
                    raise RuntimeError(f"a server did not start:\n{self.said()}")
                _, found, rest = self.said().partition("listens on http://")
                if found and "/" in rest:
                    self.url = f"ws://{rest.partition('/')[0]}"
                await asyncio.sleep(0.05)

    def said(self) -> str:
        text = Path(self.log.name).read_text(errors="replace")
        return text[self._said :]

    async def end(self, signal_: signal.Signals) -> int:
        self._process.send_signal(signal_)
        return await asyncio.to_thread(self._process.wait, 60)

    def end_at_once(self) -> None:
        self._process.kill()
        self._process.wait()


def end_redis() -> None:
    """And wait until another answers."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        started = client.info("server")["run_id"]
        client.shutdown(nosave=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            time.sleep(0.1)
            with contextlib.suppress(redis.RedisError):
                if client.info("server")["run_id"] != started:
                    return
    raise RuntimeError("nobody started Redis again")


class Servers:
    """Some of them; `url` is what a load balancer would choose."""

    def __init__(self, count: int, chance: random.Random) -> None:
        self.count: Counter[Mishap] = Counter()
        self._chance = chance
        self._count = count
        self._folder = tempfile.TemporaryDirectory(prefix="evcharge-soak-")
        self._logs = [(Path(self._folder.name) / f"server{number}.log").open("w+") for number in range(count)]
        self._running: list[ServerProcess] = []

    async def start(self) -> None:
        self._running = [ServerProcess(log, self._count) for log in self._logs]
        await asyncio.gather(*(server.ready() for server in self._running))

    def url(self) -> str:
        """One that serves, or one that did: a client does not know."""
        serving = [server.url for server in self._running if server.url]
        return self._chance.choice(serving) if serving else "ws://127.0.0.1:9"

    async def befall(self, mishap: Mishap) -> None:
        """Let it happen, and return when all serve again."""
        await {"kill": self._kill, "rolling": self._roll, "redis": self._end_redis}[mishap]()
        self.count[mishap] += 1

    async def _kill(self) -> None:
        """As when a machine dies; another takes its place a moment later."""
        number = self._chance.randrange(self._count)
        await self._running[number].end(signal.SIGKILL)
        await self._replace(number, pause_s=self._chance.uniform(0.2, 2))

    async def _roll(self) -> None:
        """As when a new version is deployed: one after the other leaves in good order."""
        for number in range(self._count):
            if status := await self._running[number].end(signal.SIGTERM):
                raise RuntimeError(f"a server that was asked to leave ended with {status}")
            await self._replace(number)

    async def _replace(self, number: int, *, pause_s: float = 0) -> None:
        dead = self._running[number]
        dead.url = ""
        await asyncio.sleep(pause_s)
        dead.log.seek(0, os.SEEK_END)
        self._running[number] = ServerProcess(dead.log, self._count)
        await self._running[number].ready()

    async def _end_redis(self) -> None:
        """Who looks after it starts it again: its service manager, or `make soak`."""
        await asyncio.to_thread(end_redis)

    async def stop(self) -> None:
        """An orderly end: what is in their queues is still written."""
        await asyncio.gather(*(server.end(signal.SIGTERM) for server in self._running))

    def close(self) -> None:
        """None is left behind, however the run ended."""
        for server in self._running:
            server.end_at_once()
        for log in self._logs:
            log.close()
        self._folder.cleanup()

    def complaints(self) -> list[str]:
        """The errors in their logs, as `complaints_in` tells them."""
        for log in self._logs:
            log.flush()
        texts = [Path(log.name).read_text(errors="replace") for log in self._logs]
        return [complaint for text in texts for complaint in complaints_in(text)]


# A line of the log begins with the time; a traceback's do not.
_ERROR = re.compile(r"^(.* ERROR .*)\n((?:(?!\d{4}-).*\n)*)", re.MULTILINE)
# After its frames, which are indented, a traceback names its exception; what follows at column 0 is the exception's
# further lines, or somebody else's.
_RAISED = re.compile(r"^Traceback \(most recent call last\):\n(?: .*\n)*(\S.*)", re.MULTILINE)


def complaints_in(text: str) -> list[str]:
    """The errors in a log, each with the exception it came to, if there is one: of a chain the last."""
    return [" … ".join([found[1], *_RAISED.findall(found[2])[-1:]]) for found in _ERROR.finditer(text)]
