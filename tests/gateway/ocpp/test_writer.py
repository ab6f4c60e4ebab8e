"""Group commit: one batch at a time, nobody's fault but one's own, nothing left behind."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.db import OperationalError

from gateway.ocpp.writer import MANY, MAX_BATCH, GroupCommitWriter


class Store:
    """What was written, batch by batch; the first write waits for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.gate = threading.Event()
        self.fails: Callable[[list[Any]], Exception | None] = lambda items: None

    def write(self, items: list[Any]) -> None:
        assert self.gate.wait(5)
        self.batches.append(list(items))
        if error := self.fails(items):
            raise error


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def writer(store: Store) -> AsyncIterator[GroupCommitWriter[Any]]:
    writer = GroupCommitWriter(store.write)
    yield writer
    store.gate.set()
    await writer.stop()


async def begun(count: int, writer: GroupCommitWriter[Any], first: int = 0) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(writer.add(number)) for number in range(first, first + count)]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_one_batch_is_written_makes_the_next(
    writer: GroupCommitWriter[Any], store: Store
) -> None:
    first = await begun(1, writer)
    await asyncio.sleep(0.02)
    rest = await begun(5, writer, first=1)
    assert not any(task.done() for task in [*first, *rest])  # nobody is told before it is written
    store.gate.set()
    await asyncio.gather(*first, *rest)
    assert store.batches == [[0], [1, 2, 3, 4, 5]]


async def test_a_flood_is_cut_into_batches_in_order(writer: GroupCommitWriter[Any], store: Store) -> None:
    store.gate.set()
    await asyncio.gather(*(writer.add(number) for number in range(2 * MAX_BATCH + 1)))
    assert [len(batch) for batch in store.batches] == [MAX_BATCH, MAX_BATCH, 1]
    assert [item for batch in store.batches for item in batch] == list(range(2 * MAX_BATCH + 1))


async def test_with_two_lanes_many_that_wait_are_written_beside_the_batch_before(store: Store) -> None:
    writer = GroupCommitWriter(store.write, lanes=2)
    tasks = await begun(1, writer)
    await asyncio.sleep(0.02)
    tasks += await begun(MANY - 1, writer, first=1)
    assert len(writer.flushing) == 1  # few wait for the next batch
    tasks += await begun(MANY, writer, first=MANY)
    assert len(writer.flushing) == 2
    tasks += await begun(5, writer, first=2 * MANY)
    store.gate.set()
    await asyncio.gather(*tasks)
    assert sorted(item for batch in store.batches for item in batch) == list(range(2 * MANY + 5))
    assert not writer.flushing and len(writer.idle) == 2
    await writer.stop()


async def test_a_bad_one_spoils_no_other(writer: GroupCommitWriter[Any], store: Store) -> None:
    store.fails = lambda items: ValueError("three is bad") if 3 in items else None
    tasks = await begun(1, writer)
    await asyncio.sleep(0.02)
    tasks += await begun(5, writer, first=1)
    store.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 3 + [ValueError] + [type(None)] * 2
    written = [batch for batch in store.batches if 3 not in batch]
    assert sorted(item for batch in written for item in batch) == [0, 1, 2, 4, 5]
    await writer.add(6)  # and it goes on


async def test_a_database_that_is_away_is_not_asked_for_each_one(
    writer: GroupCommitWriter[Any], store: Store
) -> None:
    store.fails = lambda items: OperationalError("away")
    tasks = await begun(1, writer)
    await asyncio.sleep(0.02)
    tasks += await begun(50, writer, first=1)
    store.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, OperationalError) for result in results)
    assert len(store.batches) < 10
    store.fails = lambda items: None
    await writer.add("later")


async def test_stopping_writes_what_waits(store: Store) -> None:
    writer = GroupCommitWriter(store.write)
    tasks = await begun(3, writer)
    stopping = asyncio.create_task(writer.stop())
    await asyncio.sleep(0.02)
    assert not stopping.done()
    store.gate.set()
    await stopping
    assert all(task.done() for task in tasks)
    assert store.batches == [[0, 1, 2]]


async def test_one_who_comes_when_it_has_ended_is_told_so(store: Store) -> None:
    """A charger's message in the last moment of its process: it hears an error, and tells it again elsewhere."""
    writer = GroupCommitWriter(store.write)
    await writer.stop()
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(writer.add("late"), 2)


async def test_a_burst_makes_no_empty_batches(store: Store) -> None:
    store.gate.set()
    writer = GroupCommitWriter(store.write, lanes=2)
    await asyncio.gather(*await begun(MAX_BATCH, writer))
    await writer.stop()
    assert all(store.batches)


async def test_one_who_waits_no_longer_does_not_hold_up_the_rest(
    writer: GroupCommitWriter[Any], store: Store
) -> None:
    tasks = await begun(3, writer)
    tasks[1].cancel()
    store.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]
    await writer.add(9)


async def test_more_than_there_is_room_for_waits_outside(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its charger's socket is not read meanwhile."""
    monkeypatch.setattr("gateway.ocpp.writer.MAX_WAITING", 10)
    writer = GroupCommitWriter(store.write)
    tasks = await begun(50, writer)
    await asyncio.sleep(0.02)
    assert len(writer.waiting) <= 10
    tasks[30].cancel()
    store.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    await writer.stop()
    assert sorted(item for batch in store.batches for item in batch) == [n for n in range(50) if n != 30]
    assert max(map(len, store.batches)) <= 10


async def test_without_a_task_one_is_called_back_when_it_is_stored(
    writer: GroupCommitWriter[Any], store: Store
) -> None:
    told: list[Exception | None] = []

    def fail(failure: Exception | None) -> None:
        raise RuntimeError("on hearing of it")

    assert writer.put(1, fail) and writer.put(2, told.append)
    await asyncio.sleep(0.02)
    assert not told
    store.gate.set()
    await writer.add(3)
    assert told == [None]  # whatever those before it made of theirs
    store.fails = lambda items: ValueError("bad") if 4 in items else None
    assert writer.put(4, told.append)
    await writer.add(5)
    assert [type(each) for each in told] == [type(None), ValueError]


async def test_without_a_task_one_does_not_wait_for_a_place(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.ocpp.writer.MAX_WAITING", 3)
    writer = GroupCommitWriter(store.write)
    told: list[Exception | None] = []
    assert [writer.put(number, told.append) for number in range(5)] == [True, True, True, False, False]
    store.gate.set()
    await writer.stop()
    assert told == [None] * 3


async def test_nobody_waits_for_a_batch_that_is_given_up(store: Store) -> None:
    """The loop ends in the middle of it."""
    writer = GroupCommitWriter(store.write)
    told: list[Exception | None] = []
    assert writer.put(1, told.append)
    await asyncio.sleep(0.02)
    assert writer.put(2, told.append)
    for task in list(writer.flushing):
        task.cancel()
    await asyncio.sleep(0.02)
    assert [type(each) for each in told] == [RuntimeError]
    store.gate.set()
    await writer.add(3)
    assert told[1:] == [None]
    await writer.stop()
