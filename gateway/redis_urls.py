"""REDIS_URL: one Redis, several that share the work, one that Sentinels watch, or a Cluster.

    redis://[user:password@]host[:6379][/db]          rediss:// with TLS, unix:///path for a socket
    redis://a:6379/0,redis://b:6379/0                 shards: each channel lives on one of them
    redis+sentinel://[user:password@]host[:26379][,host2…]/master[/db]
    redis+cluster://[user:password@]host[:6379][,host2…]

Options of redis-py follow after `?` (`ssl_ca_certs`, `ssl_cert_reqs`, `client_name` …). Errors never repeat the URL: it
may hold a password. The spelling with Sentinels is that of the package redis-sentinel-url, and of Prefect.
"""

import random
import re
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
SENTINEL_TIMEOUT_S = 0.5

# Whose time-outs and repeats count is ours to say: one try each, and the caller has the clock.
_OURS: dict[str, Any] = {
    "socket_timeout": None,
    "socket_connect_timeout": 5,
    "health_check_interval": 0,
    "protocol": 2,
    "decode_responses": False,
}

Address = tuple[str, int]


@dataclass(frozen=True)
class RedisPlace:
    """Where one Redis is to be found. `nodes` are servers (kind `cluster`), or Sentinels, or nothing."""

    kind: str  # single, sentinel, cluster
    connection_class: type[Any]
    options: dict[str, Any] = field(repr=False)  # a password may be among them
    nodes: tuple[Address, ...] = ()
    master: str = ""
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """For logs: where, and nothing secret."""
        nodes = self.nodes or ((self.options.get("host", ""), self.options.get("port", 6379)),)
        text = self.options.get("path") or ",".join(f"{host}:{port}" for host, port in nodes)
        return f"{self.master} of {text}" if self.master else text

    def connection(self, address: Address | None = None) -> Any:
        """A connection of redis-py's, not connected yet."""
        where = {"host": address[0], "port": address[1]} if address else {}
        return self.connection_class(**{**self.options, **where, **_OURS, "retry": Retry(NoBackoff(), 0)})

    @property
    def db(self) -> int:
        return int(self.options.get("db", 0))

    async def address(self) -> Address | None:
        """Where it is now. None: where the URL says. Raises redis' ConnectionError if no Sentinel knows."""
        if self.kind == "cluster":
            return random.choice(self.nodes)  # any node does; after a failure the next try finds another
        if self.kind == "sentinel":
            sentinel = Sentinel(list(self.nodes), sentinel_kwargs=self.sentinel_options)
            try:
                return await sentinel.discover_master(self.master)
            finally:
                for client in sentinel.sentinels:
                    await client.aclose()
        return None


def places(text: str) -> list[RedisPlace]:
    """The Redises that a REDIS_URL names. ValueError, in words, if it cannot be read."""
    found = [_place(part.strip()) for part in re.split(r",(?=\s*[a-z+]+://)", text)]
    if len(found) > 1 and any(place.kind == "cluster" for place in found):
        raise ValueError("names a Redis Cluster among several: name its nodes behind one redis+cluster://")
    return found


def shard_of(name: bytes, count: int) -> int:
    """Which of so many shards a name belongs to: the same in every process."""
    return zlib.crc32(name) % count if count > 1 else 0


def _place(url: str) -> RedisPlace:
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in SCHEMES:
        raise ValueError(f"must be redis://host:6379/0, or begin with one of {', '.join(SCHEMES[1:])}")
    protocol, _, kind = scheme.partition("+")
    if not kind:
        return _checked(RedisPlace("single", *_parsed(url)))
    parts = re.fullmatch(r"(?:(.*)@)?([^/?]*)/?([^?]*)(\?.*)?", rest)
    assert parts  # it fits any text
    user, hosts, path, query = (part or "" for part in parts.groups())
    nodes = tuple(_address(host, 26379 if kind == "sentinel" else 6379) for host in hosts.split(","))
    master, _, db = path.strip("/").partition("/") if kind == "sentinel" else ("", "", path)
    if kind == "sentinel" and not master:
        raise ValueError("lacks the name of the master: redis+sentinel://host:26379/mymaster")
    if kind == "cluster" and db.strip("/0"):
        raise ValueError("names a database, but a Redis Cluster has only 0")
    connection_class, options = _parsed(f"{protocol}://{user}@node/{db}{query}")
    options.pop("host")
    sentinel_options = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in ("sentinel_username", "sentinel_password")
        if name in options
    }
    if protocol == "rediss":
        tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
        sentinel_options.update(tls, ssl=True)
    waits = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S}
    sentinel_options.update(waits, retry=Retry(NoBackoff(), 0), protocol=2)
    place = RedisPlace(kind, connection_class, options, nodes, master, sentinel_options)
    return _checked(place)


def _parsed(url: str) -> tuple[type[Any], dict[str, Any]]:
    try:
        options: dict[str, Any] = {**parse_url(url)}
        database = urlsplit(url).path.strip("/")
    except ValueError as error:
        raise ValueError("cannot be read: a port or an option has no value that fits") from error
    if not url.startswith("unix:") and database and not database.isdigit():
        raise ValueError("names a database that is no number")
    if not url.startswith("unix:"):
        options.setdefault("host", "localhost")
    return options.pop("connection_class", Connection), options


def _address(text: str, default_port: int) -> Address:
    try:
        parts = urlsplit(f"//{text.strip()}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("has a host or a port that cannot be read") from error
    if not host:
        raise ValueError("lacks a host")
    return host, port or default_port


def _checked(place: RedisPlace) -> RedisPlace:
    """redis-py tells of an option it does not know only when it connects."""
    if place.connection_class is SSLConnection and place.options.get("ssl_cert_reqs") == "":
        raise ValueError("has an empty ssl_cert_reqs; it is none, optional or required")
    try:
        place.connection(("localhost", 6379) if place.nodes else None)
    except TypeError as error:
        name = re.search(r"argument '(\w+)'", str(error))
        raise ValueError(f"has an option that is not known: {name[1] if name else 'see redis-py'}") from error
    except Exception as error:
        raise ValueError(f"has an option with a value that does not fit: {type(error).__name__}") from error
    return place
