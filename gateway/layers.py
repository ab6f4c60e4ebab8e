"""Channel layers: Redis' pub/sub for many processes, memory for one. Every queue is bounded; readers share a message.

With Redis, a message reaches the sockets of its own process directly, whether Redis is there or not; for all others it
is published. Each process listens on one channel for its sockets and on one for each of their groups.

`figures()` has the counters of this process, for its metrics; `is_up()` tells whether the bus is there.
"""

import asyncio
import logging
import secrets
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from channels.layers import BaseChannelLayer, get_channel_layer
from redis.exceptions import RedisError

from chargers.bus import Envelope
from gateway.inbox import Inbox, Message, counters
from gateway.redis_link import CONNECT_S, BusAway, RedisLink, say
from gateway.redis_urls import places, shard_of

logger = logging.getLogger(__name__)

CLOCKS_S = 5  # those of several machines may differ by
BURST = 64  # so many messages are put into queues before their readers have a turn


class MemoryLayer(BaseChannelLayer):
    """For one process. Channels' own drops what is too much without a word, throws a socket out of its groups when
    a message has waited for a minute, and looks at every channel for every message."""

    extensions = ["groups", "flush"]

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.channels: dict[str, Inbox] = {}
        self.groups: dict[str, dict[str, Inbox]] = {}  # a dict for its order

    async def new_channel(self, prefix: str = "specific") -> str:
        name = f"{prefix}.{uuid.uuid4().hex}"
        self.channels[name] = Inbox()
        return name

    async def send(self, channel: str, message: Message) -> None:
        """To nobody, if the channel is gone; as with Redis. Receivers share the message and do not change it."""
        if inbox := self.channels.get(channel):
            inbox.put(message)
        await asyncio.sleep(0)  # its reader's turn, or a burst would overflow a socket that is quick enough

    async def receive(self, channel: str) -> Message:
        return await self.channels[channel].get()

    async def forget(self, channel: str) -> None:
        """Its reader has left."""
        if inbox := self.channels.pop(channel, None):
            for group in list(inbox.groups):
                await self.group_discard(group, channel)

    async def group_add(self, group: str, channel: str) -> None:
        if inbox := self.channels.get(channel):
            inbox.enter(group)
            self.groups.setdefault(group, {})[channel] = inbox

    async def group_discard(self, group: str, channel: str) -> None:
        members = self.groups.get(group, {})
        if inbox := members.pop(channel, None):
            inbox.leave(group)
        if not members:
            self.groups.pop(group, None)

    async def group_send(self, group: str, message: Message) -> None:
        for inbox in list(self.groups.get(group, {}).values()):
            inbox.put(message)
        await asyncio.sleep(0)

    async def heard(self, groups: set[str]) -> set[str]:
        """Those of them that anybody is in."""
        return groups & self.groups.keys()

    async def flush(self) -> None:
        self.channels.clear()
        self.groups.clear()


class RedisLayer(BaseChannelLayer):
    """For many processes. An outage of Redis closes no socket, and joining works meanwhile; see gateway.redis_link.

    `on_return(since)` is called in the event loop when Redis was away from this process, or from another one whose
    messages went lost: what was announced after `since` may not have been heard here.
    """

    extensions = ["groups", "flush"]

    def __init__(self, *, url: str, prefix: str = "evcharge", **config: Any) -> None:
        super().__init__(**config)
        self.places = places(url)
        # Pub/sub knows no database numbers, but who chose different ones does not expect to be heard.
        self.prefix = f"{prefix}:{self.places[0].db}"
        self.on_return: Callable[[datetime], None] | None = None
        self.hub: Hub | None = None  # the newest: in a server there is one
        self._hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()

    def start(self) -> "Hub":
        """Connect, and stay connected for as long as this event loop lives."""
        loop = asyncio.get_running_loop()
        hub = self.hub
        if hub is None or hub.loop is not loop:
            hub = self._hubs.get(loop)
            if hub is None:
                hub = self.hub = self._hubs[loop] = Hub(self)
        return hub

    def reaches(self, channel: str) -> bool:
        """Whether a message to this channel would get there now, as far as is known. From any thread."""
        return self.hub is None or self.hub.loop.is_closed() or self.hub.reaches(channel)

    def is_up(self) -> bool:
        return self.hub is not None and all(link.is_up for link in self.hub.links)

    async def deliver(self, envelopes: list[Envelope]) -> list[Envelope]:
        """Send many messages, in order and in one round trip; returns those that did not get beyond this process."""
        hub = self._hubs.get(asyncio.get_running_loop())
        if hub is not None:
            return await hub.deliver(envelopes)
        return await self._deliver_once(envelopes)

    async def heard(self, groups: set[str]) -> set[str]:
        """Those of them that anybody is in, here or elsewhere: who joins later does not count."""
        hub = self._hubs.get(asyncio.get_running_loop())
        return groups if hub is None else await hub.heard(groups)

    async def deliver_here(self, envelopes: list[Envelope]) -> None:
        """To the sockets of this process alone."""
        await self.start().deliver_here(envelopes)

    async def _deliver_once(self, envelopes: list[Envelope]) -> list[Envelope]:
        """From a program that is no server, such as a management command: connect, speak, go."""
        lost: list[Envelope] = []
        for number, (pairs, some) in _sorted(envelopes, self.prefix, len(self.places), b"\0" * 8).items():
            place = self.places[number]
            connection = place.connection(await place.address())
            try:
                async with asyncio.timeout(CONNECT_S):
                    await connection.connect()
                    await say(connection, *pairs)
                counters.published += len(some)
            except (RedisError, OSError) as error:
                logger.warning("bus: %s: %d messages not sent: %s", place, len(some), error)
                lost += some
            finally:
                await connection.disconnect(nowait=True)
        return lost

    # --- what Channels wants ---

    async def new_channel(self, prefix: str = "specific") -> str:
        return self.start().new_channel(prefix)

    async def send(self, channel: str, message: Message) -> None:
        if await self.deliver([(False, channel, message)]):
            raise BusAway("the bus is away")

    async def receive(self, channel: str) -> Message:
        return await self.start().channels[channel].get()

    async def forget(self, channel: str) -> None:
        """Its reader has left."""
        self.start().forget(channel)

    async def group_add(self, group: str, channel: str) -> None:
        await self.start().join(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self.start().leave(group, channel)

    async def group_send(self, group: str, message: Message) -> None:
        if await self.deliver([(True, group, message)]):
            raise BusAway("the bus is away")

    async def flush(self) -> None:
        if hub := self._hubs.pop(asyncio.get_running_loop(), None):
            if self.hub is hub:
                self.hub = None
            await hub.stop()


class Hub:
    """The sockets of one event loop, and its links to Redis, one for each shard."""

    def __init__(self, layer: RedisLayer) -> None:
        self.layer, self.prefix = layer, layer.prefix
        self.loop = asyncio.get_running_loop()
        self.id = secrets.token_hex(8)
        self.sign = secrets.token_bytes(8)  # on all we publish, so that we do not listen to ourselves
        self.channels: dict[str, Inbox] = {}
        self.groups: dict[bytes, dict[str, Inbox]] = {}
        self.numbers = count(1)
        self.own_channel = _process_channel(self.prefix, self.id)
        self.everybody = f"{self.prefix}:all".encode()
        self.links = [
            RedisLink(place, prefix=self.prefix, hear=self.hear, returned=self.returned)
            for place in layer.places
        ]
        self.lost_since: dict[RedisLink, float] = {}  # what of ours others did not hear
        self.tasks: set[asyncio.Task[None]] = set()
        self.link_of(self.own_channel).wanted.add(self.own_channel)
        for link in self.links:
            link.wanted.add(self.everybody)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        for link in self.links:
            await link.stop()

    def link_of(self, name: bytes) -> RedisLink:
        return self.links[shard_of(name, len(self.links))]

    def reaches(self, channel: str) -> bool:
        process = _process_of(channel)
        if process == self.id:
            return True
        link = self.link_of(_process_channel(self.prefix, process))
        return link.is_up or not link.tried.is_set()

    # --- sockets ---

    def new_channel(self, prefix: str) -> str:
        name = f"{prefix}.{self.id}!{next(self.numbers):x}"  # Channels' spelling of a channel of one process
        self.channels[name] = Inbox()
        return name

    def forget(self, channel: str) -> None:
        if inbox := self.channels.pop(channel, None):
            for name in list(inbox.groups):
                self._leave(name, channel)

    async def join(self, group: str, channel: str) -> None:
        """Returns when whatever is sent to the group from now on is heard, unless Redis is away."""
        inbox = self.channels[channel]
        name = _group_channel(self.prefix, group)
        inbox.enter(name)
        self.groups.setdefault(name, {})[channel] = inbox
        try:
            await self.link_of(name).subscribe(name)
        except BaseException:
            self._leave(name, channel)
            raise

    def leave(self, group: str, channel: str) -> None:
        self._leave(_group_channel(self.prefix, group), channel)

    def _leave(self, name: bytes, channel: str) -> None:
        members = self.groups.get(name)
        if members is None:
            return
        if inbox := members.pop(channel, None):
            inbox.leave(name)
        if not members:
            del self.groups[name]
            self.link_of(name).unsubscribe(name)

    # --- messages out ---

    async def heard(self, groups: set[str]) -> set[str]:
        found: set[str] = set()
        elsewhere: dict[RedisLink, list[tuple[str, bytes]]] = {}
        for group in groups:
            name = _group_channel(self.prefix, group)
            if name in self.groups:
                found.add(group)
            else:
                elsewhere.setdefault(self.link_of(name), []).append((group, name))
        for link, pairs in elsewhere.items():
            try:
                counts = await link.listeners([name for _, name in pairs])
            except (RedisError, OSError):  # it is away: nobody elsewhere would hear it
                continue
            found |= {group for (group, _), many in zip(pairs, counts, strict=True) if many}
        return found

    async def deliver(self, envelopes: list[Envelope]) -> list[Envelope]:
        elsewhere = await self.deliver_here(envelopes)
        return await self._publish(elsewhere) if elsewhere else []

    async def deliver_here(self, envelopes: list[Envelope]) -> list[Envelope]:
        """To the sockets of this process; returns what sockets of others may have to hear, too."""
        elsewhere: list[Envelope] = []
        for number, envelope in enumerate(envelopes, 1):
            is_group, address, message = envelope
            if is_group:
                for inbox in list(self.groups.get(_group_channel(self.prefix, address), {}).values()):
                    inbox.put(message)
                elsewhere.append(envelope)
            elif _process_of(address) != self.id:
                elsewhere.append(envelope)
            elif inbox := self.channels.get(address):  # type: ignore[assignment]
                inbox.put(message)
            if number % BURST == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)  # their readers' turn, or a burst would overflow a socket that is quick enough
        return elsewhere

    async def _publish(self, envelopes: list[Envelope]) -> list[Envelope]:
        lost: list[Envelope] = []
        for number, (pairs, some) in _sorted(envelopes, self.prefix, len(self.links), self.sign).items():
            link = self.links[number]
            try:
                await link.publish(*pairs)
                counters.published += len(some)
            except (RedisError, OSError) as error:
                logger.debug("bus: %d messages not sent: %s", len(some), error)
                counters.undelivered += len(some)
                self.lost_since.setdefault(link, link.echoed_at)
                lost += some
        return lost

    # --- messages in ---

    def hear(self, name: bytes, data: bytes) -> None:
        if data.startswith(self.sign):
            return
        try:
            content = msgspec.msgpack.decode(data[8:])
            if name == self.own_channel:
                channel, message = content
                if inbox := self.channels.get(channel):
                    inbox.put(message)
            elif name == self.everybody:
                self._tell_of_return(content)
            else:
                for inbox in self.groups.get(name, {}).values():
                    inbox.put(content)
        except (msgspec.DecodeError, ValueError, TypeError):
            logger.error("bus: what came on %r is none of ours: is REDIS_PREFIX used twice?", name)

    def returned(self, link: RedisLink) -> None:
        """Redis was away: what others sent was not heard here, nor what we sent by others."""
        self._tell_of_return(link.echoed_at)
        if since := self.lost_since.pop(link, None):
            task = asyncio.create_task(self._tell_everybody(link, since))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _tell_everybody(self, link: RedisLink, since: float) -> None:
        try:
            await link.publish(self.everybody, self.sign + msgspec.msgpack.encode(since))
        except (RedisError, OSError):
            self.lost_since[link] = since  # away again

    def _tell_of_return(self, since: float) -> None:
        if self.layer.on_return:
            self.layer.on_return(datetime.fromtimestamp(since - CLOCKS_S, UTC))


def _process_of(channel: str) -> str:
    return channel.partition("!")[0].rpartition(".")[2]


def _process_channel(prefix: str, process: str) -> bytes:
    return f"{prefix}:process:{process}".encode()


def _group_channel(prefix: str, group: str) -> bytes:
    return f"{prefix}:group:{group}".encode()


def _sorted(
    envelopes: list[Envelope], prefix: str, shards: int, sign: bytes
) -> dict[int, tuple[list[bytes], list[Envelope]]]:
    """Shard → what to publish there, channel by data by channel, and the envelopes it was made from."""
    found: dict[int, tuple[list[bytes], list[Envelope]]] = {}
    message: Message | None = None
    data = b""
    for envelope in envelopes:
        is_group, address, content = envelope
        if not is_group:
            name = _process_channel(prefix, _process_of(address))
            data, message = sign + msgspec.msgpack.encode((address, content)), None
        else:
            name = _group_channel(prefix, address)
            if content is not message:  # an event for several groups is encoded once
                data, message = sign + msgspec.msgpack.encode(content), content
        pairs, some = found.setdefault(shard_of(name, shards), ([], []))
        pairs += (name, data)
        some.append(envelope)
    return found


def is_up() -> bool:
    """Whether every Redis of the bus is reached; without Redis, always."""
    layer = get_channel_layer()
    return layer.is_up() if isinstance(layer, RedisLayer) else True


def figures() -> dict[str, int]:
    """Counters of this process (see Counters, and `reconnects`), and how much there is now: `channels` and `groups`
    of its sockets, `waiting` messages, `links` to Redis and `links_up`."""
    layer: Any = get_channel_layer()
    hub = layer.hub if isinstance(layer, RedisLayer) else layer
    links = getattr(hub, "links", [])
    channels = list(hub.channels.values()) if hub else []
    return {
        **asdict(counters),
        "reconnects": sum(link.reconnects for link in links),
        "channels": len(channels),
        "groups": len(hub.groups) if hub else 0,
        "waiting": sum(len(inbox.messages) for inbox in channels),
        "links": len(links),
        "links_up": sum(link.is_up for link in links),
    }
