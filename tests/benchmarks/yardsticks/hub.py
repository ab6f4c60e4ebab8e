"""The practical limit of pushing over Redis: a bare ASGI application on our own server program, one subscription
for all sockets, and what comes is written to them as it is. No groups that change, no back-pressure, no reconnect."""

import asyncio
import os
import socket
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import uvicorn
from redis.asyncio import Redis


class Hub:
    """One pub/sub connection; each channel's members are functions that take a text."""

    def __init__(self) -> None:
        self.members: dict[bytes, set[Callable[[str], None]]] = defaultdict(set)
        self.pubsub = Redis.from_url(os.environ["REDIS_URL"], socket_timeout=None).pubsub(
            ignore_subscribe_messages=True
        )
        self.connecting = asyncio.Lock()  # the first command opens the connection, and only one may
        self.pump: asyncio.Task[None] | None = None

    async def join(self, channel: bytes, push: Callable[[str], None]) -> None:
        self.members[channel].add(push)
        async with self.connecting:
            await self.pubsub.subscribe(channel)
        if self.pump is None:
            self.pump = asyncio.create_task(self._pump())

    async def leave(self, channel: bytes, push: Callable[[str], None]) -> None:
        self.members[channel].discard(push)
        if not self.members[channel]:
            await self.pubsub.unsubscribe(channel)

    async def _pump(self) -> None:
        while True:
            message = await self.pubsub.get_message(timeout=None)
            if message is not None:
                text = message["data"].decode()
                for push in self.members.get(message["channel"], ()):
                    push(text)


hub: Hub | None = None


async def application(scope: Any, receive: Any, send: Any) -> None:
    global hub
    hub = hub or Hub()
    await receive()
    await send({"type": "websocket.accept"})
    writing: set[asyncio.Task[None]] = set()

    def push(text: str) -> None:
        task = asyncio.create_task(send({"type": "websocket.send", "text": text}))
        writing.add(task)
        task.add_done_callback(writing.discard)

    channel = scope["path"].strip("/").encode()
    await hub.join(channel, push)
    await send({"type": "websocket.send", "text": "joined"})
    while (await receive())["type"] != "websocket.disconnect":
        pass
    await hub.leave(channel, push)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        application,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_level="error",
    )
    print(f"listens on http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
