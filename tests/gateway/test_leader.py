"""One process at a time does what is done for all."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections

from chargers.events import utcnow
from gateway import leader
from gateway.db import call_service
from gateway.leader import Leader
from sessions.sweeping import sweep
from tests.conftest import stack
from tests.factories import make_online_charger
from tests.figures import record

SILENCE_S = 1


@pytest.fixture
async def two(committed: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Leader, Leader]]:
    """As two processes have them."""
    monkeypatch.setattr(
        leader, "LOCK", int.from_bytes(os.urandom(4)) // 2
    )  # the site's servers have the true one
    leaders = Leader(max_silence_s=SILENCE_S), Leader(max_silence_s=SILENCE_S)
    yield leaders
    for each in leaders:
        await each.stop()


def work() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connection.vendor


async def leads_soon(each: Leader) -> None:
    """PostgreSQL takes a moment to see a session end."""
    async with asyncio.timeout(20):
        while await each.run(work) is None:
            await asyncio.sleep(0.05)


@pytest.mark.skipif(stack() != "embedded", reason="about SQLite")
async def test_with_sqlite_who_asks_leads(two: tuple[Leader, Leader]) -> None:
    assert [await each.run(work) for each in two] == ["sqlite", "sqlite"]


@pytest.mark.skipif(stack() != "real", reason="about PostgreSQL")
async def test_one_leads_until_it_stops(two: tuple[Leader, Leader]) -> None:
    first, second = two
    assert [await first.run(work), await second.run(work), await first.run(work)] == [
        "postgresql",
        None,
        "postgresql",
    ]
    await first.stop()
    first.thread = ThreadPoolExecutor(1)  # for the fixture to stop
    await leads_soon(second)


@pytest.mark.skipif(stack() != "real", reason="about PostgreSQL")
async def test_who_stands_still_no_longer_leads(two: tuple[Leader, Leader]) -> None:
    """Nor when it goes on, though it believed so."""
    first, second = two
    assert await first.run(work)
    silent_since = time.monotonic()
    await leads_soon(second)
    record(
        "SIGSTOP of the process that sweeps",
        heals_s=time.monotonic() - silent_since,
        note=f"until another leads, with a silent session ended after {SILENCE_S} s; by default 20 s",
    )
    assert await first.run(work) is None
    assert await second.run(work)


@pytest.mark.skipif(stack() != "real", reason="about PostgreSQL")
async def test_a_leader_whose_work_fails_leads_on(two: tuple[Leader, Leader]) -> None:
    def fail() -> None:
        raise ValueError("one bad row")

    first, second = two
    with pytest.raises(ValueError, match="bad row"):
        await first.run(fail)
    assert await second.run(work) is None
    assert await first.run(work)


@pytest.mark.django_db(transaction=True)
async def test_two_sweeps_at_once_end_each_command_once(published: list[tuple[str, dict[str, Any]]]) -> None:
    """As when a process wakes up in the middle of it."""
    long_ago = utcnow() - timedelta(hours=1)
    charger = make_online_charger()
    overdue = [charger.commands.create(action="reset", params={}, status="queued") for _ in range(20)]
    charger.commands.update(created_at=long_ago)
    await asyncio.gather(*(asyncio.to_thread(swept) for _ in range(4)))
    assert not charger.commands.filter(finished_at=None).exists()
    ended = [message["id"] for _, message in published if message["type"] == "command.done"]
    ours = {str(command.pk) for command in overdue}
    assert sorted(each for each in ended if each in ours) == sorted(set(ended) & ours)


def swept() -> None:
    try:
        call_service(sweep)
    finally:
        connections.close_all()
