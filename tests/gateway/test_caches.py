"""The cache on Redis, in every form of REDIS_URL, and without it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.caches import SharedCache
from tests.conftest import stack
from tests.redis_servers import HOST, Valkey, cluster_of_three, sentinel_and_two

pytestmark = pytest.mark.skipif(stack() != "real", reason="there is no Redis")


@contextmanager
def one() -> Iterator[str]:
    with Valkey("--requirepass", "secret") as redis:
        yield redis.url.replace("//", "//:secret@")


@contextmanager
def shards() -> Iterator[str]:
    with Valkey() as a, Valkey() as b:
        yield f"{a.url},{b.url}"
        assert a.client.dbsize()
        assert b.client.dbsize()


@contextmanager
def watched() -> Iterator[str]:
    with sentinel_and_two() as (sentinel, _, _):
        yield f"redis+sentinel://{HOST}:{sentinel.port}/mymaster"


@contextmanager
def cluster() -> Iterator[str]:
    with cluster_of_three() as nodes:
        yield f"redis+cluster://{HOST}:{nodes[0].port},{HOST}:{nodes[1].port}"


@pytest.mark.parametrize("form", [one, shards, watched, cluster])
def test_processes_share_what_they_count(form: object) -> None:
    assert callable(form)
    with form() as url:
        here, there = SharedCache(url, {}), SharedCache(url, {})
        for number in range(20):
            here.set(f"key{number}", [number], 60)
        assert [there.get(f"key{number}") for number in range(20)] == [[number] for number in range(20)]
        assert there.add("key0", "other") is False
        assert there.delete("key0")
        assert here.get("key0", "gone") == "gone"


def test_without_redis_a_process_counts_for_itself() -> None:
    with Valkey() as redis:
        here, there = SharedCache(redis.url, {}), SharedCache(redis.url, {})
        redis.kill()
        here.set("key", 1)
        assert here.incr("key") == 2
        assert there.get("other") is None
        redis.start()
        for cache in (here, there):
            cache._away_until = 0
        here.set("key", 3)
        assert there.get("key") == 3
