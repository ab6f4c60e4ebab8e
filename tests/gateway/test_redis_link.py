"""The bus over real Redis servers: killed, hanging, replaced by a Sentinel, a Cluster, shards, TLS and passwords."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from gateway.layers import RedisLayer
from gateway.redis_link import BusAway
from tests.certificates import Authority
from tests.conftest import stack
from tests.redis_servers import HOST, Valkey, cluster_of_three, sentinel_and_two, tls_before

pytestmark = pytest.mark.skipif(stack() != "real", reason="there is no bus but the process itself")


class Two:
    """Two processes' layers on one bus, a member of a group on each."""

    def __init__(self, here: RedisLayer, there: RedisLayer) -> None:
        self.here, self.there = here, there
        self.returns: list[datetime] = []
        here.on_return = there.on_return = self.returns.append

    async def meet(self, group: str) -> None:
        self.channel = await self.there.new_channel()
        await self.there.group_add(group, self.channel)

    async def passes(self, group: str) -> bool:
        """Whether what is sent here to the group is heard there."""
        try:
            await self.here.group_send(group, {"type": "x"})
            async with asyncio.timeout(0.2):
                await self.there.receive(self.channel)
        except (RedisError, TimeoutError):
            return False
        return True

    async def until_it_passes(self, group: str) -> None:
        async with asyncio.timeout(15):
            while not await self.passes(group):
                await asyncio.sleep(0.02)

    async def until_away(self) -> None:
        async with asyncio.timeout(10):
            while self.here.is_up() or self.there.is_up():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def two(url: str, other: str = "", prefix: str = "evcharge") -> AsyncIterator[Two]:
    layers = RedisLayer(url=url), RedisLayer(url=other or url, prefix=prefix)
    try:
        for layer in layers:
            layer.start()
        yield Two(*layers)
    finally:
        for layer in layers:
            await layer.flush()


async def test_a_layer_that_was_flushed_begins_anew() -> None:
    with Valkey() as redis:
        layer = RedisLayer(url=redis.url)
        before = layer.start()
        await layer.flush()
        try:
            assert layer.start() is not before
        finally:
            await layer.flush()


async def test_a_redis_that_was_killed_is_found_again_by_all_who_wait() -> None:
    """E47"""
    with Valkey() as redis:
        async with two(redis.url) as bus:
            await bus.meet("before")
            assert await bus.passes("before")
            redis.kill()
            await bus.until_away()
            before = datetime.now(UTC)
            await bus.meet("meanwhile")  # joining works; it takes effect when the bus is back
            with pytest.raises(BusAway):
                await bus.here.group_send("before", {"type": "x"})
            redis.start()
            await bus.until_it_passes("meanwhile")  # though nothing was sent by the one who listens
            assert len(bus.returns) >= 2
            assert min(bus.returns) < before
            assert "before" in "".join(map(str, bus.there.hub.groups))  # type: ignore[union-attr]


async def test_it_is_known_whom_somebody_hears_in_another_process() -> None:
    with Valkey() as redis:
        async with two(redis.url) as bus:
            await bus.meet("group")
            assert await bus.here.heard({"group", "nobody"}) == {"group"}
            assert await bus.there.heard({"group", "nobody"}) == {"group"}
            program = RedisLayer(url=redis.url)
            assert await program.heard({"nobody"}) == {"nobody"}  # it has no line to ask on
            redis.kill()
            await bus.until_away()
            assert await bus.here.heard({"group", "nobody"}) == set()
            assert await bus.there.heard({"group", "nobody"}) == {"group"}


async def test_a_user_who_may_not_ask_who_listens_sends_to_all(caplog: pytest.LogCaptureFixture) -> None:
    with Valkey() as redis:
        redis.client.execute_command("ACL SETUSER mute on >secret ~* &* +@all -pubsub")
        async with two(f"redis://mute:secret@{HOST}:{redis.port}/0") as bus:
            await bus.meet("group")
            assert await bus.here.heard({"group", "nobody"}) == {"group", "nobody"}
            assert await bus.passes("group")


async def test_a_redis_that_hangs_holds_up_nobody_for_long() -> None:
    with Valkey() as redis:
        async with two(redis.url) as bus:
            await bus.meet("group")
            assert await bus.passes("group")
            mine = await bus.here.new_channel()
            redis.pause()
            try:
                async with asyncio.timeout(10):
                    assert len(await bus.here.deliver([(True, "group", {"type": "lost"})])) == 1
                    await bus.until_away()
                    await bus.here.send(mine, {"type": "local"})
                    assert (await bus.here.receive(mine))["type"] == "local"
            finally:
                redis.resume()
            await bus.until_it_passes("group")


async def test_who_missed_a_message_of_a_sender_that_was_cut_off_is_told() -> None:
    """Its own way to Redis was never away; that of the sender was."""
    with Valkey() as redis:
        async with two(redis.url) as bus:
            await bus.meet("group")
            assert await bus.passes("group")
            told: list[datetime] = []
            bus.there.on_return = told.append
            (link,) = bus.here.hub.links  # type: ignore[union-attr]
            await link._listening.disconnect(nowait=True)
            while link.is_up:
                await asyncio.sleep(0)
            assert len(await bus.here.deliver([(True, "group", {"type": "lost"})])) == 1
            async with asyncio.timeout(10):
                while not told:
                    await asyncio.sleep(0.01)


async def test_a_sentinel_tells_of_the_new_master() -> None:
    with sentinel_and_two() as (sentinel, master, replica):
        nobody = f"{HOST}:1"  # a Sentinel that is away
        async with two(f"redis+sentinel://{nobody},{HOST}:{sentinel.port}/mymaster/0") as bus:
            await bus.meet("group")
            await bus.until_it_passes("group")
            master.kill()
            await bus.until_away()
            await bus.until_it_passes("group")
            assert replica.client.role()[0] == "master"


async def test_a_cluster_carries_on_without_one_of_its_nodes() -> None:
    with cluster_of_three() as nodes:
        addresses = ",".join(f"{HOST}:{node.port}" for node in nodes)
        async with two(f"redis+cluster://{addresses}") as bus:
            await bus.meet("group")
            await bus.until_it_passes("group")
            # Of its listeners a node knows those at itself alone.
            assert await bus.here.heard({"group", "nobody"}) == {"group", "nobody"}
            # Channels of any slot in one script, on any node.
            lost = await bus.here.deliver([(True, f"group{number}", {"type": "x"}) for number in range(50)])
            assert lost == []
            nodes[0].kill()
            await bus.until_it_passes("group")
            nodes[0].start()
            nodes[1].kill()
            await bus.until_it_passes("group")


async def test_shards_share_the_groups_and_one_that_is_away_takes_only_its_own() -> None:
    with Valkey() as one, Valkey() as other:
        async with two(f"{one.url},{other.url}") as bus:
            groups = [f"group{number}" for number in range(20)]
            for group in groups:
                await bus.meet(group)
                assert await bus.passes(group)
            assert one.client.pubsub_channels()
            assert other.client.pubsub_channels()
            other.kill()
            async with asyncio.timeout(10):
                while not any(link.tried.is_set() and not link.is_up for link in bus.here.hub.links):  # type: ignore[union-attr]
                    await asyncio.sleep(0.02)
            lost = {envelope[1] for envelope in await bus.here.deliver([(True, g, {}) for g in groups])}
            assert set() < lost < set(groups)
            assert await bus.here.heard({*groups, "nobody"}) == set(groups) - lost


async def test_passwords_and_tls_by_url(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority()
    certificate, key = authority.issue("localhost", hosts=("localhost",)).save(tmp_path, "redis")
    ca, _ = authority.save(tmp_path, "ca")
    with Valkey("--requirepass", "open sesame") as redis:
        async with tls_before(redis.port, Path(certificate), Path(key)) as port:
            async with two(f"rediss://:open%20sesame@localhost:{port}/0?ssl_ca_certs={ca}") as bus:
                await bus.meet("group")
                await bus.until_it_passes("group")
            for wrong in (
                f"redis://:opensesami@{HOST}:{redis.port}/0",
                f"rediss://:opensesami@localhost:{port}/0",
            ):
                layer = RedisLayer(url=wrong)
                (link,) = layer.start().links
                await link.tried.wait()
                assert not layer.is_up()
                await layer.flush()
    assert "is away" in caplog.text
    assert "sesam" not in caplog.text


@pytest.mark.parametrize(
    "other",
    [lambda url: (url, "another"), lambda url: (url[:-1] + "3", "evcharge")],
    ids=["prefix", "database"],
)
async def test_two_installations_on_one_redis_do_not_hear_each_other(
    other: Callable[[str], tuple[str, str]],
) -> None:
    with Valkey() as redis:
        url, prefix = other(redis.url)
        async with two(redis.url, url, prefix) as bus:
            await bus.meet("group")
            await bus.there.group_send("group", {"type": "own"})
            await bus.there.receive(bus.channel)
            assert not await bus.passes("group")


async def test_a_program_without_a_server_speaks_and_goes() -> None:
    with Valkey() as redis:
        async with two(redis.url) as bus:
            await bus.meet("group")
            program = RedisLayer(url=redis.url)
            assert (
                await program.deliver([(True, "group", {"type": "x"}), (False, bus.channel, {"type": "y"})])
                == []
            )
            kinds = {(await bus.there.receive(bus.channel))["type"] for _ in range(2)}
            assert kinds == {"x", "y"}
            assert program.hub is None
        redis.kill()
        assert len(await program.deliver([(True, "group", {"type": "x"})])) == 1


async def test_redis_is_told_of_what_is_no_longer_wanted() -> None:
    """Nothing is left of a socket that ended in whatever way; the connection of a killed process takes all along."""
    with Valkey() as redis:
        async with two(redis.url) as bus:
            await bus.meet("group")
            channels: Any = redis.client.pubsub_channels
            assert any("group" in name for name in channels("*:group:*"))
            await bus.there.forget(bus.channel)
            async with asyncio.timeout(5):
                while channels("*:group:*"):
                    await asyncio.sleep(0.01)
            assert not bus.there.hub.groups  # type: ignore[union-attr]


async def test_what_a_stranger_publishes_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with Valkey() as redis:
        async with two(redis.url) as bus:
            await bus.meet("group")
            redis.client.publish("evcharge:0:group:group", "12345678 not ours")
            await bus.until_it_passes("group")
            assert "none of ours" in caplog.text
            assert bus.there.is_up()
