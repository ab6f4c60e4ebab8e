"""Django's cache, on the Redis of the bus in all forms of REDIS_URL. It counts attempts to log in.

While Redis is away each process counts for itself: logging in still works, and is still limited.
"""

import logging
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import redis
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.asyncio import SSLConnection
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from gateway.redis_urls import RedisPlace, places, shard_of

logger = logging.getLogger(__name__)

TIMEOUT_S = 0.5
PAUSE_S = 5  # after a failure, so that not every request waits for it


class SharedCache(RedisCache):
    """`get`, `set`, `add`, `incr` and `delete`, one key at a time."""

    def __init__(self, url: str, params: dict[str, Any]) -> None:
        super().__init__([url], params)
        self._class = _Client
        self._here = LocMemCache("evcharge", params)
        self._away_until = 0.0

    def get(self, *args: Any, **more: Any) -> Any:
        return self._there_or_here(super().get, self._here.get, *args, **more)

    def set(self, *args: Any, **more: Any) -> Any:
        return self._there_or_here(super().set, self._here.set, *args, **more)

    def add(self, *args: Any, **more: Any) -> Any:
        return self._there_or_here(super().add, self._here.add, *args, **more)

    def incr(self, *args: Any, **more: Any) -> Any:
        return self._there_or_here(super().incr, self._here.incr, *args, **more)

    def delete(self, *args: Any, **more: Any) -> Any:
        return self._there_or_here(super().delete, self._here.delete, *args, **more)

    def _there_or_here(
        self, there: Callable[..., Any], here: Callable[..., Any], *args: Any, **more: Any
    ) -> Any:
        if time.monotonic() >= self._away_until:
            try:
                return there(*args, **more)
            except (RedisError, OSError) as error:
                logger.warning("the cache is away, this process counts for itself: %s", error)
                self._away_until = time.monotonic() + PAUSE_S
        return here(*args, **more)


class _Client(RedisCacheClient):
    """Knows every form of REDIS_URL, and lets shards share the keys."""

    def __init__(self, servers: list[str], **options: Any) -> None:
        super().__init__(servers, **options)
        self._url = servers[0]

    @cached_property
    def _shards(self) -> list[Any]:
        return [_connected(place) for place in places(self._url)]

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        return self._shards[shard_of(str(key).encode(), len(self._shards))]


def _connected(place: RedisPlace) -> Any:
    """redis-py's client for this place, for threads."""
    retry: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
    waits: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, **retry}
    options = {**place.options, **waits, "ssl": place.connection_class is SSLConnection}
    if place.kind == "sentinel":
        sentinel = Sentinel(list(place.nodes), sentinel_kwargs={**place.sentinel_options, **waits})
        return sentinel.master_for(place.master, **options)
    if place.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in place.nodes]
        return redis.RedisCluster(startup_nodes=nodes, **options)
    if path := options.pop("path", None):
        options["unix_socket_path"] = path
    return redis.Redis(**options)
