"""In which order, how fast and for how long sockets are closed when the process leaves."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from gateway import consumer, draining


class Socket:
    """As drain sees one."""

    def __init__(self, log: list[Any], *, leaves_late: bool = False, is_busy: bool = False) -> None:
        self.log, self.leaves_late, self.is_busy = log, leaves_late, is_busy
        consumer.live.add(self)  # type: ignore[arg-type]

    def is_at_work(self) -> bool:
        return self.is_busy

    async def close(self, code: int, reason: str) -> None:
        self.log.append((self, code, consumer.turns_away))
        consumer.live.discard(self)


@pytest.fixture
def log() -> Iterator[list[Any]]:
    draining.reset()
    yield []
    consumer.live.clear()
    draining.reset()


async def test_apps_leave_before_chargers_and_nobody_comes_in_any_more(log: list[Any]) -> None:
    sockets = [Socket(log, leaves_late=number % 2 == 0) for number in range(10)]
    assert not draining.is_draining()
    await draining.drain(notice_s=0, over=asyncio.Event())
    assert draining.is_draining()
    assert {entry[0] for entry in log[:5]} == {socket for socket in sockets if not socket.leaves_late}
    assert {entry[1:] for entry in log} == {(1012, True)}


async def test_many_are_spread_over_the_set_time(log: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def pause(seconds: float, over: asyncio.Event) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(draining, "_pause", pause)
    monkeypatch.setattr(settings, "DRAIN_S", 5)
    for _ in range(1000):
        Socket(log)
    await draining.drain(notice_s=3, over=asyncio.Event())
    assert pauses[0] == 3
    assert sum(pauses[1:]) == pytest.approx(5)
    pauses.clear()
    for _ in range(10):
        Socket(log)
    await draining.drain(notice_s=0, over=asyncio.Event())
    assert sum(pauses[1:]) == pytest.approx(0.1)  # a few need not wait


async def test_busy_socket_is_waited_for_until_all_is_over(log: list[Any]) -> None:
    over = asyncio.Event()
    busy, idle = Socket(log, is_busy=True), Socket(log)
    leaving = asyncio.create_task(draining.drain(notice_s=0, over=over))
    while not log:
        await asyncio.sleep(0.01)
    await asyncio.sleep(3 * draining.LOOK_S)
    assert [entry[0] for entry in log] == [idle]
    over.set()
    await leaving
    assert [entry[0] for entry in log] == [idle, busy]


async def test_without_sockets_there_is_nothing_to_wait_for(log: list[Any]) -> None:
    async with asyncio.timeout(5):
        await draining.drain(notice_s=60, over=asyncio.Event())
    assert consumer.turns_away
