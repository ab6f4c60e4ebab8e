"""Channel layers. Redis pub/sub with bounded queues and many messages at a time; memory for one process."""

import asyncio
import uuid
from collections import defaultdict
from itertools import chain
from typing import Any

import msgspec
from channels.layers import BaseChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from channels_redis.utils import _wrap_close
from redis.exceptions import ConnectionError as ConnectionLost

MAX_WAITING = 256

# What a socket's consumer gets instead of what it did not read: it closes, and the client comes back to a snapshot.
OVERFLOW: dict[str, Any] = {"type": "queue.overflow"}


# One command for all: of each command's answer redis-py makes more work than the message was.
_PUBLISH_ALL = "for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end"


class _BoundedQueue(asyncio.Queue[Any]):
    """A socket's messages. Full, it forgets them and says so, since an unread queue would grow without limit."""

    def __init__(self, overflow: Any) -> None:
        super().__init__()
        self.overflow = overflow

    def put_nowait(self, item: Any) -> None:
        if self.qsize() >= MAX_WAITING:
            while not self.empty():
                self.get_nowait()
            item = self.overflow
        super().put_nowait(item)


class _LoopLayer(RedisPubSubLoopLayer):
    async def _subscribe_to_channel(self, channel: str) -> None:
        self.channels[channel] = _BoundedQueue(msgspec.msgpack.encode(OVERFLOW))
        await self._get_shard(channel).subscribe(channel)

    async def deliver(self, envelopes: list[tuple[bool, str, dict[str, Any]]]) -> None:
        """Publish many messages in one round trip per Redis, in order."""
        by_shard: dict[Any, list[tuple[str, bytes]]] = defaultdict(list)
        for is_group, address, message in envelopes:
            name = self._get_group_channel_name(address) if is_group else address
            by_shard[self._get_shard(name)].append((name, self.channel_layer.serialize(message)))
        for shard, messages in by_shard.items():
            async with shard._lock:
                shard._ensure_redis()
                redis = shard._redis
            try:
                await _publish(redis, messages)
            except ConnectionLost:
                # Redis was restarted since: the next connection is a new one. Twice does no harm: a command is
                # claimed once, and an event has an id.
                await _publish(redis, messages)


async def _publish(redis: Any, messages: list[tuple[str, bytes]]) -> None:
    await redis.eval(_PUBLISH_ALL, 0, *chain.from_iterable(messages))


class RedisLayer(RedisPubSubChannelLayer):
    """channels_redis' pub/sub layer; sockets survive a restart of Redis, and none can fill the memory."""

    def serialize(self, message: dict[str, Any]) -> bytes:
        return msgspec.msgpack.encode(message)

    def deserialize(self, message: bytes) -> dict[str, Any]:
        return msgspec.msgpack.decode(message)

    async def forget(self, channel: str) -> None:
        """Its reader has left, without having been cancelled in `receive`, which does the same."""
        layer = self._get_layer()
        if layer.channels.pop(channel, None):
            await layer._get_shard(channel).unsubscribe(channel)

    def _get_layer(self) -> _LoopLayer:
        loop = asyncio.get_running_loop()
        layer = self._layers.get(loop)
        if layer is None:
            layer = self._layers[loop] = _LoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        return layer


class MemoryLayer(BaseChannelLayer):
    """For one process. Channels' own drops what is too much without a word, throws a socket out of its groups when
    a message has waited for a minute, and looks at every channel for every message."""

    extensions = ["groups", "flush"]

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.channels: dict[str, _BoundedQueue] = {}
        self.groups: dict[str, dict[str, None]] = {}  # a dict for its order

    async def new_channel(self, prefix: str = "specific") -> str:
        name = f"{prefix}.{uuid.uuid4().hex}"
        self.channels[name] = _BoundedQueue(OVERFLOW)
        return name

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """To nobody, if the channel is gone; as with Redis. Receivers share the message and do not change it."""
        if queue := self.channels.get(channel):
            queue.put_nowait(message)
        await asyncio.sleep(0)  # its reader's turn, or a burst would overflow a socket that is quick enough

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.channels[channel].get()

    async def forget(self, channel: str) -> None:
        """Its reader has left."""
        self.channels.pop(channel, None)

    async def group_add(self, group: str, channel: str) -> None:
        self.groups.setdefault(group, {})[channel] = None

    async def group_discard(self, group: str, channel: str) -> None:
        members = self.groups.get(group, {})
        members.pop(channel, None)
        if not members:
            self.groups.pop(group, None)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        for channel in self.groups.get(group, ()):
            if queue := self.channels.get(channel):
                queue.put_nowait(message)
        await asyncio.sleep(0)

    async def flush(self) -> None:
        self.channels.clear()
        self.groups.clear()
