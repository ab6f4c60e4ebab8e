"""The channel layers: many messages at a time, none without bound."""

import asyncio
from typing import Any

from channels.layers import get_channel_layer

from gateway.inbox import MAX_WAITING
from gateway.layers import figures, is_up
from tests.conftest import stack


async def received(layer: Any, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        return await layer.receive(channel)


async def test_a_group_hears_in_order() -> None:
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("layers.order", channel)
    for number in range(20):
        await layer.group_send("layers.order", {"type": "x", "number": number})
    assert [(await received(layer, channel))["number"] for _ in range(20)] == list(range(20))
    await layer.group_discard("layers.order", channel)


async def test_every_member_of_a_group_hears_and_one_who_has_left_does_not() -> None:
    layer: Any = get_channel_layer()
    one, two, gone = [await layer.new_channel() for _ in range(3)]
    for channel in (one, two, gone):
        await layer.group_add("layers.members", channel)
    await layer.group_discard("layers.members", gone)
    await layer.group_send("layers.members", {"type": "x"})
    await layer.send(gone, {"type": "to.it.alone"})
    assert (await received(layer, one))["type"] == "x"
    assert (await received(layer, two))["type"] == "x"
    assert (await received(layer, gone))["type"] == "to.it.alone"
    for channel in (one, two):
        await layer.group_discard("layers.members", channel)


async def test_nobody_listens_and_nothing_fails() -> None:
    layer: Any = get_channel_layer()
    await layer.send("specific.nobody", {"type": "x"})
    await layer.group_send("layers.nobody", {"type": "x"})
    await layer.group_discard("layers.nobody", "specific.nobody")


async def test_it_says_which_groups_are_heard() -> None:
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("layers.heard", channel)
    assert await layer.heard({"layers.heard", "layers.silent"}) == {"layers.heard"}
    await layer.group_discard("layers.heard", channel)
    assert await layer.heard({"layers.silent"}) == set()


async def test_a_channel_nobody_reads_forgets_and_says_so_at_once() -> None:
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    for number in range(MAX_WAITING + 10):
        await layer.send(channel, {"type": "x", "number": number})
    await layer.send(channel, {"type": "last"})
    kinds: list[str] = []
    while not kinds or kinds[-1] != "last":
        kinds.append((await received(layer, channel))["type"])
    assert kinds[0] == "queue.overflow"
    assert len(kinds) < MAX_WAITING


async def test_a_quick_reader_gets_all_of_a_burst() -> None:
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("layers.burst", channel)

    async def read() -> list[int]:
        return [(await received(layer, channel))["number"] for _ in range(4 * MAX_WAITING)]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    for number in range(4 * MAX_WAITING):
        await layer.group_send("layers.burst", {"type": "x", "number": number})
    assert await reading == list(range(4 * MAX_WAITING))
    await layer.group_discard("layers.burst", channel)


async def test_a_channel_that_is_forgotten_leaves_all_its_groups() -> None:
    layer: Any = get_channel_layer()
    before = figures()["groups"]
    channel, other = await layer.new_channel(), await layer.new_channel()
    for group in ("layers.one", "layers.two"):
        await layer.group_add(group, channel)
    await layer.group_add("layers.two", other)
    await layer.forget(channel)
    assert figures()["groups"] == before + 1
    await layer.group_send("layers.two", {"type": "x"})
    assert (await received(layer, other))["type"] == "x"
    await layer.forget(other)
    assert figures()["groups"] == before


async def test_what_goes_through_is_counted() -> None:
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    before = figures()
    for _ in range(MAX_WAITING + 1):
        await layer.send(channel, {"type": "x"})
    after = figures()
    assert after["delivered"] - before["delivered"] == MAX_WAITING + 1
    assert after["overflowed"] - before["overflowed"] == 1
    assert after["waiting"] - before["waiting"] == 1
    assert is_up()
    await layer.forget(channel)
    assert figures()["channels"] == before["channels"] - 1


async def test_readers_who_give_up_lose_nothing() -> None:
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    reading = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    await layer.send(channel, {"type": "x"})
    assert (await received(layer, channel))["type"] == "x"


if stack() == "real":

    async def test_a_batch_goes_to_groups_and_channels_alike() -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add("layers.batch", channel)
        await layer.deliver(
            [
                (True, "layers.batch", {"type": "a"}),
                (False, channel, {"type": "b"}),
                (True, "nobody", {"type": "c"}),
            ]
        )
        assert [(await received(layer, channel))["type"] for _ in range(2)] == ["a", "b"]
        await layer.group_discard("layers.batch", channel)

    async def test_a_channel_nobody_reads_forgets_and_says_so() -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        await layer.deliver([(False, channel, {"type": "x", "number": n}) for n in range(MAX_WAITING + 10)])
        await layer.deliver([(False, channel, {"type": "last"})])
        kinds: list[str] = []
        while not kinds or kinds[-1] != "last":
            kinds.append((await received(layer, channel))["type"])
        assert kinds[0] == "queue.overflow"
        assert len(kinds) < MAX_WAITING

    async def test_an_idle_channel_is_still_there_after_redis_pys_time_out() -> None:
        """redis-py gives up a silent connection after 5 s unless told otherwise."""
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        await asyncio.sleep(7)
        await layer.send(channel, {"type": "still.there"})
        assert (await received(layer, channel))["type"] == "still.there"
