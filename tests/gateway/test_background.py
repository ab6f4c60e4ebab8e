"""What a process does besides serving."""

import os
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings

from gateway import background, leader
from gateway.leader import Leader

pytestmark = pytest.mark.django_db


@pytest.fixture
async def leading(committed: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Leader]:
    # The servers beside it have the true lock.
    monkeypatch.setattr(leader, "LOCK", int.from_bytes(os.urandom(4)) // 2)
    monkeypatch.setattr(background, "TIDYING", {})
    monkeypatch.setattr(background, "FORGETTING", {})
    monkeypatch.setattr(background, "swept_at", 0.0)
    alone = Leader(max_silence_s=20)
    yield alone
    await alone.stop()


def noting(done: list[Any], what: Callable[[], Any]) -> Callable[[], int]:
    def part() -> int:
        done.append(what())
        return 1

    return part


async def test_a_part_of_the_sweep_that_fails_keeps_no_other_from_its_work(
    leading: Leader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def broken() -> int:
        raise RuntimeError("a list that cannot be")

    monkeypatch.setattr(background, "PARTS", {"lists": broken, "starts": noting(done, lambda: "starts")})
    await background._sweep(leading)
    assert done == ["starts"]
    assert "the sweep of lists failed" in caplog.text
    assert background.swept_at == 0  # what watches it is to be alarmed


async def test_a_sweep_ends_where_the_database_is_away(
    leading: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away() -> int:
        asked.append("commands")
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr(background, "PARTS", {"commands": away, "starts": noting(asked, lambda: "starts")})
    with pytest.raises(OperationalError):
        await background._sweep(leading)
    assert "starts" not in asked
    assert background.swept_at == 0


async def test_the_parts_of_a_sweep_are_done_apart_from_each_other(
    leading: Leader, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """What is served meanwhile waits for one of them at most."""
    settings.SWEEP_INTERVAL_S = 0.4
    times: list[float] = []
    monkeypatch.setattr(background, "PARTS", {name: noting(times, monotonic) for name in "abcd"})
    await background._sweep(leading)
    assert len(times) == 4
    assert all(after - before >= 0.05 for before, after in pairwise(times))
    assert background.swept_at
