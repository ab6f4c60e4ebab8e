"""Channel layers. Redis pub/sub with bounded queues and many messages at a time; memory for one process."""

import asyncio
from collections import defaultdict
from typing import Any

import msgspec
from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from channels_redis.utils import _wrap_close
from redis.exceptions import ConnectionError as ConnectionLost

MAX_WAITING = 256

# What a socket's consumer gets instead of what it did not read: it closes, and the client comes back to a snapshot.
OVERFLOW: dict[str, Any] = {"type": "queue.overflow"}


class _BoundedQueue(asyncio.Queue[bytes]):
    """A socket's messages. Full, it forgets them and says so, since an unread queue would grow without limit."""

    def put_nowait(self, item: bytes) -> None:
        if self.qsize() >= MAX_WAITING:
            while not self.empty():
                self.get_nowait()
            item = msgspec.msgpack.encode(OVERFLOW)
        super().put_nowait(item)


class _LoopLayer(RedisPubSubLoopLayer):
    async def _subscribe_to_channel(self, channel: str) -> None:
        self.channels[channel] = _BoundedQueue()
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
    pipeline = redis.pipeline(transaction=False)
    for name, data in messages:
        pipeline.publish(name, data)
    await pipeline.execute()


class RedisLayer(RedisPubSubChannelLayer):
    """channels_redis' pub/sub layer; sockets survive a restart of Redis, and none can fill the memory."""

    def serialize(self, message: dict[str, Any]) -> bytes:
        return msgspec.msgpack.encode(message)

    def deserialize(self, message: bytes) -> dict[str, Any]:
        return msgspec.msgpack.decode(message)

    def _get_layer(self) -> _LoopLayer:
        loop = asyncio.get_running_loop()
        layer = self._layers.get(loop)
        if layer is None:
            layer = self._layers[loop] = _LoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        return layer


class MemoryLayer(InMemoryChannelLayer):
    """Channels' own layer for one process, with room for a burst: it drops silently when full."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**{"capacity": 10 * MAX_WAITING, "group_expiry": 10**9, **config})
