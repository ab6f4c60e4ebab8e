"""Waiting for the end of a command: no end is missed, and nothing of a wait is left."""

import asyncio
import uuid
from typing import Any

import pytest
from channels.layers import get_channel_layer

from chargers.events import command_group
from chargers.models import Command
from gateway import results
from tests.factories import make_charger


async def told(command_id: uuid.UUID, kind: str = "command.done") -> None:
    """As `finish_command` does."""
    layer: Any = get_channel_layer()
    await layer.group_send(command_group(command_id), {"type": kind, "id": str(command_id)})


async def test_an_end_is_heard_by_all_who_wait_for_it_and_by_nobody_else() -> None:
    ended, other = uuid.uuid4(), uuid.uuid4()
    async with (
        results.expecting(ended) as one,
        results.expecting(ended) as two,
        results.expecting(other) as three,
    ):
        await told(ended)
        assert await results.wait(one, 5)
        assert await results.wait(two, 5)
        assert not await results.wait(three, 0.1)


async def test_an_end_before_the_wait_begins_is_not_missed() -> None:
    """Between joining and waiting the command is written and sent; it may have ended by then."""
    command_id = uuid.uuid4()
    async with results.expecting(command_id) as done:
        await told(command_id)
        await asyncio.sleep(0.1)
        assert await results.wait(done, 0)


async def test_one_who_leaves_early_takes_nothing_from_the_others() -> None:
    command_id = uuid.uuid4()
    async with results.expecting(command_id) as patient:
        async with results.expecting(command_id):
            pass
        await told(command_id)
        assert await results.wait(patient, 5)


async def test_nothing_is_left_of_a_wait_however_it_ends() -> None:
    command_id = uuid.uuid4()
    with pytest.raises(ZeroDivisionError):
        async with results.expecting(command_id):
            raise ZeroDivisionError

    async def waiting() -> None:
        async with results.expecting(command_id) as done:
            await results.wait(done, 60)

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert str(command_id) not in results._of_this_loop().waiters


async def test_many_wait_at_once_on_one_channel() -> None:
    ids = [uuid.uuid4() for _ in range(200)]

    async def waited(command_id: uuid.UUID) -> bool:
        async with results.expecting(command_id) as done:
            await told(command_id)
            return await results.wait(done, 10)

    assert all(await asyncio.gather(*map(waited, ids)))
    assert not results._of_this_loop().waiters


async def test_more_ends_than_the_channel_holds_are_looked_up_in_the_database(committed: None) -> None:
    """The layer forgets an overfull channel and says so; the rows know who has ended."""
    charger = make_charger()
    ended = Command.objects.create(charger=charger, action="reset", status="sent")
    running = Command.objects.create(charger=charger, action="reset", status="sent")
    Command.objects.filter(pk=ended.pk).update(status="accepted", finished_at=ended.created_at)
    async with results.expecting(ended.pk) as done, results.expecting(running.pk) as not_done:
        layer: Any = get_channel_layer()
        await layer.send(results._of_this_loop().channel, {"type": "queue.overflow"})
        assert await results.wait(done, 5)
        assert not await results.wait(not_done, 0.2)


async def test_an_end_that_nobody_tells_of_is_found_in_the_database(committed: None) -> None:
    """E47"""
    command = Command.objects.create(charger=make_charger(), action="reset", status="sent")
    async with results.expecting(command.pk) as done:
        Command.objects.filter(pk=command.pk).update(status="accepted", finished_at=command.created_at)
        assert await results.wait(done, 10)


async def test_a_message_that_is_not_understood_does_not_end_the_listening() -> None:
    command_id = uuid.uuid4()
    async with results.expecting(command_id) as done:
        layer: Any = get_channel_layer()
        for message in ({"type": "something.else"}, {"type": "command.done"}):
            await layer.send(results._of_this_loop().channel, message)
        await told(command_id)
        assert await results.wait(done, 5)
