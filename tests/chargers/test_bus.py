"""What is sent once the work is committed, and what becomes of it when that fails."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from django.db import connection, transaction

from chargers import bus

ENVELOPES = [bus.to_group("bus.nobody", {"type": "x"})]


@pytest.mark.django_db
def test_nothing_is_sent_of_what_is_undone(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[list[bus.Envelope]] = []
    monkeypatch.setattr(bus, "post", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        bus.send_on_commit(ENVELOPES)
        assert not sent
    assert sent == [ENVELOPES]


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_fault_in_the_sending_is_logged_and_undoes_nothing(
    committed: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, in_transaction: bool
) -> None:
    def post(envelopes: list[bus.Envelope]) -> None:
        raise RuntimeError("no bus")

    monkeypatch.setattr(bus, "post", post)
    with caplog.at_level(logging.ERROR):
        if in_transaction:
            with transaction.atomic():
                bus.send_on_commit(ENVELOPES)
        else:
            assert not connection.in_atomic_block
            bus.send_on_commit(ENVELOPES)
    assert "no bus" in caplog.text


# --- what is made for those who hear it ---


class Layer:
    """One where somebody is in the group `heard`."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def heard(self, groups: set[str]) -> set[str]:
        return groups & {"heard"}

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.sent.append((group, message["type"]))


def draft(group: str, kind: str) -> bus.Draft:
    return bus.Draft(group, lambda: {"type": kind})


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Layer:
    used = Layer()
    monkeypatch.setattr(bus, "get_channel_layer", lambda: used)
    return used


async def test_a_draft_is_made_in_its_place_if_somebody_hears_it(layer: Layer) -> None:
    def never() -> dict[str, Any]:
        raise AssertionError("nobody hears it")

    waiting: list[bus.Envelope | bus.Draft] = [
        bus.to_group("silent", {"type": "first"}),
        draft("heard", "second"),
        bus.Draft("silent", never),
        bus.to_group("heard", {"type": "third"}),
    ]
    assert await bus._deliver(waiting) == []
    assert layer.sent == [("silent", "first"), ("heard", "second"), ("heard", "third")]


async def test_a_draft_that_cannot_be_made_keeps_no_other_from_its_reader(
    layer: Layer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError("no such price")

    assert await bus._deliver([bus.Draft("heard", broken), draft("heard", "second")]) == []
    assert layer.sent == [("heard", "second")]
    assert "no such price" in caplog.text


async def test_where_nobody_can_say_who_hears_all_but_ticks_goes_its_way(
    layer: Layer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def heard(self: Layer, groups: set[str]) -> set[str]:
        raise RuntimeError("the handler is closed")

    monkeypatch.setattr(Layer, "heard", heard)
    assert await bus._deliver([draft("heard", "tick"), bus.to_group("heard", {"type": "ending"})]) == []
    assert layer.sent == [("heard", "ending")]
    assert "1 ticks not sent" in caplog.text


async def test_a_layer_that_does_not_say_who_hears_gets_all(
    layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Layer, "heard")
    await bus._deliver([draft("silent", "first")])
    assert layer.sent == [("silent", "first")]


# --- a bus that is slower than we are ---


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[bus._Publisher, list[bus.Envelope]]]:
    """A publisher with room for a hundred messages, and what was sent by it in the end."""
    sent: list[bus.Envelope] = []

    async def deliver(envelopes: list[bus.Envelope]) -> list[bus.Envelope]:
        sent.extend(envelopes)
        return []

    monkeypatch.setattr(bus, "_deliver", deliver)
    monkeypatch.setattr(bus, "MAX_WAITING", 100)
    publisher = bus._Publisher(asyncio.get_running_loop(), lambda lost: None)
    yield publisher, sent
    publisher.task.cancel()


def numbered(kind: str, numbers: Iterable[int]) -> list[bus.Envelope]:
    hint = {"tick": 1} if kind == "tick" else {}
    return [bus.to_group("user.1", {"type": "event", "number": number, **hint}) for number in numbers]


async def test_a_slow_bus_leaves_out_the_newest_ticks_and_no_ending(
    slow: tuple[bus._Publisher, list[bus.Envelope]], caplog: pytest.LogCaptureFixture
) -> None:
    publisher, sent = slow
    for number in range(1000):
        publisher._add(numbered("tick", [number]))
        if number % 25 == 0:
            publisher._add(numbered("ending", [number]))
        assert len(publisher.waiting) <= 100
    with caplog.at_level(logging.WARNING):
        await publisher.flush()
        await asyncio.sleep(0)
    endings = [message["number"] for _, _, message in sent if "tick" not in message]
    ticks = [message["number"] for _, _, message in sent if "tick" in message]
    assert endings == list(range(0, 1000, 25))
    assert ticks == list(range(len(ticks)))
    assert len(ticks) >= 40
    assert publisher.left_out == 1000 - len(ticks)
    assert f"{publisher.left_out} messages were left out" in caplog.text


async def test_even_endings_cannot_fill_the_memory(slow: tuple[bus._Publisher, list[bus.Envelope]]) -> None:
    publisher, sent = slow
    publisher._add(numbered("tick", range(40)))
    publisher._add(numbered("ending", range(1000)))
    assert len(publisher.waiting) == 100
    await publisher.flush()
    assert [message["number"] for _, _, message in sent] == list(range(900, 1000))
    assert publisher.left_out == 940
